/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of connections with TLS: records and messages, floods, slow readers, ends;
 * certificates that OpenSSL refuses. */
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

enum {
	LEFT_MAX = 64 * 1024, /* of records that the kernel does not take */
	SENT = 1 << 19,       /* more than the kernel takes */
};
static uint8_t sent[SENT], got[SENT];

/* Sends more than the kernel takes. */
static void block(struct conn *c)
{
	for (size_t i = 0; i < SENT; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	conn_send(c, slice_of(sent, SENT));
	for (int i = 0; i < 10; i++)
		spin();
	assert_int_equal(c->stream.list, STREAM_BLOCKED);
	assert_in_range(c->stream.tls->left->len, 1, LEFT_MAX);
}

/* The client gets the first len bytes of it. */
static void expect_sent(SSL *client, size_t len)
{
	for (size_t all = 0; all < len;) {
		size_t n = receive(client, got + all, len - all);
		assert_true(n > 0);
		all += n;
	}
	assert_memory_equal(got, sent, len);
}

/* Collects the next records of the client instead of sending them. */
static BIO *collect(SSL *client)
{
	BIO *records = BIO_new(BIO_s_mem());

	SSL_set0_wbio(client, records);
	return records;
}

/*
 * No byte of a client may wait inside OpenSSL for a further byte: five records in one
 * segment, and the same records byte by byte.
 */
static void test_records_in_any_segments(void **state)
{
	static const size_t sizes[] = {SIZE_MAX, 1, 7};
	SSL *client;
	struct conn *c = open_tls(&client);
	BIO *records = collect(client);
	uint8_t frames[40 * 5], *p;

	(void)state;
	for (int i = 0; i < 40; i++)
		memcpy(frames + i * 5, "\0\0\0\1x", 5);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (int r = 0; r < 5; r++)
			say(client, frames, sizeof(frames));
		size_t len = (size_t)BIO_get_mem_data(records, &p), step;
		for (size_t at = 0; at < len; at += step) {
			step = min_size(sizes[i], len - at);
			put(p + at, step);
			spin();
			assert_int_equal(SSL_pending(c->stream.tls->ssl), 0);
			/* each whole record was handled */
			assert_int_equal(h.got.len, (at + step) / (len / 5) * 80);
		}
		assert_int_equal(h.got.len, 5 * 80);
		buf_clear(&h.got);
		(void)BIO_reset(records);
	}
}

static void test_slow_reader(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);
	const struct outq *q = &c->stream.out;

	(void)state;
	block(c);
	size_t left = c->stream.tls->left->len, queued = q->memory;
	assert_true(queued > SENT / 2 + left);
	assert_int_equal(net_queued(&net), queued + net.tls.session_memory);
	/* nothing more is encrypted: it waits in the queue */
	conn_send(c, slice_of(sent, 3));
	spin();
	assert_int_equal(c->stream.tls->left->len, left);
	assert_true(q->memory > queued);

	expect_sent(client, SENT);
	assert_int_equal(receive(client, got, 10), 3);
	assert_null(c->stream.tls->left);
	assert_int_equal(q->memory, 0);
	assert_int_equal(net_queued(&net), net.tls.session_memory);
}

static uint64_t encrypted(const struct conn *c)
{
	return BIO_number_written(SSL_get_wbio(c->stream.tls->ssl));
}

