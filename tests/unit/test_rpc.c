/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests of common/rpc_msg and common/rpc: messages whole, cut and damaged; two ends
 * of a socket pair on one loop; a raw peer that does everything wrong.
 */
#include "common/err.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "common/sock.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * A check of the test's own, so that common/ is tested without proto/: lengths and depth
 * of MessagePack, nothing else. Returns what is left behind the first object.
 */
static int pass_over(struct slice in, unsigned depth, struct slice *rest_out)
{
	static const struct {
		uint8_t head, len_bytes, fixed, per_item;
	} forms[] = {
		{0xc4, 1, 0, 0}, {0xc5, 2, 0, 0}, {0xc6, 4, 0, 0}, {0xca, 0, 4, 0},
		{0xcb, 0, 8, 0}, {0xcc, 0, 1, 0}, {0xcd, 0, 2, 0}, {0xce, 0, 4, 0},
		{0xcf, 0, 8, 0}, {0xd0, 0, 1, 0}, {0xd1, 0, 2, 0}, {0xd2, 0, 4, 0},
		{0xd3, 0, 8, 0}, {0xd9, 1, 0, 0}, {0xda, 2, 0, 0}, {0xdb, 4, 0, 0},
		{0xdc, 2, 0, 1}, {0xdd, 4, 0, 1}, {0xde, 2, 0, 2}, {0xdf, 4, 0, 2},
	};
	uint64_t bytes = 0, items = 0;

	if (in.len == 0)
		return E_TRUNCATED;
	uint8_t h = in.p[0];
	in = slice_of(in.p + 1, in.len - 1);
	if (depth > 16 || h == 0xc1 || (h >= 0xc7 && h <= 0xc9) ||
	    (h >= 0xd4 && h <= 0xd8))
		return depth > 16 ? E_DEPTH : E_SYNTAX;
	if (h >= 0x80 && h < 0xa0)
		items = (h & 0x0f) * (h < 0x90 ? 2u : 1u);
	else if (h >= 0xa0 && h < 0xc0)
		bytes = h & 0x1f;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (forms[i].head != h)
			continue;
		uint64_t n = 0;
		if (in.len < forms[i].len_bytes)
			return E_TRUNCATED;
		for (size_t k = 0; k < forms[i].len_bytes; k++)
			n = n << 8 | in.p[k];
		in = slice_of(in.p + forms[i].len_bytes, in.len - forms[i].len_bytes);
		items = n * forms[i].per_item;
		bytes = forms[i].fixed + (forms[i].per_item == 0 ? n : 0);
	}
	if (in.len < bytes)
		return E_TRUNCATED;
	in = slice_of(in.p + bytes, in.len - bytes);
	for (; items > 0; items--) {
		int r = pass_over(in, depth + 1, &in);
		if (r != 0)
			return r;
	}
	*rest_out = in;
	return 0;
}

static int check(struct slice in, size_t *len_out)
{
	struct slice rest;
	int r = pass_over(in, 1, &rest);

	if (r == 0)
		*len_out = in.len - rest.len;
	return r;
}

#define BYTES(s) slice_of(s, sizeof(s) - 1)

/* --- messages ------------------------------------------------------------------------
 */

static const struct {
	struct slice bytes;
	struct rpc_msg msg;
	bool canonical; /* as we write it */
} samples[] = {
	{{(const uint8_t *)"\x94\x00\x01\xa4ping\x90", 9},
	 {.type = RPC_REQUEST,
	  .id = 1,
	  .method = {(const uint8_t *)"ping", 4},
	  .params = {(const uint8_t *)"\x90", 1}},
	 true},
	{{(const uint8_t *)"\x94\x01\xcd\x01\x00\xc0\x81\xa1"
			   "a\xc3",
	  10},
	 {.type = RPC_RESPONSE,
	  .id = 256,
	  .result = {(const uint8_t *)"\x81\xa1"
				      "a\xc3",
		     4}},
	 true},
	{{(const uint8_t *)"\x94\x01\x07\xa3no!\xc0", 8},
	 {.type = RPC_RESPONSE,
	  .id = 7,
	  .error = {(const uint8_t *)"\xa3no!", 4},
	  .result = {(const uint8_t *)"\xc0", 1}},
	 true},
	{{(const uint8_t *)"\x93\x02\xa6"
			   "cancel\x91\x2a",
	  11},
	 {.type = RPC_NOTIFICATION,
	  .method = {(const uint8_t *)"cancel", 6},
	  .params = {(const uint8_t *)"\x91\x2a", 2}},
	 true},
	/* every header in a longer form than it needs */
	{{(const uint8_t *)"\xdc\x00\x04\xcc\x00\xcf\x00\x00\x00\x00\x00\x00\x00\x02"
			   "\xda\x00\x01m\xdd\x00\x00\x00\x00",
	  23},
	 {.type = RPC_REQUEST,
	  .id = 2,
	  .method = {(const uint8_t *)"m", 1},
	  .params = {(const uint8_t *)"\xdd\x00\x00\x00\x00", 5}},
	 false},
};

