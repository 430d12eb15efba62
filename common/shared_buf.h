/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counted bytes that are immutable once shared: a frame that goes to a thousand
 * receivers, a transcoded payload. The count is atomic, so references may be dropped on
 * any thread.
 */
#ifndef COMMON_SHARED_BUF_H
#define COMMON_SHARED_BUF_H

#include "common/buf.h"

#include <stdatomic.h>

struct shared_buf {
	_Atomic uint32_t refs;
	uint32_t len;
	uint32_t queued; /* for the one thread whose queues hold it: how often they do */
	uint8_t data[];
};

/*
 * Begins a buffer of at most max bytes that is to be shared, with memory for about so
 * many. Append to *b, whose first SHARED_BUF_HEAD bytes are not content.
 */
#define SHARED_BUF_HEAD offsetof(struct shared_buf, data)
void shared_buf_begin(struct buf *b, size_t about, size_t max);

/* Ends it: takes the memory of *b. One reference. NULL: *b has failed; it is freed. */
struct shared_buf *shared_buf_end(struct buf *b);

/* One more reference. */
static inline struct shared_buf *shared_buf_ref(struct shared_buf *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void shared_buf_unref(struct shared_buf **b);

#endif