/* Nothing is encrypted before the whole leftover is written, however slowly. */
static void test_very_slow_reader(void **state)
{
	const int small = 1;
	SSL *client;
	struct conn *c = open_tls(&client);
	int parts = 0;

	(void)state;
	setsockopt(c->stream.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	block(c);
	for (size_t all = 0, n; all < SENT;) {
		const struct buf *left = c->stream.tls->left;
		size_t before = left == NULL ? 0 : left->len;
		uint64_t written = counter(NET_BYTES_OUT), old = encrypted(c);

		if (SSL_read_ex(client, got + all, SENT - all, &n) == 1)
			all += n;
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		(void)net_turn_end(&net);
		written = counter(NET_BYTES_OUT) - written;
		assert_true(written >= before || encrypted(c) == old);
		parts += written > 0 && written < before;
	}
	assert_true(parts > 10);
	assert_memory_equal(got, sent, SENT);
}

/* What a turn queues for a client that reads is one write, and full records. */
static void test_few_writes(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);
	uint64_t writes = counter(NET_WRITES), bytes = counter(NET_BYTES_OUT);

	(void)state;
	for (int i = 0; i < 40; i++)
		conn_send(c, slice_of(sent, 1024));
	spin();
	assert_int_equal(counter(NET_WRITES), writes + 1);
	assert_int_equal(counter(NET_BYTES_OUT), bytes + 40 * 1024 + 3 * 22);
	assert_int_equal(receive(client, got, SENT), 40 * 1024);
}

/* The last answer is not cut off, although the kernel has not taken all of it yet. */
static void test_close_of_a_slow_reader(void **state)
{
	const int small = 1;
	SSL *client;
	struct conn *c = open_tls(&client);

	(void)state;
	setsockopt(c->stream.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	conn_send(c, slice_of(sent, 40 * 1024));
	spin();
	assert_true(outq_empty(&c->stream.out));
	assert_non_null(c->stream.tls->left);
	conn_close(c, WS_CLOSE_NORMAL, NULL);
	spin();
	assert_int_equal(c->state, CONN_CLOSING);
	expect_sent(client, 40 * 1024);
	assert_int_equal(receive(client, got, 10), 0);
	assert_int_equal(SSL_get_shutdown(client), SSL_RECEIVED_SHUTDOWN);
	/* the client's close_notify is not awaited for ever */
	assert_int_equal(c->state, CONN_CLOSING);
	advance(conf.close_ms + NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
}

/* Nor is one that does not even read the last answer. */
static void test_close_of_a_client_that_does_not_read(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);

	(void)state;
	block(c);
	conn_close(c, WS_CLOSE_NORMAL, NULL);
	spin();
	assert_int_equal(c->state, CONN_CLOSING);
	advance(conf.close_ms + NET_DEADLINE_STEP_MS);
	assert_int_equal(net_conns(&net), 0);
	assert_int_equal(net_queued(&net), 0);
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
	uint64_t before = counter(NET_BYTES_OUT);
	uint8_t answer[10];

	(void)state;
	for (int i = 0; i < 5; i++) {
		update_keys(client, 30);
		say(client, "\0\0\0\1x", 5);
		spin();
		expect_messages("x|");
	}
	/* the answers were written at once, and the keys still fit */
	assert_null(c->stream.tls->left);
	assert_in_range(counter(NET_BYTES_OUT) - before, 149 * 27, 150 * 27);
	conn_send(c, slice_str("hello"));
	spin();
	assert_int_equal(receive(client, answer, sizeof(answer)), 5);
	update_keys(client, 200);
	spin();
	assert_int_equal(counter(NET_END_TLS), 1);
	assert_int_equal(h.closed, 1);
}

/*
 * A client that does not read can make the router answer. The answers are bounded: when
 * they no longer fit, input waits. Before that it is read, because an honest client may
 * write much before it reads.
 */
static void test_key_updates_of_a_client_that_does_not_read(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);
	const struct tls *t = c->stream.tls;
	int n = 0;

	(void)state;
	block(c);
	while ((c->stream.armed & EV_READ) != 0) {
		size_t before = t->left->len;

		update_keys(client, 20);
		say(client, "\0\0\0\1x", 5);
		spin();
		expect_messages("x|");
		assert_true(t->left->len > before);
		assert_true(++n < 200);
	}
	assert_in_range(t->left->len, LEFT_MAX - 5000, LEFT_MAX);
	update_keys(client, 20);
	say(client, "\0\0\0\1y", 5);
	spin();
	expect_messages("");
	/* nothing is lost */
	expect_sent(client, SENT);
	spin();
	expect_messages("y|");
	assert_null(t->left);
	assert_int_equal(c->state, CONN_OPEN);
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
	/* the alert is the last record: no close_notify follows */
	assert_int_equal(recv(peers[0], &byte, 1, 0), 0);
	/* an error of one connection is none of another */
	say(honest, "\0\0\0\1y", 5);
	spin();
	expect_messages("y|");
	assert_int_equal(other->state, CONN_OPEN);
}

