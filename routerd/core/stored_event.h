/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event that the realm stores to deliver it later (specification: "Event Retention",
 * "Event History"). It is as the first subscribers got it: the same publication id, and
 * the publisher as it was disclosed then. For core/ only; on the owner's thread only.
 */
#ifndef ROUTERD_CORE_STORED_EVENT_H
#define ROUTERD_CORE_STORED_EVENT_H

#include "common/base.h"
#include "routerd/post/post.h"

#include <sys/queue.h>

struct stored_event {
	TAILQ_ENTRY(stored_event) link; /* for the list of whoever stores it */
	struct payload *payload;        /* counted; a kept payload (payload.h) */
	struct options *options;        /* counted; NULL: the PUBLISH had none */
	struct identity *disclosed;     /* counted; the publisher, or NULL */
	uint64_t publication;           /* id */
	uint64_t publisher;             /* its WAMP session id; 0: the router itself */
	/* in a history: Unix time; of a retained event: the time of realm.now_ms */
	uint64_t published_ms;
	/* For whoever stores it: its place in the order of publication. */
	uint64_t number;
	uint8_t trust; /* the publisher's trust level plus 1; 0: none */
	bool exclude_me;
};

TAILQ_HEAD(stored_events, stored_event);

/*
 * Makes a stored event from a POST_PUBLISH, with references of its own. publisher is NULL
 * for a meta event, which the router publishes itself. NULL if out of memory.
 */
struct stored_event *stored_event_new(struct identity *publisher,
				      const struct post *publish, uint64_t publication,
				      uint64_t published_ms) MUSTCHECK;
/* Frees the event. NULL-safe, clears the caller's pointer. */
void stored_event_free(struct stored_event **e);

/*
 * The bytes of memory that it occupies, including what malloc adds. Options and the
 * publisher's identity count in full, because this may be the last reference. A post that
 * still has references to an event after it was freed counts them itself (post_size).
 */
size_t stored_event_size(const struct stored_event *e);

/* The bytes of memory that malloc needs for an object of this size. */
static inline size_t stored_size(size_t bytes)
{
	/* a head of 8 bytes; multiples of 16 */
	return (bytes + 8 + 15) & ~(size_t)15;
}

/* Do the lists in its options let this session have it? */
static inline bool stored_event_passes(const struct stored_event *e,
				       const struct identity *who)
{
	return e->options == NULL || options_pass(e->options, who);
}

#endif
