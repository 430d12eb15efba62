/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the sessions of a principal or key: sends a revoke to all connected routers and
 * adds up their answers. Also remembers which removed principals and keys some router has
 * not confirmed, because the database no longer has them: an administrator can then
 * repeat the removal. Main thread.
 */
#ifndef AUTHD_REVOKE_H
#define AUTHD_REVOKE_H

#include "authd/principal.h"

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

enum { REMOVALS_KEPT = 64 }; /* in memory only */

struct removal_name {
	size_t len;
	uint8_t text[AUTH_MAX_NAME];
};

/* A removed principal, or a removed key. */
struct removal {
	struct removal_name authid, realm; /* realm is empty for a key */
	uint8_t key[FIELD_KEY_LEN];
};

struct removals {
	unsigned n;
	struct removal items[REMOVALS_KEPT]; /* the oldest first */
};

/* Sets a name, which has at most AUTH_MAX_NAME bytes. */
void removal_name_set(struct removal_name *n, struct slice name);

/* Adds a copy of a removal. If there are too many, forgets the oldest. */
void removals_keep(struct removals *all, const struct removal *removal);

/*
 * Moves the removal of a principal (key is NULL) or of one of its keys from *all to *out.
 * False if there is none.
 */
bool removals_take(struct removals *all, struct slice authid, const uint8_t *key,
		   struct removal *out);

/* Sets *out to the sessions that the removal ends. *out points into *removal. */
void removal_match(const struct removal *removal, struct auth_match *out);

#endif
