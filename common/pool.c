/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is freed all at once; see pool.h. Runs on the pool's thread. */
#include "common/pool.h"

#include <sodium.h>
#include <stdalign.h>
#include <stdlib.h>

struct pool_piece {
	struct pool_piece *next;
	size_t len; /* of bytes */
	alignas(max_align_t) unsigned char bytes[];
};

void pool_init(struct pool *p)
{
	p->pieces = NULL;
}

void pool_fini(struct pool *p)
{
	while (p->pieces != NULL) {
		struct pool_piece *next = p->pieces->next;

		sodium_memzero(p->pieces->bytes, p->pieces->len);
		free(p->pieces);
		p->pieces = next;
	}
}

void *pool_alloc(struct pool *p, size_t count, size_t size)
{
	struct pool_piece *piece;
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	piece = calloc(1, sizeof(*piece) + bytes);
	if (piece == NULL)
		return NULL;
	piece->next = p->pieces;
	piece->len = bytes;
	p->pieces = piece;
	return piece->bytes;
}

char *pool_text(struct pool *p, const char *text)
{
	char *copy = pool_alloc(p, strlen(text) + 1, 1);

	return copy != NULL ? strcpy(copy, text) : NULL;
}
