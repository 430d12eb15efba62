/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions, members and publications; the owner's thread. See broker.h. */
#include "routerd/core/broker.h"

#include "common/err.h"
#include "routerd/config/config.h"
#include "routerd/core/meta_event.h"
#include "routerd/core/realm_int.h"
#include "routerd/core/retained.h"

#include <assert.h>
#include <stdlib.h>

/*
 * If a publication names at most DIRECT_MAX eligible sessions, and the subscriptions that
 * it matches have more than DIRECT_ABOVE members in total, the owner sends the event
 * directly to each eligible session.
 */
enum { DIRECT_MAX = 16, DIRECT_ABOVE = 64 };

int broker_init(struct broker *b)
{
	int err = pattern_index_init(&b->topics);

	return err != 0 ? err : id_table_init(&b->memberships);
}

void broker_fini(struct broker *b)
{
	pattern_index_fini(&b->topics);
	id_table_fini(&b->memberships);
	free(b->matches);
}

/* Adds n to the counters of the meta topics that this subscription matches. */
static void count_listener(struct broker *b, const struct subscription *sub, int n)
{
	unsigned found = meta_topics_matching(sub->pattern.match, sub->pattern.uri);

	for (unsigned t = 0; found != 0; t++, found >>= 1)
		if ((found & 1) != 0)
			b->listeners[t] += (uint32_t)n;
}

/* Makes a subscription without members. NULL if out of memory. */
static struct subscription *new_subscription(struct realm *realm, enum match match,
					     struct slice topic, uint64_t created_ms)
{
	size_t counts = realm->n_workers * sizeof(uint32_t);
	struct subscription *sub = calloc(1, sizeof(*sub) + counts + topic.len);

	if (sub == NULL)
		return NULL;
	uint8_t *pos = (uint8_t *)(sub->members_of + realm->n_workers);
	sub->pattern = (struct pattern){
		.by_id.id = realm_new_id(realm),
		.uri = slice_store(&pos, topic),
		.match = (uint8_t)match,
		.created_ms = created_ms,
	};
	if (pattern_add(&realm->broker.topics, &sub->pattern) != 0) {
		free(sub);
		return NULL;
	}
	count_listener(&realm->broker, sub, 1);
	return sub;
}

static void free_subscription(struct realm *realm, struct subscription *sub)
{
	meta_step_over(&realm->meta, &sub->pattern, TAILQ_NEXT(&sub->pattern, link));
	pattern_remove(&realm->broker.topics, &sub->pattern);
	count_listener(&realm->broker, sub, -1);
	free(sub);
}

int broker_pin(struct realm *realm, const struct config_history *list, size_t n,
	       const int64_t *unix_offset_ms, uint64_t created_ms)
{
	if (n > 0 && histories_init(&realm->histories, list, n, unix_offset_ms) != 0)
		return E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct subscription *sub = new_subscription(
			realm, list[i].match, slice_str(list[i].uri), created_ms);
		if (sub == NULL)
			return E_NOMEM;
		sub->history = histories_at(&realm->histories, i);
	}
	return 0;
}

void broker_unpin(struct realm *realm)
{
	struct pattern *p;

	/* without sessions there are no other subscriptions */
	for (unsigned match = 0; match < MATCH_COUNT && realm->histories.n > 0; match++)
		while ((p = TAILQ_FIRST(&realm->broker.topics.lists[match])) != NULL)
			free_subscription(realm, subscription_of(p));
	histories_fini(realm);
}

struct membership *broker_membership(const struct broker *b, const struct session *s,
				     const struct subscription *sub)
{
	struct id_node *node = id_table_find(&b->memberships, s, (uintptr_t)sub);

	return node == NULL ? NULL : container_of(node, struct membership, node);
}

/*
 * Makes s a member of the subscription. Makes the subscription first if sub is NULL.
 * Returns the subscription, or NULL if out of memory.
 */
static struct subscription *add_member(struct realm *realm, struct session *s,
				       struct subscription *sub, const struct post *p)
{
	struct membership *m = malloc(sizeof(*m));

