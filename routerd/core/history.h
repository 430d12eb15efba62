/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The histories of a realm (specification: "Event History"): for each topic or pattern in
 * the configuration, a subscription that exists as long as the realm, and the last events
 * that were published to it.
 *
 * A history is bounded by the number of its events, by their bytes, and by their age. It
 * drops the oldest events when a new one needs room. It drops events that are too old
 * when an event is added and when a client asks; until then they keep their memory. The
 * bytes include what malloc adds. If a page refers to a dropped event, the event lives
 * until that page is encoded, and counts as a part of that post.
 *
 * A history does not keep two kinds of events: those with lists of session ids, because
 * the ids say nothing about later sessions (specification: "Event History", security
 * aspects), and those that need more than a quarter of its bytes.
 *
 * For core/ only; on the owner's thread only.
 */
#ifndef ROUTERD_CORE_HISTORY_H
#define ROUTERD_CORE_HISTORY_H

#include "common/base.h"
#include "routerd/config/config.h"
#include "routerd/core/session.h"

struct history;
struct subscription;

/* The histories of one realm. A zeroed struct has none. */
struct histories {
	struct history *all;
	size_t n;
	/* Lent; what must be added to the time of a post to get Unix milliseconds. */
	const int64_t *unix_offset_ms;
	size_t n_events; /* in all of them */
	size_t bytes;
};

/* Makes n empty histories, n > 0. list is needed only during the call. E_NOMEM. */
int histories_init(struct histories *all, const struct config_history *list, size_t n,
		   const int64_t *unix_offset_ms) MUSTCHECK;
struct history *histories_at(const struct histories *all, size_t i);
/* Frees the histories of the realm and their events. */
void histories_fini(struct realm *realm);

/*
 * Adds an event, which a session has published with this POST_PUBLISH, or the router
 * itself; publisher is then NULL. Takes references of its own. If memory runs out, counts
 * the event as missed.
 */
void history_add(struct realm *realm, struct history *h, struct identity *publisher,
		 const struct post *publish, uint64_t publication);

/*
 * Makes a page of the events that match the query of a POST_META, except those whose
 * lists exclude s. The caller sets page->member. NULL if out of memory.
 */
struct event_page *history_page(struct realm *realm, const struct session *s,
				const struct subscription *sub,
				const struct post *p) MUSTCHECK;

#endif
