/* SPDX-License-Identifier: Apache-2.0 */
/* Shared buffers for tests: one with len bytes to fill, and a copy of given bytes. */
#ifndef TESTS_UNIT_SHARED_CHECK_H
#define TESTS_UNIT_SHARED_CHECK_H

#include "common/shared_buf.h"

/* NULL if out of memory. */
static inline struct shared_buf *shared_buf_new(size_t len)
{
	struct buf b;

	shared_buf_begin(&b, len, len);
	if (len > 0 && buf_reserve(&b, len) != NULL)
		buf_commit(&b, len);
	return shared_buf_end(&b);
}

static inline struct shared_buf *shared_buf_copy(struct slice from)
{
	struct shared_buf *b = shared_buf_new(from.len);

	if (b != NULL && from.len > 0)
		memcpy(b->data, from.p, from.len);
	return b;
}

#endif
