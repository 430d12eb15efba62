/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extra work of worker 0: the connections to the authenticators, and revocations. A
 * revocation is posted to every worker; the workers' counts come back and are added up.
 * Worker 0.
 */
#ifndef ROUTERD_CONTROL_CONTROL_H
#define ROUTERD_CONTROL_CONTROL_H

#include "common/loop.h"
#include "routerd/config/config.h"
#include "routerd/post/outbox.h"
#include "routerd/post/post.h"

struct control;

/*
 * Starts connecting to all authenticators. The arguments must stay valid until
 * control_free. NULL if out of memory.
 */
struct control *control_new(struct loop *loop, const struct config *cfg,
			    struct outbox *outbox) MUSTCHECK;

/* Frees everything. Waiting logins get no answer. */
void control_free(struct control **c);

/*
 * Handles POST_LOGIN, POST_LOGIN_CANCEL, POST_LOGIN_REPORT and POST_REVOKED. Takes their
 * references.
 */
void control_post(struct control *c, struct post *p);

/* Logs a line for each authenticator. */
void control_log_counters(const struct control *c);

#endif
