/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects the counters of all workers. It posts a request to every worker, and each
 * worker answers with a snapshot. A collection ends when all workers have answered. After
 * COLLECTOR_MS it ends without the missing answers.
 *
 * If collector_start is called during a collection, exactly one more collection follows,
 * even after several calls. So the counters are never older than the call. A worker that
 * has not answered gets no second request, so a stalled worker has at most one in its
 * mailbox. Thread of worker 0.
 */
#ifndef ROUTERD_CONTROL_COLLECTOR_H
#define ROUTERD_CONTROL_COLLECTOR_H

#include "common/loop.h"
#include "routerd/post/outbox.h"
#include "routerd/post/snapshot.h"

enum { COLLECTOR_MS = 2000 };

struct collected {
	bool waits; /* the running collection needs its answer */
	bool owes;  /* the worker has not answered its request */
	/* Owned. NULL if the worker has not answered, or if memory ran out: in worker 0
	 * for the request, or in the worker for the snapshot. */
	struct buf *snapshot;
};

struct collector {
	struct outbox *outbox;
	void (*done)(void *arg);
	void *arg;
	uint64_t number; /* number of the newest collection */
	bool running;
	bool again; /* start another one at the end of this one */
	struct timer deadline;
	struct collected workers[CONFIG_MAX_THREADS];
};

/* The arguments must stay valid until collector_fini. */
void collector_init(struct collector *c, struct loop *loop, struct outbox *outbox);
/* Gives up a collection; done is not called. */
void collector_fini(struct collector *c);

/*
 * Starts a collection. done is called once for each collection, even if memory runs out.
 * Until done returns, it may read c->workers.
 */
void collector_start(struct collector *c, void (*done)(void *arg), void *arg);
/* Ends a collection now, with the snapshots that have arrived. No other starts. */
void collector_stop(struct collector *c);

/* Handles POST_COUNTED and takes its snapshot. */
void collector_post(struct collector *c, struct post *p);

/*
 * Called by done: logs the counters of all workers and of their realms, then how many
 * workers have answered. cfg has the names of the realms.
 */
void collector_log(const struct collector *c, const struct config *cfg);

#endif
