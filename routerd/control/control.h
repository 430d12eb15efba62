/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs on worker 0 beside its share of peers and realms: the listeners, whose
 * connections are dealt to all workers in turn; the connections to the authenticators;
 * revocations, which go to every worker and whose counts come back; signals; and the end.
 *
 * Worker 0 only.
 */
#ifndef ROUTERD_CONTROL_CONTROL_H
#define ROUTERD_CONTROL_CONTROL_H

#include "common/loop.h"
#include "routerd/config.h"
#include "routerd/outbox.h"
#include "routerd/post.h"

struct control;
struct rpc_request;

struct control_params {
	struct loop *loop; /* lent, as the others, until control_free */
	const struct config *config;
	struct outbox *outbox;
};

/*
 * Begins to connect to every authenticator, and to follow signals: SIGTERM and SIGINT
 * stop, SIGUSR1 logs the counters, SIGUSR2 calls worker_stall_toggle. NULL: no memory.
 */
struct control *control_new(const struct control_params *params) MUSTCHECK;

/* After every connection is freed. Logins that wait are dropped without an answer. */
void control_free(struct control **c);

/*
 * Opens every listener of the configuration. inherited has one descriptor a listener, or
 * -1; they are taken. What is wrong has been logged if it fails.
 */
int control_listen(struct control *c, const int *inherited) MUSTCHECK;
/* Where the connections of a listener are counted. Lent until control_free. */
_Atomic uint32_t *control_live(struct control *c, size_t listener);
/* " public=tcp4:0.0.0.0:8080 ...": for the log line that says that all is ready. */
void control_describe_listeners(const struct control *c, struct buf *out);

/*
 * Handles POST_LOGIN, POST_LOGIN_CANCEL, POST_LOGIN_REPORT, POST_REVOKED and
 * POST_STOPPED, and takes their references.
 */
void control_post(struct control *c, struct post *p);

/* --- for auth_client
 * ----------------------------------------------------------------------- */

/* Number of the last revocation; it goes into the stamp of every question. */
uint64_t control_revocations(const struct control *c);

/*
 * An authenticator revokes. *r needs everything but its number. The counts of all workers
 * go to req, after at most AUTH_REVOKE_MS.
 */
void control_revoke(struct control *c, struct revocation *r, struct rpc_request *req);

#endif
