/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the listeners, and hands each new connection to the next worker in turn. Thread
 * of worker 0.
 */
#ifndef ROUTERD_ACCEPTOR_H
#define ROUTERD_ACCEPTOR_H

#include "common/loop.h"
#include "routerd/config/config.h"
#include "routerd/post/outbox.h"

struct acceptor;

/*
 * Makes the acceptor; no socket is opened yet. l and outbox belong to worker 0. All
 * arguments must stay valid until acceptor_free. NULL if out of memory.
 */
struct acceptor *acceptor_new(struct loop *l, const struct config *cfg,
			      struct outbox *outbox) MUSTCHECK;
/*
 * Frees the acceptor. All connections must have been freed, since they decrement its
 * counters.
 */
void acceptor_free(struct acceptor **a);

/*
 * Opens the sockets of all listeners, or takes those that the service manager passes
 * under the names of the listeners. A failure has been logged.
 */
int acceptor_open(struct acceptor *a) MUSTCHECK;
/* Stops accepting connections. */
void acceptor_stop(struct acceptor *a);

/*
 * The counters of a listener's open connections, for conn_conf. Valid until
 * acceptor_free.
 */
_Atomic uint32_t *acceptor_live(struct acceptor *a, size_t listener);
_Atomic uint32_t *acceptor_live_polls(struct acceptor *a, size_t listener);

/* Appends the addresses for a log line: " public=tcp4:0.0.0.0:8080 ...". */
void acceptor_describe(const struct acceptor *a, struct buf *out);
/* Logs the counters of each listener. */
void acceptor_log_counters(const struct acceptor *a);

#endif
