/* SPDX-License-Identifier: Apache-2.0 */
/* The model of a realm: procedures, their callees, and calls. See core_model.h. */
#ifndef TESTS_FUZZ_CORE_MODEL_CALLS_H
#define TESTS_FUZZ_CORE_MODEL_CALLS_H

#include "tests/fuzz/core_model.h"

/* How many flights fit: of a caller, a callee, or a procedure, if they are given. */
static unsigned flights(const struct model *m, int caller, int callee, uint64_t serial,
			bool queued, bool orphan)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->n_flights; i++) {
		const struct flight *f = &m->flights[i];
		n += f->queued == queued && f->orphan == orphan &&
		     (caller < 0 || f->caller == (unsigned)caller) &&
		     (callee < 0 || f->callee == (unsigned)callee) &&
		     (serial == 0 || f->serial == serial);
	}
	return n;
}

static bool has_slot(const struct model *m, const struct shared *r, const struct place *p)
{
	unsigned active = 0;

	for (size_t i = 0; i < m->n_flights; i++) {
		const struct flight *f = &m->flights[i];
		active += !f->queued && f->serial == r->serial && f->number == p->number;
	}
	return p->limit == 0 || active < p->limit;
}

static void wake(struct model *m, uint64_t serial)
{
	for (size_t i = 0; i < m->n_awake; i++)
		if (m->awake[i] == serial)
			return;
	if (flights(m, -1, -1, serial, true, false) > 0)
		m->awake[m->n_awake++] = serial;
}

static struct shared *find_shared(struct model *m, uint64_t serial)
{
	for (unsigned u = 0; u < URIS; u++)
		if (m->shared[u].serial == serial)
			return &m->shared[u];
	return NULL;
}

/* Is its callee at its limit? */
static bool fills_up(struct model *m, const struct flight *f)
{
	const struct shared *r = f->queued ? NULL : find_shared(m, f->serial);

	for (unsigned k = 0; r != NULL && k < r->n; k++)
		if (r->places[k].number == f->number)
			return !has_slot(m, r, &r->places[k]);
	return false;
}

static void drop_flight(struct model *m, size_t i)
{
	struct flight f = m->flights[i];
	bool was_full = fills_up(m, &f);

	m->n_flights--;
	memmove(&m->flights[i], &m->flights[i + 1],
		(m->n_flights - i) * sizeof(m->flights[0]));
	if (was_full)
		wake(m, f.serial);
}

static void drop_place(struct model *m, struct shared *r, unsigned k)
{
	uint64_t serial = r->serial;

	r->n--;
	memmove(&r->places[k], &r->places[k + 1], (r->n - k) * sizeof(r->places[0]));
	if (r->n > 0)
		return;
	*r = (struct shared){.n = 0};
	wake(m, serial);
}

static size_t find_flight(const struct model *m, unsigned callee, uint64_t invocation)
{
	size_t i = 0;

	while (i < m->n_flights &&
	       (m->flights[i].queued || m->flights[i].callee != callee ||
		m->flights[i].invocation != invocation))
		i++;
	return i;
}

static size_t find_own_flight(const struct model *m, unsigned caller, uint64_t request)
{
	size_t i = 0;

	while (i < m->n_flights &&
	       (m->flights[i].orphan || m->flights[i].caller != caller ||
		m->flights[i].request != request))
		i++;
	return i;
}

/* Which players have announced payload transparency as callees, and as callers. */
static bool reads_calls(const struct model *m, unsigned who)
{
	return m->players[who].authid == 0;
}

static bool reads_answers(unsigned who)
{
	return who % 2 == 0;
}

static bool says_unsupported(const struct post *p)
{
	return p->type == POST_ERROR && p->error.uri != NULL &&
	       strcmp(p->error.uri, WAMP_ERROR_FEATURE_NOT_SUPPORTED) == 0;
}

/* May this callee get the call? */
static bool place_suits(const struct model *m, const struct shared *r,
			const struct place *p, const struct flight *f)
{
	for (unsigned i = 0; i < f->n_tried; i++)
		if (f->tried[i] == p->number)
			return false;
	return has_slot(m, r, p) &&
	       (f->chunk == CHUNK_NONE || m->players[p->who].takes_input);
}

/* The model cannot predict a random callee: it looks where the INVOCATION went. If there
 * is none, the callee must know its callers, or cannot read the call. */
