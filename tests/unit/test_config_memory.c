/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration that is read while memory runs out, at each place in turn. This program
 * brings pools and libyaml's allocator of its own, which stand before the real ones.
 */
#include "common/pool.h"

void *real_pool_alloc(struct pool *p, size_t count, size_t size);

#define pool_alloc real_pool_alloc
#include "common/pool.c"
#undef pool_alloc

#include "common/conf_yaml.h"
#include "common/err.h"
#include "routerd/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static size_t allocations; /* so far */
static size_t fail_at;     /* this one; 0: none */

static bool may_allocate(void)
{
	return ++allocations != fail_at;
}

void *pool_alloc(struct pool *p, size_t count, size_t size)
{
	return may_allocate() ? real_pool_alloc(p, count, size) : NULL;
}

/* What libyaml allocates by, in place of its own. Its header does not have them. */
#define EXPORTED __attribute__((visibility("default")))
EXPORTED void *yaml_malloc(size_t size);
EXPORTED void *yaml_realloc(void *p, size_t size);
EXPORTED yaml_char_t *yaml_strdup(const yaml_char_t *text);

void *yaml_malloc(size_t size)
{
	return may_allocate() ? malloc(size > 0 ? size : 1) : NULL;
}

void *yaml_realloc(void *p, size_t size)
{
	return may_allocate() ? realloc(p, size > 0 ? size : 1) : NULL;
}

yaml_char_t *yaml_strdup(const yaml_char_t *text)
{
	return text != NULL && may_allocate() ? (yaml_char_t *)strdup((const char *)text)
					      : NULL;
}

static const char path[] = "etc/examples/routerd.yaml";

static void at_each_place(void **state)
{
	(void)state;
	struct config *cfg = NULL;
	struct conf_error err;

	allocations = 0;
	assert_int_equal(config_load(path, &cfg, &err), 0);
	config_unref(&cfg);
	size_t n = allocations;
	assert_in_range(n, 500, 10000);
	for (fail_at = 1; fail_at <= n; fail_at++) {
		allocations = 0;
		assert_int_equal(config_load(path, &cfg, &err), E_NOMEM);
		assert_null(cfg);
		assert_non_null(strstr(err.text, "out of memory"));
	}
	fail_at = 0;
}

/* What the pools themselves say to sizes that cannot be. */
static void absurd_sizes(void **state)
{
	(void)state;
	struct pool p;

	pool_init(&p);
	assert_null(pool_alloc(&p, 1, SIZE_MAX));
	assert_null(pool_alloc(&p, SIZE_MAX / 2 + 1, 1));
	assert_null(pool_alloc(&p, SIZE_MAX / 2, 3));
	assert_null(pool_alloc(&p, 3, SIZE_MAX / 2));
	assert_non_null(pool_alloc(&p, 0, 1));
	pool_fini(&p);
	assert_null(p.pieces);
}

/* Pieces are zeroed, aligned, and do not touch each other. */
static void pieces(void **state)
{
	(void)state;
	struct pool p;
	unsigned char *piece[300];

	pool_init(&p);
	for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
		size_t size = i * 37 % 5000;

		piece[i] = pool_alloc(&p, 1, size);
		assert_non_null(piece[i]);
		assert_int_equal((uintptr_t)piece[i] % _Alignof(max_align_t), 0);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(piece[i][k], 0);
		memset(piece[i], (int)i, size);
	}
	for (size_t i = 0; i < ARRAY_LEN(piece); i++)
		for (size_t k = 0; k < i * 37 % 5000; k++)
			assert_int_equal(piece[i][k], i & 0xff);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_each_place),
		cmocka_unit_test(absurd_sizes),
		cmocka_unit_test(pieces),
	};

	return cmocka_run_group_tests_name("config_memory", tests, NULL, NULL);
}
