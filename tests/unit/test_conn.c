/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of routerd/net/conn and net over WebSocket: a connection from its first to
 * its last byte, and all deadlines. Pauses and limits: test_conn_limits.c; RawSocket:
 * test_conn_raw.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/conn_ws_check.h"
#include "tests/unit/shared_check.h"

/* --- opening --- */

static void test_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct conn) <= 384);
}

static void test_upgrade_and_messages(void **state)
{
	struct conn *c = open_conn();

	(void)state;
	assert_string_equal(conn_prefix(c).text, "w0 c1");
	assert_string_equal(conn_peer_name(c).text, "unix");
	put_text("one");
	put_text("two");
	turns();
	expect_messages("one|two|");
	conn_send(c, slice_str("\x81\x01"
			       "a"));
	conn_send(c, slice_str("\x81\x01"
			       "b"));
	EXPECT("", false); /* written only at the end of the turn */
	turns();
	EXPECT("\x81\x01"
	       "a\x81\x01"
	       "b",
	       false);
	assert_int_equal(counter(NET_MESSAGES_IN), 2);
	assert_int_equal(counter(NET_MESSAGES_OUT), 2);
	assert_int_equal(counter(NET_WRITES), 2);
	assert_int_equal(counter(NET_UPGRADED), 1);
}

static void test_frames_right_behind_the_request(void **state)
{
	struct buf b;

	(void)state;
	for (size_t cut = 1; cut < strlen(request) + 20; cut += 7) {
		buf_init(&b, 4096);
		buf_put_str(&b, request);
		buf_put(&b, "\x81\x83\0\0\0\0abc\x81\x83\0\0\0\0def", 18);
		cut = min_size(cut, b.len);
		(void)adopt();
		put(b.data, cut);
		turns();
		put(b.data + cut, b.len - cut);
		turns();
		expect_messages("abc|def|");
		expect_bytes(accepted, strlen(accepted), false);
		close_peer();
		buf_fini(&b);
	}
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(net.incomplete_bytes, 0);
}

static void test_request_byte_by_byte(void **state)
{
	(void)state;
	(void)adopt();
	for (size_t i = 0; i < strlen(request); i++) {
		put(request + i, 1);
		turns();
	}
	expect_bytes(accepted, strlen(accepted), false);
	assert_int_equal(net.incomplete_bytes, 0);
}

/* The connection answers by HTTP, shuts its direction down, and waits for the peer's end.
 */
static void check_answer(const char *text, const char *status_line)
{
	bool eof;
	struct slice got;
	struct conn *c = adopt();

	put_str(text);
	turns();
	got = get(&eof);
	assert_true(got.len > strlen(status_line));
	assert_memory_equal(got.p, status_line, strlen(status_line));
	assert_true(eof);
	assert_int_equal(c->state, CONN_CLOSING);
	assert_int_equal(conn_end(c), CONN_END_HTTP);
	put_str("whatever comes is thrown away");
	turns();
	assert_int_equal(net_conns(&net), 1);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(h.closed, 0);
}

/* A long list of paths is cut, and stays one line. */
static void test_many_paths(void **state)
{
	static char path[400] = "/";
	const char *const paths[] = {path, path, path, path};
	struct slice got;
	bool eof;

	(void)state;
	memset(path + 1, 'p', sizeof(path) - 2);
	conf.paths = paths;
	conf.n_paths = ARRAY_LEN(paths);
	(void)adopt();
	put_str("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	turns();
	got = get(&eof);
	assert_non_null(memmem(got.p, got.len, "ppp...\r\n", 8));
	assert_non_null(memmem(got.p, got.len, "ppp...\n", 7));
	close_peer();
}

#define X5  "X: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\n"
#define X15 X5 X5 X5
#define X16 X15 "X: y\r\n"
static void test_answers(void **state)
{
	static char large[2048 + 2];

	(void)state;
	check_answer("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ");
	check_answer("HEAD /ws HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ");
	check_answer("GET /ws HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ");
	check_answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		     "HTTP/1.1 404 Not Found: There is nothing at this path. Paths that "
		     "exist: /ws\r\n");
	check_answer("POST /ws HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ");
	check_answer("GET /ws HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ");
	check_answer("\x16\x03\x01 hello", "HTTP/1.1 400 ");
	memset(large, 'G', sizeof(large) - 1);
	check_answer(large, "HTTP/1.1 414 ");
	memcpy(large, "GET / HTTP/1.1\r\nX: ", 19);
	check_answer(large, "HTTP/1.1 431 ");
	assert_int_equal(net.counters[NET_REQUESTS_TOO_LARGE], 2);
	check_answer("GET /ws HTTP/1.1\r\n" X16 "Host: a\r\n\r\n", "HTTP/1.1 431 ");
	check_answer("GET /ws HTTP/1.1\r\n" X15 "Host: a\r\n\r\n", "HTTP/1.1 200 ");
	assert_int_equal(net.counters[NET_REQUESTS_TOO_LARGE], 3);
	h.status = 403;
	check_answer(request, "HTTP/1.1 403 ");
}

