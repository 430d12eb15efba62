/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of common/rpc: two ends of a socket pair on one loop, and a raw peer that
 * breaks all rules. One thread. */
#include "common/err.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "common/sock.h"
#include "proto/auth_api.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/rpc_check.h"

/* --- connections --- */

enum on_event { GO_ON, FREE_SELF };

/* One end of a connection, and a record of its callbacks. */
struct end {
	struct loop *loop;
	struct rpc_conn *conn;
	struct rpc_request
		*held[8]; /* requests of "hold", answered at the end or earlier */
	unsigned n_held;
	enum on_event on_request, on_answer, on_closed;
	unsigned requests, notifications, answers, closed;
	unsigned invalid, others;
	int reason, why;
	enum rpc_outcome outcome; /* of the last answer */
	uint8_t text[64];         /* of the last answer or notification */
	size_t text_len;
	unsigned stop_after; /* stop the loop when answers + closed reach this */
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

/* Longer than the reply buffers. */
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
	e->invalid += a->outcome == RPC_INVALID;
	e->others += a->outcome == RPC_CLOSED && a->other;
	if (a->outcome == RPC_INVALID)
		e->why = a->err;
	keep(e, a->outcome == RPC_ERROR ? a->error : a->result);
	react(e, e->on_answer);
}

/* For an error that cannot be written, either. */
static void no_fallback_error(struct buf *out, int why)
{
	out->err = why;
}

static const struct rpc_handlers handlers = {
	.read = auth_msg_read,
	.fallback_error = no_fallback_error,
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

static struct loop *pair_open_with(struct pair *p, bool raw, const struct rpc_handlers *h,
				   const struct rpc_limits *lim)
{
	struct loop *l = loop_new(NULL, NULL);
	int fds[2];

	*p = (struct pair){.raw = -1};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	p->a.loop = p->b.loop = l;
	p->a.stop_after = p->b.stop_after = 1;
	p->a.conn = rpc_conn_new(l, fds[0], h, lim, &p->a);
	assert_non_null(p->a.conn);
	if (raw) {
		p->raw = fds[1];
		return l;
	}
	p->b.conn = rpc_conn_new(l, fds[1], &handlers, &limits, &p->b);
	assert_non_null(p->b.conn);
	return l;
}

static struct loop *pair_open(struct pair *p, bool raw)
{
	return pair_open_with(p, raw, &handlers, &limits);
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

/* A stopped loop cannot run again, so each step makes its own. */
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
	pair_close(&p);
}

static void test_call(void **state)
{
	(void)state;
	one_call("echo", RPC_OK, BYTES("\x92\xa2hi\x01"));
	one_call("nil", RPC_OK, BYTES("\xc0"));
	one_call("what", RPC_ERROR, BYTES("\xa2no"));
}

/* As when memory runs out: no partial answer, and nobody waits for it. */
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
	pair_close(&p);
}

/* Ids wrap after 2^32; 0 is left out, since callers take it for none. */
static void test_no_call_has_the_id_0(void **state)
{
	static const struct rpc_limits many = {
		.max_message = 4096,
		.max_out = 16384,
		.max_calls = 1 << 16,
		.max_requests = 6,
	};
	struct pair p;
	struct loop *l = pair_open_with(&p, true, &handlers, &many);
	uint8_t sent[4096];

	(void)state;
	/* the slot that was used last is used next, so its id wraps */
	for (unsigned i = 0; i < (1u << 16) + 1; i++) {
		rpc_cancel(p.a.conn, call(&p.a, "hold", 4000)); /* which asserts it */
		event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
		while (read(p.raw, sent, sizeof(sent)) > 0)
			;
	}
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

/* The reasons of `closed`: which of them blame the peer's message? */
static void test_whose_fault(void **state)
{
	static const int not_the_peer[] = {E_CLOSED, E_SYS, E_NOMEM};
	static const int the_peer[] = {E_LIMIT, E_SYNTAX, E_TYPE, E_DEPTH, E_UTF8};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(not_the_peer); i++)
		assert_false(rpc_peer_fault(not_the_peer[i]));
	for (size_t i = 0; i < ARRAY_LEN(the_peer); i++)
		assert_true(rpc_peer_fault(the_peer[i]));
}

