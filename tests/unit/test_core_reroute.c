/* SPDX-License-Identifier: Apache-2.0 */
/* Call re-routing where it finds limits: memory that runs out, the bytes that a realm
 * keeps, callees that leave, and the number of tries. The sources are included in this
 * program, so that it can replace malloc for them. One thread. */
#include "tests/unit/failing_malloc.h"

#include "routerd/core/call.c"
#include "routerd/core/reroute.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include "tests/unit/core_calls.h"

static const char none_left[] =
	"no callee took the call: each answered that it is unavailable";

static struct session_ref who(unsigned i)
{
	return (struct session_ref){
		.worker = (uint16_t)(i % N_WORKERS), .slot = 20 + i, .generation = 1};
}

static void share(struct core *c, unsigned i, uint8_t invoke, uint32_t concurrency,
		  uint8_t features)
{
	send_join_with(c, who(i), "callee", features);
	expect(c, who(i), POST_JOINED, 0);
	send_post(c, who(i),
		  (struct post){.type = POST_REGISTER,
				.request = 78,
				.invoke = invoke,
				.concurrency = concurrency,
				.payload = payload("p", NULL)});
	expect(c, who(i), POST_REGISTERED, 78);
}

/* n callees that pass calls on; the first one is asked first. */
static void share_all(struct core *c, unsigned n, uint32_t concurrency)
{
	wheel_init(&c->deadlines, READ_AT - 500);
	join(c, alice, "alice");
	for (unsigned i = 0; i < n; i++)
		share(c, i, WAMP_INVOKE_FIRST, concurrency, WAMP_FEATURE_CALL_REROUTE);
}

static void pass_on(struct core *c, unsigned callee, uint64_t invocation)
{
	fail_with(c, who(callee), invocation, WAMP_ERROR_UNAVAILABLE);
}

static void answer(struct core *c, unsigned callee, uint64_t invocation, uint64_t request)
{
	send_args(c, who(callee), POST_YIELD, invocation, NULL);
	expect(c, alice, POST_RESULT, request);
}

static void expect_nothing_left(struct core *c)
{
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(realm_counters(c->realm).reroute_bytes, 0);
	assert_int_equal(c->realm->dealer.calls.count, 0);
}

/* The callee's ERROR goes to the caller as it is. */
static void expect_own_error(struct core *c, uint64_t request)
{
	struct post p = expect(c, alice, POST_ERROR, request);

	assert_int_equal(p.request_type, WAMP_CALL);
	assert_null(p.error.uri);
	assert_uri(&p, WAMP_ERROR_UNAVAILABLE);
}

static void at_most_16_callees_are_asked(void **state)
{
	struct core *c = *state;

	share_all(c, TRIES_MAX + 1, 0);
	call(c, alice, 7, "p", 0);
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		expect(c, who(i), POST_INVOCATION, 1);
		pass_on(c, i, 1);
	}
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_NO_AVAILABLE_CALLEE, none_left);
	expect_nothing_left(c);
	assert_int_equal(realm_counters(c->realm).reroutes, TRIES_MAX - 1);
	assert_int_equal(realm_counters(c->realm).no_available_callee, 1);
}

/* The last callee that was asked leaves, then the one that is asked. */
static void callees_leave(void **state)
{
	struct core *c = *state;

	share_all(c, 4, 0);
	call(c, alice, 7, "p", 0);
	expect(c, who(0), POST_INVOCATION, 1);
	pass_on(c, 0, 1);
	expect(c, who(1), POST_INVOCATION, 1);
	send_post(c, who(0), (struct post){.type = POST_GONE});
	send_post(c, who(2), (struct post){.type = POST_GONE});
	finish_work(c);
	expect_nothing(c);
	/* a late answer of the one that has left */
	pass_on(c, 0, 1);
	expect_nothing(c);
	pass_on(c, 1, 1);
	expect(c, who(3), POST_INVOCATION, 1);
	send_post(c, who(3), (struct post){.type = POST_GONE});
	finish_work(c);
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	expect_nothing_left(c);
}

/* The registration ends while its last callee works on a call. Another one with the same
 * procedure does not get the call. */
static void the_registration_ends(void **state)
{
	struct core *c = *state;
	uint64_t id;

	share_all(c, 1, 0);
	id = c->realm->ids->next - c->realm->ids->step;
	call(c, alice, 7, "p", 0);
	expect(c, who(0), POST_INVOCATION, 1);
	send_id(c, who(0), POST_UNREGISTER, 5, id);
	expect(c, who(0), POST_UNREGISTERED, 5);
	share(c, 1, WAMP_INVOKE_FIRST, 0, WAMP_FEATURE_CALL_REROUTE);
	pass_on(c, 0, 1);
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_NO_AVAILABLE_CALLEE, none_left);
	expect_nothing_left(c);
}

