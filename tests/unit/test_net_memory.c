/* SPDX-License-Identifier: Apache-2.0 */
/* Connections whose memory runs out at each allocation in turn. The connection that needs
 * the memory ends, its handler is told, and nothing is left behind. The sources are
 * included in this program, so that it can replace malloc for them. One thread. */
#include "tests/unit/failing_malloc.h"

#include "common/buf.c"
#include "common/shared_buf.c"
#include "proto/deflate.c"
#include "proto/rawsocket.c"
#include "proto/ws_reader.c"
#include "routerd/net/budget.c"
#include "routerd/net/conn.c"
#include "routerd/net/conn_control.c"
#include "routerd/net/conn_deflate.c"
#include "routerd/net/conn_http.c"
#include "routerd/net/conn_moved.c"
#include "routerd/net/conn_poll.c"
#include "routerd/net/conn_proxy.c"
#include "routerd/net/conn_raw.c"
#include "routerd/net/conn_state.c"
#include "routerd/net/net.c"
#include "routerd/net/outq.c"
#include "routerd/net/stream.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include "tests/unit/fake_loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/shared_check.h"

/* --- a scene with all kinds of traffic --- */

static int upgraded, closed_count, nomem;
static uint64_t n_inflated, n_deflated; /* messages */
static struct loop loop;
static struct net scene;

static int upgrade(struct conn *c, const struct http_request *req, const char **text_out)
{
	(void)c;
	(void)req;
	(void)text_out;
	upgraded++;
	return 0;
}

static int rawsocket(struct conn *c, unsigned serializer)
{
	(void)c;
	(void)serializer;
	upgraded++;
	return RAWSOCKET_OK;
}

static int longpoll(struct conn *c, const struct http_request *req, struct slice body,
		    const char **text_out)
{
	(void)c;
	(void)req;
	(void)body;
	*text_out = "echo";
	upgraded++;
	return 0;
}

/* The bytes are a RawSocket frame, in which long-poll messages are queued. */
static void message(struct conn *c, struct slice bytes, bool text)
{
	static const uint8_t head[] = {0, 0, 5000 >> 8, 5000 & 0xff};
	struct shared_buf *b;

	(void)text;
	conn_established(c);
	if (conn_is_longpoll(c) && ++c->user[0] % 2 == 0)
		return;
	conn_send(c, bytes);
	b = shared_buf_new(sizeof(head) + 5000);
	if (b == NULL)
		return;
	memset(b->data, 'x', b->len);
	memcpy(b->data, head, sizeof(head));
	if (c->deflates)
		frame_head(FRAMING_WS_TEXT, 5000, b->data);
	conn_send_shared(c, shared_buf_ref(b), 1);
	conn_send_shared(c, shared_buf_ref(b), 1);
	conn_send(c, bytes);
	shared_buf_unref(&b);
	if (conn_is_longpoll(c))
		/* After the hold, the message comes again. */
		conn_hold(c, bytes);
}

static void hand_over_nowhere(void *arg, unsigned worker, const struct conn_conf *conf,
			      struct conn_moved *moved)
{
	(void)arg;
	(void)worker;
	(void)conf;
	conn_moved_free(&moved);
}

static void on_closed(struct conn *c)
{
	closed_count++;
	nomem += conn_end(c) == CONN_END_NOMEM;
}

static const struct conn_handler handler = {
	.user_size = 1, /* the number of messages */
	.page = "a page",
	.upgrade = upgrade,
	.rawsocket = rawsocket,
	.longpoll = longpoll,
	.message = message,
	.closed = on_closed,
};

static void turn(void)
{
	event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	net_inflate_some(&scene);
	(void)net_turn_end(&scene);
}

static void say(int fd, const void *bytes, size_t len)
{
	(void)!send(fd, bytes, len, MSG_NOSIGNAL);
	turn();
}

