/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes the requests `authenticate` and `authorize`, and the result of
 * `authorize`; see auth_api.h. No state; any thread.
 *
 * Every authenticator must be able to read a request, whatever the client sent: a request
 * that ended the connection to the authenticator would stop all other requests. So a pair
 * of a client's dict is left out if its key is not a string of 1 to AUTH_MAX_NAME bytes;
 * if its value contains an ext type, exceeds a limit, or contains a map with a key that
 * is not a string; or if there is no room for it.
 */
#include "proto/auth_api.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/transcode.h"

/* --- dicts of clients --- */

/*
 * Reads the next value. True if the protocol can express it within its limits, with at
 * most `depth` levels of arrays and maps.
 */
static bool is_sendable(struct token_reader *r, unsigned depth)
{
	struct token t, key;

	if (token_next(r, &t) != 0 || t.type == TOKEN_OPAQUE || t.type == TOKEN_DATE ||
	    t.type == TOKEN_UNDEFINED || t.type == TOKEN_END)
		return false;
	if (t.type == TOKEN_STR || t.type == TOKEN_BIN)
		return t.text.len <= AUTH_MAX_STRING;
	if (t.type != TOKEN_ARRAY && t.type != TOKEN_MAP)
		return true;
	if (depth == 0 || (t.type == TOKEN_MAP && t.count > AUTH_MAX_MAP))
		return false;
	for (uint64_t i = 0; i < t.count; i++) {
		if (t.type == TOKEN_MAP &&
		    (token_next(r, &key) != 0 || key.type != TOKEN_STR ||
		     key.text.len > AUTH_MAX_STRING))
			return false;
		if (!is_sendable(r, depth - 1))
			return false;
	}
	/* Reads the end of the array or map. */
	return token_next(r, &key) == 0;
}

/* A pair that routerd writes itself. A value with len 0 is written as nil. */
struct own_pair {
	const char *key; /* NULL ends an array of pairs */
	struct slice value;
};

/* A map of a request. It has the pairs in `own`, then those of a client's dict. */
struct request_map {
	unsigned depth;             /* nesting depth of the map in the message */
	const struct own_pair *own; /* NULL: none */
	enum serializer from;       /* the encoding of dict */
	struct slice dict;
	struct buf bytes; /* the map, encoded */
};

/* A map that is being filled. */
struct filling {
	const struct request_map *map;
	struct token_writer w;
	unsigned left;    /* pairs that may still be added */
	size_t room;      /* bytes that may still be added */
	struct buf value; /* scratch */
};

static bool is_own_key(const struct own_pair *own, struct slice key)
{
	while (own != NULL && own->key != NULL && !slice_eq_str(key, own->key))
		own++;
	return own != NULL && own->key != NULL;
}

/*
 * Adds a pair, or leaves it out; see the top of this file. text, the key, may be in
 * f->value. E_NOMEM.
 */
static int put_one_pair(struct filling *f, struct slice text, struct slice value)
{
	uint8_t room_for_key[AUTH_MAX_NAME + 1];
	struct token_reader r;

	if (text.len == 0 || text.len > AUTH_MAX_NAME || is_own_key(f->map->own, text))
		return 0;
	memcpy(room_for_key, text.p, text.len);
	text.p = room_for_key;
	buf_clear(&f->value);
	int err = transcode(f->map->from, value, 1, SERIALIZER_MSGPACK, &f->value);
	size_t size = (text.len < 32 ? 1 : 2) + text.len + f->value.len;
	token_reader_init(&r, SERIALIZER_MSGPACK, buf_slice(&f->value));
	if (err != 0 || f->left == 0 || size > f->room ||
	    !is_sendable(&r, AUTH_MAX_DEPTH - f->map->depth))
		return err == E_NOMEM ? E_NOMEM : 0;
	f->left--;
	f->room -= size;
	token_put_str(&f->w, text);
	token_put_raw(&f->w, buf_slice(&f->value), 1);
	return 0;
}

