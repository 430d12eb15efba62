/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of meta procedures that need a walk: they visit the sessions of the realm in
 * the order in which they joined. A walk is split into slices (meta_work), so that no
 * turn of the worker takes long; the realm handles posts between two slices. The realm
 * does one walk after the other, so it holds at most one unfinished result.
 *
 * A walk visits the sessions that are in the realm at the call, each once, except those
 * that leave before their turn. So a kill never ends a session that has joined later.
 *
 * For core/ only; on the owner's thread only.
 */
#ifndef ROUTERD_CORE_META_WALK_H
#define ROUTERD_CORE_META_WALK_H

#include "common/base.h"
#include "routerd/core/session.h"
#include "routerd/post/payload_writer.h"

#include <sys/queue.h>

/* It counts as one of its caller's calls in flight. */
struct meta_walk {
	TAILQ_ENTRY(meta_walk) in_order;
	LIST_ENTRY(meta_walk) of_caller;
	struct session *caller;
	uint64_t request;
	uint64_t last;     /* number of the last session to visit */
	uint8_t procedure; /* enum meta_procedure */
	union {
		struct role_set *roles;  /* owned; NULL: sessions of all roles */
		struct revocation *kill; /* counted; set if meta_kills(procedure) */
	};
};

struct meta {
	TAILQ_HEAD(, meta_walk) walks;
	/* The rest belongs to the first walk, and is unused until that walk has begun. */
	bool begun;
	struct payload_writer *result;
	uint64_t count; /* sessions found, or ended, so far */
	/*
	 * Id of the session to visit next; 0: none is left. It is an id, not a pointer,
	 * because the session may leave between two slices.
	 */
	uint64_t next;
};

/* Initializes m. When all sessions have left, there is nothing to free. */
void meta_init(struct meta *m);

/* Adds a walk for a POST_META and takes the references that it holds. E_NOMEM. */
int meta_walk_add(struct realm *realm, struct session *s, struct post *p) MUSTCHECK;

/* Ends a walk, which need not be the first, and frees it. Sends no answer. */
void meta_walk_end(struct meta *m, struct meta_walk *walk);

/*
 * Must be called when a session leaves. Ends its walks. If a walk would visit this
 * session next, it will visit the session that joined after it instead.
 */
void meta_forget_session(struct realm *realm, struct session *s);

/* True if there is no walk. */
static inline bool meta_idle(const struct meta *m)
{
	return TAILQ_EMPTY(&m->walks);
}

#endif
