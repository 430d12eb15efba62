/* SPDX-License-Identifier: Apache-2.0 */
/* Shared registrations at a realm's owner: which callee gets a call, and which calls
 * wait. */
#define FIXTURE_ROOM 256
#include "tests/unit/core_fixture.h"

#include <stdio.h>

enum {
	CALLEES = 5,
	CALLS = 40, /* that a session may have in flight */
	READ_AT = 1000003,
	ORPHAN_MAX = 60000,
	KILL_MAX = 30000,
};

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref zoe = {.worker = 1, .slot = 9, .generation = 1};

static const uint8_t shared[] = {WAMP_INVOKE_ROUNDROBIN, WAMP_INVOKE_RANDOM,
				 WAMP_INVOKE_FIRST, WAMP_INVOKE_LAST};

/* The callees; they are on all workers. */
static struct session_ref who(unsigned i)
{
	return (struct session_ref){
		.worker = (uint16_t)(i % N_WORKERS), .slot = 20 + i, .generation = 1};
}

static void send_register(struct core *c, struct session_ref from, uint8_t invoke,
			  uint32_t concurrency)
{
	send_post(c, from,
		  (struct post){.type = POST_REGISTER,
				.request = 78,
				.invoke = invoke,
				.concurrency = concurrency,
				.payload = payload("p", NULL)});
}

static uint64_t share(struct core *c, struct session_ref from, uint8_t invoke,
		      uint32_t concurrency)
{
	send_register(c, from, invoke, concurrency);
	return expect(c, from, POST_REGISTERED, 78).id;
}

/* Alice and zoe call; who(i) are callees, and the first n register. */
static uint64_t share_all(struct core *c, unsigned n, uint8_t invoke,
			  uint32_t concurrency)
{
	struct realm_limits limits = default_limits;
	uint64_t id = 0;

	limits.calls = CALLS;
	realm_set_limits(c->realm, &limits);
	wheel_init(&c->deadlines, READ_AT);
	join(c, alice, "alice");
	join(c, zoe, "zoe");
	for (unsigned i = 0; i < CALLEES; i++)
		join(c, who(i), "callee");
	for (unsigned i = 0; i < n; i++) {
		uint64_t got = share(c, who(i), invoke, concurrency);
		assert_true(i == 0 || got == id);
		id = got;
	}
	return id;
}

static void allow_queue(struct core *c, uint32_t calls, size_t bytes)
{
	struct realm_limits limits = c->realm->limits;

	limits.queued_calls = calls;
	limits.queued_bytes = bytes;
	limits.queued_total = 2 * bytes;
	realm_set_limits(c->realm, &limits);
}

static void call_with(struct core *c, struct session_ref from, uint64_t request,
		      uint32_t timeout_ms)
{
	send_post(c, from,
		  (struct post){.type = POST_CALL,
				.time_ms = READ_AT,
				.request = request,
				.timeout_ms = timeout_ms,
				.payload = payload("p", "[7]")});
}

static void call(struct core *c, uint64_t request)
{
	call_with(c, alice, request, 0);
}

/* The next post is an INVOCATION: to which callee? *invocation gets its id. */
static unsigned invoked(struct core *c, uint64_t *invocation)
{
	assert_true(c->outbox.first < c->outbox.end);
	struct post p = c->outbox.sent[c->outbox.first++].post;

	assert_int_equal(p.type, POST_INVOCATION);
	assert_in_range(p.session.slot, 20, 20 + CALLEES);
	if (invocation != NULL)
		*invocation = p.request;
	return p.session.slot - 20;
}

static void yield(struct core *c, unsigned callee, uint64_t invocation)
{
	send_args(c, who(callee), POST_YIELD, invocation, NULL);
}

/* Calls and gets the result: the callee. */
static unsigned call_through(struct core *c)
{
	uint64_t invocation;

	call(c, 1);
	unsigned i = invoked(c, &invocation);
	yield(c, i, invocation);
	expect(c, alice, POST_RESULT, 1);
	forget_sent(c);
	return i;
}

static void leave(struct core *c, unsigned callee)
{
	send_post(c, who(callee), (struct post){.type = POST_GONE});
}

static void cancel(struct core *c, struct session_ref from, uint64_t request,
		   uint8_t mode)
{
	send_post(c, from,
		  (struct post){.type = POST_CANCEL,
				.time_ms = READ_AT,
				.request = request,
				.mode = mode});
}

static void run_to(struct core *c, uint64_t now_ms)
{
	wheel_run(&c->deadlines, now_ms, realm_deadline_passed, NULL);
}

static void expect_busy(struct core *c, struct session_ref caller, uint64_t request)
{
	struct post p = expect_error(
		c, caller, WAMP_CALL, request, WAMP_ERROR_NO_AVAILABLE_CALLEE,
		"all callees are busy, and the queue is full, for procedure");

	assert_uri(&p, "p");
}

static void expect_canceled(struct core *c, struct session_ref caller, uint64_t request)
{
	expect_error(c, caller, WAMP_CALL, request, WAMP_ERROR_CANCELED,
		     "the caller has canceled the call");
}

static void expect_counts(struct core *c, uint64_t in_flight, uint64_t queued,
			  uint64_t orphans)
{
	struct realm_counters n = realm_counters(c->realm);

	assert_int_equal(n.calls_in_flight, in_flight);
	assert_int_equal(n.calls_queued, queued);
	assert_int_equal(n.orphans, orphans);
}

