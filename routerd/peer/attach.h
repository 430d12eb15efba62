/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's interface to its peers: attaches a peer to each connection, and passes
 * posts and the worker's tasks on to peers. No other part of peer/ calls it.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_ATTACH_H
#define ROUTERD_PEER_ATTACH_H

#include "routerd/peer/peers.h"

/*
 * The handler that serves WAMP, for conn_conf. conn_conf.user must be a struct
 * peer_listener.
 */
extern const struct conn_handler attach_handler;

/*
 * Handles a post from a realm's owner or from control to one session of this worker; for
 * POST_EVENT, which has many receivers, see fan_out.h. Takes the post's references.
 */
void attach_post(struct peers *ps, struct post *p);

/*
 * Forgets the decisions that the revocation makes outdated. Unless it concerns only
 * decisions, remembers the revocation, and refuses the matching logins. Sessions, and
 * logins in state JOINING, are only counted here: the realm's owner ends them. If several
 * revocations match a client, only the first counts it. A dry run is not remembered, and
 * ends nothing.
 */
struct revocation_counts attach_revoke(struct peers *ps, struct revocation *revocation);

/*
 * Begins a reload: puts the policy of a POST_RELOAD into force; from now on logins find
 * their roles in it. Takes the post's policy and mail. attach_reload_some does the rest.
 */
void attach_reload(struct peers *ps, struct post *p);

/* True from attach_reload to attach_reload_end. */
static inline bool attach_reloading(const struct peers *ps)
{
	return ps->reload.mail != NULL;
}

/*
 * Continues a reload for at most 1 ms. Gives each session the rights that its role has in
 * the new policy; ends sessions and refuses logins if their role was removed. True if
 * peers are left for the next turn.
 */
bool attach_reload_some(struct peers *ps);

/*
 * Ends a reload: sends POST_RELOADED. No peer may be left. revoked: the subscriptions,
 * registrations and testaments that the worker's realms have taken away from sessions.
 */
void attach_reload_end(struct peers *ps, uint32_t revoked);

/* Verifies signatures for at most 1 ms. True if some are left for the next turn. */
bool attach_verify_some(struct peers *ps);

#endif
