/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counted bytes that are immutable once shared: a frame that goes to a thousand
 * receivers, a transcoded payload. The count is atomic, so references may be dropped on
 * any thread.
 */
#ifndef COMMON_SHARED_BUF_H
#define COMMON_SHARED_BUF_H

#include "common/base.h"

#include <stdatomic.h>

struct shared_buf {
	_Atomic uint32_t refs;
	uint32_t len;
	uint8_t data[];
};

/* len uninitialised bytes with one reference, to be filled before it is shared; NULL: no
 * memory. */
struct shared_buf *shared_buf_new(size_t len);

/* A copy of some bytes, with one reference; NULL: no memory. */
struct shared_buf *shared_buf_copy(struct slice from);

/* One more reference. */
static inline struct shared_buf *shared_buf_ref(struct shared_buf *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void shared_buf_unref(struct shared_buf **b);

#endif