static void assert_slice(struct slice a, struct slice b)
{
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.p, b.p, a.len);
}

static void test_msg_samples(void **state)
{
	struct buf out;
	struct rpc_msg m;
	size_t len;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct slice in = samples[i].bytes;
		assert_int_equal(rpc_msg_read(in, check, &m, &len), 0);
		assert_int_equal(len, in.len);
		assert_int_equal(m.type, samples[i].msg.type);
		assert_int_equal(m.id, samples[i].msg.id);
		assert_slice(m.method, samples[i].msg.method);
		assert_slice(m.params, samples[i].msg.params);
		assert_slice(m.error, samples[i].msg.error);
		assert_slice(m.result, samples[i].msg.result);
		buf_clear(&out);
		rpc_msg_write(&out, &m);
		if (samples[i].canonical)
			assert_slice(buf_slice(&out), in);
		/* cut anywhere, more is expected */
		for (size_t cut = 0; cut < in.len; cut++)
			assert_int_equal(
				rpc_msg_read(slice_of(in.p, cut), check, &m, &len),
				E_TRUNCATED);
	}
	buf_fini(&out);
}

static void test_msg_damaged(void **state)
{
	struct rpc_msg m;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct slice in = samples[i].bytes;
		for (size_t at = 0; at < in.len * 8; at++) {
			uint8_t *copy = malloc(in.len);
			memcpy(copy, in.p, in.len);
			copy[at / 8] ^= (uint8_t)(1u << at % 8);
			int r = rpc_msg_read(slice_of(copy, in.len), check, &m, &len);
			if (r == 0)
				assert_true(len <= in.len && m.type <= RPC_NOTIFICATION);
			free(copy);
		}
	}
}

