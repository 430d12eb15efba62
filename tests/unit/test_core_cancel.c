/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that are canceled at a realm's owner. The test is the worker: it chooses the
 * order in which posts arrive, says when they were read, and runs the wheel. */
#include "tests/unit/core_calls.h"

enum {
	KILL_MAX = 30000, /* how long a callee may take to stop */
};

static const enum wamp_cancel_mode modes[] = {WAMP_MODE_SKIP, WAMP_MODE_KILL,
					      WAMP_MODE_KILLNOWAIT};

/* Alice calls bob's procedure. */
static void call_bob(struct core *c, uint64_t request, uint64_t invocation)
{
	call(c, alice, request, "bobs", 0);
	expect(c, bob, POST_INVOCATION, invocation);
}

/* The call has left nothing behind, and what the callee says now is dropped. */
static void expect_ended(struct core *c, struct session_ref callee, uint64_t invocation)
{
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(c->realm->dealer.requests.count, 0);
	assert_int_equal(c->deadlines.nodes, 0);
	send_args(c, callee, POST_YIELD, invocation, "[8]");
	fail_with(c, callee, invocation, "wamp.error.canceled");
	run_to(c, READ_AT + 10 * KILL_MAX);
	expect_nothing(c);
	wheel_init(&c->deadlines, READ_AT);
}

/* --- CANCEL comes first --- */

static void skip_leaves_the_callee_alone(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1);
	cancel(c, alice, 42, WAMP_MODE_SKIP);
	expect_canceled(c, alice, 42);
	expect_ended(c, bob, 1);
	assert_int_equal(realm_counters(c->realm).cancels, 1);
	assert_int_equal(realm_counters(c->realm).errors, 1);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 2);
}

static void killnowait_answers_at_once(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1);
	cancel(c, alice, 42, WAMP_MODE_KILLNOWAIT);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_canceled(c, alice, 42);
	expect_ended(c, bob, 1);
	assert_int_equal(realm_counters(c->realm).cancels, 1);
}

static void kill_waits_for_the_callee(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1);
	cancel(c, alice, 42, WAMP_MODE_KILL);
	expect_interrupt(c, 1, WAMP_MODE_KILL);
	expect_nothing(c);
	fail_with(c, bob, 1, "com.example.stopped");
	struct post p = expect(c, alice, POST_ERROR, 42);
	assert_null(p.error.uri);
	assert_uri(&p, "com.example.stopped");
	expect_ended(c, bob, 1);

	/* the callee was faster than the INTERRUPT */
	call_bob(c, 43, 2);
	cancel(c, alice, 43, WAMP_MODE_KILL);
	expect_interrupt(c, 2, WAMP_MODE_KILL);
	send_args(c, bob, POST_YIELD, 2, "[8]");
	p = expect(c, alice, POST_RESULT, 43);
	assert_args(&p, "[8]");
	expect_ended(c, bob, 2);

	/* what it says cannot be passed on */
	call_bob(c, 44, 3);
	cancel(c, alice, 44, WAMP_MODE_KILL);
	expect_interrupt(c, 3, WAMP_MODE_KILL);
	send_post(c, bob,
		  (struct post){.type = POST_UNDELIVERABLE,
				.request = 3,
				.error = {WAMP_ERROR_INVALID_ARGUMENT, "NaN"}});
	expect_error(c, alice, WAMP_CALL, 44, WAMP_ERROR_INVALID_ARGUMENT, "NaN");
	expect_ended(c, bob, 3);
	assert_int_equal(realm_counters(c->realm).cancels, 3);
}

/* No INTERRUPT reaches a callee that has not announced call_canceling: it would close.
 * All modes are like skip. */
static void the_callee_cannot_be_interrupted(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		call(c, alice, 42, "carols", 0);
		expect(c, carol, POST_INVOCATION, i + 1);
		cancel(c, alice, 42, modes[i]);
		expect_canceled(c, alice, 42);
		expect_ended(c, carol, i + 1);
	}
}

/* --- the answer comes first --- */

