/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between routerd and an authenticator; see auth_api.h. A table describes
 * each map; functions check what a table cannot express. No state; any thread.
 */
#include "proto/auth_api.h"

#include "common/err.h"
#include "proto/uri.h"

#include <assert.h>
#include <stdio.h>

/* --- messages --- */

/*
 * The type of an encoded item: TOKEN_MAP, TOKEN_ARRAY, or TOKEN_OPAQUE if it is something
 * else or empty.
 */
static enum token_type container_type(struct slice item)
{
	return item.len == 0 ? TOKEN_OPAQUE : token_container(SERIALIZER_MSGPACK, item);
}

static int check_item(const struct token *t)
{
	if (t->type == TOKEN_STR || t->type == TOKEN_BIN)
		return t->text.len <= AUTH_MAX_STRING ? 0 : E_LIMIT;
	if (t->type == TOKEN_MAP)
		return t->count <= AUTH_MAX_MAP ? 0 : E_LIMIT;
	return 0;
}

/*
 * Checks the sizes of the value at the start of `in`, and that it nests at most max_depth
 * deep. *len_out gets its length.
 */
static int check_depth(struct slice in, unsigned max_depth, size_t *len_out)
{
	struct token_reader r;
	struct token t;
	unsigned depth = 0;

	token_reader_init(&r, SERIALIZER_MSGPACK, in);
	do {
		int err = token_next(&r, &t);
		if (err == 0)
			err = check_item(&t);
		if (err != 0)
			return err;
		if (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP)
			depth++;
		else if (t.type == TOKEN_END)
			depth--;
		if (depth > max_depth)
			return E_DEPTH;
	} while (depth > 0);
	*len_out = (size_t)(r.pos - r.start);
	return 0;
}

int auth_check(struct slice in, size_t *len_out)
{
	/* The message itself is an array, which is one level. */
	return check_depth(in, AUTH_MAX_DEPTH - 1, len_out);
}

/* Reads the message's type and id. */
static int read_type_and_id(struct token_reader *r, struct rpc_msg *m)
{
	struct token list, type, id = {.type = TOKEN_UINT, .u = 0};
	int err = token_expect(r, TOKEN_ARRAY, &list);

	if (err == 0)
		err = token_expect(r, TOKEN_UINT, &type);
	if (err == 0 && (type.u > RPC_NOTIFICATION ||
			 list.count != (type.u == RPC_NOTIFICATION ? 3 : 4)))
		err = E_TYPE;
	if (err == 0 && type.u != RPC_NOTIFICATION)
		err = token_expect(r, TOKEN_UINT, &id);
	if (err == 0 && id.u > UINT32_MAX)
		err = E_RANGE;
	if (err != 0)
		return err;
	m->type = (enum rpc_type)type.u;
	m->id = (uint32_t)id.u;
	return 0;
}

/* Reads the parts after the type and id. */
static int read_parts(struct token_reader *r, struct rpc_msg *m)
{
	struct token t;
	int err;

	if (m->type == RPC_RESPONSE) {
		err = token_skip(r, &m->error);
		if (err == 0)
			err = token_skip(r, &m->result);
		if (err == 0 && slice_eq_str(m->error, "\xc0"))
			m->error.len = 0;
		return err;
	}
	err = token_expect(r, TOKEN_STR, &t);
	if (err == 0)
		err = token_skip(r, &m->params);
	if (err != 0)
		return err;
	m->method = t.text;
	return container_type(m->params) == TOKEN_ARRAY ? 0 : E_TYPE;
}

int auth_msg_read(struct slice in, bool limited, struct rpc_msg *out, size_t *len_out)
{
	struct token_reader r;

	*out = (struct rpc_msg){.type = RPC_UNKNOWN};
	token_reader_init(&r, SERIALIZER_MSGPACK, in);
	int err = read_type_and_id(&r, out);
	if (err == 0 && limited)
		err = check_depth(in, AUTH_MAX_DEPTH, len_out);
	if (err == 0)
		err = read_parts(&r, out);
	*len_out = (size_t)(r.pos - r.start);
	return err;
}

