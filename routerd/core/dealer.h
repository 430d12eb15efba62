/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dealer (specification: "Remote Procedure Calls") records which calls are in flight,
 * and answers each CALL exactly once. registration.h says which callee gets a call. For
 * core/ only; on the owner's thread only.
 */
#ifndef ROUTERD_CORE_DEALER_H
#define ROUTERD_CORE_DEALER_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/core/registration.h"

struct deadline;
struct meta_walk;

struct dealer {
	struct pattern_index procedures; /* the patterns of the registrations */
	struct id_table callees;         /* keys: session and registration id */
	struct id_table calls; /* that have a callee; keys: callee, INVOCATION.Request */
	/* Calls without an answer; keys: caller and CALL.Request. */
	struct id_table requests;
	size_t n_queued; /* of these, calls that wait for a free callee */
	size_t queued_bytes;
	size_t kept_bytes; /* for re-routing; see reroute.c */
	size_t n_orphans;  /* calls that are answered, but their callees work on */
	/* Registrations whose queues dealer_work must look at. */
	TAILQ_HEAD(, registration) awake;
	/* Registrations that are being taken over, the oldest takeover first. */
	TAILQ_HEAD(, registration) takeovers;
	uint64_t random;               /* state of a generator of random numbers */
	SLIST_HEAD(, call) free_calls; /* for reuse, so that most calls need no malloc */
	size_t n_free_calls;
};

int dealer_init(struct dealer *d) MUSTCHECK; /* *d is zeroed; 0 or E_NOMEM */
/* All sessions must have left. Also frees a zeroed struct, or one whose init failed. */
void dealer_fini(struct dealer *d);

/*
 * dealer_call, dealer_chunk, dealer_cancel and dealer_yield handle the post of the same
 * name. They may take the post's payload.
 */
void dealer_call(struct realm *realm, struct session *s, struct post *p);
/*
 * Returns true if the session already has a call in flight with this request id: CANCEL
 * and answers would be ambiguous for two calls with one id. Then it sends POST_VIOLATION,
 * and the session's worker ends the session. Otherwise does nothing and returns false.
 */
bool dealer_refuse_duplicate(struct realm *realm, struct session *s, uint64_t request);
/*
 * Adds a call of a meta procedure whose result a walk makes. The call owns the walk.
 * CANCEL and a timeout end it, like any call. NULL if out of memory; then the caller
 * keeps the walk.
 */
struct call *dealer_add_walk(struct realm *realm, struct session *s, const struct post *p,
			     struct meta_walk *walk) MUSTCHECK;
/*
 * Answers a call that dealer_add_walk has added, and ends the call and its walk. answer
 * is NULL if the caller has left. Takes the references of the answer.
 */
void dealer_answer(struct realm *realm, struct call *c, struct post *answer);
/* Handles POST_CHUNK: passes on a part of a call's input. */
void dealer_chunk(struct realm *realm, struct session *s, struct post *p);
void dealer_cancel(struct realm *realm, struct session *s, struct post *p);
void dealer_yield(struct realm *realm, struct session *s, struct post *p);
/*
 * Handles POST_INVOCATION_ERROR and POST_UNDELIVERABLE. In POST_INVOCATION_ERROR, error
 * is {NULL, NULL}: the caller gets the callee's own ERROR.
 */
void dealer_fail(struct realm *realm, struct session *s, struct post *p);
/* Handles POST_UNSENT: the caller gets an ERROR. */
void dealer_unsent(struct realm *realm, struct session *s, struct post *p);
/*
 * Ends the call whose deadline has passed: its timeout, or the time limit for a kill or
 * an orphan.
 */
void dealer_time_out(struct realm *realm, struct deadline *d);

/*
 * End the calls of a session that leaves. dealer_abandon_calls ends the calls that it
 * made: the callees get an INTERRUPT, and the session gets no answer.
 * dealer_fail_invocations ends the calls that were made to it: the callers get an ERROR.
 * Each ends at most n calls and returns n minus the number that it ended: if that is 0,
 * there may be more.
 */
unsigned dealer_abandon_calls(struct realm *realm, struct session *s, unsigned n);
unsigned dealer_fail_invocations(struct realm *realm, struct session *s, unsigned n);

/*
 * Starts the queued calls for which a callee is free now, and fails those whose last
 * callee has left. Does a limited number of them; if `awake` is not empty afterwards,
 * call it again.
 */
void dealer_work(struct realm *realm);

/* Ends the calls that a session made, without sending any post. */
void dealer_forget_calls(struct realm *realm, struct session *s);

#endif
