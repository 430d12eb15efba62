/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of connections with permessage-deflate: what a turn inflates, what waits,
 * and that other clients need not wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conn_ws_check.h"
#include "tests/unit/shared_check.h"
#include "tests/unit/squeeze.h"

enum {
	BOMBS = 40,
	FLOODERS = 20,
	BOMB = 1 << 20,
	SHARE = 256 * 1024,
	TRY = 64 * 1024,
	STEP = INFLATE_STEP_OUT + INFLATE_COST_IN * INFLATE_STEP_IN,
	/* Shares of a turn: messages that have just come, and the three lists. A first
	 * try and a step may exceed each. */
	TURN_MAX = 4 * (SHARE + TRY + STEP),
};

static const char offer[] = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
			    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/* A connection that has agreed on compression. */
static struct conn *adopt_deflating(void)
{
	struct conn *c = adopt();
	bool eof;

	conf.deflate = true;
	put_str(offer);
	turns();
	get(&eof);
	assert_true(c->deflates);
	return c;
}

static void join_deflating(void)
{
	conn_established(adopt_deflating());
}

/* Sends len bytes that are all 'a', compressed. */
static void put_compressed(size_t len)
{
	struct buf b;

	squeeze_same(len, &b);
	put_frame(0xc1, (char *)b.data, b.len);
	buf_fini(&b);
}

/* Many connections join; then each sends a message of len bytes. */
static void join_many(size_t len)
{
	size_t first = n_peers;

	for (int i = 0; i < BOMBS; i++)
		join_deflating();
	for (n_peers = first; n_peers < first + BOMBS;) {
		n_peers++;
		put_compressed(len);
	}
}

/* One turn. Returns whether there is more to do. */
static bool turn(void)
{
	event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	net_inflate_some(&net);
	bool more = net_turn_end(&net);

	assert_true(net.inflaters.lent <= INFLATERS_MAX);
	return more;
}

static size_t inflated; /* bytes of messages */
static unsigned n_short, n_bombs, n_plain;

static void count(struct conn *c, struct slice bytes)
{
	inflated += c->deflates ? bytes.len : 0;
	n_short += c->deflates && bytes.len < BOMB;
	n_bombs += bytes.len == BOMB;
	n_plain += !c->deflates;
	buf_clear(&h.got);
}

static int setup_counts(void **state)
{
	int err = setup(state);

	inflated = n_short = n_plain = 0;
	h.on_message = count;
	return err;
}

static unsigned n_waiting(enum ws_wait wait)
{
	struct conn *c;
	unsigned n = 0;

	TAILQ_FOREACH (c, &net.inflating[wait], side_link)
		n++;
	return n;
}

/* In each turn others are served, however many bombs have come. */
static void test_bombs_wait_others_do_not(void **state)
{
	unsigned n_turns = 0, first;
	int plain, compressed;

	(void)state;
	join();
	plain = peer();
	join_deflating();
	compressed = peer();
	join_many(BOMB);
	/* they are read in more than one turn */
	for (first = 0; first < 3; first++)
		assert_true(turn());
	for (bool more = true; more; n_turns++) {
		peers[n_peers++] = plain;
		put_text("plain");
		peers[n_peers - 1] = compressed;
		put_compressed(1000);
		n_peers--;
		more = turn();
		assert_int_equal(n_plain, n_turns + 1);
		assert_int_equal(n_waiting(WS_WAIT_LENT), net.inflaters.lent);
		if (n_waiting(WS_WAIT_LONG) > 0)
			assert_true(net.inflaters.lent >= INFLATERS_MAX - 2);
		/* in the turn that they came, or in the next */
		assert_in_range(n_short, n_turns, n_turns + 1);
		assert_true(inflated <= (first + n_turns + 1) * (size_t)TURN_MAX);
		/* the payload and a window, which may be twice as large while it grows */
		assert_true(net.incomplete_bytes <
			    INFLATERS_MAX * (BOMB + INFLATER_MEMORY) + BOMBS * 16 * 1024);
	}
	assert_int_equal(inflated, (size_t)BOMBS * BOMB + n_short * 1000);
	assert_int_equal(counter(NET_INFLATED), BOMBS + n_short);
	assert_in_range(n_turns, BOMBS * BOMB / TURN_MAX, BOMBS * BOMB / SHARE + 20);
	assert_int_equal(net.incomplete_bytes, 0);
}

