/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of meta procedures that need a walk over a list: the sessions of the realm,
 * its registrations or subscriptions, the callees of a registration, or the members of a
 * subscription. A walk is split into slices (meta_work), so that no turn of the worker
 * takes long; the realm handles posts between two slices. The realm does one walk
 * after the other, so there is at most one unfinished result. The callers take turns, so
 * a session that makes thousands of calls does not delay the calls of others.
 *
 * A walk visits each element at most once, and not those that leave before their turn. A
 * walk over sessions, registrations or subscriptions visits only those that existed when
 * the call was made, so a kill never ends a session that joined later. A walk over
 * members visits those that are in the list when the walk begins; a walk over callees
 * also visits those that register while it runs.
 *
 * Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_META_WALK_H
#define ROUTERD_CORE_META_WALK_H

#include "common/base.h"
#include "routerd/core/session.h"
#include "routerd/post/payload_writer.h"

#include <sys/queue.h>

struct call;

struct meta_walk {
	TAILQ_ENTRY(meta_walk) of_caller;
	struct call *call; /* the call in flight; it owns the walk */
	struct session *caller;
	/* What to visit: sessions up to this number, or patterns with an id below it. */
	uint64_t last;
	uint64_t id;       /* the registration or subscription whose sessions it visits */
	uint8_t procedure; /* enum meta_procedure */
	union {
		struct role_set *roles;  /* owned; NULL: sessions of all roles */
		struct revocation *kill; /* counted; set if meta_kills(procedure) */
	};
};

struct meta {
	/* Sessions with walks, in the order of their turns. */
	TAILQ_HEAD(, session) callers;
	/* The rest belongs to the first walk, and is unused until that walk has begun. */
	bool begun;
	struct payload_writer *result;
	uint64_t count; /* sessions found, or ended, so far */
	uint8_t match;  /* enum match of the patterns that it visits now */
	/*
	 * The session, pattern, callee or membership to visit next; NULL: none is left in
	 * the list. It never dangles, because of meta_step_over.
	 */
	void *next;
};

/* Initializes m. When all sessions have left, there is nothing to free. */
void meta_init(struct meta *m);

/*
 * Adds a walk for a POST_META and takes the references that it holds. The caller must set
 * the walk's call. NULL if out of memory.
 */
struct meta_walk *meta_walk_add(struct realm *realm, struct session *s,
				struct post *p) MUSTCHECK;

/* The walk whose turn it is. NULL if there is none. */
struct meta_walk *meta_first_walk(const struct meta *m);

/* Ends a walk, which need not be the first, and frees it. For the end of its call. */
void meta_walk_end(struct meta *m, struct meta_walk *walk);

/*
 * Call this before you remove the element `gone` from a list that a walk may visit.
 * `next` is the element after it, or NULL. If the walk was about to visit `gone`, it will
 * visit `next` instead.
 */
static inline void meta_step_over(struct meta *m, const void *gone, void *next)
{
	if (UNLIKELY(m->next == gone))
		m->next = next;
}

/* True if there is no walk. */
static inline bool meta_idle(const struct meta *m)
{
	return TAILQ_EMPTY(&m->callers);
}

#endif
