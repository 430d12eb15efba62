/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this UTF-8? Whole texts, and texts that arrive in pieces (WebSocket frames). Strict
 * as RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure code; any
 * thread.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include "common/base.h"

/* Where a text in pieces stands. All zero is its beginning. */
struct utf8_state {
	uint8_t need;   /* bytes that the character begun still lacks, 0 to 3 */
	uint8_t lo, hi; /* what the next of them must lie between; valid if need > 0 */
};

/*
 * The next piece. False as soon as the text cannot become valid any more, whatever
 * follows; the state is then unusable.
 */
bool utf8_feed(struct utf8_state *st, const uint8_t *p, size_t len) MUSTCHECK;

/* Does the text end between two characters? */
static inline bool utf8_done(const struct utf8_state *st)
{
	return st->need == 0;
}

/* The slow path of utf8_valid. */
bool utf8_valid_long(struct slice s);

/* Is the whole of s valid? Inline for short ASCII, since most strings are that. */
static inline bool utf8_valid(struct slice s)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t first = 0, last = 0;

	if (s.len > 16)
		return utf8_valid_long(s);
	/* two loads that overlap cover any length from 4 to 16 */
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
