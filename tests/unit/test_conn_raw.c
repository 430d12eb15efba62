/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of RawSocket connections: handshakes, both limits, pings, ends. What they
 * have in common with WebSocket: test_conn.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/conn_check.h"
#include "tests/unit/shared_check.h"

static void put_frame(enum rawsocket_type type, const char *payload, size_t len)
{
	uint8_t head[RAWSOCKET_HEAD_LEN];

	rawsocket_head_write(head, type, len);
	put(head, sizeof(head));
	if (len > 0)
		put(payload, len);
}

static void put_message(const char *text)
{
	put_frame(RAWSOCKET_MESSAGE, text, strlen(text));
}

/* A connection after the handshake: CBOR, and the client accepts 1 KiB. */
static struct conn *open_conn(void)
{
	struct conn *c = adopt();

	put("\x7f\x13\0\0", 4);
	turns();
	EXPECT("\x7f\xb3\0\0", false);
	assert_int_equal(c->state, CONN_OPEN);
	return c;
}

/* An established connection. */
static struct conn *join(void)
{
	struct conn *c = open_conn();

	conn_established(c);
	turns();
	return c;
}

/* --- handshakes --- */

static void test_handshake_and_messages(void **state)
{
	struct conn *c = open_conn();

	(void)state;
	assert_int_equal(h.serializer, 3);
	assert_int_equal(conn_send_max(c), 1024);
	assert_int_equal(counter(NET_UPGRADED), 1);
	put_message("one");
	put_message("");
	turns();
	expect_messages("one||");
	conn_send(c, slice_of("\0\0\0\1a", 5));
	EXPECT("", false); /* written only at the end of the turn */
	turns();
	EXPECT("\0\0\0\1a", false);
	close_peer();
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_PEER), 1);
}

/* The handshake in one piece with the first messages, cut in two everywhere, and byte by
 * byte. */
static void test_handshake_in_pieces(void **state)
{
	static const char all[] = "\x7f\xf1\0\0\0\0\0\3one\0\0\0\3two";
	const size_t len = sizeof(all) - 1;

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		(void)adopt();
		if (cut > 0)
			put(all, cut);
		turns();
		put(all + cut, len - cut);
		turns();
		expect_messages("one|two|");
		assert_int_equal(h.serializer, 1);
		EXPECT("\x7f\xb1\0\0", false);
		assert_int_equal(net.incomplete_bytes, 0);
		close_peer();
	}
	(void)adopt();
	for (size_t i = 0; i < len; i++) {
		put(all + i, 1);
		turns();
	}
	expect_messages("one|two|");
	assert_int_equal(net.incomplete_bytes, 0);
}

static void test_handshake_refused(void **state)
{
	static const struct {
		const char *hello;
		int status; /* the handler's answer */
		char error;
	} rows[] = {
		{"\x7f\xf1\0\1", 0, 0x30},
		{"\x7f\xf1\x80\0", 0, 0x30},
		{"\x7f\x01\0\0", 0, 0x20},
		{"\x7f\xf1\0\0", RAWSOCKET_SERIALIZER, 0x10},
		{"\x7f\xf1\0\0", RAWSOCKET_CONNECTIONS, 0x40},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char answer[] = {0x7f, rows[i].error, 0, 0};

		h.status = rows[i].status;
		(void)adopt();
		put(rows[i].hello, 4);
		put("never read", 10);
		turns();
		expect_bytes(answer, 4, true);
		close_peer();
		assert_int_equal(net_conns(&net), 0);
		assert_int_equal(counter(NET_END_REFUSED), i + 1);
	}
	assert_int_equal(h.closed, 0);
	assert_int_equal(h.got.len, 0);
}

