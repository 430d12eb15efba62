/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of the queue of TLS handshakes: who is next, who waits, who is refused. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tls_check.h"

/* --- the queue of handshakes --- */

static void test_handshakes_wait_for_a_slot(void **state)
{
	SSL *client[4];
	struct conn *c[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		c[i] = adopt_tls(&client[i]);
		assert_int_equal(SSL_do_handshake(client[i]), -1);
	}
	spin();
	/* two have begun; the others cost no memory yet */
	assert_int_equal(net.tls.in_progress, 2);
	assert_int_equal(net.tls.waiting, 2);
	assert_null(c[2]->stream.tls->ssl);
	assert_int_equal(counter(NET_TLS_STARTED), 2);
	/* one ends, one is finished: both make room */
	conn_drop(c[0]);
	assert_true(shake_hands(client[1]));
	spin();
	assert_int_equal(net.tls.waiting, 0);
	assert_true(shake_hands(client[2]));
	assert_true(shake_hands(client[3]));
	spin();
	assert_int_equal(net.tls.in_progress, 0);
	assert_int_equal(counter(NET_TLS_DONE), 3);
}

static void test_half_a_handshake_has_a_deadline(void **state)
{
	SSL *client;

	(void)state;
	(void)adopt_tls(&client);
	assert_int_equal(send(peer(), "\x16\x03\x01\x02", 4, 0), 4);
	spin();
	assert_int_equal(net.tls.in_progress, 1);
	advance(5100);
	assert_int_equal(net.tls.in_progress, 0);
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);
}

/* The deadline counts from the connect, through TLS, until the login has succeeded. */
static void test_one_deadline_for_all(void **state)
{
	SSL *client;
	struct conn *c = adopt_tls(&client);
	uint8_t answer[4];

	(void)state;
	advance(2500);
	assert_true(shake_hands(client));
	advance(1500);
	say(client, "\x7f\xf3\0\0", 4);
	assert_int_equal(receive(client, answer, 4), 4);
	assert_int_equal(c->state, CONN_OPEN);
	advance(900);
	assert_int_equal(counter(NET_END_HANDSHAKE), 0);
	advance(300);
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);
}

/* A turn begins at least one part of a handshake, and flights come before hellos. */
static void test_order(void **state)
{
	SSL *first, *second;
	struct conn *a = adopt_tls(&first), *b;

	(void)state;
	assert_int_equal(SSL_do_handshake(first), -1);
	spin();
	b = adopt_tls(&second);
	assert_int_equal(SSL_do_handshake(second), -1);
	assert_int_equal(SSL_do_handshake(first), 1);
	event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(a->stream.tls->state, TLS_SHAKING_DUE);
	assert_int_equal(b->stream.tls->state, TLS_NEW_DUE);
	/* signatures have used up the budget of this turn */
	look_ns = 2 * 1000 * 1000;
	(void)budget_crypto_spent(&net.budget);
	assert_true(net_handshake_some(&net));
	look_ns = 0;
	assert_int_equal(a->stream.tls->state, TLS_OPEN);
	assert_int_equal(b->stream.tls->state, TLS_NEW_DUE);
	spin();
	assert_true(shake_hands(second));
}

/* A client at 192.0.2.HOST that has sent its first bytes. */
static struct conn *begin_at(uint8_t host, SSL **client_out)
{
	struct conn *c = adopt_tls(client_out);

	c->peer = (struct address){.family = ADDRESS_IPV4, .host = {192, 0, 2, host}};
	assert_int_equal(SSL_do_handshake(*client_out), -1);
	spin();
	return c;
}

/* One address cannot take all slots, nor make the others wait behind all its clients. */
static void test_crowd(void **state)
{
	struct conn *crowd[8], *c;
	SSL *first, *client;

	(void)state;
	net.tls.max = 4;
	for (int i = 0; i < 8; i++)
		crowd[i] = begin_at(1, i == 0 ? &first : &client);
	assert_int_equal(net.tls.in_progress, 3);
	assert_int_equal(net.tls.waiting, 5);
	/* the last slot is for others, who are next */
	c = begin_at(2, &client);
	assert_int_equal(net.tls.waiting, 5);
	assert_true(shake_hands(client));
	spin();
	assert_int_equal(c->stream.tls->state, TLS_OPEN);
	assert_int_equal(net.tls.in_progress, 3);
	/* the crowd gets slots of its own clients: of those that end, and of the slow */
	assert_true(shake_hands(first));
	spin();
	assert_int_equal(net.tls.waiting, 4);
	advance(2100);
	spin();
	assert_int_equal(counter(NET_END_HANDSHAKE), 3);
	assert_int_equal(net.tls.waiting, 1);
	conn_drop(crowd[7]);
	assert_int_equal(net.tls.waiting, 0);
	assert_int_equal(net.tls.n_crowd, 0);
	/* now it is an address as any other */
	for (int i = 4; i < 7; i++)
		conn_drop(crowd[i]);
	assert_int_equal(net.tls.hosts.count, 0);
	(void)begin_at(1, &client);
	assert_true(shake_hands(client));
}