static void test_dropped_in_upgrade(void **state)
{
	bool eof;

	(void)state;
	h.drop_in_upgrade = true;
	(void)adopt();
	put_str(request);
	turns();
	assert_int_equal(get(&eof).len, 0);
	assert_true(eof);
	assert_int_equal(h.closed, 1); /* upgrade returned 0 */
	assert_int_equal(net_conns(&net), 0);
	h.status = 400;
	(void)adopt();
	put_str(request);
	turns();
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
}

/* --- closing --- */

static void test_peer_closes(void **state)
{
	struct conn *c = join();

	(void)state;
	conn_send(c, slice_str("\x81\x01"
			       "a"));
	put_text("last");
	put_frame(0x88,
		  "\x03\xe9"
		  "bye",
		  5);
	put_text("late");
	turns();
	expect_messages("last|");
	EXPECT("\x81\x01"
	       "a\x88\x02\x03\xe9",
	       true);
	assert_int_equal(h.closed, 1);
	assert_int_equal(conn_end(c), CONN_END_PEER);
	assert_int_equal(net_conns(&net), 1);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_PEER), 1);
}

static void test_peer_closes_without_code(void **state)
{
	(void)state;
	(void)join();
	put_frame(0x88, "", 0);
	turns();
	EXPECT("\x88\x02\x03\xe8", true); /* 1000 */
}

static void test_we_close(void **state)
{
	struct conn *c = join();

	(void)state;
	conn_send(c, slice_str("\x81\x01"
			       "a"));
	conn_close(c, WS_CLOSE_RESTART, "bye");
	conn_send(c, slice_str("\x81\x01"
			       "b"));
	turns();
	EXPECT("\x81\x01"
	       "a\x88\x05\x03\xf4"
	       "bye",
	       false);
	assert_int_equal(h.closed, 1);
	/* later messages are neither delivered nor an error */
	put_text("late");
	put_frame(0x01, "\xff", 1);
	put_frame(0x89, "ping", 4);
	turns();
	expect_messages("");
	put_frame(0x88, "\x03\xf4", 2);
	turns();
	EXPECT("", true);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_OWN), 1);
}

static void test_a_goodbye_has_a_deadline(void **state)
{
	bool eof;

	(void)state;
	conn_close(join(), WS_CLOSE_NORMAL, NULL);
	turns();
	EXPECT("\x88\x02\x03\xe8", false);
	advance(conf.close_ms - 1);
	assert_int_equal(net_conns(&net), 1);
	advance(2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
	(void)get(&eof);
	assert_true(eof);
	assert_int_equal(counter(NET_END_OWN), 1);
	/* the same after a half-close */
	(void)join();
	put_frame(0x88, "", 0);
	turns();
	advance(conf.close_ms + 2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(h.closed, 2);
}

static void test_protocol_error(void **state)
{
	struct conn *c = join();
	bool eof;
	struct slice got;

	(void)state;
	put_text("good");
	put("\x81\x01x", 3);
	put_text("ignored");
	turns();
	expect_messages("good|");
	got = get(&eof);
	assert_true(got.len >= 4);
	assert_memory_equal(got.p + 2, "\x03\xea", 2);
	assert_true(eof);
	assert_int_equal(h.closed, 1);
	assert_int_equal(conn_end(c), CONN_END_PROTOCOL);
	close_peer();
	assert_int_equal(net_conns(&net), 0);
}

static void test_lost(void **state)
{
	(void)state;
	(void)join();
	close_peer();
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_LOST), 1);
	(void)adopt();
	close_peer();
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
}

static void drop_it(struct conn *c, struct slice bytes)
{
	(void)bytes;
	conn_drop(c);
	assert_int_equal(h.closed, 0); /* conn_drop itself does not call it */
}

static void close_it(struct conn *c, struct slice bytes)
{
	(void)bytes;
	conn_close(c, 4000, "enough");
	assert_int_equal(h.closed, 0);
}

static void test_dropped_by_a_message(void **state)
{
	(void)state;
	h.on_message = drop_it;
	(void)join();
	put_text("one");
	put_text("two");
	put_frame(0x01, "three", 5);
	turns();
	expect_messages("one|");
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
}

