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

/*
 * Reads a time with any offset and any number of decimals: "2026-11-29T11:13:44.5+01:00".
 * *ms_out gets Unix milliseconds, rounded down; negative before 1970. *between_out is
 * true if the time is later than *ms_out, by less than a millisecond. E_SYNTAX.
 */
int timestamp_read(struct slice text, int64_t *ms_out, bool *between_out) MUSTCHECK;

#endif
