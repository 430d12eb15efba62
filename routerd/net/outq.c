/* SPDX-License-Identifier: Apache-2.0 */
/* The output queue of one connection; see outq.h. The worker's thread. */
#include "routerd/net/outq.h"

#include "common/err.h"
#include "proto/ws_frame.h"

#include <stdlib.h>

/*
 * A part of the queue. A chunk of copies has its bytes after the struct, and copies can
 * be added until it is full. A shared chunk only points to the shared bytes.
 */
struct outq_chunk {
	struct outq_chunk *next;
	struct shared_buf *shared; /* NULL: the chunk has copies */
	size_t start;              /* the bytes before it are written */
	size_t end;                /* end of the content */
	size_t cap;                /* room for copies */
	uint8_t data[];
};

enum {
	/*
	 * Sizes of the allocations for copies. The first chunk of a queue is small: most
	 * queues are emptied at the end of the turn, and an event for many subscribers
	 * fills many queues at once. Each further chunk is twice as large as the one
	 * before.
	 */
	FIRST_ALLOC = 512,
	MAX_ALLOC = 4096,

	/* Unused chunks of the two kinds that are kept: at most 1 MiB per thread. */
	SPARE_REFS = 8192,
	SPARE_FIRST = 1024,
};

/* --- chunks --- */

/* The list that keeps unused chunks of this size. NULL: they are not kept. */
static struct outq_spare *spare_of(struct outq_pool *p, size_t cap)
{
	if (cap == 0)
		return &p->refs;
	return cap == FIRST_ALLOC - sizeof(struct outq_chunk) ? &p->first : NULL;
}

/*
 * Makes a chunk with room for cap bytes of copies; 0 for a shared chunk. NULL if out of
 * memory.
 */
static struct outq_chunk *chunk_new(struct outq_pool *p, size_t cap)
{
	struct outq_spare *spare = spare_of(p, cap);
	struct outq_chunk *c;

	if (spare != NULL && spare->list != NULL) {
		c = spare->list;
		spare->list = c->next;
		spare->n--;
	} else {
		c = malloc(sizeof(*c) + cap);
	}
	if (c != NULL)
		*c = (struct outq_chunk){.cap = cap};
	return c;
}

static void chunk_free(struct outq_pool *p, struct outq_chunk *c)
{
	struct outq_spare *spare = spare_of(p, c->cap);

	if (spare == NULL || spare->n == (c->cap == 0 ? SPARE_REFS : SPARE_FIRST)) {
		free(c);
		return;
	}
	c->next = spare->list;
	spare->list = c;
	spare->n++;
}

static void free_spare(struct outq_spare *spare)
{
	while (spare->list != NULL) {
		struct outq_chunk *next = spare->list->next;

		free(spare->list);
		spare->list = next;
	}
	spare->n = 0;
}

void outq_pool_fini(struct outq_pool *p)
{
	free_spare(&p->refs);
	free_spare(&p->first);
}

/* --- the queue --- */

static void append_chunk(struct outq *q, struct outq_pool *p, struct outq_chunk *c)
{
	size_t own = sizeof(*c) + c->cap;

	if (q->last == NULL)
		q->first = c;
	else
		q->last->next = c;
	q->last = c;
	p->memory += own;
	q->memory += own;
	if (c->shared == NULL)
		return;
	q->memory += c->shared->len;
	/* The pool counts a shared buffer once, however many queues it is in. */
	if (c->shared->queued++ == 0)
		p->memory += c->shared->len;
}

static void remove_first(struct outq *q, struct outq_pool *p)
{
	struct outq_chunk *c = q->first;
	size_t own = sizeof(*c) + c->cap;

	p->memory -= own;
	q->memory -= own;
	q->first = c->next;
	if (q->first == NULL)
		q->last = NULL;
	if (c->shared != NULL) {
		q->memory -= c->shared->len;
		if (--c->shared->queued == 0)
			p->memory -= c->shared->len;
		shared_buf_unref(&c->shared);
	}
	chunk_free(p, c);
}

