/* SPDX-License-Identifier: Apache-2.0 */
/* Counted immutable bytes; see shared_buf.h. */
#include "common/shared_buf.h"

#include <stdlib.h>

struct shared_buf *shared_buf_new(size_t len)
{
	if (len > UINT32_MAX)
		return NULL;
	struct shared_buf *b = malloc(sizeof(*b) + len);
	if (b == NULL)
		return NULL;
	atomic_init(&b->refs, 1);
	b->len = (uint32_t)len;
	return b;
}

struct shared_buf *shared_buf_copy(struct slice from)
{
	struct shared_buf *b = shared_buf_new(from.len);

	if (b != NULL && from.len > 0)
		memcpy(b->data, from.p, from.len);
	return b;
}

void shared_buf_unref(struct shared_buf **bp)
{
	struct shared_buf *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}
