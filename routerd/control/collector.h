/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects the counters of all workers. It posts a request to every worker, and each
 * answers with a snapshot. It is done when all have answered, or after COLLECTOR_MS
 * with those that have.
 *
 * A request during a collection starts another one when it ends; several such requests
 * start only one. So the counters are never older than the request. A worker that still
 * owes an answer gets no other request, so a worker that stands still has at most one in
 * its mailbox. Worker 0.
 */
#ifndef ROUTERD_CONTROL_COLLECTOR_H
#define ROUTERD_CONTROL_COLLECTOR_H

#include "common/loop.h"
#include "routerd/post/outbox.h"
#include "routerd/post/snapshot.h"

enum { COLLECTOR_MS = 2000 };

enum collector_state {
	COLLECTOR_WAITS = 0, /* for the worker's answer */
	COLLECTOR_HAS = 1,   /* the worker's snapshot */
	/* Either worker had no memory for the request or the snapshot. */
	COLLECTOR_NO_MEMORY = 2,
};

struct collected {
	enum collector_state state;
	bool owes;                 /* has got a request that it has not answered */
	struct snapshot *snapshot; /* owned; NULL unless COLLECTOR_HAS */
};

struct collector {
	struct outbox *outbox;
	void (*done)(void *arg);
	void *arg;
	uint64_t number; /* of the newest collection */
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
 * Starts a collection. done is called once for each collection, also if memory runs out;
 * until it returns, it may read c->workers.
 */
void collector_start(struct collector *c, void (*done)(void *arg), void *arg);
/* Ends a collection now, with the snapshots that have arrived, and starts no other. */
void collector_stop(struct collector *c);

/* Handles POST_COUNTED and takes its snapshot. */
void collector_post(struct collector *c, struct post *p);

/*
 * For done: logs the counters of all workers and of their realms, and at last how many
 * workers have answered. The realms have the names of this configuration.
 */
void collector_log(const struct collector *c, const struct config *cfg);

#endif