/* Messages of a batched subprotocol that are sent in one turn share a frame. */
static void test_messages_share_a_frame(void **state)
{
	struct conn *c = open_conn();
	struct shared_buf *b = shared_buf_copy(slice_of("\x82\x01"
							"3",
							3));

	(void)state;
	assert_non_null(b);
	conn_send(c, slice_of("\x82\x01"
			      "0",
			      3));
	conn_send(c, slice_of("\x82\x01"
			      "1",
			      3));
	turns();
	expect_bytes("\x82\x01"
		     "0\x82\x01"
		     "1",
		     6, false);
	conn_join_frames(c);
	conn_send(c, slice_of("\x82\x01"
			      "1",
			      3));
	conn_send(c, slice_of("\x82\x01"
			      "2",
			      3));
	conn_send_shared(c, b, 1);
	turns();
	expect_bytes("\x82\x03"
		     "123",
		     5, false);
	conn_send(c, slice_of("\x82\x01"
			      "4",
			      3));
	turns();
	expect_bytes("\x82\x01"
		     "4",
		     3, false);
	conn_send(c, slice_of("\x82\x01"
			      "5",
			      3));
	conn_close(c, 1000, NULL);
	turns();
	expect_bytes("\x82\x01"
		     "5\x88\x02\x03\xe8",
		     7, false);
}

static void test_closed_by_a_message(void **state)
{
	(void)state;
	h.on_message = close_it;
	(void)join();
	put_text("one");
	put_text("two");
	put_frame(0x88, "\x0f\xa0", 2);
	turns();
	expect_messages("one|");
	EXPECT("\x88\x08\x0f\xa0"
	       "enough",
	       true);
	assert_int_equal(h.closed, 1);
}

static void call_everything(struct conn *c)
{
	struct shared_buf *b = shared_buf_new(1000);

	assert_non_null(b);
	memset(b->data, 0, b->len);
	conn_established(c);
	conn_send(c, slice_str("x"));
	conn_send_shared(c, b, 1);
	conn_close(c, WS_CLOSE_NORMAL, "");
	(void)conn_prefix(c);
	(void)conn_peer_name(c);
	conn_drop(c);
}

static void test_everything_is_harmless_everywhere(void **state)
{
	struct conn *c;

	(void)state;
	h.on_closed = call_everything;
	call_everything(adopt());
	call_everything(join());
	c = join();
	conn_close(c, WS_CLOSE_NORMAL, "");
	call_everything(c);
	call_everything(c); /* a dead connection ignores all calls */
	c = join();
	net.paused = true;
	put_text("paused");
	turns();
	call_everything(c);
	turns();
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(h.closed, 3);
}

