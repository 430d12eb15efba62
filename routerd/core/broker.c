/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions, members and publications; the owner's thread. See broker.h. */
#include "routerd/core/broker.h"

#include "common/table.h"
#include "routerd/core/meta_event.h"
#include "routerd/core/realm_int.h"

#include <stdlib.h>

/*
 * If a publication names at most DIRECT_MAX eligible sessions, and the subscription has
 * more than DIRECT_ABOVE members, the owner sends the event directly to each of these
 * sessions.
 */
enum { DIRECT_MAX = 16, DIRECT_ABOVE = 64 };

/* A topic with members. Made for the first member, freed with the last one. */
struct subscription {
	UT_hash_handle hh; /* by topic, which is stored after the struct */
	uint64_t id;
	uint32_t n_members;
	uint32_t members_of[]; /* number of members on each worker */
};

struct membership {
	struct id_node node; /* owner: the session, id: the subscription's id */
	LIST_ENTRY(membership) of_session;
	struct subscription *subscription;
};

int broker_init(struct broker *b)
{
	return id_table_init(&b->memberships);
}

void broker_fini(struct broker *b)
{
	ASSERT(b->topics == NULL);
	id_table_fini(&b->memberships);
}

size_t broker_subscriptions(const struct broker *b)
{
	return HASH_COUNT(b->topics);
}

static struct subscription *find_topic(const struct broker *b, struct slice topic)
{
	struct subscription *sub;

	HASH_FIND(hh, b->topics, topic.p, topic.len, sub);
	return sub;
}

/* Adds n to the numbers of subscriptions to meta topics. */
static void count_listener(struct broker *b, struct slice topic, int n)
{
	unsigned found = meta_topics_matching(MATCH_EXACT, topic);

	for (unsigned t = 0; found != 0; t++, found >>= 1)
		if ((found & 1) != 0)
			b->listeners[t] += (uint32_t)n;
}

static struct subscription *new_subscription(struct realm *realm, struct slice topic)
{
	size_t counts = realm->n_workers * sizeof(uint32_t);
	struct subscription *sub = calloc(1, sizeof(*sub) + counts + topic.len);

	if (sub == NULL)
		return NULL;
	uint8_t *pos = (uint8_t *)(sub->members_of + realm->n_workers);
	/* uthash keeps a pointer to the key, so the key must live as long as sub */
	topic = slice_store(&pos, topic);
	HASH_ADD_KEYPTR(hh, realm->broker.topics, topic.p, topic.len, sub);
	if (!table_has(sub)) {
		free(sub);
		return NULL;
	}
	sub->id = realm_new_id(realm);
	count_listener(&realm->broker, topic, 1);
	return sub;
}

static struct membership *find_membership(const struct broker *b, const struct session *s,
					  uint64_t subscription)
{
	struct id_node *node = id_table_find(&b->memberships, s, subscription);

	return node == NULL ? NULL : container_of(node, struct membership, node);
}

/*
 * Makes s a member of the topic's subscription. Makes the subscription first if sub is
 * NULL. Returns the subscription, or NULL if out of memory.
 */
static struct subscription *add_member(struct realm *realm, struct session *s,
				       struct subscription *sub, struct slice topic)
{
	struct membership *m = malloc(sizeof(*m));

	if (m == NULL)
		return NULL;
	if (sub == NULL)
		sub = new_subscription(realm, topic);
	if (sub == NULL) {
		free(m);
		return NULL;
	}
	m->node.owner = s;
	m->node.id = sub->id;
	m->subscription = sub;
	id_table_add(&realm->broker.memberships, &m->node);
	LIST_INSERT_HEAD(&s->memberships, m, of_session);
	s->n_memberships++;
	sub->n_members++;
	sub->members_of[s->ref.worker]++;
	return sub;
}

/* Ends a membership. Frees the subscription if it has no members left. */
static void drop_membership(struct realm *realm, struct session *s, struct membership *m)
{
	struct subscription *sub = m->subscription;

	id_table_remove(&realm->broker.memberships, &m->node);
	LIST_REMOVE(m, of_session);
	s->n_memberships--;
	sub->n_members--;
	sub->members_of[s->ref.worker]--;
	free(m);
	if (sub->n_members > 0)
		return;
	HASH_DEL(realm->broker.topics, sub);
	count_listener(&realm->broker, slice_of(sub->hh.key, sub->hh.keylen), -1);
	free(sub);
}

void broker_subscribe(struct realm *realm, struct session *s, struct post *p)
{
	struct slice topic = payload_uri(p->payload);
	struct subscription *sub = find_topic(&realm->broker, topic);
	bool member = sub != NULL && find_membership(&realm->broker, s, sub->id) != NULL;

	if (!member && s->n_memberships >= realm->limits.subscriptions) {
		session_limit_error(realm, s, WAMP_SUBSCRIBE, p->request,
				    "the session has too many subscriptions");
		return;
	}
	/* a second SUBSCRIBE to the same topic gets the same subscription */
	if (!member)
		sub = add_member(realm, s, sub, topic);
	if (sub == NULL)
		session_error(realm, s, WAMP_SUBSCRIBE, p->request, no_memory, NULL);
	else
		session_answer(realm, s, POST_SUBSCRIBED, p->request, sub->id);
}

