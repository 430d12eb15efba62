/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a hard maximum. Errors stick: once a write did not fit,
 * every later write does nothing, and the caller asks once at the end. So encoders need
 * no check per byte. Owned by one thread.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/base.h"

struct buf {
	uint8_t *data; /* NULL while nothing was written */
	size_t len;    /* bytes written */
	size_t cap;    /* bytes allocated */
	size_t max;    /* len never exceeds this */
	int err;       /* 0, E_LIMIT, E_NOMEM or a writer's; sticks until buf_clear */
};

/* An empty buffer that allocates nothing yet. max is in bytes. */
void buf_init(struct buf *b, size_t max);

/* Frees the bytes; b is as after buf_init with the same maximum. */
void buf_fini(struct buf *b);

/* The same on the heap; NULL: no memory. */
struct buf *buf_new(size_t max) MUSTCHECK;
/* NULL-safe, clears the pointer. */
void buf_free(struct buf **b);

/* Forgets content and error, keeps the memory. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
	b->err = 0;
}

/* Makes an error of the writer's own stick, unless another one does already. */
static inline void buf_fail(struct buf *b, int err)
{
	if (b->err == 0)
		b->err = err;
}

/* Makes the first allocation this large, instead of growing from a small one. */
void buf_reserve_exactly(struct buf *b, size_t cap);

/* The slow path of buf_reserve. */
bool buf_grow(struct buf *b, size_t more);

/*
 * Room for n more bytes (n > 0), and where they go; NULL if they do not fit, and the
 * error sticks. Valid until the next call that may grow. Follow with buf_commit.
 */
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (UNLIKELY(n > b->cap - b->len || b->err != 0) && !buf_grow(b, n))
		return NULL;
	return b->data + b->len;
}

/* n bytes were written where buf_reserve said. */
static inline void buf_commit(struct buf *b, size_t n)
{
	DEBUG_ASSERT(n <= b->cap - b->len);
	b->len += n;
}

static inline void buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return; /* an empty buffer has no storage yet */
	to = buf_reserve(b, n);
	if (to != NULL) {
		memcpy(to, p, n);
		b->len += n;
	}
}

static inline void buf_put_slice(struct buf *b, struct slice s)
{
	buf_put(b, s.p, s.len);
}

static inline void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

static inline void buf_put_u8(struct buf *b, uint8_t v)
{
	uint8_t *to = buf_reserve(b, 1);

	if (to != NULL) {
		*to = v;
		b->len++;
	}
}

/* printf into the buffer. */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Drops the first n bytes and moves the rest to the front. */
void buf_consume(struct buf *b, size_t n);

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->data, b->len);
}

#endif
