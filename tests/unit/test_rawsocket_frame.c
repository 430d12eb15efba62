/* SPDX-License-Identifier: Apache-2.0 */
/* proto/rawsocket: handshakes and frame heads, byte by byte. */
#include "proto/rawsocket.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_hello(void **state)
{
	struct rawsocket_handshake h;

	(void)state;
	assert_int_equal(rawsocket_handshake_read((const uint8_t *)"\x7f\xf1\0\0", &h),
			 0);
	assert_int_equal(h.serializer, 1);
	assert_int_equal(h.max_len, 1 << 24);
	assert_int_equal(rawsocket_handshake_read((const uint8_t *)"\x7f\x03\0\0", &h),
			 0);
	assert_int_equal(h.serializer, 3);
	assert_int_equal(h.max_len, 512);
	assert_int_equal(rawsocket_handshake_read((const uint8_t *)"\x7f\x03\1\0", &h),
			 RAWSOCKET_RESERVED);
	assert_int_equal(rawsocket_handshake_read((const uint8_t *)"\x7f\x03\0\x80", &h),
			 RAWSOCKET_RESERVED);
	assert_int_equal(rawsocket_handshake_read((const uint8_t *)"GET ", &h), E_SYNTAX);
}

static void test_reply(void **state)
{
	static const struct {
		size_t max_len, announced;
		uint8_t octet;
	} rows[] = {
		{1, 512, 0x02},
		{512, 512, 0x02},
		{1023, 512, 0x02},
		{1024, 1024, 0x12},
		{100000, 65536, 0x72},
		{1 << 20, 1 << 20, 0xb2},
		{(1 << 24) - 1, 1 << 23, 0xe2},
		{1 << 24, 1 << 24, 0xf2},
		{1 << 25, 1 << 24, 0xf2},
	};
	uint8_t out[RAWSOCKET_HANDSHAKE_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(rawsocket_reply_write(out, 2, rows[i].max_len),
				 rows[i].announced);
		assert_int_equal(out[0], 0x7f);
		assert_int_equal(out[1], rows[i].octet);
		assert_int_equal(out[2] | out[3], 0);
	}
	rawsocket_error_write(out, RAWSOCKET_CONNECTIONS);
	assert_memory_equal(out, "\x7f\x40\0\0", 4);
}

static void test_heads_there_and_back(void **state)
{
	static const size_t lens[] = {0,     1,     255,           256,
				      65535, 65536, (1 << 24) - 1, 1 << 24};
	static const enum rawsocket_type types[] = {RAWSOCKET_MESSAGE, RAWSOCKET_PING,
						    RAWSOCKET_PONG};
	uint8_t head[RAWSOCKET_HEAD_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		for (size_t k = 0; k < ARRAY_LEN(types); k++) {
			enum rawsocket_type type;
			size_t len;
			rawsocket_head_write(head, types[k], lens[i]);
			assert_int_equal(rawsocket_head_read(head, &type, &len), 0);
			assert_int_equal(type, types[k]);
			assert_int_equal(len, lens[i]);
		}
	}
	rawsocket_head_write(head, RAWSOCKET_MESSAGE, 1 << 24);
	assert_memory_equal(head, "\x08\0\0\0", 4);
	rawsocket_head_write(head, RAWSOCKET_PONG, 0x010203);
	assert_memory_equal(head, "\x02\1\2\3", 4);
}

/* Every first octet: frames have one of three types, with or without the bit for 2^24. */
static void test_reserved(void **state)
{
	enum rawsocket_type type;
	size_t len;

	(void)state;
	for (unsigned octet = 0; octet < 256; octet++) {
		uint8_t head[RAWSOCKET_HEAD_LEN] = {(uint8_t)octet, 0, 0, 0};
		bool good = (octet & 0xf0) == 0 && (octet & 7) <= 2;
		assert_int_equal(rawsocket_head_read(head, &type, &len),
				 good ? 0 : E_SYNTAX);
	}
	assert_int_equal(rawsocket_head_read((const uint8_t *)"\x08\0\0\1", &type, &len),
			 E_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_heads_there_and_back),
		cmocka_unit_test(test_reserved),
	};
	return cmocka_run_group_tests_name("rawsocket", tests, NULL, NULL);
}