/* Which framing each port accepts. A port for one framing does not answer the other. */
static void test_first_octet(void **state)
{
	(void)state;
	conf.framings = CONN_RAWSOCKET;
	(void)adopt();
	put_str("GET /ws HTTP/1.1\r\n");
	turns();
	EXPECT("", true);
	assert_int_equal(counter(NET_END_PROTOCOL), 1);
	(void)open_conn();

	conf.framings = CONN_WEBSOCKET;
	(void)adopt();
	put("\x7f\xf1\0\0\r\n\r\n", 8);
	turns();
	bool eof;
	struct slice got = get(&eof);
	assert_true(got.len > 15 && memcmp(got.p, "HTTP/1.1 400 ", 13) == 0);
	close_peer();

	conf.framings = CONN_WEBSOCKET | CONN_RAWSOCKET;
	(void)open_conn();
	(void)adopt();
	put_str("HEAD /ws HTTP/1.1\r\nHost: a\r\n\r\n");
	turns();
	got = get(&eof);
	assert_true(got.len > 15 && memcmp(got.p, "HTTP/1.1 200 ", 13) == 0);
}

static void test_dropped_in_handshake(void **state)
{
	(void)state;
	h.drop_in_upgrade = true;
	(void)adopt();
	put("\x7f\xf1\0\0", 4);
	turns();
	EXPECT("", true);
	assert_int_equal(h.closed, 1);
	h.status = RAWSOCKET_CONNECTIONS; /* the handler drops it and also refuses it */
	(void)adopt();
	put("\x7f\xf1\0\0", 4);
	turns();
	EXPECT("", true);
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
}

static void test_handshake_deadline(void **state)
{
	(void)state;
	(void)adopt();
	put("\x7f", 1);
	advance(conf.handshake_ms - 1);
	put("\xf1", 1); /* partial input does not extend the deadline */
	turns();
	assert_int_equal(net_conns(&net), 1);
	advance(2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);

	/* the answer does not end the deadline */
	h.establish = false;
	(void)open_conn();
	advance(conf.handshake_ms / 2);
	put_message("hello");
	turns();
	advance(conf.handshake_ms / 2 + 2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(h.closed, 1);
	EXPECT("", true);
	assert_int_equal(counter(NET_END_HANDSHAKE), 2);
}

/* --- limits --- */

static void expect_failure(enum net_counter which, uint64_t times)
{
	turns();
	EXPECT("", true);
	assert_int_equal(counter(which), times);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
}

/* A message over our limit is refused at its head. */
static void test_our_limit(void **state)
{
	static const char zeros[2000];

	(void)state;
	conf.message_max = 2000; /* so we announce 1024 */
	conf.early_message_max = 100;
	h.establish = false;
	(void)adopt();
	put("\x7f\xf1\0\0", 4);
	turns();
	EXPECT("\x7f\x11\0\0", false);
	put_frame(RAWSOCKET_MESSAGE, zeros, 100);
	turns();
	assert_int_equal(h.got.len, 101);
	put("\0\0\0\x65", 4);
	expect_failure(NET_END_TOO_BIG, 1);

	(void)adopt();
	put("\x7f\xf1\0\0", 4);
	turns();
	EXPECT("\x7f\x11\0\0", false);
	conn_established(h.last);
	put_frame(RAWSOCKET_MESSAGE, zeros, 1024);
	turns();
	assert_int_equal(h.got.len, 101 + 1025);
	put("\0\0\4\1", 4);
	expect_failure(NET_END_TOO_BIG, 2);
}

static void test_malformed(void **state)
{
	static const char *const heads[] = {"\3\0\0\0", "\7\0\0\0", "\x10\0\0\0",
					    "\x80\0\0\0", "\x08\0\0\1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		(void)join();
		put_message("before");
		put(heads[i], 4);
		put_message("behind");
		expect_failure(NET_END_PROTOCOL, i + 1);
		expect_messages("before|");
	}
}

/* When all hold too much, the connection that holds the most is closed. */
static void test_incomplete_budget(void **state)
{
	static const char piece[60000];
	struct conn *small, *large;

	(void)state;
	net.max_incomplete = 100000;
	small = join();
	put("\0\1\0\0", 4);
	put(piece, 100);
	large = join();
	put("\0\x0f\0\0", 4);
	put(piece, sizeof(piece));
	turns();
	assert_int_equal(large->state, CONN_OPEN);
	put(piece, sizeof(piece));
	turns();
	assert_int_equal(small->state, CONN_OPEN);
	assert_int_equal(counter(NET_END_BUDGET_IN), 1);
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 1);
}