static void play_websocket(const struct conn_conf *conf)
{
	static const char request[] =
		"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	uint8_t large[6 + 2 + 3000] = {0x02, 0x80 | 126, 3000 >> 8, 3000 & 0xff};
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	if (conn_adopt(&scene, fds[0], conf) != NULL) {
		say(fds[1], request, 50);
		say(fds[1], request + 50, strlen(request) - 50);
		say(fds[1], "\x82\x83\0\0\0\0abc", 9);
		say(fds[1], large, sizeof(large));
		say(fds[1], "\x89\x80\0\0\0\0\x80", 7);
		say(fds[1], "\x83\0\0\0\0abc", 8);
		say(fds[1], "\x88\x80\0\0\0\0", 6);
	}
	sock_close(&fds[1]);
	turn();
}

/* A message that is inflated in several turns, and a short one. Both get answers. */
static void play_deflate(const struct conn_conf *conf)
{
	static const char request[] =
		"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Extensions: permessage-deflate\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	static const uint8_t many[400 * 1000];
	static uint8_t frame[8 + 2000] = {0xc2, 0x80 | 126};
	z_stream z = {.next_in = many, .avail_in = sizeof(many)};
	int fds[2];

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, WINDOW_BITS, 8, 0), Z_OK);
	z.next_out = frame + 8;
	z.avail_out = sizeof(frame) - 8;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	size_t len = sizeof(frame) - 8 - z.avail_out - sizeof(tail);
	deflateEnd(&z);
	put_be16(frame + 2, (uint16_t)len);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	if (conn_adopt(&scene, fds[0], conf) != NULL) {
		say(fds[1], request, strlen(request));
		/* an empty message */
		say(fds[1], "\xc1\x81\0\0\0\0\0", 7);
		say(fds[1], frame, len + 8);
		say(fds[1], "\xc1\x81\0\0\0\0\0", 7);
		for (int i = 0; i < 10; i++)
			turn();
		n_inflated = scene.counters[NET_INFLATED];
		n_deflated = scene.counters[NET_DEFLATED];
	}
	sock_close(&fds[1]);
	turn();
}

static void play_rawsocket(const struct conn_conf *conf)
{
	static const uint8_t large[3000] = {0x00, 0x00, 0x0b, 0xb4};
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	if (conn_adopt(&scene, fds[0], conf) != NULL) {
		say(fds[1], "\x7f\xf1", 2);
		say(fds[1], "\0\0", 2);
		say(fds[1], "\0\0\0\3abc\0", 8);
		say(fds[1], "\0\0\3abc\1\0\0\1", 10);
		say(fds[1], "x", 1);
		say(fds[1], large, sizeof(large));
		say(fds[1], "\1\0\0\4pi", 6);
		say(fds[1], "ng\3\0\0\0", 6);
	}
	sock_close(&fds[1]);
	turn();
}

/* Sends a long-poll request, in two pieces. */
static void ask(int fd, const char *path, const char *body, size_t len)
{
	char text[300];
	int n = snprintf(text, sizeof(text),
			 "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
			 path, len);

	memcpy(text + n, body, len);
	say(fd, text, 30);
	say(fd, text + 30, (size_t)n + len - 30);
}

/* What a client of the long-poll connection `id` sends over two sockets. */
static void poll_with(const int ends[3], const char *id)
{
	static const char *const verbs[] = {"receive", "send",    "send",
					    "receive", "receive", "receive"};
	static const char frame[] = "\0\0\0\1x";
	char path[100];

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		bool sends = strcmp(verbs[i], "send") == 0;

		snprintf(path, sizeof(path), "/lp/%s/%s", id, verbs[i]);
		ask(ends[sends], path, frame, sends ? 5 : 0);
		if (!TAILQ_EMPTY(&scene.by_state[CONN_OPEN]))
			conn_release(TAILQ_FIRST(&scene.by_state[CONN_OPEN]));
		turn();
	}
	/* the same id, but of another worker */
	snprintf(path, sizeof(path), "/lp/AQ%s/close", id + 2);
	ask(ends[2], path, frame, 0);
	snprintf(path, sizeof(path), "/lp/%s/close", id);
	ask(ends[0], path, frame, 0);
}

