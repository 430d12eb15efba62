/* SPDX-License-Identifier: Apache-2.0 */
/* The store of retained events; the owner's thread. See retained.h. */
#include "routerd/core/retained.h"

#include "routerd/core/realm_int.h"

#include <stdlib.h>

enum {
	EXPIRE_MAX = 16,  /* topics that one request drops because of their age */
	REPORT_MS = 1000, /* between two reports that the store is full */
	TABLE_ENTRY = 16, /* bytes in an id_table for each object */
	NEW_NODES = 2,    /* nodes in the index for a new topic, at most */
};

struct retained_topic {
	struct pattern pattern; /* its text is stored after the struct */
	/* In the order of publication. Only the first one may be for all sessions. */
	struct stored_events events;
	unsigned n_restricted; /* events that are not for all */
};

static struct retained_topic *topic_of(struct pattern *p)
{
	return p == NULL ? NULL : container_of(p, struct retained_topic, pattern);
}

static struct retained_topic *find_topic(const struct retained *r, struct slice uri)
{
	return topic_of(pattern_find(&r->topics, MATCH_PREFIX, uri));
}

/* The bytes of a topic without its events and nodes. */
static size_t topic_size(struct slice uri)
{
	return stored_size(sizeof(struct retained_topic) + uri.len) + TABLE_ENTRY;
}

static size_t nodes_size(size_t n)
{
	return n * (stored_size(sizeof(struct pattern_node)) + TABLE_ENTRY);
}

size_t retained_bytes(const struct retained *r)
{
	return r->bytes + nodes_size(r->topics.nodes.count);
}

static bool is_restricted(const struct stored_event *e)
{
	return e->options != NULL && options_restrict(e->options);
}

/* --- adding and removing --- */

static void drop_event(struct retained *r, struct retained_topic *t,
		       struct stored_event *e)
{
	TAILQ_REMOVE(&t->events, e, link);
	t->n_restricted -= is_restricted(e);
	r->bytes -= stored_event_size(e);
	stored_event_free(&e);
}

static void drop_topic(struct retained *r, struct retained_topic *t)
{
	struct stored_event *e;

	while ((e = TAILQ_FIRST(&t->events)) != NULL)
		drop_event(r, t, e);
	pattern_remove(&r->topics, &t->pattern);
	r->bytes -= topic_size(t->pattern.uri);
	free(t);
}

/* NULL if out of memory. */
static struct retained_topic *new_topic(struct retained *r, struct slice uri)
{
	struct retained_topic *t = calloc(1, sizeof(*t) + uri.len);

	if (t == NULL)
		return NULL;
	uint8_t *pos = (uint8_t *)(t + 1);
	TAILQ_INIT(&t->events);
	t->pattern = (struct pattern){
		.by_id.id = ++r->last_number,
		.uri = slice_store(&pos, uri),
		.match = MATCH_PREFIX,
	};
	if (pattern_add(&r->topics, &t->pattern) != 0) {
		free(t);
		return NULL;
	}
	r->bytes += topic_size(uri);
	return t;
}

int retained_init(struct retained *r)
{
	return pattern_index_init(&r->topics);
}

void retained_fini(struct retained *r)
{
	struct pattern *p;

	/* a zeroed struct has an empty list */
	while ((p = TAILQ_FIRST(&r->topics.lists[MATCH_PREFIX])) != NULL)
		drop_topic(r, topic_of(p));
	pattern_index_fini(&r->topics);
}

static bool is_expired(const struct realm *realm, const struct stored_event *e)
{
	uint64_t age = realm->limits.retained_age_ms;

	return age > 0 && realm->now_ms - e->published_ms >= age;
}

/* Frees the memory of some topics whose events have all expired. */
static void expire_some(struct realm *realm)
{
	struct retained *r = &realm->retained;

	for (unsigned i = 0; i < EXPIRE_MAX; i++) {
		struct retained_topic *t =
			topic_of(TAILQ_FIRST(&r->topics.lists[MATCH_PREFIX]));
		if (t == NULL ||
		    !is_expired(realm, TAILQ_LAST(&t->events, stored_events)))
			return;
		drop_topic(r, t);
	}
}

