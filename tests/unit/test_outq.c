/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of routerd/net/outq: order, partial writes, and what is counted. */
#include "common/buf.h"
#include "common/err.h"
#include "proto/ws_frame.h"
#include "routerd/net/outq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/shared_check.h"

static struct shared_buf *shared(size_t len, int fill)
{
	struct shared_buf *b = shared_buf_new(len);

	assert_non_null(b);
	memset(b->data, fill, len);
	return b;
}

static void test_small_messages_collect(void **state)
{
	struct outq_pool pool = {0};
	struct outq q = {0};
	struct iovec iov[OUTQ_IOV_MAX];
	size_t bytes;

	(void)state;
	assert_true(outq_empty(&q));
	assert_int_equal(outq_peek(&q, iov, OUTQ_IOV_MAX, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(outq_push(&q, &pool, slice_of(NULL, 0)), 0);
	assert_true(outq_empty(&q));
	for (int i = 0; i < 100; i++)
		assert_int_equal(outq_push(&q, &pool, slice_str("0123456789")), 0);
	assert_in_range(outq_peek(&q, iov, OUTQ_IOV_MAX, &bytes), 1, 2);
	assert_int_equal(bytes, 1000);
	assert_in_range(q.memory, 1000, 512 + 4096);
	assert_int_equal(pool.memory, q.memory);
	outq_fini(&q, &pool);
	assert_true(outq_empty(&q));
	assert_int_equal(q.memory, 0);
	assert_int_equal(pool.memory, 0);
	outq_pool_fini(&pool);
}

static void test_shared_counts_once(void **state)
{
	enum { LEN = 100000 };
	struct shared_buf *b = shared(LEN, 'x');
	struct outq_pool pool = {0};
	struct outq q[20] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		assert_int_equal(outq_push_shared(&q[i], &pool, shared_buf_ref(b)), 0);
		assert_true(q[i].memory >= LEN);
	}
	assert_in_range(pool.memory, LEN, LEN + 20 * 100);
	assert_int_equal(atomic_load(&b->refs),
			 /* one reference is ours, 20 are the queues' */
			 1 + ARRAY_LEN(q));
	for (size_t i = 0; i + 1 < ARRAY_LEN(q); i++)
		outq_fini(&q[i], &pool);
	assert_true(pool.memory >= LEN);
	outq_fini(&q[19], &pool);
	assert_int_equal(pool.memory, 0);
	assert_int_equal(atomic_load(&b->refs), 1);

	/* a new round with the same bytes counts anew */
	assert_int_equal(outq_push_shared(&q[0], &pool, shared_buf_ref(b)), 0);
	assert_true(pool.memory >= LEN);
	outq_fini(&q[0], &pool);
	shared_buf_unref(&b);
	outq_pool_fini(&pool);
}

static void test_small_shared_is_copied(void **state)
{
	struct shared_buf *b = shared(OUTQ_SHARE_MIN - 1, 'x');
	struct outq_pool pool = {0};
	struct outq q = {0};

	(void)state;
	assert_int_equal(outq_push_shared(&q, &pool, shared_buf_ref(b)), 0);
	assert_int_equal(atomic_load(&b->refs), 1);
	outq_fini(&q, &pool);
	shared_buf_unref(&b);
	outq_pool_fini(&pool);
}

/* Several buffers in turn, each several times in one queue: each counts once. */
static void test_many_shared(void **state)
{
	struct shared_buf *b[24];
	struct outq_pool pool = {0};
	struct outq q = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(b); i++)
		b[i] = shared(1000, 'a');
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(b); i++)
			assert_int_equal(
				outq_push_shared(&q, &pool, shared_buf_ref(b[i])), 0);
	}
	assert_in_range(pool.memory, 24 * 1000, 24 * 1000 + 3 * 24 * 100);
	outq_consume(&q, &pool, 10 * 1000);
	outq_fini(&q, &pool);
	assert_int_equal(pool.memory, 0);
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		assert_int_equal(atomic_load(&b[i]->refs), 1);
		shared_buf_unref(&b[i]);
	}
	outq_pool_fini(&pool);
}

/* However it is written, the output is in the order of the pushes. */
static void test_order_under_partial_writes(void **state)
{
	struct outq_pool pool = {0};
	struct outq q = {0};
	struct buf expected;
	struct iovec iov[3];
	size_t taken = 0;

	(void)state;
	srand(1);
	buf_init(&expected, 64 * 1024 * 1024);
	for (int i = 0; i < 2000; i++) {
		size_t len = (size_t)(rand() % (i % 7 == 0 ? 6000 : 200));
		struct shared_buf *b = shared(len, i);
		size_t bytes, check, n;
		int n_iov;

		buf_put(&expected, b->data, len);
		if (i % 3 == 0)
			assert_int_equal(outq_push_shared(&q, &pool, shared_buf_ref(b)),
					 0);
		else
			assert_int_equal(outq_push(&q, &pool, slice_of(b->data, len)), 0);
		shared_buf_unref(&b);

		n_iov = outq_peek(&q, iov, ARRAY_LEN(iov), &bytes);
		for (int k = 0; k < n_iov; k++) {
			check = taken;
			for (int m = 0; m < k; m++)
				check += iov[m].iov_len;
			assert_memory_equal(iov[k].iov_base, expected.data + check,
					    iov[k].iov_len);
		}
		n = bytes == 0 ? 0 : (size_t)rand() % (bytes + 1);
		outq_consume(&q, &pool, n);
		taken += n;
	}
	while (!outq_empty(&q)) {
		size_t bytes;

		assert_int_equal(outq_peek(&q, iov, 1, &bytes), 1);
		assert_memory_equal(iov[0].iov_base, expected.data + taken, bytes);
		outq_consume(&q, &pool, bytes);
		taken += bytes;
	}
	assert_int_equal(taken, expected.len);
	assert_int_equal(pool.memory, 0);
	buf_fini(&expected);
	outq_pool_fini(&pool);
}

