/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of connections with TLS: records and messages, floods, slow readers, ends.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tls_check.h"

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
	};
	signal(SIGPIPE, SIG_IGN); /* the client writes to closed sockets */
	int failed = cmocka_run_group_tests_name("tls", tests, NULL, NULL);

	tls_context_free(&context);
	return failed;
}
