/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread with its loop, its connections and sessions, and the realms that
 * it owns. All workers are equal, except that worker 0 runs on the main thread and has a
 * struct control.
 *
 * The loop runs in turns. First the worker reads from its sockets and turns messages into
 * posts (see post/post.h). Then it handles posts until the time for that is used up. At
 * the end of the turn it hands over the posts for other workers and writes the queued
 * output.
 */
#ifndef ROUTERD_WORKER_H
#define ROUTERD_WORKER_H

#include "common/counters.h"
#include "common/loop.h"
#include "common/mailbox.h"
#include "routerd/config/policy.h"
#include "routerd/post/outbox.h"

#include <stdatomic.h>

struct tls_context;     /* routerd/net/tls_context.h */
struct tls_ticket_seed; /* routerd/net/tls_tickets.h */
struct worker;
struct control;

/* Each row: the field, which is also the counter's name; type; help text. */
#define WORKER_COUNTERS(X)                                                               \
	X(connections, GAUGE, "open connections")                                        \
	X(sessions, GAUGE, "open sessions")                                              \
	X(queued_bytes, GAUGE,                                                           \
	  "memory of messages that wait for clients, and of TLS: counts against "        \
	  "queued_total")                                                                \
	X(incomplete_bytes, GAUGE,                                                       \
	  "memory of messages that have not arrived completely: counts against "         \
	  "incomplete_total")                                                            \
	X(tls_waiting, GAUGE, "clients whose TLS handshake waits to begin")              \
	X(posts, COUNTER, "internal messages sent to workers, including itself")         \
	X(posts_in, COUNTER, "internal messages received from other workers")            \
	X(mailbox_pauses, COUNTER,                                                       \
	  "how often the worker stopped reading because of mailbox_high")                \
	X(posts_unsent, COUNTER, "internal messages lost because memory ran out")

struct worker_counters {
	WORKER_COUNTERS(COUNTER_FIELD)
};
/* Describes struct worker_counters. */
extern const struct counter_table worker_counter_table;

/*
 * Makes a worker. Call it before the thread of the worker starts, on any thread. cfg and
 * boxes must stay valid until worker_free; the worker takes its own reference to the
 * policy. NULL if out of memory or descriptors.
 */
struct worker *worker_new(unsigned index, unsigned n_workers, const struct config *cfg,
			  struct policy *policy, struct mailboxes *boxes) MUSTCHECK;
/* Drops all connections. Call it after the worker's thread has ended. */
void worker_drop_connections(struct worker *w);
/*
 * Frees a worker after worker_drop_connections. Call it before the mailboxes are freed.
 */
void worker_free(struct worker **w);

/*
 * Sets the counters of a listener's open connections (see struct conn_conf). Call it
 * before the thread starts.
 */
void worker_set_live(struct worker *w, size_t listener, _Atomic uint32_t *live,
		     _Atomic uint32_t *live_polls);
/*
 * Lets listener i use contexts[i], unless it is NULL. The contexts must stay valid until
 * worker_free. Call it before the thread starts. 0 or E_NOMEM.
 */
int worker_use_tls(struct worker *w, struct tls_context *const contexts[],
		   const struct tls_ticket_seed *seed) MUSTCHECK;
/*
 * Sets worker 0's control, which must stay valid until worker_free. Call it before the
 * worker runs.
 */
void worker_set_control(struct worker *w, struct control *c);

struct loop *worker_loop(struct worker *w);
struct outbox *worker_outbox(struct worker *w);

/*
 * The main function of the thread. Runs turns until the worker has stopped; POST_STOP
 * tells it to stop.
 */
void worker_run(struct worker *w);

/*
 * For tests: stalls the worker with the index config.debug.stall_worker, or lets it
 * continue. Any thread.
 */
void worker_stall_toggle(void);

#endif
