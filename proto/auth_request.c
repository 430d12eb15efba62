/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes the request `authenticate`; see auth_api.h. No state; any thread.
 *
 * Whatever a client sends, the request can be encoded, and every authenticator can read
 * it: values that some authenticators could not read are left out. Otherwise one client
 * could make routerd send a request that ends the connection to the authenticator, and
 * nobody could log in.
 */
#include "proto/auth_api.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/auth_pairs.h"

/* --- reading --- */

static const struct field auth_transport_fields[] = {
	FIELD(auth_transport, listener, FIELD_STR),
	FIELD(auth_transport, channel_framing, FIELD_STR),
	FIELD(auth_transport, channel_serializer, FIELD_STR),
	FIELD(auth_transport, channel_type, FIELD_STR),
	FIELD(auth_transport, peer, FIELD_STR),
	FIELD(auth_transport, path, FIELD_STR, .max = AUTH_MAX_STRING),
	FIELD_AS("http_headers_received", auth_transport, headers, FIELD_RAW_MAP),
};
static const struct field_table transport_table = FIELD_TABLE(auth_transport);

static const struct field auth_request_fields[] = {
	FIELD(auth_request, authmethod, FIELD_STR, FIELD_REQUIRED),
	FIELD(auth_request, authrole, FIELD_STR, FIELD_OR_NIL, .max = AUTH_MAX_STRING),
	FIELD(auth_request, authextra, FIELD_RAW_MAP, FIELD_OR_NIL),
	FIELD(auth_request, ticket, FIELD_STR, .max = AUTH_MAX_STRING),
	FIELD(auth_request, session, FIELD_UINT, .max = WAMP_MAX_ID, .def = FIELD_NONE),
	FIELD(auth_request, ttl_ms, FIELD_UINT, .def = FIELD_NONE),
	FIELD(auth_request, corr, FIELD_STR),
	FIELD(auth_request, transport, FIELD_STRUCT, .table = &transport_table),
};
static const struct field_table details_table = FIELD_TABLE(auth_request);

/*
 * Copies pubkey and channel_binding from the client's authextra, whose keys may be of any
 * type. The caller has checked that the map is well-formed.
 */
static void pick_authextra(struct slice map, struct auth_request *q)
{
	struct token_reader r;
	struct token t;
	struct slice key, value;

	token_reader_init(&r, SERIALIZER_MSGPACK, map);
	if (token_next(&r, &t) != 0)
		return;
	while (auth_pairs_next(&r, &key, &value)) {
		struct slice name = auth_item_text(SERIALIZER_MSGPACK, key, NULL);
		if (slice_eq_str(name, "pubkey"))
			q->pubkey = auth_item_text(SERIALIZER_MSGPACK, value, NULL);
		else if (slice_eq_str(name, "channel_binding"))
			q->channel_binding =
				auth_item_text(SERIALIZER_MSGPACK, value, NULL);
	}
}

int auth_request_read(struct slice params, struct auth_request *out)
{
	struct token_reader r;
	int err = fields_begin_params(&r, params, 3);

	fields_init(&details_table, out);
	out->authextra_in = SERIALIZER_MSGPACK;
	if (err == 0)
		err = fields_read_str_or_nil(&r, &out->realm);
	if (err == 0)
		err = fields_read_str_or_nil(&r, &out->authid);
	if (err == 0)
		err = fields_read(&r, &details_table, out, NULL);
	if (err == 0)
		err = fields_end_params(&r);
	if (err == 0 && out->authextra.len > 0)
		pick_authextra(out->authextra, out);
	return err;
}

/* --- writing --- */

/*
 * The nesting depth of the two maps: message, params, details, (transport,) and the map
 * itself.
 */
enum { DEPTH_OF_AUTHEXTRA = 4, DEPTH_OF_HEADERS = 5 };

enum {
	SHORT_AUTHEXTRA = 1024, /* bytes: more than pubkey and channel_binding need */
	/*
	 * Bytes that http_headers_received needs before its first pair, and bytes by
	 * which the heads of the two maps grow as pairs are added.
	 */
	MAPS_OVERHEAD = 32,
};

/*
 * Writes authextra: pubkey and channel_binding, which routerd has read itself, then as
 * many other pairs as fit.
 */
static int write_authextra(struct buf *out, const struct auth_request *q, size_t *room)
{
	uint8_t key[FIELD_KEY_LEN];
	char hex[2 * FIELD_KEY_LEN + 1];
	bool is_key = fields_key_decode(q->pubkey, key) == 0;

	if (is_key)
		fields_key_encode(key, hex);
	const struct auth_own_pair own[] = {
		{"pubkey", is_key ? slice_str(hex) : q->pubkey},
		{"channel_binding", q->channel_binding},
		{NULL, {NULL, 0}},
	};
	return auth_pairs_write(out, DEPTH_OF_AUTHEXTRA, own, q->authextra_in,
				q->authextra, room);
}

/* The string, or an empty one if it is not a name that the protocol allows. */
static struct slice name_or_nothing(struct slice s)
{
	return s.len <= AUTH_MAX_NAME && utf8_valid(s) ? s : slice_of(NULL, 0);
}

static void put_question(struct buf *out, const struct auth_request *q,
			 struct slice authextra, struct slice headers)
{
	struct auth_request sent = *q;
	struct token_writer w;

	sent.authextra = authextra;
	sent.transport.listener = name_or_nothing(q->transport.listener);
	sent.transport.path = name_or_nothing(q->transport.path);
	sent.transport.headers = headers;
	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	token_put_array(&w, 3);
	fields_put_str_or_nil(&w, q->realm);
	fields_put_str_or_nil(&w, q->authid);
	fields_write(&w, &details_table, &sent);
	token_put_end(&w);
}

int auth_request_write(struct buf *out, const struct auth_request *q, size_t max_message)
{
	static const struct slice none = {NULL, 0};
	struct buf extra, headers;
	size_t start = out->len, room = 0;

	if (max_message < AUTH_MIN_MESSAGE || q->realm.len > AUTH_MAX_NAME ||
	    q->authid.len > AUTH_MAX_NAME || q->authrole.len > AUTH_MAX_NAME ||
	    q->pubkey.len > AUTH_MAX_NAME || q->channel_binding.len > AUTH_MAX_NAME ||
	    q->ticket.len > AUTH_MAX_STRING)
		return E_RANGE;
	buf_init(&extra, AUTH_MAX_STRING + SHORT_AUTHEXTRA);
	buf_init(&headers, AUTH_MAX_STRING + SHORT_AUTHEXTRA);
	/* Write the smallest request first, to find out how much room is left. */
	int err = write_authextra(&extra, q, &room);
	put_question(out, q, buf_slice(&extra), none);
	size_t least = out->len - start + MAPS_OVERHEAD + AUTH_ENVELOPE;
	room = max_message - min_size(max_message, least);
	if (err == 0 && out->err == 0) {
		buf_clear(&extra);
		err = write_authextra(&extra, q, &room);
	}
	if (err == 0 && q->transport.headers.len > 0)
		err = auth_pairs_write(&headers, DEPTH_OF_HEADERS, NULL,
				       SERIALIZER_MSGPACK, q->transport.headers, &room);
	/* Drop the smallest request, which was written to measure the room. */
	out->len = out->err == 0 ? start : out->len;
	put_question(out, q, buf_slice(&extra), buf_slice(&headers));
	if (err == 0)
		err = out->err;
	if (err == 0 && out->len - start + AUTH_ENVELOPE > max_message)
		err = E_LIMIT;
	buf_fini(&headers);
	buf_fini(&extra);
	return err;
}
