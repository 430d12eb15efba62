/* SPDX-License-Identifier: Apache-2.0 */
/* A realm: its parts put together, posts handed to their handlers; see realm.h. */
#include "routerd/core/realm.h"

#include "routerd/core/realm_int.h"

#include <sodium.h>
#include <stdlib.h>

/* --- sessions --- */

/*
 * Ends a session and frees it: memberships, registrations, calls that it made (forgotten;
 * nobody waits for them), calls made to it (their callers get an ERROR), realm. In this
 * order: so it gets no ERROR for a call that it made to itself.
 */
static void take_down(struct realm *r, struct session *s)
{
	broker_drop_memberships(r, s);
	dealer_drop_registrations(r, s);
	dealer_forget_calls(r, s);
	dealer_fail_invocations(r, s);
	ASSERT(s->n_memberships == 0 && s->n_registrations == 0 && s->n_calls == 0);
	if (s->lost)
		LIST_REMOVE(s, of_lost);
	TAILQ_REMOVE(&r->sessions, s, link);
	id_table_remove(&r->session_table, &s->node);
	identity_unref(&s->identity);
	free(s->mail);
	free(s);
}

/* Takes a session down, and sends its last post by the mail that is put aside for it. */
static void end_with(struct realm *r, struct session *s, struct post last)
{
	struct mail_batch *mail = s->mail;

	last.realm = r->index;
	last.session = s->ref;
	s->mail = NULL;
	take_down(r, s);
	post_send_reserved(r->outbox, last.session.worker, &last, &mail);
}

/* Takes the revocation, which may be NULL. */
static void kill_session(struct realm *r, struct session *s,
			 struct revocation *revocation)
{
	r->counters.kills++;
	end_with(r, s, (struct post){.type = POST_KILLED, .revocation = revocation});
}

/* Ends the sessions to which a post was lost. */
static void end_lost(struct realm *r)
{
	struct session *s;

	/* taking one down may lose another */
	while ((s = LIST_FIRST(&r->lost)) != NULL)
		kill_session(r, s, NULL);
}

static void handle_join(struct realm *r, struct post *p)
{
	ASSERT(p->session.worker < r->n_workers);
	struct session *s = session_at(r, p->session);
	struct post answer = {
		.type = POST_JOINED,
		.realm = r->index,
		.session = p->session,
	};

	if (s != NULL) { /* its worker's mistake, but not worth a crash */
		r->counters.replaced++;
		take_down(r, s);
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL || !post_send(r->outbox, answer.session.worker, &answer)) {
		free(s);
		answer.type = POST_JOIN_REFUSED;
		post_send_reserved(r->outbox, answer.session.worker, &answer, &p->mail);
		return;
	}
	s->ref = p->session;
	s->identity = p->identity;
	p->identity = NULL;
	s->mail = p->mail;
	p->mail = NULL;
	s->node.id = session_place(s->ref);
	id_table_add(&r->session_table, &s->node);
	TAILQ_INSERT_TAIL(&r->sessions, s, link);
	r->counters.joins++;
}

/* --- the realm --- */

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
	if (id_table_init(&r->session_table) != 0 || broker_init(&r->broker) != 0 ||
	    dealer_init(&r->dealer) != 0) {
		realm_free(&r);
		return NULL;
	}
	randombytes_buf(&seed, sizeof(seed));
	broker_seed(&r->broker, seed);
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
		take_down(r, s);
	dealer_fini(&r->dealer);
	broker_fini(&r->broker);
	id_table_fini(&r->session_table);
	free(r);
}

static void handle_gone(struct realm *r, struct session *s, struct post *p)
{
	(void)p;
	r->counters.gones++;
	take_down(r, s);
}

static void handle_goodbye(struct realm *r, struct session *s, struct post *p)
{
	(void)p;
	r->counters.goodbyes++;
	end_with(r, s, (struct post){.type = POST_LEFT});
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
	[POST_INVOCATION_ERROR] = dealer_fail,
	[POST_UNDELIVERABLE] = dealer_fail,
};

void realm_post(struct realm *r, struct post *p)
{
	ASSERT(p->type < ARRAY_LEN(handlers) && p->realm == r->index);
	struct session *s;

	if (p->type == POST_JOIN)
		handle_join(r, p);
	else if ((s = session_find(r, p->session)) != NULL)
		handlers[p->type](r, s, p);
	else
		r->counters.dropped_posts++;
	post_drop(p);
	end_lost(r);
}

void realm_revoke(struct realm *r, struct revocation *revocation)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&r->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (revocation_matches(revocation, s->identity))
			kill_session(r, s, revocation_ref(revocation));
	}
	end_lost(r);
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
