/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of the tickets with which TLS sessions are resumed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tls_check.h"

/* Connects with this session, which it takes; returns a new one. */
static SSL_SESSION *connect_again(SSL_SESSION *session, bool resumes)
{
	SSL *client;
	uint8_t answer[4];
	struct conn *c = adopt_tls(&client);

	if (session != NULL)
		assert_int_equal(SSL_set_session(client, session), 1);
	assert_true(shake_hands(client));
	/* reads the ticket, too */
	say(client, "\x7f\xf3\0\0", 4);
	assert_int_equal(receive(client, answer, 4), 4);
	assert_int_equal(SSL_session_reused(client), resumes);
	conn_drop(c);
	SSL_SESSION *next = SSL_get1_session(client);
	SSL_SESSION_free(session);
	return next;
}

/* The same, but the caller keeps the session, and forgets the new one. */
static void try_session(SSL_SESSION *session, bool resumes)
{
	SSL_SESSION_up_ref(session);
	SSL_SESSION_free(connect_again(session, resumes));
}

static void use_version(int version)
{
	assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, version), 1);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* A key makes tickets for an hour, and opens them for two more. */
static void test_keys_change(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		use_version(versions[v]);
		SSL_SESSION *first = connect_again(NULL, false);
		try_session(first, true);
		for (int hours = 1; hours <= 2; hours++) {
			now_ms += TLS_TICKET_PERIOD_MS;
			try_session(first, true);
		}
		/* A client that has come with an old key has got a ticket of the new one.
		 */
		SSL_SESSION_up_ref(first);
		SSL_SESSION *second = connect_again(first, true);
		now_ms += TLS_TICKET_PERIOD_MS;
		try_session(first, false);
		try_session(second, true);
		/* Nobody has come for a long time. */
		now_ms += 100ull * TLS_TICKET_PERIOD_MS;
		try_session(second, false);
		SSL_SESSION_free(first);
		SSL_SESSION_free(second);
	}
}

static void test_workers_have_the_same_keys(void **state)
{
	SSL_SESSION *session = connect_again(NULL, false);
	struct tls_tickets other;

	(void)state;
	now_ms += 5ull * TLS_TICKET_PERIOD_MS;
	session = connect_again(session, false);
	/* This worker has had no client so far. */
	tls_tickets_init(&other, &seed);
	tls_tickets_fini(&net.tls.tickets);
	net.tls.tickets = other;
	session = connect_again(session, true);
	SSL_SESSION_free(session);
}

static void test_another_listener(void **state)
{
	struct tls_context *another = make_context("another", NULL);

	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		use_version(versions[v]);
		conf.tls = context;
		SSL_SESSION *session = connect_again(NULL, false);
		conf.tls = another;
		session = connect_again(session, false);
		session = connect_again(session, true);
		conf.tls = context;
		session = connect_again(session, false);
		SSL_SESSION_free(session);
	}
	spin();
	tls_context_free(&another);
}

/* A ticket that was changed is like none. */
static void test_a_bad_ticket(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		use_version(versions[v]);
		SSL_SESSION *session = connect_again(NULL, false);
		net.tls.tickets.keys[0].mac[0] ^= 1;
		session = connect_again(session, false);
		session = connect_again(session, true);
		SSL_SESSION_free(session);
	}
}

/* The names of keys that were never used must not be zero or alike. */
static void test_the_first_keys(void **state)
{
	const struct tls_ticket_key *k = net.tls.tickets.keys;
	static const struct tls_ticket_key none;

	(void)state;
	for (int i = 0; i < TLS_TICKET_KEYS; i++) {
		assert_memory_not_equal(k[i].name, none.name, sizeof(none.name));
		assert_memory_not_equal(k[i].cipher, none.cipher, sizeof(none.cipher));
		assert_memory_not_equal(k[i].mac, none.mac, sizeof(none.mac));
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(k[i].name, k[j].name, sizeof(none.name));
	}
}

/*
 * The listener with this name asks for client certificates now. So a ticket from before
 * is good for nothing, and nobody gets a new one.
 */
static void test_client_certificates(void **state)
{
	struct buf certificate, secret;
	struct tls_refusal refusal;
	struct tls_context *asks;

	(void)state;
	make_pair(&certificate, &secret, NULL);
	const struct tls_pair pair = {buf_slice(&certificate), buf_slice(&secret)};
	for (size_t v = 0; v < 2 * ARRAY_LEN(versions); v++) {
		enum tls_clients rule =
			v % 2 == 0 ? TLS_CLIENTS_OPTIONAL : TLS_CLIENTS_REQUIRED;
		SSL *client;

		use_version(versions[v / 2]);
		conf.tls = context;
		SSL_SESSION *session = connect_again(NULL, false);
		asks = tls_context_new(
			&(struct tls_context_conf){.name = "test",
						   .pairs = &pair,
						   .n_pairs = 1,
						   .clients = rule,
						   .client_ca = buf_slice(&certificate)},
			&refusal);
		assert_non_null(asks);
		conf.tls = asks;
		if (rule == TLS_CLIENTS_OPTIONAL) {
			session = connect_again(session, false);
			assert_false(SSL_SESSION_has_ticket(session));
			session = connect_again(session, false);
		} else {
			uint64_t failed = counter(NET_END_TLS);
			(void)adopt_tls(&client);
			assert_int_equal(SSL_set_session(client, session), 1);
			(void)shake_hands(client);
			spin();
			assert_int_equal(counter(NET_END_TLS), failed + 1);
			close_peer();
		}
		SSL_SESSION_free(session);
		spin();
		tls_context_free(&asks);
	}
	buf_fini(&certificate);
	buf_fini(&secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_keys_change),      T(test_workers_have_the_same_keys),
		T(test_another_listener), T(test_a_bad_ticket),
		T(test_the_first_keys),   T(test_client_certificates),
	};
	signal(SIGPIPE, SIG_IGN); /* the client writes to closed sockets */
	int failed = cmocka_run_group_tests_name("tls_tickets", tests, NULL, NULL);

	tls_context_free(&context);
	return failed;
}