static void test_hostile(void **state)
{
	static uint8_t huge[4200] = "\x94\x00\x01\xa1m\x91\xda\x20\x00";
	static const struct {
		struct slice in;
		int reason;
	} cases[] = {
		{{(const uint8_t *)"\xc1", 1}, E_SYNTAX},
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

/* A peer that sends requests and does not read: memory is bounded, and no answer is lost
 * when it reads. */
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
	/* an answer is 4 bytes shorter than its request */
	size_t whole = sent / REQUEST * (REQUEST - 4);
	while (back < whole) {
		if (sock_read(p.raw, got, sizeof(got), &n) == 0)
			back += n;
		event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
	}
	assert_int_equal(back, whole);
	assert_int_equal(p.a.requests, sent / REQUEST);
	pair_close(&p);
}

/* An answer that the peer could never read ends the connection. */
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

static void fallback_error(struct buf *out, int why)
{
	buf_put_str(out, why == E_LIMIT ? "\xa3"
					  "big"
					: "\xa4"
					  "else");
}

static const struct rpc_handlers tolerant = {
	.read = auth_msg_read,
	.fallback_error = fallback_error,
	.request = on_request,
	.notification = on_notification,
	.closed = on_closed,
};

/* Sends an answer, or its error, as bytes. The id of its call is the last byte before
 * them. */
static void send_answer(struct pair *p, uint32_t id, struct slice error_and_result)
{
	uint8_t head[] = {0x94, 0x01, 0xce, 0, 0, 0, 0};

	put_be32(head + 3, id);
	send_raw(p, slice_of(head, sizeof(head)));
	send_raw(p, error_and_result);
}

/* Too deep together with the message, which is an array. */
#define TOO_DEEP "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0"

/* The answer fails its own call, and the connection stays. */
static void test_an_answer_over_a_limit(void **state)
{
	struct pair p;
	struct loop *l = pair_open_with(&p, true, &tolerant, &limits);

	(void)state;
	uint32_t first = call(&p.a, "m", 4000), second = call(&p.a, "m", 4000),
		 third = call(&p.a, "m", 4000);
	p.a.stop_after = 3;
	send_answer(&p, first, BYTES("\xc0" TOO_DEEP));
	send_answer(&p, second, BYTES(TOO_DEEP "\xc0"));
	send_answer(&p, third, BYTES("\xc0\x2a"));
	run(l);
	assert_int_equal(p.a.answers, 3);
	assert_int_equal(p.a.invalid, 2);
	assert_int_equal(p.a.why, E_DEPTH);
	assert_int_equal(p.a.outcome, RPC_OK);
	assert_int_equal(p.a.closed, 0);
	pair_close(&p);
}

/* If the end of an answer cannot be found, the connection ends; the other calls learn
 * that they are not the cause. */
static void test_an_answer_that_has_no_end(void **state)
{
	static uint8_t huge[4200] = "\xc0\xda\x20\x00";
	static const struct {
		struct slice in;
		int why;
	} cases[] = {
		{{huge, sizeof(huge)}, E_LIMIT},
		{{(const uint8_t *)"\xc0\xc1", 2}, E_SYNTAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pair p;
		struct loop *l = pair_open_with(&p, true, &tolerant, &limits);

		call(&p.a, "m", 4000);
		uint32_t culprit = call(&p.a, "m", 4000);
		call(&p.a, "m", 4000);
		p.a.stop_after = 4;
		send_answer(&p, culprit, cases[i].in);
		run(l);
		assert_int_equal(p.a.invalid, 1);
		assert_int_equal(p.a.others, 2);
		assert_int_equal(p.a.answers, 3);
		assert_int_equal(p.a.closed, 1);
		assert_int_equal(p.a.reason, cases[i].why);
		pair_close(&p);
	}
	/* the cause is unknown: any of the calls may have caused it */
	struct pair p;
	struct loop *l = pair_open_with(&p, true, &tolerant, &limits);
	call(&p.a, "m", 4000);
	p.a.stop_after = 2;
	send_answer(&p, 77, BYTES("\xc0\xc1"));
	run(l);
	assert_int_equal(p.a.invalid, 0);
	assert_int_equal(p.a.others, 0);
	assert_int_equal(p.a.answers, 1);
	pair_close(&p);
}

/* The caller gets an error for the missing answer, and the connection stays. */
static void test_an_answer_that_cannot_be_said(void **state)
{
	struct pair p;
	struct loop *l = pair_open_with(&p, true, &tolerant, &limits);
	uint8_t got[64];
	size_t n = 0;

	(void)state;
	rpc_conn_lower_limits(p.a.conn, 16, 5);
	send_raw(&p, BYTES("\x94\x00\x01\xa4"
			   "echo\x91\xaf"
			   "0123456789abcde"
			   "\x94\x00\x02\xa7"
			   "failing\x90"
			   "\x93\x02\xa1n\x90"));
	run(l);
	rpc_conn_free(&p.a.conn);
	loop_free(&l);
	assert_int_equal(p.a.closed, 0);
	assert_int_equal(sock_read(p.raw, got, sizeof(got), &n), 0);
	assert_slice(slice_of(got, n), BYTES("\x94\x01\x01\xa3"
					     "big\xc0\x94\x01\x02\xa3"
					     "big\xc0"));
	sock_close(&p.raw);
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
	assert_int_equal(p.a.answers, 20000);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_an_answer_that_could_not_be_written),
		cmocka_unit_test(test_both_directions),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_timeout_and_late),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_no_call_has_the_id_0),
		cmocka_unit_test(test_limits_of_ours),
		cmocka_unit_test(test_closed_by_peer),
		cmocka_unit_test(test_whose_fault),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_free_in_callbacks),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_reply_too_large),
		cmocka_unit_test(test_an_answer_over_a_limit),
		cmocka_unit_test(test_an_answer_that_has_no_end),
		cmocka_unit_test(test_an_answer_that_cannot_be_said),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
