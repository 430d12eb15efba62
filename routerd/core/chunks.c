/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles calls whose input comes in several CALL messages, the chunks (specification:
 * "Progressive Call Invocations"); the owner's thread. See call.h and dealer.h.
 *
 * The caller's worker knows which CALL continues an earlier one, and says so in the post.
 * All chunks of a call go to the same callee, with the same INVOCATION.Request and with
 * what the first CALL asked for. A call ends with its answer, even if its input is still
 * open; chunks that come later are dropped.
 */
#include "routerd/core/call.h"

#include <stdlib.h>

/* Why no callee of the registration gets the call. */
static struct post_error why_none(struct realm *realm, const struct registration *reg)
{
	if (reg->n_take_input == 0)
		return (struct post_error){
			WAMP_ERROR_FEATURE_NOT_SUPPORTED,
			"no callee has announced progressive_call_invocations and "
			"call_canceling, for procedure"};
	realm->counters.no_available_callee++;
	return (struct post_error){
		WAMP_ERROR_NO_AVAILABLE_CALLEE,
		"all callees that take progressive input are busy, for procedure"};
}

/*
 * Such a call is never queued: its chunks would have to wait with it. Nor does it
 * overtake calls that wait.
 */
void chunks_begin(struct realm *realm, struct call *c, struct registration *reg,
		  struct post *invocation)
{
	struct post *kept = malloc(sizeof(*kept));
	struct callee *callee = NULL;

	if (kept != NULL && reg->n_queued == 0)
		callee = registration_take_for_input(realm, reg);
	if (callee == NULL) {
		struct post_error why = kept == NULL ? no_memory : why_none(realm, reg);

		call_fail(realm, c, why, invocation->payload);
		invocation->payload = NULL;
		post_drop(invocation);
		free(kept);
		return;
	}
	*kept = call_copy_invocation(invocation, NULL);
	if (!call_start(realm, c, callee, invocation)) {
		post_drop(kept);
		free(kept);
		return;
	}
	/* call_start has told the callee who the caller is; so must the next chunks */
	if (callee->discloses && kept->disclosed == NULL) {
		const struct session *caller = c->by_caller.owner;

		kept->disclosed = identity_ref(caller->identity);
	}
	c->invocation = kept;
}

void chunks_lost(struct realm *realm, struct session *callee, uint64_t invocation)
{
	session_answer(realm, callee, POST_INPUT_OVER, invocation, 0);
}

void dealer_chunk(struct realm *realm, struct session *s, struct post *p)
{
	struct call *c = call_find(realm, s, p->request);

	realm->counters.chunks++;
	/* normal: the answer was sent before the chunk arrived */
	if (c == NULL || c->state == CALL_KILLING) {
		realm->counters.late_chunks++;
		return;
	}
	if (!call_input_open(c)) {
		call_refuse_duplicate(realm, s);
		return;
	}
	struct session *callee = c->by_callee.owner;
	struct post invocation = call_copy_invocation(c->invocation, p->payload);
	invocation.request = c->by_callee.id;
	invocation.chunk = p->chunk;
	p->payload = NULL;
	if (p->chunk == CHUNK_LAST)
		call_drop_kept(realm, c);
	/* The timeout begins anew with each chunk. */
	if (c->timeout_ms != 0)
		call_set_deadline(realm, c, p->time_ms + c->timeout_ms);
	if (session_try_post(realm, callee, &invocation))
		return;
	post_drop(&invocation);
	/* The callee must not take the chunks before and after this one for the whole
	 * input. If it is leaving, that ends the call. */
	if (callee->state != SESSION_OPEN)
		return;
	call_stop_callee(realm, c);
	call_fail(realm, c, no_memory, NULL);
}
