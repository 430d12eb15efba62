/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts integers beyond 64 bits between decimal digits, as JSON writes them, and
 * binary magnitudes, as CBOR writes them. The cost is quadratic, so the size is bounded.
 * No state; any thread.
 */
#ifndef PROTO_BIGINT_H
#define PROTO_BIGINT_H

#include "common/base.h"

enum {
	BIGINT_BYTES = 64,                  /* of the longest magnitude: 512 bits */
	BIGINT_DIGITS = 155,                /* of 2^512 */
	BIGINT_DECIMAL = BIGINT_DIGITS + 1, /* characters, with the sign */
};

/*
 * Writes the integer `magnitude`, or -1 - magnitude if negative is set, in decimal.
 * magnitude is big-endian, of at most BIGINT_BYTES. Returns the number of characters.
 */
size_t bigint_to_decimal(struct slice magnitude, bool negative, char to[BIGINT_DECIMAL]);

/*
 * The reverse: the text is a sequence of digits, after a '-' if the integer is negative.
 * The magnitude has no leading zeros; of a negative integer v it is that of -1 - v.
 * Returns its length, or 0 if it is longer than BIGINT_BYTES. (The magnitude of 0 and -1
 * also has length 0, but these integers are not big.)
 */
size_t bigint_from_decimal(struct slice text, uint8_t to[BIGINT_BYTES]);

/* Is there a double with exactly this value? False beyond BIGINT_BYTES. */
bool bigint_is_double(struct slice text);

#endif
