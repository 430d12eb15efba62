/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of routerd/net/conn and net over WebSocket: paused input, full queues and
 * budgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conn_ws_check.h"
#include "tests/unit/shared_check.h"

/* --- pauses --- */

static void test_pause(void **state)
{
	struct conn *c = join();

	(void)state;
	net.paused = true;
	put_text("one");
	turns();
	expect_messages("");
	/* no pings during a pause */
	advance(10 * (conf.ping_interval_ms + conf.ping_timeout_ms));
	EXPECT("", false);
	/* output is still written */
	conn_send(c, slice_str("\x81\x01"
			       "a"));
	turns();
	EXPECT("\x81\x01"
	       "a",
	       false);
	net.paused = false;
	net_resume_all(&net);
	turns();
	expect_messages("one|");
	advance(conf.ping_interval_ms - 10);
	EXPECT("", false);
	advance(2 * NET_DEADLINE_STEP_MS);
	EXPECT("\x89\x00", false);
	assert_int_equal(counter(NET_PAUSES), 1);
}

/* Connections that are not established yet are not paused. */
static void test_pause_and_handshakes(void **state)
{
	struct conn *c;

	(void)state;
	net.paused = true;
	h.establish = false;
	c = open_conn();
	put_text("one");
	turns();
	expect_messages("one|");
	conn_established(c);
	put_text("two");
	turns();
	expect_messages("");
	conn_left(c);
	turns();
	expect_messages("two|");
	assert_int_equal(c->state, CONN_OPEN);
}

static void test_paused_ones_can_close(void **state)
{
	struct conn *a = join();

	(void)state;
	net.paused = true;
	put_text("never delivered");
	turns();
	conn_close(a, WS_CLOSE_NORMAL, NULL);
	turns();
	EXPECT("\x88\x02\x03\xe8", false);
	put_frame(0x88, "", 0);
	turns();
	EXPECT("", true);
	expect_messages("");
	net_resume_all(&net);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
}

/* --- limits --- */

static struct shared_buf *large(size_t len)
{
	struct shared_buf *b = shared_buf_new(len);

	assert_non_null(b);
	memset(b->data, 'x', len);
	return b;
}

static void test_slow_consumer(void **state)
{
	struct conn *c = join();
	struct shared_buf *b = large(4 * conf.queue_max);
	bool eof;

	(void)state;
	/* an empty queue takes a message of any size, */
	conn_send_shared(c, shared_buf_ref(b), 1);
	turns();
	assert_int_equal(c->state, CONN_OPEN);
	assert_true(c->stream.out.memory > conf.queue_max);
	/* and no other until it is drained */
	while (c->stream.out.memory > 0) {
		(void)get(&eof);
		turns();
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(c->state, CONN_OPEN);
		conn_send(c, slice_of(b->data, conf.queue_max / 3));
		turns();
	}
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(h.closed, 1);
	assert_int_equal(counter(NET_END_SLOW), 1);
	shared_buf_unref(&b);
}

static void test_half_full(void **state)
{
	struct conn *c = join();
	struct shared_buf *b = large(conf.queue_max);
	size_t half = conf.queue_max / 2;
	bool eof;

	(void)state;
	while (c->stream.out.memory > 0) {
		(void)get(&eof);
		turns();
	}
	assert_false(conn_half_full(c, 4 * conf.queue_max));
	conn_send(c, slice_of(b->data, half / 2));
	size_t queued = c->stream.out.memory;
	assert_in_range(queued, half / 2, half - 1);
	assert_false(conn_half_full(c, half - queued));
	assert_true(conn_half_full(c, half - queued + 1));
	assert_true(conn_half_full(c, SIZE_MAX));
	conn_send(c, slice_of(b->data, half / 2));
	assert_true(conn_half_full(c, 0) || c->stream.out.memory == half);
	assert_true(conn_half_full(c, 1));
	while (c->stream.out.memory > 0) {
		turns();
		(void)get(&eof);
	}
	assert_false(conn_half_full(c, half));
	assert_int_equal(c->state, CONN_OPEN);
	shared_buf_unref(&b);
}

