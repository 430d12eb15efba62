/* SPDX-License-Identifier: Apache-2.0 */
/* Progressive input at a realm's owner: the events of a call in each of its states, in
 * both orders. The test is the worker: it chooses the order in which posts arrive, says
 * when they were read, and runs the wheel. */
#include "tests/unit/core_calls.h"

enum {
	TIMEOUT = 50,
	TAKES_INPUT =
		WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS | WAMP_FEATURE_CALL_CANCELING,
};

static const enum wamp_cancel_mode modes[] = {WAMP_MODE_SKIP, WAMP_MODE_KILL,
					      WAMP_MODE_KILLNOWAIT};

/* Bob takes progressive input, carol does not; both have a procedure. */
static void join_three(struct core *c)
{
	wheel_init(&c->deadlines, READ_AT - 500);
	join(c, alice, "alice");
	send_join_with(c, bob, "bob", TAKES_INPUT);
	expect(c, bob, POST_JOINED, 0);
	join(c, carol, "carol");
	provide(c, bob, "bobs");
	provide(c, carol, "carols");
}

static void open_with(struct core *c, uint64_t request, struct post p)
{
	p.type = POST_CALL;
	p.time_ms = READ_AT;
	p.request = request;
	p.chunk = CHUNK_FIRST;
	if (p.payload == NULL)
		p.payload = payload("bobs", "[1]");
	send_post(c, alice, p);
}

static void expect_chunk(struct core *c, uint64_t invocation, enum call_chunk chunk,
			 const char *arguments)
{
	struct post p = expect(c, bob, POST_INVOCATION, invocation);

	assert_int_equal(p.chunk, chunk);
	assert_args(&p, arguments);
}

/* Alice calls bob and has sent the first chunk. */
static void open_input(struct core *c, uint64_t request, uint64_t invocation)
{
	open_with(c, request, (struct post){.timeout_ms = 0});
	expect_chunk(c, invocation, CHUNK_FIRST, "[1]");
}

static void chunk_at(struct core *c, uint64_t request, enum call_chunk chunk,
		     uint64_t read_ms)
{
	send_post(c, alice,
		  (struct post){.type = POST_CHUNK,
				.time_ms = read_ms,
				.request = request,
				.chunk = (uint8_t)chunk,
				.payload = payload("bobs", "[2]")});
}

static void chunk(struct core *c, uint64_t request, enum call_chunk which)
{
	chunk_at(c, request, which, READ_AT);
}

static void yield(struct core *c, uint64_t invocation)
{
	send_args(c, bob, POST_YIELD, invocation, "[\"all\"]");
}

static void lose_chunk(struct core *c, uint64_t invocation, enum call_chunk which)
{
	bool first = which == CHUNK_FIRST;

	send_post(c, bob,
		  (struct post){.type = first ? POST_UNSENT : POST_UNDELIVERABLE,
				.request_type = WAMP_INVOCATION,
				.request = invocation,
				.chunk = (uint8_t)which,
				.error = {WAMP_ERROR_UNAVAILABLE, "too slow"}});
}

/* Nothing is left of the call, and whatever comes for it now is dropped. */
static void expect_ended(struct core *c, uint64_t request, uint64_t invocation)
{
	struct realm_counters before = realm_counters(c->realm);

	assert_int_equal(before.calls_in_flight, 0);
	assert_int_equal(c->realm->dealer.calls.count, 0);
	assert_int_equal(c->deadlines.nodes, 0);
	expect_nothing(c);
	chunk(c, request, CHUNK_NEXT);
	chunk(c, request, CHUNK_LAST);
	cancel(c, alice, request, WAMP_MODE_KILLNOWAIT);
	yield(c, invocation);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).late_chunks, before.late_chunks + 2);
	assert_int_equal(realm_counters(c->realm).unknown_answers,
			 before.unknown_answers + 1);
}

static void test_chunks_go_to_one_callee(void **state)
{
	struct core *c = *state;

	join_three(c);
	open_input(c, 7, 1);
	chunk(c, 7, CHUNK_NEXT);
	expect_chunk(c, 1, CHUNK_NEXT, "[2]");
	/* another call in between has its own number */
	call(c, alice, 8, "bobs", 0);
	assert_int_equal(expect(c, bob, POST_INVOCATION, 2).chunk, CHUNK_NONE);
	chunk(c, 7, CHUNK_LAST);
	expect_chunk(c, 1, CHUNK_LAST, "[2]");
	yield(c, 1);
	expect(c, alice, POST_RESULT, 7);
	yield(c, 2);
	expect(c, alice, POST_RESULT, 8);
	expect_ended(c, 7, 1);
	assert_int_equal(realm_counters(c->realm).calls, 2);
}