void broker_unsubscribe(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error no_such = {
		WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		"the session has no subscription with this id"};
	struct membership *m = find_membership(&realm->broker, s, p->id);

	if (m == NULL) {
		session_error(realm, s, WAMP_UNSUBSCRIBE, p->request, no_such, NULL);
		return;
	}
	drop_membership(realm, s, m);
	session_answer(realm, s, POST_UNSUBSCRIBED, p->request, p->id);
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
 * The ids look random, as the specification demands, and yet do not repeat for 2^53
 * publications: the step is odd, so the state runs through all numbers.
 */
static uint64_t publication_id(struct broker *b)
{
	b->publication = (b->publication + b->publication_step) & ID_MASK;
	return permute(b->publication) + 1;
}

/* Makes room for an event to each worker that has members. False if out of memory. */
static bool room_for_events(struct realm *realm, const struct subscription *sub,
			    unsigned skip)
{
	for (unsigned worker = 0; worker < realm->n_workers; worker++)
		if (sub->members_of[worker] > 0 && worker != skip &&
		    !post_room(realm->outbox, worker))
			return false;
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
}

/* Sends the event, for which there is room. Takes its references. */
static void post_event(struct realm *realm, unsigned worker, struct post *event)
{
	bool sent = post_send(realm->outbox, worker, event);

	ASSERT(sent);
	realm->counters.events++;
}

/*
 * Sends the event to each worker that has members, in the order of the workers. If memory
 * runs out, sends it to none and returns false. The last post takes the references of p.
 */
static bool post_events(struct realm *realm, const struct session *s,
			const struct subscription *sub, struct post *p,
			uint64_t publication)
{
	const unsigned none = realm->n_workers;
	unsigned to = none, skip = none;
	struct post event = {
		.type = POST_EVENT,
		.realm = realm->slot,
		.session = s->ref,
		.id = sub->id,
		.exclude_me = p->exclude_me,
		.payload = p->payload,
		.options = p->options,
		.publication = publication,
		.trust = p->trust,
		.disclosed = p->disclose == DISCLOSE_YES ? s->identity : NULL,
	};

	/* Skip the publisher's worker if the publisher is the only member there and must
	 * not get the event. */
	if (p->exclude_me && sub->members_of[s->ref.worker] == 1 &&
	    find_membership(&realm->broker, s, sub->id) != NULL)
		skip = s->ref.worker;
	if (!room_for_events(realm, sub, skip))
		return false;
	/* Send to a worker only after the next one is found: the last post takes the
	 * references of p, the others need references of their own. */
	for (unsigned worker = 0; worker < realm->n_workers; worker++) {
		if (sub->members_of[worker] == 0 || worker == skip)
			continue;
		if (to != none) {
			share_event(&event);
			post_event(realm, to, &event);
		}
		to = worker;
	}
	if (to == none)
		return true;
	p->payload = NULL;
	p->options = NULL;
	if (event.disclosed != NULL)
		identity_ref(event.disclosed);
	post_event(realm, to, &event);
	return true;
}

/*
 * Sends the event directly to each eligible member if the publication names few eligible
 * sessions and the subscription has many members: then the workers need not test all
 * members. Otherwise sends nothing and returns false. If memory runs out for a member,
 * that session is lost.
 */
static bool post_directly(struct realm *realm, const struct session *s,
			  const struct subscription *sub, const struct post *p,
			  uint64_t publication)
{
	uint64_t ids[DIRECT_MAX];

	if (sub->n_members <= DIRECT_ABOVE)
		return false;
	size_t n = options_eligible(p->options, ids, DIRECT_MAX);
	if (n > DIRECT_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct session *to = session_by_id(realm, ids[i]);
		struct post event = {
			.type = POST_EVENT_ONE,
			.id = sub->id,
			.payload = p->payload,
			.publication = publication,
			.trust = p->trust,
			.disclosed = p->disclose == DISCLOSE_YES ? s->identity : NULL,
		};
		if (to == NULL || (to == s && p->exclude_me) ||
		    find_membership(&realm->broker, to, sub->id) == NULL ||
		    !options_pass(p->options, to->identity))
			continue;
		share_event(&event);
		session_post(realm, to, &event);
		realm->counters.events++;
	}
	return true;
}

void broker_publish(struct realm *realm, struct session *s, struct post *p)
{
	const struct subscription *sub =
		find_topic(&realm->broker, payload_uri(p->payload));
	/* needed even for a topic without subscribers: PUBLISHED contains the id */
	uint64_t publication = publication_id(&realm->broker);

	realm->counters.publishes++;
	/* If nobody may get the event, or post_directly has sent it, only acknowledge
	 * it. */
	if (sub != NULL && p->options != NULL &&
	    (options_pass_nobody(p->options) ||
	     post_directly(realm, s, sub, p, publication)))
		sub = NULL;
	if (sub != NULL && !post_events(realm, s, sub, p, publication)) {
		realm->counters.unsent_publishes++;
		if (p->acknowledge)
			session_error(realm, s, WAMP_PUBLISH, p->request, no_memory,
				      NULL);
		return;
	}
	if (p->acknowledge)
		session_answer(realm, s, POST_PUBLISHED, p->request, publication);
}

/* --- meta events --- */

/* Publishes an event of the router itself. Takes the reference to the payload. */
static void publish_meta(struct realm *realm, struct payload *payload)
{
	/* nobody is its publisher: it has no place, and no identity to disclose */
	static const struct session router;
	const struct subscription *sub = find_topic(&realm->broker, payload_uri(payload));
	struct post p = {.type = POST_PUBLISH, .payload = payload};

	if (!post_events(realm, &router, sub, &p, publication_id(&realm->broker)))
		realm->counters.unsent_publishes++;
	post_drop(&p);
}

void broker_tell_session(struct realm *realm, enum meta_topic topic,
			 const struct session *s)
{
	struct payload *payload;

	if (realm->broker.listeners[topic] == 0 || s->quiet)
		return;
	payload = meta_event_of_session(topic, s->identity);
	if (payload == NULL)
		realm->counters.unsent_publishes++;
	else
		publish_meta(realm, payload);
}
