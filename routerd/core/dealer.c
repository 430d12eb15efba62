/* SPDX-License-Identifier: Apache-2.0 */
/* Calls; the owner's thread. See dealer.h. */
#include "routerd/core/dealer.h"

#include "common/err.h"
#include "routerd/core/realm_int.h"
#include "routerd/core/registration.h"

#include <stdlib.h>

enum {
	FREE_CALLS_MAX = 1024, /* freed calls that a realm keeps for reuse */
	/* How long a CANCEL in mode kill waits for the callee, if the call has no
	 * timeout. */
	KILL_MAX_MS = 30000,
	/* How long an orphan (CALL_ORPHAN) counts towards its callee's limit. */
	ORPHAN_MAX_MS = 60000,
	QUEUE_SLICE = 64, /* calls that leave queues in one go; takes less than 0.1 ms */
};

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
	struct post *invocation; /* to send; owned; NULL unless it is queued */
	uint32_t timeout_ms;     /* 0: none; then the deadline is the limit for a kill */
	uint8_t state;           /* enum call_state */
	bool progress;           /* the caller wants progressive results */
	uint8_t disclose;        /* enum disclose: the CALL's */
	/* Set just before the call ends, if the callee was not told to stop. */
	bool works_on;
};

static const struct post_error
	not_understood_by_callee = {WAMP_ERROR_FEATURE_NOT_SUPPORTED,
				    "the callee has not announced payload_passthru_mode "
				    "(ppt_scheme) or payload_transparency (enc_algo)"},
	not_understood_by_caller = {WAMP_ERROR_FEATURE_NOT_SUPPORTED,
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

/* Each CALL needs a struct for a short time, so freed ones are reused. */
static struct call *take_call(struct dealer *d)
{
	struct call *c = SLIST_FIRST(&d->free_calls);

	if (c == NULL)
		return malloc(sizeof(*c));
	SLIST_REMOVE_HEAD(&d->free_calls, free);
	d->n_free_calls--;
	return c;
}

static void give_back_call(struct dealer *d, struct call *c)
{
	if (d->n_free_calls == FREE_CALLS_MAX) {
		free(c);
		return;
	}
	SLIST_INSERT_HEAD(&d->free_calls, c, free);
	d->n_free_calls++;
}

static void set_deadline(struct realm *realm, struct call *c, uint64_t due_ms)
{
	c->deadline.realm = realm;
	wheel_set(realm->deadlines, &c->deadline.node, due_ms);
}

/* time_ms is when the CALL was read, so time spent in queues counts. */
static void begin_timeout(struct realm *realm, struct call *c, const struct post *p)
{
	c->timeout_ms = p->timeout_ms;
	if (c->timeout_ms != 0)
		set_deadline(realm, c, p->time_ms + c->timeout_ms);
}

/*
 * Adds a call for this post. Its state is CALL_QUEUED, although it is in no queue yet,
 * and it has no callee. NULL if out of memory.
 */
static struct call *add_call(struct realm *realm, struct session *caller,
			     const struct post *p)
{
	struct call *c = take_call(&realm->dealer);

	if (c == NULL)
		return NULL;
	c->by_callee.owner = NULL;
	c->by_caller.owner = caller;
	c->by_caller.id = p->request;
	/* a reused call must not look as if its deadline were set */
	c->deadline.node.tick = 0;
	begin_timeout(realm, c, p);
	c->invocation = NULL;
	c->state = CALL_QUEUED;
	c->works_on = false;
	c->progress = p->progress;
	c->disclose = p->disclose;
	id_table_add(&realm->dealer.requests, &c->by_caller);
	LIST_INSERT_HEAD(&caller->calls, c, of_caller);
	caller->n_calls++;
	return c;
}

/* Takes a call out of its queue. The caller gets the INVOCATION with its references. */
static struct post leave_queue(struct realm *realm, struct call *c)
{
	struct registration *reg = c->registration;
	struct post invocation = *c->invocation;

	free(c->invocation);
	c->invocation = NULL;
	TAILQ_REMOVE(&reg->queue, c, in_queue);
	reg->n_queued--;
	reg->queued_bytes -= post_size(&invocation);
	realm->dealer.n_queued--;
	realm->dealer.queued_bytes -= post_size(&invocation);
	registration_dequeued(realm, reg);
	return invocation;
}

static NOINLINE void drop_queued(struct realm *realm, struct call *c)
{
	struct post invocation = leave_queue(realm, c);

	post_drop(&invocation);
}

/* The callee no longer works on the call. */
static void leave_callee(struct realm *realm, struct call *c)
{
	id_table_remove(&realm->dealer.calls, &c->by_callee);
	LIST_REMOVE(c, of_callee);
	if (UNLIKELY(c->slot != NULL))
		registration_give_back(realm, c->slot);
}

static void end_orphan(struct realm *realm, struct call *c)
{
	struct session *callee = c->by_callee.owner;

	wheel_cancel(realm->deadlines, &c->deadline.node);
	callee->n_orphans--;
	realm->dealer.n_orphans--;
	leave_callee(realm, c);
	give_back_call(&realm->dealer, c);
}

/* The wheel's tick does not advance while nothing is due, so look at now_ms, too. */
static uint64_t latest_ms(const struct realm *realm)
{
	uint64_t wheel_ms = realm->deadlines->tick * WHEEL_TICK_MS;

	return wheel_ms > realm->now_ms ? wheel_ms : realm->now_ms;
}

/*
 * Makes a call an orphan. False if the callee has no limit or is leaving. Also false if
 * the callee already has as many orphans as a session may have calls in flight: this
 * bounds the memory for orphans.
 */
static bool add_orphan(struct realm *realm, struct call *c)
{
	struct session *callee = c->by_callee.owner;

	if (c->slot == NULL || callee->state != SESSION_OPEN ||
	    callee->n_orphans >= realm->limits.calls)
		return false;
	c->state = CALL_ORPHAN;
	callee->n_orphans++;
	realm->dealer.n_orphans++;
	set_deadline(realm, c, latest_ms(realm) + ORPHAN_MAX_MS);
	return true;
}

/*
 * Ends a call; no other function does. Sends answer to the caller, unless answer is NULL
 * because the caller has left. Then forgets the call, or makes it an orphan if the callee
 * has a limit and is still working. Takes the references of the answer.
 */
static void finish_call(struct realm *realm, struct call *c, struct post *answer)
{
	struct session *caller = c->by_caller.owner;

	if (answer != NULL) {
		answer->request = c->by_caller.id;
		session_post(realm, caller, answer);
	}
	/* does nothing if no deadline is set */
	wheel_cancel(realm->deadlines, &c->deadline.node);
	id_table_remove(&realm->dealer.requests, &c->by_caller);
	LIST_REMOVE(c, of_caller);
	caller->n_calls--;
	if (LIKELY(c->state == CALL_ACTIVE || c->state == CALL_KILLING)) {
		if (UNLIKELY(c->works_on) && add_orphan(realm, c))
			return;
		leave_callee(realm, c);
	} else if (c->state == CALL_WALKS) {
		meta_walk_end(&realm->meta, c->walk);
	} else if (c->invocation != NULL) {
		drop_queued(realm, c);
	}
	give_back_call(&realm->dealer, c);
}

/* The call that a caller has made with this request id. NULL if it has none. */
static struct call *find_own_call(const struct realm *realm, const struct session *caller,
				  uint64_t request)
{
	struct id_node *node = id_table_find(&realm->dealer.requests, caller, request);

	return node == NULL ? NULL : container_of(node, struct call, by_caller);
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
		end_orphan(realm, c);
	realm->counters.unknown_answers++;
	return NULL;
}

/* Ends a call with an ERROR. */
static NOINLINE void fail_call(struct realm *realm, struct call *c,
			       struct post_error error, struct payload *payload)
{
	struct post answer = {
		.type = POST_ERROR,
		.request_type = WAMP_CALL,
		.payload = payload,
		.error = error,
	};

	realm->counters.errors++;
	finish_call(realm, c, &answer);
}

/*
 * Sends INTERRUPT to the callee of a call. Returns false if the call has no callee, if
 * the callee has not announced call canceling or already got an INTERRUPT for this call,
 * or if memory ran out.
 */
static bool interrupt_callee(struct realm *realm, const struct call *c,
			     enum wamp_cancel_mode mode)
{
	const struct session *callee = c->by_callee.owner;
	struct post interrupt = {
		.type = POST_INTERRUPT,
		.request = c->by_callee.id,
		.mode = (uint8_t)mode,
	};

	if (c->state != CALL_ACTIVE || (callee->identity->features.of[WAMP_ROLE_CALLEE] &
					WAMP_FEATURE_CALL_CANCELING) == 0)
		return false;
	return session_try_post(realm, callee, &interrupt);
}

/*
 * Tells the callee to stop, because nobody waits for its answer any more. If that is not
 * possible, the callee keeps working, and its answer will be dropped.
 */
static void stop_callee(struct realm *realm, struct call *c)
{
	c->works_on = c->state == CALL_ACTIVE &&
		      !interrupt_callee(realm, c, WAMP_MODE_KILLNOWAIT);
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
		end_orphan(realm, c);
		return;
	}
	if (c->timeout_ms == 0) {
		fail_call(realm, c, not_stopped, NULL);
		return;
	}
	realm->counters.timeouts++;
	stop_callee(realm, c);
	fail_call(realm, c, timed_out, NULL);
}

