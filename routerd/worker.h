/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread with its loop, its connections and peers, and the realms that it
 * owns. All workers are equal; worker 0, whose thread is the main one, has a struct
 * control besides.
 *
 * A turn: what came from sockets is read and posted; posts are handled, until a share of
 * output is made; what is queued is written; what is staged for other workers is handed
 * over.
 */
#ifndef ROUTERD_WORKER_H
#define ROUTERD_WORKER_H

#include "common/loop.h"
#include "common/mailbox.h"
#include "routerd/config/policy.h"
#include "routerd/post/outbox.h"

#include <stdatomic.h>

struct worker;
struct control;

/* Any thread, before its own starts. Configuration and boxes are lent until worker_free;
 * *policy gets a reference. NULL: no memory or no descriptors. */
struct worker *worker_new(unsigned index, unsigned n_workers, const struct config *cfg,
			  struct policy *policy, struct mailboxes *boxes) MUSTCHECK;
/* After its thread has ended: drops every connection. */
void worker_drop_connections(struct worker *w);
/* After that, and before the mailboxes are freed. */
void worker_free(struct worker **w);

/* Before its thread starts: where the connections of a listener are counted
 * (listener_live). */
void worker_set_live(struct worker *w, size_t listener, _Atomic uint32_t *live);
/* Worker 0 only, before it runs; lent until worker_free. */
void worker_set_control(struct worker *w, struct control *c);

struct loop *worker_loop(struct worker *w);
struct outbox *worker_outbox(struct worker *w);

/* The thread's main function: turns, until POST_STOP has been carried out. */
void worker_run(struct worker *w);

/* A test aid: the worker that config.debug.stall_worker names stands still, or goes on.
 * Any thread. */
void worker_stall_toggle(void);

#endif
