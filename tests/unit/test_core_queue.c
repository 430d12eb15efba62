/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait at a realm's owner until a callee is free. */
#include "tests/unit/core_shared.h"

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

	return cmocka_run_group_tests_name("core_queue", tests, NULL, NULL);
}
