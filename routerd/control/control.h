/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What worker 0 does for all workers: connects to the authenticators, passes their
 * revocations to all workers and adds up the counts that the workers report, reloads the
 * configuration, collects counters, and warns of certificates that expire. Thread of
 * worker 0.
 */
#ifndef ROUTERD_CONTROL_CONTROL_H
#define ROUTERD_CONTROL_CONTROL_H

#include "common/loop.h"
#include "routerd/config/policy.h"
#include "routerd/post/outbox.h"
#include "routerd/post/post.h"

struct control;

/*
 * Starts connecting to all authenticators. The arguments must stay valid until
 * control_free, path as long as the process runs. control takes its own reference to the
 * policy. NULL if out of memory.
 */
struct control *control_new(struct loop *loop, const char *path, const struct config *cfg,
			    struct policy *policy, struct outbox *outbox) MUSTCHECK;

/* Reloads the configuration from path; see reload.h. */
void control_reload(struct control *c);
/* Abandons a reload in progress. Later calls of control_reload do nothing. */
void control_stop(struct control *c);

/* Frees everything. Waiting logins get no answer. */
void control_free(struct control **c);

/*
 * Handles POST_LOGIN, POST_AUTHORIZE, POST_LOGIN_CANCEL, POST_LOGIN_REPORT, POST_REVOKED,
 * POST_RELOADED and POST_COUNTED. Takes ownership of what *p refers to.
 */
void control_post(struct control *c, struct post *p);

/*
 * Collects the counters of all workers; see collector.h. Then calls done, which may call
 * control_log_counters.
 */
void control_collect_counters(struct control *c, void (*done)(void *arg), void *arg);
/* Logs the counters of each authenticator, of reloads, of each worker and each realm. */
void control_log_counters(const struct control *c);
/*
 * Call this when the threads of all workers have ended. A collection in progress ends
 * with the snapshots that have arrived.
 */
void control_workers_ended(struct control *c);

#endif
