/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call, for the files of the dealer only: call.c, chunks.c, reroute.c, dealer.c. On the
 * owner's thread only.
 */
#ifndef ROUTERD_CORE_CALL_H
#define ROUTERD_CORE_CALL_H

#include "routerd/core/realm_int.h"

enum call_state {
	CALL_ACTIVE = 0,
	/* Canceled with mode kill: the callee was told to stop, and the caller waits. */
	CALL_KILLING = 1,
	CALL_WALKS = 2,  /* the realm itself makes the result, in slices */
	CALL_QUEUED = 3, /* it waits for a free callee */
	/*
	 * The caller has its answer or has left, but the callee is still working: it was
	 * not told to stop. The call still counts towards the callee's limit.
	 */
	CALL_ORPHAN = 4,
	/* It is in no queue and has no callee; only while a post is handled. */
	CALL_STARTING = 5,
};

/*
 * A CALL that is not answered yet: its INVOCATION was sent to a callee, or waits in a
 * queue, or the realm makes the result. Or it is an orphan (CALL_ORPHAN).
 */
struct call {
	/* owner: the callee, id: INVOCATION.Request; owner NULL: it has no callee */
	struct id_node by_callee;
	struct id_node by_caller; /* owner: the caller, id: CALL.Request */
	union {
		LIST_ENTRY(call) of_callee;
		TAILQ_ENTRY(call) in_queue;
		struct meta_walk *walk; /* owned; in state CALL_WALKS */
	};
	union {
		LIST_ENTRY(call) of_caller;
		SLIST_ENTRY(call) free;
	};
	struct deadline deadline;
	union {
		struct callee *slot; /* towards whose limit it counts; NULL: no limit */
		struct registration *registration; /* while it is queued */
	};
	/*
	 * owned. While the call is queued: the INVOCATION to send. While its progressive
	 * input is open: an INVOCATION without a payload, for the next chunk. While it
	 * may go on to another callee: the INVOCATION for that (reroute.c). Otherwise
	 * NULL.
	 */
	struct post *invocation;
	uint32_t timeout_ms; /* 0: none; then the deadline is the limit for a kill */
	uint8_t state;       /* enum call_state */
	bool progress;       /* the caller wants progressive results */
	uint8_t disclose;    /* enum disclose: the CALL's */
	/* Set just before the call ends, if the callee was not told to stop. */
	bool works_on;
};

/*
 * True if the caller may still send chunks of the input (specification: "Progressive Call
 * Invocations").
 */
static inline bool call_input_open(const struct call *c)
{
	return c->invocation != NULL && c->invocation->chunk != CHUNK_NONE;
}

enum { TRIES_MAX = 16 }; /* callees that get one call */

/* What is kept of a call that may go on to another callee. */
struct rerouted {
	/* For the next callee. Without a payload if the registration is not shared: then
	 * there is no other callee. */
	struct post invocation;
	size_t size; /* counts towards KEPT_BYTES_MAX */
	unsigned n_tried;
	uint64_t tried[TRIES_MAX]; /* callee.number */
};

/*
 * Adds a call for this post, in state CALL_STARTING. NULL if out of memory.
 */
struct call *call_add(struct realm *realm, struct session *caller, const struct post *p);

/*
 * Ends a call; no other function does. Sends answer to the caller, unless answer is NULL
 * because the caller has left. Then forgets the call, or makes it an orphan if the callee
 * has a limit and is still working. Takes the references of the answer.
 */
void call_finish(struct realm *realm, struct call *c, struct post *answer);
void call_end_orphan(struct realm *realm, struct call *c);

/* Takes a call out of its queue. The caller gets the INVOCATION with its references. */
struct post call_leave_queue(struct realm *realm, struct call *c);

/*
 * Sends INTERRUPT to the callee of a call. Returns false if the call has no callee, if
 * the callee has not announced call canceling or already got an INTERRUPT for this call,
 * or if memory ran out.
 */
bool call_interrupt(struct realm *realm, const struct call *c,
		    enum wamp_cancel_mode mode);

/* Drops what c->invocation keeps for a chunk or another callee. */
void call_drop_kept(struct realm *realm, struct call *c);

/* The call that a caller has made with this request id. NULL if it has none. */
struct call *call_find(const struct realm *realm, const struct session *caller,
		       uint64_t request);

/*
 * Sends a call to its callee. Takes the references of the INVOCATION, and adds to it what
 * the callee asks for. If that is not possible, fails the call and returns false.
 */
bool call_start(struct realm *realm, struct call *c, struct callee *callee,
		struct post *invocation);

/* Ends a call with an ERROR. payload may be NULL; the reference to it is taken. */
void call_fail(struct realm *realm, struct call *c, struct post_error error,
	       struct payload *payload);

/*
 * Tells the callee to stop, because nobody waits for its answer any more. If that is not
 * possible, the callee keeps working, and its answer will be dropped.
 */
void call_stop_callee(struct realm *realm, struct call *c);

/* The callee no longer works on the call. Gives back its slot. */
void call_leave_callee(struct realm *realm, struct call *c);

/* *from with this payload, and with references of its own. Takes the payload. */
struct post call_copy_invocation(const struct post *from, struct payload *payload);

void call_set_deadline(struct realm *realm, struct call *c, uint64_t due_ms);

/* A session uses the id of a call in flight in a way that the specification forbids. */
void call_refuse_duplicate(struct realm *realm, struct session *s);

/*
 * The INVOCATIONs to a session that its worker could not send, until call_renumber. The
 * worker already counts without them, and expects RENUMBERED.
 */
enum { UNSENT_MAX = 256 };
struct unsent_calls {
	unsigned n;
	uint64_t ids[UNSENT_MAX]; /* call.by_callee.id; ascending */
};

/* Adds one, whose call has ended. */
void call_add_unsent(struct realm *realm, struct session *s, uint64_t id);
/*
 * Lowers the ids of the calls behind those that were not sent. Call it before looking for
 * a call by an id from the session's worker. There may be many such calls, so this is
 * done for several UNSENTs together. s->unsent is not NULL.
 */
void call_renumber(struct realm *realm, struct session *s);

/* --- chunks.c: progressive input --- */

/*
 * Sends the first chunk of a call's input to a callee of the registration that takes such
 * input, or fails the call. Takes the references of the INVOCATION.
 */
void chunks_begin(struct realm *realm, struct call *c, struct registration *reg,
		  struct post *invocation);
/* Tells the callee's worker that no more chunks of a call come, after it lost one. */
void chunks_lost(struct realm *realm, struct session *callee, uint64_t invocation);

/* --- reroute.c: a callee may pass a call on to the next one --- */

/*
 * Handles a callee's ERROR. True if it says that the callee is unavailable, and the call
 * has gone on to the next callee, or has failed because there is none.
 */
bool reroute_call(struct realm *realm, struct call *c, const struct post *error);

#endif