/* The first CALL decides on everything; each INVOCATION says it again. */
static void test_details_are_repeated(void **state)
{
	struct core *c = *state;
	uint64_t id;

	join_three(c);
	send_post(c, bob,
		  (struct post){.type = POST_REGISTER,
				.request = 1,
				.match = MATCH_PREFIX,
				.disclose = DISCLOSE_YES,
				.payload = payload("p.", NULL)});
	id = expect(c, bob, POST_REGISTERED, 1).id;
	for (unsigned disclose = DISCLOSE_NO; disclose <= DISCLOSE_YES; disclose++) {
		open_with(c, 7,
			  (struct post){.progress = true,
					.trust = 4,
					.disclose = (uint8_t)disclose,
					.payload = payload("p.x", "[1]")});
		chunk(c, 7, CHUNK_NEXT);
		chunk(c, 7, CHUNK_LAST);
		for (unsigned i = CHUNK_FIRST; i <= CHUNK_LAST; i++) {
			struct post p = expect(c, bob, POST_INVOCATION, disclose + 1u);
			assert_int_equal(p.chunk, i);
			assert_int_equal(p.id, id);
			assert_int_equal(p.match, MATCH_PREFIX);
			assert_int_equal(p.trust, 4);
			assert_true(p.progress);
			assert_non_null(p.disclosed);
			assert_int_equal(p.disclosed->session, session_id(alice));
		}
		yield(c, disclose + 1u);
		expect(c, alice, POST_RESULT, 7);
	}
	/* this caller must not be disclosed: nothing is kept for such a call */
	open_with(c, 7,
		  (struct post){.disclose = DISCLOSE_NEVER,
				.payload = payload("p.x", "[1]")});
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_DISCLOSE_ME,
		     "the callee must know its callers (disclose_caller), but a "
		     "permission of the caller's role forbids it (disclose)");
	open_input(c, 7, 3);
	chunk(c, 7, CHUNK_LAST);
	assert_null(expect(c, bob, POST_INVOCATION, 3).disclosed);
	yield(c, 3);
	expect(c, alice, POST_RESULT, 7);
	expect_ended(c, 7, 3);
}

/* --- the end of a call, before and after its last chunk --- */

/* A call with open input, or with complete input. */
static void begin(struct core *c, bool open)
{
	join_three(c);
	open_input(c, 7, 1);
	if (open)
		return;
	chunk(c, 7, CHUNK_LAST);
	expect_chunk(c, 1, CHUNK_LAST, "[2]");
}

static void check_answers(struct core *c, bool open)
{
	begin(c, open);
	yield(c, 1);
	expect(c, alice, POST_RESULT, 7);
	expect_ended(c, 7, 1);
	open_input(c, 8, 2);
	fail_with(c, bob, 2, "e");
	expect(c, alice, POST_ERROR, 8);
	expect_ended(c, 8, 2);
}

static void check_cancel(struct core *c, bool open, enum wamp_cancel_mode mode)
{
	begin(c, open);
	cancel(c, alice, 7, mode);
	if (mode != WAMP_MODE_SKIP)
		expect_interrupt(c, 1, mode);
	else if (open)
		expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	if (mode == WAMP_MODE_KILL) {
		expect_nothing(c);
		chunk(c, 7, CHUNK_NEXT);
		chunk(c, 7, CHUNK_LAST);
		expect_nothing(c);
		/* a second CANCEL does not wait; no second INTERRUPT */
		cancel(c, alice, 7, WAMP_MODE_SKIP);
	}
	expect_canceled(c, alice, 7);
	expect_ended(c, 7, 1);
}

static void check_kill_then_answer(struct core *c, bool open)
{
	begin(c, open);
	cancel(c, alice, 7, WAMP_MODE_KILL);
	expect_interrupt(c, 1, WAMP_MODE_KILL);
	chunk(c, 7, CHUNK_NEXT);
	yield(c, 1);
	expect(c, alice, POST_RESULT, 7);
	expect_ended(c, 7, 1);
}

static void check_caller_leaves(struct core *c, bool open)
{
	begin(c, open);
	send_id(c, alice, POST_GOODBYE, 0, 0);
	expect(c, alice, POST_LEFT, 0);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	finish_work(c);
	assert_int_equal(c->realm->dealer.calls.count, 0);
	chunk(c, 7, CHUNK_NEXT);
	yield(c, 1);
	expect_nothing(c);
}

