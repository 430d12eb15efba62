/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is freed all at once; see pool.h. */
#include "common/pool.h"

#include <stdalign.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 4000 }; /* a larger piece gets a block of its own */

struct pool_block {
	struct pool_block *next;
	size_t size; /* of bytes */
	alignas(max_align_t) unsigned char bytes[];
};

void pool_init(struct pool *p)
{
	*p = (struct pool){0};
}

void pool_fini(struct pool *p)
{
	while (p->blocks != NULL) {
		struct pool_block *next = p->blocks->next;

		free(p->blocks);
		p->blocks = next;
	}
	pool_init(p);
}

static struct pool_block *add_block(struct pool *p, size_t size)
{
	struct pool_block *block = calloc(1, sizeof(*block) + size);

	if (block == NULL)
		return NULL;
	block->size = size;
	block->next = p->blocks;
	p->blocks = block;
	p->used = 0;
	p->total += size;
	return block;
}

void *pool_alloc(struct pool *p, size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct pool_block *block = p->blocks;
	if (block == NULL || size > block->size - p->used)
		block = add_block(p, size > BLOCK_BYTES ? size : BLOCK_BYTES);
	if (block == NULL)
		return NULL;
	void *piece = block->bytes + p->used;
	p->used += size;
	return piece;
}

void *pool_array(struct pool *p, size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? NULL : pool_alloc(p, bytes);
}

char *pool_text(struct pool *p, struct slice text)
{
	if (text.len == SIZE_MAX)
		return NULL;
	char *copy = pool_alloc(p, text.len + 1);
	if (copy != NULL && text.len > 0)
		memcpy(copy, text.p, text.len);
	return copy;
}
