/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking access away from those who are in already: a revoke to every connected router,
 * and the sum of what they answer. Main thread.
 */
#ifndef AUTHD_REVOKE_H
#define AUTHD_REVOKE_H

#include "proto/admin_api.h"
#include "proto/auth_api.h"

#include <sys/queue.h>

struct server;

/* One on its way. The caller owns it, and keeps it until done is called. */
struct revoke {
	LIST_ENTRY(revoke) link;
	struct server *server;
	unsigned waiting;            /* routers asked, without an answer yet */
	struct admin_change *result; /* its numbers are the sum */
	void (*done)(void *arg);
	void *arg;
};

/*
 * Sends what to all routers. done is called once, when every one has answered, is gone,
 * or has let AUTH_REVOKE_MS pass: at once where there is none. It may free v. The change
 * that what tells of is committed, with what->epoch. The caller has set v->result,
 * v->done and v->arg.
 */
void revoke_start(struct server *s, const struct auth_revoke *what, struct revoke *v);

/* At the end of the program: those not yet done are done, with what is known. */
void revokes_abandon(struct server *s);

#endif
