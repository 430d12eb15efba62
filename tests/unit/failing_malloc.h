/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces malloc and its relatives for the sources that are included after it: counts
 * their allocations, and makes one fail. Undefine the four names after the last source.
 * Include it first, in one file of a program. One thread. */
#ifndef TESTS_UNIT_FAILING_MALLOC_H
#define TESTS_UNIT_FAILING_MALLOC_H

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t allocations; /* number of allocations so far */
static size_t not_freed;
static size_t fail_at; /* number of the allocation that fails; 0: none */

static bool may_allocate(void)
{
	return ++allocations != fail_at;
}

static inline void *counted_malloc(size_t size)
{
	void *p = may_allocate() ? malloc(size) : NULL;

	not_freed += p != NULL;
	return p;
}

static inline void *counted_calloc(size_t count, size_t size)
{
	void *p = may_allocate() ? calloc(count, size) : NULL;

	not_freed += p != NULL;
	return p;
}

static inline void *counted_realloc(void *old, size_t size)
{
	void *p = may_allocate() ? realloc(old, size) : NULL;

	not_freed += old == NULL && p != NULL;
	return p;
}

static void counted_free(void *p)
{
	if (p != NULL)
		/* overwrite it, so that a use after free is noticed */
		explicit_bzero(p, malloc_usable_size(p));
	not_freed -= p != NULL;
	free(p);
}

#define malloc(size)        counted_malloc(size)
#define calloc(count, size) counted_calloc(count, size)
#define realloc(old, size)  counted_realloc(old, size)
#define free(p)             counted_free(p)

#endif
