/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what a realm has sent with what its model expects. See core_model.h. */
#ifndef TESTS_FUZZ_CORE_COMPARE_H
#define TESTS_FUZZ_CORE_COMPARE_H

#include "tests/fuzz/core_model_calls.h"

/* Learns an id that the model cannot predict: above all before, and of this realm. */
static void learn_id(uint64_t id, uint64_t *known)
{
	ASSERT(id > last_id && id <= WAMP_MAX_ID && id % WORKERS == OWNER + 1);
	last_id = id;
	*known = id;
}

static void compare_meta(const struct model *m, const struct post *p)
{
	struct msg_payload items;

	ASSERT(p->payload != NULL &&
	       payload_items(p->payload, SERIALIZER_JSON, &items) == 0);
	ASSERT(items.items == (items.bytes.len > 0));
	ASSERT(slice_eq_str(items.bytes, m->meta));
}

static void compare_post(struct model *m, const struct post *p, size_t at, unsigned uri)
{
	const struct post *e = &m->expected.posts[at].post;
	size_t n_more = m->expected.posts[at].n_more;

	ASSERT(p->type == e->type && p->realm == e->realm);
	ASSERT(session_ref_eq(p->session, e->session));
	ASSERT(p->type == POST_EVENT || p->request == e->request);
	if (p->type == POST_RESULT && e->payload == NULL)
		compare_meta(m, p);
	else if (p->type == POST_EVENT_ONE) /* it has the realm's own copy */
		ASSERT(slice_eq_str(payload_uri(p->payload), uris[e->invoke].text));
	else
		ASSERT(p->payload == e->payload);
	ASSERT(p->exclude_me == e->exclude_me && p->options == e->options);
	ASSERT(p->mode == e->mode && p->progress == e->progress);
	if (p->type == POST_SUBSCRIBED && e->id == 0)
		learn_id(p->id, &m->subscription[uri]);
	else if (p->type == POST_REGISTERED && e->id == 0)
		learn_id(p->id, &m->shared[uri].id);
	else if (p->type == POST_INVOCATION && e->id == 0)
		ASSERT(p->id == m->shared[uri].id);
	else if (p->type == POST_PUBLISHED)
		ASSERT(p->id > 0 && p->id <= WAMP_MAX_ID);
	else if (p->type == POST_EVENT_ONE)
		/* the subscription may be one that SUBSCRIBED has just made known */
		ASSERT(p->id == m->subscription[uri]);
	else
		ASSERT(p->id == e->id);
	if (p->type == POST_EVENT) {
		ASSERT(p->match == e->match);
		ASSERT((p->more == NULL ? 0 : p->more->n) == n_more);
		ASSERT(n_more == 0 || memcmp(p->more->ids, m->expected.posts[at].more,
					     n_more * sizeof(p->more->ids[0])) == 0);
		ASSERT(p->publication > 0 && p->publication <= WAMP_MAX_ID);
		ASSERT(p->disclosed == e->disclosed);
	}
	if (p->type == POST_INVOCATION)
		ASSERT(p->disclosed == e->disclosed && p->match == e->match &&
		       p->chunk == e->chunk);
	if (p->type == POST_EVENT_ONE)
		ASSERT(p->disclosed == e->disclosed && p->match == e->match &&
		       p->trust == e->trust);
	if (p->type == POST_KILLED)
		ASSERT(p->revocation == e->revocation);
	if (p->type == POST_ERROR) {
		ASSERT(p->request_type == e->request_type);
		ASSERT((p->error.uri == NULL) == (e->error.uri == NULL));
		ASSERT(e->error.uri == NULL || strcmp(p->error.uri, e->error.uri) == 0);
	}
}

/* The id of the publication that a post is about. 0: none. */
static uint64_t publication_of(const struct post *p)
{
	return p->type == POST_EVENT       ? p->publication
	       : p->type == POST_PUBLISHED ? p->id
					   : 0;
}

