/* SPDX-License-Identifier: Apache-2.0 */
/* Random items for property and differential tests. The same state gives the same items.
 */
#ifndef TESTS_UNIT_RANDOM_ITEMS_H
#define TESTS_UNIT_RANDOM_ITEMS_H

#include "tests/unit/token_values.h"

/* xorshift64*; the state must not be 0 */
static inline uint64_t rng_next(uint64_t *rng)
{
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return *rng * UINT64_C(2685821657736338717);
}

static inline uint64_t rng_below(uint64_t *rng, uint64_t n)
{
	return (rng_next(rng) >> 11) % n;
}

/* A text with characters of all lengths. Not U+0000 first, which JSON uses for binaries.
 */
static inline void random_text(uint64_t *rng, struct token_writer *w)
{
	static const char *const pieces[] = {"a",
					     "Z",
					     "0",
					     " ",
					     "\"",
					     "\\",
					     "/",
					     "\n",
					     "\x01",
					     "\x7f",
					     "\xc2\x80",
					     "\xdf\xbf",
					     "\xe0\xa0\x80",
					     "\xef\xbf\xbf",
					     "\xf0\x90\x80\x80",
					     "\xf4\x8f\xbf\xbf",
					     "key",
					     "value of"};
	char text[512];
	size_t len = 0;

	for (uint64_t n = rng_below(rng, rng_below(rng, 8) == 0 ? 50 : 6); n > 0; n--) {
		const char *piece = pieces[rng_below(rng, ARRAY_LEN(pieces))];

		memcpy(text + len, piece, strlen(piece));
		len += strlen(piece);
	}
	token_put_str(w, slice_of(text, len));
}

static inline void random_bytes(uint64_t *rng, struct token_writer *w)
{
	uint8_t bytes[300];
	size_t len = rng_below(rng, rng_below(rng, 8) == 0 ? sizeof(bytes) : 6);

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)rng_next(rng);
	token_put_bin(w, slice_of(bytes, len));
}

/* An integer near a power of two, where the encodings change their form. */
static inline void random_integer(uint64_t *rng, struct token_writer *w)
{
	uint64_t v = (UINT64_C(1) << rng_below(rng, 64)) + rng_below(rng, 5) - 2;

	if (rng_below(rng, 2) == 0)
		token_put_uint(w, v);
	else
		token_put_int(w, (int64_t)v);
}

/* A finite double: any exponent, or few digits. */
static inline void random_double(uint64_t *rng, struct token_writer *w)
{
	uint64_t bits = rng_next(rng);
	double d;

	memcpy(&d, &bits, sizeof(d));
	if (rng_below(rng, 2) == 0 || d != d || d - d != 0)
		d = (double)rng_below(rng, 2000) / 8 - 100;
	token_put_double(w, d);
}

static inline void random_scalar(uint64_t *rng, struct token_writer *w)
{
	switch (rng_below(rng, 7)) {
	case 0:
		token_put_null(w);
		break;
	case 1:
		token_put_bool(w, rng_below(rng, 2) == 0);
		break;
	case 2:
		random_double(rng, w);
		break;
	case 3:
		random_bytes(rng, w);
		break;
	case 4:
		random_text(rng, w);
		break;
	default:
		random_integer(rng, w);
	}
}

/* One item that every encoding can represent, of about size scalars, with or without
 * announced counts, at most 20 levels deep. */
static inline void random_item(uint64_t *rng, struct token_writer *w, uint64_t size)
{
	uint64_t counts[20];
	bool maps[20];
	unsigned depth = 0;

	do {
		bool open =
			depth < ARRAY_LEN(counts) && size > 0 && rng_below(rng, 3) == 0;

		if (depth > 0) {
			counts[depth - 1]--;
			if (maps[depth - 1])
				random_text(rng, w);
		}
		if (open) {
			uint64_t n = rng_below(rng, rng_below(rng, 10) == 0 ? 30 : 5);
			uint64_t told = rng_below(rng, 2) == 0 ? n : TOKEN_COUNT_UNKNOWN;

			counts[depth] = n;
			maps[depth] = rng_below(rng, 2) == 0;
			if (maps[depth])
				token_put_map(w, told);
			else
				token_put_array(w, told);
			depth++;
			size -= n < size ? n : size;
		} else {
			random_scalar(rng, w);
		}
		for (; depth > 0 && counts[depth - 1] == 0; depth--)
			token_put_end(w);
	} while (depth > 0);
}

#endif
