/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routerd-authd protocol; see auth_api.h. A table per map, and beside it what a table
 * cannot say.
 */
#include "proto/auth_api.h"

#include "common/err.h"
#include "proto/uri.h"

#include <assert.h>

/* --- what every message has ----------------------------------------------------------
 */

/* TOKEN_MAP or TOKEN_ARRAY; TOKEN_OPAQUE if the item is neither, or is missing. */
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

/* Passes over one object, at most so many containers deep. */
static int pass_limited(struct token_reader *r, unsigned max_depth)
{
	struct token t;
	unsigned depth = 0;

	do {
		int e = token_next(r, &t);
		if (e == 0)
			e = check_item(&t);
		if (e != 0)
			return e;
		if (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP)
			depth++;
		else if (t.type == TOKEN_END)
			depth--;
		if (depth > max_depth)
			return E_DEPTH;
	} while (depth > 0);
	return 0;
}

static int check(struct slice in, unsigned max_depth, size_t *len_out)
{
	struct token_reader r;

	token_reader_init(&r, SERIALIZER_MSGPACK, in);
	int e = pass_limited(&r, max_depth);
	*len_out = (size_t)(r.pos - r.start);
	return e;
}

enum { PART_DEPTH = AUTH_MAX_DEPTH - 1 }; /* the message is an array, too */

int auth_check(struct slice in, size_t *len_out)
{
	return check(in, PART_DEPTH, len_out);
}

/* An element of the message, as it is encoded. */
static int read_part(struct token_reader *r, bool limited, struct slice *out)
{
	const uint8_t *start = r->pos;
	int e = limited ? pass_limited(r, PART_DEPTH) : token_skip(r, NULL);

	*out = slice_of(start, (size_t)(r->pos - start));
	return e;
}

/* Type and id. */
static int read_head(struct token_reader *r, struct rpc_msg *m)
{
	struct token list, type, id = {.type = TOKEN_UINT, .u = 0};
	int e = token_next(r, &list);

	if (e == 0 && (list.type != TOKEN_ARRAY || list.count < 3 || list.count > 4))
		e = E_TYPE;
	if (e == 0)
		e = token_next(r, &type);
	if (e == 0 && (type.type != TOKEN_UINT || type.u > RPC_NOTIFICATION ||
		       list.count != (type.u == RPC_NOTIFICATION ? 3 : 4)))
		e = E_TYPE;
	if (e == 0 && type.u != RPC_NOTIFICATION)
		e = token_next(r, &id);
	if (e != 0)
		return e;
	if (id.type != TOKEN_UINT || id.u > UINT32_MAX)
		return id.type == TOKEN_UINT ? E_RANGE : E_TYPE;
	m->type = (enum rpc_type)type.u;
	m->id = (uint32_t)id.u;
	return 0;
}

static int read_response(struct token_reader *r, bool limited, struct rpc_msg *m)
{
	int e = read_part(r, limited, &m->error);

	if (e == 0)
		e = read_part(r, limited, &m->result);
	if (e == 0 && slice_eq_str(m->error, "\xc0"))
		m->error.len = 0;
	return e;
}

static int read_method(struct token_reader *r, bool limited, struct rpc_msg *m)
{
	struct token t;
	int e = token_next(r, &t);

	if (e == 0)
		e = t.type == TOKEN_STR ? check_item(&t) : E_TYPE;
	if (e != 0)
		return e;
	m->method = t.text;
	e = read_part(r, limited, &m->params);
	if (e != 0)
		return e;
	return container_type(m->params) == TOKEN_ARRAY ? 0 : E_TYPE;
}

int auth_msg_read(struct slice in, bool limited, struct rpc_msg *out, size_t *len_out)
{
	struct token_reader r;

	*out = (struct rpc_msg){.type = RPC_UNKNOWN};
	token_reader_init(&r, SERIALIZER_MSGPACK, in);
	int e = read_head(&r, out);
	if (e == 0 && out->type == RPC_RESPONSE)
		e = read_response(&r, limited, out);
	else if (e == 0)
		e = read_method(&r, limited, out);
	*len_out = (size_t)(r.pos - r.start);
	return e;
}