	if (m == NULL)
		return NULL;
	if (sub == NULL)
		sub = new_subscription(realm, (enum match)p->match,
				       payload_uri(p->payload), p->created_ms);
	if (sub == NULL) {
		free(m);
		return NULL;
	}
	m->node.owner = s;
	m->node.id = (uintptr_t)sub;
	id_table_add(&realm->broker.memberships, &m->node);
	LIST_INSERT_HEAD(&s->memberships, m, of_session);
	/* at the head, so that a walk over the members (meta_walk.h) does not see it */
	LIST_INSERT_HEAD(&sub->members, m, of_subscription);
	s->n_memberships++;
	s->n_wildcards += sub->pattern.match == MATCH_WILDCARD;
	sub->n_members++;
	sub->members_of[s->ref.worker]++;
	return sub;
}

/*
 * Ends a membership, and the subscription if it has no members left. Publishes the meta
 * events about it.
 */
static void drop_membership(struct realm *realm, struct session *s, struct membership *m)
{
	struct subscription *sub = (struct subscription *)(uintptr_t)m->node.id;

	meta_step_over(&realm->meta, m, LIST_NEXT(m, of_subscription));
	if (UNLIKELY(realm->rights_walk.membership == m))
		realm->rights_walk.membership = LIST_NEXT(m, of_session);
	id_table_remove(&realm->broker.memberships, &m->node);
	LIST_REMOVE(m, of_session);
	LIST_REMOVE(m, of_subscription);
	s->n_memberships--;
	s->n_wildcards -= sub->pattern.match == MATCH_WILDCARD;
	sub->n_members--;
	sub->members_of[s->ref.worker]--;
	free(m);
	broker_pattern_event(realm, META_SUBSCRIPTION_ON_UNSUBSCRIBE, s, &sub->pattern,
			     NULL);
	if (sub->n_members > 0 || sub->history != NULL)
		return;
	broker_pattern_event(realm, META_SUBSCRIPTION_ON_DELETE, s, &sub->pattern, NULL);
	free_subscription(realm, sub);
}

void broker_subscribe(struct realm *realm, struct session *s, struct post *p)
{
	if (session_refuse_denied(realm, s, p))
		return;
	struct subscription *sub = subscription_of(
		pattern_find(&realm->broker.topics, p->match, payload_uri(p->payload)));
	bool exists = sub != NULL;
	bool member = exists && broker_membership(&realm->broker, s, sub) != NULL;

	if (!member && s->n_memberships >= realm->limits.subscriptions) {
		session_limit_error(realm, s, WAMP_SUBSCRIBE, p->request,
				    "the session has too many subscriptions");
		return;
	}
	if (!member && session_refuse_wildcard(realm, s, WAMP_SUBSCRIBE, p))
		return;
	/* a second SUBSCRIBE to the same topic gets the same subscription */
	if (!member)
		sub = add_member(realm, s, sub, p);
	if (sub == NULL) {
		session_error(realm, s, WAMP_SUBSCRIBE, p->request, no_memory, NULL);
		return;
	}
	session_answer(realm, s, POST_SUBSCRIBED, p->request, sub->pattern.by_id.id);
	if (!exists)
		broker_pattern_event(realm, META_SUBSCRIPTION_ON_CREATE, s, &sub->pattern,
				     NULL);
	if (!member)
		broker_pattern_event(realm, META_SUBSCRIPTION_ON_SUBSCRIBE, s,
				     &sub->pattern, NULL);
	if (p->retain)
		retained_send(realm, s, &sub->pattern);
}

void broker_unsubscribe(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error no_such = {
		WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		"the session has no subscription with this id"};
	const struct subscription *sub =
		subscription_of(pattern_by_id(&realm->broker.topics, p->id));
	struct membership *m =
		sub == NULL ? NULL : broker_membership(&realm->broker, s, sub);

	if (m == NULL) {
		session_error(realm, s, WAMP_UNSUBSCRIBE, p->request, no_such, NULL);
		return;
	}
	session_answer(realm, s, POST_UNSUBSCRIBED, p->request, p->id);
	drop_membership(realm, s, m);
}

void broker_revoke(struct realm *realm, struct membership *m, const char *reason,
		   struct payload *payload)
{
	struct session *s = m->node.owner;
	struct post revoked = {
		.type = POST_UNSUBSCRIBED,
		.id = membership_pattern(m)->by_id.id,
		.payload = payload,
		.error.uri = reason,
	};