/* Connects a client that is refused at once. */
static void expect_refusal(void)
{
	uint64_t before = counter(NET_TLS_REFUSED);
	int fds[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	live++;
	assert_null(conn_adopt(&net, fds[0], &conf));
	assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
	close(fds[1]);
	assert_int_equal(counter(NET_TLS_REFUSED), before + 1);
}

static void test_overload(void **state)
{
	(void)state;
	net.tls.waiting = 10000;
	net.tls.cost_ns = 300 * 1000;
	expect_refusal();
	/* the crowd of another address does not count */
	net.tls.n_crowd = 10000;
	conn_drop(adopt());
	net.tls.n_crowd = net.tls.waiting = 0;
}

/*
 * Sessions count against the limit of all queues, until they end in any way. A quarter is
 * left for messages.
 */
static void test_memory_of_sessions(void **state)
{
	size_t one = net.tls.session_memory, max = net.max_queued;
	SSL *client[3];
	struct conn *c[3];

	(void)state;
	assert_in_range(one, 16 * 1024, 32 * 1024);
	net.max_queued = 4 * one;
	for (int i = 0; i < 3; i++) {
		c[i] = adopt_tls(&client[i]);
		assert_int_equal(net_queued(&net), (i + 1) * one);
	}
	expect_refusal();
	/* not of those without TLS */
	conf.tls = NULL;
	(void)adopt();
	conf.tls = context;

	/* before the handshake, in it, and after it */
	conn_drop(c[0]);
	spin();
	assert_int_equal(net_queued(&net), 2 * one);
	assert_int_equal(SSL_do_handshake(client[1]), -1);
	spin();
	assert_int_equal(net_queued(&net), 2 * one);
	conn_drop(c[1]);
	spin();
	assert_true(shake_hands(client[2]));
	assert_int_equal(net_queued(&net), one);
	/* one that fails */
	c[0] = adopt_tls(&client[0]);
	assert_int_equal(send(peer(), "\x16\x03\x01\0\1?", 6, 0), 6);
	spin();
	close_peer();
	spin();
	assert_int_equal(net_queued(&net), one);
	net.max_queued = max;
	conn_drop(c[2]);
	spin();
	assert_int_equal(net_queued(&net), 0);
}

/* Silent clients must make room, but not sooner than the usual client is done. */
static void test_the_usual_time(void **state)
{
	SSL *client, *next;

	(void)state;
	conf.handshake_ms = 60000;
	for (int i = 0; i < 10; i++) {
		(void)adopt_tls(&client);
		assert_int_equal(SSL_do_handshake(client), -1);
		spin();
		advance(1500);
		assert_true(shake_hands(client));
		close_peer();
	}
	for (int i = 0; i < 2; i++) {
		(void)adopt_tls(&client);
		assert_int_equal(SSL_do_handshake(client), -1);
	}
	(void)adopt_tls(&next);
	assert_int_equal(SSL_do_handshake(next), -1);
	spin();
	assert_int_equal(net.tls.waiting, 1);
	advance(4000);
	spin();
	assert_int_equal(counter(NET_END_HANDSHAKE), 0);
	advance(2000);
	spin();
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);
	assert_int_equal(net.tls.waiting, 0);
	assert_true(shake_hands(next));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_handshakes_wait_for_a_slot),
		T(test_half_a_handshake_has_a_deadline),
		T(test_one_deadline_for_all),
		T(test_order),
		T(test_crowd),
		T(test_overload),
		T(test_memory_of_sessions),
		T(test_the_usual_time),
	};
	signal(SIGPIPE, SIG_IGN); /* the client writes to closed sockets */
	int failed = cmocka_run_group_tests_name("tls_queue", tests, NULL, NULL);

	tls_context_free(&context);
	return failed;
}