/* Two posts carry the same id if they are about the same publication. */
static void compare_publications(const struct model *m)
{
	uint64_t id = 0, number = 0;

	for (size_t i = 0; i < outbox.n; i++) {
		uint64_t this = publication_of(&outbox.posts[i].post);
		uint64_t expected = publication_of(&m->expected.posts[i].post);
		ASSERT(this == 0 || number == 0 || (this == id) == (expected == number));
		id = this == 0 ? id : this;
		number = this == 0 ? number : expected;
	}
}

static void compare_heard(struct model *m)
{
	struct knowledge now = {.n = 0};

	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *pl = &m->players[i];
		if (pl->here)
			learn(&now, pl->session, 0);
		for (unsigned u = 0; u < URIS; u++) {
			if (pl->member[u])
				learn(&now, pl->session, m->subscription[u]);
			if (has_place(m, i, u))
				learn(&now, pl->session, m->shared[u].id);
		}
	}
	for (unsigned u = 0; u < URIS; u++) {
		if (m->subscription[u] != 0)
			learn(&now, 0, m->subscription[u]);
		if (m->shared[u].id != 0)
			learn(&now, 0, m->shared[u].id);
	}
	ASSERT(m->missed || knows_the_same(&m->heard, &now));
	m->heard = now;
	m->missed = false;
}

static void compare_step(struct model *m, const struct realm *r, unsigned uri)
{
	struct realm_counters n = realm_counters(r);
	uint64_t sessions = 0, of_sessions = 0, subscriptions = 0, callees = 0, wills = 0;
	bool kept = false;
	size_t topics = 0;

	ASSERT(outbox.n == m->expected.n);
	for (size_t i = 0; i < outbox.n; i++) {
		ASSERT(outbox.posts[i].to == m->expected.posts[i].to);
		compare_post(m, &outbox.posts[i].post, i, uri);
	}
	compare_publications(m);
	for (unsigned i = 0; i < PLAYERS; i++) {
		sessions += m->players[i].here;
		of_sessions += memberships(m, i);
		callees += registrations(m, (int)i);
		wills += m->players[i].n_wills;
	}
	if (m->players[LISTENER].here && m->listening != 0) {
		of_sessions++;
		subscriptions++;
		compare_heard(m);
	}
	for (unsigned u = 0; u < URIS; u++)
		subscriptions += m->subscription[u] != 0;
	ASSERT(n.sessions == sessions);
	ASSERT(n.memberships == of_sessions && n.subscriptions == subscriptions);
	ASSERT(n.registrations == registrations(m, -1) && n.callees == callees);
	ASSERT(n.testaments == wills);
	ASSERT(n.calls_queued == flights(m, -1, -1, 0, true, false));
	ASSERT(n.orphans == flights(m, -1, -1, 0, false, true));
	ASSERT(n.calls_in_flight == m->n_flights - n.orphans + m->n_strolls);
	ASSERT(n.no_available_callee == m->no_callee);
	ASSERT(realm_has_work(r) == (m->n_strolls > 0));
	ASSERT(n.dropped_posts == m->dropped && n.unknown_answers == m->unknown);
	ASSERT(n.timeouts == m->timeouts && n.cancels == m->cancels);
	ASSERT(n.chunks == m->chunks && n.late_chunks == m->late_chunks);
	for (size_t i = 0; i < m->n_flights; i++)
		kept |= m->flights[i].kept;
	ASSERT(n.reroutes == m->reroutes && (n.reroute_bytes > 0) == kept);
	for (unsigned u = 0; u < NAMES; u++)
		topics += m->kept[u][0].number != 0;
	ASSERT(n.retained_topics == topics && n.retained_full == m->retained_full);
	ASSERT(n.takeovers == m->takeovers && n.revoked_callees == m->taken_off);
}

static void next_step(struct model *m)
{
	for (size_t i = 0; i < outbox.n; i++)
		post_drop(&outbox.posts[i].post);
	outbox.n = 0;
	m->expected.n = 0;
}

#endif
