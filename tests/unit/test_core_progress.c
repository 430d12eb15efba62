/* SPDX-License-Identifier: Apache-2.0 */
/* Progressive call results at a realm's owner. The test is the worker: it chooses the
 * order in which posts arrive, says when they were read, and runs the wheel. */
#include "tests/unit/core_calls.h"

enum {
	TIMEOUT = 50,
	KILL_MAX = 30000, /* how long a callee may take to stop */
};

static const enum wamp_cancel_mode modes[] = {WAMP_MODE_SKIP, WAMP_MODE_KILL,
					      WAMP_MODE_KILLNOWAIT};
static const struct post_error lost = {WAMP_ERROR_INVALID_ARGUMENT, "NaN"};

static void call_with(struct core *c, struct session_ref who, uint64_t request,
		      const char *procedure, bool progress, uint32_t timeout_ms)
{
	send_post(c, who,
		  (struct post){.type = POST_CALL,
				.time_ms = READ_AT,
				.request = request,
				.progress = progress,
				.payload = payload(procedure, NULL),
				.timeout_ms = timeout_ms});
}

/* Alice calls bob's procedure and wants progressive results. */
static void call_bob(struct core *c, uint64_t request, uint64_t invocation,
		     uint32_t timeout_ms)
{
	call_with(c, alice, request, "bobs", true, timeout_ms);
	assert_true(expect(c, bob, POST_INVOCATION, invocation).progress);
}

static void progress_at(struct core *c, struct session_ref callee, uint64_t invocation,
			uint64_t read_ms)
{
	send_post(c, callee,
		  (struct post){.type = POST_YIELD,
				.time_ms = read_ms,
				.request = invocation,
				.progress = true,
				.payload = payload(NULL, "[\"so far\"]")});
}

static void progress(struct core *c, struct session_ref callee, uint64_t invocation)
{
	progress_at(c, callee, invocation, READ_AT);
}

static void expect_progress(struct core *c, struct session_ref caller, uint64_t request)
{
	struct post p = expect(c, caller, POST_RESULT, request);

	assert_true(p.progress);
	assert_args(&p, "[\"so far\"]");
}

static void yield(struct core *c, struct session_ref callee, uint64_t invocation)
{
	send_args(c, callee, POST_YIELD, invocation, "[\"all\"]");
}

static void expect_result(struct core *c, struct session_ref caller, uint64_t request)
{
	struct post p = expect(c, caller, POST_RESULT, request);

	assert_false(p.progress);
	assert_args(&p, "[\"all\"]");
}

/* The caller's worker could not deliver a progressive result. */
static void lose_result(struct core *c, struct session_ref caller, uint64_t request)
{
	send_post(c, caller,
		  (struct post){.type = POST_UNDELIVERABLE,
				.request_type = WAMP_CALL,
				.request = request,
				.error = lost});
}

/* The callee's worker has read an answer with an invalid value. */
static void refuse_answer(struct core *c, struct session_ref callee, uint64_t invocation,
			  bool progress)
{
	send_post(c, callee,
		  (struct post){.type = POST_UNDELIVERABLE,
				.request_type = WAMP_INVOCATION,
				.request = invocation,
				.progress = progress,
				.error = lost});
}

static void expect_lost(struct core *c, struct session_ref caller, uint64_t request)
{
	expect_error(c, caller, WAMP_CALL, request, lost.uri, lost.text);
}

/* The call has left nothing behind, and whatever comes for it now is dropped. */
static void expect_ended(struct core *c, uint64_t request, struct session_ref callee,
			 uint64_t invocation)
{
	uint64_t unknown = realm_counters(c->realm).unknown_answers;

	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(c->realm->dealer.requests.count, 0);
	assert_int_equal(c->deadlines.nodes, 0);
	progress(c, callee, invocation);
	refuse_answer(c, callee, invocation, true);
	yield(c, callee, invocation);
	fail_with(c, callee, invocation, "wamp.error.canceled");
	progress(c, callee, invocation);
	lose_result(c, alice, request);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		cancel(c, alice, request, modes[i]);
	run_to(c, READ_AT + 10 * KILL_MAX);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unknown_answers, unknown + 5);
	wheel_init(&c->deadlines, READ_AT - 500);
}