static void a_late_cancel_is_ignored(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		call_bob(c, 42, 2 * i + 1);
		send_args(c, bob, POST_YIELD, 2 * i + 1, "[8]");
		expect(c, alice, POST_RESULT, 42);
		cancel(c, alice, 42, modes[i]);
		expect_ended(c, bob, 2 * i + 1);
		call_bob(c, 43, 2 * i + 2);
		fail_with(c, bob, 2 * i + 2, "com.example.broken");
		expect(c, alice, POST_ERROR, 43);
		cancel(c, alice, 43, modes[i]);
		expect_ended(c, bob, 2 * i + 2);
	}
	assert_int_equal(realm_counters(c->realm).cancels, 0);
}

/* Ids are each caller's own, and other than the callee's. */
static void only_the_callers_own_call_is_canceled(void **state)
{
	static const uint64_t wrong[] = {0, 1, 41, 43, WAMP_MAX_ID, UINT64_MAX};
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		for (size_t k = 0; k < ARRAY_LEN(wrong); k++)
			cancel(c, alice, wrong[k], modes[i]);
		cancel(c, carol, 42, modes[i]);
		cancel(c, bob, 42, modes[i]);
		cancel(c, bob, 1, modes[i]);
	}
	expect_nothing(c);
	call(c, carol, 42, "bobs", 0);
	expect(c, bob, POST_INVOCATION, 2);
	cancel(c, carol, 42, WAMP_MODE_KILLNOWAIT);
	expect_interrupt(c, 2, WAMP_MODE_KILLNOWAIT);
	expect_canceled(c, carol, 42);
	send_args(c, bob, POST_YIELD, 1, NULL);
	expect(c, alice, POST_RESULT, 42);
	expect_ended(c, bob, 1);
}

/* --- a second CANCEL --- */

static void a_second_cancel(void **state)
{
	struct core *c = *state;

	join_all(c);
	/* after skip and killnowait there is no call any more */
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		call_bob(c, 42, 2 * i + 1);
		cancel(c, alice, 42, WAMP_MODE_SKIP);
		expect_canceled(c, alice, 42);
		cancel(c, alice, 42, modes[i]);
		expect_ended(c, bob, 2 * i + 1);
		call_bob(c, 43, 2 * i + 2);
		cancel(c, alice, 43, WAMP_MODE_KILLNOWAIT);
		expect_interrupt(c, 2 * i + 2, WAMP_MODE_KILLNOWAIT);
		expect_canceled(c, alice, 43);
		cancel(c, alice, 43, modes[i]);
		expect_ended(c, bob, 2 * i + 2);
	}
	assert_int_equal(realm_counters(c->realm).cancels, 6);
}

/* The callee gets one INTERRUPT. */
static void a_second_cancel_no_longer_waits(void **state)
{
	static const enum wamp_cancel_mode second[] = {WAMP_MODE_SKIP,
						       WAMP_MODE_KILLNOWAIT};
	struct core *c = *state;

	join_all(c);
	for (size_t i = 0; i < ARRAY_LEN(second); i++) {
		call_bob(c, 42, i + 1);
		cancel(c, alice, 42, WAMP_MODE_KILL);
		expect_interrupt(c, i + 1, WAMP_MODE_KILL);
		cancel(c, alice, 42, WAMP_MODE_KILL);
		expect_nothing(c);
		cancel(c, alice, 42, second[i]);
		expect_canceled(c, alice, 42);
		expect_ended(c, bob, i + 1);
	}
	assert_int_equal(realm_counters(c->realm).cancels, 2);
}

/* --- deadlines --- */

/* Kill has one of its own, or a silent callee would hold the caller for ever. */
static void the_callee_does_not_stop(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1);
	cancel(c, alice, 42, WAMP_MODE_KILL);
	expect_interrupt(c, 1, WAMP_MODE_KILL);
	/* repeating it does not move the deadline */
	send_post(c, alice,
		  (struct post){.type = POST_CANCEL,
				.time_ms = READ_AT + KILL_MAX - 1,
				.request = 42,
				.mode = WAMP_MODE_KILL});
	run_to(c, READ_AT + KILL_MAX);
	expect_nothing(c);
	run_to(c, READ_AT + KILL_MAX + WHEEL_TICK_MS);
	struct post p = expect_error(
		c, alice, WAMP_CALL, 42, WAMP_ERROR_CANCELED,
		"the call was canceled, and the callee did not stop within 30 s");
	assert_null(p.payload);
	expect_ended(c, bob, 1);
	assert_int_equal(realm_counters(c->realm).timeouts, 0);
	assert_int_equal(realm_counters(c->realm).cancels, 1);
}

