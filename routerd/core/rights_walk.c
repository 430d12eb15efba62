/* SPDX-License-Identifier: Apache-2.0 */
/* Takes away what a reload forbids; the owner's thread. See rights_walk.h. */
#include "routerd/core/rights_walk.h"

#include "routerd/core/realm_int.h"
#include "routerd/core/testament.h"

/* The walk counts its work in steps. A step takes about 1 us if its data is not in the
 * CPU cache. */
enum {
	SLICE_COST = 512, /* steps of one slice */
	TRIES = 16,       /* permissions that one step can compare with a URI */
	REVOKE_COST = 2,  /* steps to take something away */
};

void rights_walk_begin(struct realm *realm)
{
	struct rights_walk *w = &realm->rights_walk;

	w->last = realm->counters.joins;
	w->revoked = 0;
	rights_walk_go_to(w, TAILQ_FIRST(&realm->sessions));
}

/* Judges a registration, and revokes it if it is forbidden. Returns the cost. */
static size_t visit_callee(struct realm *realm, const struct rights *rights)
{
	struct rights_walk *w = &realm->rights_walk;
	struct callee *callee = w->callee;
	const struct pattern *p = &callee->registration->pattern;
	size_t cost = 1 + rights_judge_cost(rights, (enum match)p->match) / TRIES;

	w->callee = LIST_NEXT(callee, of_session);
	if (session_may(realm, w->session, ACTION_REGISTER, (enum match)p->match, p->uri))
		return cost;
	w->revoked++;
	registration_revoke(realm, callee, WAMP_ERROR_NOT_AUTHORIZED, NULL);
	return cost + REVOKE_COST;
}

/* The same for a membership. */
static size_t visit_membership(struct realm *realm, const struct rights *rights)
{
	struct rights_walk *w = &realm->rights_walk;
	struct membership *m = w->membership;
	const struct pattern *p = membership_pattern(m);
	size_t cost = 1 + rights_judge_cost(rights, (enum match)p->match) / TRIES;

	w->membership = LIST_NEXT(m, of_session);
	if (session_may(realm, w->session, ACTION_SUBSCRIBE, (enum match)p->match,
			p->uri))
		return cost;
	w->revoked++;
	broker_revoke(realm, m, WAMP_ERROR_NOT_AUTHORIZED, NULL);
	return cost + REVOKE_COST;
}

/* The same for all testaments, which are few. */
static size_t visit_testaments(struct realm *realm, const struct rights *rights)
{
	struct session *s = realm->rights_walk.session;

	if (s->testaments == NULL)
		return 0;
	realm->rights_walk.revoked += testament_revoke(realm, s);
	return TESTAMENTS_MAX * (1 + rights_judge_cost(rights, MATCH_EXACT) / TRIES);
}

/* Visits the next registration or membership, or goes to the next session. */
static size_t visit_next(struct realm *realm)
{
	struct rights_walk *w = &realm->rights_walk;
	/* The session's role is in the policy: a reload begins only after all workers
	 * have ended the one before, so no session in the list has a newer role. */
	const struct rights *rights =
		policy_rights(realm->policy, realm->slot, w->session->identity->role);
	bool judged = rights != NULL && rights_authorizer(rights) == NULL;

	if (judged && w->callee != NULL)
		return visit_callee(realm, rights);
	if (judged && w->membership != NULL)
		return visit_membership(realm, rights);
	size_t cost = 1 + (judged ? visit_testaments(realm, rights) : 0);
	rights_walk_go_to(w, TAILQ_NEXT(w->session, link));
	return cost;
}

void rights_walk_work(struct realm *realm)
{
	size_t cost = 0;

	while (realm->rights_walk.session != NULL && cost < SLICE_COST)
		cost += visit_next(realm);
}
