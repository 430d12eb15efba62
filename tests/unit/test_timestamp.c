/* SPDX-License-Identifier: Apache-2.0 */
/* Times as texts: written and read again, compared with timegm, and malformed ones. */
#include "common/timestamp.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void writes(void **state)
{
	(void)state;
	assert_string_equal(timestamp_text(0).text, "1970-01-01T00:00:00.000Z");
	assert_string_equal(timestamp_text(1795947224123).text,
			    "2026-11-29T10:13:44.123Z");
	/* a year of nine digits */
	assert_string_equal(timestamp_text(UINT64_MAX).text,
			    "584556019-04-03T14:25:51.615Z");
}

/* Every day from the year 0 to 9999. */
static void reads_every_day(void **state)
{
	const int64_t day_ms = INT64_C(86400) * 1000;
	int64_t ms;
	bool between;

	(void)state;
	for (int64_t day = -719528; day <= 2932896; day++) {
		time_t t = day * 86400;
		struct tm tm;
		char text[64];
		assert_non_null(gmtime_r(&t, &tm));
		snprintf(text, sizeof(text), "%04d-%02d-%02dT00:00:00%s",
			 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			 (day & 1) != 0 ? "Z" : ".000+00:00");
		assert_int_equal(timestamp_read(slice_str(text), &ms, &between), 0);
		assert_true(ms == day * day_ms);
		assert_false(between);
	}
}

static void reads(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
		bool between;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0, false},
		{"1970-01-01t00:00:00z", 0, false},
		{"1970-01-01T00:00:00.5Z", 500, false},
		{"1970-01-01T00:00:00.1234Z", 123, true},
		{"1970-01-01T00:00:00.1230000000000000000000Z", 123, false},
		{"1970-01-01T00:00:00.0000000000000000000001Z", 0, true},
		{"1969-12-31T23:59:59.999Z", -1, false},
		{"1970-01-01T01:30:00+01:30", 0, false},
		{"1970-01-01T00:00:00-23:59", 86340000, false},
		{"2016-12-31T23:59:60Z", 1483228800000, false},
		{"2024-02-29T23:59:59.999-00:00", 1709251199999, false},
		{"2026-11-29T10:13:44.123Z", 1795947224123, false},
		{"0000-01-01T00:00:00+23:59", -62167305540000, false},
	};
	int64_t ms;
	bool between;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(timestamp_read(slice_str(rows[i].text), &ms, &between),
				 0);
		assert_true(ms == rows[i].ms);
		assert_int_equal(between, rows[i].between);
	}
}

static void malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"now",
		"2026-11-29",
		"2026-11-29T10:13:44",
		"2026-11-29T10:13Z",
		"2026-11-29T10:13:44.Z",
		"2026-11-29T10:13:44.1",
		"2026-11-29T10:13:44,1Z",
		"2026-11-29T10:13:44ZZ",
		"2026-11-29T10:13:44+1:00",
		"2026-11-29T10:13:44+24:00",
		"2026-11-29T10:13:44+00:60",
		"2026-11-29T10:13:61Z",
		"2026-11-29T10:60:44Z",
		"2026-11-29T24:00:00Z",
		"2026-11-31T10:13:44Z",
		"2026-11-00T10:13:44Z",
		"2026-00-29T10:13:44Z",
		"2026-13-29T10:13:44Z",
		"2025-02-29T10:13:44Z",
		"1900-02-29T10:13:44Z",
		"26-11-29T10:13:44Z",
		"-026-11-29T10:13:44Z",
		"2026/11/29T10:13:44Z",
		"2026-11-29_10:13:44Z",
		" 2026-11-29T10:13:44Z",
	};
	static const char whole[] = "2026-11-29T10:13:44.5+01:00";
	int64_t ms;
	bool between;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(timestamp_read(slice_str(texts[i]), &ms, &between),
				 E_SYNTAX);
	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		assert_int_equal(timestamp_read(slice_of(whole, n), &ms, &between),
				 E_SYNTAX);
	/* U+0000 is not one of the characters that a text may have */
	assert_int_equal(timestamp_read(slice_of("2026-11-29\0"
						 "10:13:44Z",
						 20),
					&ms, &between),
			 E_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes),
		cmocka_unit_test(reads_every_day),
		cmocka_unit_test(reads),
		cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests_name("timestamp", tests, NULL, NULL);
}