	if (payload != NULL)
		payload_ref(payload);
	realm->counters.revoked_memberships++;
	/* The session is lost if memory runs out: its worker would send it more events.
	 */
	session_post(realm, s, &revoked);
	drop_membership(realm, s, m);
}

unsigned broker_drop_memberships(struct realm *realm, struct session *s, unsigned n)
{
	struct membership *m;

	for (; n > 0 && (m = LIST_FIRST(&s->memberships)) != NULL; n--)
		drop_membership(realm, s, m);
	return n;
}

#define ID_MASK (WAMP_MAX_ID - 1)

/*
 * A permutation of the 53-bit numbers. No two inputs have the same result, because both
 * kinds of steps can be undone: multiplying by an odd number modulo 2^53, and the
 * exclusive or with a right shift.
 */
static uint64_t permute(uint64_t x)
{
	x = (x ^ x >> 27) * UINT64_C(0xbf58476d1ce4e5b9) & ID_MASK;
	x = (x ^ x >> 26) * UINT64_C(0x94d049bb133111eb) & ID_MASK;
	return x ^ x >> 28;
}

void broker_seed(struct broker *b, uint64_t seed)
{
	b->publication = seed & ID_MASK;
	b->publication_step = permute(seed >> 11) | 1;
}

/*
 * The ids look random, as the specification requires, but do not repeat for 2^53
 * publications: the step is odd, so the state runs through all numbers.
 */
static uint64_t publication_id(struct broker *b)
{
	b->publication = (b->publication + b->publication_step) & ID_MASK;
	return permute(b->publication) + 1;
}

/* The subscriptions that a publication matches, in the order of the EVENTs. */
struct matches {
	struct subscription *const *subs;
	size_t n;
};

/* Appends a subscription to b->matches, which contains n. False if out of memory. */
static bool add_match(struct broker *b, size_t n, struct subscription *sub)
{
	if (n == b->matches_max) {
		size_t max = n == 0 ? 16 : 2 * n;
		struct subscription **more = realloc(b->matches, max * sizeof(*more));

		if (more == NULL)
			return false;
		b->matches = more;
		b->matches_max = max;
	}
	b->matches[n] = sub;
	return true;
}

/*
 * Finds all subscriptions that match. Needed only if there are prefixes or wildcards;
 * otherwise pattern_exact is faster. False if out of memory.
 */
static NOINLINE bool find_all(struct broker *b, struct slice topic, struct matches *out)
{
	struct pattern_walk walk;
	struct pattern *p;
	size_t n = 0;

	pattern_walk_begin(&walk, &b->topics, topic);
	while ((p = pattern_walk_next(&walk)) != NULL)
		if (!add_match(b, n++, subscription_of(p)))
			return false;
	*out = (struct matches){b->matches, n};
	return true;
}

/* Takes the references for one more post of the same event. */
static void share_event(struct post *event)
{
	payload_ref(event->payload);
	if (event->options != NULL)
		options_ref(event->options);
	if (event->disclosed != NULL)
		identity_ref(event->disclosed);
	if (event->more != NULL)
		id_list_ref(event->more);
}

/* The ids of all subscriptions but the first. NULL if out of memory. */
static struct id_list *list_more(const struct matches *to)
{
	struct id_list *list = id_list_new(to->n - 1);

	for (size_t i = 1; list != NULL && i < to->n; i++)
		list->ids[i - 1] = to->subs[i]->pattern.by_id.id;
	return list;
}

/*
 * Returns the workers to which the event must be sent, one bit each: those that have
 * members. For each subscription, a worker does not count if its only member is the
 * publisher, and the publisher must not get the event.
 */
static uint32_t receiving_workers(struct realm *realm, const struct session *s,
				  const struct matches *to, const struct post *p)
{
	static_assert(CONFIG_MAX_THREADS <= 32, "a bit for each worker");
	uint32_t workers = 0;

	for (size_t i = 0; i < to->n; i++) {
		const struct subscription *sub = to->subs[i];
		unsigned skip = realm->n_workers;

		if (p->exclude_me && sub->members_of[s->ref.worker] == 1 &&
		    broker_membership(&realm->broker, s, sub) != NULL)
			skip = s->ref.worker;
		for (unsigned worker = 0; worker < realm->n_workers; worker++)
			if (sub->members_of[worker] > 0 && worker != skip)
				workers |= BIT(worker);
	}
	return workers;
}