/* A call that passes on gives its callee's slot to a call that waits. */
static void the_slot_is_free_again(void **state)
{
	struct core *c = *state;
	struct realm_limits limits = default_limits;

	limits.queued_calls = 2;
	limits.queued_bytes = limits.queued_total = 10000;
	realm_set_limits(c->realm, &limits);
	share_all(c, 2, 1);
	call(c, alice, 1, "p", 0);
	expect(c, who(0), POST_INVOCATION, 1);
	call(c, alice, 2, "p", 0);
	expect(c, who(1), POST_INVOCATION, 1);
	call(c, alice, 3, "p", 0);
	expect_nothing(c);
	/* the other one is busy: the call ends, it does not wait */
	pass_on(c, 0, 1);
	expect_error(c, alice, WAMP_CALL, 1, WAMP_ERROR_NO_AVAILABLE_CALLEE, none_left);
	expect(c, who(0), POST_INVOCATION, 2);
	answer(c, 1, 1, 2);
	pass_on(c, 0, 2);
	expect(c, who(1), POST_INVOCATION, 2);
	answer(c, 1, 2, 3);
	expect_nothing_left(c);
}

/* Beyond the realm's budget nothing more is kept: such a call ends with the ERROR of its
 * callee. */
static void the_bytes_are_limited(void **state)
{
	enum { BIG = 1 << 20, N = KEPT_BYTES_MAX / BIG };
	struct core *c = *state;
	char *big = malloc(BIG);

	assert_non_null(big);
	memset(big, ' ', BIG - 1);
	big[BIG - 1] = '\0';
	c->realm->limits.calls = 2 * N;
	share_all(c, 2, 0);
	for (unsigned i = 1; i <= N; i++) {
		send_post(c, alice,
			  (struct post){.type = POST_CALL,
					.request = i,
					.payload = payload("p", big)});
		expect(c, who(0), POST_INVOCATION, i);
		assert_in_range(realm_counters(c->realm).reroute_bytes, 0,
				KEPT_BYTES_MAX);
		forget_sent(c);
	}
	free(big);
	/* each one needs a little more than BIG, so the last one did not fit */
	assert_int_equal(realm_counters(c->realm).reroutes_full, 1);
	size_t kept = realm_counters(c->realm).reroute_bytes;
	assert_true(kept > (N - 1) * (size_t)BIG);
	pass_on(c, 0, N);
	expect_own_error(c, N);
	assert_int_equal(realm_counters(c->realm).reroute_bytes, kept);
	/* a small one still fits */
	call(c, alice, N + 1, "p", 0);
	expect(c, who(0), POST_INVOCATION, N + 1);
	assert_int_equal(realm_counters(c->realm).reroutes_full, 1);
	for (unsigned i = 1; i < N; i++) {
		answer(c, 0, i, i);
		forget_sent(c);
	}
	pass_on(c, 0, N + 1);
	expect(c, who(1), POST_INVOCATION, 1);
	answer(c, 1, 1, N + 1);
	expect_nothing_left(c);
}

/* Without memory for what another callee needs, the callee's ERROR goes to the caller.
 * Nothing is lost, and the next call goes on again. */
static void memory_runs_out_at_each_place(void **state)
{
	struct core *c = *state;
	bool refused = false, own = false;
	size_t before;

	share_all(c, 2, 0);
	for (size_t n = 1; n <= 3; n++) {
		uint64_t last = c->realm->counters.calls;
		/* no struct is left for reuse, so that each call allocates its own */
		struct call *unused = SLIST_FIRST(&c->realm->dealer.free_calls);
		if (unused != NULL) {
			SLIST_REMOVE_HEAD(&c->realm->dealer.free_calls, free);
			c->realm->dealer.n_free_calls--;
			counted_free(unused);
		}
		before = not_freed;
		allocations = 0;
		fail_at = n;
		call(c, alice, 10 + last, "p", 0);
		fail_at = 0;
		struct post p = c->outbox.sent[c->outbox.first++].post;
		if (p.type == POST_ERROR) {
			assert_string_equal(p.error.text, "out of memory");
			refused = true;
			assert_int_equal(not_freed, before);
			continue;
		}
		assert_int_equal(p.type, POST_INVOCATION);
		pass_on(c, 0, p.request);
		if (n == 2) {
			expect_own_error(c, 10 + last);
			own = true;
		} else {
			uint64_t request = c->outbox.sent[c->outbox.first].post.request;
			expect(c, who(1), POST_INVOCATION, request);
			answer(c, 1, request, 10 + last);
		}
		expect_nothing_left(c);
	}
	assert_true(refused && own);
}

/* The post to the next callee finds no memory: the caller gets an ERROR. */
static void no_memory_for_the_post(void **state)
{
	struct core *c = *state;

	share_all(c, 2, 1);
	call(c, alice, 7, "p", 0);
	expect(c, who(0), POST_INVOCATION, 1);
	c->outbox.fail_at = 1;
	pass_on(c, 0, 1);
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_UNAVAILABLE, "out of memory");
	expect_nothing_left(c);
	/* neither callee has lost a slot or sees a gap in the ids */
	call(c, alice, 8, "p", 0);
	expect(c, who(0), POST_INVOCATION, 2);
	pass_on(c, 0, 2);
	expect(c, who(1), POST_INVOCATION, 1);
	answer(c, 1, 1, 8);
	expect_nothing_left(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(at_most_16_callees_are_asked),
		core_test(callees_leave),
		core_test(the_registration_ends),
		core_test(the_slot_is_free_again),
		core_test(the_bytes_are_limited),
		core_test(memory_runs_out_at_each_place),
		core_test(no_memory_for_the_post),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