static void test_a_flood_of_pings_is_bounded(void **state)
{
	static const uint8_t ping[] = {0x89, 0x80 | 4, 0, 0, 0, 0, 'p', 'i', 'n', 'g'};
	size_t peak = 0;

	(void)state;
	(void)join();
	while (net_conns(&net) == 1) {
		if (send(peer(), ping, sizeof(ping), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		(void)net_turn_end(&net);
		peak = net.out.memory > peak ? net.out.memory : peak;
	}
	assert_true(peak <= conf.queue_max + 8192);
	assert_int_equal(counter(NET_END_SLOW), 1);
}

static void test_output_budget(void **state)
{
	struct conn *conns[4];
	struct shared_buf *b = large(600 * 1024);

	(void)state;
	net.max_queued = 1500 * 1024;
	for (size_t i = 0; i < 4; i++)
		conns[i] = join();
	/* a shared message counts once */
	for (size_t i = 0; i < 4; i++)
		conn_send_shared(conns[i], shared_buf_ref(b), 1);
	turns();
	assert_int_equal(net_conns(&net), 4);
	/* copies count each */
	for (size_t i = 0; i < 3; i++)
		conn_send(conns[i], slice_of(b->data, (i + 1) * 100 * 1024));
	turns();
	assert_int_equal(net_conns(&net), 4);
	conn_send(conns[3], slice_of(b->data, 400 * 1024));
	turns();
	assert_int_equal(net_conns(&net), 3);
	assert_int_equal(h.closed, 1);
	assert_int_equal(counter(NET_END_BUDGET_OUT), 1);
	assert_true(net.out.memory <= net.max_queued);
	shared_buf_unref(&b);
}

static void test_input_budget(void **state)
{
	static const char payload[60000];

	(void)state;
	net.max_incomplete = 300 * 1024;
	for (int i = 0; i < 8; i++) {
		(void)join();
		put_frame(0x01, payload, i == 2 ? sizeof(payload) : 20000);
		turns();
	}
	assert_true(net.incomplete_bytes <= net.max_incomplete);
	assert_true(counter(NET_END_BUDGET_IN) >= 1);
	assert_int_equal(net_conns(&net), 8 - counter(NET_END_BUDGET_IN));
	net_close_all(&net, WS_CLOSE_RESTART, NULL);
	advance(conf.close_ms + 2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(net.incomplete_bytes, 0);
}

static void test_message_limits(void **state)
{
	static char payload[200];
	bool eof;

	(void)state;
	memset(payload, 'x', sizeof(payload));
	/* a small limit until it is established, then the configured one from the next
	 * frame on */
	(void)open_conn();
	put_frame(0x81, payload, 100);
	put_frame(0x81, payload, 200);
	turns();
	assert_int_equal(h.got.len, 302);
	buf_clear(&h.got);
	h.establish = false;
	(void)open_conn();
	put_frame(0x81, payload, 101);
	turns();
	expect_messages("");
	assert_memory_equal(get(&eof).p + 2, "\x03\xf1", 2);
	assert_true(eof);
	assert_int_equal(counter(NET_END_TOO_BIG), 1);
}

/* --- the end --- */

/* net_fini, in the teardown, frees the connections that are left when the thread ends. */
static void test_fini_frees_all(void **state)
{
	struct conn *c;

	(void)state;
	(void)adopt();
	put_str("GET");
	(void)join();
	put("\x01\x82\0\0", 4);
	c = join();
	net.paused = true;
	put_text("paused");
	turns();
	conn_send_shared(c, large(1 << 20), 1);
	conn_close(join(), WS_CLOSE_NORMAL, NULL);
	turns();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_pause),
		T(test_pause_and_handshakes),
		T(test_paused_ones_can_close),
		T(test_slow_consumer),
		T(test_half_full),
		T(test_a_flood_of_pings_is_bounded),
		T(test_output_budget),
		T(test_input_budget),
		T(test_message_limits),
		T(test_fini_frees_all),
#undef T
	};

	return cmocka_run_group_tests_name("conn_limits", tests, NULL, NULL);
}