void auth_unsayable(struct buf *out, int why)
{
	bool no_memory = why == E_NOMEM;

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
	int e = check(map, max_depth, &len);

	if (e != 0)
		return e;
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

/* --- hello ---------------------------------------------------------------------------
 */

static const char *const feature_names[] = {"revoke", "cancel", "events", NULL};
static_assert(AUTH_FEATURE_EVENTS == 1 << 2, "bits are indices of feature_names");

#define HELLO(f) .offset = offsetof(struct auth_hello, f)
static const struct field hello_fields[] = {
	{"protocol", FIELD_VERSION, FIELD_REQUIRED, HELLO(protocol)},
	{"product", FIELD_STR, HELLO(product)},
	{"instance", FIELD_STR, HELLO(instance)},
	{"pid", FIELD_UINT, HELLO(pid), .def = FIELD_NONE},
	{"max_message", FIELD_UINT, HELLO(max_message), .def = AUTH_MAX_MESSAGE},
	{"max_depth", FIELD_UINT, HELLO(max_depth), .def = AUTH_MAX_DEPTH},
	{"features", FIELD_FLAGS, HELLO(features), .names = feature_names},
	{"methods", FIELD_RAW_ARRAY, HELLO(methods)},
	{"realms", FIELD_RAW_ARRAY, HELLO(realms)},
	{"listeners", FIELD_RAW_ARRAY, HELLO(listeners)},
	{"last_epoch", FIELD_UINT, HELLO(last_epoch), .def = AUTH_NO_EPOCH},
	{"last_db", FIELD_STR, HELLO(last_db)},
};
const struct field_table auth_hello_table = FIELD_TABLE(hello_fields, struct auth_hello);

#define HELLO_RESULT(f) .offset = offsetof(struct auth_hello_result, f)
static const struct field hello_result_fields[] = {
	{"protocol", FIELD_VERSION, FIELD_REQUIRED, HELLO_RESULT(protocol)},
	{"product", FIELD_STR, HELLO_RESULT(product)},
	{"instance", FIELD_STR, HELLO_RESULT(instance)},
	{"db", FIELD_STR, HELLO_RESULT(db)},
	{"epoch", FIELD_UINT, HELLO_RESULT(epoch), .def = AUTH_NO_EPOCH},
	{"max_message", FIELD_UINT, HELLO_RESULT(max_message), .def = AUTH_MAX_MESSAGE},
	{"max_inflight", FIELD_UINT, HELLO_RESULT(max_inflight),
	 .def = AUTH_MAX_INFLIGHT},
	{"features", FIELD_FLAGS, HELLO_RESULT(features), .names = feature_names},
	{"methods", FIELD_RAW_ARRAY, HELLO_RESULT(methods)},
	{"ready", FIELD_BOOL, HELLO_RESULT(ready), .def = true},
};
const struct field_table auth_hello_result_table =
	FIELD_TABLE(hello_result_fields, struct auth_hello_result);

/* --- the result of authenticate; the question is in auth_request.c -------------------
 */

#define RESULT(f) .offset = offsetof(struct auth_result, f)
static const struct field result_fields[] = {
	{"role", FIELD_STR, FIELD_REQUIRED, RESULT(role)},
	{"realm", FIELD_URI, RESULT(realm)},
	{"authid", FIELD_STR, RESULT(authid)},
	{"authprovider", FIELD_STR, RESULT(authprovider)},
	{"extra", FIELD_RAW_MAP, RESULT(extra)},
	{"pubkey", FIELD_SOLE_KEY, RESULT(keys)},
	{"pubkeys", FIELD_KEYS, FIELD_SEVERAL, RESULT(keys)},
	{"epoch", FIELD_UINT, RESULT(epoch), .def = AUTH_NO_EPOCH},
};
const struct field_table auth_result_table =
	FIELD_TABLE(result_fields, struct auth_result);

/* A bare role. */
static int read_role(struct token_reader *r, struct auth_result *out)
{
	struct token t;
	int e = token_next(r, &t);

	if (e != 0)
		return e;
	if (t.type != TOKEN_STR)
		return E_TYPE;
	if (t.text.len == 0 || t.text.len > FIELD_DEFAULT_MAX)
		return E_RANGE;
	out->role = t.text;
	return 0;
}

int auth_result_read(struct slice result, struct auth_result *out)
{
	struct token_reader r;

	if (container_type(result) == TOKEN_MAP)
		return fields_read_item(result, &auth_result_table, out);
	fields_init(&auth_result_table, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	int e = read_role(&r, out);
	return e != 0 ? e : token_end(&r);
}

void auth_result_explain(struct slice result, char text[AUTH_FAULT_MAX])
{
	struct auth_result res;
	const struct field *bad;
	struct token_reader r;

	fields_init(&auth_result_table, &res);
	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	int e = fields_read(&r, &auth_result_table, &res, &bad);
	fields_explain(bad, e, text, AUTH_FAULT_MAX);
}

/* --- errors --------------------------------------------------------------------------
 */

static const char *const kind_names[] = {
	[AUTH_ERROR_DENY] = "deny",           [AUTH_ERROR_IGNORE] = "ignore",
	[AUTH_ERROR_TEMPORARY] = "temporary", [AUTH_ERROR_INTERNAL] = "internal",
	[AUTH_ERROR_KIND_COUNT] = NULL,
};

#define ERROR(f) .offset = offsetof(struct auth_error, f)
static const struct field error_fields[] = {
	{"kind", FIELD_NAME, FIELD_REQUIRED, ERROR(kind), .names = kind_names},
	{"uri", FIELD_URI, ERROR(uri)},
	{"message", FIELD_STR, ERROR(message), .max = AUTH_MAX_STRING},
	{"detail", FIELD_STR, ERROR(detail), .max = AUTH_MAX_STRING},
	{"retry_after_ms", FIELD_UINT, ERROR(retry_after_ms), .def = FIELD_NONE},
};
const struct field_table auth_error_table = FIELD_TABLE(error_fields, struct auth_error);

/* A deny: the URI, or an array of it and a message. */
static int read_error_deny(struct token_reader *r, bool array, struct auth_error *out)
{
	struct token t;
	struct slice message = {NULL, 0};
	int e = token_next(r, &t);

	if (e == 0 && array)
		e = token_next(r, &t);
	if (e != 0)
		return e;
	if (t.type != TOKEN_STR)
		return E_TYPE;
	struct slice uri = t.text;
	if (uri.len > AUTH_MAX_NAME || !uri_valid(uri))
		return E_RANGE;
	if (array)
		e = fields_read_str_or_nil(r, &message);
	if (e == 0 && array)
		e = token_next(r, &t);
	if (e != 0)
		return e;
	if (array && t.type != TOKEN_END)
		return E_TYPE;
	out->kind = AUTH_ERROR_DENY;
	out->uri = uri;
	out->message = message;
	return 0;
}

void auth_error_read(struct slice error, struct auth_error *out)
{
	struct token_reader r;
	enum token_type type = container_type(error);
	int e;

	fields_init(&auth_error_table, out);
	token_reader_init(&r, SERIALIZER_MSGPACK, error);
	if (type == TOKEN_MAP)
		e = fields_read(&r, &auth_error_table, out, NULL);
	else
		e = read_error_deny(&r, type == TOKEN_ARRAY, out);
	if (e == 0)
		e = token_end(&r);
	if (e != 0)
		*out = (struct auth_error){
			.kind = AUTH_ERROR_INTERNAL,
			.retry_after_ms = FIELD_NONE,
			.detail = slice_str(err_str(e)),
		};
}

/* --- revoke --------------------------------------------------------------------------
 */

#define MATCH(f) .offset = offsetof(struct auth_match, f)
static const struct field match_fields[] = {
	{"authid", FIELD_STR, FIELD_NOT_EMPTY, MATCH(authid)},
	{"pubkey", FIELD_KEY, FIELD_NOT_EMPTY, MATCH(pubkey)},
	{"role", FIELD_STR, FIELD_NOT_EMPTY, MATCH(role)},
	{"realm", FIELD_STR, FIELD_NOT_EMPTY, MATCH(realm)},
	{"session", FIELD_UINT, FIELD_NOT_EMPTY, MATCH(session), .max = WAMP_MAX_ID,
	 .def = FIELD_NONE},
};
static const struct field_table match_table =
	FIELD_TABLE(match_fields, struct auth_match);

#define REVOKE(f) .offset = offsetof(struct auth_revoke, f)
static const struct field revoke_fields[] = {
	{"match", FIELD_STRUCT, FIELD_REQUIRED | FIELD_STRICT, REVOKE(match),
	 .table = &match_table},
	{"epoch", FIELD_UINT, REVOKE(epoch), .def = AUTH_NO_EPOCH},
	{"uri", FIELD_URI, REVOKE(uri)},
	{"message", FIELD_STR, REVOKE(message), .max = AUTH_MAX_STRING},
	{"dry_run", FIELD_BOOL, REVOKE(dry_run)},
};
const struct field_table auth_revoke_table =
	FIELD_TABLE(revoke_fields, struct auth_revoke);

int auth_revoke_read(struct slice params, struct auth_revoke *out)
{
	const struct auth_match *m = &out->match;
	int e = fields_read_params(params, &auth_revoke_table, out);

	if (e != 0)
		return e;
	if (out->uri.len == 0)
		out->uri = slice_str(WAMP_CLOSE_KILLED);
	if (m->authid.len == 0 && !m->pubkey.there && m->role.len == 0 &&
	    m->realm.len == 0 && m->session == FIELD_NONE)
		return E_RANGE;
	/* 0 is nobody's; and must not be taken for "any" */
	return m->session == 0 ? E_RANGE : 0;
}

#define REVOKE_RESULT(f) .offset = offsetof(struct auth_revoke_result, f)
static const struct field revoke_result_fields[] = {
	{"sessions", FIELD_UINT, FIELD_REQUIRED, REVOKE_RESULT(sessions)},
	{"pending", FIELD_UINT, REVOKE_RESULT(pending)},
	{"partial", FIELD_BOOL, REVOKE_RESULT(partial)},
};
const struct field_table auth_revoke_result_table =
	FIELD_TABLE(revoke_result_fields, struct auth_revoke_result);

/* --- ping, cancel --------------------------------------------------------------------
 */

int auth_ping_read(struct slice params)
{
	struct token_reader r;
	int e = fields_begin_params(&r, params, 0);

	return e != 0 ? e : fields_end_params(&r);
}

#define PING_RESULT(f) .offset = offsetof(struct auth_ping_result, f)
static const struct field ping_result_fields[] = {
	{"ready", FIELD_BOOL, PING_RESULT(ready), .def = true},
	{"inflight", FIELD_UINT, PING_RESULT(inflight), .def = FIELD_NONE},
	{"epoch", FIELD_UINT, PING_RESULT(epoch), .def = AUTH_NO_EPOCH},
};
const struct field_table auth_ping_result_table =
	FIELD_TABLE(ping_result_fields, struct auth_ping_result);

void auth_cancel_write(struct buf *out, uint32_t id)
{
	struct token_writer w;

	token_writer_init(&w, SERIALIZER_MSGPACK, out);
	token_put_array(&w, 1);
	token_put_uint(&w, id);
	token_put_end(&w);
}

/* --- events --------------------------------------------------------------------------
 */

#define OPENED(f) .offset = offsetof(struct auth_opened, f)
static const struct field opened_fields[] = {
	{"session", FIELD_UINT, FIELD_REQUIRED, OPENED(session), .max = WAMP_MAX_ID},
	{"realm", FIELD_STR, OPENED(realm)},
	{"authid", FIELD_STR, OPENED(authid)},
	{"authrole", FIELD_STR, OPENED(authrole)},
	{"authmethod", FIELD_STR, OPENED(authmethod)},
	{"pubkey", FIELD_KEY, OPENED(pubkey)},
	{"peer", FIELD_STR, OPENED(peer)},
	{"corr", FIELD_STR, OPENED(corr)},
};
const struct field_table auth_opened_table =
	FIELD_TABLE(opened_fields, struct auth_opened);

#define CLOSED(f) .offset = offsetof(struct auth_closed, f)
static const struct field closed_fields[] = {
	{"session", FIELD_UINT, FIELD_REQUIRED, CLOSED(session), .max = WAMP_MAX_ID},
	{"authid", FIELD_STR, CLOSED(authid)},
	{"reason", FIELD_STR, CLOSED(reason)},
	{"duration_ms", FIELD_UINT, CLOSED(duration_ms), .def = FIELD_NONE},
};
const struct field_table auth_closed_table =
	FIELD_TABLE(closed_fields, struct auth_closed);

#define FAILED(f) .offset = offsetof(struct auth_failed, f)
static const struct field failed_fields[] = {
	{"corr", FIELD_STR, FAILED(corr)},
	{"reason", FIELD_STR, FIELD_REQUIRED, FAILED(reason)},
};
const struct field_table auth_failed_table =
	FIELD_TABLE(failed_fields, struct auth_failed);
