/* SPDX-License-Identifier: Apache-2.0 */
/* The model of a realm: sessions come and go. See core_model.h. */
#ifndef TESTS_FUZZ_CORE_MODEL_SESSIONS_H
#define TESTS_FUZZ_CORE_MODEL_SESSIONS_H

#include "tests/fuzz/core_model_calls.h"
#include "tests/fuzz/core_model_events.h"

/* What follows the end of a session, which is not here any more. No player has so much
 * that it takes more than one slice. */
static void model_take_down(struct model *m, unsigned who)
{
	model_publish_wills(m, who);
	for (size_t i = m->n_flights; i-- > 0;) {
		const struct flight *f = &m->flights[i];
		if (f->orphan || f->caller != who)
			continue;
		end_flight(m, i, stop_flight(m, f));
	}
	drop_places(m, who);
	for (size_t i = m->n_strolls; i-- > 0;)
		if (m->strolls[i].caller == who)
			drop_stroll(m, i);
	fail_flights(m, who);
	for (unsigned u = 0; u < URIS; u++)
		if (m->players[who].member[u])
			drop_member(m, who, u);
}

enum {
	TAKES_INPUT =
		WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS | WAMP_FEATURE_CALL_CANCELING,
};

static void model_join(struct model *m, unsigned who, struct session_ref ref,
		       struct identity *identity, unsigned authid)
{
	struct player *pl = &m->players[who];
	bool replaced = pl->here, taken = false;

	pl->here = false;
	for (unsigned i = 0; i < PLAYERS; i++)
		taken |= m->players[i].here && m->players[i].session == identity->session;
	struct session_ref before = pl->ref;
	pl->ref = ref;
	expect(m, who, (struct post){.type = taken ? POST_JOIN_REFUSED : POST_JOINED});
	pl->ref = before;
	if (replaced)
		model_take_down(m, who);
	*pl = (struct player){
		.ref = ref,
		.identity = identity,
		.stops = (identity->features.of[WAMP_ROLE_CALLEE] &
			  WAMP_FEATURE_CALL_CANCELING) != 0,
		.takes_input = (identity->features.of[WAMP_ROLE_CALLEE] & TAKES_INPUT) ==
			       TAKES_INPUT,
		.reroutes = (identity->features.of[WAMP_ROLE_CALLEE] &
			     WAMP_FEATURE_CALL_REROUTE) != 0,
		.here = !taken,
		.joined = ++joins,
		.session = identity->session,
		.authid = authid,
	};
}

/* The player that joined first of those that joined after this number. */
static unsigned next_joined(const struct model *m, uint64_t after)
{
	unsigned next = PLAYERS;

	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *pl = &m->players[i];
		if (pl->here && pl->joined > after &&
		    (next == PLAYERS || pl->joined < m->players[next].joined))
			next = i;
	}
	return next;
}

/* Kills the sessions in the order in which they joined. Nothing follows before all are
 * dead. */
static void model_revoke(struct model *m, struct revocation *r, unsigned authid)
{
	unsigned killed[PLAYERS], n = 0;

	for (unsigned i = next_joined(m, 0); i < PLAYERS;
	     i = next_joined(m, m->players[i].joined)) {
		if (m->players[i].authid != authid)
			continue;
		expect(m, i, (struct post){.type = POST_KILLED, .revocation = r});
		m->players[i].here = false;
		killed[n++] = i;
	}
	for (unsigned i = 0; i < n; i++)
		model_take_down(m, killed[i]);
}

#endif