void auth_fallback_error(struct buf *out, int err)
{
	bool no_memory = err == E_NOMEM;

	fields_write_item(
		out, &auth_error_table,
		&(struct auth_error){
			.kind = no_memory ? AUTH_ERROR_TEMPORARY : AUTH_ERROR_INTERNAL,
			.uri = slice_str(AUTH_ERROR_UNAVAILABLE),
			.detail = slice_str(no_memory ? "out of memory"
						      : "the answer is too large"),
			.retry_after_ms = FIELD_NONE,
		});
}

int auth_check_map(struct slice map, unsigned max_depth)
{
	size_t len;
	int err = check_depth(map, max_depth, &len);

	if (err != 0)
		return err;
	if (len != map.len)
		return E_TRAILING;
	return container_type(map) == TOKEN_MAP ? 0 : E_TYPE;
}

void auth_list_write(struct buf *out, const struct slice *items, size_t n)
{
	struct token_writer w;

	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	token_put_array(&w, n);
	for (size_t i = 0; i < n; i++)
		token_put_str(&w, items[i]);
	token_put_end(&w);
}

/* --- hello --- */

static const char *const feature_names[] = {"revoke", "cancel", "events", "authorize",
					    NULL};
static_assert(AUTH_FEATURE_AUTHORIZE == 1 << 3,
	      "the feature of bit i has the name feature_names[i]");

static const struct field auth_hello_fields[] = {
	FIELD(auth_hello, protocol, FIELD_VERSION, FIELD_REQUIRED),
	FIELD(auth_hello, product, FIELD_STR),
	FIELD(auth_hello, instance, FIELD_STR),
	FIELD(auth_hello, pid, FIELD_UINT, .def = FIELD_NONE),
	FIELD(auth_hello, max_message, FIELD_UINT, .def = AUTH_MAX_MESSAGE),
	FIELD(auth_hello, max_depth, FIELD_UINT, .def = AUTH_MAX_DEPTH),
	FIELD(auth_hello, features, FIELD_FLAGS, .names = feature_names),
	FIELD(auth_hello, methods, FIELD_RAW_ARRAY),
	FIELD(auth_hello, realms, FIELD_RAW_ARRAY),
	FIELD(auth_hello, listeners, FIELD_RAW_ARRAY),
	FIELD(auth_hello, last_epoch, FIELD_UINT, .def = AUTH_NO_EPOCH),
	FIELD(auth_hello, last_db, FIELD_STR),
};
const struct field_table auth_hello_table = FIELD_TABLE(auth_hello);

static const struct field auth_hello_result_fields[] = {
	FIELD(auth_hello_result, protocol, FIELD_VERSION, FIELD_REQUIRED),
	FIELD(auth_hello_result, product, FIELD_STR),
	FIELD(auth_hello_result, instance, FIELD_STR),
	FIELD(auth_hello_result, db, FIELD_STR),
	FIELD(auth_hello_result, epoch, FIELD_UINT, .def = AUTH_NO_EPOCH),
	FIELD(auth_hello_result, max_message, FIELD_UINT, .def = AUTH_MAX_MESSAGE),
	FIELD(auth_hello_result, max_inflight, FIELD_UINT, .def = AUTH_MAX_INFLIGHT),
	FIELD(auth_hello_result, features, FIELD_FLAGS, .names = feature_names),
	FIELD(auth_hello_result, methods, FIELD_RAW_ARRAY),
	FIELD(auth_hello_result, ready, FIELD_BOOL, .def = true),
};
const struct field_table auth_hello_result_table = FIELD_TABLE(auth_hello_result);

/* --- the result of authenticate; auth_request.c has the request --- */

