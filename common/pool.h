/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is freed all at once, for a structure that is built in many pieces and does
 * not change afterwards. One thread owns a pool while it allocates; then any thread may
 * read.
 */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include "common/base.h"

struct pool {
	struct pool_piece *pieces; /* newest first */
};

/* Makes an empty pool and allocates nothing. */
void pool_init(struct pool *p);
/*
 * Frees everything that was allocated from the pool, and overwrites it first, because a
 * configuration contains secrets. Afterwards the pool is empty and can be used again.
 */
void pool_fini(struct pool *p);

/*
 * Allocates count objects of size bytes each, zeroed and aligned for any type. count may
 * be 0. NULL if out of memory.
 */
void *pool_alloc(struct pool *p, size_t count, size_t size);
/* Copies a text. NULL if out of memory. */
char *pool_text(struct pool *p, const char *text);

#endif
