/* SPDX-License-Identifier: Apache-2.0 */
/* Checks URIs and matches patterns; see uri.h. No state; any thread. */
#include "proto/uri.h"

#include "proto/wamp.h"

#include <assert.h>

const char *const match_names[MATCH_COUNT + 1] = {
	[MATCH_EXACT] = "exact",
	[MATCH_PREFIX] = "prefix",
	[MATCH_WILDCARD] = "wildcard",
};

/*
 * Is the character at p one of Unicode's non-ASCII spaces? p is valid UTF-8, so a first
 * byte is followed by the bytes it needs.
 */
static bool is_unicode_space(const uint8_t *p)
{
	switch (p[0]) {
	case 0xc2: /* U+0085, U+00A0 */
		return p[1] == 0x85 || p[1] == 0xa0;
	case 0xe1: /* U+1680 */
		return p[1] == 0x9a && p[2] == 0x80;
	case 0xe2: /* U+2000 to U+200A, U+2028, U+2029, U+202F; U+205F */
		if (p[1] == 0x80)
			return p[2] <= 0x8a || p[2] == 0xa8 || p[2] == 0xa9 ||
			       p[2] == 0xaf;
		return p[1] == 0x81 && p[2] == 0x9f;
	case 0xe3: /* U+3000 */
		return p[1] == 0x80 && p[2] == 0x80;
	default:
		return false;
	}
}

/* May the character at p be part of a component? */
static inline bool is_component(const uint8_t *p)
{
	uint8_t c = *p;

	if (LIKELY(c > 0x20 && c < 0x80))
		return c != '#';
	if (c >= 0x80)
		return !is_unicode_space(p);
	/* Excludes tab to carriage return, space, and the separators that Python's \s
	 * matches. */
	return c != 0 && !(c >= 0x09 && c <= 0x0d) && !(c >= 0x1c && c <= 0x20);
}

/* Are the 8 bytes at p ASCII characters from '.' to DEL, without two dots in a row? */
static inline bool eight_plain(const uint8_t *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
	uint64_t bytes;

	memcpy(&bytes, p, sizeof(bytes));
	/* The subtraction sets the top bit of a byte below '.'. A borrow changes only
	 * bytes after such a byte. */
	if (((bytes | (bytes - '.' * ones)) & tops) != 0)
		return false;
	/* The top bit of each byte that is a dot. No sum carries, since no byte is over
	 * 0x7f. */
	uint64_t dots = ~((bytes ^ '.' * ones) + 0x7f * ones) & tops;
	return (dots & (dots << 8)) == 0;
}

/*
 * Is this a valid URI of plain characters only? Most URIs are. If not, it may still be
 * valid.
 */
static bool uri_plain(struct slice uri)
{
	if (uri.len < 8 || uri.p[0] == '.' || uri.p[uri.len - 1] == '.')
		return false;
	/* The pieces overlap by a byte, so that two dots in a row lie in one piece. */
	for (size_t i = 0; i + 8 < uri.len; i += 7)
		if (!eight_plain(uri.p + i))
			return false;
	return eight_plain(uri.p + uri.len - 8);
}

bool uri_valid(struct slice uri)
{
	bool begun = false; /* the current component has a character */

	if (uri.len > WAMP_MAX_URI)
		return false;
	if (LIKELY(uri_plain(uri)))
		return true;
	for (size_t i = 0; i < uri.len; i++) {
		uint8_t c = uri.p[i];

		if (c != '.' && is_component(uri.p + i))
			begun = true;
		else if (c == '.' && begun)
			begun = false;
		else
			return false;
	}
	return begun;
}

const char *uri_fault(enum match how, struct slice uri)
{
	size_t dots = 0;

	static_assert(WAMP_MAX_URI == 1024 && URI_MAX_WILDCARD_PARTS == 32,
		      "the texts below name these limits");
	if (uri.len > WAMP_MAX_URI)
		return "must not be longer than 1024 bytes";
	for (size_t i = 0; i < uri.len; i++) {
		if (uri.p[i] == '#')
			return "must not contain '#'";
		if (uri.p[i] == '\0')
			return "must not contain U+0000";
		if (!is_component(uri.p + i))
			return "must not contain white space";
		dots += uri.p[i] == '.';
	}
	if (how == MATCH_WILDCARD)
		return dots < URI_MAX_WILDCARD_PARTS
			       ? NULL
			       : "must not have more than 32 components";
	if (how == MATCH_PREFIX && uri.len == 0)
		return NULL;
	if (how == MATCH_PREFIX && uri.p[uri.len - 1] == '.')
		uri.len--;
	if (uri_valid(uri))
		return NULL;
	return uri.len == 0 && how == MATCH_EXACT
		       ? "must not be empty"
		       : "must not have an empty component between dots";
}

/* Compares component by component. Both must have the same number of components. */
static bool wildcard_matches(struct slice pattern, struct slice uri)
{
	for (;;) {
		size_t p = slice_find(pattern, '.'), u = slice_find(uri, '.');

		if (p > 0 && !slice_eq(slice_of(pattern.p, p), slice_of(uri.p, u)))
			return false;
		if (p == pattern.len || u == uri.len)
			return p == pattern.len && u == uri.len;
		pattern = slice_from(pattern, p + 1);
		uri = slice_from(uri, u + 1);
	}
}

bool uri_matches(enum match how, struct slice pattern, struct slice uri)
{
	switch (how) {
	case MATCH_EXACT:
		return slice_eq(pattern, uri);
	case MATCH_PREFIX:
		return uri.len >= pattern.len &&
		       slice_eq(pattern, slice_of(uri.p, pattern.len));
	case MATCH_WILDCARD:
		return wildcard_matches(pattern, uri);
	case MATCH_COUNT:
		break;
	}
	return false;
}

bool uri_reserved(struct slice uri)
{
	return slice_begins(uri, "wamp") && (uri.len == 4 || uri.p[4] == '.');
}

size_t uri_wildcard_head(struct slice pattern)
{
	size_t i = 0;

	while (i < pattern.len && pattern.p[i] != '.') {
		i += slice_find(slice_from(pattern, i), '.');
		if (i < pattern.len)
			i++;
	}
	return i;
}

bool uri_covers(enum match a_how, struct slice a, enum match b_how, struct slice b)
{
	if (b_how == MATCH_PREFIX && a_how != MATCH_PREFIX)
		return false;
	if (b_how == MATCH_WILDCARD && a_how == MATCH_PREFIX)
		b.len = uri_wildcard_head(b);
	/* a wildcard's empty component also covers an empty component */
	return uri_matches(a_how, a, b);
}

bool uri_intersects(enum match a_how, struct slice a, enum match b_how, struct slice b)
{
	if (a_how == MATCH_PREFIX && b_how == MATCH_PREFIX)
		return uri_matches(MATCH_PREFIX, a, b) || uri_matches(MATCH_PREFIX, b, a);
	/* then only a can be a prefix */
	if (b_how == MATCH_PREFIX)
		return uri_intersects(b_how, b, a_how, a);
	for (;;) {
		size_t x = slice_find(a, '.'), y = slice_find(b, '.');
		bool a_ends = x == a.len, b_ends = y == b.len;

		if (a_ends && a_how == MATCH_PREFIX)
			return y == 0 || uri_matches(MATCH_PREFIX, a, slice_of(b.p, y));
		if (x > 0 && y > 0 && !slice_eq(slice_of(a.p, x), slice_of(b.p, y)))
			return false;
		if (a_ends || b_ends)
			return a_ends && b_ends;
		a = slice_from(a, x + 1);
		b = slice_from(b, y + 1);
	}
}
