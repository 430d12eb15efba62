/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one turn of a worker may do before it flushes: how long it reads, how long it
 * handles posts, how much output it queues. Flushing costs a system call for each
 * connection, so with many connections it pays to queue more for each before that.
 *
 * The thread of the net only.
 */
#ifndef ROUTERD_NET_BUDGET_H
#define ROUTERD_NET_BUDGET_H

#include "common/base.h"

struct budget {
	uint64_t reading_since_ns; /* 0: nothing was read in this turn */
	uint64_t posts_since_ns;
	size_t queued;  /* bytes of output since the last flush */
	uint32_t conns; /* connections that they are for */
};

/* The first event of a turn starts its clock; later ones change nothing. */
void budget_reading(struct budget *b);

/* Has the turn read for long enough, or made enough output by reading? */
bool budget_reading_spent(const struct budget *b);

/* The turn begins to handle posts. */
void budget_posts(struct budget *b);

/* Has it handled posts for long enough, or made enough output? */
bool budget_posts_spent(const struct budget *b);

/* Bytes were queued; for a connection that had nothing queued, first is true. */
static inline void budget_queued(struct budget *b, size_t bytes, bool first)
{
	b->queued += bytes;
	b->conns += first;
}

/* All is flushed: the next turn begins. */
void budget_flushed(struct budget *b);

#endif