/* --- results --- */

static void a_stream(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, 0);
	for (unsigned i = 0; i < 3; i++) {
		progress(c, bob, 1);
		expect_progress(c, alice, 42);
		assert_int_equal(realm_counters(c->realm).calls_in_flight, 1);
	}
	yield(c, bob, 1);
	expect_result(c, alice, 42);
	expect_ended(c, 42, bob, 1);
	assert_int_equal(realm_counters(c->realm).progressive_results, 3);
	assert_int_equal(realm_counters(c->realm).results, 1);

	/* a callee may also send an error, or no progressive result */
	call_bob(c, 43, 2, 0);
	progress(c, bob, 2);
	expect_progress(c, alice, 43);
	fail_with(c, bob, 2, "com.example.broken");
	struct post p = expect(c, alice, POST_ERROR, 43);
	assert_uri(&p, "com.example.broken");
	expect_ended(c, 43, bob, 2);
	call_bob(c, 44, 3, 0);
	yield(c, bob, 3);
	expect_result(c, alice, 44);
	expect_ended(c, 44, bob, 3);
}

/* A callee need not announce anything to get receive_progress. A caller that has not
 * asked gets the final result only. */
static void only_who_asks_gets_progress(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_with(c, alice, 42, "carols", true, 0);
	assert_true(expect(c, carol, POST_INVOCATION, 1).progress);
	progress(c, carol, 1);
	expect_progress(c, alice, 42);
	yield(c, carol, 1);
	expect_result(c, alice, 42);
	expect_ended(c, 42, carol, 1);

	call_with(c, alice, 43, "bobs", false, 0);
	assert_false(expect(c, bob, POST_INVOCATION, 1).progress);
	progress(c, bob, 1);
	refuse_answer(c, bob, 1, true);
	expect_nothing(c);
	yield(c, bob, 1);
	expect_result(c, alice, 43);
	/* this call uses the memory of the last one */
	call_with(c, alice, 44, "bobs", false, 0);
	assert_false(expect(c, bob, POST_INVOCATION, 2).progress);
	progress(c, bob, 2);
	expect_nothing(c);
	yield(c, bob, 2);
	expect_result(c, alice, 44);
	expect_ended(c, 44, bob, 2);
	assert_int_equal(realm_counters(c->realm).progressive_results, 1);
}

static void only_the_callee_answers(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, 0);
	progress(c, carol, 1);
	progress(c, alice, 42);
	progress(c, bob, 2);
	lose_result(c, carol, 42);
	lose_result(c, bob, 1);
	lose_result(c, alice, 1);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 3);
	yield(c, bob, 1);
	expect_result(c, alice, 42);
	expect_ended(c, 42, bob, 1);
}

/* --- CANCEL --- */

/* A progressive result comes before the CANCEL, and another one after it. */
static void a_stream_is_canceled(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (uint64_t i = 1; i <= ARRAY_LEN(modes); i++) {
		enum wamp_cancel_mode mode = modes[i - 1];
		call_bob(c, 42, i, 0);
		progress(c, bob, i);
		expect_progress(c, alice, 42);
		cancel(c, alice, 42, mode);
		if (mode != WAMP_MODE_SKIP)
			expect_interrupt(c, i, mode);
		if (mode == WAMP_MODE_KILL) {
			/* the caller waits for the end, not for more results */
			progress(c, bob, i);
			refuse_answer(c, bob, i, true);
			expect_nothing(c);
			yield(c, bob, i);
			expect_result(c, alice, 42);
		} else {
			expect_canceled(c, alice, 42);
		}
		expect_ended(c, 42, bob, i);
	}
	assert_int_equal(realm_counters(c->realm).progressive_results, 3);
}

/* --- timeouts --- */

