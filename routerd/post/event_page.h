/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question about the events that a realm has kept (specification: "Event History"), and
 * its answer, a page of events. The caller's worker makes the query and posts it to the
 * owner. The owner makes the page, which refers to the events that match, and posts it
 * back; the worker encodes it. Each has one owner. Any thread.
 */
#ifndef ROUTERD_POST_EVENT_PAGE_H
#define ROUTERD_POST_EVENT_PAGE_H

#include "common/base.h"
#include "proto/uri.h"
#include "routerd/post/identity.h"
#include "routerd/post/options.h"
#include "routerd/post/payload.h"

enum {
	EVENT_PAGE_MAX = 1000, /* events */
	/* A page ends after the event with which its payloads reach this many bytes. No
	 * message can be longer. */
	EVENT_PAGE_BYTES = 16 << 20,
};

/* The events at which a page may begin or end. */
enum event_bound {
	EVENT_FROM = 0,   /* this event and later ones */
	EVENT_AFTER = 1,  /* later ones */
	EVENT_BEFORE = 2, /* earlier ones */
	EVENT_UNTIL = 3,  /* this event and earlier ones */
	EVENT_BOUND_COUNT = 4,
};

/* The names of these arguments, such as "from_publication". */
extern const char *const event_bound_names[EVENT_BOUND_COUNT];

/* The conditions that an event must fulfil, all of them. */
struct event_query {
	bool reverse; /* the latest event first */
	/* The result is one list and says nothing about limits, as in Crossbar. */
	bool bare;
	uint32_t limit;                           /* events, 1 to EVENT_PAGE_MAX */
	uint64_t first_ms;                        /* not published earlier; Unix time */
	uint64_t last_ms;                         /* not published later */
	uint64_t publications[EVENT_BOUND_COUNT]; /* ids; 0: any */
};

/* A query that all events match. NULL if out of memory. */
struct event_query *event_query_new(void) MUSTCHECK;

/* An event as its subscribers got it. */
struct page_event {
	struct payload *payload;    /* counted; a kept payload */
	struct options *options;    /* counted; may be NULL */
	struct identity *disclosed; /* counted; the publisher, or NULL */
	uint64_t publication;       /* id */
	uint64_t published_ms;      /* Unix time */
	uint8_t trust;              /* the publisher's trust level plus 1; 0: none */
};

struct event_page {
	uint64_t subscription; /* id */
	struct slice uri;      /* of the subscription; stored behind the events */
	uint8_t match;         /* enum match */
	bool member;           /* the caller is subscribed */
	bool bare;             /* as in the query */
	bool more;             /* further events match */
	/* If a publication of the query is not in the history: which one. Else
	 * EVENT_BOUND_COUNT. */
	uint8_t unknown; /* enum event_bound */
	/* The last event that the owner has looked at for this page; 0: none. */
	uint64_t last;
	size_t n, max;
	struct page_event events[];
};

/* Makes an empty page with room for max events. NULL if out of memory. */
struct event_page *event_page_new(size_t max, enum match match,
				  struct slice uri) MUSTCHECK;
/* Drops the references and frees the page. NULL-safe, clears the caller's pointer. */
void event_page_free(struct event_page **page);

/* Appends an event to a page that has room; takes the references of *event. */
void event_page_add(struct event_page *page, const struct page_event *event);

/* Bytes of memory. What the events refer to counts in full, because this may be the last
 * reference. */
size_t event_page_size(const struct event_page *page);

#endif
