/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/auth_api and proto/fields. The golden traces are read, and written
 * again to the same bytes. Every trace is cut at each length and has each bit flipped.
 * Invalid values are refused. Must run in the root of the sources. */
#include "common/err.h"
#include "common/rpc_msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/auth_again.h"

#define GOLDEN "proto/golden/auth.txt"
#define KEY1   "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"
#define KEY2   "9c194391af3bf566fc11a619e8df200ba02efb35b91bdd98b424f20f4163875e"
#define KEY3   "585df51991780ee8dce4766324058a04ecae429dffd786ee80839c9467468c28"

enum { MAX_TRACES = 64, MAX_TRACE = 4096 };

static struct trace {
	char name[64];
	uint8_t bytes[MAX_TRACE];
	size_t len;
	struct rpc_msg msg;
} traces[MAX_TRACES];
static size_t n_traces;

/* Reads the file of traces: '#' comments, names, and hex on indented lines. */
static int load_traces(void **state)
{
	char line[256];
	FILE *f = fopen(GOLDEN, "r");

	(void)state;
	if (f == NULL) {
		perror(GOLDEN);
		return -1;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (line[0] != '\t') {
			struct trace *t = &traces[n_traces++];
			memcpy(t->name, line,
			       min_size(strlen(line), sizeof(t->name) - 1));
			continue;
		}
		struct trace *t = &traces[n_traces - 1];
		for (const char *p = line + 1; *p != '\0'; p += 2) {
			char digits[3] = {p[0], p[1], '\0'};
			t->bytes[t->len++] = (uint8_t)strtoul(digits, NULL, 16);
		}
	}
	fclose(f);
	for (size_t i = 0; i < n_traces; i++) {
		struct trace *t = &traces[i];
		size_t len;
		int e = auth_msg_read(slice_of(t->bytes, t->len), true, &t->msg, &len);
		if (e != 0 || len != t->len) {
			fprintf(stderr, "%s: %s\n", t->name, err_str(e));
			return -1;
		}
	}
	return n_traces > 20 ? 0 : -1;
}

static const struct rpc_msg *trace(const char *name)
{
	for (size_t i = 0; i < n_traces; i++)
		if (strcmp(traces[i].name, name) == 0)
			return &traces[i].msg;
	fail_msg("no trace %s", name);
	abort();
}

static void assert_key(const uint8_t key[FIELD_KEY_LEN], const char *hex)
{
	char text[2 * FIELD_KEY_LEN + 1];

	fields_key_encode(key, text);
	assert_string_equal(text, hex);
}

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.p, text, s.len);
}

/* --- read and write again --- */

/* Like error_again, but fails if the input was no error. */
static int valid_error_again(struct slice in, struct buf *out)
{
	struct auth_error err;

	auth_error_read(in, &err);
	if (err.kind == AUTH_ERROR_INTERNAL && err.uri.len == 0)
		return E_SYNTAX;
	return error_again(in, out);
}

static int ping_again(struct slice in, struct buf *out)
{
	int e = auth_ping_read(in);

	if (e == 0)
		auth_list_write(out, NULL, 0);
	return e;
}

static int cancel_again(struct slice in, struct buf *out)
{
	struct token_reader r;
	struct token id;
	int e = fields_begin_params(&r, in, 1);

	if (e == 0)
		e = token_next(&r, &id);
	if (e == 0)
		e = id.type == TOKEN_UINT ? fields_end_params(&r) : E_TYPE;
	if (e == 0)
		auth_cancel_write(out, (uint32_t)id.u);
	return e;
}