/* Closed for its incomplete message, in a turn in which it has more to write than one
 * turn may write. */
static void test_budget_while_writing(void **state)
{
	static const int sndbuf = 1 << 20;
	static const char zeros[60000];
	struct conn *c = join();

	(void)state;
	assert_int_equal(
		setsockopt(c->stream.fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)),
		0);
	put("\0\x0f\0\0", 4);
	put(zeros, sizeof(zeros));
	turns();
	for (int i = 0; i < 600; i++) {
		struct shared_buf *b = shared_buf_copy(slice_of(zeros, OUTQ_SHARE_MIN));

		assert_non_null(b);
		conn_send_shared(c, b, 1);
	}
	net.max_incomplete = 1000;
	assert_false(net_turn_end(&net));
	assert_int_equal(counter(NET_END_BUDGET_IN), 1);

	/* the others are still written to */
	net.max_incomplete = 64u << 20;
	conn_send(join(), slice_of("\0\0\0\1a", 5));
	turns();
	EXPECT("\0\0\0\1a", false);
}

/* --- pings --- */

static void test_pings_are_answered(void **state)
{
	static const char zeros[1025];
	static char pong[4 + 1024] = "\2\0\4\0";

	(void)state;
	(void)join();
	put_frame(RAWSOCKET_PING, "abc", 3);
	put_frame(RAWSOCKET_PONG, "unasked", 7);
	put_frame(RAWSOCKET_PING, "", 0);
	turns();
	EXPECT("\2\0\0\3abc\2\0\0\0", false);
	put_frame(RAWSOCKET_PING, zeros, 1024);
	turns();
	expect_bytes(pong, sizeof(pong), false);
	expect_messages("");
	/* the client accepts only 1 KiB */
	put_frame(RAWSOCKET_PING, zeros, 1025);
	expect_failure(NET_END_PROTOCOL, 1);
}

/* A client that sends pings and does not read the pongs is closed like any slow reader.
 */
static void test_pings_without_end(void **state)
{
	static const char zeros[1000];
	struct conn *c = join();

	(void)state;
	conf.queue_max = 8192;
	for (int i = 0; i < 1000 && c->state == CONN_OPEN; i++) {
		for (int k = 0; k < 10; k++)
			put_frame(RAWSOCKET_PING, zeros, sizeof(zeros));
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (c->state == CONN_OPEN)
			(void)net_turn_end(&net);
	}
	turns();
	assert_int_equal(counter(NET_END_SLOW), 1);
	assert_int_equal(h.closed, 1);
}

/* We send no pings unless the listener is configured to; then as over WebSocket. */
static void test_our_pings(void **state)
{
	struct conn *c = join();

	(void)state;
	advance(10 * (conf.ping_interval_ms + conf.ping_timeout_ms));
	EXPECT("", false);
	assert_int_equal(c->state, CONN_OPEN);
	close_peer();

	conf.raw_pings = true;
	(void)join();
	advance(conf.ping_interval_ms + 2 * NET_DEADLINE_STEP_MS);
	EXPECT("\1\0\0\0", false);
	put_frame(RAWSOCKET_PONG, "", 0);
	turns();
	advance(conf.ping_interval_ms + 2 * NET_DEADLINE_STEP_MS);
	EXPECT("\1\0\0\0", false);
	advance(conf.ping_timeout_ms + 2 * NET_DEADLINE_STEP_MS);
	EXPECT("", true);
	assert_int_equal(counter(NET_END_PING), 1);
}

/* --- ends --- */

