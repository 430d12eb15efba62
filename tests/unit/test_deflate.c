/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/deflate: which frames are compressed, and how. */
#include "proto/deflate.h"

#include "common/err.h"
#include "proto/ws_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct deflater *deflater;
static struct buf frame, plain;

static int setup(void **state)
{
	(void)state;
	deflater = deflater_new();
	buf_init(&frame, 1 << 20);
	buf_init(&plain, 1 << 20);
	return deflater == NULL;
}

static int teardown(void **state)
{
	(void)state;
	deflater_free(&deflater);
	buf_fini(&frame);
	buf_fini(&plain);
	return 0;
}

/* Makes a frame of len bytes with its head. The first `chance` bytes of its message are
 * random, the others are equal. */
static void make_frame(enum framing framing, size_t len, size_t chance)
{
	uint8_t head[FRAME_HEAD_MAX];
	size_t n = len - 2;

	while (n + frame_head_len(framing, n) > len)
		n--;
	buf_clear(&frame);
	buf_put(&frame, head, frame_head(framing, n, head));
	for (size_t i = 0; i < n; i++)
		buf_put_u8(&frame, i < chance ? (uint8_t)rand() : 'a');
	assert_int_equal(frame.len, len);
}

/* Inflates the message of a compressed frame. */
static void expand(struct slice deflated)
{
	struct inflaters all = {.left = 0};
	size_t head = ws_head_len(deflated.p), cost = 0;
	struct inflater *i = inflaters_lend(&all, slice_from(deflated, head));
	int err;

	assert_non_null(i);
	buf_clear(&plain);
	while ((err = inflater_step(i, &plain, &cost)) == E_AGAIN)
		;
	assert_int_equal(err, 0);
	assert_true(cost >= plain.len + INFLATE_COST_IN * (deflated.len - head));
	inflaters_return(&all, &i);
	inflaters_fini(&all);
}

/* Compresses the frame. Returns whether it got shorter, and checks what it became. */
static bool compressed(void)
{
	struct slice framed = buf_slice(&frame);
	struct slice deflated = deflater_frame(deflater, framed);
	size_t head = ws_head_len(framed.p);

	if (deflated.p == framed.p) {
		assert_int_equal(deflated.len, framed.len);
		return false;
	}
	assert_int_equal(deflated.p[0], framed.p[0] | WS_RSV1);
	assert_int_equal(ws_frame_len(deflated.p), deflated.len);
	/* by an eighth at least */
	assert_true(deflated.len - ws_head_len(deflated.p) <=
		    (framed.len - head) - (framed.len - head) / 8);
	expand(deflated);
	assert_int_equal(plain.len, framed.len - head);
	assert_memory_equal(plain.data, framed.p + head, plain.len);
	return true;
}

static void test_only_some_lengths(void **state)
{
	(void)state;
	assert_int_equal(DEFLATE_MIN, 512);
	assert_int_equal(DEFLATE_MAX, 256 * 1024);
	for (enum framing f = FRAMING_WS_TEXT; f <= FRAMING_WS_BINARY; f++) {
		make_frame(f, 200, 0);
		assert_false(compressed());
		make_frame(f, DEFLATE_MIN - 1, 0);
		assert_false(compressed());
		make_frame(f, DEFLATE_MIN, 0);
		assert_true(compressed());
		make_frame(f, 100 * 1000, 1000);
		assert_true(compressed());
		make_frame(f, FRAME_HEAD_MAX + DEFLATE_MAX, 0);
		assert_true(compressed());
		make_frame(f, FRAME_HEAD_MAX + DEFLATE_MAX + 1, 0);
		assert_false(compressed());
	}
}

/* The more random bytes, the less a message shrinks: from some number on not enough. */
static void test_only_what_shrinks_by_an_eighth(void **state)
{
	static const size_t lengths[] = {600, 5000, 100 * 1000, DEFLATE_MAX};

	(void)state;
	srand(1);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		size_t len = lengths[i], fewest = len;

		for (size_t chance = 0; chance <= len; chance += 1 + len / 200) {
			make_frame(FRAMING_WS_BINARY, len, chance);
			if (compressed())
				assert_true(chance < fewest);
			else
				fewest = min_size(fewest, chance);
		}
		/* zlib needs some bytes for itself; `chance` grows in steps */
		assert_in_range(fewest, len * 7 / 8 - 200 - len / 100,
				len * 7 / 8 + 1 + len / 200);
	}
}

/* Each message is compressed on its own: the same frame gives the same bytes. */
static void test_no_context(void **state)
{
	struct slice first;
	struct buf copy;

	(void)state;
	make_frame(FRAMING_WS_TEXT, 5000, 500);
	first = deflater_frame(deflater, buf_slice(&frame));
	buf_init(&copy, 5000);
	buf_put_slice(&copy, first);
	assert_true(compressed());
	assert_true(
		slice_eq(deflater_frame(deflater, buf_slice(&frame)), buf_slice(&copy)));
	buf_fini(&copy);
}

/* An inflater that gave up in the middle of a message serves the next one. */
static void test_inflaters_are_used_again(void **state)
{
	struct inflaters all = {.left = 0};
	struct slice deflated, message;
	struct inflater *one, *two;
	size_t cost = 0;
	int err;

	(void)state;
	make_frame(FRAMING_WS_TEXT, 200 * 1000, 20000);
	deflated = deflater_frame(deflater, buf_slice(&frame));
	message = slice_from(deflated, ws_head_len(deflated.p));
	one = inflaters_lend(&all, message);
	two = inflaters_lend(&all, message);
	assert_true(one != NULL && two != NULL && one != two);
	assert_int_equal(all.lent, 2);
	assert_int_equal(inflater_step(one, &plain, &cost), E_AGAIN);
	inflaters_return(&all, &two);
	assert_null(two);
	inflaters_return(&all, &two);
	assert_int_equal(all.lent, 1);
	/* at most one is kept, the last */
	two = one;
	inflaters_return(&all, &one);
	assert_true(all.spare == two);
	for (int i = 0; i < 2; i++) {
		one = inflaters_lend(&all, message);
		assert_true(one == two && all.spare == NULL);
		buf_clear(&plain);
		while ((err = inflater_step(one, &plain, &cost)) == E_AGAIN)
			;
		assert_int_equal(err, 0);
		assert_int_equal(plain.len, frame.len - FRAME_HEAD_MAX);
		inflaters_return(&all, &one);
	}
	inflaters_fini(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_only_some_lengths),
		T(test_only_what_shrinks_by_an_eighth),
		T(test_no_context),
		T(test_inflaters_are_used_again),
#undef T
	};

	return cmocka_run_group_tests_name("deflate", tests, NULL, NULL);
}
