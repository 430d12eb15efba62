/* SPDX-License-Identifier: Apache-2.0 */
/* A realm: its parts put together, posts handed to their handlers; see realm.h. */
#include "routerd/core/realm.h"

#include "routerd/core/realm_int.h"

#include <sodium.h>
#include <stdlib.h>

struct realm *realm_new(uint16_t index, unsigned n_realms, unsigned n_workers,
			const struct realm_limits *limits, struct outbox *outbox)
{
	ASSERT(index < n_realms && n_workers > 0);
	struct realm *r = calloc(1, sizeof(*r));
	uint64_t seed;

	if (r == NULL)
		return NULL;
	r->outbox = outbox;
	r->index = index;
	r->n_realms = n_realms;
	r->n_workers = n_workers;
	r->limits = *limits;
	r->next_id = index + 1u;
	TAILQ_INIT(&r->sessions);
	LIST_INIT(&r->lost);
	if (id_table_init(&r->session_table) != 0 || broker_init(&r->broker) != 0 ||
	    dealer_init(&r->dealer) != 0) {
		realm_free(&r);
		return NULL;
	}
	randombytes_buf(&seed, sizeof(seed));
	realm_seed(r, seed);
	return r;
}

void realm_free(struct realm **rp)
{
	struct realm *r = *rp;
	struct session *s;

	*rp = NULL;
	if (r == NULL)
		return;
	/* when no call is in flight any more, nobody is owed a post */
	TAILQ_FOREACH (s, &r->sessions, link)
		dealer_forget_calls(r, s);
	while ((s = TAILQ_FIRST(&r->sessions)) != NULL)
		session_take_down(r, s);
	dealer_fini(&r->dealer);
	broker_fini(&r->broker);
	id_table_fini(&r->session_table);
	free(r);
}

void realm_seed(struct realm *r, uint64_t seed)
{
	broker_seed(&r->broker, seed);
}

static void handle_gone(struct realm *r, struct session *s, struct post *p)
{
	(void)p;
	r->counters.gones++;
	session_take_down(r, s);
}

static void handle_goodbye(struct realm *r, struct session *s, struct post *p)
{
	struct mail_batch *mail = s->mail;
	struct post left = {
		.type = POST_LEFT,
		.realm = r->index,
		.session = p->session,
	};

	s->mail = NULL;
	r->counters.goodbyes++;
	session_take_down(r, s);
	post_send_reserved(r->outbox, left.session.worker, &left, &mail);
}

/* For each post of a session but its first. */
static void (*const handlers[])(struct realm *, struct session *, struct post *) = {
	[POST_GONE] = handle_gone,
	[POST_GOODBYE] = handle_goodbye,
	[POST_SUBSCRIBE] = broker_subscribe,
	[POST_UNSUBSCRIBE] = broker_unsubscribe,
	[POST_PUBLISH] = broker_publish,
	[POST_REGISTER] = dealer_register,
	[POST_UNREGISTER] = dealer_unregister,
	[POST_CALL] = dealer_call,
	[POST_YIELD] = dealer_yield,
	[POST_INVOCATION_ERROR] = dealer_invocation_error,
	[POST_UNDELIVERABLE] = dealer_undeliverable,
};

void realm_post(struct realm *r, struct post *p)
{
	ASSERT(p->type < ARRAY_LEN(handlers) && p->realm == r->index);
	struct session *s;

	if (p->type == POST_JOIN)
		session_join(r, p);
	else if ((s = session_find(r, p->session)) != NULL)
		handlers[p->type](r, s, p);
	else
		r->counters.dropped_posts++;
	post_drop(p);
	session_end_lost(r);
}

void realm_revoke(struct realm *r, struct revocation *revocation)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&r->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (revocation_matches(revocation, s->identity))
			session_kill(r, s, revocation_ref(revocation));
	}
	session_end_lost(r);
}

size_t realm_sessions(const struct realm *r)
{
	return r->session_table.count;
}

struct realm_counters realm_counters(const struct realm *r)
{
	struct realm_counters c = r->counters;

	c.sessions = r->session_table.count;
	c.subscriptions = broker_subscriptions(&r->broker);
	c.memberships = r->broker.memberships.count;
	c.registrations = r->dealer.registrations.count;
	c.calls_in_flight = r->dealer.calls.count;
	return c;
}
