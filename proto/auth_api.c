/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routerd-authd protocol; see auth_api.h. A table per map, and beside it what a table
 * cannot say.
 */
#include "proto/auth_api.h"

#include "common/err.h"
#include "proto/uri.h"

#include <assert.h>
#include <stdio.h>

/* --- what every message has ----------------------------------------------------------
 */

static int check_item(const struct token *t)
{
	if (t->type == TOKEN_STR || t->type == TOKEN_BIN)
		return t->text.len <= AUTH_MAX_STRING ? 0 : E_LIMIT;
	if (t->type == TOKEN_MAP)
		return t->count <= AUTH_MAX_MAP ? 0 : E_LIMIT;
	return 0;
}

/* One object, at most so many containers deep. */
static int check(struct slice in, unsigned max_depth, size_t *len_out)
{
	struct token_reader r;
	struct token t;
	unsigned depth = 0;

	token_reader_init(&r, SERIALIZER_MSGPACK, in);
	do {
		int e = token_next(&r, &t);
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
	*len_out = (size_t)(r.pos - r.start);
	return 0;
}

int auth_check(struct slice in, size_t *len_out)
{
	return check(in, AUTH_MAX_DEPTH - 1, len_out); /* the message is an array, too */
}

int auth_measure(struct slice in, size_t *len_out)
{
	struct token_reader r;

	token_reader_init(&r, SERIALIZER_MSGPACK, in);
	int e = token_skip(&r, NULL);
	if (e == 0)
		*len_out = (size_t)(r.pos - r.start);
	return e;
}

void auth_unsayable(struct buf *out, int why)
{
	bool no_memory = why == E_NOMEM;

	auth_error_write(
		out,
		&(struct auth_error){
			.kind = no_memory ? AUTH_ERROR_TEMPORARY : AUTH_ERROR_INTERNAL,
			.uri = slice_str(AUTH_ERROR_UNAVAILABLE),
			.detail = slice_str(no_memory ? "out of memory"
						      : "the answer is too large"),
			.retry_after_ms = FIELD_NONE,
		});
}

/* TOKEN_MAP, TOKEN_ARRAY, or TOKEN_OPAQUE for anything else and for nothing at all. */
static enum token_type container_type(struct slice item)
{
	return item.len == 0 ? TOKEN_OPAQUE : token_container(SERIALIZER_MSGPACK, item);
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
	{"pid", FIELD_UINT, HELLO(pid)},
	{"max_message", FIELD_UINT, HELLO(max_message)},
	{"max_depth", FIELD_UINT, HELLO(max_depth)},
	{"features", FIELD_FLAGS, HELLO(features), .names = feature_names},
	{"methods", FIELD_RAW_ARRAY, HELLO(methods)},
	{"realms", FIELD_RAW_ARRAY, HELLO(realms)},
	{"listeners", FIELD_RAW_ARRAY, HELLO(listeners)},
	{"last_epoch", FIELD_UINT, HELLO(last_epoch)},
	{"last_db", FIELD_STR, HELLO(last_db)},
};
static const struct field_table hello_table = FIELD_TABLE(hello_fields);

int auth_hello_read(struct slice params, struct auth_hello *out)
{
	struct auth_hello h = {
		.pid = FIELD_NONE,
		.max_message = AUTH_MAX_MESSAGE,
		.max_depth = AUTH_MAX_DEPTH,
		.last_epoch = AUTH_NO_EPOCH,
	};
	int e = fields_read_params(params, &hello_table, &h);

	if (e == 0)
		*out = h;
	return e;
}

void auth_hello_write(struct buf *out, const struct auth_hello *h)
{
	fields_write_params(out, &hello_table, h);
}

#define HELLO_RESULT(f) .offset = offsetof(struct auth_hello_result, f)
static const struct field hello_result_fields[] = {
	{"protocol", FIELD_VERSION, FIELD_REQUIRED, HELLO_RESULT(protocol)},
	{"product", FIELD_STR, HELLO_RESULT(product)},
	{"instance", FIELD_STR, HELLO_RESULT(instance)},
	{"db", FIELD_STR, HELLO_RESULT(db)},
	{"epoch", FIELD_UINT, HELLO_RESULT(epoch)},
	{"max_message", FIELD_UINT, HELLO_RESULT(max_message)},
	{"max_inflight", FIELD_UINT, HELLO_RESULT(max_inflight)},
	{"features", FIELD_FLAGS, HELLO_RESULT(features), .names = feature_names},
	{"methods", FIELD_RAW_ARRAY, HELLO_RESULT(methods)},
	{"ready", FIELD_BOOL, HELLO_RESULT(ready)},
};
static const struct field_table hello_result_table = FIELD_TABLE(hello_result_fields);

int auth_hello_result_read(struct slice result, struct auth_hello_result *out)
{
	struct auth_hello_result h = {
		.epoch = AUTH_NO_EPOCH,
		.max_message = AUTH_MAX_MESSAGE,
		.max_inflight = AUTH_MAX_INFLIGHT,
		.ready = true,
	};
	int e = fields_read_item(result, &hello_result_table, &h);

	if (e == 0)
		*out = h;
	return e;
}

void auth_hello_result_write(struct buf *out, const struct auth_hello_result *h)
{
	fields_write_item(out, &hello_result_table, h);
}

/* --- the result of authenticate; the question is in auth_request.c -------------------
 */

/* On the wire one key is said as pubkey, several as pubkeys. */
struct wire_result {
	struct auth_result r;
	struct field_key pubkey;
};
#define RESULT(f) .offset = offsetof(struct wire_result, f)
static const struct field result_fields[] = {
	{"role", FIELD_STR, FIELD_REQUIRED, RESULT(r.role)},
	{"realm", FIELD_URI, RESULT(r.realm)},
	{"authid", FIELD_STR, RESULT(r.authid)},
	{"authprovider", FIELD_STR, RESULT(r.authprovider)},
	{"extra", FIELD_RAW_MAP, RESULT(r.extra)},
	{"pubkey", FIELD_KEY, RESULT(pubkey)},
	{"pubkeys", FIELD_KEYS, RESULT(r.keys)},
	{"epoch", FIELD_UINT, RESULT(r.epoch)},
};
static const struct field_table result_table = FIELD_TABLE(result_fields);

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
	struct wire_result wire = {.r.epoch = AUTH_NO_EPOCH};
	struct token_reader r;
	int e;

	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	if (container_type(result) == TOKEN_MAP)
		e = fields_read(&r, &result_table, &wire);
	else
		e = read_role(&r, &wire.r);
	if (e == 0)
		e = token_end(&r);
	if (e == 0 && wire.pubkey.there) {
		if (wire.r.keys.n == FIELD_MAX_KEYS)
			return E_LIMIT;
		memcpy(wire.r.keys.key[wire.r.keys.n++], wire.pubkey.octets,
		       FIELD_KEY_LEN);
	}
	if (e == 0)
		*out = wire.r;
	return e;
}