static const struct field auth_result_fields[] = {
	FIELD(auth_result, role, FIELD_STR, FIELD_REQUIRED),
	FIELD(auth_result, realm, FIELD_URI),
	FIELD(auth_result, authid, FIELD_STR),
	FIELD(auth_result, authprovider, FIELD_STR),
	FIELD(auth_result, extra, FIELD_RAW_MAP),
	FIELD_AS("pubkey", auth_result, keys, FIELD_SOLE_KEY),
	FIELD_AS("pubkeys", auth_result, keys, FIELD_KEYS, FIELD_SEVERAL),
	FIELD(auth_result, epoch, FIELD_UINT, .def = AUTH_NO_EPOCH),
};
const struct field_table auth_result_table = FIELD_TABLE(auth_result);

int auth_result_read(struct slice result, struct auth_result *out)
{
	struct token_reader r;

	if (container_type(result) == TOKEN_MAP) {
		int map_err = fields_read_item(result, &auth_result_table, out);
		out->whole = result;
		return map_err;
	}
	fields_init(&auth_result_table, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	/* Not a map: only a role. */
	int err = fields_read_text(&r, FIELD_DEFAULT_MAX, &out->role);
	return err != 0 ? err : token_end(&r);
}

static const struct field auth_proof_fields[] = {
	FIELD(auth_proof, secret, FIELD_STR, .max = AUTH_MAX_SECRET),
	FIELD(auth_proof, derived_key, FIELD_STR),
	FIELD(auth_proof, salt, FIELD_STR),
	FIELD(auth_proof, iterations, FIELD_UINT, .max = AUTH_MAX_ITERATIONS,
	      .def = FIELD_NONE),
	FIELD(auth_proof, keylen, FIELD_UINT, .max = AUTH_MAX_KEYLEN, .def = FIELD_NONE),
	FIELD(auth_proof, kdf, FIELD_STR),
	FIELD(auth_proof, memory, FIELD_UINT, .max = UINT32_MAX, .def = FIELD_NONE),
	FIELD_AS("stored-key", auth_proof, stored_key, FIELD_KEY),
	FIELD_AS("server-key", auth_proof, server_key, FIELD_KEY),
};
const struct field_table auth_proof_table = FIELD_TABLE(auth_proof);

int auth_proof_read(struct slice result, struct auth_proof *out,
		    char text[AUTH_FAULT_MAX])
{
	const struct field *bad = NULL;
	struct token_reader r;
	int err = E_TYPE;

	fields_init(&auth_proof_table, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	/* A result that is only a role has no secret. */
	if (container_type(result) == TOKEN_MAP)
		err = fields_read(&r, &auth_proof_table, out, &bad);
	if (err != 0)
		fields_explain(bad, err, text, AUTH_FAULT_MAX);
	return err;
}

void auth_result_explain(struct slice result, char text[AUTH_FAULT_MAX])
{
	struct auth_result res;
	const struct field *bad;
	struct token_reader r;

	fields_init(&auth_result_table, &res);
	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	int err = fields_read(&r, &auth_result_table, &res, &bad);
	fields_explain(bad, err, text, AUTH_FAULT_MAX);
}

/* --- errors --- */

static const char *const kind_names[] = {
	[AUTH_ERROR_DENY] = "deny",           [AUTH_ERROR_IGNORE] = "ignore",
	[AUTH_ERROR_TEMPORARY] = "temporary", [AUTH_ERROR_INTERNAL] = "internal",
	[AUTH_ERROR_KIND_COUNT] = NULL,
};

static const struct field auth_error_fields[] = {
	FIELD(auth_error, kind, FIELD_NAME, FIELD_REQUIRED, .names = kind_names),
	FIELD(auth_error, uri, FIELD_URI),
	FIELD(auth_error, message, FIELD_STR, .max = AUTH_MAX_STRING),
	FIELD(auth_error, detail, FIELD_STR, .max = AUTH_MAX_STRING),
	FIELD(auth_error, retry_after_ms, FIELD_UINT, .def = FIELD_NONE),
};
const struct field_table auth_error_table = FIELD_TABLE(auth_error);

/* Reads a deny that is a URI, or an array of a URI and a message. */
static int read_error_deny(struct token_reader *r, bool array, struct auth_error *out)
{
	struct token t;
	int err = array ? token_expect(r, TOKEN_ARRAY, &t) : 0;

	out->kind = AUTH_ERROR_DENY;
	if (err == 0)
		err = fields_read_text(r, AUTH_MAX_NAME, &out->uri);
	if (err == 0 && !uri_valid(out->uri))
		err = E_RANGE;
	if (err == 0 && array)
		err = fields_read_str_or_nil(r, &out->message);
	return err == 0 && array ? token_expect(r, TOKEN_END, &t) : err;
}

/* Says why an error cannot be read. E_UNKNOWN and E_NOTFOUND are about its kind. */
static const char *error_fault(int err)
{
	return err == E_UNKNOWN
		       ? "error.kind: expected deny, ignore, temporary or internal"
	       : err == E_NOTFOUND ? "error.kind: required, but missing"
				   : "error: expected a URI, an array of a URI and a "
				     "message, or a map with the key kind";
}

void auth_error_read(struct slice error, struct auth_error *out)
{
	struct token_reader r;
	enum token_type type = container_type(error);
	int err;

	fields_init(&auth_error_table, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, error);
	if (type == TOKEN_MAP)
		err = fields_read(&r, &auth_error_table, out, NULL);
	else
		err = read_error_deny(&r, type == TOKEN_ARRAY, out);
	if (err == 0)
		err = token_end(&r);
	if (err != 0)
		*out = (struct auth_error){
			.kind = AUTH_ERROR_INTERNAL,
			.retry_after_ms = FIELD_NONE,
			.detail = slice_str(error_fault(err)),
		};
}

void auth_error_write(struct buf *out, enum auth_error_kind kind, const char *uri,
		      struct slice message)
{
	const struct auth_error error = {
		.kind = kind,
		.uri = slice_str(uri),
		.message = message,
		.retry_after_ms = FIELD_NONE,
	};

	fields_write_item(out, &auth_error_table, &error);
}

/* --- revoke, changed --- */

static const struct field auth_match_fields[] = {
	FIELD(auth_match, authid, FIELD_STR, FIELD_NOT_EMPTY),
	FIELD(auth_match, pubkey, FIELD_KEY, FIELD_NOT_EMPTY),
	FIELD(auth_match, role, FIELD_STR, FIELD_NOT_EMPTY),
	FIELD(auth_match, realm, FIELD_STR, FIELD_NOT_EMPTY),
	FIELD(auth_match, session, FIELD_UINT, FIELD_NOT_EMPTY, .max = WAMP_MAX_ID,
	      .def = FIELD_NONE),
};
static const struct field_table match_table = FIELD_TABLE(auth_match);

static const struct field auth_revoke_fields[] = {
	FIELD(auth_revoke, match, FIELD_STRUCT, FIELD_REQUIRED | FIELD_STRICT,
	      .table = &match_table),
	FIELD(auth_revoke, epoch, FIELD_UINT, .def = AUTH_NO_EPOCH),
	FIELD(auth_revoke, uri, FIELD_URI),
	FIELD(auth_revoke, message, FIELD_STR, .max = AUTH_MAX_STRING),
	FIELD(auth_revoke, dry_run, FIELD_BOOL),
};
const struct field_table auth_revoke_table = FIELD_TABLE(auth_revoke);

int auth_revoke_read(struct slice params, struct auth_revoke *out)
{
	const struct auth_match *m = &out->match;
	int err = fields_read_params(params, &auth_revoke_table, out);

	if (err != 0)
		return err;
	if (out->uri.len == 0)
		out->uri = slice_str(WAMP_CLOSE_KILLED);
	if (m->authid.len == 0 && !m->pubkey.there && m->role.len == 0 &&
	    m->realm.len == 0 && m->session == FIELD_NONE)
		return E_RANGE;
	/* No session has the id 0, so it is an error. It must not be taken for "any
	 * session". */
	return m->session == 0 ? E_RANGE : 0;
}

void auth_revoke_explain(struct slice params, char text[AUTH_FAULT_MAX])
{
	struct auth_revoke v;

	if (fields_read_params(params, &auth_revoke_table, &v) != 0)
		fields_explain_params(params, &auth_revoke_table, &v, text,
				      AUTH_FAULT_MAX);
	else
		snprintf(text, AUTH_FAULT_MAX,
			 "match: expected at least one key, and a session of at least 1");
}

static const struct field auth_revoke_result_fields[] = {
	FIELD(auth_revoke_result, sessions, FIELD_UINT, FIELD_REQUIRED),
	FIELD(auth_revoke_result, pending, FIELD_UINT),
	FIELD(auth_revoke_result, partial, FIELD_BOOL),
};
const struct field_table auth_revoke_result_table = FIELD_TABLE(auth_revoke_result);

static const struct field auth_changed_fields[] = {
	FIELD(auth_changed, match, FIELD_STRUCT, FIELD_STRICT, .table = &match_table),
};
const struct field_table auth_changed_table = FIELD_TABLE(auth_changed);

static const struct field auth_changed_result_fields[] = {
	FIELD(auth_changed_result, partial, FIELD_BOOL),
};
const struct field_table auth_changed_result_table = FIELD_TABLE(auth_changed_result);

/* --- ping, cancel --- */

int auth_ping_read(struct slice params)
{
	struct token_reader r;
	int err = fields_begin_params(&r, params, 0);

	return err != 0 ? err : fields_end_params(&r);
}

static const struct field auth_ping_result_fields[] = {
	FIELD(auth_ping_result, ready, FIELD_BOOL, .def = true),
	FIELD(auth_ping_result, inflight, FIELD_UINT, .def = FIELD_NONE),
	FIELD(auth_ping_result, epoch, FIELD_UINT, .def = AUTH_NO_EPOCH),
};
const struct field_table auth_ping_result_table = FIELD_TABLE(auth_ping_result);

void auth_cancel_write(struct buf *out, uint32_t id)
{
	struct token_writer w;

	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	token_put_array(&w, 1);
	token_put_uint(&w, id);
	token_put_end(&w);
}

/* --- events --- */

static const struct field auth_opened_fields[] = {
	FIELD(auth_opened, session, FIELD_UINT, FIELD_REQUIRED, .max = WAMP_MAX_ID),
	FIELD(auth_opened, realm, FIELD_STR),
	FIELD(auth_opened, authid, FIELD_STR),
	FIELD(auth_opened, authrole, FIELD_STR),
	FIELD(auth_opened, authmethod, FIELD_STR),
	FIELD(auth_opened, pubkey, FIELD_KEY),
	FIELD(auth_opened, peer, FIELD_STR),
	FIELD(auth_opened, corr, FIELD_STR),
};
const struct field_table auth_opened_table = FIELD_TABLE(auth_opened);

static const struct field auth_closed_fields[] = {
	FIELD(auth_closed, session, FIELD_UINT, FIELD_REQUIRED, .max = WAMP_MAX_ID),
	FIELD(auth_closed, authid, FIELD_STR),
	FIELD(auth_closed, reason, FIELD_STR),
	FIELD(auth_closed, duration_ms, FIELD_UINT, .def = FIELD_NONE),
};
const struct field_table auth_closed_table = FIELD_TABLE(auth_closed);

static const struct field auth_failed_fields[] = {
	FIELD(auth_failed, corr, FIELD_STR),
	FIELD(auth_failed, reason, FIELD_STR, FIELD_REQUIRED),
};
const struct field_table auth_failed_table = FIELD_TABLE(auth_failed);
