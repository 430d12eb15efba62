/* SPDX-License-Identifier: Apache-2.0 */
/* Calls; the owner's thread. See dealer.h. */
#include "routerd/core/dealer.h"

#include "common/err.h"
#include "routerd/core/call.h"
#include "routerd/core/realm_int.h"
#include "routerd/core/registration.h"

#include <stdlib.h>

enum {
	/* How long a CANCEL in mode kill waits for the callee, if the call has no
	 * timeout. */
	KILL_MAX_MS = 30000,
	QUEUE_SLICE = 64, /* calls that leave queues in one go; takes less than 0.1 ms */
};

static const struct post_error not_understood_by_caller = {
	WAMP_ERROR_FEATURE_NOT_SUPPORTED,
	"the callee's answer has ppt_scheme or enc_algo, and "
	"the caller has not announced payload_passthru_mode "
	"or payload_transparency"};

int dealer_init(struct dealer *d)
{
	TAILQ_INIT(&d->awake);
	TAILQ_INIT(&d->takeovers);
	if (pattern_index_init(&d->procedures) != 0 || id_table_init(&d->callees) != 0 ||
	    id_table_init(&d->calls) != 0)
		return E_NOMEM;
	return id_table_init(&d->requests);
}

void dealer_fini(struct dealer *d)
{
	struct call *c;

	while ((c = SLIST_FIRST(&d->free_calls)) != NULL) {
		SLIST_REMOVE_HEAD(&d->free_calls, free);
		free(c);
	}
	id_table_fini(&d->requests);
	id_table_fini(&d->calls);
	id_table_fini(&d->callees);
	pattern_index_fini(&d->procedures);
}

/*
 * Finds the call that this post from a callee answers. If the callee has no such call,
 * or only an orphan, counts the answer and returns NULL: the call may have timed out, or
 * its caller may have left. The final answer to an orphan also ends the orphan.
 */
static struct call *find_call(struct realm *realm, const struct session *callee,
			      const struct post *p)
{
	struct id_node *node = id_table_find(&realm->dealer.calls, callee, p->request);
	struct call *c = node == NULL ? NULL : container_of(node, struct call, by_callee);

	if (LIKELY(c != NULL && c->state != CALL_ORPHAN))
		return c;
	if (c != NULL && !p->progress)
		call_end_orphan(realm, c);
	realm->counters.unknown_answers++;
	return NULL;
}

void dealer_time_out(struct realm *realm, struct deadline *d)
{
	static const struct post_error timed_out = {
		WAMP_ERROR_TIMEOUT,
		"the callee did not answer within the call's timeout"};
	static const struct post_error not_stopped = {
		WAMP_ERROR_CANCELED,
		"the call was canceled, and the callee did not stop within 30 s"};
	struct call *c = container_of(d, struct call, deadline);

	if (c->state == CALL_ORPHAN) {
		call_end_orphan(realm, c);
		return;
	}
	if (c->timeout_ms == 0) {
		call_fail(realm, c, not_stopped, NULL);
		return;
	}
	realm->counters.timeouts++;
	call_stop_callee(realm, c);
	call_fail(realm, c, timed_out, NULL);
}

struct call *dealer_add_walk(struct realm *realm, struct session *s, const struct post *p,
			     struct meta_walk *walk)
{
	struct call *c = call_add(realm, s, p);

	if (c == NULL)
		return NULL;
	c->state = CALL_WALKS;
	c->walk = walk;
	return c;
}

void dealer_answer(struct realm *realm, struct call *c, struct post *answer)
{
	call_finish(realm, c, answer);
}

bool dealer_refuse_duplicate(struct realm *realm, struct session *s, uint64_t request)
{
	if (LIKELY(call_find(realm, s, request) == NULL))
		return false;
	call_refuse_duplicate(realm, s);
	return true;
}

/*
 * Queues a call until a callee is free. If the queue is full or memory runs out, fails
 * the call. Takes the references of the INVOCATION.
 */
static void queue_call(struct realm *realm, struct call *c, struct registration *reg,
		       struct post *invocation)
{
	static const struct post_error busy = {
		WAMP_ERROR_NO_AVAILABLE_CALLEE,
		"all callees are busy, and the queue is full, for procedure"};
	const struct realm_limits *limits = &realm->limits;
	size_t size = post_size(invocation);
	bool room = reg->n_queued < limits->queued_calls &&
		    reg->queued_bytes + size <= limits->queued_bytes &&
		    realm->dealer.queued_bytes + size <= limits->queued_total;

	if (room)
		c->invocation = malloc(sizeof(*invocation));
	if (c->invocation == NULL && room) {
		call_fail(realm, c, no_memory, NULL);
		post_drop(invocation);
		return;
	}
	if (c->invocation == NULL) {
		realm->counters.no_available_callee++;
		call_fail(realm, c, busy, invocation->payload);
		invocation->payload = NULL;
		post_drop(invocation);
		return;
	}
	*c->invocation = *invocation;
	c->state = CALL_QUEUED;
	c->registration = reg;
	TAILQ_INSERT_TAIL(&reg->queue, c, in_queue);
	reg->n_queued++;
	reg->queued_bytes += size;
	realm->dealer.n_queued++;
	realm->dealer.queued_bytes += size;
}