/* Adds the pairs of the client's dict. If it is not a dict, it has no pairs. E_NOMEM. */
static int put_pairs(struct filling *f)
{
	struct token_reader r;
	struct token t;
	struct slice key, value, dict = f->map->dict;
	int err;

	token_reader_init(&r, f->map->from, dict);
	if (f->room == 0 || dict.len == 0 || token_next(&r, &t) != 0 ||
	    t.type != TOKEN_MAP)
		return 0;
	do {
		err = token_item_text(&r, &f->value, &key);
		if (err == 0)
			err = token_skip(&r, &value);
		if (err == 0)
			err = put_one_pair(f, key, value);
	} while (err == 0);
	return err == E_NOMEM ? err : 0;
}

/*
 * Encodes a map. The pairs of the client's dict take at most AUTH_MAX_STRING and at most
 * *room bytes, which are subtracted from *room. E_NOMEM.
 */
static int fill_map(struct request_map *m, size_t *room)
{
	size_t most = min_size(*room, AUTH_MAX_STRING);
	struct filling f = {.map = m, .left = AUTH_MAX_MAP, .room = most};

	buf_clear(&m->bytes);
	buf_init(&f.value, AUTH_MAX_STRING + AUTH_MAX_NAME);
	token_writer_init(&f.w, SERIALIZER_MSGPACK, &m->bytes);
	token_put_map(&f.w, TOKEN_COUNT_UNKNOWN);
	for (const struct own_pair *own = m->own; own != NULL && own->key != NULL;
	     own++, f.left--) {
		token_put_text(&f.w, own->key);
		fields_put_str_or_nil(&f.w, own->value);
	}
	int err = put_pairs(&f);
	token_put_end(&f.w);
	*room -= most - f.room;
	buf_fini(&f.value);
	return err != 0 ? err : m->bytes.err;
}

/* Writes the request q with its two maps. */
typedef void put_request(struct buf *out, const void *q, struct slice first,
			 struct slice second);

/*
 * Writes a request of at most max_message bytes: first without pairs of clients, to find
 * out how much room is left, then with them. E_LIMIT, E_NOMEM.
 */
static int write_request(struct buf *out, put_request *put, const void *q,
			 struct request_map maps[2], size_t max_message)
{
	enum {
		MAPS_OWN = 1024, /* more bytes than the maps' own pairs need */
		TWO_MAPS = 8,    /* bytes by which the heads of the two maps may grow */
	};
	size_t start = out->len, room = 0, size = 0;
	int err = out->err;

	for (int i = 0; i < 2; i++)
		buf_init(&maps[i].bytes, AUTH_MAX_STRING + MAPS_OWN);
	for (int pass = 0; err == 0 && pass < 2; pass++) {
		out->len = start;
		room = pass == 0 ? 0
				 : max_message - min_size(max_message, size + TWO_MAPS);
		err = fill_map(&maps[0], &room);
		if (err == 0)
			err = fill_map(&maps[1], &room);
		put(out, q, buf_slice(&maps[0].bytes), buf_slice(&maps[1].bytes));
		size = out->len - start + AUTH_ENVELOPE;
		if (err == 0)
			err = out->err;
	}
	buf_fini(&maps[0].bytes);
	buf_fini(&maps[1].bytes);
	return err == 0 && size > max_message ? E_LIMIT : err;
}

/* --- authenticate: reading --- */

static const struct field auth_tls_fields[] = {
	FIELD(auth_tls, version, FIELD_STR),
	FIELD(auth_tls, cipher, FIELD_STR),
	FIELD(auth_tls, sni, FIELD_STR),
	FIELD(auth_tls, client_cert_sha256, FIELD_STR),
	FIELD(auth_tls, client_cert_subject, FIELD_STR, .max = AUTH_MAX_SUBJECT),
	FIELD(auth_tls, client_cert_sans, FIELD_RAW_ARRAY),
	FIELD(auth_tls, client_cert, FIELD_BIN, .max = AUTH_MAX_CERT),
};
const struct field_table auth_tls_table = FIELD_TABLE(auth_tls);

