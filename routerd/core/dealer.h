/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dealer (specification: "Remote Procedure Calls"): which procedures have a callee,
 * and which calls are in flight. Each CALL is answered exactly once. Only for core/; only
 * on the owner's thread.
 */
#ifndef ROUTERD_CORE_DEALER_H
#define ROUTERD_CORE_DEALER_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/core/session.h"

struct deadline;

struct dealer {
	struct registration *procedures; /* a table by procedure */
	struct id_table registrations;   /* by callee and registration id */
	struct id_table calls;           /* by callee and invocation id */
	SLIST_HEAD(, call) free_calls;   /* kept, so that a call needs no malloc */
	size_t n_free_calls;
};

int dealer_init(struct dealer *d) MUSTCHECK; /* zeroed before; E_NOMEM */
/* All sessions must have left. Fine after a failed or no init of a zeroed struct. */
void dealer_fini(struct dealer *d);

/* Handlers of the posts of these names: they may take the payload. */
void dealer_register(struct realm *realm, struct session *s, struct post *p);
void dealer_unregister(struct realm *realm, struct session *s, struct post *p);
void dealer_call(struct realm *realm, struct session *s, struct post *p);
void dealer_yield(struct realm *realm, struct session *s, struct post *p);
/* INVOCATION_ERROR, whose error is {NULL, NULL}: the callee's; UNDELIVERABLE. */
void dealer_fail(struct realm *realm, struct session *s, struct post *p);
/* The deadline of a call has passed. */
void dealer_time_out(struct realm *realm, struct deadline *d);

/* What becomes of a session's things when it leaves. */
void dealer_drop_registrations(struct realm *realm, struct session *s);
void dealer_forget_calls(struct realm *realm, struct session *s);
void dealer_fail_invocations(struct realm *realm, struct session *s);

#endif