static bool was_chosen(const struct model *m, const struct place *p)
{
	const struct post *post = &outbox.posts[m->expected.n].post;

	if (post->type == POST_INVOCATION)
		return p->who == post->session.worker * SLOTS + post->session.slot;
	return says_unsupported(post) ? !reads_calls(m, p->who) : p->discloses;
}

/* The callee for a call. NULL: all are full, or do not suit. */
static const struct place *choose_place(const struct model *m, const struct shared *r,
					const struct flight *f)
{
	const struct place *first = NULL, *last = NULL, *next = NULL, *before = NULL;
	uint64_t asked = f->n_tried > 0 ? f->tried[f->n_tried - 1] : 0;
	uint64_t after = r->invoke == WAMP_INVOKE_ROUNDROBIN ? r->called : asked;

	for (unsigned k = 0; k < r->n; k++) {
		const struct place *p = &r->places[k];
		if (!place_suits(m, r, p, f))
			continue;
		last = p;
		if (p->number < asked)
			before = p;
		if (first == NULL)
			first = p;
		if (r->invoke == WAMP_INVOKE_RANDOM ? was_chosen(m, p)
						    : next == NULL && p->number > after)
			next = p;
	}
	if (r->invoke == WAMP_INVOKE_RANDOM)
		ASSERT(first == NULL || next != NULL);
	if (r->invoke == WAMP_INVOKE_LAST)
		return before == NULL ? last : before;
	return next == NULL ? first : next;
}

/* Remembers that this callee was asked, if it may pass the call on. */
static void keep_flight(const struct model *m, struct flight *f, const struct place *p)
{
	f->kept = f->chunk == CHUNK_NONE && m->players[p->who].reroutes;
	if (f->kept)
		f->tried[f->n_tried++] = p->number;
}

static void expect_invocation(struct model *m, const struct flight *f, uint8_t chunk,
			      struct payload *payload)
{
	expect(m, f->callee,
	       (struct post){.type = POST_INVOCATION,
			     .request = f->invocation,
			     .id = f->id,
			     .match = f->match,
			     .payload = payload,
			     .options = f->options,
			     .progress = f->progress,
			     .chunk = chunk,
			     .trust = f->trust,
			     .disclosed = f->disclosed ? f->identity : NULL});
}

/* Starts a call, or fails it. False: no callee suits. */
static bool start_flight(struct model *m, struct shared *r, size_t i)
{
	struct flight *f = &m->flights[i];
	const struct place *p = choose_place(m, r, f);

	if (p == NULL)
		return false;
	r->called = p->number;
	if (f->options != NULL && !reads_calls(m, p->who)) {
		expect_error(m, f->caller, WAMP_CALL, f->request,
			     WAMP_ERROR_FEATURE_NOT_SUPPORTED, NULL);
		drop_flight(m, i);
		return true;
	}
	if (p->discloses && f->disclose == DISCLOSE_NEVER) {
		expect_error(m, f->caller, WAMP_CALL, f->request, WAMP_ERROR_DISCLOSE_ME,
			     NULL);
		drop_flight(m, i);
		return true;
	}
	f->callee = p->who;
	f->number = p->number;
	f->limited = p->limit > 0;
	f->queued = false;
	f->invocation = ++m->players[p->who].last_invocation;
	f->started = ++m->started;
	f->id = r->id;
	f->era = r->era;
	f->open = f->chunk != CHUNK_NONE;
	f->disclosed = p->discloses || f->disclose == DISCLOSE_YES;
	keep_flight(m, f, p);
	expect_invocation(m, f, f->chunk, f->payload);
	return true;
}

/* What follows each post: calls leave queues. */
static void model_drain(struct model *m)
{
	while (m->n_awake > 0) {
		uint64_t serial = m->awake[0];
		struct shared *r = find_shared(m, serial);
		size_t i = 0;

		while (i < m->n_flights &&
		       !(m->flights[i].queued && m->flights[i].serial == serial))
			i++;
		struct flight *f = i == m->n_flights ? NULL : &m->flights[i];
		if (f != NULL && r == NULL) {
			expect_error(m, f->caller, WAMP_CALL, f->request,
				     WAMP_ERROR_NO_AVAILABLE_CALLEE, NULL);
			drop_flight(m, i);
		} else if (f == NULL || !start_flight(m, r, i)) {
			m->n_awake--;
			memmove(&m->awake[0], &m->awake[1],
				m->n_awake * sizeof(m->awake[0]));
		}
	}
}

