/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where peers meet the worker: this attaches a peer to a connection and hands it what
 * concerns it. Everything else in peer/ is below.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_ATTACH_H
#define ROUTERD_PEER_ATTACH_H

#include "routerd/peer/peers.h"

/* Serves WAMP; for conn_adopt. conn_conf.user is a struct peer_listener. */
extern const struct conn_handler attach_handler;

/*
 * Handles a post from a realm's owner, or from control, for one session of this worker
 * (so not POST_EVENT, see members.h); takes its references.
 */
void attach_post(struct peers *ps, struct post *p);

/*
 * Remembers the revocation, and refuses the handshakes it concerns. Those in JOINING, and
 * sessions, are left to the realm's owner, but counted here: each client once, and not
 * again by the next revocation.
 */
struct revocation_counts attach_revoke(struct peers *ps, struct revocation *revocation);

/*
 * Puts the policy of a POST_RELOAD in force: logins that find their role from now on find
 * it there. Takes policy and mail. attach_reload_some does the rest.
 */
void attach_reload(struct peers *ps, struct post *p);

/*
 * Works for at most 1 ms on a reload, if one goes on: gives sessions the rights that the
 * new policy has for their roles, ends those whose role is gone, and refuses handshakes
 * whose role is gone. At the end it sends POST_RELOADED. True if some are left for the
 * next turn.
 */
bool attach_reload_some(struct peers *ps);

/* Verifies signatures for at most 1 ms. True if some are left for the next turn. */
bool attach_verify_some(struct peers *ps);

#endif