void dealer_call(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error no_such = {WAMP_ERROR_NO_SUCH_PROCEDURE,
						  "no callee registered for procedure"};
	struct registration *reg = registration_find(realm, payload_uri(p->payload));

	realm->counters.calls++;
	if (dealer_refuse_duplicate(realm, s, p->request))
		return;
	if (reg == NULL) {
		session_error(realm, s, WAMP_CALL, p->request, no_such, p->payload);
		p->payload = NULL;
		return;
	}
	/* bounds the memory for calls that callees never answer */
	if (s->n_calls >= realm->limits.calls) {
		session_limit_error(realm, s, WAMP_CALL, p->request,
				    "the session has too many calls in flight");
		return;
	}
	struct call *c = call_add(realm, s, p);
	if (c == NULL) {
		session_error(realm, s, WAMP_CALL, p->request, no_memory, NULL);
		return;
	}
	struct post invocation = {
		.type = POST_INVOCATION,
		.id = reg->pattern.by_id.id,
		.match = reg->pattern.match,
		.trust = p->trust,
		.payload = p->payload,
		.options = p->options,
		.progress = p->progress,
		.chunk = p->chunk,
	};
	p->payload = NULL;
	p->options = NULL;
	if (UNLIKELY(p->disclose == DISCLOSE_YES))
		invocation.disclosed = identity_ref(s->identity);
	if (UNLIKELY(p->chunk != CHUNK_NONE)) {
		chunks_begin(realm, c, reg, &invocation);
		return;
	}
	/* New calls go behind those that wait, even if a callee is free. */
	struct callee *callee = reg->n_queued == 0 ? registration_take(realm, reg) : NULL;
	if (LIKELY(callee != NULL))
		(void)call_start(realm, c, callee, &invocation);
	else
		queue_call(realm, c, reg, &invocation);
}

void dealer_work(struct realm *realm)
{
	static const struct post_error gone = {
		WAMP_ERROR_NO_AVAILABLE_CALLEE,
		"the last callee left while the call waited for one"};
	struct registration *reg;

	for (unsigned n = 0;
	     n < QUEUE_SLICE && (reg = TAILQ_FIRST(&realm->dealer.awake)) != NULL; n++) {
		struct call *c = TAILQ_FIRST(&reg->queue);
		struct callee *callee;

		if (c != NULL && reg->n_callees == 0) {
			call_fail(realm, c, gone, NULL);
		} else if (c != NULL &&
			   (callee = registration_take(realm, reg)) != NULL) {
			struct post invocation = call_leave_queue(realm, c);
			/* a takeover may have changed it */
			invocation.id = reg->pattern.by_id.id;
			(void)call_start(realm, c, callee, &invocation);
		} else {
			reg->awake = false;
			TAILQ_REMOVE(&realm->dealer.awake, reg, link);
		}
	}
}

/*
 * In each mode the caller gets exactly one answer. If the mode is kill and the callee can
 * be told to stop, that is the callee's answer; a second kill changes nothing. Otherwise
 * it is an ERROR, sent at once, even after an earlier kill.
 */
void dealer_cancel(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error canceled = {WAMP_ERROR_CANCELED,
						   "the caller has canceled the call"};
	struct call *c = call_find(realm, s, p->request);

	/* normal: the answer was sent before the CANCEL arrived */
	if (c == NULL)
		return;
	realm->counters.cancels += c->state != CALL_KILLING;
	if (p->mode == WAMP_MODE_KILL) {
		if (c->state == CALL_KILLING)
			return;
		if (call_interrupt(realm, c, WAMP_MODE_KILL)) {
			c->state = CALL_KILLING;
			if (c->timeout_ms == 0)
				call_set_deadline(realm, c, p->time_ms + KILL_MAX_MS);
			return;
		}
	}
	/* Without an INTERRUPT the callee would wait for the rest of the input forever.
	 */
	if (p->mode == WAMP_MODE_KILLNOWAIT || call_input_open(c))
		call_stop_callee(realm, c);
	else
		c->works_on = c->state == CALL_ACTIVE;
	call_fail(realm, c, canceled, NULL);
}

/*
 * If this is false, the callee's progressive results are dropped. A caller that has not
 * asked for them might mistake one for the final answer, or close the connection. A
 * caller that has sent a CANCEL waits only for the end of the call.
 */
static bool takes_progress(const struct call *c)
{
	return c->progress && c->state == CALL_ACTIVE;
}

/*
 * Fails a call whose caller has not announced what it needs to read the answer. Otherwise
 * does nothing and returns false.
 */
