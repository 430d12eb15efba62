/* SPDX-License-Identifier: Apache-2.0 */
/* Calls with a timeout at a realm's owner. The test is the worker: it says when a message
 * was read, and runs the wheel. */
#include "tests/unit/core_calls.h"

enum {
	TIMEOUT = 50,
	DUE = READ_AT + TIMEOUT,
	LATEST = DUE + WHEEL_TICK_MS, /* by now the deadline has been noticed */
};

static void expect_timeout(struct core *c, struct session_ref caller, uint64_t request)
{
	struct post p =
		expect_error(c, caller, WAMP_CALL, request, WAMP_ERROR_TIMEOUT,
			     "the callee did not answer within the call's timeout");

	assert_null(p.payload);
}

static void expect_no_call(const struct core *c)
{
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(c->deadlines.nodes, 0);
	expect_nothing(c);
}

/* The callee is told to stop, the caller gets one ERROR, and what the callee says
 * afterwards is dropped. */
static void a_call_times_out(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 42, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	run_to(c, DUE); /* never early */
	expect_nothing(c);
	run_to(c, LATEST);
	expect(c, bob, POST_INTERRUPT, 1);
	expect_timeout(c, alice, 42);
	expect_no_call(c);
	assert_int_equal(realm_counters(c->realm).timeouts, 1);
	assert_int_equal(realm_counters(c->realm).errors, 1);
	send_args(c, bob, POST_YIELD, 1, "[7]");
	send_post(c, bob,
		  (struct post){.type = POST_INVOCATION_ERROR,
				.request = 1,
				.payload = payload("wamp.error.canceled", NULL)});
	send_post(c, bob,
		  (struct post){.type = POST_UNDELIVERABLE,
				.request = 1,
				.error = {WAMP_ERROR_INVALID_ARGUMENT, "NaN"}});
	run_to(c, LATEST + 100000);
	expect_no_call(c);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 3);
}

/* No INTERRUPT reaches a callee that has not announced call_canceling: it would close. */
static void the_callee_cannot_be_interrupted(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 42, "carols", TIMEOUT);
	expect(c, carol, POST_INVOCATION, 1);
	run_to(c, LATEST);
	expect_timeout(c, alice, 42);
	expect_no_call(c);
	send_args(c, carol, POST_YIELD, 1, NULL);
	expect_no_call(c);
}

/* That the session can cancel calls as a caller says nothing about it as a callee. */
static void the_callees_feature_counts(void **state)
{
	struct core *c = *state;
	struct identity who = {.realm = REALM, .authmethod = "anonymous"};
	const struct session_ref dave = {.worker = 2, .slot = 9, .generation = 1};

	for (size_t i = 0; i < WAMP_ROLE_COUNT; i++)
		if (i != WAMP_ROLE_CALLEE)
			who.features.of[i] = WAMP_FEATURE_CALL_CANCELING;
	join_all(c);
	send_post(c, dave,
		  (struct post){.type = POST_JOIN,
				.identity = identity_new(&who),
				.mail = MAIL_NEW()});
	expect(c, dave, POST_JOINED, 0);
	provide(c, dave, "daves");
	call(c, alice, 42, "daves", TIMEOUT);
	expect(c, dave, POST_INVOCATION, 1);
	run_to(c, LATEST);
	expect_timeout(c, alice, 42);
	expect_no_call(c);
}

/* Deadline and YIELD, in both orders. */
static void the_result_comes_first(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 42, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	run_to(c, DUE);
	send_args(c, bob, POST_YIELD, 1, "[7]");
	expect(c, alice, POST_RESULT, 42);
	expect_no_call(c);
	run_to(c, LATEST);
	expect_no_call(c);
	assert_int_equal(realm_counters(c->realm).timeouts, 0);
}

static void the_callees_error_comes_first(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 42, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	send_post(c, bob,
		  (struct post){.type = POST_INVOCATION_ERROR,
				.request = 1,
				.payload = payload("com.example.broken", NULL)});
	expect(c, alice, POST_ERROR, 42);
	run_to(c, LATEST);
	expect_no_call(c);
}

static void the_call_is_undeliverable(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 42, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	send_post(c, bob,
		  (struct post){.type = POST_UNSENT,
				.request = 1,
				.error = {WAMP_ERROR_INVALID_ARGUMENT, "NaN"}});
	expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_INVALID_ARGUMENT, "NaN");
	run_to(c, LATEST);
	expect_no_call(c);
}

