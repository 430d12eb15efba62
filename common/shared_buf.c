/* SPDX-License-Identifier: Apache-2.0 */
/* Immutable bytes with a reference count; see shared_buf.h. Any thread. */
#include "common/shared_buf.h"

#include <stdlib.h>

void shared_buf_begin(struct buf *b, size_t about, size_t max)
{
	static const uint8_t head[SHARED_BUF_HEAD];

	buf_init(b, SHARED_BUF_HEAD + min_size(max, UINT32_MAX));
	buf_reserve_exactly(b, SHARED_BUF_HEAD + about);
	buf_put(b, head, sizeof(head));
}

struct shared_buf *shared_buf_end(struct buf *b)
{
	struct shared_buf *shared = (struct shared_buf *)(void *)b->data;

	if (b->err != 0) {
		buf_fini(b);
		return NULL;
	}
	atomic_init(&shared->refs, 1);
	shared->len = (uint32_t)(b->len - SHARED_BUF_HEAD);
	return shared;
}

void shared_buf_unref(struct shared_buf **b)
{
	struct shared_buf *last = refs_drop(b);

	if (last != NULL)
		free(refs_drop(&last->deflated));
	free(last);
}
