/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations and their callees; the owner's thread. See registration.h. */
#include "routerd/core/registration.h"

#include "routerd/core/realm_int.h"

#include <stdlib.h>

/*
 * Callees that one slice of a takeover takes off. Takes 0.1 ms, and 0.5 ms if somebody
 * listens to all meta events.
 */
enum { TAKE_OFF_SLICE = 256 };

/* A registration that is being taken over; see registration_work. */
struct takeover {
	struct post post;      /* the REGISTER; its references are owned */
	struct callee *callee; /* will be the new one; owned */
};

struct callee *registration_callee(const struct dealer *d, const struct session *s,
				   uint64_t registration)
{
	struct id_node *node = id_table_find(&d->callees, s, registration);

	return node == NULL ? NULL : container_of(node, struct callee, node);
}

/* --- the callees that may get a call --- */

/* How many free callees have a lower number. */
static uint32_t place_of(const struct registration *reg, uint64_t number)
{
	uint32_t low = 0, high = reg->n_free;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (reg->free[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_free(struct callee *callee)
{
	struct registration *reg = callee->registration;
	uint32_t i = place_of(reg, callee->number);

	memmove(&reg->free[i + 1], &reg->free[i],
		(reg->n_free - i) * sizeof(struct callee *));
	reg->free[i] = callee;
	reg->n_free++;
	reg->n_passed += callee->number <= reg->last_passed;
	callee->is_free = true;
}

static void remove_free(struct callee *callee)
{
	struct registration *reg = callee->registration;
	uint32_t i = place_of(reg, callee->number);

	reg->n_free--;
	memmove(&reg->free[i], &reg->free[i + 1],
		(reg->n_free - i) * sizeof(struct callee *));
	reg->n_passed -= callee->number <= reg->last_passed;
	callee->is_free = false;
}

/* A random number below n. It need not be unpredictable. */
static uint32_t random_below(struct dealer *d, uint32_t n)
{
	d->random = d->random * UINT64_C(6364136223846793005) + 1;
	return (uint32_t)((d->random >> 32) * n >> 32);
}

/* The place of the free callee that the policy looks at first. There must be one. */
static uint32_t first_choice(struct dealer *d, const struct registration *reg)
{
	if (reg->invoke == WAMP_INVOKE_LAST)
		return reg->n_free - 1;
	if (reg->invoke == WAMP_INVOKE_RANDOM)
		return random_below(d, reg->n_free);
	if (reg->invoke == WAMP_INVOKE_ROUNDROBIN)
		return reg->n_passed < reg->n_free ? reg->n_passed : 0; /* next round */
	/* single and first */
	return 0;
}

/* The free callee at place i, which has its turn now. */
static struct callee *choose(struct registration *reg, uint32_t i)
{
	struct callee *callee = reg->free[i];

	if (reg->invoke == WAMP_INVOKE_ROUNDROBIN) {
		reg->n_passed = i + 1;
		reg->last_passed = callee->number;
	}
	return callee;
}

/* Counts a call towards the limit of its callee. */
static struct callee *occupy(struct callee *callee)
{
	if (callee->limit > 0 && ++callee->active == callee->limit)
		remove_free(callee);
	return callee;
}

struct callee *registration_take(struct realm *realm, struct registration *reg)
{
	struct callee *callee = NULL;

	while (callee == NULL && reg->n_free > 0) {
		callee = choose(reg, first_choice(&realm->dealer, reg));
		const struct session *s = callee->node.owner;
		if (UNLIKELY(s->state != SESSION_OPEN)) {
			/* its registrations end soon */
			remove_free(callee);
			callee = NULL;
		}
	}
	return callee == NULL ? NULL : occupy(callee);
}

/*
 * True if the callee was not asked yet, or, if n_tried is 0, takes progressive input.
 */
static bool suits(const struct callee *callee, const uint64_t *tried, unsigned n_tried)
{
	const struct session *s = callee->node.owner;

	if (s->state != SESSION_OPEN || (n_tried == 0 && !callee->takes_input))
		return false;
	for (unsigned i = 0; i < n_tried; i++)
		if (tried[i] == callee->number)
			return false;
	return true;
}

/* Takes the first free callee that suits, beginning with that at i. */
static struct callee *take_suitable(struct registration *reg, uint32_t i,
				    const uint64_t *tried, unsigned n_tried)
{
	uint32_t n = reg->n_free;
	uint32_t step = reg->invoke == WAMP_INVOKE_LAST ? n - 1 : 1;

	for (uint32_t left = n; left > 0; i = (i + step) % n, left--)
		if (suits(reg->free[i], tried, n_tried))
			return occupy(choose(reg, i));
	return NULL;
}

struct callee *registration_take_for_input(struct realm *realm, struct registration *reg)
{
	if (reg->n_free == 0 || reg->n_take_input == 0)
		return NULL;
	return take_suitable(reg, first_choice(&realm->dealer, reg), NULL, 0);
}

/*
 * With the policy `first`, the next callee is the one that registered after the callee
 * that was asked last; with `last`, the one that registered before it.
 */
struct callee *registration_take_next(struct realm *realm, struct registration *reg,
				      const uint64_t *tried, unsigned n_tried)
{
	uint64_t asked = tried[n_tried - 1];
	uint32_t n = reg->n_free, i;

	if (n == 0)
		return NULL;
	if (reg->invoke == WAMP_INVOKE_FIRST)
		i = place_of(reg, asked + 1) % n;
	else if (reg->invoke == WAMP_INVOKE_LAST)
		i = (place_of(reg, asked) + n - 1) % n;
	else
		i = first_choice(&realm->dealer, reg);
	return take_suitable(reg, i, tried, n_tried);
}

/* Makes dealer_work look at the queue, after the current post was handled. */
static void wake_queue(struct realm *realm, struct registration *reg)
{
	if (reg->n_queued == 0 || reg->awake)
		return;
	reg->awake = true;
	TAILQ_INSERT_TAIL(&realm->dealer.awake, reg, link);
}

void registration_give_back(struct realm *realm, struct callee *callee)
{
	struct registration *reg = callee->registration;

	callee->active--;
	if (reg == NULL) {
		if (callee->active == 0)
			free(callee);
	} else if (!callee->is_free) {
		add_free(callee);
		wake_queue(realm, reg);
	}
}

/* --- registrations begin and end --- */

static void free_registration(struct realm *realm, struct registration *reg)
{
	if (reg->awake)
		TAILQ_REMOVE(&realm->dealer.awake, reg, link);
	free(reg->free);
	free(reg);
}

void registration_dequeued(struct realm *realm, struct registration *reg)
{
	if (reg->n_callees == 0 && reg->n_queued == 0)
		free_registration(realm, reg);
}

static struct registration *new_registration(struct realm *realm, const struct post *p)
{
	enum { CAPACITY = 1 }; /* nearly all procedures have one callee */
	struct slice procedure = payload_uri(p->payload);
	struct registration *reg = calloc(1, sizeof(*reg) + procedure.len);

	if (reg == NULL)
		return NULL;
	uint8_t *pos = (uint8_t *)(reg + 1);
	reg->pattern = (struct pattern){
		.by_id.id = realm_new_id(realm),
		.uri = slice_store(&pos, procedure),
		.match = p->match,
		.created_ms = p->created_ms,
	};
	reg->invoke = p->invoke;
	reg->capacity = CAPACITY;
	reg->free = malloc(CAPACITY * sizeof(struct callee *));
	TAILQ_INIT(&reg->callees);
	TAILQ_INIT(&reg->queue);
	if (reg->free == NULL ||
	    pattern_add(&realm->dealer.procedures, &reg->pattern) != 0) {
		free_registration(realm, reg);
		return NULL;
	}
	return reg;
}

/* Makes room in reg->free for one more callee. False if out of memory. */
static bool grow_free(struct registration *reg)
{
	struct callee **more;

	if (reg->n_callees < reg->capacity)
		return true;
	more = realloc(reg->free, 2 * reg->capacity * sizeof(struct callee *));
	if (more == NULL)
		return false;
	reg->free = more;
	reg->capacity *= 2;
	return true;
}

/* Adds a callee to a registration that has room for it. */
static void enter_callee(struct realm *realm, struct session *s, struct registration *reg,
			 struct callee *callee, const struct post *p)
{
	callee->node.owner = s;
	callee->node.id = reg->pattern.by_id.id;
	callee->registration = reg;
	callee->number = ++reg->last_number;
	callee->limit = p->concurrency;
	callee->discloses = p->disclose == DISCLOSE_YES;
	callee->takes_input = session_takes_input(s);
	callee->reroutes = (s->identity->features.of[WAMP_ROLE_CALLEE] &
			    WAMP_FEATURE_CALL_REROUTE) != 0;
	id_table_add(&realm->dealer.callees, &callee->node);
	LIST_INSERT_HEAD(&s->registrations, callee, of_session);
	TAILQ_INSERT_TAIL(&reg->callees, callee, of_registration);
	s->n_registrations++;
	s->n_wildcards += p->match == MATCH_WILDCARD;
	reg->n_callees++;
	reg->n_take_input += callee->takes_input;
	add_free(callee);
}

/*
 * Makes the session a callee. Makes the registration first if reg is NULL. Returns the
 * registration, or NULL if out of memory.
 */
static struct registration *add_callee(struct realm *realm, struct session *s,
				       struct registration *reg, const struct post *p)
{
	struct callee *callee = calloc(1, sizeof(*callee));

	if (callee == NULL)
		return NULL;
	if (reg == NULL)
		reg = new_registration(realm, p);
	else if (!grow_free(reg))
		reg = NULL;
	if (reg == NULL) {
		free(callee);
		return NULL;
	}
	enter_callee(realm, s, reg, callee, p);
	return reg;
}

/*
 * Refuses a REGISTER, and returns true, if the session would exceed a limit. `own` is 1
 * if the session now has the registration that it takes over, else 0.
 */
static bool refuse_at_limit(struct realm *realm, struct session *s, const struct post *p,
			    unsigned own)
{
	if (s->n_registrations - own >= realm->limits.registrations) {
		session_limit_error(realm, s, WAMP_REGISTER, p->request,
				    "the session has too many registrations");
		return true;
	}
	return own == 0 && session_refuse_wildcard(realm, s, WAMP_REGISTER, p);
}

/* Answers a REGISTER that has made the session a callee. */
static void answer_register(struct realm *realm, struct session *s,
			    struct registration *reg, uint64_t request)
{
	session_answer(realm, s, POST_REGISTERED, request, reg->pattern.by_id.id);
	if (reg->n_callees == 1)
		broker_pattern_event(realm, META_REGISTRATION_ON_CREATE, s, &reg->pattern,
				     wamp_invoke_names[reg->invoke]);
	broker_pattern_event(realm, META_REGISTRATION_ON_REGISTER, s, &reg->pattern,
			     NULL);
	wake_queue(realm, reg);
}

/*
 * Ends a takeover, because the registration has no callees left. True if the session that
 * has taken it over is the new callee. False if that session has left, has reached a
 * limit, or may not register the procedure any more.
 */
static NOINLINE bool end_takeover(struct realm *realm, struct registration *reg)
{
	struct takeover *t = reg->takeover;
	struct session *s = session_find(realm, t->post.session);
	bool done = s != NULL && !session_refuse_denied(realm, s, &t->post) &&
		    !refuse_at_limit(realm, s, &t->post, 0);

	reg->takeover = NULL;
	TAILQ_REMOVE(&realm->dealer.takeovers, reg, of_takeovers);
	if (done) {
		pattern_renew(&realm->dealer.procedures, &reg->pattern,
			      realm_new_id(realm), t->post.created_ms);
		reg->invoke = t->post.invoke;
		enter_callee(realm, s, reg, t->callee, &t->post);
		answer_register(realm, s, reg, t->post.request);
	} else {
		free(t->callee);
	}
	post_drop(&t->post);
	free(t);
	return done;
}

/*
 * Ends a callee. If it was the last one, also ends the registration, unless a session
 * that has taken it over is the new callee. Publishes the meta events. Returns the
 * registration, or NULL if it has ended.
 */
static struct registration *drop_callee(struct realm *realm, struct session *s,
					struct callee *callee)
{
	struct registration *reg = callee->registration;

	broker_pattern_event(realm, META_REGISTRATION_ON_UNREGISTER, s, &reg->pattern,
			     NULL);
	if (callee->is_free)
		remove_free(callee);
	meta_step_over(&realm->meta, callee, TAILQ_NEXT(callee, of_registration));
	if (UNLIKELY(realm->rights_walk.callee == callee))
		realm->rights_walk.callee = LIST_NEXT(callee, of_session);
	TAILQ_REMOVE(&reg->callees, callee, of_registration);
	LIST_REMOVE(callee, of_session);
	id_table_remove(&realm->dealer.callees, &callee->node);
	s->n_registrations--;
	s->n_wildcards -= reg->pattern.match == MATCH_WILDCARD;
	reg->n_callees--;
	reg->n_take_input -= callee->takes_input;
	/* Calls that count towards its limit still point to it; the last one frees it. */
	callee->registration = NULL;
	if (callee->active == 0)
		free(callee);
	if (reg->n_callees > 0)
		return reg;
	broker_pattern_event(realm, META_REGISTRATION_ON_DELETE, s, &reg->pattern, NULL);
	meta_step_over(&realm->meta, &reg->pattern, TAILQ_NEXT(&reg->pattern, link));
	if (UNLIKELY(reg->takeover != NULL) && end_takeover(realm, reg))
		return reg;
	pattern_remove(&realm->dealer.procedures, &reg->pattern);
	wake_queue(realm, reg);
	registration_dequeued(realm, reg);
	return NULL;
}

/* Why the session may not become a callee of the registration. NULL if it may. */
static const char *why_not(const struct dealer *d, const struct session *s,
			   const struct registration *reg, uint8_t invoke)
{
	if (reg->invoke != invoke)
		return "Options.invoke differs from that of the callees already "
		       "registered for procedure";
	if (invoke == WAMP_INVOKE_SINGLE)
		return "a callee is already registered for procedure";
	if (registration_callee(d, s, reg->pattern.by_id.id) != NULL)
		return "the session is already registered for procedure";
	return NULL;
}

/*
 * Returns the registration of a pattern, or NULL if p is NULL. Callees whose sessions
 * have left are still in the list until leave_work ends them. Ends those at the head of
 * the list now. If all have left, the registration ends, and the result is NULL.
 */
static struct registration *end_callees_that_left(struct realm *realm, struct pattern *p)
{
	struct registration *reg = registration_of(p);

	while (reg != NULL) {
		struct callee *first = TAILQ_FIRST(&reg->callees);
		struct session *s = first->node.owner;
		if (LIKELY(s->state != SESSION_LEAVING))
			break;
		reg = drop_callee(realm, s, first);
	}
	return reg;
}

struct registration *registration_find(struct realm *realm, struct slice procedure)
{
	struct pattern *p;

	while ((p = pattern_best(&realm->dealer.procedures, procedure)) != NULL) {
		if (UNLIKELY(p->match != MATCH_EXACT && uri_reserved(procedure)))
			return NULL;
		struct registration *reg = end_callees_that_left(realm, p);
		if (reg != NULL)
			return reg;
	}
	return NULL;
}

/* --- callees that are taken off --- */

/*
 * Tells a callee that it is taken off. False if it has not announced that it understands
 * this, or if memory ran out: then it learns it only when it unregisters.
 */
static bool tell_callee(struct realm *realm, const struct callee *callee,
			const char *reason, struct payload *payload)
{
	const struct session *s = callee->node.owner;
	struct post revoked = {
		.type = POST_UNREGISTERED,
		.id = callee->node.id,
		.payload = payload,
		.error.uri = reason,
	};

	if ((s->identity->features.of[WAMP_ROLE_CALLEE] &
	     WAMP_FEATURE_REGISTRATION_REVOCATION) == 0)
		return false;
	if (payload != NULL)
		payload_ref(payload);
	bool told = session_try_post(realm, s, &revoked);
	if (!told)
		post_drop(&revoked);
	return told;
}

/*
 * Ends a callee against its will. The calls that it works on go on. Returns what
 * drop_callee returns.
 */
static struct registration *take_off(struct realm *realm, struct callee *callee,
				     const char *reason, struct payload *payload)
{
	realm->counters.revoked_callees++;
	(void)tell_callee(realm, callee, reason, payload);
	return drop_callee(realm, callee->node.owner, callee);
}

/* Does one slice of a takeover. Begins with the last callee, because that is cheap. */
static void take_off_some(struct realm *realm, struct registration *reg)
{
	for (unsigned n = TAKE_OFF_SLICE; n > 0 && reg != NULL && reg->takeover != NULL;
	     n--)
		reg = take_off(realm, TAILQ_LAST(&reg->callees, callee_list),
			       WAMP_ERROR_UNREGISTERED, NULL);
}

void registration_revoke(struct realm *realm, struct callee *callee, const char *reason,
			 struct payload *payload)
{
	(void)take_off(realm, callee, reason, payload);
}

void registration_work(struct realm *realm)
{
	struct registration *reg = TAILQ_FIRST(&realm->dealer.takeovers);

	if (reg != NULL)
		take_off_some(realm, reg);
}

/* Handles a REGISTER with force_reregister if the procedure already has callees. */
static NOINLINE void take_over(struct realm *realm, struct session *s,
			       struct registration *reg, struct post *p)
{
	struct dealer *d = &realm->dealer;
	struct takeover *t;

	if (refuse_at_limit(realm, s, p,
			    registration_callee(d, s, reg->pattern.by_id.id) != NULL))
		return;
	/* Allocate everything first: a takeover cannot be undone halfway. */
	t = malloc(sizeof(*t));
	if (t != NULL)
		t->callee = calloc(1, sizeof(*t->callee));
	if (t == NULL || t->callee == NULL) {
		free(t);
		session_error(realm, s, WAMP_REGISTER, p->request, no_memory, NULL);
		return;
	}
	t->post = *p;
	p->payload = NULL;
	reg->takeover = t;
	TAILQ_INSERT_TAIL(&d->takeovers, reg, of_takeovers);
	realm->counters.takeovers++;
	take_off_some(realm, reg);
}

/* --- the posts --- */

void registration_register(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error busy = {
		WAMP_ERROR_UNAVAILABLE, "another session is taking over procedure"};
	struct dealer *d = &realm->dealer;
	if (session_refuse_denied(realm, s, p))
		return;
	struct registration *reg = end_callees_that_left(
		realm, pattern_find(&d->procedures, p->match, payload_uri(p->payload)));
	const char *text = reg == NULL ? NULL : why_not(d, s, reg, p->invoke);

	if (UNLIKELY(reg != NULL && reg->takeover != NULL)) {
		session_error(realm, s, WAMP_REGISTER, p->request, busy, p->payload);
		p->payload = NULL;
	} else if (UNLIKELY(reg != NULL && p->force)) {
		take_over(realm, s, reg, p);
	} else if (text != NULL) {
		session_error(
			realm, s, WAMP_REGISTER, p->request,
			(struct post_error){WAMP_ERROR_PROCEDURE_ALREADY_EXISTS, text},
			p->payload);
		p->payload = NULL;
	} else if (refuse_at_limit(realm, s, p, 0)) {
		return;
	} else if ((reg = add_callee(realm, s, reg, p)) == NULL) {
		session_error(realm, s, WAMP_REGISTER, p->request, no_memory, NULL);
	} else {
		answer_register(realm, s, reg, p->request);
	}
}

void registration_unregister(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error no_such = {
		WAMP_ERROR_NO_SUCH_REGISTRATION,
		"the session has no registration with this id"};
	struct callee *callee = registration_callee(&realm->dealer, s, p->id);

	if (callee == NULL) {
		session_error(realm, s, WAMP_UNREGISTER, p->request, no_such, NULL);
		return;
	}
	session_answer(realm, s, POST_UNREGISTERED, p->request, 0);
	drop_callee(realm, s, callee);
}

unsigned registration_drop_some(struct realm *realm, struct session *s, unsigned n)
{
	struct callee *callee;

	for (; n > 0 && (callee = LIST_FIRST(&s->registrations)) != NULL; n--)
		drop_callee(realm, s, callee);
	return n;
}
