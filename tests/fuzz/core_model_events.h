/* SPDX-License-Identifier: Apache-2.0 */
/* The model of a realm: subscriptions, publications, retained events, testaments. See
 * core_model.h. */
#ifndef TESTS_FUZZ_CORE_MODEL_EVENTS_H
#define TESTS_FUZZ_CORE_MODEL_EVENTS_H

#include "tests/fuzz/core_model.h"

static void expect_events(struct model *m, unsigned who, unsigned uri,
			  const struct post *p)
{
	unsigned first = URIS;
	uint64_t more[URIS];
	size_t n_more = 0;

	m->publications++;
	for (unsigned u = 0; u < URIS; u++) {
		if (m->subscription[u] == 0 || !matches_name(u, uri))
			continue;
		if (first == URIS)
			first = u;
		else
			more[n_more++] = m->subscription[u];
	}
	for (int w = 0; w < WORKERS && p->options != for_nobody; w++) {
		unsigned n = 0;
		for (unsigned u = first; u < URIS; u++)
			if (m->subscription[u] != 0 && matches_name(u, uri))
				n += members(m, u, w) - (p->exclude_me &&
							 m->players[who].member[u] &&
							 m->players[who].ref.worker == w);
		if (n == 0)
			continue;
		struct post event = {
			.type = POST_EVENT,
			.realm = m->index,
			.session = m->players[who].ref,
			.id = m->subscription[first],
			.match = (uint8_t)uris[first].match,
			.payload = p->payload,
			.options = p->options,
			.exclude_me = p->exclude_me,
			.trust = p->trust,
			.publication = m->publications,
			.disclosed = p->disclose == DISCLOSE_YES
					     ? m->players[who].identity
					     : NULL,
		};
		memcpy(m->expected.posts[m->expected.n].more, more, sizeof(more));
		m->expected.posts[m->expected.n].n_more = n_more;
		bool sent = post_send(&m->expected, (unsigned)w, &event);
		ASSERT(sent);
	}
}

static bool expired(const struct keepsake *k)
{
	return now_ms - k->ms >= limits.retained_age_ms;
}

static struct keepsake *last_kept(struct keepsake kept[MAX_RETAINED])
{
	return kept[1].number != 0 ? &kept[1] : &kept[0];
}

/* Forgets the topics whose last event is too old. */
static void model_expire(struct model *m)
{
	for (unsigned u = 0; u < NAMES; u++)
		if (expired(last_kept(m->kept[u])))
			memset(m->kept[u], 0, sizeof(m->kept[u]));
}

static void model_retain(struct model *m, unsigned who, unsigned uri,
			 const struct post *p)
{
	struct keepsake *kept = m->kept[uri];
	unsigned topics = 0, at = 0;

	if (p->options == for_nobody)
		return;
	model_expire(m);
	for (unsigned u = 0; u < NAMES; u++)
		topics += m->kept[u][0].number != 0;
	if (kept[0].number == 0 && topics == limits.retained_topics) {
		if (++m->retained_full == 1 || now_ms - m->reported_ms >= 1000) {
			m->reported_ms = now_ms;
			expect(m, who, (struct post){.type = POST_NOT_RETAINED});
		}
		return;
	}
	/* the only list is always the same, so its next event replaces its last one */
	if (p->options != for_some)
		memset(kept, 0, sizeof(m->kept[uri]));
	else if (kept[0].number != 0 && !kept[0].restricted)
		at = 1;
	kept[at] = (struct keepsake){
		.restricted = p->options == for_some,
		.options = p->options == for_some ? NULL : p->options,
		.exclude_me = p->exclude_me,
		.publisher = m->players[who].session,
		.disclosed =
			p->disclose == DISCLOSE_YES ? m->players[who].identity : NULL,
		.trust = p->trust,
		.number = ++m->last_kept,
		.ms = now_ms,
	};
}

/* The newest event that the player may have. NULL: none. */
static const struct keepsake *newest_kept(const struct keepsake kept[MAX_RETAINED],
					  uint64_t session)
{
	for (unsigned i = MAX_RETAINED; i-- > 0;) {
		const struct keepsake *k = &kept[i];
		if (k->number == 0 || expired(k) || (k->restricted && session != 1) ||
		    (k->exclude_me && k->publisher == session))
			continue;
		return k;
	}
	return NULL;
}

static void model_get_retained(struct model *m, unsigned who, unsigned uri)
{
	uint64_t after = 0;

	model_expire(m);
	for (;;) {
		const struct keepsake *next = NULL;
		unsigned name = 0;

		for (unsigned u = 0; u < NAMES; u++) {
			const struct keepsake *k =
				matches_name(uri, u)
					? newest_kept(m->kept[u], m->players[who].session)
					: NULL;
			if (k == NULL || k->number <= after ||
			    (next != NULL && k->number > next->number))
				continue;
			next = k;
			name = u;
		}
		if (next == NULL)
			return;
		after = next->number;
		expect(m, who,
		       (struct post){.type = POST_EVENT_ONE,
				     .retain = true,
				     .id = m->subscription[uri],
				     .match = (uint8_t)uris[uri].match,
				     .invoke = (uint8_t)name,
				     .trust = next->trust,
				     .options = next->options,
				     .disclosed = next->disclosed});
	}
}

static void model_publish(struct model *m, unsigned who, unsigned uri,
			  const struct post *p)
{
	expect_events(m, who, uri, p);
	if (p->acknowledge)
		expect(m, who,
		       (struct post){.type = POST_PUBLISHED,
				     .request = p->request,
				     .id = m->publications});
	if (p->retain)
		model_retain(m, who, uri, p);
}

/* Publishes its testaments: first those with the scope detached. */
static void model_publish_wills(struct model *m, unsigned who)
{
	struct player *pl = &m->players[who];

	for (int detached = 1; detached >= 0; detached--)
		for (unsigned i = 0; i < pl->n_wills; i++)
			if (pl->wills[i].post.detached == detached)
				expect_events(m, who, pl->wills[i].uri,
					      &pl->wills[i].post);
	pl->n_wills = 0;
}

/* Id 0 in an expected post stands for an id that was never seen before. */
static void model_subscribe(struct model *m, unsigned who, unsigned uri,
			    const struct post *p)
{
	struct player *pl = &m->players[who];

	if (!pl->member[uri] && (memberships(m, who) >= limits.subscriptions ||
				 model_full_of_wildcards(m, who, uri))) {
		expect_error(m, who, WAMP_SUBSCRIBE, p->request, WAMP_ERROR_UNAVAILABLE,
			     NULL);
		return;
	}
	if (!pl->member[uri])
		pl->since[uri] = ++subscribes;
	pl->member[uri] = true;
	expect(m, who,
	       (struct post){.type = POST_SUBSCRIBED,
			     .request = p->request,
			     .id = m->subscription[uri]});
	if (p->retain)
		model_get_retained(m, who, uri);
}

static void model_unsubscribe(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned u = 0; u < URIS; u++) {
		if (m->subscription[u] != p->id || !m->players[who].member[u])
			continue;
		drop_member(m, who, u);
		expect(m, who,
		       (struct post){.type = POST_UNSUBSCRIBED,
				     .request = p->request,
				     .id = p->id});
		return;
	}
	expect_error(m, who, WAMP_UNSUBSCRIBE, p->request,
		     WAMP_ERROR_NO_SUCH_SUBSCRIPTION, NULL);
}

#endif
