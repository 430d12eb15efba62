/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates as the encodings express them: a point in time as text (RFC 3339, CBOR's tag 0),
 * as seconds since 1970 (CBOR's tag 1), and as MessagePack's timestamp. No state; any
 * thread.
 */
#ifndef PROTO_DATE_H
#define PROTO_DATE_H

#include "common/base.h"

struct date {
	int64_t seconds; /* Unix time, rounded down; negative before 1970 */
	uint32_t ns;     /* 0 to 999,999,999 */
};

/* A date as the content of a TOKEN_DATE: the 12 bytes of MessagePack's timestamp 96. */
enum { DATE_BYTES = 12 };
void date_pack(const struct date *d, uint8_t to[DATE_BYTES]);
void date_unpack(const uint8_t from[DATE_BYTES], struct date *out);

/*
 * E_UNSUPPORTED: the text is not a date of RFC 3339, is a leap second, or has a fraction
 * finer than a nanosecond.
 */
int date_from_text(struct slice text, struct date *out) MUSTCHECK;

/*
 * The date whose seconds, written with the fewest decimals that read back as this double,
 * have at most nine of them. So 0.1 is 100 ms, although no double is exactly 0.1.
 * E_UNSUPPORTED: there is none, or the seconds exceed 64 bits.
 */
int date_from_double(double seconds, struct date *out) MUSTCHECK;

enum { DATE_TEXT = sizeof("2026-11-29T10:13:44.123456789Z") }; /* with terminator */

/*
 * Writes a date in UTC with the decimals that it needs, and returns the length. 0 if the
 * year is not between 0 and 9999.
 */
size_t date_to_text(const struct date *d, char to[DATE_TEXT]);

#endif