static const struct {
	const char *name;
	again_fn *again;
	bool exact; /* our writer gives the same bytes */
} pairs[] = {
	{"hello-request", hello_again, true},
	{"hello-result", hello_result_again, true},
	{"hello-unsupported-version", valid_error_again, true},
	{"authenticate-request", request_again, true},
	{"authenticate-request-open", request_again, true},
	{"authenticate-request-ticket", request_again, true},
	{"authenticate-request-tls", request_again, true},
	{"authenticate-request-proxied", request_again, true},
	{"authenticate-result", result_again, true},
	{"authenticate-result-keys", result_again, true},
	{"authenticate-role", result_again, false},
	{"authenticate-deny", valid_error_again, true},
	{"authenticate-deny-pair", valid_error_again, false},
	{"authenticate-deny-uri", valid_error_again, false},
	{"authenticate-temporary", valid_error_again, true},
	{"authorize-request", authorize_again, true},
	{"authorize-result", authorize_result_again, false},
	{"authorize-result-map", authorize_result_again, false},
	{"authorize-result-cache", authorize_result_again, true},
	{"authorize-deny", valid_error_again, true},
	{"revoke-request", revoke_again, true},
	{"revoke-request-key", revoke_again, false},
	{"revoke-result", revoke_result_again, true},
	{"changed-request", changed_again, true},
	{"changed-request-all", changed_again, false},
	{"changed-result", changed_result_again, true},
	{"revoke-empty-match", valid_error_again, true},
	{"ping-request", ping_again, true},
	{"ping-result", ping_result_again, true},
	{"no-such-method", valid_error_again, true},
	{"cancel", cancel_again, true},
	{"session-opened", opened_again, true},
	{"session-closed", closed_again, true},
	{"auth-failed", failed_again, true},
};

/* The part of a trace that auth_api reads. */
static struct slice body(const struct rpc_msg *m)
{
	if (m->type != RPC_RESPONSE)
		return m->params;
	return m->error.len > 0 ? m->error : m->result;
}

static void test_golden(void **state)
{
	struct buf out, again;

	(void)state;
	assert_int_equal(ARRAY_LEN(pairs), n_traces);
	buf_init(&out, MAX_TRACE);
	buf_init(&again, MAX_TRACE);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct slice in = body(trace(pairs[i].name));
		buf_clear(&out);
		assert_int_equal(pairs[i].again(in, &out), 0);
		assert_int_equal(out.err, 0);
		if (pairs[i].exact) {
			assert_int_equal(out.len, in.len);
			assert_memory_equal(out.data, in.p, in.len);
		}
		/* what was written must read as the same */
		buf_clear(&again);
		assert_int_equal(pairs[i].again(buf_slice(&out), &again), 0);
		assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
	}
	buf_fini(&out);
	buf_fini(&again);
}

/* Every trace cut at every length, in memory of exactly that length. */
static void test_cut(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, MAX_TRACE);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct slice in = body(trace(pairs[i].name));
		for (size_t len = 0; len < in.len; len++) {
			uint8_t *copy = malloc(len + 1);
			size_t n;
			memcpy(copy, in.p, len);
			assert_int_equal(auth_check(slice_of(copy, len), &n),
					 E_TRUNCATED);
			assert_int_not_equal(pairs[i].again(slice_of(copy, len), &out),
					     0);
			free(copy);
		}
		uint8_t *longer = malloc(in.len + 1);
		memcpy(longer, in.p, in.len);
		longer[in.len] = 0xc0;
		assert_int_not_equal(pairs[i].again(slice_of(longer, in.len + 1), &out),
				     0);
		free(longer);
	}
	buf_fini(&out);
}

/* Every bit of every trace flipped: it may be refused, but if it is read, it can be
 * written. */
static void test_flipped(void **state)
{
	struct buf out, again;

	(void)state;
	buf_init(&out, 2 * AUTH_MAX_MESSAGE);
	buf_init(&again, 2 * AUTH_MAX_MESSAGE);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct slice in = body(trace(pairs[i].name));
		for (size_t bit = 0; bit < in.len * 8; bit++) {
			uint8_t *copy = malloc(in.len);
			memcpy(copy, in.p, in.len);
			copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
			buf_clear(&out);
			buf_clear(&again);
			if (pairs[i].again(slice_of(copy, in.len), &out) == 0) {
				assert_int_equal(pairs[i].again(buf_slice(&out), &again),
						 0);
				assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
			}
			free(copy);
		}
	}
	buf_fini(&out);
	buf_fini(&again);
}

/* --- fields of the structs --- */