static void set_deadline(struct model *m, struct flight *f, uint64_t due_ms)
{
	bool first = true;

	for (size_t i = 0; i < m->n_flights; i++)
		first &= &m->flights[i] == f || m->flights[i].tick == 0;
	f->tick = due_ms / WHEEL_TICK_MS + 1;
	f->set = ++m->set;
	if (first || f->tick < m->wheel_next)
		m->wheel_next = f->tick;
}

/* The caller has its answer. works_on: the callee was not told to stop. */
static void end_flight(struct model *m, size_t i, bool works_on)
{
	struct flight *f = &m->flights[i];
	uint64_t wheel_ms = m->wheel_tick * WHEEL_TICK_MS;

	if (!works_on || !f->limited || !m->players[f->callee].here ||
	    flights(m, -1, (int)f->callee, 0, false, true) >= limits.calls) {
		drop_flight(m, i);
		return;
	}
	f->orphan = true;
	f->kept = false;
	set_deadline(m, f, (wheel_ms > m->posted_ms ? wheel_ms : m->posted_ms) + 60000);
}

/* False: the callee cannot be told to stop, or was told before, or there is none. */
static bool expect_interrupt(struct model *m, const struct flight *f,
			     enum wamp_cancel_mode mode)
{
	if (f->killing || f->queued || !m->players[f->callee].here ||
	    !m->players[f->callee].stops)
		return false;
	expect(m, f->callee,
	       (struct post){.type = POST_INTERRUPT,
			     .request = f->invocation,
			     .mode = (uint8_t)mode});
	return true;
}

/* Tells the callee to stop. True: it works on. */
static bool stop_flight(struct model *m, const struct flight *f)
{
	bool told = expect_interrupt(m, f, WAMP_MODE_KILLNOWAIT);

	return !told && !f->queued && !f->killing;
}

/* Ends the registrations of a player: the last one first. */
static void drop_places(struct model *m, unsigned who)
{
	for (;;) {
		struct shared *of = NULL;
		unsigned which = 0;

		for (unsigned u = 0; u < URIS; u++) {
			struct shared *r = &m->shared[u];
			for (unsigned k = 0; k < r->n; k++) {
				if (r->places[k].who != who ||
				    (of != NULL &&
				     of->places[which].made > r->places[k].made))
					continue;
				of = r;
				which = k;
			}
		}
		if (of == NULL)
			return;
		drop_place(m, of, which);
	}
}

/* Ends the calls to a player: the one that was started last first. */
static void fail_flights(struct model *m, unsigned who)
{
	for (;;) {
		size_t last = m->n_flights;

		for (size_t i = 0; i < m->n_flights; i++) {
			const struct flight *f = &m->flights[i];
			if (!f->queued && f->callee == who &&
			    (last == m->n_flights ||
			     f->started > m->flights[last].started))
				last = i;
		}
		if (last == m->n_flights)
			return;
		if (!m->flights[last].orphan && m->players[m->flights[last].caller].here)
			expect_error(m, m->flights[last].caller, WAMP_CALL,
				     m->flights[last].request, WAMP_ERROR_CANCELED, NULL);
		drop_flight(m, last);
	}
}

/* Takes off all callees of a procedure, the last one first. The next one gets another id,
 * and the calls that wait. */
static void take_off_all(struct model *m, struct shared *r)
{
	while (r->n > 0) {
		unsigned who = r->places[--r->n].who;
		m->taken_off++;
		if (m->players[who].stops)
			expect(m, who,
			       (struct post){.type = POST_UNREGISTERED, .id = r->id});
	}
	r->id = 0;
	r->era++;
	m->takeovers++;
}

static void model_register(struct model *m, unsigned who, unsigned uri,
			   const struct post *p)
{
	struct shared *r = &m->shared[uri];
	bool force = r->n > 0 && p->force, own = force && has_place(m, who, uri);

	if (r->n > 0 && !force &&
	    (p->invoke == WAMP_INVOKE_SINGLE || p->invoke != r->invoke ||
	     has_place(m, who, uri))) {
		expect_error(m, who, WAMP_REGISTER, p->request,
			     WAMP_ERROR_PROCEDURE_ALREADY_EXISTS, p->payload);
		return;
	}
	if (registrations(m, (int)who) - own >= limits.registrations ||
	    (!own && model_full_of_wildcards(m, who, uri))) {
		expect_error(m, who, WAMP_REGISTER, p->request, WAMP_ERROR_UNAVAILABLE,
			     NULL);
		return;
	}
	if (force)
		take_off_all(m, r);
	else if (r->n == 0)
		r->serial = ++m->serials;
	r->invoke = p->invoke;
	r->places[r->n++] = (struct place){.who = who,
					   .number = ++r->last,
					   .limit = p->concurrency,
					   .discloses = p->disclose == DISCLOSE_YES,
					   .made = ++m->made};
	expect(m, who,
	       (struct post){
		       .type = POST_REGISTERED, .request = p->request, .id = r->id});
	wake(m, r->serial);
}

