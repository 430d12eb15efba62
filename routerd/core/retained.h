/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retained events (specification: "Event Retention"), for sessions that subscribe later
 * with `get_retained`. Of the events published with `retain`, a topic keeps the last one
 * that all sessions may have, and a few newer ones that only some sessions may have. A
 * session gets the newest event that it may have.
 *
 * The events are in the memory of the process only. If the store is full, the event of a
 * new topic is not kept: to drop events of other topics instead would let one publisher
 * erase those of others. If the event of a known topic does not fit, the topic loses its
 * older events, so that nobody takes an old event for the last one.
 *
 * pattern_search finds the topics that a pattern matches, without visiting all topics.
 * For core/ only; on the owner's thread only.
 */
#ifndef ROUTERD_CORE_RETAINED_H
#define ROUTERD_CORE_RETAINED_H

#include "common/base.h"
#include "routerd/core/pattern.h"
#include "routerd/core/session.h"
#include "routerd/core/stored_event.h"

enum {
	RETAINED_RESTRICTED_MAX = 8, /* events of a topic that not all may have */
	RETAINED_ANSWER_MAX = 1000,  /* events that one SUBSCRIBE gets */
};

struct retained {
	/* Contains retained_topic.pattern. The topics are stored as prefixes, because
	 * pattern_search searches prefixes. The index's list of prefixes is kept in the
	 * order in which the topics got their last events. */
	struct pattern_index topics;
	size_t bytes;         /* of the topics and their events; see retained_bytes */
	uint64_t last_number; /* of a stored event or a topic */
	uint64_t reported_ms; /* when the last POST_NOT_RETAINED was sent */
};

int retained_init(struct retained *r) MUSTCHECK; /* 0 or E_NOMEM */
/* Frees all events. Also frees a zeroed struct, or one whose init failed. */
void retained_fini(struct retained *r);

/*
 * The bytes of memory of all events and topics, including what malloc adds, and the nodes
 * of the index.
 */
size_t retained_bytes(const struct retained *r);

/*
 * Makes the event to retain from a PUBLISH with `retain`; s is the publisher. NULL if no
 * session may have it, or memory ran out. Pass it to retained_add when it was published.
 */
struct stored_event *retained_make(struct realm *realm, struct session *s,
				   const struct post *publish, uint64_t publication);
/* Stores the event and takes it over, or frees it if the store is full. */
void retained_add(struct realm *realm, struct session *s, struct stored_event *e);

/*
 * Sends the session its retained events of the topics that the pattern matches, in the
 * order in which they were published. If they are too many, the newest ones are sent:
 * RETAINED_ANSWER_MAX events, or limits.retained_answer bytes, but always one.
 * subscription is what the session has subscribed to.
 */
void retained_send(struct realm *realm, struct session *s,
		   const struct pattern *subscription);

#endif
