/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes the request `authorize` and its result; see auth_api.h. No state; any
 * thread.
 */
#include "common/err.h"
#include "proto/auth_api.h"
#include "proto/auth_pairs.h"

/* The nesting depth of the two maps: message, params, (details,) and the map itself. */
enum { DEPTH_OF_OPTIONS = 3, DEPTH_OF_SESSION_EXTRA = 4 };

enum {
	AUTHORIZE_PARAMS = 4,
	/* Bytes by which the heads of the two maps grow as pairs are added. */
	TWO_MAPS = 8,
};

static const struct field auth_authorize_fields[] = {
	FIELD(auth_authorize, session, FIELD_UINT, FIELD_REQUIRED, .max = WAMP_MAX_ID),
	FIELD(auth_authorize, realm, FIELD_STR),
	FIELD(auth_authorize, authid, FIELD_STR),
	FIELD(auth_authorize, authrole, FIELD_STR),
	FIELD(auth_authorize, authmethod, FIELD_STR),
	FIELD(auth_authorize, authprovider, FIELD_STR),
	FIELD(auth_authorize, authextra, FIELD_RAW_MAP),
	FIELD(auth_authorize, ttl_ms, FIELD_UINT, .def = FIELD_NONE),
};
static const struct field_table authorize_details = FIELD_TABLE(auth_authorize);

static const struct field auth_authorize_result_fields[] = {
	FIELD(auth_authorize_result, allow, FIELD_BOOL, FIELD_REQUIRED),
};
const struct field_table auth_authorize_result_table = FIELD_TABLE(auth_authorize_result);

/* --- reading --- */

static int read_text_param(struct token_reader *r, size_t max, struct slice *out)
{
	struct token t;
	int err = token_expect(r, TOKEN_STR, &t);

	if (err == 0 && (t.text.len == 0 || t.text.len > max))
		err = E_RANGE;
	if (err == 0)
		*out = t.text;
	return err;
}

static int read_options(struct token_reader *r, struct slice *out)
{
	int err = token_skip(r, out);

	if (err != 0)
		return err;
	return token_container(SERIALIZER_MSGPACK, *out) == TOKEN_MAP ? 0 : E_TYPE;
}

int auth_authorize_read(struct slice params, struct auth_authorize *out)
{
	struct token_reader r;
	int err = fields_begin_params(&r, params, AUTHORIZE_PARAMS);

	fields_init(&authorize_details, out);
	out->options_in = SERIALIZER_MSGPACK;
	if (err == 0)
		err = fields_read(&r, &authorize_details, out, NULL);
	if (err == 0)
		err = read_text_param(&r, WAMP_MAX_URI, &out->uri);
	if (err == 0)
		err = read_text_param(&r, AUTH_MAX_NAME, &out->action);
	if (err == 0)
		err = read_options(&r, &out->options);
	return err != 0 ? err : fields_end_params(&r);
}

int auth_authorize_result_read(struct slice result, struct auth_authorize_result *out)
{
	struct token_reader r;
	struct token t;

	if (result.len > 0 && token_container(SERIALIZER_MSGPACK, result) == TOKEN_MAP)
		return fields_read_item(result, &auth_authorize_result_table, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	int err = token_expect(&r, TOKEN_BOOL, &t);
	if (err != 0)
		return err;
	out->allow = t.b;
	return token_end(&r);
}

/* --- writing --- */

static void put_authorize(struct buf *out, const struct auth_authorize *q,
			  struct slice authextra, struct slice options)
{
	struct auth_authorize sent = *q;
	struct token_writer w;

	sent.authextra = authextra;
	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	token_put_array(&w, AUTHORIZE_PARAMS);
	fields_write(&w, &authorize_details, &sent);
	token_put_str(&w, q->uri);
	token_put_str(&w, q->action);
	token_put_raw(&w, options, 1);
	token_put_end(&w);
}

int auth_authorize_write(struct buf *out, const struct auth_authorize *q,
			 size_t max_message)
{
	static const struct slice none = {(const uint8_t *)"\x80", 1};
	struct buf extra, options;
	size_t start = out->len;

	if (max_message < AUTH_MIN_MESSAGE || q->realm.len > AUTH_MAX_NAME ||
	    q->authid.len > AUTH_MAX_NAME || q->authrole.len > AUTH_MAX_NAME ||
	    q->authprovider.len > AUTH_MAX_NAME || q->uri.len > WAMP_MAX_URI)
		return E_RANGE;
	buf_init(&extra, AUTH_MAX_STRING + TWO_MAPS);
	buf_init(&options, AUTH_MAX_STRING + TWO_MAPS);
	/* Write the shortest request first, to find out how much room is left. */
	put_authorize(out, q, none, none);
	size_t least = out->len - start + TWO_MAPS + AUTH_ENVELOPE;
	size_t room = max_message - min_size(max_message, least);
	/* Write the authenticator's extra first, so that the client's options cannot take
	 * its room. */
	int err = auth_pairs_write(&extra, DEPTH_OF_SESSION_EXTRA, NULL,
				   SERIALIZER_MSGPACK, q->authextra, &room);
	if (err == 0)
		err = auth_pairs_write(&options, DEPTH_OF_OPTIONS, NULL, q->options_in,
				       q->options, &room);
	if (out->err == 0)
		out->len = start;
	put_authorize(out, q, buf_slice(&extra), buf_slice(&options));
	buf_fini(&options);
	buf_fini(&extra);
	return err != 0 ? err : out->err;
}
