/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker (specification: "Publish and Subscribe") records which topics have
 * subscriptions, which sessions are members, and how many members each worker has. For
 * each publication it sends one post to each worker that has members of any matching
 * subscription; the worker finds the members (peer/members). If only few sessions are
 * eligible, it sends a post to each of them instead. For core/ only; on the owner's
 * thread only.
 */
#ifndef ROUTERD_CORE_BROKER_H
#define ROUTERD_CORE_BROKER_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/config/config.h"
#include "routerd/core/pattern.h"
#include "routerd/core/session.h"
#include "routerd/post/meta_topic.h"

struct history;

/*
 * A topic or pattern with members. Made for the first member, freed with the last one,
 * unless it is pinned.
 */
struct subscription {
	struct pattern pattern;  /* its text is stored after the struct */
	struct history *history; /* of a pinned subscription (history.h); else NULL */
	LIST_HEAD(, membership) members;
	uint32_t n_members;
	uint32_t members_of[]; /* number of members on each worker */
};

/*
 * There may be millions of memberships, so the struct must be small: it has no pointer to
 * the subscription, whose address is in the key.
 */
struct membership {
	struct id_node node; /* owner: the session, id: the subscription's address */
	LIST_ENTRY(membership) of_session;
	LIST_ENTRY(membership) of_subscription;
};

static inline struct subscription *subscription_of(struct pattern *p)
{
	return p == NULL ? NULL : container_of(p, struct subscription, pattern);
}

/* The pattern of the subscription that it is in. */
static inline const struct pattern *membership_pattern(const struct membership *m)
{
	return &((const struct subscription *)(uintptr_t)m->node.id)->pattern;
}

struct broker {
	/* for each meta topic, the number of subscriptions that match it */
	uint32_t listeners[META_TOPIC_COUNT];
	struct pattern_index topics; /* the patterns of the subscriptions */
	struct id_table memberships; /* keys: session and address of the subscription */
	/* For broker_publish: the subscriptions that match; reused by the next call. */
	struct subscription **matches;
	size_t matches_max;
	uint64_t publication; /* state of publication_id */
	uint64_t publication_step;
};

int broker_init(struct broker *b) MUSTCHECK; /* 0 or E_NOMEM */
/* All sessions must have left. Also frees a zeroed struct, or one whose init failed. */
void broker_fini(struct broker *b);

/* Restarts the publication ids. They depend only on the seed. */
void broker_seed(struct broker *b, uint64_t seed);

/*
 * Makes a pinned subscription for each history in the list, and the histories
 * (history.h). Such a subscription exists even without members, until broker_unpin. There
 * are no meta events about its beginning and end. To be called before anyone subscribes.
 * E_NOMEM: call broker_unpin.
 */
int broker_pin(struct realm *realm, const struct config_history *list, size_t n,
	       const int64_t *unix_offset_ms, uint64_t created_ms) MUSTCHECK;
/* Frees the pinned subscriptions and the histories. All sessions must have left. */
void broker_unpin(struct realm *realm);

/* Each function handles the post of the same name. It may take the post's payload. */
void broker_subscribe(struct realm *realm, struct session *s, struct post *p);
void broker_unsubscribe(struct realm *realm, struct session *s, struct post *p);
void broker_publish(struct realm *realm, struct session *s, struct post *p);

/*
 * Ends a membership against the session's will. The session's worker tells the client, if
 * the client understands it. The reason is the payload's URI; if payload is NULL, it is
 * `reason`, a constant.
 */
void broker_revoke(struct realm *realm, struct membership *m, const char *reason,
		   struct payload *payload);
/* The membership of a session in a subscription. NULL if it is no member. */
struct membership *broker_membership(const struct broker *b, const struct session *s,
				     const struct subscription *sub);

/*
 * Ends at most n memberships of a session. Returns n minus the number that it ended: if
 * that is 0, the session may have more.
 */
unsigned broker_drop_memberships(struct realm *realm, struct session *s, unsigned n);

/*
 * Publish meta events (specification: "Meta API"; meta_event.h). Do nothing if no
 * subscription matches the topic, or if s->quiet is set. All members get the event, even
 * the session that caused it. If memory runs out, nobody gets the event, and it is
 * counted as unsent.
 */
void broker_session_event(struct realm *realm, enum meta_topic topic,
			  const struct session *s);
/* About a subscription or registration, unless its URI is reserved for the router. invoke
 * is needed only for on_create of a registration. */
void broker_pattern_event(struct realm *realm, enum meta_topic topic,
			  const struct session *s, const struct pattern *p,
			  const char *invoke);

#endif