/* We write the queue, shut our direction down, and wait for the peer's end. */
static void test_we_close(void **state)
{
	struct conn *c = join();

	(void)state;
	conn_send(c, slice_of("\0\0\0\1a", 5));
	conn_close(c, WS_CLOSE_NORMAL, "a reason");
	conn_send(c, slice_of("\0\0\0\1b", 5));
	assert_int_equal(c->state, CONN_CLOSING);
	put_message("ignored");
	put_frame(RAWSOCKET_PING, "ignored", 7);
	put("\xff\xff\xff\xff", 4);
	turns();
	EXPECT("\0\0\0\1a", true);
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 1);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_OWN), 1);
	expect_messages("");

	c = join();
	conn_close(c, WS_CLOSE_NORMAL, NULL);
	advance(conf.close_ms - 1);
	assert_int_equal(net_conns(&net), 1);
	advance(2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
}

static void close_it(struct conn *c, struct slice bytes)
{
	(void)bytes;
	conn_close(c, WS_CLOSE_NORMAL, "");
}

static void drop_it(struct conn *c, struct slice bytes)
{
	(void)bytes;
	conn_drop(c);
}

/* Nothing is read after the message that ended the connection, even if it came in pieces.
 */
static void test_ended_by_a_message(void **state)
{
	static void (*const how[])(struct conn * c, struct slice bytes) = {close_it,
									   drop_it};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		h.on_message = how[i];
		(void)join();
		put("\0\0\0\5fir", 7);
		turns();
		put("st\0\0\0\6second", 12);
		turns();
		expect_messages("first|");
		EXPECT("", true);
		(void)join();
		put_message("first");
		put_message("second");
		turns();
		expect_messages("first|");
		EXPECT("", true);
	}
	assert_int_equal(h.closed, 4);
}

/* A half-closed connection is closed. */
static void test_half_close(void **state)
{
	(void)state;
	(void)join();
	put_message("last");
	assert_int_equal(shutdown(peer(), SHUT_WR), 0);
	turns();
	expect_messages("last|");
	assert_int_equal(net_conns(&net), 0);
	EXPECT("", true);
	assert_int_equal(counter(NET_END_PEER), 1);
}

/* The peer's end of file is a goodbye. A reset, here because the peer had unread input,
 * is not. */
static void test_reset(void **state)
{
	struct conn *c = join();

	(void)state;
	conn_send(c, slice_of("\0\0\0\1a", 5));
	turns();
	close_peer();
	assert_int_equal(counter(NET_END_LOST), 1);
	assert_int_equal(counter(NET_END_PEER), 0);
}

/* When the router ends, an unfinished handshake is refused; other connections are closed
 * without a message. */
static void test_close_all(void **state)
{
	struct conn *c = join();

	(void)state;
	conn_send(c, slice_of("\0\0\0\1a", 5));
	(void)adopt();
	put("\x7f\xf1", 2);
	turns();
	conf.framings = CONN_RAWSOCKET;
	(void)adopt();
	net_close_all(&net, WS_CLOSE_RESTART, "later");
	turns();
	EXPECT("\x7f\x40\0\0", true);
	close_peer();
	n_peers--;
	EXPECT("\x7f\x40\0\0", true);
	close_peer();
	n_peers--;
	EXPECT("\0\0\0\1a", true);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(h.closed, 1);
}

static void test_pause(void **state)
{
	(void)state;
	(void)join();
	net.paused = true;
	put_message("one");
	turns();
	expect_messages("");
	net.paused = false;
	net_resume_all(&net);
	turns();
	expect_messages("one|");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_handshake_and_messages),
		TEST(test_handshake_in_pieces),
		TEST(test_handshake_refused),
		TEST(test_first_octet),
		TEST(test_dropped_in_handshake),
		TEST(test_handshake_deadline),
		TEST(test_our_limit),
		TEST(test_malformed),
		TEST(test_incomplete_budget),
		TEST(test_budget_while_writing),
		TEST(test_pings_are_answered),
		TEST(test_pings_without_end),
		TEST(test_our_pings),
		TEST(test_we_close),
		TEST(test_ended_by_a_message),
		TEST(test_half_close),
		TEST(test_reset),
		TEST(test_close_all),
		TEST(test_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
