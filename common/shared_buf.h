/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Immutable bytes with a reference count: for example a frame that goes to a thousand
 * receivers, or a transcoded payload. The count is atomic, so any thread may drop a
 * reference.
 */
#ifndef COMMON_SHARED_BUF_H
#define COMMON_SHARED_BUF_H

#include "common/buf.h"
#include "common/refs.h"

struct shared_buf {
	_Atomic uint32_t refs;
	uint32_t len;
	/* References in the output queues of the one thread that uses this field. */
	uint32_t queued;
	bool deflate_tried; /* used by that thread, too */
	/* The same messages, compressed; owned. NULL: they are not, or not yet. */
	struct shared_buf *deflated;
	uint8_t data[];
};

/*
 * Begins a buffer that will be shared. Its content is at most max bytes; memory for
 * `about` bytes is allocated now. Append to *b, whose first SHARED_BUF_HEAD bytes are not
 * content.
 */
#define SHARED_BUF_HEAD offsetof(struct shared_buf, data)
void shared_buf_begin(struct buf *b, size_t about, size_t max);

/*
 * Ends the buffer: takes over the memory of *b and returns it with one reference. NULL if
 * *b has an error; then *b is freed.
 */
struct shared_buf *shared_buf_end(struct buf *b);

/* Adds a reference. */
static inline struct shared_buf *shared_buf_ref(struct shared_buf *b)
{
	return refs_take(b);
}

/*
 * Drops a reference and sets the caller's pointer to NULL. Dropping the last reference
 * frees the bytes. *b may be NULL.
 */
void shared_buf_unref(struct shared_buf **b);

#endif
