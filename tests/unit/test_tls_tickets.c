/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of the tickets with which TLS sessions are resumed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tls_check.h"

/* --- tickets --- */

/* Connects with this session; returns a new one. */
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

static void test_tickets(void **state)
{
	SSL_SESSION *session = connect_again(NULL, false);

	(void)state;
	session = connect_again(session, true);
	/* the key has changed once, and twice */
	now_ms += TLS_TICKET_PERIOD_MS;
	session = connect_again(session, true);
	now_ms += 2ull * TLS_TICKET_PERIOD_MS;
	session = connect_again(session, true);
	/* the key is forgotten */
	now_ms += 3ull * TLS_TICKET_PERIOD_MS;
	session = connect_again(session, false);

	/* another worker, which has seen nothing of this */
	struct tls_tickets other;
	tls_tickets_init(&other, &seed);
	tls_tickets_fini(&net.tls.tickets);
	net.tls.tickets = other;
	session = connect_again(session, true);

	/* another listener of the same worker */
	struct tls_context *another = make_context("another", NULL);
	conf.tls = another;
	session = connect_again(session, false);
	spin();
	tls_context_free(&another);
	SSL_SESSION_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_tickets),
	};
	signal(SIGPIPE, SIG_IGN); /* the client writes to closed sockets */
	int failed = cmocka_run_group_tests_name("tls_tickets", tests, NULL, NULL);

	tls_context_free(&context);
	return failed;
}
