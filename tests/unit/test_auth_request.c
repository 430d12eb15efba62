/* SPDX-License-Identifier: Apache-2.0 */
/* The question `authenticate`: whatever a client sends, its question can be written,
 * keeps the protocol's limits, and fits the authenticator's announced limit. */
#include "common/err.h"
#include "proto/auth_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEY1 "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"
#define KEY2 "9c194391af3bf566fc11a619e8df200ba02efb35b91bdd98b424f20f4163875e"

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.p, text, s.len);
}

static struct auth_request question_about(enum serializer s, struct slice authextra)
{
	return (struct auth_request){
		.authmethod = slice_str("cryptosign"),
		.session = FIELD_NONE,
		.ttl_ms = FIELD_NONE,
		.pubkey = slice_str(KEY1),
		.authextra = authextra,
		.authextra_in = s,
	};
}

/* Writes a question, and reads it as every authenticator can. */
static struct auth_request asked(struct buf *out, const struct auth_request *q,
				 size_t max)
{
	struct auth_request back;
	size_t len;

	buf_clear(out);
	assert_int_equal(auth_request_write(out, q, max), 0);
	assert_true(out->len + 20 <= max);
	assert_int_equal(auth_check(buf_slice(out), &len), 0);
	assert_int_equal(len, out->len);
	assert_int_equal(auth_request_read(buf_slice(out), &back), 0);
	return back;
}

#define OURS                                                                             \
	"\xa6pubkey\xd9\x40" KEY1 "\xaf"                                                 \
	"channel_binding\xc0"

static void test_what_cannot_be_carried_is_left_out(void **state)
{
	static const struct {
		enum serializer in;
		struct slice sent, carried;
	} cases[] = {
#define CASE(s, sent, carried)                                                           \
	{                                                                                \
		SERIALIZER_##s, {(const uint8_t *)(sent), sizeof(sent) - 1},             \
		{                                                                        \
			(const uint8_t *)(carried), sizeof(carried) - 1                  \
		}                                                                        \
	}
		CASE(MSGPACK, "", "\x82" OURS),
		CASE(MSGPACK, "\x80", "\x82" OURS),
		CASE(MSGPACK, "\x91\xc0", "\x82" OURS), /* not a map */
		/* the client's values of these two keys are replaced */
		CASE(MSGPACK,
		     "\x83\xa6pubkey\xa1v\xa1x\x07\xaf"
		     "channel_binding\xa1y",
		     "\x83" OURS "\xa1x\x07"),
		/* keys that are no strings are left out: a number, nil, an array, a map,
		 * a binary */
		CASE(MSGPACK,
		     "\x87\x01\x02\xc0\x02\x91\x01\x02\x81\x01\x02\x02\xc4\x01k\x02"
		     "\xa0\x02\xa1k\x02",
		     "\x83" OURS "\xa1k\x02"),
		/* ext types, such as wampy.js's undefined, are left out with the value
		 * that holds them */
		CASE(MSGPACK,
		     "\x86\xa1"
		     "a\xd4\x01x\xa1"
		     "b\xd4\x00x\xa1"
		     "c\xc7\x01\x05x\xa1"
		     "d\x91\xd6\xff"
		     "1234\xa1"
		     "e\x81\xa1x\xd4\x01x\xa1"
		     "f\xc3",
		     "\x83" OURS "\xa1"
		     "f\xc3"),
		/* a map whose keys are numbers is left out, at any depth */
		CASE(MSGPACK,
		     "\x83\xa1"
		     "a\x81\x01\x02\xa1"
		     "b\x91\x81\x01\x02\xa1"
		     "c\x81\xa1k\x91\xcb\x7f\xf8\0\0\0\0\0\0",
		     "\x83" OURS "\xa1"
		     "c\x81\xa1k\x91\xcb\x7f\xf8\0\0\0\0\0\0"),
		CASE(JSON,
		     "{\"a\":1e400,\"b\":[1,{\"\\u00e9\":null}], \"\":1 , \"c\" : \"x\"}",
		     "\x84" OURS "\xa1"
		     "b\x92\x01\x81\xa2\xc3\xa9\xc0\xa1"
		     "c\xa1x"),
		/* left out: a map with a number as its key, a date, a tag; a bignum
		   arrives */
		CASE(CBOR,
		     "\xbf\x61"
		     "a\xc2\x41\x01\x61"
		     "b\xf7\x61"
		     "c\xa1\x01\x02\x61"
		     "d\xc1\x07\x61"
		     "e\xd8\x25\x07\xff",
		     "\x84" OURS "\xa1"
		     "a\x01\xa1"
		     "b\xc0"),
#undef CASE
	};
	struct buf out;

	(void)state;
	buf_init(&out, AUTH_MAX_MESSAGE);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct auth_request q = question_about(cases[i].in, cases[i].sent);
		struct auth_request back = asked(&out, &q, AUTH_MAX_MESSAGE);

		assert_int_equal(back.authextra.len, cases[i].carried.len);
		assert_memory_equal(back.authextra.p, cases[i].carried.p,
				    cases[i].carried.len);
		assert_text(back.pubkey, KEY1);
	}
	buf_fini(&out);
}

