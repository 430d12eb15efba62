/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is freed all at once: for a structure that is built in many pieces and then
 * stays as it is. Owned by one thread until it is complete; reading needs no care.
 */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include "common/base.h"

struct pool {
	struct pool_block *blocks; /* newest first */
	size_t used;               /* bytes given out of the newest */
	size_t total;              /* bytes allocated */
};

/* An empty pool that allocates nothing yet. */
void pool_init(struct pool *p);
/* Frees everything that came from it. The pool is then empty, and may be used again. */
void pool_fini(struct pool *p);

/* size zeroed bytes, aligned for anything; NULL: no memory. size 0 gives a pointer, too.
 */
void *pool_alloc(struct pool *p, size_t size);
/* The same for count objects of this size; NULL also where the product overflows. */
void *pool_array(struct pool *p, size_t count, size_t size);
/* A copy of some bytes, with a terminator behind them; NULL: no memory. */
char *pool_text(struct pool *p, struct slice text);

#endif
