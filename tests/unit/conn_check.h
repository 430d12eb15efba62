/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for the tests of connections: real socket pairs, a handler that the test
 * controls, and a replacement for common/loop whose clock the test controls. Include it
 * behind <cmocka.h>. One thread. */
#ifndef TESTS_UNIT_CONN_CHECK_H
#define TESTS_UNIT_CONN_CHECK_H

#include "common/buf.h"
#include "common/err.h"
#include "routerd/net/conn_int.h"
#include "tests/unit/fake_loop.h"

#include <errno.h>
#include <sys/socket.h>

/* --- the handler --- */

enum { USER_MAGIC = 0x5eed, PEERS_MAX = 64 };

struct user {
	int magic;
	int messages;
	bool closed;
};

static struct {
	int status; /* the answer of `upgrade` and `rawsocket` */
	bool drop_in_upgrade;
	unsigned serializer; /* of the last RawSocket handshake */
	bool establish;      /* establish the connection at the first message */
	int closed;          /* number of calls */
	struct conn *last;   /* the last upgraded connection */
	void (*on_message)(struct conn *c, struct slice bytes);
	void (*on_closed)(struct conn *c);
	struct buf got; /* received messages, each followed by '|' */
} h;

static int upgrade(struct conn *c, const struct http_request *req, const char **text_out)
{
	struct user *u = conn_user(c);

	assert_true(slice_eq_str(req->path, "/ws"));
	assert_int_equal(u->magic, 0); /* a new connection's user data is zeroed */
	u->magic = USER_MAGIC;
	h.last = c;
	*text_out = h.status == 0 ? "sub" : "No.";
	if (h.drop_in_upgrade)
		conn_drop(c);
	return h.status;
}

static int rawsocket(struct conn *c, unsigned serializer)
{
	struct user *u = conn_user(c);

	assert_int_equal(u->magic, 0);
	u->magic = USER_MAGIC;
	h.last = c;
	h.serializer = serializer;
	if (h.drop_in_upgrade)
		conn_drop(c);
	return h.status;
}

static void message(struct conn *c, struct slice bytes, bool text)
{
	struct user *u = conn_user(c);

	(void)text;
	assert_int_equal(u->magic, USER_MAGIC);
	assert_false(u->closed);
	u->messages++;
	if (h.establish)
		conn_established(c);
	buf_put_slice(&h.got, bytes);
	buf_put_u8(&h.got, '|');
	if (h.on_message != NULL)
		h.on_message(c, bytes);
}

static void closed(struct conn *c)
{
	struct user *u = conn_user(c);

	assert_int_equal(u->magic, USER_MAGIC);
	assert_false(u->closed);
	assert_int_not_equal(conn_end(c), CONN_END_NONE);
	u->closed = true;
	h.closed++;
	if (h.on_closed != NULL)
		h.on_closed(c);
}

static const struct conn_handler handler = {
	.user_size = sizeof(struct user),
	.page = "a page",
	.upgrade = upgrade,
	.rawsocket = rawsocket,
	.message = message,
	.closed = closed,
};

/* --- connections and time --- */

static struct loop loop;
static struct net net;
static struct conn_conf conf;
static _Atomic uint32_t live;
static int peers[PEERS_MAX]; /* the other ends of the connections */
static size_t n_peers;

static int setup(void **state)
{
	static const char *const paths[] = {"/ws"};

	(void)state;
	memset(&h, 0, sizeof(h));
	h.establish = true;
	buf_init(&h.got, 64u << 20);
	loop.base = event_base_new();
	now_ms = 1000 * 1000;
	n_peers = 0;
	conf = (struct conn_conf){.handler = &handler, .name = "test",
				  .live = &live,
				  .framings = CONN_WEBSOCKET | CONN_RAWSOCKET,
				  .early_message_max = 100,
				  .message_max = 1 << 20,
				  .head_max = 2048,
				  .headers_max = 16,
				  .paths = paths,
				  .n_paths = ARRAY_LEN(paths),
				  .handshake_ms = 5000,
				  .ping_interval_ms = 30000,
				  .ping_timeout_ms = 10000,
				  .close_ms = 3000,
				  .queue_max = 1 << 20};
	return net_init(&net, &loop, "w0", 64u << 20, 64u << 20);
}

static int teardown(void **state)
{
	(void)state;
	net_fini(&net);
	for (size_t i = 0; i < n_peers; i++)
		sock_close(&peers[i]);
	assert_int_equal(live, 0);
	assert_int_equal(net.counters[NET_ADOPTED], net.counters[NET_FREED]);
	buf_fini(&h.got);
	event_base_free(loop.base);
	return 0;
}

/* Runs turns until nothing happens without time passing. */
static void turns(void)
{
	for (int i = 0; i < 20; i++) {
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		net_inflate_some(&net);
		(void)net_turn_end(&net);
	}
}

static inline void advance(uint64_t ms)
{
	uint64_t until = now_ms + ms;

	while (armed != NULL && armed_due <= until) {
		struct timer *t = armed;

		now_ms = armed_due > now_ms ? armed_due : now_ms;
		armed = NULL;
		t->cb(t->arg);
		turns();
	}
	now_ms = until;
	turns();
}

/* A new connection. Its other end is the last of peers. */
static struct conn *adopt(void)
{
	struct conn *c;
	int fds[2];

	assert_true(n_peers < PEERS_MAX);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	peers[n_peers++] = fds[1];
	live++;
	c = conn_adopt(&net, fds[0], &conf);
	assert_non_null(c);
	return c;
}

static int peer(void)
{
	return peers[n_peers - 1];
}

static void put(const void *bytes, size_t len)
{
	assert_int_equal(send(peer(), bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void put_str(const char *s)
{
	put(s, strlen(s));
}

/* Everything that the peer has received. Valid until the next call. */
static struct slice get(bool *eof_out)
{
	static uint8_t bytes[4 << 20];
	size_t n = 0;

	*eof_out = false;
	for (;;) {
		ssize_t r = recv(peer(), bytes + n, sizeof(bytes) - n, 0);

		if (r <= 0) {
			*eof_out = r == 0 || errno == ECONNRESET;
			return slice_of(bytes, n);
		}
		n += (size_t)r;
	}
}

static inline void expect_bytes(const char *expected, size_t len, bool eof)
{
	bool got_eof;
	struct slice got = get(&got_eof);

	assert_int_equal(got.len, len);
	assert_memory_equal(got.p, expected, len);
	assert_int_equal(got_eof, eof);
}

#define EXPECT(literal, eof) expect_bytes(literal, sizeof(literal) - 1, eof)

static inline void expect_messages(const char *expected)
{
	assert_int_equal(h.got.len, strlen(expected));
	if (h.got.len > 0)
		assert_memory_equal(h.got.data, expected, h.got.len);
	buf_clear(&h.got);
}

static inline void close_peer(void)
{
	sock_close(&peers[n_peers - 1]);
	turns();
}

static inline uint64_t counter(enum net_counter which)
{
	return net.counters[which];
}

#endif