static void test_close_all(void **state)
{
	bool eof;
	struct slice got;

	(void)state;
	(void)adopt();
	put_str("GET");
	turns();
	(void)join();
	net_close_all(&net, WS_CLOSE_RESTART, "bye");
	turns();
	EXPECT("\x88\x05\x03\xf4"
	       "bye",
	       false);
	n_peers--;
	got = get(&eof);
	assert_memory_equal(got.p, "HTTP/1.1 503 ", 13);
	assert_true(eof);
	n_peers++;
	put_frame(0x88, "\x03\xf4", 2);
	close_peer();
	assert_int_equal(net_conns(&net), 1);
	advance(conf.close_ms + 2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(h.closed, 1);
}

/* --- deadlines --- */

static void test_handshake_deadline(void **state)
{
	(void)state;
	(void)adopt();
	put_str("GET /ws HT");
	advance(conf.handshake_ms - 1);
	put_str("TP"); /* partial input does not extend the deadline */
	turns();
	assert_int_equal(net_conns(&net), 1);
	advance(2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);

	/* the upgrade does not end the deadline */
	h.establish = false;
	(void)open_conn();
	advance(conf.handshake_ms / 2);
	put_text("hello");
	turns();
	advance(conf.handshake_ms / 2 + 2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(h.closed, 1);
	/* not a clean close, so that the client tries again */
	EXPECT("", true);
	assert_int_equal(counter(NET_END_HANDSHAKE), 2);
	assert_int_equal(net_conns(&net), 0);
}

static void test_established_ends_the_deadline(void **state)
{
	struct conn *c;

	(void)state;
	conf.ping_interval_ms = 0;
	c = join();
	advance(1000 * 1000);
	assert_int_equal(c->state, CONN_OPEN);
	EXPECT("", false);
}

/* Later connections set later deadlines, which must not delay that of a silent one. */
static void test_deadlines_of_others(void **state)
{
	(void)state;
	(void)adopt();
	for (int i = 0; i < 10; i++) {
		advance(conf.handshake_ms / 10);
		(void)adopt();
	}
	assert_int_equal(counter(NET_END_HANDSHAKE), 0);
	advance(2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);
}

/* After a session and until the next one, the deadline and the small limit apply again.
 */
static void test_left(void **state)
{
	struct conn *c = join();

	(void)state;
	net.paused = true; /* a pause only affects established connections */
	put_text("one");
	turns();
	expect_messages("");
	h.establish = false;
	conn_left(c);
	turns();
	expect_messages("one|");
	advance(conf.handshake_ms - 10);
	EXPECT("", false); /* nor pings */
	assert_int_equal(c->state, CONN_OPEN);
	advance(10 + 2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(c->state, CONN_CLOSING);
	assert_int_equal(conn_end(c), CONN_END_IDLE);
	EXPECT("\x88\x1c\x03\xe8no new HELLO after GOODBYE", false);
}

/* Another handshake has its full time, however long the pause before it was. */
static void test_restart_handshake(void **state)
{
	struct conn *c = join();

	(void)state;
	h.establish = false;
	conn_restart_handshake(c); /* no effect: there is a session */
	conn_left(c);
	advance(conf.handshake_ms - 10);
	conn_restart_handshake(c);
	conn_restart_handshake(c); /* only the first call counts */
	advance(conf.handshake_ms - 10);
	conn_restart_handshake(c);
	assert_int_equal(c->state, CONN_OPEN);
	advance(10 + 2 * NET_DEADLINE_STEP_MS);
	EXPECT("", true);
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);
}

static void test_restart_handshake_in_time(void **state)
{
	struct conn *c = join();

	(void)state;
	conn_left(c);
	conn_restart_handshake(c);
	conn_established(c);
	advance(conf.ping_interval_ms - 10);
	EXPECT("", false);
	advance(2 * NET_DEADLINE_STEP_MS);
	EXPECT("\x89\x00", false);
}

static void test_pings(void **state)
{
	struct conn *c = join();

	(void)state;
	advance(conf.ping_interval_ms - 10);
	EXPECT("", false);
	advance(2 * NET_DEADLINE_STEP_MS);
	EXPECT("\x89\x00", false);
	/* a pong shows that the peer is alive */
	advance(conf.ping_timeout_ms - 1000);
	put_frame(0x8a, "", 0);
	turns();
	advance(conf.ping_interval_ms - 10);
	EXPECT("", false);
	/* so does any other data, even half a frame */
	put("\x81", 1);
	turns();
	advance(conf.ping_interval_ms - 10);
	EXPECT("", false);
	advance(2 * NET_DEADLINE_STEP_MS);
	EXPECT("\x89\x00", false);
	put("\x81", 1);
	turns();
	advance(conf.ping_timeout_ms + 2 * NET_DEADLINE_STEP_MS);
	assert_int_equal(c->state, CONN_OPEN);
	/* silence does not */
	advance(conf.ping_interval_ms + conf.ping_timeout_ms + 2 * NET_DEADLINE_STEP_MS);
	EXPECT("\x89\x00", true);
	assert_int_equal(h.closed, 1);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(counter(NET_END_PING), 1);
	assert_int_equal(counter(NET_PINGS_OUT), 3);
}

static void test_pings_are_answered(void **state)
{
	(void)state;
	(void)join();
	put_frame(0x89, "abc", 3);
	put_frame(0x89, "", 0);
	turns();
	EXPECT("\x8a\x03"
	       "abc\x8a\x00",
	       false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_small),
		T(test_upgrade_and_messages),
		T(test_messages_share_a_frame),
		T(test_frames_right_behind_the_request),
		T(test_request_byte_by_byte),
		T(test_answers),
		T(test_many_paths),
		T(test_dropped_in_upgrade),
		T(test_peer_closes),
		T(test_peer_closes_without_code),
		T(test_we_close),
		T(test_a_goodbye_has_a_deadline),
		T(test_protocol_error),
		T(test_lost),
		T(test_dropped_by_a_message),
		T(test_closed_by_a_message),
		T(test_everything_is_harmless_everywhere),
		T(test_handshake_deadline),
		T(test_established_ends_the_deadline),
		T(test_deadlines_of_others),
		T(test_left),
		T(test_restart_handshake),
		T(test_restart_handshake_in_time),
		T(test_pings),
		T(test_pings_are_answered),
		T(test_close_all),
#undef T
	};

	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