void auth_result_explain(struct slice result, char text[AUTH_FAULT_MAX])
{
	struct wire_result wire = {.r.epoch = AUTH_NO_EPOCH};
	const struct field *bad;
	struct token_reader r;

	token_reader_init(&r, SERIALIZER_MSGPACK, result);
	int e = fields_read_why(&r, &result_table, &wire, &bad);
	if (e != 0)
		fields_explain(bad, e, text, AUTH_FAULT_MAX);
	else /* each is good by itself */
		snprintf(text, AUTH_FAULT_MAX, "pubkeys: more than %d keys",
			 FIELD_MAX_KEYS);
}

void auth_result_write(struct buf *out, const struct auth_result *res)
{
	struct wire_result wire = {.r = *res};

	if (wire.r.keys.n == 1) {
		wire.pubkey.there = true;
		memcpy(wire.pubkey.octets, wire.r.keys.key[0], FIELD_KEY_LEN);
		wire.r.keys.n = 0;
	}
	fields_write_item(out, &result_table, &wire);
}

/* --- errors --------------------------------------------------------------------------
 */

static const char *const kind_names[] = {
	[AUTH_ERROR_DENY] = "deny",
	[AUTH_ERROR_IGNORE] = "ignore",
	[AUTH_ERROR_TEMPORARY] = "temporary",
	[AUTH_ERROR_INTERNAL] = "internal",
};
static_assert(ARRAY_LEN(kind_names) == AUTH_ERROR_KIND_COUNT, "a name for each kind");

struct wire_error {
	struct auth_error e;
	struct slice kind;
};
#define ERROR(f) .offset = offsetof(struct wire_error, f)
static const struct field error_fields[] = {
	{"kind", FIELD_STR, FIELD_REQUIRED, ERROR(kind)},
	{"uri", FIELD_URI, ERROR(e.uri)},
	{"message", FIELD_STR, ERROR(e.message), .max = AUTH_MAX_STRING},
	{"detail", FIELD_STR, ERROR(e.detail), .max = AUTH_MAX_STRING},
	{"retry_after_ms", FIELD_UINT, ERROR(e.retry_after_ms)},
};
static const struct field_table error_table = FIELD_TABLE(error_fields);

