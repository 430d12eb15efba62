/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm: hands posts to the broker, the dealer and its sessions; the owner's thread.
 * See realm.h.
 */
#include "routerd/core/realm.h"

#include "routerd/core/leave.h"
#include "routerd/core/meta.h"
#include "routerd/core/realm_int.h"
#include "routerd/core/registration.h"

#include <sodium.h>
#include <stdlib.h>

/* --- sessions --- */

/* Ends the sessions that are lost: a post to them could not be sent. */
static void end_lost(struct realm *realm)
{
	struct session *s;

	while ((s = LIST_FIRST(&realm->lost)) != NULL)
		leave_killed(realm, s, NULL, false);
}

static NOINLINE void end_some(struct realm *realm)
{
	do {
		end_lost(realm);
		while (realm->begin_leaving) {
			realm->begin_leaving = false;
			leave_work(realm);
			end_lost(realm);
		}
		dealer_work(realm);
	} while (!LIST_EMPTY(&realm->lost));
}

/*
 * Called at the end of each function that changes the realm. Ends the sessions that are
 * lost, does the first slice for a session that has just left (most sessions need only
 * one), and starts queued calls. This sends posts; if one cannot be sent, its receiver is
 * lost, too.
 */
static inline void finish_post(struct realm *realm)
{
	if (UNLIKELY(!LIST_EMPTY(&realm->lost) || realm->begin_leaving ||
		     !TAILQ_EMPTY(&realm->dealer.awake)))
		end_some(realm);
}

static NOINLINE void handle_join(struct realm *realm, struct post *p)
{
	ASSERT(p->session.worker < realm->n_workers);
	struct session *s = session_at(realm, p->session);
	struct post answer = {
		.type = POST_JOINED,
		.realm = realm->slot,
		.session = p->session,
	};

	if (s != NULL) { /* a bug in the session's worker, but no reason to abort */
		realm->counters.replaced++;
		leave_begin(realm, s, NULL, false);
	}
	/* Filters and kills rely on ids, so no two sessions may share one. */
	s = session_by_id(realm, p->identity->session) != NULL ? NULL
							       : calloc(1, sizeof(*s));
	/* Send the answer before adding the session, so that a failure leaves nothing to
	 * undo. */
	if (s == NULL || !post_send(realm->outbox, answer.session.worker, &answer)) {
		free(s);
		answer.type = POST_JOIN_REFUSED;
		post_send_reserved(realm->outbox, answer.session.worker, &answer,
				   &p->mail);
		return;
	}
	TAILQ_INIT(&s->walks);
	s->ref = p->session;
	s->identity = p->identity;
	p->identity = NULL;
	/* for the session's last post, which then needs no memory */
	s->mail = p->mail;
	p->mail = NULL;
	s->node.id = session_place(s->ref);
	id_table_add(&realm->session_table, &s->node);
	s->by_id.id = s->identity->session;
	id_table_add(&realm->sessions_by_id, &s->by_id);
	TAILQ_INSERT_TAIL(&realm->sessions, s, link);
	s->number = ++realm->counters.joins;
	broker_session_event(realm, META_SESSION_ON_JOIN, s);
}

/* --- the realm --- */

struct realm *realm_new(uint16_t slot, unsigned n_workers,
			const struct realm_limits *limits, struct id_series *ids,
			struct wheel *deadlines, struct outbox *outbox)
{
	ASSERT(n_workers > 0 && ids->next > 0 && ids->step > 0);
	struct realm *realm = calloc(1, sizeof(*realm));
	uint64_t seed;

	if (realm == NULL)
		return NULL;
	realm->outbox = outbox;
	realm->ids = ids;
	realm->deadlines = deadlines;
	realm->slot = slot;
	realm->n_workers = n_workers;
	realm->limits = *limits;
	TAILQ_INIT(&realm->sessions);
	TAILQ_INIT(&realm->leaving);
	meta_init(&realm->meta);
	if (id_table_init(&realm->session_table) != 0 ||
	    id_table_init(&realm->sessions_by_id) != 0 ||
	    broker_init(&realm->broker) != 0 || dealer_init(&realm->dealer) != 0 ||
	    retained_init(&realm->retained) != 0) {
		realm_free(&realm);
		return NULL;
	}
	/* tests choose a seed with broker_seed */
	randombytes_buf(&seed, sizeof(seed));
	broker_seed(&realm->broker, seed);
	realm->dealer.random = seed;
	return realm;
}

void realm_set_policy(struct realm *realm, struct policy *policy)
{
	bool first = realm->policy == NULL;

	policy_unref(&realm->policy);
	realm->policy = policy_ref(policy);
	if (!first)
		rights_walk_begin(realm);
}

bool realm_walks_rights(const struct realm *realm, uint32_t *revoked_out)
{
	*revoked_out = realm->rights_walk.revoked;
	return !rights_walk_idle(&realm->rights_walk);
}