static void check_callee_leaves(struct core *c, bool open)
{
	begin(c, open);
	send_id(c, bob, POST_GONE, 0, 0);
	finish_work(c);
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	assert_int_equal(c->realm->dealer.requests.count, 0);
	chunk(c, 7, CHUNK_NEXT);
	expect_nothing(c);
}

static void check_unregister(struct core *c, bool open)
{
	uint64_t id;

	join_three(c);
	id = provide(c, bob, "p");
	open_with(c, 7, (struct post){.payload = payload("p", "[1]")});
	expect_chunk(c, 1, CHUNK_FIRST, "[1]");
	if (open)
		chunk(c, 7, CHUNK_LAST);
	send_id(c, bob, POST_UNREGISTER, 1, id);
	if (open)
		expect_chunk(c, 1, CHUNK_LAST, "[2]");
	expect(c, bob, POST_UNREGISTERED, 1);
	if (!open) {
		chunk(c, 7, CHUNK_NEXT);
		expect_chunk(c, 1, CHUNK_NEXT, "[2]");
	}
	yield(c, 1);
	expect(c, alice, POST_RESULT, 7);
	expect_ended(c, 7, 1);
}

/* A chunk that the caller's worker could not read ends the call. */
static void check_bad_chunk(struct core *c, bool open)
{
	begin(c, open);
	send_post(c, alice,
		  (struct post){.type = POST_UNDELIVERABLE,
				.request_type = WAMP_CALL,
				.request = 7,
				.error = {WAMP_ERROR_INVALID_ARGUMENT, "NaN"}});
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_INVALID_ARGUMENT, "NaN");
	expect_ended(c, 7, 1);
}

static void next_realm(struct core *c)
{
	forget_sent(c);
	realm_free(&c->realm);
	c->realm = realm_new(REALM, N_WORKERS, &default_limits, &c->ids, &c->deadlines,
			     &c->outbox);
	assert_non_null(c->realm);
}

static void test_every_end(void **state)
{
	static void (*const checks[])(struct core *, bool) = {
		check_answers,       check_kill_then_answer, check_caller_leaves,
		check_callee_leaves, check_unregister,       check_bad_chunk,
	};
	struct core *c = *state;

	for (unsigned open = 0; open <= 1; open++) {
		for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
			checks[i](c, open);
			next_realm(c);
		}
		for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
			check_cancel(c, open, modes[i]);
			next_realm(c);
		}
	}
}

/* --- timeouts --- */

static void test_each_chunk_renews_the_timeout(void **state)
{
	struct core *c = *state;
	uint64_t now = READ_AT;

	join_three(c);
	open_with(c, 7, (struct post){.timeout_ms = TIMEOUT});
	expect_chunk(c, 1, CHUNK_FIRST, "[1]");
	for (unsigned i = 0; i < 5; i++) {
		now += TIMEOUT - 1;
		run_to(c, now);
		chunk_at(c, 7, i < 4 ? CHUNK_NEXT : CHUNK_LAST, now);
		expect_chunk(c, 1, i < 4 ? CHUNK_NEXT : CHUNK_LAST, "[2]");
	}
	run_to(c, now + TIMEOUT - 1);
	expect_nothing(c);
	run_to(c, now + TIMEOUT + WHEEL_TICK_MS);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_TIMEOUT,
		     "the callee did not answer within the call's timeout");
	expect_ended(c, 7, 1);
}

/* --- chunks that the callee does not get --- */

static void test_a_chunk_is_lost(void **state)
{
	struct core *c = *state;

	for (unsigned lost = CHUNK_FIRST; lost <= CHUNK_LAST; lost++) {
		begin(c, lost != CHUNK_LAST);
		if (lost == CHUNK_NEXT) {
			chunk(c, 7, CHUNK_NEXT);
			expect_chunk(c, 1, CHUNK_NEXT, "[2]");
		}
		/* this one is on its way, and the callee's worker will drop it */
		if (lost != CHUNK_LAST) {
			chunk(c, 7, CHUNK_NEXT);
			expect_chunk(c, 1, CHUNK_NEXT, "[2]");
		}
		lose_chunk(c, 1, (enum call_chunk)lost);
		/* without the first chunk the callee does not know of the call */
		if (lost != CHUNK_FIRST) {
			expect(c, bob, POST_INPUT_OVER, 1);
			expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
		}
		expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_UNAVAILABLE, "too slow");
		if (lost == CHUNK_FIRST) {
			yield(c, 1);
			expect(c, bob, POST_RENUMBERED, 0);
		}
		expect_ended(c, 7, 1);
		next_realm(c);
	}
}

