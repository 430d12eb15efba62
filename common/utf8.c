/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 validation; see utf8.h. Skips ASCII 16 bytes at a time, and checks other
 * characters one by one against the table of RFC 3629, section 4. No state; any thread.
 */
#include "common/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Returns the first byte that is not ASCII, or end. */
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned high = (unsigned)_mm_movemask_epi8(v);

		if (high != 0)
			return p + __builtin_ctz(high);
	}
#else
	for (; end - p >= 8; p += 8) {
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		v &= UINT64_C(0x8080808080808080);
		if (v != 0)
			return p + __builtin_ctzll(v) / 8;
	}
#endif
	while (p < end && *p < 0x80)
		p++;
	return p;
}

/*
 * Handles the first byte of a character that is not ASCII: sets the number of bytes that
 * must follow, and the bounds of the second byte. The bounds exclude overlong forms (E0,
 * F0), surrogates (ED) and values above U+10FFFF (F4).
 */
static bool begin_char(struct utf8_state *st, uint8_t c)
{
	st->lo = 0x80;
	st->hi = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		st->need = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		st->need = 2;
		if (c == 0xe0)
			st->lo = 0xa0;
		else if (c == 0xed)
			st->hi = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		st->need = 3;
		if (c == 0xf0)
			st->lo = 0x90;
		else if (c == 0xf4)
			st->hi = 0x8f;
	} else {
		return false;
	}
	return true;
}

bool utf8_feed(struct utf8_state *st, const uint8_t *p, size_t len)
{
	if (len == 0)
		return true;
	const uint8_t *end = p + len;
	struct utf8_state s = *st;

	while (p < end) {
		if (s.need == 0) {
			if (*p < 0x80) {
				p = skip_ascii(p, end);
				continue;
			}
			if (!begin_char(&s, *p++))
				return false;
			continue;
		}
		if (*p < s.lo || *p > s.hi)
			return false;
		p++;
		s.need--;
		s.lo = 0x80;
		s.hi = 0xbf;
	}
	*st = s;
	return true;
}

bool utf8_valid_long(struct slice s)
{
	struct utf8_state st = {.need = 0};
	const uint8_t *end = s.p + s.len, *p = skip_ascii(s.p, end);

	return p == end || (utf8_feed(&st, p, (size_t)(end - p)) && utf8_done(&st));
}