/* --- who is called --- */

static void the_policies(void **state)
{
	struct core *c = *state;
	unsigned calls[CALLEES] = {0};

	share_all(c, CALLEES, WAMP_INVOKE_FIRST, 0);
	for (unsigned i = 0; i < 2 * CALLEES; i++)
		assert_int_equal(call_through(c), 0);
	for (unsigned i = 0; i < CALLEES; i++)
		leave(c, i);
	for (unsigned i = 0; i < CALLEES; i++) {
		join(c, who(i), "callee");
		share(c, who(i), WAMP_INVOKE_LAST, 0);
		assert_int_equal(call_through(c), i);
		assert_int_equal(call_through(c), i);
	}
	for (unsigned i = 0; i < CALLEES; i++)
		leave(c, i);
	for (unsigned i = 0; i < CALLEES; i++) {
		join(c, who(i), "callee");
		share(c, who(i), WAMP_INVOKE_RANDOM, 0);
	}
	for (unsigned i = 0; i < 100 * CALLEES; i++)
		calls[call_through(c)]++;
	/* once in 10^8 runs, chance alone is outside of this range */
	for (unsigned i = 0; i < CALLEES; i++)
		assert_in_range(calls[i], 45, 175);
}

static void everyone_has_a_turn(void **state)
{
	struct core *c = *state;

	share_all(c, CALLEES, WAMP_INVOKE_ROUNDROBIN, 0);
	for (unsigned i = 0; i < 3 * CALLEES; i++)
		assert_int_equal(call_through(c), i % CALLEES);
}

/* One callee ends after n calls, the callee i; nobody is skipped, nobody called twice in
 * a round. */
static void remove_one(struct core *c, uint64_t id, unsigned n, unsigned i, bool leaves)
{
	bool called[CALLEES] = {false};

	for (unsigned k = 0; k < n; k++)
		called[call_through(c)] = true;
	if (leaves) {
		leave(c, i);
	} else {
		send_id(c, who(i), POST_UNREGISTER, 6, id);
		expect(c, who(i), POST_UNREGISTERED, 6);
	}
	called[i] = true;
	for (unsigned k = 0; k < CALLEES; k++) {
		if (called[k])
			continue;
		assert_int_equal(call_through(c), k);
	}
	for (unsigned round = 0; round < 2; round++)
		for (unsigned k = 0; k < CALLEES; k++)
			if (k != i)
				assert_int_equal(call_through(c), k);
	for (unsigned k = 0; k < CALLEES; k++)
		if (k != i || !leaves)
			leave(c, k);
	for (unsigned k = 0; k < CALLEES; k++)
		join(c, who(k), "callee");
	forget_sent(c);
}

static void a_round_goes_on_without_one(void **state)
{
	struct core *c = *state;
	uint64_t id = share_all(c, CALLEES, WAMP_INVOKE_ROUNDROBIN, 0);

	for (unsigned n = 0; n <= CALLEES; n++) {
		for (unsigned i = 0; i < CALLEES; i++) {
			for (int leaves = 0; leaves < 2; leaves++) {
				remove_one(c, id, n, i, leaves);
				for (unsigned k = 0; k < CALLEES; k++)
					id = share(c, who(k), WAMP_INVOKE_ROUNDROBIN, 0);
			}
		}
	}
}

/* A callee that is full loses its turn, and keeps its place. */
static void a_full_callee_is_passed_over(void **state)
{
	struct core *c = *state;
	uint64_t first, invocation[CALLEES];

	share_all(c, 3, WAMP_INVOKE_ROUNDROBIN, 1);
	call(c, 10);
	assert_int_equal(invoked(c, &first), 0);
	assert_int_equal(call_through(c), 1);
	assert_int_equal(call_through(c), 2);
	assert_int_equal(call_through(c), 1); /* a round without the first */
	yield(c, 0, first);
	expect(c, alice, POST_RESULT, 10);
	assert_int_equal(call_through(c), 2); /* its turn was before */
	assert_int_equal(call_through(c), 0);
	/* all are full; whoever is free first is next */
	for (unsigned i = 0; i < 3; i++) {
		call(c, 20 + i);
		assert_int_equal(invoked(c, &invocation[i]), (i + 1) % 3);
	}
	call(c, 23);
	expect_busy(c, alice, 23);
	yield(c, 2, invocation[1]);
	expect(c, alice, POST_RESULT, 21);
	assert_int_equal(call_through(c), 2);
	yield(c, 0, invocation[2]);
	expect(c, alice, POST_RESULT, 22);
	yield(c, 1, invocation[0]);
	expect(c, alice, POST_RESULT, 20);
	assert_int_equal(call_through(c), 0);
	assert_int_equal(call_through(c), 1);
	assert_int_equal(realm_counters(c->realm).no_available_callee, 1);
}