static void play_longpoll(const struct conn_conf *conf)
{
	char answer_text[1000], *id;
	int ends[3];
	ssize_t n;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
					    fds),
				 0);
		(void)!conn_adopt(&scene, fds[0], conf);
		ends[i] = fds[1];
	}
	ask(ends[0], "/lp/open", "{}", 2);
	n = recv(ends[0], answer_text, sizeof(answer_text) - 1, 0);
	answer_text[n > 0 ? n : 0] = '\0';
	id = strstr(answer_text, "transport\":\"");
	if (id != NULL) {
		id += strlen("transport\":\"");
		id[strcspn(id, "\"")] = '\0';
		poll_with(ends, id);
	}
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		sock_close(&ends[i]);
	turn();
	net_close_all(&scene, WS_CLOSE_RESTART, NULL);
	turn();
}

/*
 * A connection whose PROXY header tells about TLS. Its request is handed over to another
 * worker, which would take what the header says.
 */
static void play_proxied(const struct conn_conf *conf)
{
	static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x21\0\0\6\2\0\3a.b";
	const struct network proxy = {.base = {.family = ADDRESS_UNIX}};
	struct conn_conf behind = *conf;
	char id[ID_TEXT] = "AQ", path[ID_TEXT + 20];
	int fds[2];

	memset(id + 2, 'A', ID_TEXT - 3);
	snprintf(path, sizeof(path), "/lp/%s/close", id);
	behind.proxies = &proxy;
	behind.n_proxies = 1;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	if (conn_adopt(&scene, fds[0], &behind) != NULL) {
		say(fds[1], header, 20);
		say(fds[1], header + 20, sizeof(header) - 1 - 20);
		ask(fds[1], path, "", 0);
	}
	sock_close(&fds[1]);
	turn();
}

static void play(const struct conn_conf *conf)
{
	play_longpoll(conf);
	play_proxied(conf);
	play_websocket(conf);
	play_deflate(conf);
	play_rawsocket(conf);
}

static void test_memory_runs_out(void **state)
{
	const struct conn_conf conf = {.handler = &handler,
				       .name = "test",
				       .framings = CONN_WEBSOCKET | CONN_RAWSOCKET,
				       .deflate = true,
				       .early_message_max = 1 << 20,
				       .message_max = 1 << 20,
				       .head_max = 8192,
				       .headers_max = 64,
				       .handshake_ms = 1000,
				       .ping_interval_ms = 1000,
				       .ping_timeout_ms = 1000,
				       .close_ms = 1000,
				       .poll_path = "/lp",
				       .poll_answer_ms = 1000,
				       .poll_timeout_ms = 1000,
				       .queue_max = 1 << 20};
	size_t failures = 0;
	int first_free = dup(0);

	(void)state;
	assert_true(first_free >= 0);
	close(first_free);
	for (fail_at = 1;; fail_at++) {
		loop.base = event_base_new();
		now_ms = 1000;
		allocations = 0;
		upgraded = closed_count = nomem = 0;
		if (net_init(&scene, &loop, "w0", 1 << 20, 1 << 20) != 0) {
			event_base_free(loop.base);
			failures++;
			continue;
		}
		scene.n_workers = 2;
		scene.hand_over = hand_over_nowhere;
		play(&conf);
		assert_int_equal(net_conns(&scene), 0);
		assert_int_equal(closed_count, upgraded);
		if (allocations < fail_at)
			break;
		failures++;
		net_fini(&scene);
		event_base_free(loop.base);
		assert_int_equal(not_freed, 0);
		assert_int_equal(dup(0), first_free); /* no descriptor is left open */
		close(first_free);
	}
	assert_int_equal(nomem, 0);
	assert_int_equal(n_inflated, 3);
	assert_true(n_deflated > 0);
	assert_true(failures > 10);
	assert_int_equal(scene.counters[NET_END_MOVED], 2);
	net_fini(&scene);
	event_base_free(loop.base);
	assert_int_equal(not_freed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