static void test_hello(void **state)
{
	struct auth_hello h;
	struct auth_hello_result res;

	(void)state;
	assert_int_equal(
		fields_read_params(trace("hello-request")->params, &auth_hello_table, &h),
		0);
	assert_int_equal(h.protocol.major, 1);
	assert_text(h.product, "routerd/0.1.0");
	assert_int_equal(h.pid, 812);
	assert_int_equal(h.features, AUTH_FEATURE_REVOKE | AUTH_FEATURE_CANCEL);
	assert_int_equal(h.last_epoch, 4711);
	assert_int_equal(fields_read_item(trace("hello-result")->result,
					  &auth_hello_result_table, &res),
			 0);
	assert_int_equal(res.epoch, 4715);
	assert_true(res.ready);
	/* the shortest hello result, and the defaults for the rest */
	struct slice least = slice_str("\x81\xa8protocol\x92\x01\x07");
	assert_int_equal(fields_read_item(least, &auth_hello_result_table, &res), 0);
	assert_int_equal(res.protocol.minor, 7);
	assert_int_equal(res.epoch, AUTH_NO_EPOCH);
	assert_int_equal(res.max_message, AUTH_MAX_MESSAGE);
	assert_int_equal(res.max_inflight, AUTH_MAX_INFLIGHT);
	assert_int_equal(res.features, 0);
	assert_true(res.ready);
}

static void test_request(void **state)
{
	struct auth_request q;

	(void)state;
	assert_int_equal(auth_request_read(trace("authenticate-request")->params, &q), 0);
	assert_text(q.realm, "devices");
	assert_text(q.authid, "client01@example.com");
	assert_text(q.authmethod, "cryptosign");
	assert_text(q.pubkey, KEY1);
	assert_int_equal(q.channel_binding.len, 0);
	assert_int_equal(q.session, 8421337);
	assert_int_equal(q.ttl_ms, 2000);
	assert_text(q.transport.channel_serializer, "cbor");
	assert_true(q.transport.headers.len > 0);
	assert_int_equal(
		auth_request_read(trace("authenticate-request-open")->params, &q), 0);
	assert_int_equal(q.realm.len, 0);
	assert_int_equal(q.authid.len, 0);
	assert_text(q.pubkey, KEY2);
	assert_int_equal(q.session, FIELD_NONE);
	assert_int_equal(q.ticket.len, 0);
	assert_int_equal(
		auth_request_read(trace("authenticate-request-ticket")->params, &q), 0);
	assert_text(q.authmethod, "ticket");
	assert_text(q.ticket, "correct horse battery staple");
	assert_int_equal(q.pubkey.len, 0);
	assert_int_equal(q.transport.proxied_by.len, 0);
	assert_int_equal(q.transport.tls.len, 0);
}

/* Reads what a trace says about TLS. It is written again to the same bytes. */
static struct auth_tls tls_of(const char *name, struct auth_request *q)
{
	struct auth_tls tls;
	struct buf out;

	assert_int_equal(auth_request_read(trace(name)->params, q), 0);
	assert_int_equal(fields_read_item(q->transport.tls, &auth_tls_table, &tls), 0);
	buf_init(&out, MAX_TRACE);
	fields_write_item(&out, &auth_tls_table, &tls);
	assert_true(slice_eq(buf_slice(&out), q->transport.tls));
	buf_fini(&out);
	return tls;
}

static void test_request_tls(void **state)
{
	struct auth_request q;
	struct auth_tls tls = tls_of("authenticate-request-tls", &q);

	(void)state;
	assert_text(q.transport.peer, "tcp4:192.0.2.7:51814");
	assert_text(q.transport.proxied_by, "tcp4:10.0.0.9:40112");
	assert_text(tls.version, "1.3");
	assert_text(tls.sni, "router.example.com");
	assert_text(tls.client_cert_subject, "CN=client01,O=M\u00fcller");
	assert_int_equal(tls.client_cert_sha256.len, 64);
	assert_true(slice_eq(tls.client_cert, slice_of("\x30\3\2\1\5", 5)));
	tls = tls_of("authenticate-request-proxied", &q);
	assert_text(q.transport.proxied_by, "tcp4:10.0.0.9:40113");
	assert_text(tls.sni, "router.example.com");
	assert_int_equal(tls.cipher.len + tls.client_cert.len, 0);
}

