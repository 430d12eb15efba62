/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of both framings, whose handler and peers do random things at any time,
 * with budgets that are soon full. Passes if no assertion or sanitizer fails and nothing
 * is left at the end. One thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conn_check.h"
#include "tests/unit/shared_check.h"
#include "tests/unit/squeeze.h"

enum {
	CONNS = 12,
	ROUNDS = 100,
	STEPS = 200,       /* steps of a round */
	NESTED = 3,        /* nesting of callbacks that act */
	LONG = 700 * 1000, /* bytes of a long message, before it is compressed */
	INFLATERS = 3,     /* for the connections */
};

static struct conn *conns[CONNS]; /* NULL: refused, or `closed` was called */
static bool raw[CONNS];
static int depth;
static unsigned n_held;

static const char request[] = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
			      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Extensions: permessage-deflate\r\n"
			      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

static void send_shared(struct conn *c, size_t len, unsigned times)
{
	struct shared_buf *b = shared_buf_new(len);

	assert_non_null(b);
	memset(b->data, 0, len);
	/* compression looks at the head; len is from 512 to 64 KiB */
	frame_head(FRAMING_WS_BINARY, len - 4, b->data);
	while (times-- > 0)
		conn_send_shared(c, shared_buf_ref(b), 1);
	shared_buf_unref(&b);
}

static void handler_acts(void)
{
	struct conn *c = conns[below(CONNS)];

	if (c == NULL)
		return;
	switch (below(11)) {
	case 0:
		/* a frame that may be joined with others */
		conn_send(c, slice_of("\x82\x01x", 3));
		break;
	case 1:
		/* more pieces than one turn writes */
		send_shared(c, OUTQ_SHARE_MIN, 500 + below(200));
		break;
	case 2:
		send_shared(c, OUTQ_SHARE_MIN + below(40000), 1 + below(3));
		break;
	case 3:
		if (one_in(20))
			conn_close(c, WS_CLOSE_NORMAL, NULL);
		break;
	case 4:
		if (one_in(20))
			conn_drop(c);
		break;
	case 5:
		if (one_in(2))
			conn_left(c);
		else
			conn_restart_handshake(c);
		break;
	case 6:
		conn_established(c);
		break;
	case 7:
		net.paused = !net.paused;
		break;
	case 8:
		conn_join_frames(c);
		break;
	case 9:
		if (one_in(500))
			net_close_all(&net, WS_CLOSE_RESTART, "all");
		break;
	case 10:
		conn_release(c);
		break;
	}
}

static void act_nested(void)
{
	if (depth == NESTED)
		return;
	depth++;
	handler_acts();
	depth--;
}

static void on_message(struct conn *c, struct slice bytes)
{
	buf_clear(&h.got);
	act_nested();
	if (bytes.len > 0 && one_in(4)) {
		conn_hold(c, slice_from(bytes, below((unsigned)bytes.len)));
		n_held++;
	}
}

static void on_closed(struct conn *c)
{
	for (size_t i = 0; i < CONNS; i++)
		if (conns[i] == c)
			conns[i] = NULL;
	act_nested();
}

static void peer_reads(int fd)
{
	static uint8_t bytes[65536];

	for (int i = 0; i < 100 && recv(fd, bytes, sizeof(bytes), 0) > 0; i++)
		;
}

/* Sends a compressed message: short, or so long that it takes several turns. */
static void peer_deflates(size_t i)
{
	bool is_short = one_in(2);
	uint8_t head[8] = {0xc1, 0x80 | 126};
	size_t n = is_short ? 6 : 8;
	struct buf b;

	squeeze_same(is_short ? 1000 : LONG, &b);
	if (is_short)
		head[1] = (uint8_t)(0x80 | b.len);
	else
		put_be16(head + 2, (uint16_t)b.len);
	(void)!send(peers[i], head, n, MSG_NOSIGNAL);
	(void)!send(peers[i], b.data, b.len, MSG_NOSIGNAL);
	buf_fini(&b);
}