/* Drops the events of a topic that a new one replaces. */
static void replace_events(struct retained *r, struct retained_topic *t,
			   const struct stored_event *by)
{
	struct stored_event *e, *next;
	bool restricted = is_restricted(by);

	for (e = TAILQ_FIRST(&t->events); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		if (!restricted ||
		    (is_restricted(e) && options_same_lists(e->options, by->options)))
			drop_event(r, t, e);
	}
	if (t->n_restricted < RETAINED_RESTRICTED_MAX)
		return;
	e = TAILQ_FIRST(&t->events);
	drop_event(r, t, is_restricted(e) ? e : TAILQ_NEXT(e, link));
}

/* Counts an event that is not retained, and tells the publisher's worker, which logs. */
static void report_full(struct realm *realm, const struct session *s)
{
	struct retained *r = &realm->retained;
	struct post p = {.type = POST_NOT_RETAINED};

	realm->counters.retained_full++;
	if (realm->counters.retained_full > 1 &&
	    realm->now_ms - r->reported_ms < REPORT_MS)
		return;
	r->reported_ms = realm->now_ms;
	/* it is only for the log */
	(void)!session_try_post(realm, s, &p);
}

struct stored_event *retained_make(struct realm *realm, struct session *s,
				   const struct post *publish, uint64_t publication)
{
	struct stored_event *e;

	if (publish->options != NULL && options_pass_nobody(publish->options))
		return NULL;
	/* published_ms counts in the realm's time */
	e = stored_event_new(s->identity, publish, publication, realm->now_ms);
	if (e == NULL) {
		struct retained_topic *t =
			find_topic(&realm->retained, payload_uri(publish->payload));
		if (t != NULL)
			drop_topic(&realm->retained, t);
		report_full(realm, s);
	}
	return e;
}

/*
 * Finds the topic for the event, or makes it, and drops the events that it replaces. NULL
 * if there is no room for the event, or memory runs out.
 */
static struct retained_topic *prepare_topic(struct realm *realm,
					    const struct stored_event *e)
{
	struct retained *r = &realm->retained;
	struct slice uri = payload_uri(e->payload);
	struct retained_topic *t = find_topic(r, uri);
	size_t max = realm->limits.retained_bytes, size = stored_event_size(e);

	if (t == NULL) {
		if (pattern_index_count(&r->topics) >= realm->limits.retained_topics ||
		    retained_bytes(r) + topic_size(uri) + nodes_size(NEW_NODES) + size >
			    max)
			return NULL;
		return new_topic(r, uri);
	}
	/* Beyond a limit that a reload has lowered, a topic may get another event that is
	 * not longer. */
	if (max < retained_bytes(r))
		max = retained_bytes(r);
	replace_events(r, t, e);
	if (retained_bytes(r) + size <= max)
		return t;
	drop_topic(r, t);
	return NULL;
}

void retained_add(struct realm *realm, struct session *s, struct stored_event *e)
{
	struct retained *r = &realm->retained;

	expire_some(realm);
	struct retained_topic *t = prepare_topic(realm, e);
	if (t == NULL) {
		stored_event_free(&e);
		report_full(realm, s);
		return;
	}
	e->number = ++r->last_number;
	TAILQ_INSERT_TAIL(&t->events, e, link);
	t->n_restricted += is_restricted(e);
	r->bytes += stored_event_size(e);
	/* the list is in the order of the topics' last events */
	TAILQ_REMOVE(&r->topics.lists[MATCH_PREFIX], &t->pattern, link);
	TAILQ_INSERT_TAIL(&r->topics.lists[MATCH_PREFIX], &t->pattern, link);
}

/* --- sending --- */

/*
 * The newest events that were found, as a heap: the oldest of them comes first, and each
 * one is older than those at 2i+1 and 2i+2.
 */
struct newest {
	size_t n;
	struct stored_event *events[RETAINED_ANSWER_MAX];
};

