/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call re-routing (specification: "Call Re-Routing"): if a callee answers that it is
 * unavailable, the call goes on to the next callee of the same registration; the owner's
 * thread. See call.h.
 *
 * Only a callee that has announced call_reroute may pass a call on, only before the first
 * progressive result, and only if the call has no progressive input. Otherwise the caller
 * gets the callee's ERROR. The call keeps its timeout. If a callee leaves, its calls end;
 * they do not go on.
 */
#include "routerd/core/call.h"
#include "routerd/core/registration.h"

#include <stdlib.h>

/* The next callee for a call, or NULL. */
static struct callee *next_callee(struct realm *realm, const struct rerouted *r)
{
	/* NULL if the registration has ended; no other one takes over its calls */
	struct registration *reg = registration_of(
		pattern_by_id(&realm->dealer.procedures, r->invocation.id));

	if (reg == NULL || reg->invoke == WAMP_INVOKE_SINGLE || r->n_tried == TRIES_MAX)
		return NULL;
	return registration_take_next(realm, reg, r->tried, r->n_tried);
}

bool reroute_call(struct realm *realm, struct call *c, const struct post *error)
{
	static const struct post_error none_left = {
		WAMP_ERROR_NO_AVAILABLE_CALLEE,
		"no callee took the call: each answered that it is unavailable"};

	if (c->state != CALL_ACTIVE || call_input_open(c) ||
	    !slice_eq_str(payload_uri(error->payload), WAMP_ERROR_UNAVAILABLE))
		return false;
	struct rerouted *r = container_of(c->invocation, struct rerouted, invocation);
	struct callee *next = next_callee(realm, r);

	if (next == NULL) {
		realm->counters.no_available_callee++;
		call_fail(realm, c, none_left, NULL);
		return true;
	}
	realm->counters.reroutes++;
	payload_ref(r->invocation.payload);
	struct post invocation =
		call_copy_invocation(&r->invocation, r->invocation.payload);
	call_leave_callee(realm, c);
	c->state = CALL_STARTING;
	(void)call_start(realm, c, next, &invocation);
	return true;
}
