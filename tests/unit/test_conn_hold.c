/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of conn_hold and conn_release: a message waits, and all input behind it,
 * over both framings, and whatever else happens meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conn_ws_check.h"
#include "tests/unit/shared_check.h"

/* --- the handler: holds a message that has an 'H', from that letter on --- */

static int holds_left; /* how often it still does so; -1: always */

static void hold_or_not(struct conn *c, struct slice bytes)
{
	const uint8_t *at = memchr(bytes.p, 'H', bytes.len);

	if (at == NULL || holds_left == 0)
		return;
	holds_left -= holds_left > 0;
	conn_hold(c, slice_from(bytes, (size_t)(at - bytes.p)));
}

/* The same, but once: what is given again begins with the letter. */
static void hold_once(struct conn *c, struct slice bytes)
{
	if (bytes.p[0] != 'H')
		hold_or_not(c, bytes);
}

static struct conn *join_holding(int times)
{
	struct conn *c = join();

	h.on_message = hold_or_not;
	holds_left = times;
	return c;
}

static void release(struct conn *c)
{
	conn_release(c);
	turns();
}

/* --- order --- */

static void test_what_is_behind_waits(void **state)
{
	struct conn *c = join_holding(1);

	(void)state;
	put_text("a");
	put_text("bHc");
	put_text("d");
	put_text("e");
	turns();
	expect_messages("a|bHc|");
	put_text("f");
	turns();
	expect_messages("");
	release(c);
	expect_messages("Hc|d|e|f|");
	assert_int_equal(net.incomplete_bytes, 0);
	assert_int_equal(counter(NET_PAUSES), 0);
	release(c); /* nothing is held any more */
	put_text("g");
	turns();
	expect_messages("g|");
}

static void test_held_again_and_again(void **state)
{
	struct conn *c = join_holding(5);

	(void)state;
	put_text("1H");
	put_text("2H");
	put_text("3");
	turns();
	expect_messages("1H|");
	release(c);
	expect_messages("H|");
	release(c);
	expect_messages("H|");
	holds_left = 1;
	release(c);
	expect_messages("H|");
	release(c);
	expect_messages("H|2H|3|");
}

/* Each cut of the stream, with a message in fragments and a ping between them. */
static void test_every_cut(void **state)
{
	static const char stream[] = "\x81\x82\0\0\0\0xH"
				     "\x01\x82\0\0\0\0yH"
				     "\x89\x81\0\0\0\0p"
				     "\x80\x83\0\0\0\0zzz"
				     "\x81\x81\0\0\0\0e";
	size_t len = sizeof(stream) - 1;

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		struct conn *c = join_holding(-1);
		h.on_message = hold_once;
		put(stream, cut);
		turns();
		put(stream + cut, len - cut);
		turns();
		expect_messages("xH|");
		release(c);
		expect_messages("H|yHzzz|");
		release(c);
		expect_messages("Hzzz|e|");
		EXPECT("\x8a\x01p", false);
		close_peer();
	}
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(net.incomplete_bytes, 0);
}

static void test_rawsocket(void **state)
{
	static const char stream[] = "\x7f\xf1\0\0"
				     "\0\0\0\x02xH"
				     "\x01\0\0\x01p"
				     "\0\0\0\x04yHzz"
				     "\0\0\0\x01"
				     "e";
	size_t len = sizeof(stream) - 1;

	(void)state;
	h.on_message = hold_once;
	holds_left = -1;
	for (size_t cut = 0; cut <= len; cut++) {
		struct conn *c = adopt();
		put(stream, cut);
		turns();
		put(stream + cut, len - cut);
		turns();
		expect_messages("xH|");
		release(c);
		expect_messages("H|yHzz|");
		release(c);
		expect_messages("Hzz|e|");
		close_peer();
	}
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(net.incomplete_bytes, 0);
}

/* --- bounds --- */

static void test_reading_stops(void **state)
{
	static char bytes[512 * 1024];
	struct conn *c = join_holding(-1);
	ssize_t taken = 0, n;

	(void)state;
	put_text("H");
	turns();
	expect_messages("H|");
	assert_in_range(net.incomplete_bytes, 1, 4096);
	for (int i = 0; i < 64; i++) {
		n = send(peer(), bytes, sizeof(bytes), MSG_NOSIGNAL);
		taken += n > 0 ? n : 0;
		turns();
	}
	assert_in_range(taken, 1, 4 << 20); /* the kernel's buffer, and no more */
	assert_in_range(net.incomplete_bytes, 1, 4096);
	conn_drop(c);
	turns();
	assert_int_equal(net.incomplete_bytes, 0);
}

/* What is kept counts as an incomplete message, and the largest is closed. */
static void test_budget(void **state)
{
	static char payload[60000];

	(void)state;
	memset(payload, 'H', sizeof(payload));
	net.max_incomplete = 300 * 1024;
	for (int i = 0; i < 8; i++) {
		(void)join_holding(-1);
		put_frame(0x81, payload, i == 2 ? sizeof(payload) : 50000);
		turns();
	}
	assert_true(net.incomplete_bytes <= net.max_incomplete);
	assert_true(counter(NET_END_BUDGET_IN) >= 1);
	assert_int_equal(net_conns(&net), 8 - counter(NET_END_BUDGET_IN));
}

