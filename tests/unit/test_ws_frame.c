/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/ws_frame: heads, control frames, close codes. */
#include "common/err.h"
#include "proto/ws_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_heads(void **state)
{
	static const struct {
		enum framing framing;
		size_t len;
		size_t head_len;
		uint8_t head[FRAME_HEAD_MAX];
	} table[] = {
		{FRAMING_WS_TEXT, 0, 2, {0x81, 0}},
		{FRAMING_WS_BINARY, 125, 2, {0x82, 125}},
		{FRAMING_WS_BINARY, 126, 4, {0x82, 126, 0, 126}},
		{FRAMING_WS_TEXT, 0xffff, 4, {0x81, 126, 0xff, 0xff}},
		{FRAMING_WS_TEXT, 0x10000, 10, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
		{FRAMING_WS_BINARY,
		 0x123456789a,
		 10,
		 {0x82, 127, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a}},
	};
	uint8_t out[FRAME_HEAD_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(frame_head(table[i].framing, table[i].len, out),
				 table[i].head_len);
		assert_memory_equal(out, table[i].head, table[i].head_len);
	}
}

static void check_join(size_t first, size_t second, size_t room_missing, bool joins)
{
	enum { MAX = 70000 };
	static uint8_t a[MAX], b[MAX], expected[2 * MAX];
	size_t a_len = frame_head(FRAMING_WS_TEXT, first, a), n;
	size_t b_len = frame_head(FRAMING_WS_TEXT, second, b);
	size_t head = frame_head(FRAMING_WS_TEXT, first + second, expected);

	for (size_t i = 0; i < first + second; i++) {
		uint8_t *to = i < first ? &a[a_len + i] : &b[b_len + i - first];

		*to = expected[head + i] = (uint8_t)(i * 7 + i / 256);
	}
	n = ws_frame_join(a, a_len + first, head + first + second - room_missing,
			  slice_of(b, b_len + second));
	assert_int_equal(n, joins ? head + first + second : 0);
	if (joins)
		assert_memory_equal(a, expected, n);
	else /* untouched */
		assert_int_equal(frame_head(FRAMING_WS_TEXT, first, expected), a_len);
	assert_memory_equal(a, expected, 2);
}

static void test_join(void **state)
{
	(void)state;
	check_join(1, 1, 0, true);
	check_join(0, 0, 0, true);
	check_join(62, 63, 0, true);
	check_join(63, 63, 0, true);
	check_join(63, 63, 1, false);
	check_join(125, 1, 0, true);
	check_join(126, 1, 0, true);
	check_join(1, 300, 0, true);
	check_join(4000, WS_JOIN_MAX - 4 - 4000, 0, true);
	check_join(4000, WS_JOIN_MAX - 4 - 4000 + 1, 0, false);
	check_join(60000, 1, 0, false);
	check_join(1, 65536, 0, false);
	check_join(65536, 1, 0, false);
}

static void test_what_cannot_be_joined(void **state)
{
	uint8_t room[64] = "\x82\x01"
			   "a";

	(void)state;
	assert_int_equal(ws_frame_join(room, 3, 64,
				       slice_of("\xc2\x01"
						"b",
						3)),
			 0);
	assert_int_equal(ws_frame_join(room, 3, 64,
				       slice_of("\x82\x01"
						"b\x82\x00",
						5)),
			 0);
	assert_int_equal(ws_frame_join(room, 3, 64,
				       slice_of("\x82\x01"
						"b",
						3)),
			 4);
	room[0] |= WS_RSV1;
	assert_int_equal(ws_frame_join(room, 4, 64,
				       slice_of("\x82\x01"
						"b",
						3)),
			 0);
	memcpy(room,
	       "\x82\x00\x82\x01"
	       "a",
	       5);
	assert_int_equal(ws_frame_join(room, 5, 64,
				       slice_of("\x82\x01"
						"b",
						3)),
			 0);
}

static void test_control_frames(void **state)
{
	uint8_t out[WS_CONTROL_FRAME_MAX];
	uint8_t payload[WS_CONTROL_PAYLOAD_MAX];

	(void)state;
	memset(payload, 'x', sizeof(payload));
	assert_int_equal(ws_control_frame(WS_OP_PING, slice_of(NULL, 0), out), 2);
	assert_memory_equal(out, "\x89\x00", 2);
	assert_int_equal(ws_control_frame(WS_OP_PONG, slice_str("abc"), out), 5);
	assert_memory_equal(out,
			    "\x8a\x03"
			    "abc",
			    5);
	assert_int_equal(
		ws_control_frame(WS_OP_PONG, slice_of(payload, sizeof(payload)), out),
		127);
	assert_int_equal(out[1], 125);
}

static void test_close_frames(void **state)
{
	uint8_t out[WS_CONTROL_FRAME_MAX];
	char reason[200];

	(void)state;
	assert_int_equal(ws_close_frame(0, slice_str("ignored"), out), 2);
	assert_memory_equal(out, "\x88\x00", 2);
	assert_int_equal(ws_close_frame(1000, slice_str(""), out), 4);
	assert_memory_equal(out, "\x88\x02\x03\xe8", 4);
	assert_int_equal(ws_close_frame(1012, slice_str("bye"), out), 7);
	assert_memory_equal(out,
			    "\x88\x05\x03\xf4"
			    "bye",
			    7);

	/* cut at 123 bytes, but never within a character: 122 ASCII characters and one of
	 * two bytes */
	memset(reason, 'a', sizeof(reason));
	memcpy(reason + 122, "\xc3\xa4", 2);
	assert_int_equal(ws_close_frame(1000, slice_of(reason, 200), out), 4 + 122);
	memcpy(reason + 121,
	       "\xc3\xa4"
	       "a",
	       3);
	assert_int_equal(ws_close_frame(1000, slice_of(reason, 200), out), 4 + 123);
	/* a longer text of continuation bytes is cut to nothing */
	memset(reason, 0x80, sizeof(reason));
	assert_int_equal(ws_close_frame(1000, slice_of(reason, 200), out), 4);
}

static void test_close_codes(void **state)
{
	(void)state;
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		bool ok = (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
			   code != 1006) ||
			  (code >= 3000 && code <= 4999);

		assert_int_equal(ws_close_code_ok((uint16_t)code), ok);
	}
}