static void each_result_renews_the_timeout(void **state)
{
	struct core *c = *state;
	uint64_t due = READ_AT + TIMEOUT;

	join_all(c);
	call_bob(c, 42, 1, TIMEOUT);
	for (unsigned i = 0; i < 5; i++, due += TIMEOUT - 1) {
		run_to(c, due);
		progress_at(c, bob, 1, due - 1);
		expect_progress(c, alice, 42);
	}
	run_to(c, due);
	expect_nothing(c);
	run_to(c, due + WHEEL_TICK_MS);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_TIMEOUT,
		     "the callee did not answer within the call's timeout");
	expect_ended(c, 42, bob, 1);
	assert_int_equal(realm_counters(c->realm).timeouts, 1);
}

/* A result that the caller does not get does not keep the call alive. */
static void dropped_results_renew_nothing(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_with(c, alice, 42, "bobs", false, TIMEOUT);
	expect(c, bob, POST_INVOCATION, 1);
	progress_at(c, bob, 1, READ_AT + TIMEOUT);
	run_to(c, READ_AT + TIMEOUT + WHEEL_TICK_MS);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect(c, alice, POST_ERROR, 42);
	expect_ended(c, 42, bob, 1);

	/* also not after kill, with a timeout and without one */
	for (uint64_t i = 2; i <= 3; i++) {
		uint64_t max = i == 2 ? TIMEOUT : KILL_MAX;
		call_bob(c, 42, i, i == 2 ? TIMEOUT : 0);
		cancel(c, alice, 42, WAMP_MODE_KILL);
		expect_interrupt(c, i, WAMP_MODE_KILL);
		progress_at(c, bob, i, READ_AT + max);
		run_to(c, READ_AT + max + WHEEL_TICK_MS);
		expect_error(
			c, alice, WAMP_CALL, 42,
			i == 2 ? WAMP_ERROR_TIMEOUT : WAMP_ERROR_CANCELED,
			i == 2 ? "the callee did not answer within the call's timeout"
			       : "the call was canceled, and the callee did not stop "
				 "within 30 s");
		expect_ended(c, 42, bob, i);
	}
	/* a call without a timeout gets none by a result */
	call_bob(c, 42, 4, 0);
	progress(c, bob, 4);
	expect_progress(c, alice, 42);
	assert_int_equal(c->deadlines.nodes, 0);
	yield(c, bob, 4);
	expect_result(c, alice, 42);
}

/* --- results that cannot be delivered --- */

/* The owner hears of it before the final result, and after it. */
static void a_result_is_lost(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, TIMEOUT);
	progress(c, bob, 1);
	expect_progress(c, alice, 42);
	lose_result(c, alice, 42);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_lost(c, alice, 42);
	expect_ended(c, 42, bob, 1);

	call_bob(c, 43, 2, TIMEOUT);
	progress(c, bob, 2);
	expect_progress(c, alice, 43);
	yield(c, bob, 2);
	expect_result(c, alice, 43); /* alice's worker makes an ERROR of it */
	lose_result(c, alice, 43);
	expect_ended(c, 43, bob, 2);

	/* carol cannot be interrupted */
	call_with(c, alice, 44, "carols", true, 0);
	expect(c, carol, POST_INVOCATION, 1);
	progress(c, carol, 1);
	expect_progress(c, alice, 44);
	lose_result(c, alice, 44);
	expect_lost(c, alice, 44);
	expect_ended(c, 44, carol, 1);

	/* bob was interrupted before */
	call_bob(c, 45, 3, 0);
	progress(c, bob, 3);
	expect_progress(c, alice, 45);
	cancel(c, alice, 45, WAMP_MODE_KILL);
	expect_interrupt(c, 3, WAMP_MODE_KILL);
	lose_result(c, alice, 45);
	expect_lost(c, alice, 45);
	expect_ended(c, 45, bob, 3);
}

/* The callee sends a progressive result that cannot be passed on. */
static void a_result_is_invalid(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, 0);
	progress(c, bob, 1);
	expect_progress(c, alice, 42);
	refuse_answer(c, bob, 1, true);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_lost(c, alice, 42);
	expect_ended(c, 42, bob, 1);
	/* after a final result, the callee need not be told */
	call_bob(c, 43, 2, 0);
	refuse_answer(c, bob, 2, false);
	expect_lost(c, alice, 43);
	expect_ended(c, 43, bob, 2);
}

