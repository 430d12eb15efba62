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

struct outq {
	struct outq_chunk *first, *last;
	size_t memory; /* bytes that it keeps allocated, shared ones included */
};

/* All zero is an empty queue, too. */
void outq_init(struct outq *q);
/* Frees the content; q is empty then. */
void outq_fini(struct outq *q);

/* Copies bytes to the end. E_NOMEM: nothing was queued. */
int outq_push(struct outq *q, struct slice bytes) MUSTCHECK;

/* Puts a reference at the end, which is taken even when it fails. E_NOMEM. */
int outq_push_shared(struct outq *q, struct shared_buf *bytes) MUSTCHECK;

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
void outq_consume(struct outq *q, size_t n);

#endif