/* Under every policy, each callee gets its calls, and then there is no callee. */
static void the_limits_of_callees(void **state)
{
	struct core *c = *state;

	for (size_t n = 0; n < ARRAY_LEN(shared); n++) {
		unsigned calls[3] = {0};
		uint64_t invocation;
		if (n == 0)
			share_all(c, 0, shared[n], 0);
		for (unsigned i = 0; i < 3; i++)
			share(c, who(i), shared[n], i + 1);
		for (uint64_t k = 1; k <= 6; k++) {
			call(c, k);
			unsigned i = invoked(c, &invocation);
			calls[i]++;
			if (shared[n] == WAMP_INVOKE_FIRST)
				assert_int_equal(i, (k > 1) + (k > 3));
			if (shared[n] == WAMP_INVOKE_LAST)
				assert_int_equal(i, 2 - (k > 3) - (k > 5));
		}
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(calls[i], i + 1);
		call(c, 7);
		expect_busy(c, alice, 7);
		for (unsigned i = 0; i < 3; i++) {
			leave(c, i);
			for (unsigned k = 0; k <= i; k++)
				(void)next_post(c, alice.worker, POST_ERROR);
			join(c, who(i), "callee");
		}
		expect_counts(c, 0, 0, 0);
	}
}

/* --- registrations --- */

static void they_share_an_id(void **state)
{
	struct core *c = *state;
	uint64_t id = share_all(c, 3, WAMP_INVOKE_FIRST, 0);

	assert_int_equal(realm_counters(c->realm).registrations, 1);
	assert_int_equal(realm_counters(c->realm).callees, 3);
	leave(c, 0);
	send_id(c, who(1), POST_UNREGISTER, 6, id);
	expect(c, who(1), POST_UNREGISTERED, 6);
	send_id(c, who(1), POST_UNREGISTER, 7, id);
	expect_error(c, who(1), WAMP_UNREGISTER, 7, WAMP_ERROR_NO_SUCH_REGISTRATION,
		     "the session has no registration with this id");
	assert_int_equal(call_through(c), 2);
	assert_int_equal(share(c, who(1), WAMP_INVOKE_FIRST, 0), id);
	assert_int_equal(call_through(c), 2); /* it is the last one now */
	leave(c, 2);
	leave(c, 1);
	assert_int_equal(realm_counters(c->realm).registrations, 0);
	assert_int_equal(realm_counters(c->realm).callees, 0);
	assert_int_not_equal(share(c, who(3), WAMP_INVOKE_LAST, 0), id);
}

static void who_may_not_share(void **state)
{
	static const char other[] = "Options.invoke differs from that of the callees "
				    "already registered for procedure";
	struct core *c = *state;

	share_all(c, 1, WAMP_INVOKE_SINGLE, 0);
	for (unsigned i = 0; i < ARRAY_LEN(shared); i++) {
		/* whoever asks */
		send_register(c, who(i % 2), shared[i], 0);
		expect_error(c, who(i % 2), WAMP_REGISTER, 78,
			     WAMP_ERROR_PROCEDURE_ALREADY_EXISTS, other);
	}
	leave(c, 0);
	join(c, who(0), "callee");
	for (unsigned i = 0; i < ARRAY_LEN(shared); i++) {
		uint64_t id = share(c, who(i), shared[i], 0);
		for (unsigned k = 0; k < WAMP_INVOKE_COUNT; k++) {
			if (k == shared[i])
				continue;
			send_register(c, who(4), (uint8_t)k, 0);
			expect_error(c, who(4), WAMP_REGISTER, 78,
				     WAMP_ERROR_PROCEDURE_ALREADY_EXISTS, other);
		}
		/* also with another limit */
		send_register(c, who(i), shared[i], 3);
		struct post p = expect_error(
			c, who(i), WAMP_REGISTER, 78, WAMP_ERROR_PROCEDURE_ALREADY_EXISTS,
			"the session is already registered for procedure");
		assert_uri(&p, "p");
		send_id(c, who(i), POST_UNREGISTER, 6, id);
		expect(c, who(i), POST_UNREGISTERED, 6);
	}
}

/* The calls of a callee that unregisters go on, and do not count towards the limit of its
 * next registration. */
