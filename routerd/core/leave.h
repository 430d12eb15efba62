/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How sessions end. leave_begin removes a session from the realm's tables, so that later
 * posts from it are dropped, and sends it a last post. leave_work then publishes the
 * session's testaments and ends its calls, registrations and memberships, in slices,
 * because a session may have 100,000 subscriptions. Between two slices the realm handles
 * posts, and a new session may get the same slot. The order:
 *
 * 1. LEFT or KILLED, the session's last post; see leave_begin
 * 2. its testaments: EVENT
 * 3. the calls that it made: INTERRUPT to the callees
 * 4. its registrations: on_unregister, on_delete
 * 5. the calls that were made to it: ERROR to the callers
 * 6. its memberships: on_unsubscribe, on_delete
 * 7. on_leave
 *
 * A membership or registration ends when its meta event is posted; until then it is
 * still counted and listed. But a callee gets no calls after its session has left
 * (registration_take). A request that finds a registration whose callees have all left
 * ends the registration (registration_find).
 *
 * Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_LEAVE_H
#define ROUTERD_CORE_LEAVE_H

#include "routerd/core/session.h"

/*
 * Removes a session from the realm's tables. leave_work will end its calls,
 * registrations and memberships, and free it; s is valid until then. Sends `last`, the
 * last post to the session, in reserved mail, and takes its references. `last` is NULL if
 * the session's worker needs no post.
 *
 * If quiet is true, no meta events are published about this end, and no testaments.
 */
void leave_begin(struct realm *realm, struct session *s, struct post *last, bool quiet);

/*
 * Ends a session with POST_KILLED, and counts it. Takes the reference to the revocation,
 * which may be NULL.
 */
void leave_killed(struct realm *realm, struct session *s, struct revocation *revocation,
		  bool quiet);

/* Does one slice, if any session is leaving. Other sessions may become SESSION_LOST. */
void leave_work(struct realm *realm);

/* Ends all sessions and everything that they have, at once and without any post. */
void leave_all(struct realm *realm);

#endif