const char *auth_error_kind_name(enum auth_error_kind k)
{
	return kind_names[k];
}

static int read_error_map(struct token_reader *r, struct auth_error *out)
{
	struct wire_error wire = {.e = *out};
	int e = fields_read(r, &error_table, &wire);

	if (e != 0)
		return e;
	for (int i = 0; i < AUTH_ERROR_KIND_COUNT; i++) {
		if (!slice_eq_str(wire.kind, kind_names[i]))
			continue;
		*out = wire.e;
		out->kind = (enum auth_error_kind)i;
		return 0;
	}
	return E_UNKNOWN;
}

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
	struct auth_error err = {
		.kind = AUTH_ERROR_INTERNAL,
		.retry_after_ms = FIELD_NONE,
	};
	struct token_reader r;
	enum token_type type = container_type(error);
	int e;

	token_reader_init(&r, SERIALIZER_MSGPACK, error);
	if (type == TOKEN_MAP)
		e = read_error_map(&r, &err);
	else
		e = read_error_deny(&r, type == TOKEN_ARRAY, &err);
	if (e == 0)
		e = token_end(&r);
	if (e != 0)
		err = (struct auth_error){
			.kind = AUTH_ERROR_INTERNAL,
			.retry_after_ms = FIELD_NONE,
			.detail = slice_str(err_str(e)),
		};
	*out = err;
}

void auth_error_write(struct buf *out, const struct auth_error *e)
{
	const struct wire_error wire = {.e = *e, .kind = slice_str(kind_names[e->kind])};

	fields_write_item(out, &error_table, &wire);
}

/* --- revoke --------------------------------------------------------------------------
 */

#define MATCH(f) .offset = offsetof(struct auth_match, f)
static const struct field match_fields[] = {
	{"authid", FIELD_STR, FIELD_NOT_EMPTY, MATCH(authid)},
	{"pubkey", FIELD_KEY, FIELD_NOT_EMPTY, MATCH(pubkey)},
	{"role", FIELD_STR, FIELD_NOT_EMPTY, MATCH(role)},
	{"realm", FIELD_STR, FIELD_NOT_EMPTY, MATCH(realm)},
	{"session", FIELD_UINT, FIELD_NOT_EMPTY, MATCH(session), .max = WAMP_MAX_ID},
};
static const struct field_table match_table = FIELD_TABLE(match_fields);

#define REVOKE(f) .offset = offsetof(struct auth_revoke, f)
static const struct field revoke_fields[] = {
	{"match", FIELD_STRUCT, FIELD_REQUIRED | FIELD_STRICT, REVOKE(match),
	 .table = &match_table},
	{"epoch", FIELD_UINT, REVOKE(epoch)},
	{"uri", FIELD_URI, REVOKE(uri)},
	{"message", FIELD_STR, REVOKE(message), .max = AUTH_MAX_STRING},
	{"dry_run", FIELD_BOOL, REVOKE(dry_run)},
};
static const struct field_table revoke_table = FIELD_TABLE(revoke_fields);

int auth_revoke_read(struct slice params, struct auth_revoke *out)
{
	struct auth_revoke v = {
		.match.session = FIELD_NONE,
		.epoch = AUTH_NO_EPOCH,
		.uri = slice_str(WAMP_CLOSE_KILLED),
	};
	int e = fields_read_params(params, &revoke_table, &v);

	if (e != 0)
		return e;
	const struct auth_match *m = &v.match;
	if (m->authid.len == 0 && !m->pubkey.there && m->role.len == 0 &&
	    m->realm.len == 0 && m->session == FIELD_NONE)
		return E_RANGE;
	if (m->session == 0) /* nobody's; and not to be taken for "any" */
		return E_RANGE;
	*out = v;
	return 0;
}

void auth_revoke_write(struct buf *out, const struct auth_revoke *v)
{
	fields_write_params(out, &revoke_table, v);
}

#define REVOKE_RESULT(f) .offset = offsetof(struct auth_revoke_result, f)
static const struct field revoke_result_fields[] = {
	{"sessions", FIELD_UINT, FIELD_REQUIRED, REVOKE_RESULT(sessions)},
	{"pending", FIELD_UINT, REVOKE_RESULT(pending)},
	{"partial", FIELD_BOOL, REVOKE_RESULT(partial)},
};
static const struct field_table revoke_result_table = FIELD_TABLE(revoke_result_fields);