struct call *dealer_add_walk(struct realm *realm, struct session *s, const struct post *p,
			     struct meta_walk *walk)
{
	struct call *c = add_call(realm, s, p);

	if (c == NULL)
		return NULL;
	c->state = CALL_WALKS;
	c->walk = walk;
	return c;
}

void dealer_answer(struct realm *realm, struct call *c, struct post *answer)
{
	finish_call(realm, c, answer);
}

static NOINLINE void refuse_duplicate(struct realm *realm, struct session *s)
{
	struct post violation = {
		.type = POST_VIOLATION,
		.error.text = "CALL.Request: expected a new id, because a call with this "
			      "id is in flight",
	};

	session_post(realm, s, &violation);
}

bool dealer_refuse_duplicate(struct realm *realm, struct session *s, uint64_t request)
{
	if (LIKELY(find_own_call(realm, s, request) == NULL))
		return false;
	refuse_duplicate(realm, s);
	return true;
}

/* Ends a call that its callee cannot get. Drops the references of the INVOCATION. */
static NOINLINE void refuse_start(struct realm *realm, struct call *c,
				  struct post_error error, struct post *invocation)
{
	if (c->slot != NULL)
		registration_give_back(realm, c->slot);
	post_drop(invocation);
	fail_call(realm, c, error, NULL);
}