/* Short messages of many clients are handled in the order in which they came. */
static void test_many_short_ones(void **state)
{
	(void)state;
	join_many(50000);
	assert_true(turn());
	/* two shares of a turn */
	assert_in_range(n_short, 2 * (SHARE / 60000), 2 * (SHARE / 50000 + 1));
	assert_int_equal(net.inflaters.lent, 0);
	for (int i = 0; turn(); i++)
		assert_true(i < BOMBS);
	assert_int_equal(n_short, BOMBS);
}

/* However many others come, a message that is being inflated goes on, and so does one
 * that has to wait for an inflater. */
static void test_nobody_starves(void **state)
{
	unsigned n_turns = 0;

	(void)state;
	for (size_t i = 0; i < FLOODERS; i++)
		join_deflating();
	join_many(BOMB);
	while (net.inflaters.lent < INFLATERS_MAX)
		assert_true(turn());
	/* one of each kind is left */
	for (enum ws_wait w = WS_WAIT_NEW; w < WS_WAIT_COUNT; w++)
		while (n_waiting(w) > (w == WS_WAIT_NEW ? 0 : 1))
			conn_drop(TAILQ_FIRST(&net.inflating[w]));
	for (; n_bombs < 2; n_turns++) {
		assert_true(n_turns < 30);
		for (n_peers = 0; n_peers < FLOODERS;) {
			n_peers++;
			put_compressed(BOMB / 5);
		}
		n_peers = FLOODERS + BOMBS;
		assert_true(turn());
	}
}

/* What connections that wait may go through. */
static void test_ends_and_pauses(void **state)
{
	(void)state;
	join_many(BOMB);
	while (net.inflaters.lent < INFLATERS_MAX)
		assert_true(turn());

	/* a pause: nothing is inflated, and the loop does not spin */
	net.paused = true;
	for (int i = 0; i < BOMBS; i++)
		turn();
	inflated = 0;
	assert_false(turn());
	assert_int_equal(inflated, 0);
	assert_int_equal(counter(NET_PAUSES), BOMBS);
	net.paused = false;
	net_resume_all(&net);
	while (inflated < 4 * BOMB)
		assert_true(turn());

	/* some close, others are dropped, some peers leave */
	for (size_t i = 0; i < n_peers; i += 4) {
		struct conn *c = TAILQ_FIRST(&net.by_state[CONN_OPEN]);

		if (i % 3 == 0)
			conn_close(c, WS_CLOSE_NORMAL, "bye");
		else if (i % 3 == 1)
			conn_drop(c);
		else
			conn_left(c);
	}
	while (turn())
		;
	assert_int_equal(net.inflaters.lent, 0);
	net_close_all(&net, WS_CLOSE_RESTART, "all");
	turns();
}

/* A client that waits is not pinged, and its silence does not count. */
static void check_pings(bool established)
{
	struct conn *c = adopt_deflating();
	bool eof;

	if (established)
		conn_established(c);
	put_compressed(BOMB);
	event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_true(c->inflating);
	conn_established(c);
	now_ms += 10 * (conf.ping_interval_ms + conf.ping_timeout_ms);
	if (armed != NULL)
		armed->cb(armed->arg);
	assert_int_equal(c->state, CONN_OPEN);
	assert_int_equal(counter(NET_PINGS_OUT), 0);
	turns();
	assert_int_equal(inflated, BOMB);
	advance(conf.ping_interval_ms + 1000);
	assert_int_equal(counter(NET_PINGS_OUT), 1);
	assert_int_equal(get(&eof).len, 2);
}

static void test_no_pings_while_it_waits(void **state)
{
	(void)state;
	check_pings(true);
}

static void test_no_pings_after_an_early_message(void **state)
{
	(void)state;
	conf.early_message_max = BOMB;
	check_pings(false);
}

/* --- output --- */

/* One frame, or two, of len bytes each, which shrink a lot. */
static struct shared_buf *frames(size_t len, int n)
{
	struct shared_buf *b = shared_buf_new(len * (size_t)n);

	assert_non_null(b);
	memset(b->data, 'a', b->len);
	for (int i = 0; i < n; i++)
		frame_head(FRAMING_WS_TEXT, len - 4, b->data + (size_t)i * len);
	return b;
}

