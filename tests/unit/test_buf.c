/* SPDX-License-Identifier: Apache-2.0 */
/* common/buf: no secret is left in memory that a buffer gives back. The source is
 * included in this program, so that it can replace free for it. One thread. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char secret[] = "s3cret";
static unsigned n_freed;

static void checked_free(void *p)
{
	if (p != NULL) {
		assert_null(memmem(p, malloc_usable_size(p), secret, strlen(secret)));
		n_freed++;
	}
	free(p);
}

#define free(p) checked_free(p)
#include "common/buf.c"
#undef free

static void test_growing_and_freeing(void **state)
{
	struct buf b;

	(void)state;
	buf_init_secret(&b, 100000);
	for (int i = 0; i < 1000; i++)
		buf_put_str(&b, secret);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 6000);
	assert_memory_equal(b.data + 5994, secret, 6);
	assert_true(n_freed > 3); /* it has grown by moving */
	buf_clear(&b);
	buf_fini(&b);
	assert_true(b.secret);
	assert_int_equal(b.max, 100000);
}

static void test_consuming(void **state)
{
	struct buf b;

	(void)state;
	buf_init_secret(&b, 1000);
	buf_put_str(&b, "xx");
	buf_put_str(&b, secret);
	buf_put_str(&b, "yyyy");
	buf_consume(&b, 8);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "yyyy", 4);
	assert_null(memmem(b.data, b.cap, secret, strlen(secret)));
	buf_put_str(&b, secret);
	buf_consume(&b, b.len);
	assert_null(memmem(b.data, b.cap, secret, strlen(secret)));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growing_and_freeing),
		cmocka_unit_test(test_consuming),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