int auth_revoke_result_read(struct slice result, struct auth_revoke_result *out)
{
	struct auth_revoke_result v = {.sessions = 0};
	int e = fields_read_item(result, &revoke_result_table, &v);

	if (e == 0)
		*out = v;
	return e;
}

void auth_revoke_result_write(struct buf *out, const struct auth_revoke_result *res)
{
	fields_write_item(out, &revoke_result_table, res);
}

/* --- ping, cancel --------------------------------------------------------------------
 */

int auth_ping_read(struct slice params)
{
	struct token_reader r;
	int e = fields_begin_params(&r, params, 0);

	return e != 0 ? e : fields_end_params(&r);
}

void auth_ping_write(struct buf *out)
{
	auth_list_write(out, NULL, 0);
}

#define PING_RESULT(f) .offset = offsetof(struct auth_ping_result, f)
static const struct field ping_result_fields[] = {
	{"ready", FIELD_BOOL, PING_RESULT(ready)},
	{"inflight", FIELD_UINT, PING_RESULT(inflight)},
	{"epoch", FIELD_UINT, PING_RESULT(epoch)},
};
static const struct field_table ping_result_table = FIELD_TABLE(ping_result_fields);

int auth_ping_result_read(struct slice result, struct auth_ping_result *out)
{
	struct auth_ping_result p = {
		.ready = true,
		.inflight = FIELD_NONE,
		.epoch = AUTH_NO_EPOCH,
	};
	int e = fields_read_item(result, &ping_result_table, &p);

	if (e == 0)
		*out = p;
	return e;
}

void auth_ping_result_write(struct buf *out, const struct auth_ping_result *res)
{
	fields_write_item(out, &ping_result_table, res);
}

int auth_cancel_read(struct slice params, uint32_t *id_out)
{
	struct token_reader r;
	struct token t;
	int e = fields_begin_params(&r, params, 1);

	if (e == 0)
		e = token_next(&r, &t);
	if (e == 0 && t.type != TOKEN_UINT)
		e = E_TYPE;
	if (e == 0 && t.u > UINT32_MAX)
		e = E_RANGE;
	if (e == 0)
		e = fields_end_params(&r);
	if (e == 0)
		*id_out = (uint32_t)t.u;
	return e;
}

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
static const struct field_table opened_table = FIELD_TABLE(opened_fields);

int auth_opened_read(struct slice params, struct auth_opened *out)
{
	struct auth_opened o = {.session = 0};
	int e = fields_read_params(params, &opened_table, &o);

	if (e == 0)
		*out = o;
	return e;
}

void auth_opened_write(struct buf *out, const struct auth_opened *o)
{
	fields_write_params(out, &opened_table, o);
}

#define CLOSED(f) .offset = offsetof(struct auth_closed, f)
static const struct field closed_fields[] = {
	{"session", FIELD_UINT, FIELD_REQUIRED, CLOSED(session), .max = WAMP_MAX_ID},
	{"authid", FIELD_STR, CLOSED(authid)},
	{"reason", FIELD_STR, CLOSED(reason)},
	{"duration_ms", FIELD_UINT, CLOSED(duration_ms)},
};
static const struct field_table closed_table = FIELD_TABLE(closed_fields);

int auth_closed_read(struct slice params, struct auth_closed *out)
{
	struct auth_closed c = {.duration_ms = FIELD_NONE};
	int e = fields_read_params(params, &closed_table, &c);

	if (e == 0)
		*out = c;
	return e;
}

void auth_closed_write(struct buf *out, const struct auth_closed *c)
{
	fields_write_params(out, &closed_table, c);
}

#define FAILED(f) .offset = offsetof(struct auth_failed, f)
static const struct field failed_fields[] = {
	{"corr", FIELD_STR, FAILED(corr)},
	{"reason", FIELD_STR, FIELD_REQUIRED, FAILED(reason)},
};
static const struct field_table failed_table = FIELD_TABLE(failed_fields);

int auth_failed_read(struct slice params, struct auth_failed *out)
{
	struct auth_failed f = {.reason = {NULL, 0}};
	int e = fields_read_params(params, &failed_table, &f);

	if (e == 0)
		*out = f;
	return e;
}

void auth_failed_write(struct buf *out, const struct auth_failed *f)
{
	fields_write_params(out, &failed_table, f);
}