/* --- frames that join --- */

/* A frame with len bytes of payload, which continue the text of the frame before. */
static struct slice next_frame(struct buf *text, uint8_t *to, size_t len)
{
	size_t head = frame_head(FRAMING_WS_BINARY, len, to);

	for (size_t i = 0; i < len; i++)
		to[head + i] = (uint8_t)rand();
	buf_put(text, to + head, len);
	return slice_of(to, head + len);
}

/* Appends the payloads of the frames in s; returns their number. */
static unsigned read_frames(struct slice s, struct buf *text)
{
	unsigned n = 0;

	for (size_t at = 0; at < s.len; n++) {
		const uint8_t *p = s.p + at;
		size_t head = p[1] < 126 ? 2 : 4;
		size_t len = head == 2 ? p[1] : get_be16(p + 2);

		assert_true(head == 2 || len >= 126);
		assert_true(p[0] == 0x82 || p[0] == 0x89);
		assert_true(head + len <= s.len - at);
		buf_put(text, p + head, len);
		at += head + len;
	}
	return n;
}

/* Takes at most n bytes from the queue. */
static void take(struct outq *q, struct outq_pool *pool, size_t n, struct buf *out)
{
	while (n > 0 && !outq_empty(q)) {
		struct iovec iov;
		size_t bytes;

		assert_int_equal(outq_peek(q, &iov, 1, &bytes), 1);
		bytes = min_size(bytes, n);
		buf_put(out, iov.iov_base, bytes);
		outq_consume(q, pool, bytes);
		n -= bytes;
	}
}

/* Pings and shared messages stand between the frames, and some output is written
 * meanwhile. */
static void test_frames_join(void **state)
{
	struct buf pushed, written, read;
	struct outq_pool pool = {0};
	struct outq q = {0};
	uint8_t frame[16 * 1024];
	unsigned n_pushed = 20000, n_frames;

	(void)state;
	srand(2);
	buf_init(&pushed, 1 << 30);
	buf_init(&written, 1 << 30);
	buf_init(&read, 1 << 30);
	q.joins = true;
	for (unsigned i = 0; i < n_pushed; i++) {
		size_t len = (size_t)(rand() % (i % 50 == 0 ? 10000 : 90));
		struct slice f;

		if (rand() % 40 == 0) {
			assert_int_equal(outq_push(&q, &pool, slice_of("\x89\x00", 2)),
					 0);
			n_pushed++;
		}
		f = next_frame(&pushed, frame, len);
		if (rand() % 3 == 0) {
			struct shared_buf *b = shared_buf_copy(f);

			assert_non_null(b);
			assert_int_equal(outq_push_shared(&q, &pool, b), 0);
		} else {
			assert_int_equal(outq_push_frame(&q, &pool, f), 0);
		}
		if (rand() % 10 == 0)
			take(&q, &pool, (size_t)(rand() % 3000), &written);
	}
	take(&q, &pool, SIZE_MAX, &written);
	n_frames = read_frames(buf_slice(&written), &read);
	assert_int_equal(read.len, pushed.len);
	assert_memory_equal(read.data, pushed.data, read.len);
	assert_in_range(n_frames, 1, n_pushed / 3);
	assert_int_equal(pool.memory, 0);

	/* a queue that was dropped starts anew */
	assert_int_equal(outq_push_frame(&q, &pool, slice_of("\x82\x01x", 3)), 0);
	outq_fini(&q, &pool);
	assert_int_equal(outq_push_frame(&q, &pool, slice_of("\x82\x01y", 3)), 0);
	buf_clear(&written);
	take(&q, &pool, SIZE_MAX, &written);
	assert_int_equal(written.len, 3);

	/* a queue with joins = false keeps frames apart */
	q.joins = false;
	for (int i = 0; i < 2; i++)
		assert_int_equal(outq_push_frame(&q, &pool, slice_of("\x82\x01y", 3)), 0);
	take(&q, &pool, SIZE_MAX, &written);
	assert_int_equal(written.len, 9);
	buf_fini(&pushed);
	buf_fini(&written);
	buf_fini(&read);
	outq_pool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_messages_collect),
		cmocka_unit_test(test_shared_counts_once),
		cmocka_unit_test(test_small_shared_is_copied),
		cmocka_unit_test(test_many_shared),
		cmocka_unit_test(test_order_under_partial_writes),
		cmocka_unit_test(test_frames_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