/* Moves the event at i down to its place. */
static void sift_down(struct newest *h, size_t i)
{
	struct stored_event *e = h->events[i];

	for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n &&
		    h->events[child + 1]->number < h->events[child]->number)
			child++;
		if (e->number < h->events[child]->number)
			break;
		h->events[i] = h->events[child];
	}
	h->events[i] = e;
}

/* Adds an event. If there are too many, the oldest one goes. */
static void add_newest(struct newest *h, struct stored_event *e)
{
	size_t i = h->n;

	if (h->n == RETAINED_ANSWER_MAX) {
		if (e->number > h->events[0]->number) {
			h->events[0] = e;
			sift_down(h, 0);
		}
		return;
	}
	for (h->n++; i > 0 && e->number < h->events[(i - 1) / 2]->number; i = (i - 1) / 2)
		h->events[i] = h->events[(i - 1) / 2];
	h->events[i] = e;
}

/* The newest event of a topic that this session may have. NULL if there is none. */
static struct stored_event *newest_for(const struct realm *realm,
				       struct retained_topic *t,
				       const struct identity *who)
{
	struct stored_event *e;

	TAILQ_FOREACH_REVERSE(e, &t->events, stored_events, link)
	{
		if (is_expired(realm, e))
			return NULL;
		if (stored_event_passes(e, who) &&
		    !(e->exclude_me && e->publisher == who->session))
			return e;
	}
	return NULL;
}

static void add_topic(const struct realm *realm, struct newest *h,
		      struct retained_topic *t, const struct identity *who)
{
	struct stored_event *e = t == NULL ? NULL : newest_for(realm, t, who);

	if (e != NULL)
		add_newest(h, e);
}

/* Finds the newest events of all topics that match. */
static void find_events(const struct realm *realm, struct newest *h,
			const struct pattern *subscription, const struct identity *who)
{
	const struct retained *r = &realm->retained;
	struct pattern_search search;
	struct pattern *p;

	h->n = 0;
	if (subscription->match == MATCH_EXACT) {
		add_topic(realm, h, find_topic(r, subscription->uri), who);
		return;
	}
	pattern_search_begin(&search, &r->topics, (enum match)subscription->match,
			     subscription->uri);
	while ((p = pattern_search_next(&search)) != NULL)
		add_topic(realm, h, topic_of(p), who);
}

/* Sorts the events, newest first, and drops the oldest ones beyond `bytes` in total. */
static void sort_and_limit(struct newest *h, size_t bytes)
{
	size_t n = h->n, size = 0, fit = 0;

	/* take the oldest one off the heap, and put it where the heap ended */
	while (h->n > 1) {
		struct stored_event *oldest = h->events[0];
		h->events[0] = h->events[--h->n];
		sift_down(h, 0);
		h->events[h->n] = oldest;
	}
	while (fit < n) {
		size += payload_size(h->events[fit]->payload);
		if (fit > 0 && size > bytes)
			break;
		fit++;
	}
	h->n = fit;
}

static void send_one(struct realm *realm, struct session *s, const struct pattern *to,
		     const struct stored_event *e)
{
	struct post event = {
		.type = POST_EVENT_ONE,
		.retain = true,
		.id = to->by_id.id,
		.match = to->match,
		.payload = e->payload,
		.publication = e->publication,
		.trust = e->trust,
		.disclosed = e->disclosed == NULL ? NULL : identity_ref(e->disclosed),
	};

	payload_ref(e->payload);
	if (e->options != NULL && options_passthru(e->options) != NULL)
		event.options = options_ref(e->options);
	session_post(realm, s, &event);
	realm->counters.events++;
}

void retained_send(struct realm *realm, struct session *s,
		   const struct pattern *subscription)
{
	struct newest found;

	expire_some(realm);
	find_events(realm, &found, subscription, s->identity);
	sort_and_limit(&found, realm->limits.retained_answer);
	for (size_t i = found.n; i-- > 0;)
		send_one(realm, s, subscription, found.events[i]);
}
