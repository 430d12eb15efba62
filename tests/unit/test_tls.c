/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of connections with TLS: records and messages, floods, slow readers, ends,
 * the queue of handshakes, tickets. The client is OpenSSL on the other end of a socket
 * pair. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/conn_check.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

static struct tls_context *context;
static SSL_CTX *client_ctx;
static struct tls_ticket_seed seed;
static SSL *clients[PEERS_MAX];

/* --- set-up --- */

/* Writes a PEM text to out. */
static void put_pem(struct buf *out, X509 *x, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	if (x != NULL)
		assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	else
		assert_int_equal(
			PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	long len = BIO_get_mem_data(bio, &text);
	buf_put(out, text, (size_t)len);
	BIO_free(bio);
}

static struct tls_context *make_context(const char *name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	struct buf certificate, secret;

	buf_init(&certificate, 4096);
	buf_init(&secret, 4096);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	put_pem(&certificate, x, NULL);
	put_pem(&secret, NULL, key);
	const struct tls_pair pair = {buf_slice(&certificate), buf_slice(&secret)};
	struct tls_context *c = tls_context_new(
		&(struct tls_context_conf){.name = name, .pairs = &pair, .n_pairs = 1});
	assert_non_null(c);
	buf_fini(&certificate);
	buf_fini(&secret);
	X509_free(x);
	EVP_PKEY_free(key);
	return c;
}

static int setup_tls(void **state)
{
	int err = setup(state);

	if (context == NULL)
		context = make_context("test");
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

/* Runs turns, with handshakes. */
static void spin(void)
{
	for (int i = 0; i < 20; i++) {
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		(void)net_handshake_some(&net);
		(void)net_turn_end(&net);
	}
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
static struct conn *open_tls(SSL **client_out)
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

/* --- records --- */

static void test_many_messages_in_few_records(void **state)
{
	SSL *client;
	char expected[201 * 2] = "";
	uint8_t frames[40 * 5];

	(void)state;
	(void)open_tls(&client);
	for (int i = 0; i < 40; i++)
		memcpy(frames + i * 5, "\0\0\0\1x", 5);
	for (int i = 0; i < 5; i++)
		say(client, frames, sizeof(frames));
	spin();
	for (int i = 0; i < 200; i++)
		strcat(expected, "x|");
	expect_messages(expected);
	/* and one message in many records */
	for (int i = 0; i < 5; i++)
		say(client, frames + i, 1);
	spin();
	expect_messages("x|");
}

static void test_slow_reader(void **state)
{
	enum { SIZE = 1 << 19 };
	SSL *client;
	struct conn *c = open_tls(&client);
	uint8_t *sent = malloc(SIZE), *got = malloc(SIZE);

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	conn_send(c, slice_of(sent, SIZE));
	conn_send(c, slice_of(sent, 3));
	for (int i = 0; i < 10; i++)
		spin();
	assert_int_equal(c->stream.list, STREAM_BLOCKED);
	/* only what was encrypted already; the rest is in the queue */
	assert_in_range(c->stream.tls->left_counted, 1, 70 * 1024);
	for (size_t all = 0; all < SIZE;) {
		size_t n = receive(client, got + all, SIZE - all);
		assert_true(n > 0);
		all += n;
	}
	assert_memory_equal(got, sent, SIZE);
	assert_int_equal(receive(client, got, 10), 3);
	assert_int_equal(c->stream.tls->left_counted, 0);
	assert_int_equal(net.out.memory, 0);
	free(sent);
	free(got);
}

/* The workers' buffer for records must not keep those of a connection that has failed. */
static void test_records_of_a_failed_connection_go_nowhere(void **state)
{
	static const uint8_t data[64 * 1024];
	size_t max = net.tls.out.max;
	SSL *client, *honest;
	struct conn *c = open_tls(&client), *other = open_tls(&honest);
	uint8_t answer[10];

	(void)state;
	/* room for one record, but not for the two of the second write */
	net.tls.out.max = 20000;
	conn_send(c, slice_of(data, sizeof(data)));
	spin();
	assert_int_equal(counter(NET_END_NOMEM), 1);
	net.tls.out.max = max;
	conn_send(other, slice_str("hello"));
	spin();
	assert_int_equal(receive(honest, answer, sizeof(answer)), 5);
	assert_memory_equal(answer, "hello", 5);
}

/* --- floods --- */

static void update_keys(SSL *client, int n)
{
	for (int i = 0; i < n; i++) {
		assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(client), 1);
	}
}

static void test_key_updates(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);
	uint8_t answer[10];

	(void)state;
	for (int i = 0; i < 5; i++) {
		update_keys(client, 30);
		say(client, "\0\0\0\1x", 5);
		spin();
		expect_messages("x|");
	}
	/* the answers came, and the keys still fit */
	conn_send(c, slice_str("hello"));
	spin();
	assert_int_equal(receive(client, answer, sizeof(answer)), 5);
	update_keys(client, 200);
	spin();
	assert_int_equal(counter(NET_END_TLS), 1);
	assert_int_equal(h.closed, 1);
}

static void test_garbage_after_the_handshake(void **state)
{
	SSL *client, *honest;
	struct conn *c = open_tls(&client), *other = open_tls(&honest);
	uint8_t byte;

	(void)state;
	say(client, "\0\0\0\1x", 5);
	assert_int_equal(send(peers[0],
			      "\x17\x03\x03\0\x20garbagegarbagegarbagegarbage1234", 37,
			      0),
			 37);
	spin();
	/* the data before it arrive */
	expect_messages("x|");
	assert_int_equal(c->end, CONN_END_TLS);
	ERR_clear_error();
	assert_true(SSL_read(client, &byte, 1) <= 0);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()),
			 SSL_AD_REASON_OFFSET + SSL_AD_BAD_RECORD_MAC);
	/* an error of one connection is none of another */
	say(honest, "\0\0\0\1y", 5);
	spin();
	expect_messages("y|");
	assert_int_equal(other->state, CONN_OPEN);
}

