/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs on worker 0 beside its share of peers and realms: the connections to the
 * authenticators, and revocations, which go to every worker and whose counts come back.
 *
 * Worker 0 only.
 */
#ifndef ROUTERD_CONTROL_CONTROL_H
#define ROUTERD_CONTROL_CONTROL_H

#include "common/loop.h"
#include "routerd/config/config.h"
#include "routerd/post/outbox.h"
#include "routerd/post/post.h"

struct control;

/* Begins to connect to every authenticator. All is lent until control_free. NULL: no
 * memory. */
struct control *control_new(struct loop *loop, const struct config *cfg,
			    struct outbox *outbox) MUSTCHECK;

/* Logins that wait are dropped without an answer. */
void control_free(struct control **c);

/*
 * Handles POST_LOGIN, POST_LOGIN_CANCEL, POST_LOGIN_REPORT and POST_REVOKED, and takes
 * their references.
 */
void control_post(struct control *c, struct post *p);

/* A line for each authenticator. */
void control_log_counters(const struct control *c);

#endif
