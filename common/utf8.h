/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 validation of whole texts, and of texts that arrive in pieces (WebSocket
 * fragments). Strict as RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF. No state; any thread.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include "common/base.h"

/* The state between two pieces of a text. All zero at the beginning. */
struct utf8_state {
	uint8_t need;   /* bytes that the current character still needs, 0 to 3 */
	uint8_t lo, hi; /* bounds of the next byte; valid if need > 0 */
};

/*
 * Checks the next piece. False as soon as no further piece can make the text valid; then
 * the state must not be used any more.
 */
bool utf8_feed(struct utf8_state *st, const uint8_t *p, size_t len) MUSTCHECK;

/* Is the text complete? False if it ends within a character. */
static inline bool utf8_done(const struct utf8_state *st)
{
	return st->need == 0;
}

/* The slow path of utf8_valid. */
bool utf8_valid_long(struct slice s);

/* Is all of s valid? Short ASCII strings, the most frequent case, are checked inline. */
static inline bool utf8_valid(struct slice s)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t first = 0, last = 0;

	if (s.len > 16)
		return utf8_valid_long(s);
	/* Two overlapping loads cover any length from 4 to 16. */
	if (s.len >= 8) {
		memcpy(&first, s.p, 8);
		memcpy(&last, s.p + s.len - 8, 8);
	} else if (s.len >= 4) {
		memcpy(&first, s.p, 4);
		memcpy(&last, s.p + s.len - 4, 4);
	} else if (s.len > 0) {
		first = (uint64_t)s.p[0] | s.p[s.len / 2] | s.p[s.len - 1];
	}
	return LIKELY(((first | last) & high) == 0) || utf8_valid_long(s);
}

#endif
