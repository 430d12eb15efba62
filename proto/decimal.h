/* SPDX-License-Identifier: Apache-2.0 */
/* Doubles as JSON writes them. Pure code; any thread. */
#ifndef PROTO_DECIMAL_H
#define PROTO_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/* Writes an integer so that it ends at end, and returns where it begins. 20 at most. */
char *decimal_digits(char *end, uint64_t v);

enum { DECIMAL_MAX = 24 }; /* characters, without a terminator */

/*
 * Writes a finite double with as few digits (17 at most) as read back the same, and
 * returns the length. Always with a point or an exponent, so that the reader's language
 * keeps the type: "1.0", "0.1", "-1e+300". Some powers of two get one digit more than
 * they need.
 */
size_t decimal_write(double v, char out[DECIMAL_MAX]);

#endif
