/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits what a worker does in one turn before it writes the queued output (flushes): how
 * long it reads, how long it handles posts and the cryptography of logins, how much
 * output it queues. A flush costs a system call for each connection. So the more
 * connections have output, the more may be queued before the flush. The worker's thread.
 */
#ifndef ROUTERD_NET_BUDGET_H
#define ROUTERD_NET_BUDGET_H

#include "common/base.h"

/* Set to zero at the end of each turn. */
struct budget {
	uint64_t reading_since_ns; /* 0: no event has come in this turn */
	uint64_t posts_since_ns;
	uint64_t crypto_since_ns; /* 0: there was no login cryptography in this turn */
	size_t queued;            /* bytes of output since the last flush */
	uint32_t conns;           /* connections with output since the last flush */
};

/*
 * Starts the clock for reading at the first event of a turn. Later calls in the turn do
 * nothing.
 */
void budget_reading(struct budget *b);

/* Has reading used its time, or queued its share of output? */
bool budget_reading_spent(const struct budget *b);

/* Starts the clock for handling posts. */
void budget_posts(struct budget *b);

/* Has handling posts used its time, or queued its share of output? */
bool budget_posts_spent(const struct budget *b);

/*
 * Has the cryptography of logins used its time: signatures, and parts of TLS handshakes?
 * The first call in a turn starts the clock.
 */
bool budget_crypto_spent(struct budget *b);

/* Counts queued bytes. `first`: the connection had nothing queued before. */
static inline void budget_queued(struct budget *b, size_t bytes, bool first)
{
	b->queued += bytes;
	b->conns += first;
}

#endif
