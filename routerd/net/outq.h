/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be written to one connection: copies of small messages, collected in
 * chunks, and references to shared ones, in order. It knows sizes, not sockets: the
 * connection asks for an iovec and says how much of it went out. Owned by one thread.
 */
#ifndef ROUTERD_NET_OUTQ_H
#define ROUTERD_NET_OUTQ_H

#include "common/base.h"
#include "common/shared_buf.h"

#include <sys/uio.h>

enum {
	OUTQ_IOV_MAX = 128,   /* an iovec of this length pays; a longer one does not */
	OUTQ_SHARE_MIN = 512, /* below it a copy is cheaper than a reference */
};

struct outq_chunk;

struct outq_spare {
	struct outq_chunk *list;
	unsigned n;
};

/* What the queues of one thread have in common. All zero at first. */
struct outq_pool {
	/* Bytes that all its queues keep allocated. A shared buffer counts once, however
	 * many of them it is in. */
	size_t memory;
	/* Chunks of the two usual kinds, for use again: those of a fan-out come and go by
	 * the thousand. Bounded. */
	struct outq_spare refs, first;
};

/* What waits for one connection. All zero is an empty queue. */
struct outq {
	struct outq_chunk *first, *last;
	size_t memory; /* bytes that it keeps allocated, shared ones in full */
	uint32_t open; /* length of the frame at its end that others may join; 0: none */
	bool joins;    /* frames are WebSocket's, and their messages batched */
};

/* When all queues are empty. */
void outq_pool_fini(struct outq_pool *p);

/* Frees the content; q is empty then. */
void outq_fini(struct outq *q, struct outq_pool *p);

/* Copies bytes to the end. E_NOMEM: nothing was queued. */
int outq_push(struct outq *q, struct outq_pool *p, struct slice bytes) MUSTCHECK;

/*
 * The same for a whole frame. Where the queue `joins`, short ones that nothing of was
 * written become one: a frame costs Autobahn|Python more than the message in it.
 */
int outq_push_frame(struct outq *q, struct outq_pool *p, struct slice framed) MUSTCHECK;

/* Puts a reference to one or more frames at the end, which is taken even when it fails.
 * Only the queues of one thread may hold the same bytes. E_NOMEM. */
int outq_push_shared(struct outq *q, struct outq_pool *p,
		     struct shared_buf *bytes) MUSTCHECK;

static inline bool outq_empty(const struct outq *q)
{
	return q->first == NULL;
}

/*
 * The first bytes as at most max pieces, lent until the queue changes. Returns the number
 * of pieces; *bytes_out is their sum.
 */
int outq_peek(const struct outq *q, struct iovec *iov, int max, size_t *bytes_out);

/* The first n bytes are written. */
void outq_consume(struct outq *q, struct outq_pool *p, size_t n);

#endif
