/* SPDX-License-Identifier: Apache-2.0 */
/* common/log: foreign bytes in a line, the limit for the rate of lines, and the levels.
 */
#include "common/err.h"
#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Each byte is printed as it is or as \xNN. No byte with a meaning in a log line is left.
 */
static void every_byte(void **state)
{
	(void)state;
	for (unsigned b = 0; b < 256; b++) {
		uint8_t byte = (uint8_t)b;
		char escaped[8], plain[2] = {(char)byte, '\0'};
		bool safe = b > ' ' && b < 0x7f && strchr("\"=\\", (int)b) == NULL;

		snprintf(escaped, sizeof(escaped), "\\x%02x", b);
		assert_string_equal(log_quote(slice_of(&byte, 1)).text,
				    safe ? plain : escaped);
		assert_string_equal(log_quote_text(slice_of(&byte, 1)).text,
				    safe || b == ' ' ? plain : escaped);
	}
	assert_string_equal(log_quote(slice_of(NULL, 0)).text, "");
}

/* A cut text is marked, and ends with a whole character. A text that fits is not cut. */
static void long_texts(void **state)
{
	(void)state;
	char text[2 * LOG_QUOTE_MAX];

	memset(text, 'a', sizeof(text));
	for (size_t len = 0; len < sizeof(text); len++) {
		struct log_quoted q = log_quote(slice_of(text, len));
		size_t n = strlen(q.text);

		assert_in_range(n, min_size(len, LOG_QUOTE_MAX - 5), LOG_QUOTE_MAX - 1);
		assert_int_equal(n == len && strchr(q.text, '.') == NULL,
				 len <= LOG_QUOTE_MAX - 4);
		if (len > LOG_QUOTE_MAX - 4)
			assert_string_equal(q.text + n - 4, "a...");
	}
	memset(text, 1, sizeof(text));
	struct log_quoted q = log_quote(slice_of(text, sizeof(text)));
	assert_string_equal(q.text + strlen(q.text) - 7, "\\x01...");
}

static void rate(void **state)
{
	(void)state;
	struct log_rate r = {.burst = 3};
	unsigned dropped = 99;

	for (uint64_t second = 5; second < 8; second++) {
		for (unsigned i = 0; i < 3; i++) {
			assert_true(log_rate_ok(&r, second * 1000 + 10 * i, &dropped));
			/* dropped lines are reported once */
			assert_int_equal(dropped, i == 0 && second > 5 ? 4 : 0);
		}
		for (unsigned i = 0; i < 4; i++)
			assert_false(log_rate_ok(&r, second * 1000 + 999, &dropped));
		assert_int_equal(r.suppressed, 4);
	}
	/* the limit counts by seconds of the clock */
	assert_true(log_rate_ok(&r, 9999, &dropped));
	assert_int_equal(dropped, 4);
	assert_true(log_rate_ok(&r, 10000, &dropped));
	assert_int_equal(dropped, 0);
	assert_int_equal(r.written, 1);
}

static void levels(void **state)
{
	(void)state;
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		log_init((enum log_level)i, LOG_FORMAT_TEXT);
		for (int k = 0; k < LOG_LEVEL_COUNT; k++)
			assert_int_equal(log_enabled((enum log_level)k), k <= i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte),
		cmocka_unit_test(long_texts),
		cmocka_unit_test(rate),
		cmocka_unit_test(levels),
	};

	return cmocka_run_group_tests_name("log_texts", tests, NULL, NULL);
}