/* Sends a call to its callee. Takes the references of the INVOCATION. */
static void start_call(struct realm *realm, struct call *c, struct callee *callee,
		       struct post *invocation)
{
	static const struct post_error undisclosed = {
		WAMP_ERROR_DISCLOSE_ME, "the callee must know its callers, but this "
					"role may not disclose its identity"};
	const struct session *caller = c->by_caller.owner;
	struct session *s = callee->node.owner;

	c->slot = callee->limit > 0 ? callee : NULL;
	if (UNLIKELY(invocation->options != NULL) &&
	    !options_understood(invocation->options,
				s->identity->features.of[WAMP_ROLE_CALLEE])) {
		refuse_start(realm, c, not_understood_by_callee, invocation);
		return;
	}
	if (UNLIKELY(callee->discloses)) {
		if (c->disclose == DISCLOSE_NEVER) {
			refuse_start(realm, c, undisclosed, invocation);
			return;
		}
		if (invocation->disclosed == NULL)
			invocation->disclosed = identity_ref(caller->identity);
	}
	/* Specification, "Identifiers": request ids count from 1 to 2^53, then from 1
	 * again. */
	uint64_t id = s->last_invocation % WAMP_MAX_ID + 1;
	s->last_invocation = id;
	c->by_callee.owner = s;
	c->by_callee.id = id;
	c->state = CALL_ACTIVE;
	id_table_add(&realm->dealer.calls, &c->by_callee);
	LIST_INSERT_HEAD(&s->invocations, c, of_callee);
	invocation->request = id;
	/* Not session_post: if memory runs out, the caller gets an ERROR, and the callee,
	 * which does not know of this call, stays. */
	if (session_try_post(realm, s, invocation))
		return;
	post_drop(invocation);
	/* The next INVOCATION uses this id again, so that the callee sees no gap. */
	s->last_invocation--;
	fail_call(realm, c, no_memory, NULL);
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
		fail_call(realm, c, no_memory, NULL);
		post_drop(invocation);
		return;
	}
	if (c->invocation == NULL) {
		realm->counters.no_available_callee++;
		fail_call(realm, c, busy, invocation->payload);
		invocation->payload = NULL;
		post_drop(invocation);
		return;
	}
	*c->invocation = *invocation;
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
	struct call *c = add_call(realm, s, p);
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
	};
	p->payload = NULL;
	p->options = NULL;
	if (UNLIKELY(p->disclose == DISCLOSE_YES))
		invocation.disclosed = identity_ref(s->identity);
	/* New calls go behind those that wait, even if a callee is free. */
	struct callee *callee = reg->n_queued == 0 ? registration_take(realm, reg) : NULL;
	if (LIKELY(callee != NULL))
		start_call(realm, c, callee, &invocation);
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
			fail_call(realm, c, gone, NULL);
		} else if (c != NULL &&
			   (callee = registration_take(realm, reg)) != NULL) {
			struct post invocation = leave_queue(realm, c);
			/* a takeover may have changed it */
			invocation.id = reg->pattern.by_id.id;
			start_call(realm, c, callee, &invocation);
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
	struct call *c = find_own_call(realm, s, p->request);

	/* normal: the answer was sent before the CANCEL arrived */
	if (c == NULL)
		return;
	realm->counters.cancels += c->state != CALL_KILLING;
	if (p->mode == WAMP_MODE_KILL) {
		if (c->state == CALL_KILLING)
			return;
		if (interrupt_callee(realm, c, WAMP_MODE_KILL)) {
			c->state = CALL_KILLING;
			if (c->timeout_ms == 0)
				set_deadline(realm, c, p->time_ms + KILL_MAX_MS);
			return;
		}
	}
	if (p->mode == WAMP_MODE_KILLNOWAIT)
		stop_callee(realm, c);
	else
		c->works_on = c->state == CALL_ACTIVE;
	fail_call(realm, c, canceled, NULL);
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
		stop_callee(realm, c);
	fail_call(realm, c, not_understood_by_caller, NULL);
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
	realm->counters.progressive_results++;
	session_post(realm, c->by_caller.owner, &result);
	/* The timeout begins anew with each result (specification: "Call Timeouts"). */
	if (c->timeout_ms != 0)
		set_deadline(realm, c, p->time_ms + c->timeout_ms);
}