/* Its worker waits for INPUT_OVER also if the call has ended before, or was killed. */
static void test_a_chunk_of_an_ended_call_is_lost(void **state)
{
	struct core *c = *state;

	begin(c, true);
	yield(c, 1);
	expect(c, alice, POST_RESULT, 7);
	lose_chunk(c, 1, CHUNK_NEXT);
	expect(c, bob, POST_INPUT_OVER, 1);
	expect_ended(c, 7, 1);
	open_input(c, 8, 2);
	cancel(c, alice, 8, WAMP_MODE_KILL);
	expect_interrupt(c, 2, WAMP_MODE_KILL);
	lose_chunk(c, 2, CHUNK_NEXT);
	expect(c, bob, POST_INPUT_OVER, 2);
	expect_error(c, alice, WAMP_CALL, 8, WAMP_ERROR_UNAVAILABLE, "too slow");
	expect_ended(c, 8, 2);
}

static void test_no_memory_for_a_chunk(void **state)
{
	struct core *c = *state;

	begin(c, true);
	c->outbox.fail_at = 1;
	chunk(c, 7, CHUNK_NEXT);
	expect_interrupt(c, 1, WAMP_MODE_KILLNOWAIT);
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_UNAVAILABLE, "out of memory");
	expect_ended(c, 7, 1);
	/* the first one */
	c->outbox.fail_at = 1;
	open_with(c, 8, (struct post){.timeout_ms = TIMEOUT});
	expect_error(c, alice, WAMP_CALL, 8, WAMP_ERROR_UNAVAILABLE, "out of memory");
	expect_ended(c, 8, 2);
	open_input(c, 9, 2);
	yield(c, 2);
	expect(c, alice, POST_RESULT, 9);
}

/* --- violations --- */

static void test_the_id_of_another_call(void **state)
{
	static const char text[] = "CALL.Request: expected a new id, because a call with "
				   "this id is in flight";
	struct core *c = *state;

	begin(c, false);
	/* complete input is not continued */
	chunk(c, 7, CHUNK_NEXT);
	assert_string_equal(expect(c, alice, POST_VIOLATION, 0).error.text, text);
	open_with(c, 7, (struct post){.timeout_ms = 0});
	assert_string_equal(expect(c, alice, POST_VIOLATION, 0).error.text, text);
	yield(c, 1);
	expect(c, alice, POST_RESULT, 7);
	call(c, alice, 8, "bobs", 0);
	expect(c, bob, POST_INVOCATION, 2);
	chunk(c, 8, CHUNK_LAST);
	assert_string_equal(expect(c, alice, POST_VIOLATION, 0).error.text, text);
	yield(c, 2);
	expect(c, alice, POST_RESULT, 8);
	/* a call of one's own with the same id, and a chunk of nobody's */
	open_input(c, 9, 3);
	send_post(c, carol,
		  (struct post){.type = POST_CHUNK,
				.request = 9,
				.chunk = CHUNK_LAST,
				.payload = payload("bobs", "[2]")});
	expect_nothing(c);
	yield(c, 3);
	expect(c, alice, POST_RESULT, 9);
	expect_ended(c, 9, 3);
}

/* --- shared registrations --- */

enum { CALLEES = 6 };

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

static void open_shared(struct core *c, uint64_t request)
{
	open_with(c, request, (struct post){.payload = payload("p", "[1]")});
}

/* Opens an input and ends it: the callee. */
static unsigned upload(struct core *c, uint64_t request)
{
	struct post p;

	open_shared(c, request);
	assert_true(c->outbox.first < c->outbox.end);
	p = c->outbox.sent[c->outbox.first++].post;
	assert_int_equal(p.type, POST_INVOCATION);
	send_args(c, p.session, POST_YIELD, p.request, NULL);
	expect(c, alice, POST_RESULT, request);
	forget_sent(c);
	return p.session.slot - 20;
}

/* Callees 1, 3 and 4 take progressive input; 0 has only one of the features, 2 the other,
 * and 5 none. */