static void test_msg_wrong(void **state)
{
	static const struct {
		struct slice in;
		int err;
	} wrong[] = {
		{{(const uint8_t *)"\x90", 1}, E_TYPE},
		{{(const uint8_t *)"\x80", 1}, E_TYPE},
		{{(const uint8_t *)"\xa1x", 2}, E_TYPE},
		{{(const uint8_t *)"\x95\x00\x01\xa1m\x90\x90", 7}, E_TYPE},
		{{(const uint8_t *)"\x93\x00\x01\xa1m", 5}, E_TYPE},
		{{(const uint8_t *)"\x94\x02\xa1m\x90\x90", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\x03\x01\xa1m\x90", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\xff\x01\xa1m\x90", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\x00\xff\xa1m\x90", 6}, E_TYPE},
		{{(const uint8_t
			   *)"\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1m\x90",
		  14},
		 E_RANGE},
		{{(const uint8_t *)"\x94\x00\x01\x01\x90", 5}, E_TYPE},
		{{(const uint8_t *)"\x94\x00\x01\xa1m\x80", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\x00\x01\xa1m\x91\xc1", 7}, E_SYNTAX},
		{{(const uint8_t *)"\x94\x01\x01\xc1", 4}, E_SYNTAX},
	};
	struct rpc_msg m;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(rpc_msg_read(wrong[i].in, check, &m, &len),
				 wrong[i].err);
}

/* --- connections ---------------------------------------------------------------------
 */

enum on_event { GO_ON, FREE_SELF };

/* One end of a connection, and what happened to it. */
struct end {
	struct loop *loop;
	struct rpc_conn *conn;
	struct rpc_request
		*held[8]; /* requests to "hold", answered at the end or before */
	unsigned n_held;
	enum on_event on_request, on_answer, on_closed;
	unsigned requests, notifications, answers, closed;
	int reason;
	enum rpc_outcome outcome; /* of the last answer */
	uint8_t text[64];         /* of the last answer or notification */
	size_t text_len;
	unsigned stop_after; /* stop the loop when answers + closed reach it */
};

static void keep(struct end *e, struct slice s)
{
	e->text_len = min_size(s.len, sizeof(e->text));
	if (s.len > 0)
		memcpy(e->text, s.p, e->text_len);
}

static void react(struct end *e, enum on_event what)
{
	if (what == FREE_SELF)
		rpc_conn_free(&e->conn);
	if (e->answers + e->closed + e->notifications >= e->stop_after)
		loop_stop(e->loop);
}

/* More than fits the buffers of replies. */
static const uint8_t too_long[8193];

static void reply(struct rpc_request *req,
		  void (*how)(struct rpc_request *req, const struct buf *b),
		  struct slice with)
{
	struct buf b;

	buf_init(&b, 8192);
	buf_put_slice(&b, with);
	how(req, &b);
	buf_fini(&b);
}

static void on_request(struct rpc_request *req, struct slice method, struct slice params,
		       void *arg)
{
	struct end *e = arg;

	e->requests++;
	react(e, e->on_request);
	if (slice_eq_str(method, "echo"))
		reply(req, rpc_reply, params);
	else if (slice_eq_str(method, "nil"))
		reply(req, rpc_reply, slice_of(NULL, 0));
	else if (slice_eq_str(method, "failing"))
		reply(req, rpc_reply, slice_of(too_long, sizeof(too_long)));
	else if (slice_eq_str(method, "failing error"))
		reply(req, rpc_reply_error, slice_of(too_long, sizeof(too_long)));
	else if (slice_eq_str(method, "hold"))
		e->held[e->n_held++] = req;
	else
		reply(req, rpc_reply_error, BYTES("\xa2no"));
}

static void on_notification(struct slice method, struct slice params, void *arg)
{
	struct end *e = arg;

	(void)method;
	e->notifications++;
	keep(e, params);
	react(e, GO_ON);
}

static void on_closed(int reason, void *arg)
{
	struct end *e = arg;

	e->closed++;
	e->reason = reason;
	react(e, e->on_closed);
}

static void on_answer(const struct rpc_answer *a, void *arg)
{
	struct end *e = arg;

	e->answers++;
	e->outcome = a->outcome;
	keep(e, a->outcome == RPC_ERROR ? a->error : a->result);
	react(e, e->on_answer);
}

static const struct rpc_handlers handlers = {
	.check = check,
	.request = on_request,
	.notification = on_notification,
	.closed = on_closed,
};

static const struct rpc_limits limits = {
	.max_message = 4096,
	.max_out = 16384,
	.max_calls = 5,
	.max_requests = 6,
};

static void give_up(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for five seconds");
}

/* Runs the loop until a callback stops it. */
static void run(struct loop *l)
{
	struct timer t;

	timer_init(&t, l, give_up, NULL);
	timer_arm(&t, 5000);
	loop_run(l);
	timer_disarm(&t);
}

struct pair {
	struct end a, b;
	int raw; /* instead of b's connection, -1 if there is one */
};

static struct loop *pair_open(struct pair *p, bool raw)
{
	struct loop *l = loop_new(NULL, NULL);
	int fds[2];

	*p = (struct pair){.raw = -1};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	p->a.loop = p->b.loop = l;
	p->a.stop_after = p->b.stop_after = 1;
	p->a.conn = rpc_conn_new(l, fds[0], &handlers, &limits, &p->a);
	assert_non_null(p->a.conn);
	if (raw) {
		p->raw = fds[1];
		return l;
	}
	p->b.conn = rpc_conn_new(l, fds[1], &handlers, &limits, &p->b);
	assert_non_null(p->b.conn);
	return l;
}

static void answer_held(struct end *e)
{
	while (e->n_held > 0)
		reply(e->held[--e->n_held], rpc_reply, BYTES("\x2a"));
}

static void pair_close(struct pair *p)
{
	struct loop *l = p->a.loop;

	rpc_conn_free(&p->a.conn);
	rpc_conn_free(&p->b.conn);
	answer_held(&p->a);
	answer_held(&p->b);
	sock_close(&p->raw);
	loop_free(&l);
}

static uint32_t call(struct end *e, const char *method, uint64_t timeout_ms)
{
	uint32_t id = 0;
	const struct rpc_call c = {
		.method = method,
		.params = BYTES("\x92\xa2hi\x01"),
		.timeout_ms = timeout_ms,
		.cb = on_answer,
		.arg = e,
	};

	assert_int_equal(rpc_call(e->conn, &c, &id), 0);
	assert_int_not_equal(id, 0);
	return id;
}

/* loop_run is over once it was stopped, so each step has a loop of its own. */
static void one_call(const char *method, enum rpc_outcome outcome, struct slice text)
{
	struct pair p;
	struct loop *l = pair_open(&p, false);

	p.b.stop_after = UINT_MAX;
	call(&p.a, method, 4000);
	assert_int_equal(p.a.answers, 0);
	run(l);
	assert_int_equal(p.a.answers, 1);
	assert_int_equal(p.b.requests, 1);
	assert_int_equal(p.a.outcome, outcome);
	assert_slice(slice_of(p.a.text, p.a.text_len), text);
	assert_int_equal(rpc_conn_counters(p.a.conn)->calls, 0);
	assert_int_equal(rpc_conn_counters(p.b.conn)->requests, 0);
	pair_close(&p);
}

static void test_call(void **state)
{
	(void)state;
	one_call("echo", RPC_OK, BYTES("\x92\xa2hi\x01"));
	one_call("nil", RPC_OK, BYTES("\xc0"));
	one_call("what", RPC_ERROR, BYTES("\xa2no"));
}

/* As when memory runs out: nothing half, and nobody waits for it. */
static void test_an_answer_that_could_not_be_written(void **state)
{
	(void)state;
	one_call("failing", RPC_CLOSED, slice_of(NULL, 0));
	one_call("failing error", RPC_CLOSED, slice_of(NULL, 0));
}

static void test_both_directions(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, false);

	(void)state;
	p.a.stop_after = 1;
	p.b.stop_after = 1;
	call(&p.a, "hold", 4000);
	call(&p.b, "echo", 4000);
	run(l);
	assert_int_equal(p.b.answers, 1);
	assert_int_equal(p.a.answers, 0);
	assert_int_equal(p.b.n_held, 1);
	pair_close(&p);
}

static void test_notify(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, false);

	(void)state;
	assert_int_equal(rpc_notify(p.a.conn, "n", BYTES("\x91\x05")), 0);
	run(l);
	assert_slice(slice_of(p.b.text, p.b.text_len), BYTES("\x91\x05"));
	pair_close(&p);
}

static void test_timeout_and_late(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, false);

	(void)state;
	p.a.stop_after = 2; /* the timeout, and a notification behind the late answer */
	call(&p.a, "hold", 30);
	p.b.stop_after = 100;
	while (p.a.answers == 0)
		event_base_loop(loop_base(l), EVLOOP_ONCE);
	assert_int_equal(p.a.outcome, RPC_TIMEOUT);
	answer_held(&p.b);
	assert_int_equal(rpc_notify(p.b.conn, "n", BYTES("\x90")), 0);
	run(l);
	assert_int_equal(p.a.answers, 1);
	assert_int_equal(rpc_conn_counters(p.a.conn)->late, 1);
	pair_close(&p);
}

static void test_cancel(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, false);

	(void)state;
	uint32_t id = call(&p.a, "echo", 4000);
	rpc_cancel(p.a.conn, id);
	rpc_cancel(p.a.conn, id);
	rpc_cancel(p.a.conn, id + 1);
	uint32_t second = call(&p.a, "echo", 4000);
	assert_int_not_equal(id, second);
	run(l);
	assert_int_equal(p.a.answers, 1);
	assert_int_equal(rpc_conn_counters(p.a.conn)->late, 1);
	pair_close(&p);
}

