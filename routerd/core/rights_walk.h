/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reload may take rights away from roles. The walk then visits all sessions. It revokes
 * the registrations and memberships that the realm's new policy forbids, and drops the
 * testaments that it forbids. Calls in flight go on. The walk skips two kinds of
 * sessions: those whose role has an authorizer, because the router cannot ask it about
 * the past; and those whose role was removed, because their workers end them.
 *
 * The walk is split into slices, and the realm handles posts in between. It visits only
 * the sessions that had joined when it began, and may miss what a session gets after
 * that: the realm checks each later SUBSCRIBE, REGISTER and testament against the new
 * policy (session_refuse_denied).
 *
 * Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_RIGHTS_WALK_H
#define ROUTERD_CORE_RIGHTS_WALK_H

#include "common/base.h"
#include "routerd/core/registration.h"
#include "routerd/core/session.h"

struct rights_walk {
	uint64_t last; /* number of the last session to visit */
	/*
	 * The session that it visits, and which of its registrations and memberships come
	 * next; NULL: none. They never dangle: whoever removes one moves them on.
	 */
	struct session *session;
	struct callee *callee;
	struct membership *membership;
	uint32_t revoked; /* since it began */
};

/* Begins a walk; ends one that is unfinished. */
void rights_walk_begin(struct realm *realm);
/* Does one slice, if a walk is unfinished. Sessions may become SESSION_LOST. */
void rights_walk_work(struct realm *realm);

static inline bool rights_walk_idle(const struct rights_walk *w)
{
	return w->session == NULL;
}

/* Goes to a session, or ends the walk. s: the next in the list of sessions, or NULL. */
static inline void rights_walk_go_to(struct rights_walk *w, struct session *s)
{
	w->session = s != NULL && s->number <= w->last ? s : NULL;
	w->callee = w->session == NULL ? NULL : LIST_FIRST(&s->registrations);
	w->membership = w->session == NULL ? NULL : LIST_FIRST(&s->memberships);
}

/* Call this before you remove a session from the realm's list. */
static inline void rights_walk_step_over(struct rights_walk *w,
					 const struct session *gone)
{
	if (UNLIKELY(w->session == gone))
		rights_walk_go_to(w, TAILQ_NEXT(gone, link));
}

#endif
