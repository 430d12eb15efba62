/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces malloc for all our objects that are linked into the program, and for libevent:
 * counts their allocations, and makes some fail. The Makefile links the program with
 * $(WRAP). Include it in one file of a program. One thread. */
#ifndef TESTS_UNIT_WRAPPED_MALLOC_H
#define TESTS_UNIT_WRAPPED_MALLOC_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strndup(const char *s, size_t n);
void __wrap_free(void *p);

static struct {
	size_t count;  /* allocations so far */
	size_t failed; /* number of failures */
	size_t live;   /* allocations not yet freed */
	/* from number first on, n allocations fail; first 0: none */
	size_t first, n;
	unsigned one_in; /* one in this many fails at random; 0: none */
	uint32_t chance;
} memory = {.chance = 1};

static bool may_allocate(void)
{
	bool fails = ++memory.count >= memory.first && memory.first != 0 &&
		     memory.count < memory.first + memory.n;

	memory.chance = memory.chance * 1664525 + 1013904223;
	if (memory.one_in != 0 && (memory.chance >> 8) % memory.one_in == 0)
		fails = true;
	memory.failed += fails;
	return !fails;
}

void *__wrap_malloc(size_t size)
{
	void *p = may_allocate() ? __real_malloc(size) : NULL;

	memory.live += p != NULL;
	return p;
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *p = may_allocate() ? __real_calloc(count, size) : NULL;

	memory.live += p != NULL;
	return p;
}

void *__wrap_realloc(void *old, size_t size)
{
	void *p = may_allocate() ? __real_realloc(old, size) : NULL;

	memory.live += old == NULL && p != NULL;
	return p;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	void *p = may_allocate() ? __real_aligned_alloc(alignment, size) : NULL;

	memory.live += p != NULL;
	return p;
}

char *__wrap_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = __wrap_malloc(len + 1);

	if (copy != NULL) {
		memcpy(copy, s, len);
		copy[len] = '\0';
	}
	return copy;
}

void __wrap_free(void *p)
{
	memory.live -= p != NULL;
	__real_free(p);
}

/* Must be called before libevent is used. */
static void wrap_libevent(void)
{
	event_set_mem_functions(__wrap_malloc, __wrap_realloc, __wrap_free);
}

#endif