/* --- a session leaves --- */

static void the_caller_goes(void **state)
{
	static const enum post_type ways[] = {POST_GONE, POST_GOODBYE};
	struct core *c = *state;

	join_all(c);
	for (uint32_t i = 0; i < ARRAY_LEN(ways); i++) {
		const struct session_ref dave = ref(2, 10 + i, 1);
		join(c, dave, "dave");
		call_with(c, dave, 1, "bobs", true, TIMEOUT);
		expect(c, bob, POST_INVOCATION, i + 1);
		progress(c, bob, i + 1);
		expect_progress(c, dave, 1);
		call_with(c, dave, 2, "carols", true, TIMEOUT);
		expect(c, carol, POST_INVOCATION, i + 1);
		progress(c, carol, i + 1);
		expect_progress(c, dave, 2);
		send_post(c, dave, (struct post){.type = (uint8_t)ways[i]});
		if (ways[i] == POST_GOODBYE)
			expect(c, dave, POST_LEFT, 0);
		expect_interrupt(c, i + 1, WAMP_MODE_KILLNOWAIT);
		lose_result(c, dave, 1);
		expect_ended(c, 1, bob, i + 1);
		expect_ended(c, 2, carol, i + 1);
	}
	assert_int_equal(realm_counters(c->realm).sessions, 3);
}

static void the_callee_goes(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, TIMEOUT);
	progress(c, bob, 1);
	expect_progress(c, alice, 42);
	send_post(c, bob, (struct post){.type = POST_GONE});
	expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	lose_result(c, alice, 42);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(c->deadlines.nodes, 0);
	expect_nothing(c);
}

static void a_session_calls_itself(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_with(c, bob, 42, "bobs", true, 0);
	expect(c, bob, POST_INVOCATION, 1);
	progress(c, bob, 1);
	expect_progress(c, bob, 42);
	lose_result(c, bob, 42);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_lost(c, bob, 42);
	expect_ended(c, 42, bob, 1);
	call_with(c, bob, 43, "bobs", true, 0);
	expect(c, bob, POST_INVOCATION, 2);
	progress(c, bob, 2);
	expect_progress(c, bob, 43);
	send_post(c, bob, (struct post){.type = POST_GONE});
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	expect_nothing(c);
}

/* --- no memory --- */

/* A result must not be missing in a stream without a word. */
static void no_memory_for_a_result(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, TIMEOUT);
	c->outbox.fail_at = 1;
	progress(c, bob, 1);
	expect(c, alice, POST_KILLED, 0);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(c->deadlines.nodes, 0);
}

static void no_memory_for_the_interrupt(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, 0);
	progress(c, bob, 1);
	expect_progress(c, alice, 42);
	c->outbox.fail_at = 1;
	lose_result(c, alice, 42);
	expect_lost(c, alice, 42);
	expect_ended(c, 42, bob, 1);
}

/* Freeing a realm ends a stream and posts nothing, which teardown checks. */
static void a_realm_is_freed(void **state)
{
	struct core *c = *state;

	join_all(c);
	call_bob(c, 42, 1, TIMEOUT);
	progress(c, bob, 1);
	expect_progress(c, alice, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(a_stream),
		core_test(only_who_asks_gets_progress),
		core_test(only_the_callee_answers),
		core_test(a_stream_is_canceled),
		core_test(each_result_renews_the_timeout),
		core_test(dropped_results_renew_nothing),
		core_test(a_result_is_lost),
		core_test(a_result_is_invalid),
		core_test(the_caller_goes),
		core_test(the_callee_goes),
		core_test(a_session_calls_itself),
		core_test(no_memory_for_a_result),
		core_test(no_memory_for_the_interrupt),
		core_test(a_realm_is_freed),
	};

	return cmocka_run_group_tests_name("core_progress", tests, NULL, NULL);
}