static void test_result(void **state)
{
	struct auth_result res;

	(void)state;
	assert_int_equal(auth_result_read(trace("authenticate-result")->result, &res), 0);
	assert_text(res.role, "device");
	assert_text(res.realm, "devices");
	assert_text(res.authid, "client01@example.com");
	assert_int_equal(res.keys.n, 1);
	assert_key(res.keys.key[0], KEY1);
	assert_int_equal(res.epoch, 4715);
	assert_int_equal(res.extra.len, 6);
	assert_int_equal(
		auth_result_read(trace("authenticate-result-keys")->result, &res), 0);
	assert_int_equal(res.keys.n, 2);
	assert_key(res.keys.key[1], KEY3);
	assert_text(res.authprovider, "site");
	assert_int_equal(res.epoch, AUTH_NO_EPOCH);
	assert_int_equal(auth_result_read(trace("authenticate-role")->result, &res), 0);
	assert_text(res.role, "guest");
	assert_int_equal(res.realm.len, 0);
}

static void test_result_wrong(void **state)
{
	static const struct {
		const char *in;
		int err;
	} wrong[] = {
		{"\xa0", E_RANGE},
		{"\x01", E_TYPE},
		{"\x91\xa1r", E_TYPE},
		{"\xc0", E_TYPE},
		{"\x80", E_NOTFOUND},
		{"\x81\xa4role\xa0", E_RANGE},
		{"\x81\xa4role\xc0", E_NOTFOUND},
		{"\x81\xa4role\x01", E_TYPE},
		{"\x82\xa4role\xa1r\xa4role\xa1s", E_EXISTS},
		{"\x82\xa4role\xa1r\x01\x02", E_TYPE},
		{"\x82\xa4role\xa1r\xa5realm\xa3"
		 "a..",
		 E_RANGE},
		{"\x82\xa4role\xa1r\xa6pubkey\xa4"
		 "abcd",
		 E_TYPE},
		{"\x82\xa4role\xa1r\xa5"
		 "extra\x90",
		 E_TYPE},
		{"\x82\xa4role\xa1r\xa5"
		 "epoch\xff",
		 E_RANGE},
		{"\x82\xa4role\xa1r\xa5"
		 "epoch\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
		 E_RANGE},
	};
	struct auth_result res;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(auth_result_read(slice_str(wrong[i].in), &res),
				 wrong[i].err);
	/* seventeen keys; and sixteen keys plus a single one */
	struct auth_result many = {
		.role = slice_str("r"),
		.epoch = AUTH_NO_EPOCH,
		.keys.n = FIELD_MAX_KEYS,
	};
	struct buf out;
	buf_init(&out, AUTH_MAX_MESSAGE);
	fields_write_item(&out, &auth_result_table, &many);
	assert_int_equal(auth_result_read(buf_slice(&out), &res), 0);
	assert_int_equal(res.keys.n, FIELD_MAX_KEYS);
	out.data[0]++; /* one pair more than the limit */
	buf_put_str(&out, "\xa6pubkey\xd9\x40" KEY2);
	assert_int_equal(auth_result_read(buf_slice(&out), &res), E_LIMIT);
	buf_fini(&out);
}

static void test_error(void **state)
{
	struct auth_error e;

	(void)state;
	auth_error_read(trace("authenticate-deny")->error, &e);
	assert_int_equal(e.kind, AUTH_ERROR_DENY);
	assert_text(e.uri, "com.example.no_such_user");
	assert_text(e.message, "no principal with matching public key 0x" KEY1);
	auth_error_read(trace("authenticate-deny-pair")->error, &e);
	assert_int_equal(e.kind, AUTH_ERROR_DENY);
	assert_text(e.message, "not today");
	auth_error_read(trace("authenticate-deny-uri")->error, &e);
	assert_int_equal(e.kind, AUTH_ERROR_DENY);
	assert_text(e.uri, "com.example.no_such_user");
	auth_error_read(trace("authenticate-temporary")->error, &e);
	assert_int_equal(e.kind, AUTH_ERROR_TEMPORARY);
	assert_int_equal(e.retry_after_ms, 250);
	auth_error_read(trace("no-such-method")->error, &e);
	assert_int_equal(e.kind, AUTH_ERROR_INTERNAL);
	assert_text(e.uri, AUTH_ERROR_NO_SUCH_METHOD);
}

