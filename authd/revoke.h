/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the sessions of a principal or key: sends a revoke to all connected routers and
 * adds up their answers. Main thread.
 */
#ifndef AUTHD_REVOKE_H
#define AUTHD_REVOKE_H

#include "proto/admin_api.h"
#include "proto/auth_api.h"

#include <sys/queue.h>

struct server;

/* A revocation in progress. The caller owns it and must keep it until done is called. */
struct revoke {
	LIST_ENTRY(revoke) link;
	struct server *server;
	unsigned waiting;            /* routers that have not answered yet */
	struct admin_change *result; /* gets the sum of the answers */
	void (*done)(void *arg);
	void *arg;
};

/*
 * Sends a revocation to all routers. The caller has set v->result, v->done and v->arg,
 * and has committed the change, whose epoch is what->epoch. done is called once: when
 * every router has answered, has disconnected or has not answered for AUTH_REVOKE_MS plus
 * a grace period. If there are no routers, done is called before revoke_start returns.
 * done may free v.
 */
void revoke_start(struct server *s, const struct auth_revoke *what, struct revoke *v);

/* Ends all revocations when authd stops: calls done with the answers so far. */
void revokes_abandon(struct server *s);

#endif
