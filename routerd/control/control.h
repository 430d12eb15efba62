/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extra work of worker 0: the connections to the authenticators, and revocations. A
 * revocation is posted to every worker; the workers' counts come back and are added up.
 * Worker 0.
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
 * control_free, path as long as the process runs. *policy gets a reference. NULL if out
 * of memory.
 */
struct control *control_new(struct loop *loop, const char *path, const struct config *cfg,
			    struct policy *policy, struct outbox *outbox) MUSTCHECK;

/* Reloads the configuration from path, see reload.h. */
void control_reload(struct control *c);
/* Abandons a reload that is under way. Later calls of control_reload do nothing. */
void control_stop(struct control *c);

/* Frees everything. Waiting logins get no answer. */
void control_free(struct control **c);

/*
 * Handles POST_LOGIN, POST_AUTHORIZE, POST_LOGIN_CANCEL, POST_LOGIN_REPORT, POST_REVOKED
 * and POST_RELOADED. Takes their references.
 */
void control_post(struct control *c, struct post *p);

/* Logs a line for each authenticator, and one for reloads. */
void control_log_counters(const struct control *c);

#endif
