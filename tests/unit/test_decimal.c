/* SPDX-License-Identifier: Apache-2.0 */
/* Doubles as text: their form, and that strtod reads back the same double. */
#include "common/base.h"
#include "proto/decimal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *written(double v)
{
	static char text[DECIMAL_MAX + 1];

	text[decimal_write(v, text)] = '\0';
	return text;
}

static void test_looks(void **state)
{
	static const struct {
		double v;
		const char *text;
	} known[] = {
		{0, "0.0"},
		{-0.0, "-0.0"},
		{1, "1.0"},
		{-1.5, "-1.5"},
		{100, "100.0"},
		{0.1, "0.1"},
		{0.3, "0.3"},
		{0.1 + 0.2, "0.30000000000000004"},
		{1.0 / 3, "0.3333333333333333"},
		{2.0 / 3, "0.6666666666666666"},
		{123456.789, "123456.789"},
		{0.00012, "0.00012"},
		{0.000012, "1.2e-5"},
		{123456789012345, "123456789012345.0"},
		{9007199254740992, "9007199254740992.0"},
		{1e16, "1e+16"},
		{12345678901234568, "1.2345678901234568e+16"},
		{1e20, "1e+20"},
		/* 1e23 lies halfway between two doubles; print the digits of the nearer
		 * one */
		{1e23, "9.999999999999999e+22"},
		{-1e300, "-1e+300"},
		{5e-324, "5e-324"},
		{2.2250738585072014e-308, "2.2250738585072014e-308"},
		{1.7976931348623157e308, "1.7976931348623157e+308"},
		{-1.7976931348623157e-300, "-1.7976931348623157e-300"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		assert_string_equal(written(known[i].v), known[i].text);
}

static void check_back(double v)
{
	double back = strtod(written(v), NULL);

	if (memcmp(&back, &v, sizeof(v)) != 0)
		fail_msg("%a became %s", v, written(v));
}

static void check_bits(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	if (isfinite(v))
		check_back(v);
}

/* Checks a positive double and its neighbours. */
static void check_around(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(v));
	check_bits(bits - 1);
	check_bits(bits);
	check_bits(bits + 1);
}

static void test_reads_back(void **state)
{
	uint64_t bits = 1;

	(void)state;
	/* where the distance between neighbours changes */
	for (int i = -1073; i < 1024; i++)
		check_around(ldexp(1, i));
	/* where the digits end, so that the rounding of the rest matters */
	for (int i = -323; i <= 308; i++) {
		char text[32];

		for (int digit = 1; digit <= 9 && (digit == 1 || i < 308); digit++) {
			snprintf(text, sizeof(text), "%d.5e%d", digit, i);
			check_around(strtod(text, NULL));
		}
	}
	for (unsigned i = 0; i < 200000; i++) {
		bits = bits * UINT64_C(6364136223846793005) +
		       UINT64_C(1442695040888963407);
		check_bits(bits);
		check_back((double)(bits >> 11) * 0x1p-53);
		check_back((double)(bits >> 44) / 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_reads_back),
	};
	return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