int realm_keep_history(struct realm *realm, const struct config_history *list, size_t n,
		       const int64_t *unix_offset_ms, uint64_t created_ms)
{
	return broker_pin(realm, list, n, unix_offset_ms, created_ms);
}

void realm_set_limits(struct realm *realm, const struct realm_limits *limits)
{
	realm->limits = *limits;
}

void realm_stop(struct realm *realm)
{
	realm->stopping = true;
}

void realm_free(struct realm **rp)
{
	struct realm *realm = *rp;

	*rp = NULL;
	if (realm == NULL)
		return;
	leave_all(realm);
	retained_fini(&realm->retained);
	broker_unpin(realm);
	dealer_fini(&realm->dealer);
	broker_fini(&realm->broker);
	id_table_fini(&realm->sessions_by_id);
	id_table_fini(&realm->session_table);
	policy_unref(&realm->policy);
	free(realm);
}

static void handle_gone(struct realm *realm, struct session *s, struct post *p)
{
	(void)p;
	realm->counters.gones++;
	leave_begin(realm, s, NULL, false);
}

static void handle_goodbye(struct realm *realm, struct session *s, struct post *p)
{
	(void)p;
	realm->counters.goodbyes++;
	leave_begin(realm, s, &(struct post){.type = POST_LEFT}, false);
}

/* Handlers of the posts from a session, except POST_JOIN. */
static void (*const handlers[])(struct realm *, struct session *, struct post *) = {
	[POST_GONE] = handle_gone,
	[POST_GOODBYE] = handle_goodbye,
	[POST_SUBSCRIBE] = broker_subscribe,
	[POST_UNSUBSCRIBE] = broker_unsubscribe,
	[POST_PUBLISH] = broker_publish,
	[POST_REGISTER] = registration_register,
	[POST_UNREGISTER] = registration_unregister,
	[POST_CALL] = dealer_call,
	[POST_CHUNK] = dealer_chunk,
	[POST_CANCEL] = dealer_cancel,
	[POST_YIELD] = dealer_yield,
	[POST_INVOCATION_ERROR] = dealer_fail,
	[POST_UNDELIVERABLE] = dealer_fail,
	[POST_UNSENT] = dealer_unsent,
	[POST_META] = meta_call,
	[POST_TESTAMENT] = meta_add_testament,
};

bool realm_has_work(const struct realm *realm)
{
	return !TAILQ_EMPTY(&realm->leaving) || !meta_idle(&realm->meta) ||
	       !TAILQ_EMPTY(&realm->dealer.awake) ||
	       !TAILQ_EMPTY(&realm->dealer.takeovers) ||
	       !rights_walk_idle(&realm->rights_walk);
}

bool realm_post(struct realm *realm, struct post *p)
{
	ASSERT(p->type < ARRAY_LEN(handlers) && p->realm == realm->slot);
	struct session *s;

	if (realm->now_ms < p->time_ms)
		realm->now_ms = p->time_ms;
	if (p->type == POST_JOIN)
		handle_join(realm, p);
	else if ((s = session_find(realm, p->session)) != NULL)
		handlers[p->type](realm, s, p);
	else
		realm->counters.dropped_posts++;
	post_drop(p);
	finish_post(realm);
	return realm_has_work(realm);
}

void realm_work(struct realm *realm)
{
	leave_work(realm);
	registration_work(realm);
	rights_walk_work(realm);
	meta_work(realm);
	finish_post(realm);
}

void realm_deadline_passed(struct wheel_node *node, void *arg)
{
	struct deadline *d = container_of(node, struct deadline, node);
	struct realm *realm = d->realm;

	(void)arg;
	dealer_time_out(realm, d);
	finish_post(realm);
}

void realm_revoke(struct realm *realm, struct revocation *revocation)
{
	struct session *s, *next;

	/* leave_killed changes only s, so next stays valid */
	for (s = TAILQ_FIRST(&realm->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (revocation_matches(revocation, s->identity))
			leave_killed(realm, s, revocation_ref(revocation), false);
	}
	finish_post(realm);
}

#define X(name, type, help) {#name, help, type, offsetof(struct realm_counters, name)},
const struct counter_table realm_counter_table =
	COUNTER_TABLE(struct realm_counters, REALM_COUNTERS(X));
#undef X

struct realm_counters realm_counters(const struct realm *realm)
{
	struct realm_counters c = realm->counters;

	c.sessions = realm->session_table.count;
	c.subscriptions = pattern_index_count(&realm->broker.topics);
	c.memberships = realm->broker.memberships.count;
	c.registrations = realm->dealer.procedures.by_id.count;
	c.callees = realm->dealer.callees.count;
	c.calls_in_flight = realm->dealer.requests.count;
	c.calls_queued = realm->dealer.n_queued;
	c.orphans = realm->dealer.n_orphans;
	c.retained_topics = pattern_index_count(&realm->retained.topics);
	c.retained_bytes = retained_bytes(&realm->retained);
	c.reroute_bytes = realm->dealer.kept_bytes;
	c.history_events = realm->histories.n_events;
	c.history_bytes = realm->histories.bytes;
	return c;
}