static void test_limits_of_ours(void **state)
{
	static uint8_t large[5000] = {0xdc, 0x13, 0x85}; /* 4,997 zeros */
	struct pair p;
	struct loop *l = pair_open(&p, false);
	struct rpc_call c = {.method = "hold", .timeout_ms = 4000, .cb = on_answer};

	(void)state;
	(void)l;
	c.params = slice_of(large, sizeof(large));
	assert_int_equal(rpc_call(p.a.conn, &c, NULL), E_LIMIT);
	assert_int_equal(rpc_notify(p.a.conn, "n", c.params), E_LIMIT);
	for (unsigned i = 0; i < limits.max_calls; i++)
		call(&p.a, "hold", 4000);
	c.params = BYTES("\x90");
	assert_int_equal(rpc_call(p.a.conn, &c, NULL), E_LIMIT);
	rpc_conn_lower_limits(p.b.conn, 10, 1);
	call(&p.b, "h", 4000);
	assert_int_equal(rpc_call(p.b.conn, &c, NULL), E_LIMIT);
	assert_int_equal(rpc_notify(p.b.conn, "long name", c.params), E_LIMIT);
	pair_close(&p);
}

static void test_closed_by_peer(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, true);
	struct rpc_call c = {.method = "x", .params = BYTES("\x90"), .cb = on_answer};

	(void)state;
	p.a.stop_after = 4;
	for (unsigned i = 0; i < 3; i++)
		call(&p.a, "echo", 4000);
	sock_close(&p.raw);
	run(l);
	assert_int_equal(p.a.answers, 3);
	assert_int_equal(p.a.outcome, RPC_CLOSED);
	assert_int_equal(p.a.closed, 1);
	assert_int_equal(p.a.reason, E_CLOSED);
	assert_int_equal(rpc_call(p.a.conn, &c, NULL), E_CLOSED);
	assert_int_equal(rpc_notify(p.a.conn, "n", BYTES("\x90")), E_CLOSED);
	pair_close(&p);
}