static void test_what_is_over_a_limit_is_left_out(void **state)
{
	struct buf out, sent;
	struct token_writer w;

	(void)state;
	buf_init(&out, AUTH_MAX_MESSAGE);
	buf_init(&sent, 1 << 20);
	/* the deepest value that is kept, and one that is too deep */
	for (unsigned depth = 12; depth <= 13; depth++) {
		buf_clear(&sent);
		buf_put_str(&sent, "\x81\xa1x");
		for (unsigned i = 0; i < depth; i++)
			buf_put_u8(&sent, 0x91);
		buf_put_u8(&sent, 0xc0);
		struct auth_request q =
			question_about(SERIALIZER_MSGPACK, buf_slice(&sent));
		struct auth_request back = asked(&out, &q, AUTH_MAX_MESSAGE);
		assert_int_equal(back.authextra.p[0], depth == 12 ? 0x83 : 0x82);
	}
	/* 300 pairs; then a long string, a long key, a map of 257 keys, and a short pair
	 */
	for (int round = 0; round < 2; round++) {
		static uint8_t text[AUTH_MAX_STRING + 1];
		char key[16];

		memset(text, 'y', sizeof(text));
		buf_clear(&sent);
		token_writer_init(&w, SERIALIZER_MSGPACK, &sent);
		token_put_map(&w, TOKEN_COUNT_UNKNOWN);
		for (int i = 0; i < 300 && round == 0; i++) {
			snprintf(key, sizeof(key), "%d", i);
			token_put_text(&w, key);
			token_put_bool(&w, true);
		}
		if (round == 1) {
			token_put_text(&w, "string");
			token_put_str(&w, slice_of(text, sizeof(text)));
			token_put_str(&w, slice_of(text, AUTH_MAX_NAME + 1));
			token_put_bool(&w, true);
			token_put_text(&w, "map");
			token_put_map(&w, AUTH_MAX_MAP + 1);
			for (int i = 0; i <= AUTH_MAX_MAP; i++) {
				token_put_text(&w, "k");
				token_put_bool(&w, true);
			}
			token_put_end(&w);
			token_put_text(&w, "short");
			token_put_bool(&w, true);
		}
		token_put_end(&w);
		struct auth_request q =
			question_about(SERIALIZER_MSGPACK, buf_slice(&sent));
		q.transport.path = slice_of(text, AUTH_MAX_NAME + 1);
		struct auth_request back = asked(&out, &q, AUTH_MAX_MESSAGE);
		assert_int_equal(back.transport.path.len, 0);
		if (round == 0) {
			assert_memory_equal(back.authextra.p, "\xde\x01\x00", 3);
		} else {
			assert_int_equal(back.authextra.p[0], 0x83);
			assert_memory_equal(back.authextra.p + back.authextra.len - 7,
					    "\xa5short\xc3", 7);
		}
	}
	buf_fini(&out);
	buf_fini(&sent);
}

