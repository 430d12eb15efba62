/* SPDX-License-Identifier: Apache-2.0 */
/* Histories, and the pages that clients read; the owner's thread. See history.h. */
#include "routerd/core/history.h"

#include "common/err.h"
#include "common/table.h"
#include "routerd/core/realm_int.h"
#include "routerd/core/stored_event.h"
#include "routerd/post/event_page.h"

#include <stdlib.h>

enum {
	RING_MIN = 16, /* places of the first ring */
	/*
	 * Events whose lists are tested for one page. A list may have 1,000 entries, so
	 * more tests would take too long; the client then asks for the next page.
	 */
	LIST_TESTS_MAX = 1000,
};

/*
 * An entry of the ring. It has all that a search compares. So a search through 100,000
 * entries reads few of the events themselves, which are scattered in memory.
 */
struct kept_event {
	struct stored_event *event; /* owned */
	uint64_t publication;       /* id */
	uint64_t topic;             /* hash */
	uint64_t published_ms;      /* Unix time */
	uint64_t added_ms;          /* the realm's time, which never jumps */
};

struct history {
	size_t max_events, max_bytes;
	uint64_t max_age_ms; /* 0: no limit */
	struct kept_event *ring;
	size_t places; /* of the ring */
	size_t oldest; /* its place in the ring; the others follow */
	size_t n;      /* events */
	size_t bytes;  /* of the events and the ring */
};

static struct kept_event *event_at(const struct history *h, size_t i)
{
	size_t at = h->oldest + i;

	return &h->ring[at < h->places ? at : at - h->places];
}

static void set_bytes(struct realm *realm, struct history *h, size_t bytes)
{
	realm->histories.bytes += bytes - h->bytes;
	h->bytes = bytes;
}

static void forget_oldest(struct realm *realm, struct history *h)
{
	struct kept_event *oldest = event_at(h, 0);

	set_bytes(realm, h, h->bytes - stored_event_size(oldest->event));
	stored_event_free(&oldest->event);
	h->oldest = h->oldest + 1 < h->places ? h->oldest + 1 : 0;
	h->n--;
	realm->histories.n_events--;
}

static void forget_aged(struct realm *realm, struct history *h)
{
	while (h->max_age_ms > 0 && h->n > 0 &&
	       event_at(h, 0)->added_ms + h->max_age_ms < realm->now_ms)
		forget_oldest(realm, h);
}

static size_t ring_size(size_t places)
{
	return places == 0 ? 0 : stored_size(places * sizeof(struct kept_event));
}

/*
 * Makes the full ring half as long again. Leaves it as it is if the longer ring and an
 * event of `size` bytes would exceed the history's bytes, or if memory runs out.
 */
static void grow_ring(struct realm *realm, struct history *h, size_t size)
{
	size_t places = h->places == 0 ? RING_MIN : h->places + h->places / 2;

	if (places > h->max_events)
		places = h->max_events;
	size_t bytes = h->bytes - ring_size(h->places) + ring_size(places);
	if (places == h->places || bytes + size > h->max_bytes)
		return;
	struct kept_event *ring = malloc(places * sizeof(*ring));
	if (ring == NULL)
		return;
	for (size_t i = 0; i < h->n; i++)
		ring[i] = *event_at(h, i);
	free(h->ring);
	h->ring = ring;
	h->places = places;
	h->oldest = 0;
	set_bytes(realm, h, bytes);
}

/* Makes room for an event of `size` bytes. False if out of memory. */
static bool make_place(struct realm *realm, struct history *h, size_t size)
{
	if (h->n == h->places)
		grow_ring(realm, h, size);
	while (h->n > 0 && (h->n == h->places || h->bytes + size > h->max_bytes))
		forget_oldest(realm, h);
	return h->n < h->places;
}

void history_add(struct realm *realm, struct history *h, struct identity *publisher,
		 const struct post *publish, uint64_t publication)
{
	struct histories *all = &realm->histories;
	uint64_t published_ms = realm->now_ms + (uint64_t)*all->unix_offset_ms;
	struct stored_event *e;

	forget_aged(realm, h);
	if (publish->options != NULL && options_name_sessions(publish->options))
		return;
	e = stored_event_new(publisher, publish, publication, published_ms);
	if (e == NULL) {
		realm->counters.history_missed++;
		return;
	}
	size_t size = stored_event_size(e);
	bool fits = size <= h->max_bytes / 4;
	if (!fits || !make_place(realm, h, size)) {
		if (fits)
			realm->counters.history_missed++;
		else
			realm->counters.history_too_large++;
		stored_event_free(&e);
		return;
	}
	h->n++;
	*event_at(h, h->n - 1) = (struct kept_event){
		.event = e,
		.publication = publication,
		.topic = hash_bytes(hash_process_key, payload_uri(e->payload)),
		.published_ms = published_ms,
		.added_ms = realm->now_ms,
	};
	all->n_events++;
	set_bytes(realm, h, h->bytes + size);
}

/* --- pages --- */

/* The events among which a page may choose: from place `first` up to, not including,
 * place `end`. */
struct page_range {
	size_t first, end;
};

