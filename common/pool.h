/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is freed all at once: for a structure that is built in many pieces and then
 * stays as it is. Owned by one thread until it is complete; reading needs no care.
 */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include "common/base.h"

struct pool {
	struct pool_piece *pieces; /* newest first */
};

/* An empty pool that allocates nothing yet. */
void pool_init(struct pool *p);
/* Frees everything that came from it. The pool is then empty, and may be used again. */
void pool_fini(struct pool *p);

/* count objects of this size, zeroed and aligned for anything; 0 of them give a pointer,
 * too. NULL: no memory. */
void *pool_alloc(struct pool *p, size_t count, size_t size);

#endif
