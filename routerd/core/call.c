/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all calls need: their structs, how they begin at a callee and end, and what is
 * kept of them for later; the owner's thread. See call.h.
 */
#include "routerd/core/call.h"

#include "routerd/core/registration.h"

#include <stdlib.h>

enum {
	FREE_CALLS_MAX = 1024, /* freed calls that a realm keeps for reuse */
	/* How long an orphan (CALL_ORPHAN) counts towards its callee's limit. */
	ORPHAN_MAX_MS = 60000,
	KEPT_BYTES_MAX = 64 << 20, /* that a realm keeps for other callees */
};

static const struct post_error not_understood_by_callee = {
	WAMP_ERROR_FEATURE_NOT_SUPPORTED,
	"the callee has not announced payload_passthru_mode "
	"(ppt_scheme) or payload_transparency (enc_algo)"};

/* --- what is kept of a call --- */

struct post call_copy_invocation(const struct post *from, struct payload *payload)
{
	struct post invocation = *from;

	invocation.payload = payload;
	if (from->disclosed != NULL)
		invocation.disclosed = identity_ref(from->disclosed);
	if (from->options != NULL)
		invocation.options = options_ref(from->options);
	return invocation;
}

void call_drop_kept(struct realm *realm, struct call *c)
{
	if (!call_input_open(c)) {
		struct rerouted *r =
			container_of(c->invocation, struct rerouted, invocation);
		realm->dealer.kept_bytes -= r->size;
	}
	post_drop(c->invocation);
	free(c->invocation);
	c->invocation = NULL;
}

/* NULL if it must not be kept, or memory ran out. */
static struct rerouted *new_rerouted(struct realm *realm, const struct callee *callee,
				     const struct post *invocation)
{
	bool shared = callee->registration->invoke != WAMP_INVOKE_SINGLE;
	size_t size = sizeof(struct rerouted) + (shared ? post_size(invocation) : 0);
	struct rerouted *r;

	if (realm->dealer.kept_bytes + size > KEPT_BYTES_MAX) {
		realm->counters.reroutes_full++;
		return NULL;
	}
	r = malloc(sizeof(*r));
	if (r == NULL)
		return NULL;
	r->invocation = (struct post){.type = POST_INVOCATION, .id = invocation->id};
	if (shared) {
		payload_ref(invocation->payload);
		r->invocation = call_copy_invocation(invocation, invocation->payload);
	}
	r->size = size;
	r->n_tried = 0;
	realm->dealer.kept_bytes += size;
	return r;
}

/*
 * Called before a call starts at a callee. If the callee may answer that it is
 * unavailable, keeps what another callee needs, and remembers that this one was asked.
 * Keeps nothing if memory runs out or too much is kept already: then such an answer goes
 * to the caller.
 */
static NOINLINE void keep_for_others(struct realm *realm, struct call *c,
				     const struct callee *callee,
				     const struct post *invocation)
{
	struct rerouted *r;

	if (invocation->chunk != CHUNK_NONE)
		return;
	if (!callee->reroutes) {
		call_drop_kept(realm, c);
		return;
	}
	if (c->invocation == NULL) {
		r = new_rerouted(realm, callee, invocation);
		if (r == NULL)
			return;
		c->invocation = &r->invocation;
	} else {
		r = container_of(c->invocation, struct rerouted, invocation);
	}
	r->tried[r->n_tried++] = callee->number;
}

/* --- the life of a call --- */

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

void call_set_deadline(struct realm *realm, struct call *c, uint64_t due_ms)
{
	c->deadline.realm = realm;
	wheel_set(realm->deadlines, &c->deadline.node, due_ms);
}

/* time_ms is when the CALL was read, so time spent in queues counts. */
static void begin_timeout(struct realm *realm, struct call *c, const struct post *p)
{
	c->timeout_ms = p->timeout_ms;
	if (c->timeout_ms != 0)
		call_set_deadline(realm, c, p->time_ms + c->timeout_ms);
}

struct call *call_add(struct realm *realm, struct session *caller, const struct post *p)
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
	c->state = CALL_STARTING;
	c->works_on = false;
	c->progress = p->progress;
	c->disclose = p->disclose;
	id_table_add(&realm->dealer.requests, &c->by_caller);
	LIST_INSERT_HEAD(&caller->calls, c, of_caller);
	caller->n_calls++;
	return c;
}

struct post call_leave_queue(struct realm *realm, struct call *c)
{
	struct registration *reg = c->registration;
	struct post invocation = *c->invocation;

	free(c->invocation);
	c->invocation = NULL;
	c->state = CALL_STARTING;
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
	struct post invocation = call_leave_queue(realm, c);

	post_drop(&invocation);
}

void call_leave_callee(struct realm *realm, struct call *c)
{
	id_table_remove(&realm->dealer.calls, &c->by_callee);
	LIST_REMOVE(c, of_callee);
	if (UNLIKELY(c->slot != NULL))
		registration_give_back(realm, c->slot);
}