void dealer_yield(struct realm *realm, struct session *s, struct post *p)
{
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
	finish_call(realm, c, &result);
}

void dealer_fail(struct realm *realm, struct session *s, struct post *p)
{
	bool at_caller = p->request_type == WAMP_CALL;
	struct call *c =
		at_caller ? find_own_call(realm, s, p->request) : find_call(realm, s, p);

	/* The progressive result may belong to an earlier call with the same id. */
	if (c == NULL || (p->progress && !takes_progress(c)) || c->state == CALL_WALKS)
		return;
	if (UNLIKELY(p->options != NULL) && refuse_answer(realm, c, p))
		return;
	/* After a progressive result the callee is still working. */
	if (at_caller || p->progress)
		stop_callee(realm, c);
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
	finish_call(realm, c, &answer);
}

void dealer_forget_calls(struct realm *realm, struct session *s)
{
	struct call *c;

	while ((c = LIST_FIRST(&s->calls)) != NULL)
		finish_call(realm, c, NULL);
}

unsigned dealer_abandon_calls(struct realm *realm, struct session *s, unsigned n)
{
	struct call *c;

	for (; n > 0 && (c = LIST_FIRST(&s->calls)) != NULL; n--) {
		stop_callee(realm, c);
		finish_call(realm, c, NULL);
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
			end_orphan(realm, c);
		else
			fail_call(realm, c, callee_left, NULL);
	}
	return n;
}