/* What is still in the queue cannot be sent: the client gets the alert and the end. */
static void test_garbage_while_output_waits(void **state)
{
	static const uint8_t data[1 << 19];
	static uint8_t got[1 << 16];
	SSL *client;
	struct conn *c = open_tls(&client);
	ssize_t n = -1;

	(void)state;
	conn_send(c, slice_of(data, sizeof(data)));
	spin();
	assert_int_equal(c->stream.list, STREAM_BLOCKED);
	assert_int_equal(send(peer(), "\x17\x03\x03\0\x01?", 6, 0), 6);
	for (int i = 0; i < 50 && n != 0; i++) {
		spin();
		n = recv(peer(), got, sizeof(got), MSG_DONTWAIT);
	}
	assert_int_equal(n, 0);
	assert_int_equal(c->end, CONN_END_TLS);
}

/* --- ends --- */

static void test_ends(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);
	uint8_t bytes[10];

	(void)state;
	/* a clean close has close_notify, behind the last output */
	conn_send(c, slice_str("bye"));
	conn_close(c, WS_CLOSE_NORMAL, NULL);
	assert_int_equal(receive(client, bytes, sizeof(bytes)), 3);
	assert_int_equal(SSL_get_shutdown(client), SSL_RECEIVED_SHUTDOWN);
	close_peer();
	assert_int_equal(counter(NET_END_OWN), 1);

	/* a drop has none: the client should try again */
	c = open_tls(&client);
	conn_send(c, slice_str("bye"));
	conn_drop(c);
	receive(client, bytes, sizeof(bytes));
	assert_int_equal(SSL_get_shutdown(client), 0);
	close_peer();

	/* the client's close_notify is a clean end, its end of file is not */
	for (int clean = 0; clean < 2; clean++) {
		c = open_tls(&client);
		say(client, "\0\0\0\1x", 5);
		if (clean)
			SSL_shutdown(client);
		else
			shutdown(peer(), SHUT_WR);
		uint64_t before = counter(clean ? NET_END_PEER : NET_END_LOST);
		spin();
		expect_messages("x|");
		assert_int_equal(counter(clean ? NET_END_PEER : NET_END_LOST),
				 before + 1);
	}
}

static void test_input_behind_a_hold_is_not_lost(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);

	(void)state;
	say(client, "\0\0\0\1x\0\0\0\1y", 10);
	SSL_shutdown(client);
	h.on_message = conn_hold;
	spin();
	assert_int_equal(c->state, CONN_OPEN);
	h.on_message = NULL;
	buf_clear(&h.got);
	conn_release(c);
	spin();
	expect_messages("x|y|");
	assert_int_equal(counter(NET_END_PEER), 1);
}

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
	struct conn *c = adopt_tls(&client);

	(void)state;
	assert_int_equal(send(peer(), "\x16\x03\x01\x02", 4, 0), 4);
	spin();
	assert_int_equal(net.tls.in_progress, 1);
	advance(5100);
	assert_int_equal(net.tls.in_progress, 0);
	assert_int_equal(counter(NET_END_HANDSHAKE), 1);
	(void)c;
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

static void test_overload(void **state)
{
	int fds[2];
	char byte;

	(void)state;
	net.tls.waiting = 10000;
	net.tls.cost_ns = 300 * 1000;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	live++;
	assert_null(conn_adopt(&net, fds[0], &conf));
	assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
	close(fds[1]);
	assert_int_equal(counter(NET_TLS_REFUSED), 1);
	net.tls.waiting = 0;
}

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
	struct tls_context *another = make_context("another");
	conf.tls = another;
	session = connect_again(session, false);
	spin();
	tls_context_free(&another);
	SSL_SESSION_free(session);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_tls, teardown_tls)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_many_messages_in_few_records),
		T(test_slow_reader),
		T(test_records_of_a_failed_connection_go_nowhere),
		T(test_key_updates),
		T(test_garbage_after_the_handshake),
		T(test_garbage_while_output_waits),
		T(test_ends),
		T(test_input_behind_a_hold_is_not_lost),
		T(test_handshakes_wait_for_a_slot),
		T(test_half_a_handshake_has_a_deadline),
		T(test_order),
		T(test_overload),
		T(test_tickets),
	};
	signal(SIGPIPE, SIG_IGN); /* the client writes to closed sockets */
	int failed = cmocka_run_group_tests_name("tls", tests, NULL, NULL);

	tls_context_free(&context);
	return failed;
}
