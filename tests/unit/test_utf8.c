/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: every sequence of up to three bytes, and the borders of the four-byte sequences,
 * compared with a decoder written from the definition, at all splits and alignments. */
#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A decoder from the definition: decode, then check the number. */
static bool reference(const uint8_t *p, size_t len)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

	for (size_t i = 0; i < len;) {
		unsigned more = 0;
		uint32_t c = p[i++];

		if (c >= 0xf8 || (c >= 0x80 && c < 0xc0))
			return false;
		if (c >= 0xf0)
			more = 3, c &= 7;
		else if (c >= 0xe0)
			more = 2, c &= 15;
		else if (c >= 0xc0)
			more = 1, c &= 31;
		if (len - i < more)
			return false;
		for (unsigned k = 0; k < more; k++) {
			if (p[i] >> 6 != 2)
				return false;
			c = c << 6 | (p[i++] & 63);
		}
		if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

/* Cutting the text must not change the result. */
static bool split_verdict(const uint8_t *p, size_t len, size_t at)
{
	struct utf8_state st = {0};

	return utf8_feed(&st, p, at) && utf8_feed(&st, p + at, len - at) &&
	       utf8_done(&st);
}

static void check(const uint8_t *p, size_t len)
{
	bool expected = reference(p, len);

	if (utf8_valid(slice_of(p, len)) != expected)
		fail_msg("%02x %02x .. (%zu bytes): expected %d", p[0], p[1], len,
			 expected);
	for (size_t at = 0; at <= len; at++)
		assert_int_equal(split_verdict(p, len, at), expected);
}

static void test_up_to_three_bytes(void **state)
{
	(void)state;
	assert_true(utf8_valid(slice_of(NULL, 0)));
	for (unsigned a = 0; a < 256; a++) {
		uint8_t b[3] = {(uint8_t)a};

		check(b, 1);
		for (unsigned c = 0; c < 256; c++) {
			b[1] = (uint8_t)c;
			check(b, 2);
			/* only the class of the third byte matters */
			for (unsigned d = 0x70; d < 0x100; d += 5) {
				b[2] = (uint8_t)d;
				check(b, 3);
			}
		}
	}
}

static void test_four_bytes(void **state)
{
	static const uint8_t edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
				       0xa0, 0xbf, 0xc0, 0xed, 0xf0, 0xff};
	const size_t n = ARRAY_LEN(edge);

	(void)state;
	for (unsigned a = 0xe0; a < 256; a++) {
		for (size_t i = 0; i < n * n * n; i++) {
			uint8_t b[4] = {(uint8_t)a, edge[i % n], edge[i / n % n],
					edge[i / n / n]};
			check(b, 4);
		}
	}
}

/* An invalid byte, or a valid character, at each position of a text longer than a vector.
 */
static void test_every_place_and_length(void **state)
{
	static const char *const insert[] = {
		"\x80",         "\xff", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
		"\xed\xa0\x80", "\xc3"};

	(void)state;
	for (size_t len = 0; len < 70; len++) {
		for (size_t at = 0; at <= len; at++) {
			for (size_t k = 0; k < ARRAY_LEN(insert); k++) {
				size_t n = strlen(insert[k]);
				/* an exact copy, so that sanitizers see reads behind its
				 * end */
				uint8_t *b = malloc(len + n);

				assert_non_null(b);
				memset(b, 'a', len + n);
				memcpy(b + at, insert[k], n);
				assert_int_equal(utf8_valid(slice_of(b, len + n)),
						 reference(b, len + n));
				free(b);
			}
		}
	}
}

/* The error comes with the first impossible byte, not at the end. */
static void test_fails_at_once(void **state)
{
	struct utf8_state st = {0};

	(void)state;
	assert_true(utf8_feed(&st, (const uint8_t *)"\xed", 1));
	assert_false(utf8_done(&st));
	assert_false(utf8_feed(&st, (const uint8_t *)"\xa0", 1));
	st = (struct utf8_state){0};
	assert_true(utf8_feed(&st, (const uint8_t *)"abc\xf0\x9f", 5));
	assert_true(utf8_feed(&st, NULL, 0));
	assert_true(utf8_feed(&st, (const uint8_t *)"\x98", 1));
	assert_false(utf8_done(&st));
	assert_true(utf8_feed(&st, (const uint8_t *)"\x80", 1));
	assert_true(utf8_done(&st));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up_to_three_bytes),
		cmocka_unit_test(test_four_bytes),
		cmocka_unit_test(test_every_place_and_length),
		cmocka_unit_test(test_fails_at_once),
	};
	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