static void model_unregister(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned u = 0; u < URIS; u++) {
		struct shared *r = &m->shared[u];
		for (unsigned k = 0; k < r->n; k++) {
			if (r->id != p->id || r->places[k].who != who)
				continue;
			drop_place(m, r, k);
			expect(m, who,
			       (struct post){.type = POST_UNREGISTERED,
					     .request = p->request});
			return;
		}
	}
	expect_error(m, who, WAMP_UNREGISTER, p->request, WAMP_ERROR_NO_SUCH_REGISTRATION,
		     NULL);
}

static size_t find_stroll(const struct model *m, unsigned caller, uint64_t request)
{
	size_t i = 0;

	while (i < m->n_strolls &&
	       (m->strolls[i].caller != caller || m->strolls[i].request != request))
		i++;
	return i;
}

/* Has it as many calls in flight as it may have? Then it gets an ERROR. */
static bool model_full(struct model *m, unsigned who, uint64_t request)
{
	unsigned calls = flights(m, (int)who, -1, 0, false, false) +
			 flights(m, (int)who, -1, 0, true, false);

	for (size_t i = 0; i < m->n_strolls; i++)
		calls += m->strolls[i].caller == who;
	if (calls < limits.calls)
		return false;
	expect_error(m, who, WAMP_CALL, request, WAMP_ERROR_UNAVAILABLE, NULL);
	return true;
}

/* Has a call in flight of the same caller this id? Then it is a violation. */
static bool model_duplicate(struct model *m, unsigned who, uint64_t request)
{
	if (find_own_flight(m, who, request) == m->n_flights &&
	    find_stroll(m, who, request) == m->n_strolls)
		return false;
	expect(m, who, (struct post){.type = POST_VIOLATION});
	return true;
}

/* The registration that gets the calls of a URI. URIS: none. */
static unsigned best_of(const struct model *m, unsigned name)
{
	unsigned best = URIS;

	for (unsigned u = 0; u < URIS; u++)
		if (m->shared[u].n > 0 && matches_name(u, name) &&
		    /* of two prefixes, the later one is the longer one */
		    (best == URIS ||
		     (uris[best].match == MATCH_PREFIX && uris[u].match == MATCH_PREFIX)))
			best = u;
	return best;
}

/* Starts the last call, whose input is open. Such a call never waits. */
static void begin_input(struct model *m, struct shared *r, unsigned waiting)
{
	const struct flight *f = &m->flights[m->n_flights - 1];
	bool any = false;

	if (waiting == 0 && start_flight(m, r, m->n_flights - 1))
		return;
	for (unsigned k = 0; k < r->n; k++)
		any |= m->players[r->places[k].who].takes_input;
	m->no_callee += any;
	expect_error(m, f->caller, WAMP_CALL, f->request,
		     any ? WAMP_ERROR_NO_AVAILABLE_CALLEE
			 : WAMP_ERROR_FEATURE_NOT_SUPPORTED,
		     f->payload);
	m->n_flights--;
}

static void model_call(struct model *m, unsigned who, unsigned uri, const struct post *p)
{
	unsigned best = best_of(m, uri);

	if (model_duplicate(m, who, p->request))
		return;
	if (best == URIS) {
		expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_SUCH_PROCEDURE,
			     p->payload);
		return;
	}
	if (model_full(m, who, p->request))
		return;
	ASSERT(m->n_flights < MAX_CALLS);
	struct shared *r = &m->shared[best];
	unsigned waiting = flights(m, -1, -1, r->serial, true, false);
	struct flight *f = &m->flights[m->n_flights++];
	*f = (struct flight){
		.caller = who,
		.request = p->request,
		.serial = r->serial,
		.match = (uint8_t)uris[best].match,
		.progress = p->progress,
		.timeout_ms = p->timeout_ms,
		.queued = true,
		.payload = p->payload,
		.options = p->options,
		.trust = p->trust,
		.disclose = p->disclose,
		.identity = m->players[who].identity,
		.chunk = p->chunk,
	};
	if (p->timeout_ms != 0)
		set_deadline(m, f, now_ms + p->timeout_ms);
	if (p->chunk != CHUNK_NONE) {
		begin_input(m, r, waiting);
		return;
	}
	if ((waiting == 0 && start_flight(m, r, m->n_flights - 1)) ||
	    waiting < limits.queued_calls)
		return;
	m->no_callee++;
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_AVAILABLE_CALLEE,
		     p->payload);
	m->n_flights--;
}

