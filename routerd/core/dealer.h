/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dealer (specification: "Remote Procedure Calls"): which procedures have a callee,
 * and which calls are in flight. It answers each CALL exactly once. For core/ only; on
 * the owner's thread only.
 */
#ifndef ROUTERD_CORE_DEALER_H
#define ROUTERD_CORE_DEALER_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/core/session.h"

struct deadline;

struct dealer {
	struct registration *procedures; /* hash table by procedure */
	struct id_table registrations;   /* keys: callee and registration id */
	struct id_table calls;           /* keys: callee and INVOCATION.Request */
	struct id_table requests;        /* the same calls; keys: caller, CALL.Request */
	SLIST_HEAD(, call) free_calls; /* for reuse, so that most calls need no malloc */
	size_t n_free_calls;
};

int dealer_init(struct dealer *d) MUSTCHECK; /* *d is zeroed; 0 or E_NOMEM */
/* All sessions must have left. Also frees a zeroed struct, or one whose init failed. */
void dealer_fini(struct dealer *d);

/* Handle the posts of these names. They may take the payload of the post. */
void dealer_register(struct realm *realm, struct session *s, struct post *p);
void dealer_unregister(struct realm *realm, struct session *s, struct post *p);
void dealer_call(struct realm *realm, struct session *s, struct post *p);
/*
 * Ends a session that reuses the id of a call in flight: for two calls with one id,
 * CANCEL and answers would be ambiguous. False if no call in flight of this session has
 * the id; then nothing happens.
 */
bool dealer_refuse_duplicate(struct realm *realm, struct session *s, uint64_t request);
void dealer_cancel(struct realm *realm, struct session *s, struct post *p);
void dealer_yield(struct realm *realm, struct session *s, struct post *p);
/*
 * Handles POST_INVOCATION_ERROR, whose error {NULL, NULL} means the callee's own, and
 * POST_UNDELIVERABLE.
 */
void dealer_fail(struct realm *realm, struct session *s, struct post *p);
/*
 * Ends the call whose deadline has passed. The deadline is its timeout or the end of a
 * kill.
 */
void dealer_time_out(struct realm *realm, struct deadline *d);

/*
 * End what a session has in the dealer, when it leaves: its registrations; the calls that
 * it made, without an answer to it, and with an INTERRUPT to their callees; the calls
 * that were made to it, with an ERROR to their callers.
 */
void dealer_drop_registrations(struct realm *realm, struct session *s);
void dealer_abandon_calls(struct realm *realm, struct session *s);
void dealer_fail_invocations(struct realm *realm, struct session *s);

/* Ends the calls that a session made, without any post. */
void dealer_forget_calls(struct realm *realm, struct session *s);

#endif
