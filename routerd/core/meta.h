/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meta procedures (specification: "Meta API"): the realm answers questions about its
 * sessions. Only for core/; only on the owner's thread.
 *
 * Calls that need only a look-up are answered at once. Each other call needs a walk: it
 * visits all sessions of the realm in the order in which they joined. A walk is done in
 * slices, so that no turn of the worker gets long, and the realm handles posts between
 * two slices. Walks wait for each other, so that the realm holds at most one unfinished
 * result.
 *
 * A session that is there from the call to the result is visited once. One that joins or
 * leaves meanwhile may be visited or not.
 */
#ifndef ROUTERD_CORE_META_H
#define ROUTERD_CORE_META_H

#include "common/base.h"
#include "routerd/core/session.h"
#include "routerd/post/payload_writer.h"

#include <sys/queue.h>

struct meta {
	TAILQ_HEAD(, meta_walk) walks;
	/* What follows belongs to the first walk, and is empty until that has begun. */
	bool begun;
	struct payload_writer *result;
	uint64_t count; /* of the sessions found */
	/*
	 * Id of the session that is visited next; 0: none is left. An id and not a
	 * pointer, because posts are handled between two slices.
	 */
	uint64_t next;
};

/* Nothing is left to free when all sessions have left. */
void meta_init(struct meta *m);

/* Handler of POST_META. */
void meta_call(struct realm *realm, struct session *s, struct post *p);

/* A session leaves: its walks end, and a walk that would visit it next visits the one
 * that joined after it. */
void meta_forget_session(struct realm *realm, struct session *s);

/* Does one slice of the first walk. Does nothing if there is none. */
void meta_work(struct realm *realm);

/* There is no walk. */
static inline bool meta_idle(const struct meta *m)
{
	return TAILQ_EMPTY(&m->walks);
}

#endif