static void test_close_read(void **state)
{
	uint16_t code = 77;
	struct slice reason = slice_str("untouched");

	(void)state;
	assert_int_equal(ws_close_read(slice_of("\x03", 1), &code, &reason), E_SYNTAX);
	assert_int_equal(ws_close_read(slice_of("\x03\xed", 2), &code, &reason),
			 E_SYNTAX); /* 1005 */
	assert_int_equal(ws_close_read(slice_of("\x03\xe8\xff", 3), &code, &reason),
			 E_UTF8);
	assert_int_equal(ws_close_read(slice_of("\x03\xe8\xe2\x82", 4), &code, &reason),
			 E_UTF8);
	assert_int_equal(code, 77);
	assert_true(slice_eq_str(reason, "untouched"));

	assert_int_equal(ws_close_read(slice_of("", 0), &code, &reason), 0);
	assert_int_equal(code, 0);
	assert_int_equal(reason.len, 0);
	assert_int_equal(ws_close_read(slice_of("\x0b\xb8", 2), &code, &reason), 0);
	assert_int_equal(code, 3000);
	assert_int_equal(
		ws_close_read(slice_of("\x03\xf6\xe2\x82\xac", 5), &code, &reason), 0);
	assert_int_equal(code, 1014);
	assert_true(slice_eq_str(reason, "\xe2\x82\xac"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_what_cannot_be_joined),
		cmocka_unit_test(test_control_frames),
		cmocka_unit_test(test_close_frames),
		cmocka_unit_test(test_close_codes),
		cmocka_unit_test(test_close_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
