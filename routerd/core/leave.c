/* SPDX-License-Identifier: Apache-2.0 */
/* Ends sessions; the owner's thread. See leave.h. */
#include "routerd/core/leave.h"

#include "routerd/core/realm_int.h"
#include "routerd/core/registration.h"

#include <stdlib.h>

void leave_begin(struct realm *realm, struct session *s, struct post *last)
{
	broker_drop_memberships(realm, s);
	registration_drop_all(realm, s);
	/* first the calls that it made, so that it gets no ERROR for a call to itself */
	dealer_abandon_calls(realm, s);
	meta_forget_session(realm, s);
	dealer_fail_invocations(realm, s);
	ASSERT(s->n_memberships == 0 && s->n_registrations == 0 && s->n_calls == 0);
	if (s->lost)
		LIST_REMOVE(s, of_lost);
	TAILQ_REMOVE(&realm->sessions, s, link);
	id_table_remove(&realm->session_table, &s->node);
	id_table_remove(&realm->sessions_by_id, &s->by_id);
	if (last != NULL) {
		last->realm = realm->slot;
		last->session = s->ref;
		/* after the others, because no other post to the session may follow */
		post_send_reserved(realm->outbox, s->ref.worker, last, &s->mail);
	}
	identity_unref(&s->identity);
	free(s->mail);
	free(s);
}