/* The stroll that is next: the first call of the caller whose turn it is. */
static size_t first_stroll(const struct model *m)
{
	size_t first = 0;

	for (size_t i = 1; i < m->n_strolls; i++)
		if (m->turns[m->strolls[i].caller] < m->turns[m->strolls[first].caller])
			first = i;
	return first;
}

static void end_turn(struct model *m, unsigned caller)
{
	static uint64_t last_turn;

	m->turns[caller] = ++last_turn;
}

static void drop_stroll(struct model *m, size_t i)
{
	if (i == first_stroll(m))
		end_turn(m, m->strolls[i].caller);
	m->n_strolls--;
	memmove(&m->strolls[i], &m->strolls[i + 1],
		(m->n_strolls - i) * sizeof(m->strolls[0]));
}

static void model_chunk(struct model *m, unsigned who, const struct post *p)
{
	size_t i = find_own_flight(m, who, p->request);
	struct flight *f = &m->flights[i];

	m->chunks++;
	if (i == m->n_flights ? find_stroll(m, who, p->request) < m->n_strolls
			      : !f->open && !f->killing) {
		expect(m, who, (struct post){.type = POST_VIOLATION});
		return;
	}
	if (i == m->n_flights || f->killing) {
		m->late_chunks++;
		return;
	}
	f->open = p->chunk != CHUNK_LAST;
	if (f->timeout_ms != 0)
		set_deadline(m, f, now_ms + f->timeout_ms);
	expect_invocation(m, f, p->chunk, p->payload);
}

static void model_cancel(struct model *m, unsigned who, const struct post *p)
{
	size_t i = find_own_flight(m, who, p->request);
	size_t stroll = find_stroll(m, who, p->request);

	if (stroll < m->n_strolls) {
		expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_CANCELED, NULL);
		drop_stroll(m, stroll);
		m->cancels++;
		return;
	}
	if (i == m->n_flights)
		return;
	struct flight *f = &m->flights[i];
	bool first = !f->killing;
	m->cancels += first;
	if (p->mode == WAMP_MODE_KILL && f->killing)
		return;
	if (p->mode != WAMP_MODE_SKIP || f->open)
		f->killing |= expect_interrupt(m, f,
					       p->mode == WAMP_MODE_SKIP
						       ? WAMP_MODE_KILLNOWAIT
						       : (enum wamp_cancel_mode)p->mode);
	if (p->mode == WAMP_MODE_KILL && f->killing) {
		if (f->timeout_ms == 0)
			set_deadline(m, f, now_ms + 30000);
		return;
	}
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_CANCELED, NULL);
	end_flight(m, i, !f->queued && !f->killing);
}

/* A callee has answered that it is unavailable. */
static void model_reroute(struct model *m, size_t i)
{
	struct flight *f = &m->flights[i];
	struct shared *r = find_shared(m, f->serial);
	bool over = r == NULL || r->era != f->era || r->invoke == WAMP_INVOKE_SINGLE ||
		    f->n_tried == MAX_TRIES || choose_place(m, r, f) == NULL;

	if (over) {
		m->no_callee++;
		expect_error(m, f->caller, WAMP_CALL, f->request,
			     WAMP_ERROR_NO_AVAILABLE_CALLEE, NULL);
		drop_flight(m, i);
		return;
	}
	m->reroutes++;
	if (fills_up(m, f))
		wake(m, f->serial);
	f->number = 0; /* no callee's */
	bool started = start_flight(m, r, i);
	ASSERT(started);
}

static bool says_unavailable(const struct post *p)
{
	return p->type == POST_INVOCATION_ERROR &&
	       slice_eq_str(payload_uri(p->payload), WAMP_ERROR_UNAVAILABLE);
}