/* What is still in the queue cannot be sent: the client gets the alert and the end. */
static void test_garbage_while_output_waits(void **state)
{
	SSL *client;
	struct conn *c = open_tls(&client);
	ssize_t n = -1;

	(void)state;
	block(c);
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

/* Certificates that are longer than what may wait for a client. */
static void test_too_long_certificates(void **state)
{
	static char comment[LEFT_MAX + 1];
	SSL *client;

	(void)state;
	memset(comment, 'x', sizeof(comment) - 1);
	struct tls_context *longer = make_context("longer", comment);
	conf.tls = longer;
	(void)adopt_tls(&client);
	assert_false(shake_hands(client));
	assert_int_equal(counter(NET_END_TLS), 1);
	assert_int_equal(net.conns, 0);
	assert_int_equal(net_queued(&net), 0);
	tls_context_free(&longer);
}

/* --- contexts --- */

static void refuse_pairs(const struct tls_pair *pairs, size_t n, const char *reason)
{
	struct tls_refusal refusal;
	const struct tls_context_conf refused = {
		.name = "test", .pairs = pairs, .n_pairs = n};

	ERR_clear_error();
	assert_null(tls_context_new(&refused, &refusal));
	assert_int_equal(refusal.pair, n - 1);
	assert_string_equal(refusal.reason, reason);
	assert_int_equal(ERR_peek_error(), 0);
}

/* The start names the certificate, and OpenSSL's reason. */
static void test_refused_certificates(void **state)
{
	struct buf certificate[2], key[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		make_pair(&certificate[i], &key[i], NULL);
	const struct slice text[] = {buf_slice(&certificate[0]), buf_slice(&key[0]),
				     buf_slice(&certificate[1]), buf_slice(&key[1])};
	refuse_pairs(&(struct tls_pair){text[0], text[3]}, 1, "private key mismatch");
	refuse_pairs((struct tls_pair[]){{text[0], text[1]}, {text[2], text[1]}}, 2,
		     "private key mismatch");
	refuse_pairs((struct tls_pair[]){{text[0], text[1]}, {text[3], text[3]}}, 2,
		     "no line -----BEGIN CERTIFICATE-----");
	refuse_pairs(&(struct tls_pair){text[0], text[0]}, 1, "unsupported");
	for (int i = 0; i < 2; i++) {
		buf_fini(&certificate[i]);
		buf_fini(&key[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_many_messages_in_few_records),
		T(test_records_in_any_segments),
		T(test_slow_reader),
		T(test_very_slow_reader),
		T(test_few_writes),
		T(test_close_of_a_slow_reader),
		T(test_close_of_a_client_that_does_not_read),
		T(test_records_of_a_failed_connection_go_nowhere),
		T(test_key_updates),
		T(test_key_updates_of_a_client_that_does_not_read),
		T(test_garbage_after_the_handshake),
		T(test_garbage_while_output_waits),
		T(test_ends),
		T(test_input_behind_a_hold_is_not_lost),
		T(test_too_long_certificates),
		T(test_refused_certificates),
	};
	signal(SIGPIPE, SIG_IGN); /* the client writes to closed sockets */
	int failed = cmocka_run_group_tests_name("tls", tests, NULL, NULL);

	tls_context_free(&context);
	return failed;
}
