/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for the tests of connections with TLS. The client is OpenSSL on the other end
 * of a socket pair. Include it behind <cmocka.h>. One thread. */
#ifndef TESTS_UNIT_TLS_CHECK_H
#define TESTS_UNIT_TLS_CHECK_H

#include "tests/unit/conn_check.h"
#include "tests/unit/tls_make.h"

#include <openssl/err.h>

static struct tls_context *context;
static SSL_CTX *client_ctx;
static struct tls_ticket_seed seed;
static SSL *clients[PEERS_MAX];

/* --- set-up --- */

static int setup_tls(void **state)
{
	int err = setup(state);

	if (context == NULL)
		context = make_context("test", NULL);
	conf.tls = context;
	client_ctx = SSL_CTX_new(TLS_client_method());
	tls_ticket_seed_init(&seed, now_ms);
	return err != 0 ? err : net_use_tls(&net, 2, &seed);
}

static int teardown_tls(void **state)
{
	for (size_t i = 0; i < n_peers; i++) {
		SSL_free(clients[i]);
		clients[i] = NULL;
	}
	SSL_CTX_free(client_ctx);
	return teardown(state);
}

static bool serving; /* the router runs, and not a client */

/* Runs turns, with handshakes. */
static void spin(void)
{
	serving = true;
	for (int i = 0; i < 20; i++) {
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		(void)net_handshake_some(&net);
		(void)net_turn_end(&net);
	}
	serving = false;
}

/* A connection whose client has not begun. */
static struct conn *adopt_tls(SSL **client_out)
{
	struct conn *c = adopt();
	SSL *client = SSL_new(client_ctx);

	SSL_set_fd(client, peer());
	SSL_set_connect_state(client);
	*client_out = clients[n_peers - 1] = client;
	return c;
}

static bool shake_hands(SSL *client)
{
	for (int i = 0; i < 10; i++) {
		ERR_clear_error();
		if (SSL_do_handshake(client) == 1)
			return true;
		spin();
	}
	return false;
}

/* Everything that the client gets. */
static size_t receive(SSL *client, uint8_t *to, size_t max)
{
	size_t all = 0, n;

	for (int i = 0; i < 5; i++) {
		ERR_clear_error();
		while (all < max && SSL_read_ex(client, to + all, max - all, &n) == 1)
			all += n;
		spin();
	}
	return all;
}

static void say(SSL *client, const void *data, size_t len)
{
	size_t n;

	ERR_clear_error();
	assert_int_equal(SSL_write_ex(client, data, len, &n), 1);
	assert_int_equal(n, len);
}

/* An established RawSocket connection. */
static inline struct conn *open_tls(SSL **client_out)
{
	struct conn *c = adopt_tls(client_out);
	uint8_t answer[4];

	assert_true(shake_hands(*client_out));
	say(*client_out, "\x7f\xf3\0\0", 4);
	assert_int_equal(receive(*client_out, answer, 4), 4);
	assert_int_equal(c->state, CONN_OPEN);
	conn_established(c);
	return c;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_tls, teardown_tls)

#endif
