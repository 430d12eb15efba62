/* SPDX-License-Identifier: Apache-2.0 */
/* Writes numbers in decimal, as JSON does. No state; any thread. */
#ifndef PROTO_DECIMAL_H
#define PROTO_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes an integer of at most 20 digits so that it ends before `end`. Returns a pointer
 * to its first digit.
 */
char *decimal_digits(char *end, uint64_t v);

enum { DECIMAL_MAX = 24 }; /* characters; no terminator */

/*
 * Writes a finite double with the fewest digits, at most 17, that read back as the same
 * value, and returns the length. The text always has a point or an exponent, so that a
 * reader in a typed language gets a float: "1.0", "0.1", "-1e+300". For some powers of
 * two it has one digit more than necessary.
 */
size_t decimal_write(double v, char out[DECIMAL_MAX]);

/*
 * Returns the digits of decimal_write, without zeros at their end: digits *
 * 10^*exponent_out reads back as v, which must be finite and positive.
 */
uint64_t decimal_shortest(double v, int *exponent_out);

#endif