/* Narrows the range to one side of the event at place i. */
static void apply_bound(struct page_range *range, enum event_bound bound, size_t i)
{
	size_t border = i + (bound == EVENT_AFTER || bound == EVENT_UNTIL);

	if (bound <= EVENT_AFTER && border > range->first)
		range->first = border;
	if (bound >= EVENT_BEFORE && border < range->end)
		range->end = border;
}

/*
 * Finds the publications of the query and narrows the range. Returns EVENT_BOUND_COUNT,
 * or which of them is not there. Begins at the latest event, because clients mostly ask
 * for what is new.
 */
static enum event_bound find_bounds(const struct history *h, const struct event_query *q,
				    struct page_range *range)
{
	uint64_t wanted[EVENT_BOUND_COUNT];
	unsigned missing = 0;

	memcpy(wanted, q->publications, sizeof(wanted));
	for (unsigned b = 0; b < EVENT_BOUND_COUNT; b++)
		missing += wanted[b] != 0;
	for (size_t i = h->n; i-- > 0 && missing > 0;) {
		uint64_t publication = event_at(h, i)->publication;
		for (unsigned b = 0; b < EVENT_BOUND_COUNT; b++) {
			if (wanted[b] != publication)
				continue;
			apply_bound(range, (enum event_bound)b, i);
			wanted[b] = 0;
			missing--;
		}
	}
	unsigned bound = 0;
	while (bound < EVENT_BOUND_COUNT && wanted[bound] == 0)
		bound++;
	return (enum event_bound)bound;
}

static void add_to_page(struct event_page *page, const struct stored_event *e)
{
	payload_ref(e->payload);
	event_page_add(
		page,
		&(struct page_event){
			.payload = e->payload,
			.options = e->options == NULL ? NULL : options_ref(e->options),
			.disclosed =
				e->disclosed == NULL ? NULL : identity_ref(e->disclosed),
			.publication = e->publication,
			.published_ms = e->published_ms,
			.trust = e->trust,
		});
}

/* Puts the events of the range that match into the page, up to the limit. */
static void choose_events(const struct history *h, const struct session *s,
			  const struct post *p, struct page_range range,
			  struct event_page *page)
{
	const struct event_query *q = p->query;
	bool any_topic = p->payload == NULL;
	uint64_t topic =
		any_topic ? 0 : hash_bytes(hash_process_key, payload_uri(p->payload));
	size_t bytes = 0;
	unsigned tests = 0;

	for (size_t n = range.first; n < range.end; n++) {
		size_t i = q->reverse ? range.end - 1 - (n - range.first) : n;
		const struct kept_event *kept = event_at(h, i);
		if (kept->published_ms < q->first_ms || kept->published_ms > q->last_ms ||
		    (!any_topic && kept->topic != topic))
			continue;
		const struct stored_event *e = kept->event;
		page->more = e->options != NULL && options_restrict(e->options) &&
			     tests++ == LIST_TESTS_MAX;
		if (!page->more && stored_event_passes(e, s->identity)) {
			page->more = page->n == page->max || bytes >= EVENT_PAGE_BYTES;
			if (!page->more)
				add_to_page(page, e);
			bytes += payload_size(e->payload);
		}
		if (page->more)
			return;
		page->last = kept->publication;
	}
}

struct event_page *history_page(struct realm *realm, const struct session *s,
				const struct subscription *sub, const struct post *p)
{
	struct history *h = sub->history;
	const struct event_query *q = p->query;

	forget_aged(realm, h);
	struct page_range range = {0, h->n};
	enum event_bound unknown = find_bounds(h, q, &range);
	size_t max = range.first < range.end ? range.end - range.first : 0;
	if (unknown != EVENT_BOUND_COUNT)
		max = 0;
	if (max > q->limit)
		max = q->limit;
	struct event_page *page =
		event_page_new(max, sub->pattern.match, sub->pattern.uri);
	if (page == NULL)
		return NULL;
	page->subscription = sub->pattern.by_id.id;
	page->bare = q->bare;
	page->unknown = (uint8_t)unknown;
	if (max > 0)
		choose_events(h, s, p, range, page);
	return page;
}

/* --- begin and end --- */

int histories_init(struct histories *all, const struct config_history *list, size_t n,
		   const int64_t *unix_offset_ms)
{
	all->unix_offset_ms = unix_offset_ms;
	all->all = calloc(n, sizeof(*all->all));
	if (all->all == NULL)
		return E_NOMEM;
	all->n = n;
	for (size_t i = 0; i < n; i++) {
		all->all[i].max_events = (size_t)list[i].limit;
		all->all[i].max_bytes = list[i].bytes;
		all->all[i].max_age_ms = list[i].age;
	}
	return 0;
}

struct history *histories_at(const struct histories *all, size_t i)
{
	return &all->all[i];
}

void histories_fini(struct realm *realm)
{
	struct histories *all = &realm->histories;

	for (size_t i = 0; i < all->n; i++) {
		while (all->all[i].n > 0)
			forget_oldest(realm, &all->all[i]);
		free(all->all[i].ring);
	}
	free(all->all);
	*all = (struct histories){.n = 0};
}