/* Lowers the numbers behind those that were not sent. */
static void model_renumber(struct model *m, unsigned who)
{
	struct player *pl = &m->players[who];

	if (pl->n_unsent == 0)
		return;
	for (size_t i = 0; i < m->n_flights; i++) {
		struct flight *f = &m->flights[i];
		unsigned before = 0;

		if (f->queued || f->callee != who)
			continue;
		while (before < pl->n_unsent && pl->unsent[before] < f->invocation)
			before++;
		f->invocation -= before;
	}
	expect(m, who, (struct post){.type = POST_RENUMBERED, .id = pl->n_unsent});
	pl->last_invocation -= pl->n_unsent;
	pl->n_unsent = 0;
}

static void model_unsent(struct model *m, unsigned who, const struct post *p)
{
	struct player *pl = &m->players[who];
	uint64_t id = p->request + pl->n_unsent;
	size_t i = find_flight(m, who, id);

	if (i == m->n_flights || m->flights[i].orphan) {
		m->unknown++;
		if (i < m->n_flights)
			drop_flight(m, i);
	} else {
		expect_error(m, m->flights[i].caller, WAMP_CALL, m->flights[i].request,
			     p->error.uri, NULL);
		end_flight(m, i, false);
	}
	pl->unsent[pl->n_unsent++] = id;
	if (pl->n_unsent == UNSENT_MAX)
		model_renumber(m, who);
}

static void model_answer(struct model *m, unsigned who, const struct post *p)
{
	model_renumber(m, who);
	size_t i = find_flight(m, who, p->request);

	if (p->type == POST_UNDELIVERABLE && p->chunk != CHUNK_NONE)
		expect(m, who,
		       (struct post){.type = POST_INPUT_OVER, .request = p->request});
	if (i == m->n_flights || m->flights[i].orphan) {
		m->unknown++;
		if (i < m->n_flights && !p->progress)
			drop_flight(m, i);
		return;
	}
	struct flight *f = &m->flights[i];
	if (p->progress && (!f->progress || f->killing))
		return;
	if (f->kept && !f->killing && says_unavailable(p)) {
		model_reroute(m, i);
		return;
	}
	if (p->options != NULL && !reads_answers(f->caller)) {
		bool works_on = p->progress && stop_flight(m, f);
		expect_error(m, f->caller, WAMP_CALL, f->request,
			     WAMP_ERROR_FEATURE_NOT_SUPPORTED, NULL);
		end_flight(m, i, works_on);
		return;
	}
	if (p->progress && p->type == POST_YIELD) {
		expect(m, f->caller,
		       (struct post){.type = POST_RESULT,
				     .request = f->request,
				     .progress = true,
				     .options = p->options,
				     .payload = p->payload});
		f->kept = false;
		if (f->timeout_ms != 0)
			set_deadline(m, f, now_ms + f->timeout_ms);
		return;
	}
	bool lost_chunk = p->type == POST_UNDELIVERABLE && p->chunk > CHUNK_FIRST;
	bool works_on = (p->progress || lost_chunk) && stop_flight(m, f);
	if (p->type == POST_YIELD)
		expect(m, f->caller,
		       (struct post){.type = POST_RESULT,
				     .request = f->request,
				     .options = p->options,
				     .payload = p->payload});
	else if (p->type == POST_INVOCATION_ERROR)
		expect(m, f->caller,
		       (struct post){.type = POST_ERROR,
				     .request_type = WAMP_CALL,
				     .request = f->request,
				     .options = p->options,
				     .payload = p->payload});
	else
		expect_error(m, f->caller, WAMP_CALL, f->request, p->error.uri, NULL);
	end_flight(m, i, works_on);
}

/* A progressive result could not be delivered to its caller. */
static void model_lost(struct model *m, unsigned who, const struct post *p)
{
	model_renumber(m, who);
	size_t i = find_own_flight(m, who, p->request);

	if (i == m->n_flights)
		return;
	bool works_on = stop_flight(m, &m->flights[i]);
	expect_error(m, who, WAMP_CALL, p->request, p->error.uri, NULL);
	end_flight(m, i, works_on);
}

static void time_out(struct model *m, size_t i)
{
	struct flight *f = &m->flights[i];

	f->tick = 0;
	if (f->orphan) {
		drop_flight(m, i);
		return;
	}
	bool works_on = f->timeout_ms != 0 && stop_flight(m, f);
	expect_error(m, f->caller, WAMP_CALL, f->request,
		     f->timeout_ms != 0 ? WAMP_ERROR_TIMEOUT : WAMP_ERROR_CANCELED, NULL);
	m->timeouts += f->timeout_ms != 0;
	end_flight(m, i, works_on);
}

#endif