/* All takers share the compressed bytes. */
static void test_compressed_once(void **state)
{
	struct shared_buf *one = frames(2000, 1), *two = frames(2000, 2);
	struct conn *c[10];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		conn_established(c[i] = adopt_deflating());
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		conn_send_shared(c[i], shared_buf_ref(one), 1);
		conn_send_shared(c[i], shared_buf_ref(two), 2);
	}
	assert_int_equal(counter(NET_DEFLATED), 3);
	assert_int_equal(counter(NET_DEFLATED_FROM), 3 * 2000);
	for (n_peers = 0; n_peers < ARRAY_LEN(c);) {
		bool eof;
		struct slice got;

		n_peers++;
		turns();
		got = get(&eof);
		assert_int_equal(got.len, counter(NET_DEFLATED_TO));
		assert_int_equal(got.p[0], 0xc1);
	}
	/* a connection without compression gets the bytes as they are */
	conf.deflate = false;
	conn_send_shared(join(), shared_buf_ref(one), 1);
	turns();
	expect_bytes((char *)one->data, one->len, false);
	shared_buf_unref(&one);
	shared_buf_unref(&two);
}

/* Not before WELCOME, not if it is short, never a control frame. */
static void test_what_is_sent_plain(void **state)
{
	struct shared_buf *b = frames(2000, 1);
	struct conn *c = adopt_deflating();
	char many[125];
	bool eof;

	(void)state;
	conn_send(c, slice_of(b->data, b->len));
	conn_send_shared(c, shared_buf_ref(b), 1);
	turns();
	assert_int_equal(get(&eof).len, 2 * b->len);
	conn_established(c);
	conn_send(c, slice_str("\x81\x05short"));
	memset(many, 'a', sizeof(many));
	put_frame(0x89, many, sizeof(many));
	conn_send_ping(c);
	turns();
	assert_int_equal(get(&eof).len, 7 + 2 + sizeof(many) + 2);
	assert_int_equal(counter(NET_DEFLATED), 0);
	conn_send(c, slice_of(b->data, b->len));
	turns();
	assert_true(get(&eof).len < 100);
	assert_int_equal(counter(NET_DEFLATED), 1);
	conn_close(c, WS_CLOSE_NORMAL, "a reason");
	turns();
	assert_int_equal(get(&eof).len, 2 + 2 + 8);
	shared_buf_unref(&b);
}

/* Compressed frames are not joined with others. */
static void test_compressed_frames_stay_alone(void **state)
{
	struct shared_buf *b = frames(600, 1);
	struct conn *c = adopt_deflating();
	struct slice got;
	bool eof;

	(void)state;
	conn_established(c);
	conn_join_frames(c);
	for (int i = 0; i < 2; i++) {
		conn_send(c, slice_str("\x81\x01x"));
		conn_send(c, slice_str("\x81\x01x"));
		conn_send(c, slice_of(b->data, b->len));
		conn_send_shared(c, shared_buf_ref(b), 1);
	}
	turns();
	got = get(&eof);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(got.p[0], i % 3 == 0 ? 0x81 : 0xc1);
		if (i % 3 == 0)
			assert_int_equal(got.p[1], 2);
		got = slice_from(got, ws_frame_len(got.p));
	}
	assert_int_equal(got.len, 0);
	shared_buf_unref(&b);
}

/* What the queue does not accept is not compressed, and neither after the end. */
static void test_no_room(void **state)
{
	struct shared_buf *b = frames(60000, 1);
	struct conn *c[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		c[i] = adopt_deflating();
	for (int i = 0; i < 2; i++) {
		/* this is not compressed, so that the queue gets full */
		while (c[i]->stream.out.memory <= conf.queue_max - 60000)
			conn_send(c[i], slice_of(b->data, b->len));
		conn_established(c[i]);
	}
	conn_send(c[0], slice_of(b->data, b->len));
	conn_send_shared(c[1], shared_buf_ref(b), 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(c[i]->state, CONN_DEAD);
		conn_send(c[i], slice_of(b->data, b->len));
		conn_send_shared(c[i], shared_buf_ref(b), 1);
	}
	assert_int_equal(counter(NET_END_SLOW), 2);
	assert_int_equal(counter(NET_DEFLATED), 0);
	shared_buf_unref(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup_counts, teardown)
		T(test_bombs_wait_others_do_not),
		T(test_many_short_ones),
		T(test_nobody_starves),
		T(test_ends_and_pauses),
		T(test_no_pings_while_it_waits),
		T(test_no_pings_after_an_early_message),
		T(test_compressed_once),
		T(test_what_is_sent_plain),
		T(test_compressed_frames_stay_alone),
		T(test_no_room),
#undef T
	};

	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("conn_deflate", tests, NULL, NULL);
}