/* Makes room for an event to each of the workers. False if out of memory. */
static bool room_for_events(struct realm *realm, uint32_t workers)
{
	for (; workers != 0; workers &= workers - 1)
		if (!post_room(realm->outbox, (unsigned)__builtin_ctz(workers)))
			return false;
	return true;
}

static bool has_several(uint32_t workers)
{
	return (workers & (workers - 1)) != 0;
}

/* Sends the event to the first of the workers. False if out of memory. */
static bool send_to_first(struct realm *realm, uint32_t workers, const struct post *event)
{
	if (!post_send(realm->outbox, (unsigned)__builtin_ctz(workers), event))
		return false;
	realm->counters.events++;
	return true;
}

/*
 * Sends the event to each worker that has receivers, in the order of the workers, and
 * takes the references of p. If memory runs out, sends it to none and returns false.
 */
static bool post_events(struct realm *realm, const struct session *s,
			const struct matches *to, struct post *p, uint64_t publication)
{
	uint32_t workers = receiving_workers(realm, s, to, p);
	struct post event = {
		.type = POST_EVENT,
		.realm = realm->slot,
		.session = s->ref,
		.id = to->subs[0]->pattern.by_id.id,
		.match = to->subs[0]->pattern.match,
		.exclude_me = p->exclude_me,
		.payload = p->payload,
		.options = p->options,
		.publication = publication,
		.trust = p->trust,
		.disclosed = p->disclose == DISCLOSE_YES ? s->identity : NULL,
	};

	if (workers == 0)
		return true;
	if (to->n > 1 && (event.more = list_more(to)) == NULL)
		return false;
	/* With several workers, make room first, so that all of them get the event or
	 * none does. */
	if (has_several(workers) && !room_for_events(realm, workers)) {
		id_list_unref(&event.more);
		return false;
	}
	if (event.disclosed != NULL)
		identity_ref(event.disclosed);
	for (; has_several(workers); workers &= workers - 1) {
		share_event(&event);
		bool sent = send_to_first(realm, workers, &event);
		ASSERT(sent);
	}
	/* the last post takes the references */
	if (!send_to_first(realm, workers, &event)) {
		id_list_unref(&event.more);
		identity_unref(&event.disclosed);
		return false;
	}
	p->payload = NULL;
	p->options = NULL;
	return true;
}

/* Sends the event directly to one session, once for each subscription that it is in. */
static void post_to_session(struct realm *realm, const struct session *s,
			    struct session *to, const struct matches *matches,
			    const struct post *p, uint64_t publication)
{
	for (size_t i = 0; i < matches->n; i++) {
		const struct subscription *sub = matches->subs[i];
		struct post event = {
			.type = POST_EVENT_ONE,
			.id = sub->pattern.by_id.id,
			.match = sub->pattern.match,
			.payload = p->payload,
			.options =
				options_passthru(p->options) == NULL ? NULL : p->options,
			.publication = publication,
			.trust = p->trust,
			.disclosed = p->disclose == DISCLOSE_YES ? s->identity : NULL,
		};
		if (broker_membership(&realm->broker, to, sub) == NULL)
			continue;
		share_event(&event);
		session_post(realm, to, &event);
		realm->counters.events++;
	}
}

/*
 * If the publication names few eligible sessions and the subscriptions have many members,
 * sends the event directly to each eligible member, so that the workers need not test all
 * members. Otherwise sends nothing and returns false. A session is lost if memory runs
 * out for the event to it.
 */
static bool post_directly(struct realm *realm, const struct session *s,
			  const struct matches *to, const struct post *p,
			  uint64_t publication)
{
	uint64_t ids[DIRECT_MAX];
	size_t members = 0;

	for (size_t i = 0; i < to->n; i++)
		members += to->subs[i]->n_members;
	if (members <= DIRECT_ABOVE)
		return false;
	size_t n = options_eligible(p->options, ids, DIRECT_MAX);
	if (n > DIRECT_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct session *receiver = session_by_id(realm, ids[i]);

		if (receiver != NULL && !(receiver == s && p->exclude_me) &&
		    options_pass(p->options, receiver->identity))
			post_to_session(realm, s, receiver, to, p, publication);
	}
	return true;
}

