/* SPDX-License-Identifier: Apache-2.0 */
/* Big integers in decimal and in binary; see bigint.h. No state; any thread. */
#include "proto/bigint.h"

enum {
	/* 32-bit limbs, the lowest one first; one more than BIGINT_BYTES for 2^512 */
	LIMBS = BIGINT_BYTES / 4 + 1,
	GROUP_DIGITS = 9, /* digits that fit into a limb */
	GROUP = 1000000000,
};

/* Multiplies by `factor` and adds `more`. False if the result needs another limb. */
static bool multiply_add(uint32_t limbs[LIMBS], uint32_t factor, uint32_t more)
{
	uint64_t carry = more;

	for (unsigned i = 0; i < LIMBS; i++) {
		carry += (uint64_t)limbs[i] * factor;
		limbs[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return carry == 0;
}

/*
 * Divides by GROUP, and returns the remainder. Only the lowest *n limbs are not zero; *n
 * becomes smaller with the number, because most integers are short.
 */
static uint32_t divide(uint32_t limbs[LIMBS], unsigned *n)
{
	uint64_t rest = 0;

	for (unsigned i = *n; i-- > 0;) {
		rest = rest << 32 | limbs[i];
		limbs[i] = (uint32_t)(rest / GROUP);
		rest %= GROUP;
	}
	while (*n > 0 && limbs[*n - 1] == 0)
		--*n;
	return (uint32_t)rest;
}

size_t bigint_to_decimal(struct slice magnitude, bool negative, char to[BIGINT_DECIMAL])
{
	/* whole groups, so leading zeros */
	char digits[(BIGINT_DIGITS / GROUP_DIGITS + 1) * GROUP_DIGITS];
	char *const end = digits + sizeof(digits), *from = end;
	uint32_t limbs[LIMBS] = {0};
	unsigned n = (unsigned)magnitude.len / 4 + 1;

	ASSERT(magnitude.len <= BIGINT_BYTES);
	for (size_t i = 0; i < magnitude.len; i++) {
		size_t place = magnitude.len - 1 - i;

		limbs[place / 4] |= (uint32_t)magnitude.p[i] << place % 4 * 8;
	}
	if (negative)
		(void)multiply_add(limbs, 1, 1);
	do {
		uint32_t group = divide(limbs, &n);

		for (int i = 0; i < GROUP_DIGITS; i++, group /= 10)
			*--from = (char)('0' + group % 10);
	} while (n > 0);
	while (from < end - 1 && *from == '0')
		from++;
	if (negative)
		*to = '-';
	memcpy(to + negative, from, (size_t)(end - from));
	return negative + (size_t)(end - from);
}

/* False if the integer is longer than BIGINT_DIGITS. */
static bool read_decimal(struct slice text, uint32_t limbs[LIMBS])
{
	if (text.len > BIGINT_DIGITS)
		return false;
	memset(limbs, 0, LIMBS * sizeof(limbs[0]));
	while (text.len > 0) {
		size_t n = min_size(text.len, GROUP_DIGITS);
		uint32_t group = 0, factor = 1;

		for (size_t i = 0; i < n; i++, factor *= 10)
			group = group * 10 + (text.p[i] - '0');
		/* 155 digits fit into LIMBS */
		ASSERT(multiply_add(limbs, factor, group));
		text = slice_from(text, n);
	}
	return true;
}

static void subtract_one(uint32_t limbs[LIMBS])
{
	unsigned i = 0;

	while (i < LIMBS && limbs[i]-- == 0)
		i++;
}

size_t bigint_from_decimal(struct slice text, uint8_t to[BIGINT_BYTES])
{
	bool negative = text.len > 0 && text.p[0] == '-';
	uint32_t limbs[LIMBS];
	size_t len = 0;

	if (!read_decimal(slice_from(text, negative), limbs))
		return 0;
	if (negative)
		subtract_one(limbs);
	if (limbs[LIMBS - 1] != 0)
		return 0;
	for (size_t place = BIGINT_BYTES; place-- > 0;) {
		uint8_t byte = (uint8_t)(limbs[place / 4] >> place % 4 * 8);

		if (len > 0 || byte != 0)
			to[len++] = byte;
	}
	return len;
}

bool bigint_is_double(struct slice text)
{
	uint32_t limbs[LIMBS];
	unsigned lowest = LIMBS * 32, highest = 0;

	if (!read_decimal(slice_from(text, text.len > 0 && text.p[0] == '-'), limbs))
		return false;
	for (unsigned bit = 0; bit < LIMBS * 32; bit++) {
		if ((limbs[bit / 32] >> bit % 32 & 1) == 0)
			continue;
		highest = bit;
		if (lowest > bit)
			lowest = bit;
	}
	/* the significand of a double has 53 bits */
	return highest < lowest + 53;
}
