/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for the unit tests of the encodings. Include it behind <cmocka.h>. */
#ifndef TESTS_UNIT_CODEC_CHECK_H
#define TESTS_UNIT_CODEC_CHECK_H

#include "tests/unit/token_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* bytes: text for JSON; for UBJSON text in which %xx is a byte in hex; else hex */
struct good {
	const char *bytes, *shown;
};
struct bad {
	const char *bytes;
	int err;
};

/* Copies the sample into memory of its exact size. */
static inline struct slice sample_bytes(enum serializer s, const char *bytes)
{
	uint8_t buf[2048];

	if (s == SERIALIZER_JSON)
		return copy_exact(slice_str(bytes));
	if (s == SERIALIZER_UBJSON)
		return copy_exact(from_percent(bytes, buf, sizeof(buf)));
	return copy_exact(from_hex(bytes, buf, sizeof(buf)));
}

/* The sample gives the expected tokens, is E_TRUNCATED at each shorter length, and
 * survives each flipped bit. */
static inline void check_good(enum serializer s, const struct good *samples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice in = sample_bytes(s, samples[i].bytes);
		struct buf shown;

		buf_init(&shown, 100000);
		int err = read_whole(s, in, &shown);
		if (err != 0)
			fail_msg("%s: %s", samples[i].bytes, err_str(err));
		buf_put_u8(&shown, '\0');
		assert_string_equal((char *)shown.data, samples[i].shown);
		for (size_t len = 0; len < in.len; len++) {
			struct slice cut = copy_exact(slice_of(in.p, len));

			err = read_both_ways(s, cut, NULL, NULL);
			if (err != E_TRUNCATED)
				fail_msg("%s cut at %zu: %s", samples[i].bytes, len,
					 err_str(err));
			free_copy(cut);
		}
		read_all_flips(s, in);
		buf_fini(&shown);
		free_copy(in);
	}
}

static inline void check_bad(enum serializer s, const struct bad *samples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice in = sample_bytes(s, samples[i].bytes);
		int err = read_both_ways(s, in, NULL, NULL);

		if (err != samples[i].err)
			fail_msg("%s: %s", samples[i].bytes, err_str(err));
		free_copy(in);
	}
}

/* The result of reading depth times opener, then inner, then depth times closer. */
static inline int nested(enum serializer s, const char *opener, const char *inner,
			 const char *closer, size_t depth)
{
	struct buf b;

	buf_init(&b, 100000);
	for (size_t i = 0; i < depth; i++)
		buf_put_str(&b, opener);
	buf_put_str(&b, inner);
	for (size_t i = 0; i < depth; i++)
		buf_put_str(&b, closer);
	int err = read_whole(s, buf_slice(&b), NULL);
	buf_fini(&b);
	return err;
}

static inline void check_depth(enum serializer s, const char *opener, const char *inner,
			       const char *closer)
{
	assert_int_equal(nested(s, opener, inner, closer, 64), 0);
	assert_int_equal(nested(s, opener, inner, closer, 65), E_DEPTH);
	assert_int_equal(nested(s, opener, inner, closer, 1000), E_DEPTH);
}

/* Compares the written bytes and empties the buffer. */
static inline void check_written(enum serializer s, struct buf *b, const char *expected)
{
	struct slice bytes = sample_bytes(s, expected);

	assert_int_equal(b->err, 0);
	if (!slice_eq(buf_slice(b), bytes)) {
		struct buf shown;

		buf_init(&shown, 100000);
		if (s == SERIALIZER_JSON)
			buf_put_slice(&shown, buf_slice(b));
		else
			put_hex(&shown, buf_slice(b));
		buf_put_u8(&shown, '\0');
		fail_msg("%s instead of %s", (char *)shown.data, expected);
	}
	free_copy(bytes);
	buf_clear(b);
}

/* Containers whose count is given only at their end give the same bytes. */
static inline void check_unknown_counts(enum serializer s, const size_t *counts, size_t n)
{
	struct token_writer w;
	struct buf bufs[2];

	buf_init(&bufs[0], 1000000);
	buf_init(&bufs[1], 1000000);
	for (size_t i = 0; i < n * 2; i++) {
		size_t count = counts[i / 2];
		bool map = i % 2 == 1;

		for (size_t k = 0; k < 2; k++) {
			uint64_t told = k == 0 ? TOKEN_COUNT_UNKNOWN : count;

			buf_clear(&bufs[k]);
			token_writer_init(&w, s, &bufs[k]);
			token_put_array(&w, 2);
			if (map)
				token_put_map(&w, told);
			else
				token_put_array(&w, told);
			for (size_t j = 0; j < count * (1 + map); j++)
				token_put_text(&w, "x");
			token_put_end(&w);
			token_put_bool(&w, true);
			token_put_end(&w);
			assert_int_equal(bufs[k].err, 0);
		}
		assert_true(slice_eq(buf_slice(&bufs[0]), buf_slice(&bufs[1])));
		assert_int_equal(read_whole(s, buf_slice(&bufs[0]), NULL), 0);
	}
	buf_fini(&bufs[0]);
	buf_fini(&bufs[1]);
}

/* The limits of size and depth set the buffer's error. */
static inline void check_writer_limits(enum serializer s)
{
	struct token_writer w;
	struct buf b;

	buf_init(&b, 10);
	token_writer_init(&w, s, &b);
	for (size_t i = 0; i < 20; i++)
		token_put_array(&w, TOKEN_COUNT_UNKNOWN);
	for (size_t i = 0; i < 20; i++)
		token_put_end(&w);
	assert_int_equal(b.err, E_LIMIT);
	assert_in_range(b.len, 0, 10);
	buf_fini(&b);

	buf_init(&b, 1000);
	token_writer_init(&w, s, &b);
	for (size_t i = 0; i < 64; i++)
		token_put_array(&w, 1);
	assert_int_equal(b.err, 0);
	token_put_array(&w, 1);
	assert_int_equal(b.err, E_DEPTH);
	for (size_t i = 0; i < 100; i++)
		token_put_end(&w);
	assert_int_equal(b.err, E_DEPTH);
	buf_fini(&b);
}

#endif