/* Sends the event to the members of these subscriptions who may get it. */
static bool send_to(struct realm *realm, const struct session *s, struct post *p,
		    const struct matches *to, uint64_t publication)
{
	if (p->options != NULL && (options_pass_nobody(p->options) ||
				   post_directly(realm, s, to, p, publication)))
		return true;
	return post_events(realm, s, to, p, publication);
}

/* Like send_to, and adds the event to the histories of these subscriptions. */
static NOINLINE bool send_and_keep(struct realm *realm, const struct session *s,
				   struct post *p, const struct matches *to,
				   uint64_t publication)
{
	struct post kept = *p;

	/* sending takes the references of *p */
	payload_ref(kept.payload);
	if (kept.options != NULL)
		options_ref(kept.options);
	bool sent = send_to(realm, s, p, to, publication);
	for (size_t i = 0; i < to->n && sent; i++)
		if (to->subs[i]->history != NULL)
			history_add(realm, to->subs[i]->history, s->identity, &kept,
				    publication);
	post_drop(&kept);
	return sent;
}

static bool has_history(const struct matches *to)
{
	for (size_t i = 0; i < to->n; i++)
		if (UNLIKELY(to->subs[i]->history != NULL))
			return true;
	return false;
}

/* Sends the event to all who may get it. False if memory ran out and nobody gets it. */
static bool send_event(struct realm *realm, const struct session *s, struct post *p,
		       uint64_t publication)
{
	struct broker *b = &realm->broker;
	struct slice topic = payload_uri(p->payload);
	struct subscription *exact;
	struct matches to = {&exact, 1};

	if (LIKELY(b->topics.n_loose == 0)) {
		exact = subscription_of(pattern_exact(&b->topics, topic));
		to.n = exact != NULL;
	} else if (!find_all(b, topic, &to)) {
		return false;
	}
	if (to.n == 0)
		return true;
	return has_history(&to) ? send_and_keep(realm, s, p, &to, publication)
				: send_to(realm, s, p, &to, publication);
}

void broker_publish(struct realm *realm, struct session *s, struct post *p)
{
	/* needed even for a topic without subscribers: PUBLISHED contains the id */
	uint64_t publication = publication_id(&realm->broker);
	/* made before the event is sent, which takes the payload */
	struct stored_event *kept =
		UNLIKELY(p->retain) ? retained_make(realm, s, p, publication) : NULL;

	realm->counters.publishes++;
	if (!send_event(realm, s, p, publication)) {
		realm->counters.unsent_publishes++;
		stored_event_free(&kept);
		if (p->acknowledge)
			session_error(realm, s, WAMP_PUBLISH, p->request, no_memory,
				      NULL);
		return;
	}
	if (p->acknowledge)
		session_answer(realm, s, POST_PUBLISHED, p->request, publication);
	if (UNLIKELY(kept != NULL))
		retained_add(realm, s, kept);
}

/* --- meta events --- */

/*
 * Publishes an event of the router itself, and takes the reference to the payload, which
 * is NULL if memory ran out.
 */
static void publish_meta(struct realm *realm, struct payload *payload)
{
	/* stands for the publisher; no session has its ref, and it has no identity */
	static const struct session router;
	struct post p = {.type = POST_PUBLISH, .payload = payload};

	if (payload == NULL ||
	    !send_event(realm, &router, &p, publication_id(&realm->broker)))
		realm->counters.unsent_publishes++;
	post_drop(&p);
}

void broker_session_event(struct realm *realm, enum meta_topic topic,
			  const struct session *s)
{
	if (realm->broker.listeners[topic] > 0 && !s->quiet)
		publish_meta(realm, meta_event_of_session(topic, s->identity));
}

void broker_pattern_event(struct realm *realm, enum meta_topic topic,
			  const struct session *s, const struct pattern *p,
			  const char *invoke)
{
	if (realm->broker.listeners[topic] > 0 && !s->quiet && !uri_reserved(p->uri))
		publish_meta(realm, meta_event_of_pattern(topic, s->identity->session, p,
							  invoke));
}
