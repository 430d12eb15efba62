/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects peers with the worker: attaches a peer to each connection, and hands each post
 * and each task of the worker to the peers that it concerns. No other part of peer/ calls
 * it.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_ATTACH_H
#define ROUTERD_PEER_ATTACH_H

#include "routerd/peer/peers.h"

/*
 * The handler that serves WAMP, for conn_adopt. conn_conf.user must be a struct
 * peer_listener.
 */
extern const struct conn_handler attach_handler;

/*
 * Handles a post from a realm's owner or from control to one session of this worker, that
 * is, any but POST_EVENT (see fan_out.h). Takes its references.
 */
void attach_post(struct peers *ps, struct post *p);

/*
 * Remembers the revocation, and refuses the handshakes that it concerns. The realm's
 * owner ends sessions, and refuses logins that are JOINING; they are only counted here. A
 * client that several revocations concern is counted once.
 */
struct revocation_counts attach_revoke(struct peers *ps, struct revocation *revocation);

/*
 * Begins a reload: puts the policy of a POST_RELOAD in force, so that logins find their
 * roles in it from now on. Takes policy and mail of the post. attach_reload_some does the
 * rest.
 */
void attach_reload(struct peers *ps, struct post *p);

/*
 * Continues a reload, if one is unfinished, for at most 1 ms. Gives each session the
 * rights that its role has in the new policy; ends sessions and refuses handshakes whose
 * role is gone. Sends POST_RELOADED at the end. True if peers are left for the next turn.
 */
bool attach_reload_some(struct peers *ps);

/* Verifies signatures for at most 1 ms. True if some are left for the next turn. */
bool attach_verify_some(struct peers *ps);

#endif
