/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a hard maximum. After the first error every write does
 * nothing, and the buffer keeps this error. So an encoder checks err once at the end, not
 * after each byte. One thread owns a buffer.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/base.h"

struct buf {
	uint8_t *data; /* NULL before the first write */
	size_t len;    /* bytes written */
	size_t cap;    /* bytes allocated */
	size_t max;    /* len never exceeds this */
	/* 0, E_LIMIT, E_NOMEM or an error set by buf_fail; kept until buf_clear */
	int err;
	bool secret; /* bytes are overwritten before their memory is freed */
};

/* Makes an empty buffer and allocates nothing. max is in bytes. */
void buf_init(struct buf *b, size_t max);

/* Like buf_init, for bytes that may include a password. */
void buf_init_secret(struct buf *b, size_t max);

/* Frees the bytes. Afterwards b is empty; max and secret are unchanged. */
void buf_fini(struct buf *b);

/* Allocates an empty buffer. NULL if out of memory. */
struct buf *buf_new(size_t max) MUSTCHECK;
/* Frees *b and sets it to NULL. *b may be NULL. */
void buf_free(struct buf **b);

/* Drops the content and the error, and keeps the memory. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
	b->err = 0;
}

/* Sets an error, unless the buffer has one already. */
static inline void buf_fail(struct buf *b, int err)
{
	if (b->err == 0)
		b->err = err;
}

/*
 * Allocates cap bytes now, at most max, so that the buffer need not grow in small steps.
 */
void buf_reserve_exactly(struct buf *b, size_t cap);

/* The slow path of buf_reserve: allocates. False if it failed; the error is set. */
bool buf_grow(struct buf *b, size_t more);

/*
 * Makes room for n more bytes (n > 0) and returns a pointer to it, or NULL if there is an
 * error. The pointer is valid until the next call that may grow the buffer. Write to it,
 * then call buf_commit.
 */
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (UNLIKELY(n > b->cap - b->len || b->err != 0) && !buf_grow(b, n))
		return NULL;
	return b->data + b->len;
}

/* Adds n bytes to the content, which the caller has written to buf_reserve's result. */
static inline void buf_commit(struct buf *b, size_t n)
{
	DEBUG_ASSERT(n <= b->cap - b->len);
	b->len += n;
}

static inline void buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		/* An empty buffer may have no storage yet, and memcpy must not get
		 * NULL. */
		return;
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

/* Appends formatted text, without a terminator. */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Drops the first n bytes and moves the rest to the front. */
void buf_consume(struct buf *b, size_t n);

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->data, b->len);
}

#endif