static void test_error_wrong(void **state)
{
	static const char *const wrong[] = {
		"\x07",
		"\x80",
		"\x90",
		"\xa3"
		"a b",
		"\xa0",
		"\x91\xa3"
		"a.b",
		"\x93\xa3"
		"a.b\xa1m\xa1n",
		"\x92\x01\xa1m",
		"\x92\xa3"
		"a.b\x01",
		"\x81\xa4kind\xa5maybe",
		"\x81\xa3uri\xa3"
		"a.b",
		"\x82\xa4kind\xa4"
		"deny\xa3uri\xa3"
		"a#b",
		"\x82\xa4kind\xa4"
		"deny\xa7message\x01",
	};
	struct auth_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auth_error_read(slice_str(wrong[i]), &e);
		assert_int_equal(e.kind, AUTH_ERROR_INTERNAL);
		assert_int_equal(e.uri.len, 0);
		assert_true(e.detail.len > 0);
	}
	auth_error_read(slice_of(NULL, 0), &e);
	assert_int_equal(e.kind, AUTH_ERROR_INTERNAL);
	auth_error_read(slice_str("\x81\xa4kind\xa2no"), &e);
	assert_text(e.detail, "error.kind: expected deny, ignore, temporary or internal");
	auth_error_read(slice_str("\x80"), &e);
	assert_text(e.detail, "error.kind: required, but missing");
	/* a message with empty text is no message */
	auth_error_read(slice_str("\x92\xa3"
				  "a.b\xa0"),
			&e);
	assert_int_equal(e.kind, AUTH_ERROR_DENY);
	assert_int_equal(e.message.len, 0);
}

static void test_revoke(void **state)
{
	static const struct {
		const char *match;
		int err;
		const char *why;
	} wrong[] = {
		{"\x80", E_RANGE,
		 "match: expected at least one key, and a session of at least 1"},
		{"\x81\xa6tenant\xa1x", E_UNKNOWN, "expected a map without unknown keys"},
		{"\x82\xa6"
		 "authid\xa1x\xa6tenant\xa1x",
		 E_UNKNOWN, "expected a map without unknown keys"},
		{"\x81\xa6"
		 "authid\xa0",
		 E_RANGE, "authid: expected a string of at most 255 bytes, not empty"},
		{"\x82\xa6"
		 "authid\xc0\xa4role\xa1r",
		 E_TYPE, "authid: expected a string of at most 255 bytes, not empty"},
		{"\x81\xa6pubkey\xa1x", E_TYPE, "pubkey: expected 64 hex digits"},
		{"\x81\xa7session\xc2", E_TYPE,
		 "session: expected an integer from 0 to 9007199254740992"},
		{"\xc0", E_NOTFOUND, "match: required, but missing"},
	};
	char text[AUTH_FAULT_MAX];
	struct auth_revoke v;

	(void)state;
	assert_int_equal(auth_revoke_read(trace("revoke-request")->params, &v), 0);
	assert_text(v.match.authid, "client01@example.com");
	assert_text(v.match.realm, "devices");
	assert_int_equal(v.match.session, FIELD_NONE);
	assert_int_equal(v.epoch, 4716);
	assert_text(v.message, "disabled");
	assert_int_equal(auth_revoke_read(trace("revoke-request-key")->params, &v), 0);
	assert_key(v.match.pubkey.octets, KEY1);
	assert_text(v.uri, "wamp.close.killed");
	assert_int_equal(v.epoch, AUTH_NO_EPOCH);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char in[100];
		snprintf(in, sizeof(in), "\x91\x81\xa5match%s", wrong[i].match);
		assert_int_equal(auth_revoke_read(slice_str(in), &v), wrong[i].err);
		auth_revoke_explain(slice_str(in), text);
		assert_string_equal(text, wrong[i].why);
	}
	/* no session has the id 0, which means "any session" in routerd */
	static const char zero[] = "\x91\x81\xa5match\x81\xa7session\x00";
	assert_int_equal(auth_revoke_read(slice_of(zero, sizeof(zero) - 1), &v), E_RANGE);
	auth_revoke_explain(slice_of(zero, sizeof(zero) - 1), text);
	assert_string_equal(text, wrong[0].why);
	auth_revoke_explain(slice_str("\x90"), text);
	assert_string_equal(text, "expected one parameter, a map");
}

