/* SPDX-License-Identifier: Apache-2.0 */
/* Connections with TLS whose memory runs out at each allocation in turn, ours and those
 * of OpenSSL. Only the connection that needs the memory ends. One thread. */
#include "tests/unit/wrapped_malloc.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tls_check.h"

enum { ANSWER = 300 * 1000 }; /* more than the kernel takes */
static uint8_t answer[ANSWER], got[ANSWER];

/* --- OpenSSL's allocations; those of the client succeed --- */

struct block {
	size_t size;
	bool served; /* for the router */
	_Alignas(16) uint8_t data[];
};
static size_t served_bytes; /* in all blocks for the router */

static void *use_block(struct block *b, size_t size, bool served)
{
	if (b == NULL)
		return NULL;
	*b = (struct block){.size = size, .served = served};
	served_bytes += served ? size : 0;
	return b->data;
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
	bool fails = serving && !may_allocate();

	(void)file;
	(void)line;
	return use_block(fails ? NULL : __real_malloc(sizeof(struct block) + size), size,
			 serving);
}

static void ssl_free(void *p, const char *file, int line)
{
	struct block *b;

	(void)file;
	(void)line;
	if (p == NULL)
		return;
	b = (struct block *)p - 1;
	served_bytes -= b->served ? b->size : 0;
	__real_free(b);
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
	void *p = size == 0 ? NULL : ssl_malloc(size, file, line);

	if (p != NULL && old != NULL) {
		const struct block *b = (struct block *)old - 1;
		memcpy(p, old, b->size < size ? b->size : size);
	}
	if (p != NULL || size == 0)
		ssl_free(old, file, line);
	return p;
}

/* --- clients --- */

static void send_answer(struct conn *c, struct slice bytes)
{
	(void)bytes;
	conn_send(c, slice_of(answer, ANSWER));
}

/* A client that makes the router allocate in each way. Its connection may end. */
static void play_rawsocket(SSL *client)
{
	size_t n;

	(void)SSL_write_ex(client, "\x7f\xf3\0\0\0\0\0\1x", 9, &n);
	spin();
	/* an answer of OpenSSL, and half a message */
	(void)SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED);
	(void)SSL_write_ex(client, "\0\0\0\2y", 5, &n);
	spin();
	(void)receive(client, got, 4);
	n = receive(client, got, ANSWER);
	assert_memory_equal(got, answer, n);
	(void)SSL_shutdown(client);
	spin();
}

static struct conn_moved *moved;

static void hand_over(void *arg, unsigned worker, const struct conn_conf *to_conf,
		      struct conn_moved *m)
{
	(void)arg;
	(void)worker;
	(void)to_conf;
	moved = m;
}

/* A client of long-poll whose socket moves to another worker, which is the same here. */
static void play_longpoll(SSL *client)
{
	static const char request[] =
		"POST /lp/AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/receive "
		"HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 0\r\n\r\n";
	size_t n;

	(void)SSL_write_ex(client, request, strlen(request), &n);
	spin();
	net.self = 1;
	serving = true;
	if (moved != NULL)
		(void)conn_adopt_moved(&net, &conf, &moved);
	serving = false;
	spin();
	net.self = 0;
	n = receive(client, got, 13);
	assert_memory_equal(got, "HTTP/1.1 404 ", n);
}

/* Connects, plays and closes. */
static void play(void (*how)(SSL *client))
{
	SSL *client = SSL_new(client_ctx);
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		0);
	SSL_set_fd(client, fds[1]);
	SSL_set_connect_state(client);
	live++;
	serving = true;
	bool adopted = conn_adopt(&net, fds[0], &conf) != NULL;
	serving = false;
	if (adopted && shake_hands(client))
		how(client);
	ERR_clear_error();
	SSL_free(client);
	close(fds[1]);
	spin();
}

/* Each allocation fails in turn: alone, or with all that follow. */
static void fail_each(void (*how)(SSL *client), size_t n)
{
	SSL *honest;
	size_t failures = 0;

	(void)open_tls(&honest);
	/* Some memory is kept for the next connections. */
	play(how);
	buf_fini(&h.got);
	size_t live_before = memory.live, conns = net_conns(&net);
	for (memory.first = 1;; memory.first++, failures++) {
		h.on_message = send_answer;
		memory.count = memory.failed = 0;
		memory.n = n;
		play(how);
		memory.n = 0;
		assert_int_equal(net_conns(&net), conns);
		assert_int_equal(net_queued(&net), net.tls.session_memory);
		h.on_message = NULL;
		buf_fini(&h.got);
		assert_int_equal(memory.live, live_before);
		if (memory.failed == 0)
			break;
		/* the other connection lives on */
		say(honest, "\0\0\0\1x", 5);
		spin();
		expect_messages("x|");
		buf_fini(&h.got);
	}
	assert_true(failures > 500);
	assert_true(counter(NET_END_NOMEM) + counter(NET_END_TLS) > failures / 2);
	/* a lack of memory is no fault of the clients */
	assert_int_equal(counter(NET_TLS_ALERTS), 0);
}

static void test_rawsocket_one_fails(void **state)
{
	(void)state;
	fail_each(play_rawsocket, 1);
}

static void test_rawsocket_all_fail(void **state)
{
	(void)state;
	fail_each(play_rawsocket, SIZE_MAX / 2);
}

static void test_longpoll_one_fails(void **state)
{
	(void)state;
	net.n_workers = 2;
	net.hand_over = hand_over;
	conf.poll_path = "/lp";
	fail_each(play_longpoll, 1);
}

/* What counts against the limit of all queues is what a session needs, or a little more.
 */
static void test_memory_of_a_session(void **state)
{
	enum { N = 10 };
	SSL *client;

	(void)state;
	(void)open_tls(&client);
	size_t before = served_bytes;
	for (int i = 0; i < N; i++)
		(void)open_tls(&client);
	size_t one = (served_bytes - before) / N + sizeof(struct tls);
	assert_in_range(one, net.tls.session_memory / 2, net.tls.session_memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_memory_of_a_session),
		T(test_rawsocket_one_fails),
		T(test_rawsocket_all_fail),
		T(test_longpoll_one_fails),
	};
	wrap_libevent();
	assert_true(CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free));
	signal(SIGPIPE, SIG_IGN); /* the client writes to closed sockets */
	for (size_t i = 0; i < ANSWER; i++)
		answer[i] = (uint8_t)(i * 7 + i / 251);
	int failed = cmocka_run_group_tests_name("tls_memory", tests, NULL, NULL);

	tls_context_free(&context);
	return failed;
}