static void send_raw(struct pair *p, struct slice s)
{
	size_t n;

	while (s.len > 0) {
		assert_int_equal(sock_write(p->raw, s.p, s.len, &n), 0);
		s = slice_of(s.p + n, s.len - n);
	}
}

static void test_hostile(void **state)
{
	static uint8_t huge[4200] = "\x94\x00\x01\xa1m\x91\xda\x20\x00";
	static const struct {
		struct slice in;
		int reason;
	} cases[] = {
		{{(const uint8_t *)"\xc1", 1}, E_TYPE},
		{{(const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18}, E_TYPE},
		{{(const uint8_t *)"\x94\x00\x01\xa1m\x91\xc1", 7}, E_SYNTAX},
		{{huge, sizeof(huge)}, E_LIMIT},
		/* seven requests, where six may be open */
		{{(const uint8_t *)"\x94\x00\x01\xa4hold\x90\x94\x00\x01\xa4hold\x90"
				   "\x94\x00\x01\xa4hold\x90\x94\x00\x01\xa4hold\x90"
				   "\x94\x00\x01\xa4hold\x90\x94\x00\x01\xa4hold\x90"
				   "\x94\x00\x01\xa4hold\x90",
		  63},
		 E_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int free_in_closed = 0; free_in_closed < 2; free_in_closed++) {
			struct pair p;
			struct loop *l = pair_open(&p, true);
			p.a.on_closed = free_in_closed ? FREE_SELF : GO_ON;
			send_raw(&p, cases[i].in);
			run(l);
			assert_int_equal(p.a.reason, cases[i].reason);
			pair_close(&p);
		}
	}
}

static void test_byte_by_byte(void **state)
{
	static const char request[] = "\x94\x00\x01\xa4"
				      "echo\x91\xa5hello";
	static const char expected[] = "\x94\x01\x01\xc0\x91\xa5hello";
	struct pair p;
	struct loop *l = pair_open(&p, true);
	char got[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		assert_int_equal(p.a.requests, 0);
		send_raw(&p, slice_of(request + i, 1));
		event_base_loop(loop_base(l), EVLOOP_ONCE);
	}
	assert_int_equal(p.a.requests, 1);
	event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
	assert_int_equal(sock_read(p.raw, got, sizeof(got), &n), 0);
	assert_slice(slice_of(got, n), slice_of(expected, sizeof(expected) - 1));
	pair_close(&p);
}

static void test_free_in_callbacks(void **state)
{
	(void)state;
	for (int which = 0; which < 3; which++) {
		struct pair p;
		struct loop *l = pair_open(&p, false);
		struct end *freed = which == 0 ? &p.b : &p.a;
		p.b.on_request = which == 0 ? FREE_SELF : GO_ON;
		p.a.on_answer = which == 1 ? FREE_SELF : GO_ON;
		p.a.on_closed = which == 2 ? FREE_SELF : GO_ON;
		call(&p.a, "echo", 4000);
		call(&p.a, "echo", 4000);
		if (which == 2) {
			p.a.stop_after = 3;
			rpc_conn_finish(p.b.conn);
		}
		p.b.stop_after = 10;
		run(l);
		assert_null(freed->conn);
		assert_int_equal(p.a.answers, which == 1 ? 1 : 2);
		pair_close(&p);
	}
}

static void test_finish(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, true);
	char got[64];
	size_t n;

	(void)state;
	assert_int_equal(rpc_notify(p.a.conn, "bye", BYTES("\x90")), 0);
	rpc_conn_finish(p.a.conn);
	assert_int_equal(rpc_notify(p.a.conn, "more", BYTES("\x90")), E_CLOSED);
	assert_int_equal(p.a.closed, 0);
	run(l);
	assert_int_equal(p.a.reason, E_CLOSED);
	assert_int_equal(sock_read(p.raw, got, sizeof(got), &n), 0);
	assert_slice(slice_of(got, n), BYTES("\x93\x02\xa3"
					     "bye\x90"));
	assert_int_equal(sock_read(p.raw, got, sizeof(got), &n), E_CLOSED);
	pair_close(&p);
}