static void the_calls_timeout_goes_on(void **state)
{
	static const uint32_t timeouts[] = {KILL_MAX / 2, 2 * KILL_MAX};
	struct core *c = *state;

	join_all(c);
	for (size_t i = 0; i < ARRAY_LEN(timeouts); i++) {
		call(c, alice, 42, "bobs", timeouts[i]);
		expect(c, bob, POST_INVOCATION, i + 1);
		cancel(c, alice, 42, WAMP_MODE_KILL);
		expect_interrupt(c, i + 1, WAMP_MODE_KILL);
		run_to(c, READ_AT + timeouts[i]);
		expect_nothing(c);
		run_to(c, READ_AT + timeouts[i] + WHEEL_TICK_MS);
		expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_TIMEOUT,
			     "the callee did not answer within the call's timeout");
		expect_ended(c, bob, i + 1);
		assert_int_equal(realm_counters(c->realm).timeouts, i + 1);
	}
}

/* Both ways end both deadlines. */
static void canceled_calls_do_not_time_out(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		call(c, alice, 42, "bobs", 50);
		expect(c, bob, POST_INVOCATION, i + 1);
		cancel(c, alice, 42, modes[i]);
		if (modes[i] != WAMP_MODE_SKIP)
			expect_interrupt(c, i + 1, modes[i]);
		if (modes[i] == WAMP_MODE_KILL)
			cancel(c, alice, 42, WAMP_MODE_SKIP);
		expect_canceled(c, alice, 42);
		expect_ended(c, bob, i + 1);
	}
}

static void a_late_cancel_after_the_timeout(void **state)
{
	struct core *c = *state;

	join_all(c);
	call(c, alice, 42, "bobs", 50);
	expect(c, bob, POST_INVOCATION, 1);
	run_to(c, READ_AT + 50 + WHEEL_TICK_MS);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect(c, alice, POST_ERROR, 42);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		cancel(c, alice, 42, modes[i]);
	expect_ended(c, bob, 1);
}

/* --- a session leaves --- */

static void leave(struct core *c, struct session_ref who, enum post_type way)
{
	send_post(c, who, (struct post){.type = (uint8_t)way});
}

/* Callees that can stop are told to, once. A CANCEL behind it is for nobody. */
static void the_caller_goes(void **state)
{
	static const enum post_type ways[] = {POST_GONE, POST_GOODBYE};
	struct core *c = *state;

	join_all(c);
	for (uint32_t i = 0; i < ARRAY_LEN(ways); i++) {
		const struct session_ref dave = ref(2, 10 + i, 1);
		uint64_t first = 2 * i + 1;
		join(c, dave, "dave");
		call(c, dave, 1, "bobs", 0);
		expect(c, bob, POST_INVOCATION, first);
		call(c, dave, 2, "bobs", 0);
		expect(c, bob, POST_INVOCATION, first + 1);
		call(c, dave, 3, "carols", 0);
		expect(c, carol, POST_INVOCATION, i + 1);
		cancel(c, dave, 2, WAMP_MODE_KILL);
		expect_interrupt(c, first + 1, WAMP_MODE_KILL);
		leave(c, dave, ways[i]);
		if (ways[i] == POST_GOODBYE)
			expect(c, dave, POST_LEFT, 0);
		expect_interrupt(c, first, WAMP_MODE_KILLNOWAIT);
		cancel(c, dave, 1, WAMP_MODE_KILLNOWAIT);
		expect_ended(c, bob, first);
		send_args(c, bob, POST_YIELD, first + 1, NULL);
		send_args(c, carol, POST_YIELD, i + 1, NULL);
		expect_nothing(c);
	}
}