static void test_small_ones(void **state)
{
	struct auth_ping_result res;

	(void)state;
	assert_int_equal(auth_ping_read(slice_str("\x91\x01")), E_TYPE);
	assert_int_equal(
		fields_read_item(slice_str("\x80"), &auth_ping_result_table, &res), 0);
	assert_true(res.ready);
	assert_int_equal(res.epoch, AUTH_NO_EPOCH);
}

/* --- limits of every message --- */

static void test_check(void **state)
{
	static uint8_t in[AUTH_MAX_STRING + 100];
	size_t len;

	(void)state;
	for (unsigned depth = 1; depth <= 20; depth++) {
		memset(in, 0x91, depth);
		in[depth] = 0xc0;
		int e = auth_check(slice_of(in, depth + 1), &len);
		assert_int_equal(e, depth < AUTH_MAX_DEPTH ? 0 : E_DEPTH);
	}
	for (unsigned n = AUTH_MAX_STRING; n < AUTH_MAX_STRING + 2; n++) {
		in[0] = 0xda;
		put_be16(in + 1, (uint16_t)n);
		memset(in + 3, 'x', n);
		int e = auth_check(slice_of(in, n + 3), &len);
		assert_int_equal(e, n == AUTH_MAX_STRING ? 0 : E_LIMIT);
	}
	for (unsigned n = AUTH_MAX_MAP; n < AUTH_MAX_MAP + 2; n++) {
		in[0] = 0xde;
		put_be16(in + 1, (uint16_t)n);
		memset(in + 3, 0, 2 * (size_t)n);
		int e = auth_check(slice_of(in, 3 + 2 * (size_t)n), &len);
		assert_int_equal(e, n == AUTH_MAX_MAP ? 0 : E_LIMIT);
	}
	assert_int_equal(auth_check(slice_str("\xc1"), &len), E_SYNTAX);
	assert_int_equal(auth_check(slice_str("\xa2\xc3\x28"), &len), E_UTF8);
	assert_int_equal(auth_check(slice_str("\xdd\xff\xff\xff\xff"), &len),
			 E_TRUNCATED);
	assert_int_equal(auth_check_map(slice_str("\x80"), 1), 0);
	assert_int_equal(auth_check_map(slice_str("\x80"), 0), E_DEPTH);
	assert_int_equal(auth_check_map(slice_str("\x80\xc0"), 1), E_TRAILING);
	assert_int_equal(auth_check_map(slice_str("\x90"), 1), E_TYPE);
	assert_int_equal(auth_check_map(slice_of(NULL, 0), 1), E_TRUNCATED);
	/* only one of two objects is there */
	assert_int_equal(auth_check(slice_str("\x91\x07\x08"), &len), 0);
	assert_int_equal(len, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_tls), cmocka_unit_test(test_golden),
		cmocka_unit_test(test_cut),         cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_hello),       cmocka_unit_test(test_request),
		cmocka_unit_test(test_result),      cmocka_unit_test(test_result_wrong),
		cmocka_unit_test(test_error),       cmocka_unit_test(test_error_wrong),
		cmocka_unit_test(test_revoke),      cmocka_unit_test(test_small_ones),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests_name("auth_api", tests, load_traces, NULL);
}