static void test_pings_stand_still(void **state)
{
	struct conn *c = join_holding(1);

	(void)state;
	put_text("H");
	turns();
	advance(10 * (conf.ping_interval_ms + conf.ping_timeout_ms));
	EXPECT("", false);
	release(c);
	advance(conf.ping_interval_ms - 10);
	EXPECT("", false);
	advance(2 * NET_DEADLINE_STEP_MS);
	EXPECT("\x89\x00", false);
	/* a ping was out when the hold began: the hold is no missing answer */
	holds_left = 1;
	put_text("H");
	turns();
	advance(10 * conf.ping_timeout_ms);
	assert_int_equal(c->state, CONN_OPEN);
	release(c);
	assert_int_equal(c->state, CONN_OPEN);
	expect_messages("H|H|H|H|");
}

/* --- together with pressure, which pauses all reading --- */

static void test_pressure_in_every_order(void **state)
{
	(void)state;
	for (int order = 0; order < 4; order++) {
		struct conn *c = join_holding(1);
		bool input = (order & 1) != 0, release_first = (order & 2) != 0;
		put_text("H");
		put_text("a");
		turns();
		expect_messages("H|");
		net.paused = true;
		if (input) {
			put_text("b");
			turns();
		}
		if (release_first) {
			release(c);
			expect_messages("");
		}
		net_resume_all(&net);
		net.paused = false;
		turns();
		if (!release_first) {
			expect_messages("");
			release(c);
		}
		expect_messages(input ? "H|a|b|" : "H|a|");
		put_text("c");
		turns();
		expect_messages("c|");
		advance(conf.ping_interval_ms + 2 * NET_DEADLINE_STEP_MS);
		EXPECT("\x89\x00", false);
		close_peer();
	}
	assert_int_equal(net_conns(&net), 0);
}

/* --- the end meanwhile --- */

static void test_closed_while_held(void **state)
{
	struct conn *c = join_holding(1);

	(void)state;
	put_text("H");
	put_text("never delivered");
	put_frame(0x88, "", 0); /* the peer's Close is behind it, and is found */
	turns();
	conn_send(c, slice_str("\x81\x01"
			       "a"));
	conn_close(c, WS_CLOSE_NORMAL, NULL);
	conn_release(c);
	turns();
	expect_messages("H|");
	EXPECT("\x81\x01"
	       "a\x88\x02\x03\xe8",
	       true);
	assert_int_equal(h.closed, 1);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
}

static void test_peer_gone_while_held(void **state)
{
	struct conn *c = join_holding(1);

	(void)state;
	put_text("H");
	turns();
	sock_close(&peers[n_peers - 1]);
	turns();
	assert_int_equal(h.closed, 0); /* found when the hold ends */
	release(c);
	expect_messages("H|H|");
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
}

/* The handler drops the connection, before, behind or instead of a hold. */
static void drop_too(struct conn *c, struct slice bytes)
{
	if (bytes.p[0] == 'd')
		conn_drop(c);
	hold_or_not(c, bytes);
	if (bytes.p[0] == 'H')
		conn_drop(c);
}

static void test_dropped_by_the_handler(void **state)
{
	static const char *const texts[] = {"dH", "H", "aH"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct conn *c = join_holding(1);
		h.on_message = drop_too;
		put_text(texts[i]);
		put_text("b");
		turns();
		if (i == 2)
			release(c); /* it is dropped when it gets its "H" again */
		assert_int_equal(net_conns(&net), 0);
		assert_int_equal(h.closed, (int)i + 1);
	}
	expect_messages("dH|H|aH|H|");
	assert_int_equal(net.incomplete_bytes, 0);
}

/* Waiting for the socket to be writable does not make it forget the input that it kept.
 */
static void test_output_is_blocked(void **state)
{
	struct conn *c = join_holding(1);
	struct shared_buf *b = shared_buf_new(16u << 20);
	bool eof;

	(void)state;
	assert_non_null(b);
	memset(b->data, 'x', b->len);
	put_text("H");
	put_text("a");
	turns();
	conn_release(c);
	conn_send_shared(c, b, 1);
	turns();
	assert_int_equal(c->stream.list, STREAM_BLOCKED);
	expect_messages("H|H|a|");
	(void)get(&eof);
}

static void test_fini_frees_the_held(void **state)
{
	(void)state;
	(void)join_holding(1);
	put_text("H");
	put_text("a");
	turns();
	expect_messages("H|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_what_is_behind_waits),
		T(test_held_again_and_again),
		T(test_every_cut),
		T(test_rawsocket),
		T(test_reading_stops),
		T(test_budget),
		T(test_pings_stand_still),
		T(test_pressure_in_every_order),
		T(test_closed_while_held),
		T(test_peer_gone_while_held),
		T(test_dropped_by_the_handler),
		T(test_output_is_blocked),
		T(test_fini_frees_the_held),
#undef T
	};

	return cmocka_run_group_tests_name("conn_hold", tests, NULL, NULL);
}