static void share_all(struct core *c, uint8_t invoke, uint32_t concurrency)
{
	static const uint8_t features[CALLEES] = {
		WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS,
		TAKES_INPUT,
		WAMP_FEATURE_CALL_CANCELING,
		TAKES_INPUT,
		TAKES_INPUT,
		0,
	};

	join(c, alice, "alice");
	for (unsigned i = 0; i < CALLEES; i++)
		share(c, i, invoke, concurrency, features[i]);
}

static void test_policies(void **state)
{
	static const uint8_t rounds[] = {1, 3, 4, 1, 3, 4};
	struct core *c = *state;
	unsigned seen = 0;

	share_all(c, WAMP_INVOKE_ROUNDROBIN, 0);
	for (size_t i = 0; i < ARRAY_LEN(rounds); i++)
		assert_int_equal(upload(c, 1), rounds[i]);
	/* a plain call takes its turn behind the last upload */
	call(c, alice, 2, "p", 0);
	assert_int_equal(next_post(c, who(5).worker, POST_INVOCATION).session.slot, 25);
	next_realm(c);
	share_all(c, WAMP_INVOKE_FIRST, 0);
	assert_int_equal(upload(c, 1), 1);
	assert_int_equal(upload(c, 1), 1);
	next_realm(c);
	share_all(c, WAMP_INVOKE_LAST, 0);
	assert_int_equal(upload(c, 1), 4);
	assert_int_equal(upload(c, 1), 4);
	next_realm(c);
	share_all(c, WAMP_INVOKE_RANDOM, 0);
	for (unsigned i = 0; i < 200; i++)
		seen |= BIT(upload(c, 1));
	assert_int_equal(seen, BIT(1) | BIT(3) | BIT(4));
	next_realm(c);
}

/* All busy, and all gone. Such a call waits in no queue. */
static void test_no_callee(void **state)
{
	struct core *c = *state;
	struct realm_limits limits = default_limits;

	limits.calls = 40;
	limits.queued_calls = 10;
	limits.queued_bytes = limits.queued_total = 1 << 20;
	realm_set_limits(c->realm, &limits);
	share_all(c, WAMP_INVOKE_ROUNDROBIN, 1);
	for (unsigned i = 1; i <= 3; i++) {
		open_shared(c, i);
		next_post(c, who(i == 1 ? 1 : i + 1).worker, POST_INVOCATION);
	}
	open_shared(c, 4);
	expect_error(c, alice, WAMP_CALL, 4, WAMP_ERROR_NO_AVAILABLE_CALLEE,
		     "all callees that take progressive input are busy, for procedure");
	assert_int_equal(realm_counters(c->realm).no_available_callee, 1);
	/* three plain calls reach the other callees, one waits */
	for (unsigned i = 5; i <= 8; i++)
		call(c, alice, i, "p", 0);
	forget_sent(c);
	assert_int_equal(realm_counters(c->realm).calls_queued, 1);
	/* the slot of callee 1 goes to the call that waits */
	send_args(c, who(1), POST_YIELD, 1, NULL);
	expect(c, alice, POST_RESULT, 1);
	expect(c, who(1), POST_INVOCATION, 2);
	open_shared(c, 9);
	expect_error(c, alice, WAMP_CALL, 9, WAMP_ERROR_NO_AVAILABLE_CALLEE,
		     "all callees that take progressive input are busy, for procedure");
	/* the last callee that takes progressive input leaves */
	for (unsigned i = 0; i < CALLEES; i++)
		if (i != 5)
			send_id(c, who(i), POST_GONE, 0, 0);
	finish_work(c);
	forget_sent(c);
	open_shared(c, 10);
	expect_error(c, alice, WAMP_CALL, 10, WAMP_ERROR_FEATURE_NOT_SUPPORTED,
		     "no callee has announced progressive_call_invocations and "
		     "call_canceling, for procedure");
	open_with(c, 11, (struct post){.payload = payload("nobodys", "[1]")});
	expect_error(c, alice, WAMP_CALL, 11, WAMP_ERROR_NO_SUCH_PROCEDURE,
		     "no callee registered for procedure");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_chunks_go_to_one_callee),
		core_test(test_details_are_repeated),
		core_test(test_every_end),
		core_test(test_each_chunk_renews_the_timeout),
		core_test(test_a_chunk_is_lost),
		core_test(test_a_chunk_of_an_ended_call_is_lost),
		core_test(test_no_memory_for_a_chunk),
		core_test(test_the_id_of_another_call),
		core_test(test_policies),
		core_test(test_no_callee),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
