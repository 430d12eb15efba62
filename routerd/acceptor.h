/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listeners, and which worker gets a connection: the next one in turn. Worker 0 only.
 */
#ifndef ROUTERD_ACCEPTOR_H
#define ROUTERD_ACCEPTOR_H

#include "common/loop.h"
#include "routerd/config/config.h"
#include "routerd/post/outbox.h"

struct acceptor;

/*
 * Loop and outbox are worker 0's; lent, as the configuration, until acceptor_free. NULL:
 * no memory.
 */
struct acceptor *acceptor_new(struct loop *l, const struct config *cfg,
			      struct outbox *outbox) MUSTCHECK;
/* After every connection is freed, since they count down here. */
void acceptor_free(struct acceptor **a);

/*
 * Opens every listener, or takes the socket that the service manager passes under its
 * name. What is wrong has been logged if it fails.
 */
int acceptor_open(struct acceptor *a) MUSTCHECK;
/* No connection comes any more. */
void acceptor_stop(struct acceptor *a);

/* Where the connections of a listener are counted, for conn_conf.live. Lent until
 * acceptor_free. */
_Atomic uint32_t *acceptor_live(struct acceptor *a, size_t listener);

/* " public=tcp4:0.0.0.0:8080 ...": where it listens, for a log line. */
void acceptor_describe(const struct acceptor *a, struct buf *out);
/* A line for each listener. */
void acceptor_log_counters(const struct acceptor *a);

#endif
