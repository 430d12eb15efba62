/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a hard maximum; see buf.h. No state. Called by the thread
 * that owns the buffer.
 */
#include "common/buf.h"

#include "common/err.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 64 }; /* bytes of the first allocation */

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_init_secret(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max, .secret = true};
}

void buf_fini(struct buf *b)
{
	if (b->secret && b->data != NULL)
		sodium_memzero(b->data, b->cap);
	free(b->data);
	*b = (struct buf){.max = b->max, .secret = b->secret};
}

struct buf *buf_new(size_t max)
{
	struct buf *b = malloc(sizeof(*b));

	if (b != NULL)
		buf_init(b, max);
	return b;
}

void buf_free(struct buf **b)
{
	if (*b != NULL)
		buf_fini(*b);
	free(*b);
	*b = NULL;
}

/* Replaces realloc, which may leave a copy of the secret in the memory that it frees. */
static uint8_t *move_secret(struct buf *b, size_t cap)
{
	uint8_t *data = malloc(cap);

	if (data == NULL || b->data == NULL)
		return data;
	memcpy(data, b->data, b->len);
	sodium_memzero(b->data, b->cap);
	free(b->data);
	return data;
}

static bool resize(struct buf *b, size_t cap)
{
	uint8_t *data = b->secret ? move_secret(b, cap) : realloc(b->data, cap);

	if (data == NULL) {
		b->err = E_NOMEM;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_reserve_exactly(struct buf *b, size_t cap)
{
	if (b->err == 0 && cap > b->cap)
		resize(b, min_size(cap, b->max));
}

bool buf_grow(struct buf *b, size_t more)
{
	if (b->err != 0)
		return false;
	if (more > b->max - b->len) {
		b->err = E_LIMIT;
		return false;
	}
	size_t need = b->len + more;
	if (need <= b->cap && b->data != NULL)
		return true;
	size_t cap = b->cap == 0 ? BUF_FIRST : b->cap;
	/* Double the capacity, so that n appended bytes cost O(n) copies in total. */
	while (cap < need && cap <= b->max / 2)
		cap *= 2;
	/* Never allocate more than the maximum: buf_reserve compares with the capacity
	 * only. */
	if (cap < need || cap > b->max)
		cap = b->max;
	return resize(b, cap);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t room = b->err == 0 ? b->cap - b->len : 0;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(room > 0 ? (char *)b->data + b->len : NULL, room, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	if ((size_t)n >= room) {
		/* Reserve one more byte for vsnprintf's terminator; it is not
		 * committed. */
		uint8_t *to = buf_reserve(b, (size_t)n + 1);
		if (to == NULL)
			return;
		va_start(ap, fmt);
		vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	buf_commit(b, (size_t)n);
}

void buf_consume(struct buf *b, size_t n)
{
	ASSERT(n <= b->len);
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
	if (b->secret && n > 0)
		sodium_memzero(b->data + b->len, n);
}