/* The caller goes, and the deadline passes, in both orders. */
static void the_caller_goes(void **state)
{
	static const enum post_type ways[] = {POST_GONE, POST_GOODBYE};
	struct core *c = *state;

	join_all(c);
	for (uint32_t i = 0; i < ARRAY_LEN(ways); i++) {
		const struct session_ref first = ref(0, 10 + i, 1),
					 last = ref(0, 20 + i, 1);
		wheel_init(&c->deadlines, READ_AT - 500);
		join(c, first, "first");
		join(c, last, "last");
		call(c, first, 42, "bobs", TIMEOUT);
		expect(c, bob, POST_INVOCATION, 2 * i + 1);
		call(c, last, 43, "bobs", TIMEOUT);
		expect(c, bob, POST_INVOCATION, 2 * i + 2);
		send_post(c, first, (struct post){.type = (uint8_t)ways[i]});
		if (ways[i] == POST_GOODBYE)
			expect(c, first, POST_LEFT, 0);
		expect(c, bob, POST_INTERRUPT, 2 * i + 1);
		assert_int_equal(c->deadlines.nodes, 1);
		run_to(c, LATEST);
		expect(c, bob, POST_INTERRUPT, 2 * i + 2);
		expect_timeout(c, last, 43);
		send_post(c, last, (struct post){.type = (uint8_t)ways[i]});
		if (ways[i] == POST_GOODBYE)
			expect(c, last, POST_LEFT, 0);
		expect_no_call(c);
	}
}

/* The callee goes, and the deadline passes, in both orders. */
static void the_callee_goes(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 42, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	send_post(c, bob, (struct post){.type = POST_GONE});
	expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	run_to(c, LATEST);
	expect_no_call(c);

	wheel_init(&c->deadlines, READ_AT - 500);
	call(c, alice, 43, "carols", TIMEOUT);
	expect(c, carol, POST_INVOCATION, 1);
	run_to(c, LATEST);
	expect_timeout(c, alice, 43);
	send_post(c, carol, (struct post){.type = POST_GONE});
	expect_no_call(c);
}

/* A session that calls itself, and is gone before the deadline. */
static void a_session_calls_itself(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, bob, 42, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	call(c, bob, 43, "bobs", 10 * TIMEOUT);
	expect(c, bob, POST_INVOCATION, 2);
	run_to(c, LATEST);
	expect(c, bob, POST_INTERRUPT, 1);
	expect_timeout(c, bob, 42);
	send_post(c, bob, (struct post){.type = POST_GONE});
	run_to(c, READ_AT + 10 * TIMEOUT + WHEEL_TICK_MS);
	expect_no_call(c);
}

/* Each call has its own deadline; those without a timeout have none. A realm that is
 * freed takes its deadlines along, which teardown checks. */
static void calls_time_out_one_by_one(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 1, "bobs", 300);
	expect(c, bob, POST_INVOCATION, 1);
	call(c, alice, 2, "bobs", 0);
	expect(c, bob, POST_INVOCATION, 2);
	call(c, alice, 3, "carols", 1);
	expect(c, carol, POST_INVOCATION, 1);
	call(c, alice, 4, "bobs", UINT32_MAX);
	expect(c, bob, POST_INVOCATION, 3);
	assert_int_equal(c->deadlines.nodes, 3);
	run_to(c, READ_AT + 1 + WHEEL_TICK_MS);
	expect_timeout(c, alice, 3);
	run_to(c, READ_AT + 300);
	expect_nothing(c);
	run_to(c, READ_AT + 100000000);
	expect(c, bob, POST_INTERRUPT, 1);
	expect_timeout(c, alice, 1);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 2);
	assert_int_equal(c->deadlines.nodes, 1);
}

/* A CALL that is answered at once sets no deadline. */
static void refused_calls_set_no_deadline(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 1, "nobodys", TIMEOUT);
	expect(c, alice, POST_ERROR, 1);
	c->outbox.fail_at = 1; /* the INVOCATION */
	call(c, alice, 2, "bobs", TIMEOUT);
	expect_error(c, alice, WAMP_CALL, 2, WAMP_ERROR_UNAVAILABLE, "out of memory");
	expect_no_call(c);
}

/* Without memory the INTERRUPT is left out. */
static void no_memory_for_the_interrupt(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 1, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	c->outbox.fail_at = 1;
	run_to(c, LATEST);
	expect_timeout(c, alice, 1);
	expect_no_call(c);
}

/* A session that cannot be told ends, as after any other post that is lost. */
static void no_memory_for_the_error(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 1, "bobs", TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	c->outbox.fail_at = 2;
	run_to(c, LATEST);
	expect(c, bob, POST_INTERRUPT, 1);
	struct post p = expect(c, alice, POST_KILLED, 0);
	assert_null(p.revocation);
	expect_no_call(c);
	assert_int_equal(realm_counters(c->realm).sessions, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(a_call_times_out),
		core_test(the_callee_cannot_be_interrupted),
		core_test(the_callees_feature_counts),
		core_test(the_result_comes_first),
		core_test(the_callees_error_comes_first),
		core_test(the_call_is_undeliverable),
		core_test(the_caller_goes),
		core_test(the_callee_goes),
		core_test(a_session_calls_itself),
		core_test(calls_time_out_one_by_one),
		core_test(refused_calls_set_no_deadline),
		core_test(no_memory_for_the_interrupt),
		core_test(no_memory_for_the_error),
	};

	return cmocka_run_group_tests_name("core_timeout", tests, NULL, NULL);
}