static const struct field auth_transport_fields[] = {
	FIELD(auth_transport, listener, FIELD_STR),
	FIELD(auth_transport, channel_framing, FIELD_STR),
	FIELD(auth_transport, channel_serializer, FIELD_STR),
	FIELD(auth_transport, channel_type, FIELD_STR),
	FIELD(auth_transport, peer, FIELD_STR),
	FIELD(auth_transport, proxied_by, FIELD_STR),
	FIELD(auth_transport, path, FIELD_STR, .max = AUTH_MAX_STRING),
	FIELD_AS("http_headers_received", auth_transport, headers, FIELD_RAW_MAP),
	FIELD(auth_transport, tls, FIELD_RAW_MAP),
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
	struct buf scratch; /* stays empty: strings in MessagePack need no decoding */
	struct token_reader r;
	struct token t;
	struct slice key, value;

	buf_init(&scratch, 0);
	token_reader_init(&r, SERIALIZER_MSGPACK, map);
	if (token_next(&r, &t) != 0)
		return;
	while (token_item_text(&r, &scratch, &key) == 0 &&
	       token_item_text(&r, &scratch, &value) == 0) {
		if (slice_eq_str(key, "pubkey"))
			q->pubkey = value;
		else if (slice_eq_str(key, "channel_binding"))
			q->channel_binding = value;
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

/* --- authenticate: writing --- */

/*
 * The nesting depth of the two maps: message, params, details, (transport,) and the map
 * itself.
 */
enum { DEPTH_OF_AUTHEXTRA = 4, DEPTH_OF_HEADERS = 5 };

/* The string, or an empty one if it is not a name that the protocol allows. */
static struct slice name_or_nothing(struct slice s)
{
	return s.len <= AUTH_MAX_NAME && utf8_valid(s) ? s : slice_of(NULL, 0);
}

static void put_question(struct buf *out, const void *request, struct slice authextra,
			 struct slice headers)
{
	const struct auth_request *q = request;
	struct auth_request sent = *q;
	struct token_writer w;

	sent.authextra = authextra;
	sent.transport.listener = name_or_nothing(q->transport.listener);
	sent.transport.path = name_or_nothing(q->transport.path);
	if (q->transport.headers.len > 0)
		sent.transport.headers = headers;
	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	token_put_array(&w, 3);
	fields_put_str_or_nil(&w, q->realm);
	fields_put_str_or_nil(&w, q->authid);
	fields_write(&w, &details_table, &sent);
	token_put_end(&w);
}

/*
 * Writes the request without parts of transport.tls, since it does not fit otherwise.
 * E_LIMIT, E_NOMEM.
 */
static int write_with_less_tls(struct buf *out, const struct auth_request *q,
			       struct request_map maps[2], size_t max_message)
{
	struct auth_tls tls;
	struct slice *const parts[] = {&tls.client_cert, &tls.client_cert_sans,
				       &tls.client_cert_subject};
	struct auth_request shorter = *q;
	size_t start = out->len;
	struct buf b;
	int err = fields_read_item(q->transport.tls, &auth_tls_table, &tls);

	if (err == 0)
		err = E_LIMIT;
	buf_init(&b, AUTH_MAX_STRING);
	for (size_t i = 0; i < ARRAY_LEN(parts) && err == E_LIMIT; i++) {
		*parts[i] = slice_of(NULL, 0);
		buf_clear(&b);
		fields_write_item(&b, &auth_tls_table, &tls);
		shorter.transport.tls = buf_slice(&b);
		out->len = start;
		err = b.err != 0 ? b.err
				 : write_request(out, put_question, &shorter, maps,
						 max_message);
	}
	buf_fini(&b);
	return err;
}

int auth_request_write(struct buf *out, const struct auth_request *q, size_t max_message)
{
	uint8_t key[FIELD_KEY_LEN];
	char hex[2 * FIELD_KEY_LEN + 1];
	bool is_key = fields_key_decode(q->pubkey, key) == 0;

	if (max_message < AUTH_MIN_MESSAGE || q->realm.len > AUTH_MAX_NAME ||
	    q->authid.len > AUTH_MAX_NAME || q->authrole.len > AUTH_MAX_NAME ||
	    q->pubkey.len > AUTH_MAX_NAME || q->channel_binding.len > AUTH_MAX_NAME ||
	    q->ticket.len > AUTH_MAX_STRING)
		return E_RANGE;
	if (is_key)
		fields_key_encode(key, hex);
	/* routerd has read these two pairs of authextra itself. */
	const struct own_pair own[] = {
		{"pubkey", is_key ? slice_str(hex) : q->pubkey},
		{"channel_binding", q->channel_binding},
		{NULL, {NULL, 0}},
	};
	struct request_map maps[] = {
		{DEPTH_OF_AUTHEXTRA, own, q->authextra_in, q->authextra, {0}},
		{DEPTH_OF_HEADERS, NULL, SERIALIZER_MSGPACK, q->transport.headers, {0}},
	};
	size_t start = out->len;
	int err = write_request(out, put_question, q, maps, max_message);
	if (err == E_LIMIT && out->err == 0 && q->transport.tls.len > 0) {
		out->len = start;
		err = write_with_less_tls(out, q, maps, max_message);
	}
	return err;
}

/* --- authorize --- */

/* The nesting depth of the two maps: message, params, (details,) and the map itself. */
enum { DEPTH_OF_OPTIONS = 3, DEPTH_OF_SESSION_EXTRA = 4 };

enum { AUTHORIZE_PARAMS = 4 };

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
	FIELD(auth_authorize_result, disclose, FIELD_BOOL),
	FIELD(auth_authorize_result, cache, FIELD_BOOL),
	FIELD(auth_authorize_result, cache_ttl_ms, FIELD_UINT, .def = FIELD_NONE),
};
const struct field_table auth_authorize_result_table = FIELD_TABLE(auth_authorize_result);

int auth_authorize_read(struct slice params, struct auth_authorize *out)
{
	struct token_reader r;
	int err = fields_begin_params(&r, params, AUTHORIZE_PARAMS);

	fields_init(&authorize_details, out);
	out->options_in = SERIALIZER_MSGPACK;
	if (err == 0)
		err = fields_read(&r, &authorize_details, out, NULL);
	if (err == 0)
		err = fields_read_text(&r, WAMP_MAX_URI, &out->uri);
	if (err == 0)
		err = fields_read_text(&r, AUTH_MAX_NAME, &out->action);
	if (err == 0)
		err = token_skip(&r, &out->options);
	if (err == 0 && token_container(SERIALIZER_MSGPACK, out->options) != TOKEN_MAP)
		err = E_TYPE;
	return err != 0 ? err : fields_end_params(&r);
}

int auth_authorize_result_read(struct slice result, struct auth_authorize_result *out)
{
	struct token_reader r;
	struct token t;

	if (result.len > 0 && token_container(SERIALIZER_MSGPACK, result) == TOKEN_MAP)
		return fields_read_item(result, &auth_authorize_result_table, out);
	fields_init(&auth_authorize_result_table, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	int err = token_expect(&r, TOKEN_BOOL, &t);
	if (err != 0)
		return err;
	out->allow = t.b;
	return token_end(&r);
}

static void put_authorize(struct buf *out, const void *request, struct slice authextra,
			  struct slice options)
{
	const struct auth_authorize *q = request;
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
	/* The authenticator's extra comes first, so that the client's options cannot take
	 * its room. */
	struct request_map maps[] = {
		{DEPTH_OF_SESSION_EXTRA, NULL, SERIALIZER_MSGPACK, q->authextra, {0}},
		{DEPTH_OF_OPTIONS, NULL, q->options_in, q->options, {0}},
	};

	if (max_message < AUTH_MIN_MESSAGE || q->realm.len > AUTH_MAX_NAME ||
	    q->authid.len > AUTH_MAX_NAME || q->authrole.len > AUTH_MAX_NAME ||
	    q->authprovider.len > AUTH_MAX_NAME || q->uri.len > WAMP_MAX_URI)
		return E_RANGE;
	return write_request(out, put_authorize, q, maps, max_message);
}
