/* SPDX-License-Identifier: Apache-2.0 */
/* Times as texts, in UTC with milliseconds (RFC 3339). No state; any thread. */
#ifndef COMMON_TIMESTAMP_H
#define COMMON_TIMESTAMP_H

#include "common/base.h"

struct timestamp_text {
	char text[64];
};

/* Unix milliseconds as a text: "2026-11-29T10:13:44.123Z". */
struct timestamp_text timestamp_text(uint64_t unix_ms);

struct timestamp {
	int64_t seconds; /* Unix time, rounded down; negative before 1970 */
	uint32_t ns;     /* 0 to 999,999,999 */
	bool between;    /* the text is later than this, by less than a nanosecond */
	bool leap;       /* a leap second: seconds is the first of the next minute */
};

/*
 * Reads a time with any offset and any number of decimals: "2026-11-29T11:13:44.5+01:00".
 * E_SYNTAX.
 */
int timestamp_parse(struct slice text, struct timestamp *out) MUSTCHECK;

/*
 * Like timestamp_parse, but in milliseconds. *between_out is true if the time is later
 * than *ms_out, by less than a millisecond.
 */
int timestamp_read(struct slice text, int64_t *ms_out, bool *between_out) MUSTCHECK;

#endif