static void unregister_while_calls_run(void **state)
{
	struct core *c = *state;

	share_all(c, 0, WAMP_INVOKE_FIRST, 0);
	for (unsigned others = 0; others < 2; others++) {
		uint64_t a, b, id = share(c, who(0), WAMP_INVOKE_FIRST, 1);
		if (others == 1)
			share(c, who(1), WAMP_INVOKE_FIRST, 1);
		call(c, 10);
		assert_int_equal(invoked(c, &a), 0);
		send_id(c, who(0), POST_UNREGISTER, 6, id);
		expect(c, who(0), POST_UNREGISTERED, 6);
		id = share(c, who(0), WAMP_INVOKE_FIRST, 1);
		if (others == 1) {
			call(c, 9);
			assert_int_equal(invoked(c, &b), 1);
		}
		call(c, 11);
		assert_int_equal(invoked(c, &b), 0);
		call(c, 12);
		expect_busy(c, alice, 12);
		yield(c, 0, a);
		expect(c, alice, POST_RESULT, 10);
		call(c, 12);
		expect_busy(c, alice, 12);
		/* it leaves with calls of both */
		send_id(c, who(0), POST_UNREGISTER, 6, id);
		expect(c, who(0), POST_UNREGISTERED, 6);
		share(c, who(0), WAMP_INVOKE_FIRST, 1);
		call(c, 12);
		assert_int_equal(invoked(c, &b), 0);
		leave(c, 0);
		for (uint64_t k = 12; k >= 11; k--)
			expect_error(c, alice, WAMP_CALL, k, WAMP_ERROR_CANCELED,
				     "the callee left while the call was in flight");
		join(c, who(0), "callee");
	}
	leave(c, 1);
	expect_error(c, alice, WAMP_CALL, 9, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	expect_counts(c, 0, 0, 0);
}

/* Each callee says for itself whether it must know its callers. */
static void callees_that_must_know_their_callers(void **state)
{
	struct core *c = *state;
	struct post p;

	share_all(c, 1, WAMP_INVOKE_ROUNDROBIN, 1);
	allow_queue(c, 10, 10000);
	send_post(c, who(1),
		  (struct post){.type = POST_REGISTER,
				.request = 78,
				.invoke = WAMP_INVOKE_ROUNDROBIN,
				.concurrency = 1,
				.disclose = DISCLOSE_YES,
				.payload = payload("p", NULL)});
	expect(c, who(1), POST_REGISTERED, 78);
	const struct identity *i = session_find(c->realm, alice)->identity;
	for (uint64_t k = 1; k <= 4; k++)
		call(c, k);
	p = expect(c, who(0), POST_INVOCATION, 1);
	assert_null(p.disclosed);
	p = expect(c, who(1), POST_INVOCATION, 1);
	assert_ptr_equal(p.disclosed, i);
	/* those that waited */
	yield(c, 1, 1);
	expect(c, alice, POST_RESULT, 2);
	p = expect(c, who(1), POST_INVOCATION, 2);
	assert_ptr_equal(p.disclosed, i);
	yield(c, 0, 1);
	expect(c, alice, POST_RESULT, 1);
	p = expect(c, who(0), POST_INVOCATION, 2);
	assert_null(p.disclosed);
	/* a caller that may not say who it is; it takes no slot */
	send_post(c, alice,
		  (struct post){.type = POST_CALL,
				.request = 5,
				.disclose = DISCLOSE_NEVER,
				.payload = payload("p", NULL)});
	call(c, 6);
	yield(c, 1, 2);
	expect(c, alice, POST_RESULT, 3);
	p = expect(c, alice, POST_ERROR, 5);
	assert_string_equal(p.error.uri, WAMP_ERROR_DISCLOSE_ME);
	p = expect(c, who(1), POST_INVOCATION, 3);
	assert_ptr_equal(p.disclosed, i);
	expect_counts(c, 2, 0, 0);
}

/* --- when a slot is free --- */

enum way {
	RESULT,
	CALLEES_ERROR,
	UNDELIVERABLE,
	KILL,
	KILL_UNANSWERED,
	KILLNOWAIT,
	KILL_THEN_SKIP,
	TIMED_OUT,
	CALLER_GONE,
	SKIP,
	WAYS,
};

/* Ends zoe's call 1 to who(0) in one of these ways. stops: the callee can be interrupted.
 */
static void end_call(struct core *c, enum way way, uint64_t invocation, bool stops)
{
	static const struct post_error nan = {WAMP_ERROR_INVALID_ARGUMENT, "NaN"};
	bool kill = way == KILL || way == KILL_UNANSWERED || way == KILL_THEN_SKIP;

	if (kill || way == KILLNOWAIT)
		cancel(c, zoe, 1, kill ? WAMP_MODE_KILL : WAMP_MODE_KILLNOWAIT);
	if (way == SKIP)
		cancel(c, zoe, 1, WAMP_MODE_SKIP);
	if (way == CALLER_GONE)
		send_post(c, zoe, (struct post){.type = POST_GONE, .time_ms = READ_AT});
	if (way == TIMED_OUT)
		run_to(c, READ_AT + 60);
	if (way > UNDELIVERABLE && way < SKIP && stops)
		expect(c, who(0), POST_INTERRUPT, invocation);
	if (way == KILL_THEN_SKIP && stops)
		cancel(c, zoe, 1, WAMP_MODE_SKIP);
	if (way == KILL_UNANSWERED && stops)
		run_to(c, READ_AT + KILL_MAX + WHEEL_TICK_MS);
	if (way == RESULT || (way == KILL && stops))
		yield(c, 0, invocation);
	if (way == CALLEES_ERROR)
		send_args(c, who(0), POST_INVOCATION_ERROR, invocation, NULL);
	if (way == UNDELIVERABLE)
		send_post(c, who(0),
			  (struct post){.type = POST_UNDELIVERABLE,
					.request = invocation,
					.error = nan});
	if (way != CALLER_GONE)
		expect(c, zoe,
		       way == RESULT || (way == KILL && stops) ? POST_RESULT : POST_ERROR,
		       1);
}

/* A callee with one slot, which can or cannot be interrupted. */
static uint64_t share_one(struct core *c, bool stops)
{
	share_all(c, 0, 0, 0);
	leave(c, 0);
	send_join_with(c, who(0), "callee", stops ? WAMP_FEATURE_CALL_CANCELING : 0);
	expect(c, who(0), POST_JOINED, 0);
	return share(c, who(0), WAMP_INVOKE_ROUNDROBIN, 1);
}

static bool leaves_orphan(enum way way, bool stops)
{
	return way == SKIP || (!stops && way > UNDELIVERABLE);
}

/* Zoe's call ends in each way; then the callee says something, too late. */
static void slots_come_back(struct core *c, bool stops, bool queue)
{
	uint64_t invocation, again;

	share_one(c, stops);
	allow_queue(c, queue, 10000);
	for (unsigned way = 0; way < WAYS; way++) {
		call_with(c, zoe, 1, way == TIMED_OUT ? 50 : 0);
		assert_int_equal(invoked(c, &invocation), 0);
		call(c, 2);
		if (!queue)
			expect_busy(c, alice, 2);
		expect_counts(c, 1 + queue, queue, 0);
		end_call(c, way, invocation, stops);
		if (leaves_orphan(way, stops)) {
			expect_counts(c, queue, queue, 1);
			expect_nothing(c);
			if (!queue) {
				call(c, 2);
				expect_busy(c, alice, 2);
			}
			yield(c, 0, invocation);
		}
		if (!queue)
			call(c, 2);
		assert_int_equal(invoked(c, &again), 0);
		expect_counts(c, 1, 0, 0);
		yield(c, 0, invocation);
		expect_nothing(c);
		yield(c, 0, again);
		expect(c, alice, POST_RESULT, 2);
		expect_counts(c, 0, 0, 0);
		assert_int_equal(c->deadlines.nodes, 0);
		wheel_init(&c->deadlines, READ_AT);
		if (way == CALLER_GONE)
			join(c, zoe, "zoe");
		forget_sent(c);
	}
}

static void slots_of_a_callee_that_stops(void **state)
{
	slots_come_back(*state, true, false);
}

static void slots_of_a_callee_that_does_not_stop(void **state)
{
	slots_come_back(*state, false, false);
}

static void the_queue_of_a_callee_that_stops(void **state)
{
	slots_come_back(*state, true, true);
}

static void the_queue_of_a_callee_that_does_not_stop(void **state)
{
	slots_come_back(*state, false, true);
}

/* An orphan ends when the callee answers, leaves, or after 60 s. */
static void orphans_end(void **state)
{
	struct core *c = *state;
	uint64_t invocation;

	share_one(c, false);
	for (unsigned i = 0; i < 3; i++) {
		call(c, 1);
		assert_int_equal(invoked(c, &invocation), 0);
		cancel(c, alice, 1, WAMP_MODE_SKIP);
		expect_canceled(c, alice, 1);
		expect_counts(c, 0, 0, 1);
		cancel(c, alice, 1, WAMP_MODE_KILL); /* there is no call any more */
		send_post(c, who(0),
			  (struct post){.type = POST_YIELD,
					.request = invocation,
					.progress = true,
					.payload = payload(NULL, NULL)});
		expect_counts(c, 0, 0, 1);
		if (i == 0) {
			send_args(c, who(0), POST_INVOCATION_ERROR, invocation, NULL);
			assert_int_equal(realm_counters(c->realm).unknown_answers, 2);
		} else if (i == 1) {
			run_to(c, READ_AT + ORPHAN_MAX);
			expect_counts(c, 0, 0, 1);
			run_to(c, READ_AT + ORPHAN_MAX + WHEEL_TICK_MS);
		} else {
			leave(c, 0);
		}
		expect_nothing(c);
		expect_counts(c, 0, 0, 0);
		assert_int_equal(c->deadlines.nodes, 0);
	}
	yield(c, 0, invocation);
	expect_nothing(c);
}

/* An orphan outlives its registration, and does not count towards the next one's limit.
 */
static void an_orphan_without_its_registration(void **state)
{
	struct core *c = *state;
	uint64_t orphan, invocation, id = share_one(c, false);

	for (int i = 0; i < 3; i++) {
		call(c, 1);
		assert_int_equal(invoked(c, &orphan), 0);
		cancel(c, alice, 1, WAMP_MODE_SKIP);
		expect_canceled(c, alice, 1);
		send_id(c, who(0), POST_UNREGISTER, 6, id);
		expect(c, who(0), POST_UNREGISTERED, 6);
		id = share(c, who(0), WAMP_INVOKE_ROUNDROBIN, 1);
		call(c, 2);
		assert_int_equal(invoked(c, &invocation), 0);
		expect_counts(c, 1, 0, 1);
		if (i == 0)
			yield(c, 0, orphan);
		else if (i == 1)
			run_to(c, READ_AT + ORPHAN_MAX + WHEEL_TICK_MS);
		if (i < 2) {
			expect_counts(c, 1, 0, 0);
			call(c, 3);
			expect_busy(c, alice, 3);
			yield(c, 0, invocation);
			expect(c, alice, POST_RESULT, 2);
		}
	}
	leave(c, 0);
	expect_error(c, alice, WAMP_CALL, 2, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	expect_counts(c, 0, 0, 0);
	assert_int_equal(c->deadlines.nodes, 0);
}

/* The realm ends with calls in every state. */
static void the_realm_ends(void **state)
{
	struct core *c = *state;

	share_one(c, false);
	allow_queue(c, 10, 10000);
	for (uint64_t k = 1; k <= 4; k++)
		call(c, k);
	assert_int_equal(invoked(c, NULL), 0);
	cancel(c, alice, 1, WAMP_MODE_SKIP);
	expect_canceled(c, alice, 1);
	expect_counts(c, 3, 3, 1);
}

/* A session has at most as many orphans as it may have calls in flight. */
static void orphans_are_bounded(void **state)
{
	struct core *c = *state;
	struct realm_limits limits;

	share_all(c, 1, WAMP_INVOKE_FIRST, UINT32_MAX);
	limits = c->realm->limits;
	limits.calls = 3;
	realm_set_limits(c->realm, &limits);
	for (uint64_t k = 1; k <= 5; k++) {
		call(c, k);
		assert_int_equal(invoked(c, NULL), 0);
		cancel(c, alice, k, WAMP_MODE_SKIP);
		expect_canceled(c, alice, k);
		expect_counts(c, 0, 0, k < 3 ? k : 3);
	}
	yield(c, 0, 2);
	expect_counts(c, 0, 0, 2);
	yield(c, 0, 5);
	expect_counts(c, 0, 0, 2);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 2);
}

/* A callee without a limit leaves no orphans. */
static void no_limit_no_orphans(void **state)
{
	struct core *c = *state;

	share_all(c, 1, WAMP_INVOKE_FIRST, 0);
	for (uint64_t k = 1; k <= 3; k++) {
		call(c, k);
		assert_int_equal(invoked(c, NULL), 0);
	}
	cancel(c, alice, 2, WAMP_MODE_SKIP);
	expect_canceled(c, alice, 2);
	expect_counts(c, 2, 0, 0);
}

/* --- the queue --- */

static void first_come_first_served(void **state)
{
	struct core *c = *state;
	uint64_t invocation[10], joined;

	share_all(c, 1, WAMP_INVOKE_ROUNDROBIN, 2);
	allow_queue(c, 5, 100000);
	for (uint64_t k = 0; k < 7; k++)
		call_with(c, k % 2 == 0 ? alice : zoe, k, 0);
	assert_int_equal(invoked(c, &invocation[0]), 0);
	assert_int_equal(invoked(c, &invocation[1]), 0);
	expect_counts(c, 7, 5, 0);
	call(c, 20);
	expect_busy(c, alice, 20);
	/* a slot is free: the oldest goes on */
	yield(c, 0, invocation[1]);
	expect(c, zoe, POST_RESULT, 1);
	assert_int_equal(invoked(c, &invocation[2]), 0);
	expect_counts(c, 6, 4, 0);
	call(c, 7);
	expect_counts(c, 7, 5, 0);
	/* a callee joins: it gets its REGISTERED before its calls */
	share(c, who(1), WAMP_INVOKE_ROUNDROBIN, 2);
	assert_int_equal(invoked(c, &joined), 1);
	assert_int_equal(invoked(c, NULL), 1);
	expect_counts(c, 7, 3, 0);
	yield(c, 1, joined);
	expect(c, zoe, POST_RESULT, 3);
	assert_int_equal(invoked(c, &joined), 1);
	yield(c, 0, invocation[2]);
	expect(c, alice, POST_RESULT, 2);
	assert_int_equal(invoked(c, NULL), 0);
	yield(c, 1, joined);
	expect(c, zoe, POST_RESULT, 5);
	assert_int_equal(invoked(c, NULL), 1);
	expect_counts(c, 4, 0, 0);
}

static size_t bytes_of_a_call(struct core *c)
{
	struct post p = {.type = POST_INVOCATION, .payload = payload("p", "[7]")};
	size_t size = post_size(&p);

	(void)c;
	post_drop(&p);
	return size;
}

static void the_queue_is_bounded(void **state)
{
	struct core *c = *state;
	size_t size = bytes_of_a_call(c);
	uint64_t invocation;

	share_all(c, 1, WAMP_INVOKE_SINGLE, 1);
	call(c, 1);
	assert_int_equal(invoked(c, &invocation), 0);
	/* in calls, then in bytes */
	allow_queue(c, 2, 100 * size);
	for (uint64_t k = 2; k <= 4; k++)
		call(c, k);
	expect_busy(c, alice, 4);
	allow_queue(c, 100, 4 * size - 1);
	for (uint64_t k = 4; k <= 5; k++)
		call(c, k);
	expect_busy(c, alice, 5);
	expect_counts(c, 4, 3, 0);
	/* smaller limits leave in what is in */
	allow_queue(c, 0, 1);
	call(c, 5);
	expect_busy(c, alice, 5);
	for (uint64_t k = 1; k <= 4; k++) {
		yield(c, 0, invocation);
		expect(c, alice, POST_RESULT, k);
		if (k < 4)
			assert_int_equal(invoked(c, &invocation), 0);
	}
	allow_queue(c, 100, size);
	for (uint64_t k = 1; k <= 3; k++)
		call(c, k);
	assert_int_equal(invoked(c, &invocation), 0);
	expect_busy(c, alice, 3);
	assert_int_equal(realm_counters(c->realm).no_available_callee, 4);
	/* calls in the queue are calls in flight */
	struct realm_limits limits = c->realm->limits;
	limits.calls = 2;
	realm_set_limits(c->realm, &limits);
	call(c, 4);
	expect_error(c, alice, WAMP_CALL, 4, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many calls in flight");
}

/* All that can happen to a call in the queue. It has no callee that could be told. */
static void ends_in_the_queue(void **state)
{
	struct core *c = *state;
	uint64_t invocation;

	share_one(c, true);
	allow_queue(c, 10, 10000);
	call(c, 1);
	assert_int_equal(invoked(c, &invocation), 0);
	call(c, 2);
	call_with(c, zoe, 1, 50);
	call(c, 3);
	call_with(c, zoe, 2, 0);
	call(c, 4);
	call(c, 5);
	expect_counts(c, 7, 6, 0);
	cancel(c, alice, 2, WAMP_MODE_KILL);
	expect_canceled(c, alice, 2);
	cancel(c, alice, 2, WAMP_MODE_KILL);
	cancel(c, alice, 3, WAMP_MODE_SKIP);
	expect_canceled(c, alice, 3);
	cancel(c, alice, 4, WAMP_MODE_KILLNOWAIT);
	expect_canceled(c, alice, 4);
	assert_int_equal(realm_counters(c->realm).cancels, 3);
	run_to(c, READ_AT + 60);
	expect_error(c, zoe, WAMP_CALL, 1, WAMP_ERROR_TIMEOUT,
		     "the callee did not answer within the call's timeout");
	expect_counts(c, 3, 2, 0);
	send_post(c, zoe, (struct post){.type = POST_GONE});
	expect_counts(c, 2, 1, 0);
	/* the same id twice is a violation in the queue, too */
	call(c, 5);
	expect(c, alice, POST_VIOLATION, 0);
	expect_nothing(c);
	yield(c, 0, invocation);
	expect(c, alice, POST_RESULT, 1);
	assert_int_equal(invoked(c, &invocation), 0);
	yield(c, 0, invocation);
	expect(c, alice, POST_RESULT, 5);
	expect_counts(c, 0, 0, 0);
	assert_int_equal(c->deadlines.nodes, 0);
}

/* A call may time out while it waits and while it runs: its time does not begin anew. */
static void a_timeout_includes_the_wait(void **state)
{
	struct core *c = *state;
	uint64_t invocation;

	share_one(c, true);
	allow_queue(c, 10, 10000);
	call(c, 1);
	assert_int_equal(invoked(c, &invocation), 0);
	call_with(c, zoe, 1, 100);
	run_to(c, READ_AT + 90);
	yield(c, 0, invocation);
	expect(c, alice, POST_RESULT, 1);
	assert_int_equal(invoked(c, &invocation), 0);
	run_to(c, READ_AT + 110);
	expect(c, who(0), POST_INTERRUPT, invocation);
	expect_error(c, zoe, WAMP_CALL, 1, WAMP_ERROR_TIMEOUT,
		     "the callee did not answer within the call's timeout");
	expect_counts(c, 0, 0, 0);
}

static void the_last_callee_leaves(void **state)
{
	static const char text[] = "the last callee left while the call waited for one";
	struct core *c = *state;
	uint64_t invocation;

	for (int unregisters = 0; unregisters < 2; unregisters++) {
		if (unregisters == 0)
			share_all(c, 0, 0, 0);
		uint64_t id = share(c, who(0), WAMP_INVOKE_ROUNDROBIN, 1);
		share(c, who(1), WAMP_INVOKE_ROUNDROBIN, 1);
		allow_queue(c, 10, 10000);
		for (uint64_t k = 1; k <= 4; k++)
			call(c, k);
		assert_int_equal(invoked(c, &invocation), 0);
		assert_int_equal(invoked(c, NULL), 1);
		leave(c, 1);
		expect_error(c, alice, WAMP_CALL, 2, WAMP_ERROR_CANCELED,
			     "the callee left while the call was in flight");
		if (unregisters) {
			send_id(c, who(0), POST_UNREGISTER, 6, id);
			expect(c, who(0), POST_UNREGISTERED, 6);
		} else {
			leave(c, 0);
			expect_error(c, alice, WAMP_CALL, 1, WAMP_ERROR_CANCELED,
				     "the callee left while the call was in flight");
		}
		for (uint64_t k = 3; k <= 4; k++)
			expect_error(c, alice, WAMP_CALL, k,
				     WAMP_ERROR_NO_AVAILABLE_CALLEE, text);
		assert_int_equal(realm_counters(c->realm).registrations, 0);
		if (unregisters) {
			yield(c, 0, invocation);
			expect(c, alice, POST_RESULT, 1);
		}
		expect_counts(c, 0, 0, 0);
		for (unsigned i = 0; i < 2 && !unregisters; i++)
			join(c, who(i), "callee");
	}
}

/* An INVOCATION that finds no memory costs its call, and the next one gets the slot. */
static void no_memory_for_an_invocation(void **state)
{
	struct core *c = *state;
	uint64_t invocation;

	share_one(c, true);
	allow_queue(c, 10, 10000);
	for (uint64_t k = 1; k <= 3; k++) {
		c->outbox.fail_at = k == 1;
		call(c, k);
		if (k == 1)
			expect_error(c, alice, WAMP_CALL, 1, WAMP_ERROR_UNAVAILABLE,
				     "out of memory");
	}
	assert_int_equal(invoked(c, &invocation), 0);
	call(c, 4);
	expect_counts(c, 3, 2, 0);
	c->outbox.fail_at = 2; /* behind the RESULT */
	yield(c, 0, invocation);
	expect(c, alice, POST_RESULT, 2);
	expect_error(c, alice, WAMP_CALL, 3, WAMP_ERROR_UNAVAILABLE, "out of memory");
	assert_int_equal(invoked(c, &invocation), 0);
	assert_int_equal(invocation, 2);
	expect_counts(c, 1, 0, 0);
	yield(c, 0, invocation);
	expect(c, alice, POST_RESULT, 4);
}

/* A callee that is leaving, in slices, gets no call, not even from the queue. */
static void a_callee_leaves_slowly(void **state)
{
	enum { MANY = 600 };
	struct core *c = *state;
	struct realm_limits limits;
	uint64_t invocation;

	share_all(c, 3, WAMP_INVOKE_ROUNDROBIN, 1);
	allow_queue(c, 10, 10000);
	limits = c->realm->limits;
	limits.calls = MANY;
	realm_set_limits(c->realm, &limits);
	send_uri(c, zoe, POST_REGISTER, 1, "q");
	expect(c, zoe, POST_REGISTERED, 1);
	for (uint64_t k = 1; k <= MANY; k++) {
		send_uri(c, who(1), POST_CALL, k, "q");
		expect(c, zoe, POST_INVOCATION, k);
		forget_sent(c);
	}
	call(c, 1);
	assert_int_equal(invoked(c, &invocation), 0);
	leave(c, 1);
	assert_true(realm_has_work(c->realm));
	call(c, 2);
	assert_int_equal(invoked(c, NULL), 2);
	call(c, 3);
	expect_nothing(c);
	yield(c, 0, invocation);
	expect(c, alice, POST_RESULT, 1);
	assert_int_equal(invoked(c, NULL), 0);
	call(c, 4);
	finish_work(c);
	expect_nothing(c);
	expect_counts(c, 3, 1, 0);
	assert_int_equal(realm_counters(c->realm).callees, 3);
}

/* A caller that calls itself leaves with a call in the queue. */
static void it_waits_for_itself(void **state)
{
	struct core *c = *state;

	share_all(c, 0, 0, 0);
	allow_queue(c, 10, 10000);
	share(c, alice, WAMP_INVOKE_LAST, 1);
	for (uint64_t k = 1; k <= 3; k++)
		call(c, k);
	call_with(c, zoe, 1, 0);
	expect(c, alice, POST_INVOCATION, 1);
	expect_counts(c, 4, 3, 0);
	send_post(c, alice, (struct post){.type = POST_GONE});
	expect_error(c, zoe, WAMP_CALL, 1, WAMP_ERROR_NO_AVAILABLE_CALLEE,
		     "the last callee left while the call waited for one");
	expect_counts(c, 0, 0, 0);
}

/* A long queue is worked off in pieces, and later calls stay behind it. */
static void a_long_queue_takes_several_turns(void **state)
{
	enum { N = 1000 };
	struct core *c = *state;
	struct realm_limits limits = default_limits;
	uint64_t last = 0;
	unsigned pieces = 0;

	for (int join_or_leave = 0; join_or_leave < 2; join_or_leave++) {
		if (join_or_leave == 0)
			share_all(c, 0, 0, 0);
		limits.calls = 2 * N;
		limits.queued_calls = N;
		limits.queued_bytes = limits.queued_total = 1 << 20;
		realm_set_limits(c->realm, &limits);
		share(c, who(0), WAMP_INVOKE_LAST, 1);
		for (uint64_t k = 1; k <= N + 1; k++)
			call(c, k);
		assert_int_equal(invoked(c, NULL), 0);
		assert_false(realm_has_work(c->realm));
		if (join_or_leave == 0) {
			share(c, who(1), WAMP_INVOKE_LAST, 0);
			call(c, N + 2);
		} else {
			leave(c, 0);
			(void)next_post(c, alice.worker, POST_ERROR);
		}
		for (last = 2;; pieces++) {
			while (c->outbox.first < c->outbox.end) {
				if (join_or_leave == 0)
					assert_int_equal(invoked(c, NULL), 1);
				else
					expect(c, alice, POST_ERROR, last);
				last++;
			}
			forget_sent(c);
			if (!realm_has_work(c->realm))
				break;
			realm_work(c->realm);
		}
		assert_int_equal(last, N + 3 - join_or_leave);
		c->outbox.discard = true;
		for (unsigned i = 0; i < 2 && join_or_leave == 0; i++) {
			leave(c, i);
			send_join(c, who(i), "callee");
		}
		while (realm_has_work(c->realm))
			realm_work(c->realm);
		c->outbox.discard = false;
		forget_sent(c);
	}
	assert_in_range(pieces, 2 * N / 64 - 2, 2 * N / 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(the_policies),
		core_test(everyone_has_a_turn),
		core_test(a_round_goes_on_without_one),
		core_test(a_full_callee_is_passed_over),
		core_test(the_limits_of_callees),
		core_test(they_share_an_id),
		core_test(who_may_not_share),
		core_test(unregister_while_calls_run),
		core_test(callees_that_must_know_their_callers),
		core_test(slots_of_a_callee_that_stops),
		core_test(slots_of_a_callee_that_does_not_stop),
		core_test(the_queue_of_a_callee_that_stops),
		core_test(the_queue_of_a_callee_that_does_not_stop),
		core_test(orphans_end),
		core_test(an_orphan_without_its_registration),
		core_test(the_realm_ends),
		core_test(orphans_are_bounded),
		core_test(no_limit_no_orphans),
		core_test(first_come_first_served),
		core_test(the_queue_is_bounded),
		core_test(ends_in_the_queue),
		core_test(a_timeout_includes_the_wait),
		core_test(the_last_callee_leaves),
		core_test(no_memory_for_an_invocation),
		core_test(a_callee_leaves_slowly),
		core_test(it_waits_for_itself),
		core_test(a_long_queue_takes_several_turns),
	};

	return cmocka_run_group_tests_name("core_shared", tests, NULL, NULL);
}