static void the_callee_goes(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1);
	call_bob(c, 43, 2);
	cancel(c, alice, 43, WAMP_MODE_KILL);
	expect_interrupt(c, 2, WAMP_MODE_KILL);
	leave(c, bob, POST_GONE);
	expect_error(c, alice, WAMP_CALL, 43, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	cancel(c, alice, 42, WAMP_MODE_KILL);
	cancel(c, alice, 43, WAMP_MODE_SKIP);
	expect_ended(c, bob, 1);
}

/* Nothing goes to a session behind its end, also not about its own calls. */
static void a_session_calls_itself(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		call(c, bob, 42, "bobs", 0);
		expect(c, bob, POST_INVOCATION, i + 1);
		cancel(c, bob, 42, modes[i]);
		if (modes[i] != WAMP_MODE_SKIP)
			expect_interrupt(c, i + 1, modes[i]);
		if (modes[i] == WAMP_MODE_KILL)
			cancel(c, bob, 42, WAMP_MODE_SKIP);
		expect_canceled(c, bob, 42);
		expect_ended(c, bob, i + 1);
	}
	call(c, bob, 43, "bobs", 0);
	expect(c, bob, POST_INVOCATION, ARRAY_LEN(modes) + 1);
	leave(c, bob, POST_GOODBYE);
	expect(c, bob, POST_LEFT, 0);
	expect_ended(c, bob, ARRAY_LEN(modes) + 1);
}

/* --- no memory --- */

/* A callee that cannot be told does not stop, so kill does not wait for it. */
static void no_memory_for_the_interrupt(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (uint64_t i = 1; i <= ARRAY_LEN(modes); i++) {
		call_bob(c, 42, i);
		if (modes[i - 1] != WAMP_MODE_SKIP)
			c->outbox.fail_at = 1;
		cancel(c, alice, 42, modes[i - 1]);
		expect_canceled(c, alice, 42);
		expect_ended(c, bob, i);
	}
	const struct session_ref dave = ref(2, 10, 1);
	join(c, dave, "dave");
	call(c, dave, 1, "bobs", 0);
	expect(c, bob, POST_INVOCATION, 4);
	c->outbox.fail_at = 1;
	leave(c, dave, POST_GONE);
	expect_ended(c, bob, 4);
}

static void no_memory_for_the_answer(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 1, 1);
	call_bob(c, 2, 2);
	c->outbox.fail_at = 2;
	cancel(c, alice, 1, WAMP_MODE_KILLNOWAIT);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect(c, alice, POST_KILLED, 0);
	expect_interrupt(c, 2, WAMP_MODE_KILLNOWAIT); /* of the session that is lost */
	expect_ended(c, bob, 1);
}

static void no_memory_for_the_violation(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 1, 1);
	c->outbox.fail_at = 1;
	call(c, alice, 1, "bobs", 0);
	expect(c, alice, POST_KILLED, 0);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_ended(c, bob, 1);
}

/* Freeing a realm ends calls in both states and posts nothing, which teardown checks. */
static void a_realm_is_freed(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 1, 1);
	call_bob(c, 2, 2);
	cancel(c, alice, 2, WAMP_MODE_KILL);
	expect_interrupt(c, 2, WAMP_MODE_KILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(skip_leaves_the_callee_alone),
		core_test(killnowait_answers_at_once),
		core_test(kill_waits_for_the_callee),
		core_test(the_callee_cannot_be_interrupted),
		core_test(a_late_cancel_is_ignored),
		core_test(only_the_callers_own_call_is_canceled),
		core_test(a_second_cancel),
		core_test(a_second_cancel_no_longer_waits),
		core_test(the_callee_does_not_stop),
		core_test(the_calls_timeout_goes_on),
		core_test(canceled_calls_do_not_time_out),
		core_test(a_late_cancel_after_the_timeout),
		core_test(the_caller_goes),
		core_test(the_callee_goes),
		core_test(a_session_calls_itself),
		core_test(no_memory_for_the_interrupt),
		core_test(no_memory_for_the_answer),
		core_test(no_memory_for_the_violation),
		core_test(a_realm_is_freed),
	};

	return cmocka_run_group_tests_name("core_cancel", tests, NULL, NULL);
}