/* Names decide about the login, so none is left out or cut. */
static void test_names_that_are_too_long(void **state)
{
	static char name[AUTH_MAX_NAME + 2];
	struct auth_request q = question_about(SERIALIZER_MSGPACK, slice_of(NULL, 0));
	struct slice *const names[] = {&q.realm, &q.authid, &q.authrole, &q.pubkey,
				       &q.channel_binding};
	struct buf out;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	buf_init(&out, AUTH_MAX_MESSAGE);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		*names[i] = slice_of(name, AUTH_MAX_NAME + 1);
		buf_clear(&out);
		assert_int_equal(auth_request_write(&out, &q, AUTH_MAX_MESSAGE), E_RANGE);
		*names[i] = slice_of(name, AUTH_MAX_NAME);
	}
	/* names of the greatest length still fit into the shortest message */
	q.transport.listener = q.transport.path = q.realm;
	asked(&out, &q, AUTH_MIN_MESSAGE);
	/* keys are written in lower case; a malformed key is written as it is */
	q.pubkey = slice_str(
		"9C194391AF3BF566FC11A619E8DF200BA02EFB35B91BDD98B424F20F4163875E");
	assert_text(asked(&out, &q, AUTH_MAX_MESSAGE).pubkey, KEY2);
	q.pubkey = slice_str("0x9C");
	assert_text(asked(&out, &q, AUTH_MAX_MESSAGE).pubkey, "0x9C");
	buf_fini(&out);
}

/* A question that the buffer cannot hold is not sent. */
static void test_no_room_for_the_question(void **state)
{
	struct auth_request q = question_about(SERIALIZER_MSGPACK, slice_of(NULL, 0));
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	assert_int_equal(auth_request_write(&out, &q, AUTH_MAX_MESSAGE), E_LIMIT);
	buf_fini(&out);
}

/* The size of a question depends on the limit that the authenticator has announced. */
static void test_a_question_fits_what_was_announced(void **state)
{
	struct buf out, shorter, sent, headers;
	struct token_writer w[2];
	char key[16];

	(void)state;
	buf_init(&out, AUTH_MAX_MESSAGE);
	buf_init(&shorter, AUTH_MAX_MESSAGE);
	buf_init(&sent, AUTH_MAX_MESSAGE);
	buf_init(&headers, AUTH_MAX_MESSAGE);
	token_writer_init(&w[0], SERIALIZER_JSON, &sent);
	token_writer_init(&w[1], SERIALIZER_MSGPACK, &headers);
	for (int m = 0; m < 2; m++) {
		token_put_map(&w[m], TOKEN_COUNT_UNKNOWN);
		for (int i = 0; i < 200; i++) {
			snprintf(key, sizeof(key), "key-%d", i);
			token_put_text(&w[m], key);
			token_put_text(&w[m], "0123456789012345678901234567890123456789");
		}
		token_put_end(&w[m]);
	}
	struct auth_request q = question_about(SERIALIZER_JSON, buf_slice(&sent));
	q.transport.headers = buf_slice(&headers);
	for (size_t max = AUTH_MIN_MESSAGE; max <= AUTH_MAX_MESSAGE; max += 997) {
		struct auth_request back = asked(&out, &q, max);

		assert_text(back.pubkey, KEY1);
		if (max < 15000) /* it holds as many pairs as there is room for */
			assert_true(out.len + 150 > max);
		/* an encoded question is shortened for an authenticator with a lower
		 * limit */
		back = asked(&shorter, &back, AUTH_MIN_MESSAGE);
		assert_text(back.pubkey, KEY1);
		assert_true(shorter.len + 150 > AUTH_MIN_MESSAGE);
	}
	assert_int_equal(auth_request_write(&out, &q, AUTH_MIN_MESSAGE - 1), E_RANGE);
	buf_fini(&out);
	buf_fini(&shorter);
	buf_fini(&sent);
	buf_fini(&headers);
}