/* A peer that asks and asks and does not read: bounded, and nothing lost when it does. */
static void test_slow_reader(void **state)
{
	static const char request[] = "\x94\x00\x01\xa4"
				      "echo\x91\xda\x03\xe8";
	enum { REQUEST = sizeof(request) - 1 + 1000 };
	uint8_t message[REQUEST], got[8192];
	struct pair p;
	struct loop *l = pair_open(&p, true);
	size_t sent = 0, n, back = 0;
	int idle = 0;

	(void)state;
	memset(message, 'x', sizeof(message));
	memcpy(message, request, sizeof(request) - 1);
	while (idle < 3) { /* until nothing moves any more */
		size_t at = sent % REQUEST;
		int r = sock_write(p.raw, message + at, REQUEST - at, &n);
		sent += r == 0 ? n : 0;
		idle = r == 0 ? 0 : idle + 1;
		event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
	}
	assert_int_equal(p.a.closed, 0);
	assert_true(p.a.requests > 10);
	size_t whole = sent / REQUEST * (REQUEST - 4); /* an answer is 4 bytes shorter */
	while (back < whole) {
		if (sock_read(p.raw, got, sizeof(got), &n) == 0)
			back += n;
		event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
	}
	assert_int_equal(back, whole);
	assert_int_equal(p.a.requests, sent / REQUEST);
	pair_close(&p);
}

/* An answer that is too large for the peer to ever read ends the connection. */
static void test_reply_too_large(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, true);

	(void)state;
	send_raw(&p, BYTES("\x94\x00\x01\xa4"
			   "echo\x91\xa5hello"));
	rpc_conn_lower_limits(p.a.conn, 8, 1);
	run(l);
	assert_int_equal(p.a.reason, E_LIMIT);
	pair_close(&p);
}

static void test_many(void **state)
{
	struct pair p;
	struct loop *l = pair_open(&p, false);
	unsigned sent = 0;

	(void)state;
	p.a.stop_after = p.b.stop_after = UINT32_MAX;
	while (p.a.answers < 20000) {
		while (sent - p.a.answers < limits.max_calls && sent < 20000) {
			call(&p.a, "echo", 4000);
			sent++;
		}
		event_base_loop(loop_base(l), EVLOOP_ONCE);
	}
	assert_int_equal(p.b.requests, 20000);
	assert_int_equal(rpc_conn_counters(p.a.conn)->out, 20000);
	assert_int_equal(rpc_conn_counters(p.a.conn)->in, 20000);
	assert_int_equal(rpc_conn_counters(p.a.conn)->late, 0);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_msg_samples),
		cmocka_unit_test(test_msg_damaged),
		cmocka_unit_test(test_msg_wrong),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_an_answer_that_could_not_be_written),
		cmocka_unit_test(test_both_directions),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_timeout_and_late),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_limits_of_ours),
		cmocka_unit_test(test_closed_by_peer),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_free_in_callbacks),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_reply_too_large),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
