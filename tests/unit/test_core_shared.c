/* SPDX-License-Identifier: Apache-2.0 */
/* Shared registrations at a realm's owner: which callee gets a call, and when a callee
 * may get another. */
#include "tests/unit/core_shared.h"

static const uint8_t shared[] = {WAMP_INVOKE_ROUNDROBIN, WAMP_INVOKE_RANDOM,
				 WAMP_INVOKE_FIRST, WAMP_INVOKE_LAST};

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
	};

	return cmocka_run_group_tests_name("core_shared", tests, NULL, NULL);
}
