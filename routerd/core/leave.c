/* SPDX-License-Identifier: Apache-2.0 */
/* Ends sessions, in slices; the owner's thread. See leave.h. */
#include "routerd/core/leave.h"

#include "routerd/core/realm_int.h"
#include "routerd/core/registration.h"
#include "routerd/core/testament.h"

#include <stdlib.h>

/*
 * Calls, registrations and memberships that one slice ends. A slice takes about 0.1 ms
 * if they are not in the cache, and 0.5 ms if somebody listens to all meta events.
 */
enum { SLICE_ENDS = 256 };

void leave_begin(struct realm *realm, struct session *s, struct post *last, bool quiet)
{
	meta_step_over(&realm->meta, s, TAILQ_NEXT(s, link));
	rights_walk_step_over(&realm->rights_walk, s);
	if (s->state == SESSION_LOST)
		LIST_REMOVE(s, of_lost);
	s->state = SESSION_LEAVING;
	s->quiet = quiet;
	if (quiet || realm->stopping)
		testament_drop_all(realm, s);
	TAILQ_REMOVE(&realm->sessions, s, link);
	id_table_remove(&realm->session_table, &s->node);
	id_table_remove(&realm->sessions_by_id, &s->by_id);
	/* If other sessions are leaving, queue this one behind them: the on_leave events
	 * come in the order in which the sessions left. */
	if (TAILQ_EMPTY(&realm->leaving))
		realm->begin_leaving = true;
	TAILQ_INSERT_TAIL(&realm->leaving, s, link);
	if (last == NULL)
		return;
	last->realm = realm->slot;
	last->session = s->ref;
	post_send_reserved(realm->outbox, s->ref.worker, last, &s->mail);
}

void leave_killed(struct realm *realm, struct session *s, struct revocation *revocation,
		  bool quiet)
{
	realm->counters.kills++;
	leave_begin(realm, s,
		    &(struct post){.type = POST_KILLED, .revocation = revocation}, quiet);
}

/* Ends things of a session that together cost at most n. Returns n minus their cost. */
static unsigned end_things(struct realm *realm, struct session *s, unsigned n)
{
	n = testament_publish(realm, s, n);
	n = dealer_abandon_calls(realm, s, n);
	n = registration_drop_some(realm, s, n);
	n = dealer_fail_invocations(realm, s, n);
	return broker_drop_memberships(realm, s, n);
}

static void end_session(struct realm *realm, struct session *s)
{
	ASSERT(s->n_memberships == 0 && s->n_registrations == 0 && s->n_calls == 0);
	broker_session_event(realm, META_SESSION_ON_LEAVE, s);
	TAILQ_REMOVE(&realm->leaving, s, link);
	identity_unref(&s->identity);
	free(s->mail);
	free(s->unsent);
	free(s);
}

void leave_work(struct realm *realm)
{
	struct session *s;

	/* the end of a session counts as one thing, too */
	for (unsigned n = SLICE_ENDS;
	     n > 0 && (s = TAILQ_FIRST(&realm->leaving)) != NULL;) {
		n = end_things(realm, s, n);
		if (n == 0)
			return;
		end_session(realm, s);
		n--;
	}
}

void leave_all(struct realm *realm)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&realm->sessions)) != NULL)
		leave_begin(realm, s, NULL, true);
	/* Forget all calls first: then no session waits for an answer. */
	TAILQ_FOREACH (s, &realm->leaving, link) {
		s->quiet = true;
		testament_drop_all(realm, s);
		dealer_forget_calls(realm, s);
	}
	while (!TAILQ_EMPTY(&realm->leaving))
		leave_work(realm);
}