static void peer_acts(size_t i)
{
	static const uint8_t junk[20000];
	static const struct {
		const char *bytes;
		size_t len;
	} says[2][3] = {
		/* two messages; a ping; the beginning of a message of 4 KiB */
		{{"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b", 14},
		 {"\x89\x80\0\0\0\0", 6},
		 {"\x82\xfe\x10\0\0\0\0\0aaaaaaaa", 16}},
		{{"\0\0\0\1a\0\0\0\1b", 10},
		 {"\1\0\0\3abc", 7},
		 {"\0\0\x10\0aaaaaaaa", 12}},
	};
	unsigned what = below(10);
	size_t len = 0;
	const void *bytes = junk;

	if (what < ARRAY_LEN(says[0])) {
		bytes = says[raw[i]][what].bytes;
		len = says[raw[i]][what].len;
	} else if (what == 3 && one_in(20)) {
		len = below(sizeof(junk));
	} else if (what == 4 && one_in(10)) {
		shutdown(peers[i], one_in(2) ? SHUT_WR : SHUT_RDWR);
	} else if (what > 4) {
		peer_reads(peers[i]);
	}
	if (len > 0)
		(void)!send(peers[i], bytes, len, MSG_NOSIGNAL);
	else if (what == 5 && !raw[i])
		peer_deflates(i);
}

static void connect_all(void)
{
	static const int sndbuf = 1 << 20;

	n_peers = 0;
	for (size_t i = 0; i < CONNS; i++) {
		struct conn *c = adopt();

		raw[i] = one_in(2);
		if (one_in(2))
			setsockopt(c->stream.fd, SOL_SOCKET, SO_SNDBUF, &sndbuf,
				   sizeof(sndbuf));
		h.last = NULL;
		if (!one_in(8) && raw[i])
			put("\x7f\xb3\0\0", 4);
		else if (!one_in(8))
			put_str(request);
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		conns[i] = h.last;
		if (conns[i] != NULL && !one_in(4))
			conn_established(conns[i]);
	}
}

static void step(void)
{
	for (unsigned k = below(6); k > 0; k--)
		handler_acts();
	for (unsigned k = below(6); k > 0; k--)
		peer_acts(below(CONNS));
	event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	if (!one_in(3))
		net_inflate_some(&net);
	if (!one_in(3))
		(void)net_turn_end(&net);
	if (!net.paused)
		net_resume_all(&net);
	if (one_in(60))
		advance(below(8000));
}

static void close_all(void)
{
	h.on_message = NULL; /* no action any more */
	for (size_t i = 0; i < CONNS; i++) {
		if (conns[i] != NULL)
			conn_release(conns[i]);
		conns[i] = NULL;
		sock_close(&peers[i]);
	}
	net.paused = false;
	net_resume_all(&net);
	/* long messages are inflated before the end of the stream is read */
	for (int i = 0; i < 10; i++)
		turns();
	advance(conf.handshake_ms + conf.close_ms);
	assert_int_equal(net_conns(&net), 0);
}

static void test_storm(void **state)
{
	(void)state;
	srand(3);
	h.on_closed = on_closed;
	conf.raw_pings = true;
	conf.queue_max = 8 << 20;
	conf.message_max = LONG;
	conf.deflate = true;
	net.inflaters.lent = INFLATERS_MAX - INFLATERS;
	conf.early_message_max = 20000;
	for (int round = 0; round < ROUNDS; round++) {
		net.max_incomplete = one_in(2) ? 12000 : 64 << 20;
		h.on_message = on_message;
		net.max_queued = one_in(2) ? 150000 : 64 << 20;
		connect_all();
		for (int i = 0; i < STEPS; i++)
			step();
		close_all();
	}
	n_peers = 0;
	assert_int_equal(net.inflaters.lent, INFLATERS_MAX - INFLATERS);
	net.inflaters.lent = 0;
	assert_true(counter(NET_INFLATED) > 100);
	assert_true(counter(NET_INFLATED_TO) / LONG > 10);
	assert_true(counter(NET_END_BUDGET_IN) > 0);
	assert_true(counter(NET_END_BUDGET_OUT) > 0);
	assert_true(counter(NET_END_HANDSHAKE) > 0);
	assert_true(counter(NET_PAUSES) > 0);
	assert_true(n_held > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
	};

	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("conn_storm", tests, NULL, NULL);
}