void outq_fini(struct outq *q, struct outq_pool *p)
{
	q->open = 0;
	while (q->first != NULL)
		remove_first(q, p);
}

void outq_recount(struct outq *q, struct outq_pool *p, size_t was, size_t is)
{
	q->memory = q->memory - was + is;
	p->memory = p->memory - was + is;
}

/* The size of the chunk after `last`, or of the first chunk if it is NULL. */
static size_t next_alloc(const struct outq_chunk *last)
{
	if (last == NULL)
		return FIRST_ALLOC;
	return last->cap < MAX_ALLOC / 2 ? (sizeof(*last) + last->cap) * 2 : MAX_ALLOC;
}

int outq_push(struct outq *q, struct outq_pool *p, struct slice bytes)
{
	struct outq_chunk *c = q->last;

	q->open = 0;
	if (bytes.len == 0)
		return 0;
	/* A shared chunk has no room for copies. */
	if (c == NULL || c->cap == 0 || bytes.len > c->cap - c->end) {
		size_t cap = next_alloc(c) - sizeof(*c);

		if (bytes.len > cap)
			cap = bytes.len;
		c = chunk_new(p, cap);
		if (c == NULL)
			return E_NOMEM;
		append_chunk(q, p, c);
	}
	memcpy(c->data + c->end, bytes.p, bytes.len);
	c->end += bytes.len;
	return 0;
}

/* Joins the frame with the one at the end of the queue, if there is one with room. */
static bool push_joined(struct outq *q, struct slice framed)
{
	struct outq_chunk *c = q->last;
	size_t len;

	if (q->open == 0)
		return false;
	len = ws_frame_join(c->data + c->end - q->open, q->open,
			    q->open + c->cap - c->end, framed);
	if (len == 0)
		return false;
	c->end += len - q->open;
	q->open = (uint32_t)len;
	return true;
}

int outq_push_frame(struct outq *q, struct outq_pool *p, struct slice framed)
{
	int err;

	if (push_joined(q, framed))
		return 0;
	err = outq_push(q, p, framed);
	if (err == 0 && q->joins && framed.len <= WS_JOIN_MAX)
		/* Later frames may join this one until the queue is written. */
		q->open = (uint32_t)framed.len;
	return err;
}

int outq_push_shared(struct outq *q, struct outq_pool *p, struct shared_buf *bytes)
{
	struct outq_chunk *c = NULL;
	int err = E_NOMEM;

	if (bytes->len < OUTQ_SHARE_MIN)
		err = outq_push_frame(q, p, slice_of(bytes->data, bytes->len));
	else
		c = chunk_new(p, 0);
	if (c == NULL) {
		shared_buf_unref(&bytes);
		return err;
	}
	q->open = 0;
	c->shared = bytes;
	c->end = bytes->len;
	append_chunk(q, p, c);
	return 0;
}

int outq_peek(const struct outq *q, struct iovec *iov, int max, size_t *bytes_out)
{
	size_t sum = 0;
	int n = 0;

	for (struct outq_chunk *c = q->first; c != NULL && n < max; c = c->next, n++) {
		uint8_t *data = c->shared != NULL ? c->shared->data : c->data;

		iov[n].iov_base = data + c->start;
		iov[n].iov_len = c->end - c->start;
		sum += iov[n].iov_len;
	}
	*bytes_out = sum;
	return n;
}

void outq_consume(struct outq *q, struct outq_pool *p, size_t n)
{
	/* The head of the last frame may be written now, so no message may join it. */
	q->open = 0;
	while (n > 0) {
		struct outq_chunk *c = q->first;
		size_t len;

		ASSERT(c != NULL);
		len = c->end - c->start;
		if (n < len) {
			c->start += n;
			return;
		}
		n -= len;
		remove_first(q, p);
	}
}
