/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output that waits to be written to one connection. A queue holds copies of small
 * messages, collected in chunks, and references to shared messages, in the order in which
 * they were added. It does not use the socket: the connection asks for an iovec and
 * reports how much was written. The worker's thread.
 */
#ifndef ROUTERD_NET_OUTQ_H
#define ROUTERD_NET_OUTQ_H

#include "common/base.h"
#include "common/shared_buf.h"

#include <sys/uio.h>

enum {
	OUTQ_IOV_MAX = 128,   /* longer iovecs are not faster */
	OUTQ_SHARE_MIN = 512, /* below this size a copy is cheaper than a reference */
};

struct outq_chunk;

struct outq_spare {
	struct outq_chunk *list;
	unsigned n;
};

/* Shared by all queues of one thread. Initially zero. */
struct outq_pool {
	/*
	 * Bytes that all queues keep allocated. A shared buffer counts once, even if it
	 * is in many queues.
	 */
	size_t memory;
	/*
	 * Unused chunks, kept for reuse: those that held references, and those that held
	 * the first copies in a queue. An event for many subscribers needs thousands of
	 * these two kinds at once. Bounded.
	 */
	struct outq_spare refs, first;
};

/* The output queue of one connection. All zero is an empty queue. */
struct outq {
	struct outq_chunk *first, *last;
	size_t memory; /* bytes that it keeps allocated; shared buffers count in full */
	/* Length of the last frame if more messages may be added to it; else 0. */
	uint32_t open;
	bool joins; /* messages may share a frame (WebSocket, batched) */
};

/* Frees the unused chunks. All queues must be empty. */
void outq_pool_fini(struct outq_pool *p);

/* Frees the content; q is empty afterwards. */
void outq_fini(struct outq *q, struct outq_pool *p);

/* Appends a copy of bytes. E_NOMEM: nothing was queued. */
int outq_push(struct outq *q, struct outq_pool *p, struct slice bytes) MUSTCHECK;

/*
 * Appends a copy of a whole frame. If `joins` is set, joins short frames that are not
 * written yet into one: Autobahn|Python spends more time on a frame than on the message
 * in it.
 */
int outq_push_frame(struct outq *q, struct outq_pool *p, struct slice framed) MUSTCHECK;

/*
 * Appends a reference to one or more frames, and takes it even on failure. Only queues of
 * one thread may contain the same buffer. E_NOMEM.
 */
int outq_push_shared(struct outq *q, struct outq_pool *p,
		     struct shared_buf *bytes) MUSTCHECK;

/* Counts other bytes that wait for this connection: now `is`, before `was`. */
void outq_recount(struct outq *q, struct outq_pool *p, size_t was, size_t is);

static inline bool outq_empty(const struct outq *q)
{
	return q->first == NULL;
}

/*
 * Fills iov with at most max pieces from the start of the queue, valid until the queue
 * changes. Returns the number of pieces; *bytes_out gets their total length.
 */
int outq_peek(const struct outq *q, struct iovec *iov, int max, size_t *bytes_out);

/* Removes the first n bytes, which have been written. */
void outq_consume(struct outq *q, struct outq_pool *p, size_t n);

#endif
