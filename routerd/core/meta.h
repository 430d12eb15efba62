/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meta procedures (specification: "Meta API"): the realm answers questions about its
 * sessions. For core/ only; on the owner's thread only.
 *
 * A call that needs only a look-up is answered at once. Any other call needs a walk,
 * which visits all sessions of the realm in the order in which they joined. A walk is
 * split into slices, so that no turn of the worker takes long; the realm handles posts
 * between two slices. The realm does one walk after the other, so it holds at most one
 * unfinished result.
 *
 * A walk visits a session exactly once if it is in the realm from the call to the result.
 * A session that joins or leaves during the walk may be visited or not.
 */
#ifndef ROUTERD_CORE_META_H
#define ROUTERD_CORE_META_H

#include "common/base.h"
#include "routerd/core/session.h"
#include "routerd/post/payload_writer.h"

#include <sys/queue.h>

struct meta {
	TAILQ_HEAD(, meta_walk) walks;
	/* The rest belongs to the first walk, and is unused until that walk has begun. */
	bool begun;
	struct payload_writer *result;
	uint64_t count; /* sessions found so far */
	/*
	 * Id of the session to visit next; 0: none is left. It is an id, not a pointer,
	 * because the session may leave between two slices.
	 */
	uint64_t next;
};

/* Initializes m. When all sessions have left, there is nothing to free. */
void meta_init(struct meta *m);

/* Handles POST_META. */
void meta_call(struct realm *realm, struct session *s, struct post *p);

/*
 * Must be called when a session leaves. Ends its walks. If a walk would visit this
 * session next, it will visit the session that joined after it instead.
 */
void meta_forget_session(struct realm *realm, struct session *s);

/* Does one slice of the first walk. Does nothing if there is none. */
void meta_work(struct realm *realm);

/* True if there is no walk. */
static inline bool meta_idle(const struct meta *m)
{
	return TAILQ_EMPTY(&m->walks);
}

#endif