/* What TLS says comes before the pairs, but parts of it give way if it does not fit. */
static void test_tls_that_does_not_fit(void **state)
{
	static char text[AUTH_MAX_CERT], name[AUTH_MAX_NAME];
	struct slice sans[AUTH_MAX_SANS];
	struct buf out, list, tls;
	unsigned seen = 0;

	(void)state;
	memset(text, 'c', sizeof(text));
	memset(name, 'n', sizeof(name));
	for (size_t i = 0; i < ARRAY_LEN(sans); i++)
		sans[i] = slice_of(name, sizeof(name));
	buf_init(&out, AUTH_MAX_MESSAGE);
	buf_init(&list, AUTH_MAX_STRING);
	buf_init(&tls, AUTH_MAX_STRING);
	auth_list_write(&list, sans, ARRAY_LEN(sans));
	const struct auth_tls all = {
		.version = slice_str("1.3"),
		.cipher = slice_str("TLS_CHACHA20_POLY1305_SHA256"),
		.sni = sans[0],
		.client_cert_sha256 = slice_str(KEY1),
		.client_cert_subject = slice_of(text, AUTH_MAX_SUBJECT),
		.client_cert_sans = buf_slice(&list),
		.client_cert = slice_of(text, AUTH_MAX_CERT),
	};
	fields_write_item(&tls, &auth_tls_table, &all);
	struct auth_request q =
		question_about(SERIALIZER_JSON, slice_str("{\"x\":\"yyyyyyyy\"}"));
	q.realm = q.authid = q.authrole = q.channel_binding = sans[0];
	q.transport.listener = q.transport.path = sans[0];
	q.transport.tls = buf_slice(&tls);
	for (size_t max = AUTH_MIN_MESSAGE; max < 20000; max++) {
		struct auth_request back = asked(&out, &q, max);
		struct auth_tls t;

		assert_int_equal(
			fields_read_item(back.transport.tls, &auth_tls_table, &t), 0);
		assert_true(slice_eq(t.sni, all.sni));
		assert_true(slice_eq(t.client_cert_sha256, all.client_cert_sha256));
		bool subject = slice_eq(t.client_cert_subject, all.client_cert_subject);
		bool names = slice_eq(t.client_cert_sans, all.client_cert_sans);
		bool whole = slice_eq(t.client_cert, all.client_cert);
		assert_true(subject || t.client_cert_subject.len == 0);
		assert_true(names ? subject : t.client_cert_sans.len == 0);
		assert_true(whole ? names : t.client_cert.len == 0);
		assert_true(whole || max < 16 * 1024); /* as the protocol says */
		seen |= 1u << (subject + names + whole);
	}
	/* the subject always fits, unless it is beside a ticket */
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3);
	q.ticket = slice_of(text, 2000);
	struct auth_request back = asked(&out, &q, AUTH_MIN_MESSAGE + 500);
	assert_int_equal(back.ticket.len, 2000);
	/* it does not help to leave out all of it */
	q.ticket = slice_of(text, sizeof(text));
	buf_clear(&out);
	assert_int_equal(auth_request_write(&out, &q, AUTH_MIN_MESSAGE), E_LIMIT);
	buf_fini(&out);
	buf_fini(&list);
	buf_fini(&tls);
}

/* A ticket is carried whole, before authextra and headers, or not at all. */
static void test_tickets(void **state)
{
	static char ticket[AUTH_MAX_STRING + 1];
	struct auth_request q =
		question_about(SERIALIZER_JSON, slice_str("{\"x\":\"yyyyyyyy\"}"));
	struct buf out;

	(void)state;
	memset(ticket, 't', sizeof(ticket));
	buf_init_secret(&out, AUTH_MAX_MESSAGE);
	q.ticket = slice_of(ticket, AUTH_MAX_STRING + 1);
	assert_int_equal(auth_request_write(&out, &q, AUTH_MAX_MESSAGE), E_RANGE);
	q.ticket.len--;
	struct auth_request back = asked(&out, &q, AUTH_MAX_MESSAGE);
	assert_true(slice_eq(back.ticket, q.ticket));
	buf_clear(&out);
	assert_int_equal(auth_request_write(&out, &q, AUTH_MIN_MESSAGE), E_LIMIT);
	/* every ticket of up to 2 KiB fits into the shortest message */
	bool fits = true;
	for (q.ticket.len = 1; fits; q.ticket.len++) {
		buf_clear(&out);
		fits = auth_request_write(&out, &q, AUTH_MIN_MESSAGE) == 0;
		if (fits)
			assert_true(slice_eq(asked(&out, &q, AUTH_MIN_MESSAGE).ticket,
					     q.ticket));
	}
	assert_in_range(q.ticket.len, 2049, AUTH_MIN_MESSAGE);
	buf_fini(&out);
}