static NOINLINE bool refuse_answer(struct realm *realm, struct call *c,
				   const struct post *p)
{
	const struct session *caller = c->by_caller.owner;

	if (options_understood(p->options,
			       caller->identity->features.of[WAMP_ROLE_CALLER]))
		return false;
	/* after a progressive result the callee is still working */
	if (p->progress)
		call_stop_callee(realm, c);
	call_fail(realm, c, not_understood_by_caller, NULL);
	return true;
}

static void pass_progress(struct realm *realm, struct call *c, struct post *p)
{
	struct post result = {
		.type = POST_RESULT,
		.request = c->by_caller.id,
		.payload = p->payload,
		.options = p->options,
		.progress = true,
	};

	if (!takes_progress(c) ||
	    (UNLIKELY(p->options != NULL) && refuse_answer(realm, c, p)))
		return;
	p->payload = NULL;
	p->options = NULL;
	/* the caller has got a part of this callee's results */
	if (UNLIKELY(c->invocation != NULL && !call_input_open(c)))
		call_drop_kept(realm, c);
	realm->counters.progressive_results++;
	session_post(realm, c->by_caller.owner, &result);
	/* The timeout begins anew with each result (specification: "Call Timeouts"). */
	if (c->timeout_ms != 0)
		call_set_deadline(realm, c, p->time_ms + c->timeout_ms);
}

void dealer_yield(struct realm *realm, struct session *s, struct post *p)
{
	if (UNLIKELY(s->unsent != NULL))
		call_renumber(realm, s);
	struct call *c = find_call(realm, s, p);

	if (c == NULL)
		return;
	if (UNLIKELY(p->progress)) {
		pass_progress(realm, c, p);
		return;
	}
	if (UNLIKELY(p->options != NULL) && refuse_answer(realm, c, p))
		return;
	struct post result = {
		.type = POST_RESULT,
		.payload = p->payload,
		.options = p->options,
	};
	p->payload = NULL;
	p->options = NULL;
	realm->counters.results++;
	call_finish(realm, c, &result);
}

void dealer_fail(struct realm *realm, struct session *s, struct post *p)
{
	bool at_caller = p->request_type == WAMP_CALL;
	if (UNLIKELY(s->unsent != NULL))
		call_renumber(realm, s);
	struct call *c =
		at_caller ? call_find(realm, s, p->request) : find_call(realm, s, p);

	if (UNLIKELY(p->chunk != CHUNK_NONE))
		chunks_lost(realm, s, p->request);
	/* The progressive result may belong to an earlier call with the same id. */
	if (c == NULL || (p->progress && !takes_progress(c)) || c->state == CALL_WALKS)
		return;
	if (UNLIKELY(c->invocation != NULL) && p->type == POST_INVOCATION_ERROR &&
	    reroute_call(realm, c, p))
		return;
	if (UNLIKELY(p->options != NULL) && refuse_answer(realm, c, p))
		return;
	/* After a progressive result, or a chunk of the input, the callee is still
	 * working. */
	if (at_caller || p->progress || p->chunk > CHUNK_FIRST)
		call_stop_callee(realm, c);
	struct post answer = {
		.type = POST_ERROR,
		.request_type = WAMP_CALL,
		.payload = p->payload,
		.options = p->options,
		.error = p->error,
	};
	p->payload = NULL;
	p->options = NULL;
	realm->counters.errors++;
	call_finish(realm, c, &answer);
}

void dealer_unsent(struct realm *realm, struct session *s, struct post *p)
{
	struct call *c;

	/* as it was before other INVOCATIONs were not sent */
	if (s->unsent != NULL)
		p->request += s->unsent->n;
	c = find_call(realm, s, p);
	if (c != NULL) {
		call_fail(realm, c, p->error, p->payload);
		p->payload = NULL;
	}
	call_add_unsent(realm, s, p->request);
}

void dealer_forget_calls(struct realm *realm, struct session *s)
{
	struct call *c;

	while ((c = LIST_FIRST(&s->calls)) != NULL)
		call_finish(realm, c, NULL);
}

unsigned dealer_abandon_calls(struct realm *realm, struct session *s, unsigned n)
{
	struct call *c;

	for (; n > 0 && (c = LIST_FIRST(&s->calls)) != NULL; n--) {
		call_stop_callee(realm, c);
		call_finish(realm, c, NULL);
	}
	return n;
}

unsigned dealer_fail_invocations(struct realm *realm, struct session *s, unsigned n)
{
	static const struct post_error callee_left = {
		WAMP_ERROR_CANCELED, "the callee left while the call was in flight"};
	struct call *c;

	for (; n > 0 && (c = LIST_FIRST(&s->invocations)) != NULL; n--) {
		if (c->state == CALL_ORPHAN)
			call_end_orphan(realm, c);
		else
			call_fail(realm, c, callee_left, NULL);
	}
	return n;
}