void call_end_orphan(struct realm *realm, struct call *c)
{
	struct session *callee = c->by_callee.owner;

	wheel_cancel(realm->deadlines, &c->deadline.node);
	callee->n_orphans--;
	realm->dealer.n_orphans--;
	call_leave_callee(realm, c);
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
	call_set_deadline(realm, c, latest_ms(realm) + ORPHAN_MAX_MS);
	return true;
}

void call_finish(struct realm *realm, struct call *c, struct post *answer)
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
		if (UNLIKELY(c->invocation != NULL))
			call_drop_kept(realm, c);
		if (UNLIKELY(c->works_on) && add_orphan(realm, c))
			return;
		call_leave_callee(realm, c);
	} else if (c->state == CALL_WALKS) {
		meta_walk_end(&realm->meta, c->walk);
	} else if (c->state == CALL_QUEUED) {
		drop_queued(realm, c);
	} else if (c->invocation != NULL) {
		call_drop_kept(realm, c);
	}
	give_back_call(&realm->dealer, c);
}

struct call *call_find(const struct realm *realm, const struct session *caller,
		       uint64_t request)
{
	struct id_node *node = id_table_find(&realm->dealer.requests, caller, request);

	return node == NULL ? NULL : container_of(node, struct call, by_caller);
}

void NOINLINE call_fail(struct realm *realm, struct call *c, struct post_error error,
			struct payload *payload)
{
	struct post answer = {
		.type = POST_ERROR,
		.request_type = WAMP_CALL,
		.payload = payload,
		.error = error,
	};

	realm->counters.errors++;
	call_finish(realm, c, &answer);
}

bool call_interrupt(struct realm *realm, const struct call *c, enum wamp_cancel_mode mode)
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

void call_stop_callee(struct realm *realm, struct call *c)
{
	c->works_on = c->state == CALL_ACTIVE &&
		      !call_interrupt(realm, c, WAMP_MODE_KILLNOWAIT);
}

void NOINLINE call_refuse_duplicate(struct realm *realm, struct session *s)
{
	struct post violation = {
		.type = POST_VIOLATION,
		.error.text = "CALL.Request: expected a new id, because a call with this "
			      "id is in flight",
	};

	session_post(realm, s, &violation);
}

/* --- INVOCATIONs that were not sent --- */

/* ids ascend. The newest call is the first of its callee. */
static void renumber(struct realm *realm, struct session *s, const uint64_t *ids,
		     unsigned n)
{
	struct call *c;
	unsigned before = n;

	LIST_FOREACH (c, &s->invocations, of_callee) {
		if (c->by_callee.id < ids[0])
			break;
		id_table_remove(&realm->dealer.calls, &c->by_callee);
	}
	LIST_FOREACH (c, &s->invocations, of_callee) {
		while (before > 0 && c->by_callee.id < ids[before - 1])
			before--;
		if (before == 0)
			break;
		c->by_callee.id -= before;
		id_table_add(&realm->dealer.calls, &c->by_callee);
	}
	s->last_invocation -= n;
	session_answer(realm, s, POST_RENUMBERED, 0, n);
}

void NOINLINE call_renumber(struct realm *realm, struct session *s)
{
	struct unsent_calls *u = s->unsent;

	s->unsent = NULL;
	renumber(realm, s, u->ids, u->n);
	free(u);
}

void call_add_unsent(struct realm *realm, struct session *s, uint64_t id)
{
	struct unsent_calls *u = s->unsent;

	if (u == NULL)
		u = s->unsent = calloc(1, sizeof(*u));
	if (u == NULL) {
		renumber(realm, s, &id, 1);
		return;
	}
	u->ids[u->n++] = id;
	if (u->n == UNSENT_MAX)
		call_renumber(realm, s);
}

/* Ends a call that its callee cannot get. Drops the references of the INVOCATION. */
static NOINLINE void refuse_start(struct realm *realm, struct call *c,
				  struct post_error error, struct post *invocation)
{
	if (c->slot != NULL)
		registration_give_back(realm, c->slot);
	post_drop(invocation);
	call_fail(realm, c, error, NULL);
}

bool call_start(struct realm *realm, struct call *c, struct callee *callee,
		struct post *invocation)
{
	static const struct post_error undisclosed = {
		WAMP_ERROR_DISCLOSE_ME,
		"the callee must know its callers (disclose_caller), but a permission "
		"of the caller's role forbids it (disclose)"};
	const struct session *caller = c->by_caller.owner;
	struct session *s = callee->node.owner;

	c->slot = callee->limit > 0 ? callee : NULL;
	if (UNLIKELY(invocation->options != NULL) &&
	    !options_understood(invocation->options,
				s->identity->features.of[WAMP_ROLE_CALLEE])) {
		refuse_start(realm, c, not_understood_by_callee, invocation);
		return false;
	}
	if (UNLIKELY(callee->reroutes || c->invocation != NULL))
		keep_for_others(realm, c, callee, invocation);
	if (UNLIKELY(callee->discloses)) {
		if (c->disclose == DISCLOSE_NEVER) {
			refuse_start(realm, c, undisclosed, invocation);
			return false;
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
		return true;
	post_drop(invocation);
	/* The next INVOCATION uses this id again, so that the callee sees no gap. */
	s->last_invocation--;
	call_fail(realm, c, no_memory, NULL);
	return false;
}