/* authorize: what cannot be carried, or has no room, is left out; authextra comes first.
 */
static void test_authorize_limits(void **state)
{
	static uint8_t extra[8000], options[12000];
	struct auth_authorize q = {
		.session = 1,
		.ttl_ms = FIELD_NONE,
		.uri = slice_str("a.b"),
		.action = slice_str("call"),
		.options_in = SERIALIZER_JSON,
		/* a number as a key cannot be in JSON; one too long, one too deep */
		.options = slice_str("{\"a\":1,\"n\":{\"x\":[1]},\"b\":null}"),
	};
	struct auth_authorize back;
	struct buf b;

	(void)state;
	buf_init(&b, AUTH_MAX_MESSAGE);
	assert_int_equal(auth_authorize_write(&b, &q, AUTH_MAX_MESSAGE), 0);
	assert_int_equal(auth_authorize_read(buf_slice(&b), &back), 0);
	assert_true(slice_eq_str(back.options, "\x83\xa1"
					       "a\x01\xa1n\x81\xa1x\x91\x01\xa1"
					       "b\xc0"));
	assert_true(slice_eq_str(back.authextra, "\x80"));
	/* each map has one long text: with the first there is not always room for the
	 * second */
	memset(extra, 'x', sizeof(extra));
	memcpy(extra, "\x81\xa1k\xda\x1f\x3a", 6);
	memset(options, 'y', sizeof(options));
	memcpy(options, "\x82\xa1o\xda\x2e\xd6", 6);
	memcpy(options + sizeof(options) - 4, "\xa1p\xc3", 3);
	q.authextra = slice_of(extra, sizeof(extra));
	q.options_in = SERIALIZER_MSGPACK;
	q.options = slice_of(options, 6 + 0x2ed6 + 3);
	for (size_t max = AUTH_MIN_MESSAGE; max <= AUTH_MAX_MESSAGE; max += 999) {
		buf_clear(&b);
		assert_int_equal(auth_authorize_write(&b, &q, max), 0);
		assert_true(b.len + AUTH_ENVELOPE <= max);
		assert_int_equal(auth_authorize_read(buf_slice(&b), &back), 0);
		assert_true(slice_eq_str(back.uri, "a.b"));
		assert_true((back.authextra.len > 8) == (max > 8000));
		if (back.options.len > 1000)
			assert_true(max > 20000);
	}
	q.uri = slice_of(options, WAMP_MAX_URI + 1);
	assert_int_equal(auth_authorize_write(&b, &q, AUTH_MAX_MESSAGE), E_RANGE);
	q.uri = slice_str("a.b");
	assert_int_equal(auth_authorize_write(&b, &q, AUTH_MIN_MESSAGE - 1), E_RANGE);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_authorize_limits),
		cmocka_unit_test(test_what_cannot_be_carried_is_left_out),
		cmocka_unit_test(test_what_is_over_a_limit_is_left_out),
		cmocka_unit_test(test_names_that_are_too_long),
		cmocka_unit_test(test_no_room_for_the_question),
		cmocka_unit_test(test_a_question_fits_what_was_announced),
		cmocka_unit_test(test_tls_that_does_not_fit),
		cmocka_unit_test(test_tickets),
	};

	return cmocka_run_group_tests_name("auth_request", tests, NULL, NULL);
}
