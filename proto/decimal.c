/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts doubles to decimal digits; see decimal.h. This is about ten times as fast as
 * "%.17g". More importantly, it is fast for all values, while printf needs microseconds
 * for 1e300. The table of powers is computed before main and never changes; any thread.
 *
 * The double is multiplied by the power of ten that gives an integer of 17 digits and a
 * fraction, held in 128 bits. Half the distance to the neighbouring doubles is scaled
 * likewise. A decimal number that is nearer than this reads back as the same double. So
 * the result is the integer rounded to as few digits as possible with an error below half
 * the distance.
 */
#include "proto/decimal.h"

#include "common/base.h"

#include <math.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 u128;

enum {
	POWER_MIN = -292, /* scales the largest double */
	POWER_MAX = 340,  /* scales the smallest double */
};

/*
 * Entry i has the 128 most significant bits of 10^(i + POWER_MIN). Each step of the loops
 * below has an error of one or two in the last place, so 117 bits of every entry are
 * right.
 */
static u128 powers[POWER_MAX - POWER_MIN + 1];

__attribute__((constructor)) static void compute_powers(void)
{
	const u128 one = (u128)1 << 127;
	u128 p = one;

	for (int i = 0; i <= POWER_MAX; i++) {
		powers[i - POWER_MIN] = p;
		u128 next = p + p / 4; /* times 10 / 8 */
		p = next < p ? next >> 1 | one : next;
	}
	p = one;
	for (int i = 0; i >= POWER_MIN; i--) {
		powers[i - POWER_MIN] = p;
		p -= p / 5; /* divided by 10, times 8 */
		if (p < one)
			p *= 2;
	}
}

/* floor(log2(10^i)) and floor(log10(2^i)). */
static int log2_of_power10(int i)
{
	return (i * 217706) >> 16;
}

static int log10_of_power2(int i)
{
	return (i * 78913) >> 18;
}

/* Returns digits such that digits * 10^*exponent_out reads back as v, with v > 0. */
static uint64_t shortest_digits(double v, int *exponent_out)
{
	int e;
	uint64_t m = (uint64_t)ldexp(frexp(v, &e), 64); /* v = m * 2^(e - 64) */
	/* Half the distance to the next double is 2^half_log in units of m. */
	int half_log = e < -1021 ? -1011 - e : 10;
	int scale = 16 - log10_of_power2(e - 1);
	u128 power = powers[scale - POWER_MIN];
	/* `scaled` and `half` are multiplied by 10^scale, in units of 2^-64. */
	int shift = -(e + log2_of_power10(scale) - 127 + 64);
	u128 scaled =
		((u128)m * (uint64_t)(power >> 64) + ((u128)m * (uint64_t)power >> 64)) >>
		shift;
	u128 half = power >> (64 - half_log) >> shift;

	if (m == UINT64_C(1) << 63 && half_log == 10)
		/* v is a power of two: the next smaller double is half as far away. */
		half /= 2;
	*exponent_out = -scale;
	/* half is below 112, except for subnormal numbers. */
	uint64_t unit = half_log == 10 ? 1000 : UINT64_C(100000000000000000);
	for (;; unit /= 10) {
		uint64_t digits = (uint64_t)(scaled >> 64) / unit * unit;
		u128 rest = scaled - ((u128)digits << 64), step = (u128)unit << 64;

		if (rest > step / 2) {
			digits += unit;
			rest = step - rest;
		}
		/* The margin covers the error of `power`; with all 17 digits it is not
		 * needed. */
		if (unit == 1 || rest + (1 << 16) < half)
			return digits;
	}
}

static char *put_zeros(char *to, int n)
{
	memset(to, '0', (size_t)n);
	return to + n;
}

char *decimal_digits(char *end, uint64_t v)
{
	/* Convert two digits at a time: this halves the number of long divisions. */
	for (; v >= 100; v /= 100) {
		unsigned two = (unsigned)(v % 100);

		*--end = (char)('0' + two % 10);
		*--end = (char)('0' + two / 10);
	}
	if (v >= 10)
		*--end = (char)('0' + v % 10);
	*--end = (char)('0' + (v >= 10 ? v / 10 : v));
	return end;
}

/*
 * Writes n digits, `point` of them before the decimal point. point may be negative or
 * greater than n.
 */
static char *put_plain(char *to, const char *digits, int n, int point)
{
	if (point <= 0) {
		to = put_zeros(mempcpy(to, "0.", 2), -point);
		return mempcpy(to, digits, n);
	}
	if (point >= n) {
		to = put_zeros(mempcpy(to, digits, n), point - n);
		return mempcpy(to, ".0", 2);
	}
	to = mempcpy(mempcpy(to, digits, point), ".", 1);
	return mempcpy(to, digits + point, n - point);
}

static char *put_scientific(char *to, const char *digits, int n, int exponent)
{
	char text[4], *end = text + sizeof(text);
	char *from = decimal_digits(end, (uint64_t)abs(exponent));

	to = mempcpy(to, digits, 1);
	if (n > 1)
		to = mempcpy(mempcpy(to, ".", 1), digits + 1, n - 1);
	to = mempcpy(to, exponent < 0 ? "e-" : "e+", 2);
	return mempcpy(to, from, (size_t)(end - from));
}

uint64_t decimal_shortest(double v, int *exponent_out)
{
	uint64_t digits = shortest_digits(v, exponent_out);

	for (; digits != 0 && digits % 10 == 0; digits /= 10)
		++*exponent_out;
	return digits;
}

size_t decimal_write(double v, char out[DECIMAL_MAX])
{
	char text[20], *end = text + sizeof(text), *to = out;
	uint64_t digits = 0;
	int exponent = 0;

	if (signbit(v))
		*to++ = '-';
	if (v != 0)
		digits = decimal_shortest(fabs(v), &exponent);
	const char *first = decimal_digits(end, digits);
	int n = (int)(end - first), point = n + exponent;
	if (point > -4 && point <= 16)
		to = put_plain(to, first, n, point);
	else
		to = put_scientific(to, first, n, point - 1);
	return (size_t)(to - out);
}
