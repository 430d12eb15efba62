/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations and calls at a realm's owner. */
#include "routerd/core/call.h"
#include "tests/unit/core_fixture.h"

#include <stdio.h>

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 2, .slot = 2, .generation = 1};

static void join_all(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
}

static void call(struct core *c, struct session_ref who, uint64_t request,
		 const char *procedure, const char *arguments)
{
	send_post(c, who,
		  (struct post){.type = POST_CALL,
				.request = request,
				.payload = payload(procedure, arguments)});
}

/* Alice calls "p" with this request id; bob gets it with this invocation id. */
static void call_bob(struct core *c, uint64_t request, uint64_t invocation)
{
	call(c, alice, request, "p", "[7]");
	expect(c, bob, POST_INVOCATION, invocation);
}

static void call_and_result(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t registration = provide(c, bob, "p");
	call(c, alice, 42, "p", "[7]");
	struct post p = expect(c, bob, POST_INVOCATION, 1);
	assert_int_equal(p.id, registration);
	assert_uri(&p, "p");
	assert_args(&p, "[7]");
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 1);
	send_args(c, bob, POST_YIELD, 1, "[8]");
	p = expect(c, alice, POST_RESULT, 42);
	assert_args(&p, "[8]");
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(realm_counters(c->realm).calls, 1);
	assert_int_equal(realm_counters(c->realm).results, 1);
	send_args(c, bob, POST_YIELD, 1, "[9]"); /* already answered */
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 1);
}

/* Only in the calls that ask for it, and to nobody but the callee. */
static void a_caller_discloses_itself(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	struct identity *i = session_find(c->realm, alice)->identity;
	for (uint64_t k = 1; k <= 4; k++) {
		bool disclose = k % 2 == 1;
		send_post(c, alice,
			  (struct post){.type = POST_CALL,
					.request = k,
					.disclose = disclose ? DISCLOSE_YES : DISCLOSE_NO,
					.timeout_ms = 50,
					.payload = payload("p", NULL)});
		struct post p = expect(c, bob, POST_INVOCATION, k);
		assert_ptr_equal(p.disclosed, disclose ? i : NULL);
		send_args(c, bob, POST_YIELD, k, NULL);
		p = expect(c, alice, POST_RESULT, k);
		assert_null(p.disclosed);
	}
	/* the INVOCATION finds no memory */
	c->outbox.fail_at = 1;
	send_post(c, alice,
		  (struct post){.type = POST_CALL,
				.request = 5,
				.disclose = DISCLOSE_YES,
				.payload = payload("p", NULL)});
	expect_error(c, alice, WAMP_CALL, 5, WAMP_ERROR_UNAVAILABLE, "out of memory");
	/* the INVOCATION is on its way when the caller goes */
	send_post(c, alice,
		  (struct post){.type = POST_CALL,
				.request = 6,
				.disclose = DISCLOSE_YES,
				.payload = payload("p", NULL)});
	struct post p = expect(c, bob, POST_INVOCATION, 5);
	send_post(c, alice, (struct post){.type = POST_GONE});
	assert_true(slice_eq_str(p.disclosed->authid, "alice"));
}

/* A callee that asks who calls learns it in each call, or does not get the call. */
static void a_callee_asks_who_calls(void **state)
{
	struct core *c = *state;

	join_all(c);
	struct post reg = {.type = POST_REGISTER,
			   .request = 1,
			   .disclose = DISCLOSE_YES,
			   .payload = payload("p", NULL)};
	send_post(c, bob, reg);
	expect(c, bob, POST_REGISTERED, 1);
	provide(c, bob, "q");
	struct identity *i = session_find(c->realm, alice)->identity;
	for (unsigned k = 0; k < 6; k++) {
		enum disclose disclose = (enum disclose)(k / 2);
		send_post(
			c, alice,
			(struct post){.type = POST_CALL,
				      .request = k,
				      .disclose = (uint8_t)disclose,
				      .trust = (uint8_t)(250 + k),
				      .payload = payload(k % 2 == 0 ? "p" : "q", NULL)});
		if (k == 4) {
			expect_error(
				c, alice, WAMP_CALL, k, WAMP_ERROR_DISCLOSE_ME,
				"the callee must know its callers (disclose_caller), but "
				"a permission of the caller's role forbids it "
				"(disclose)");
			continue;
		}
		/* the refused call has taken no INVOCATION's id */
		struct post p = next_post(c, bob.worker, POST_INVOCATION);
		assert_int_equal(p.request, k < 4 ? k + 1 : k);
		assert_ptr_equal(p.disclosed,
				 k % 2 == 0 || disclose == DISCLOSE_YES ? i : NULL);
		assert_int_equal(p.trust, 250 + k);
		send_args(c, bob, POST_YIELD, p.request, NULL);
		expect(c, alice, POST_RESULT, k);
	}
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

static void callees_error_is_passed_on(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	call_bob(c, 42, 1);
	send_post(c, bob,
		  (struct post){.type = POST_INVOCATION_ERROR,
				.request = 1,
				.payload = payload("com.example.broken", "[9]")});
	struct post p = expect(c, alice, POST_ERROR, 42);
	assert_int_equal(p.request_type, WAMP_CALL);
	assert_null(p.error.uri);
	assert_null(p.error.text);
	assert_uri(&p, "com.example.broken");
	assert_args(&p, "[9]");
	send_args(c, bob, POST_YIELD, 1, "[9]");
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).errors, 1);
}

static void no_such_procedure(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	call(c, alice, 42, "p.q", "[7]");
	struct post p =
		expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_NO_SUCH_PROCEDURE,
			     "no callee registered for procedure");
	assert_uri(&p, "p.q");
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

static const struct post_error not_sent = {WAMP_ERROR_INVALID_ARGUMENT, "NaN"};

/* The worker could not send bob this INVOCATION. */
static void lose(struct core *c, uint64_t invocation)
{
	send_post(c, bob,
		  (struct post){
			  .type = POST_UNSENT, .request = invocation, .error = not_sent});
}

static void expect_renumbered(struct core *c, uint64_t n)
{
	assert_int_equal(expect(c, bob, POST_RENUMBERED, 0).id, n);
}

static void yield_to(struct core *c, uint64_t invocation, uint64_t request)
{
	send_args(c, bob, POST_YIELD, invocation, "[9]");
	expect(c, alice, POST_RESULT, request);
}

static void expect_not_sent(struct core *c, uint64_t request)
{
	expect_error(c, alice, WAMP_CALL, request, not_sent.uri, not_sent.text);
}

/* Each number that was not sent is used again. */
static void unsent_invocation(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	for (uint64_t i = 1; i <= 3; i++) {
		call_bob(c, 42, i);
		lose(c, i);
		expect_not_sent(c, 42);
		/* it was posted before bob's answer */
		call_bob(c, 43, i + 1);
		send_args(c, bob, POST_YIELD, i, "[9]");
		expect_renumbered(c, 1);
		expect(c, alice, POST_RESULT, 43);
	}
	send_args(c, bob, POST_YIELD, 4, "[9]");
	assert_int_equal(realm_counters(c->realm).unknown_answers, 1);
}

/* Bob gets 1, 2, 3 and 4; the owner calls these 1, 2, 5 and 6, until bob answers. */
static void unsent_invocations_among_others(void **state)
{
	struct core *c = *state;

	join_all(c);
	c->realm->limits.calls = 10;
	provide(c, bob, "p");
	for (uint64_t i = 1; i <= 4; i++)
		call_bob(c, 40 + i, i);
	lose(c, 3);
	expect_not_sent(c, 43);
	call_bob(c, 45, 5);
	call_bob(c, 46, 6);
	lose(c, 3);
	expect_not_sent(c, 44);
	/* its call ends before the owner hears that it was not sent */
	call_bob(c, 47, 7);
	send_post(c, alice, (struct post){.type = POST_CANCEL, .request = 47});
	expect(c, alice, POST_ERROR, 47);
	lose(c, 5);
	expect_nothing(c);
	send_args(c, bob, POST_YIELD, 3, "[9]");
	expect_renumbered(c, 3);
	expect(c, alice, POST_RESULT, 45);
	call_bob(c, 48, 5);
	yield_to(c, 1, 41);
	yield_to(c, 4, 46);
	yield_to(c, 5, 48);
	yield_to(c, 2, 42);
	expect_nothing(c);
	assert_int_equal(c->realm->dealer.calls.count, 0);
}

/* Every other one of them. */
static void many_unsent_invocations(void **state)
{
	enum { N = UNSENT_MAX + 10 };
	struct core *c = *state;

	join_all(c);
	c->realm->limits.calls = 2 * N;
	provide(c, bob, "p");
	for (uint64_t i = 1; i <= 2 * N; i++) {
		call_bob(c, i, i);
		forget_sent(c);
	}
	for (uint64_t i = 1; i <= N; i++) {
		lose(c, i);
		expect_not_sent(c, 2 * i - 1);
		if (i == UNSENT_MAX)
			expect_renumbered(c, UNSENT_MAX);
		forget_sent(c);
	}
	send_args(c, bob, POST_YIELD, N, "[9]");
	expect_renumbered(c, N - UNSENT_MAX);
	expect(c, alice, POST_RESULT, 2 * N);
	for (uint64_t i = N - 1; i > 0; i--) {
		yield_to(c, i, 2 * i);
		forget_sent(c);
	}
	call_bob(c, 3 * N, N + 1);
}

/* The worker may say so twice for one call: first of a value, and then of another. */
static void undeliverable_twice(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	call_bob(c, 42, 1);
	for (int i = 0; i < 2; i++)
		send_post(c, bob,
			  (struct post){.type = POST_UNDELIVERABLE,
					.request = 1,
					.error = not_sent});
	expect_not_sent(c, 42);
	send_args(c, bob, POST_YIELD, 1, "[9]");
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 2);
}

/* The payload's URI may carry the description of an error. */
static void undeliverable_answer(void **state)
{
	static const struct post_error error = {WAMP_ERROR_INVALID_ARGUMENT, NULL};
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	call_bob(c, 42, 1);
	for (int i = 0; i < 2; i++) /* the second time, there is no such call */
		send_post(c, bob,
			  (struct post){.type = POST_UNDELIVERABLE,
					.request = 1,
					.error = error,
					.payload = payload("half a pair", NULL)});
	struct post p = expect(c, alice, POST_ERROR, 42);
	assert_int_equal(p.request_type, WAMP_CALL);
	assert_string_equal(p.error.uri, error.uri);
	assert_null(p.error.text);
	assert_uri(&p, "half a pair");
	expect_nothing(c);
}

static void procedure_has_one_callee(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	const struct session_ref both[] = {alice, bob};
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		send_uri(c, both[i], POST_REGISTER, 3, "p");
		struct post p = expect_error(
			c, both[i], WAMP_REGISTER, 3, WAMP_ERROR_PROCEDURE_ALREADY_EXISTS,
			"a callee is already registered for procedure");
		assert_uri(&p, "p");
	}
	call_bob(c, 42, 1);
	assert_int_equal(realm_counters(c->realm).registrations, 1);
}

static uint64_t provide_for(struct core *c, struct session_ref who, enum match how,
			    const char *procedure)
{
	send_pattern(c, who, POST_REGISTER, 78, how, procedure);
	return expect(c, who, POST_REGISTERED, 78).id;
}

/* One callee gets the call: that of the best match. */
static void the_best_match_gets_the_call(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t wildcard = provide_for(c, bob, MATCH_WILDCARD, "a..c");
	uint64_t all = provide_for(c, alice, MATCH_PREFIX, "");
	call(c, alice, 42, "b", NULL);
	struct post p = expect(c, alice, POST_INVOCATION, 1);
	assert_int_equal(p.id, all);
	assert_int_equal(p.match, MATCH_PREFIX);
	assert_uri(&p, "b");
	send_id(c, alice, POST_UNREGISTER, 6, all);
	expect(c, alice, POST_UNREGISTERED, 6);
	call(c, alice, 43, "a.b.c", NULL);
	p = expect(c, bob, POST_INVOCATION, 1);
	assert_int_equal(p.id, wildcard);
	assert_int_equal(p.match, MATCH_WILDCARD);
	uint64_t prefix = provide_for(c, carol, MATCH_PREFIX, "a.b");
	call(c, alice, 44, "a.b.c", NULL);
	assert_int_equal(expect(c, carol, POST_INVOCATION, 1).id, prefix);
	uint64_t exact = provide_for(c, bob, MATCH_EXACT, "a.b.c");
	call(c, alice, 45, "a.b.c", NULL);
	p = expect(c, bob, POST_INVOCATION, 2);
	assert_int_equal(p.id, exact);
	assert_int_equal(p.match, MATCH_EXACT);
	/* the same text with another match is another registration */
	provide_for(c, bob, MATCH_PREFIX, "a.b.c");
	send_pattern(c, carol, POST_REGISTER, 9, MATCH_PREFIX, "a.b.c");
	expect_error(c, carol, WAMP_REGISTER, 9, WAMP_ERROR_PROCEDURE_ALREADY_EXISTS,
		     "a callee is already registered for procedure");
	call(c, alice, 46, "c", NULL);
	expect_error(c, alice, WAMP_CALL, 46, WAMP_ERROR_NO_SUCH_PROCEDURE,
		     "no callee registered for procedure");
}

/* The router's own procedures never go to a callee. */
static void patterns_do_not_get_calls_for_the_router(void **state)
{
	static const char *const procedures[] = {"wamp", "wamp.session.kill",
						 "wamp.a.kill"};
	struct core *c = *state;

	join_all(c);
	provide_for(c, bob, MATCH_PREFIX, "");
	provide_for(c, bob, MATCH_PREFIX, "wam");
	provide_for(c, bob, MATCH_WILDCARD, "..kill");
	for (unsigned i = 0; i < ARRAY_LEN(procedures); i++) {
		call(c, alice, 42 + i, procedures[i], NULL);
		expect_error(c, alice, WAMP_CALL, 42 + i, WAMP_ERROR_NO_SUCH_PROCEDURE,
			     "no callee registered for procedure");
	}
	call(c, alice, 50, "wampum", NULL);
	expect(c, bob, POST_INVOCATION, 1);
}

static void unregister(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = provide(c, bob, "p");
	call_bob(c, 42, 1);
	send_id(c, bob, POST_UNREGISTER, 6, id);
	expect(c, bob, POST_UNREGISTERED, 6);
	call(c, alice, 43, "p", NULL);
	expect_error(c, alice, WAMP_CALL, 43, WAMP_ERROR_NO_SUCH_PROCEDURE,
		     "no callee registered for procedure");
	send_args(c, bob, POST_YIELD, 1, "[8]"); /* calls in flight go on */
	expect(c, alice, POST_RESULT, 42);
	assert_int_not_equal(provide(c, carol, "p"), id);
	call(c, alice, 44, "p", NULL);
	expect(c, carol, POST_INVOCATION, 1);
}

static void unregister_of_what_is_not_ones_own(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = provide(c, bob, "p");
	const uint64_t wrong[] = {id, id + 1, id + N_WORKERS, 0, WAMP_MAX_ID, UINT64_MAX};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		send_id(c, alice, POST_UNREGISTER, i, wrong[i]);
		expect_error(c, alice, WAMP_UNREGISTER, i,
			     WAMP_ERROR_NO_SUCH_REGISTRATION,
			     "the session has no registration with this id");
	}
	/* an own id, but of a subscription */
	uint64_t subscription = subscribe(c, bob, "p");
	send_id(c, bob, POST_UNREGISTER, 7, subscription);
	expect_error(c, bob, WAMP_UNREGISTER, 7, WAMP_ERROR_NO_SUCH_REGISTRATION,
		     "the session has no registration with this id");
	call_bob(c, 42, 1);
}

static void too_many_registrations(void **state)
{
	static const char *const procedures[] = {"a", "b", "c", "d"};
	struct core *c = *state;
	uint64_t id = 0;

	join_all(c);
	for (size_t i = 0; i < default_limits.registrations; i++)
		id = provide(c, bob, procedures[i]);
	send_uri(c, bob, POST_REGISTER, 9, "e");
	expect_error(c, bob, WAMP_REGISTER, 9, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many registrations");
	send_id(c, bob, POST_UNREGISTER, 10, id);
	expect(c, bob, POST_UNREGISTERED, 10);
	provide(c, bob, "e");
}

static void too_many_calls_of_a_caller(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	for (uint64_t i = 1; i <= default_limits.calls; i++)
		call_bob(c, 100 + i, i);
	call(c, alice, 200, "p", NULL);
	expect_error(c, alice, WAMP_CALL, 200, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many calls in flight");
	send_args(c, bob, POST_YIELD, 2, NULL);
	expect(c, alice, POST_RESULT, 102);
	call_bob(c, 201, 5);
}

static void invocation_ids_are_each_callees_own(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	provide(c, bob, "p2");
	provide(c, carol, "q");
	call_bob(c, 1, 1);
	call(c, alice, 2, "q", NULL);
	expect(c, carol, POST_INVOCATION, 1);
	call(c, alice, 3, "p2", NULL);
	expect(c, bob, POST_INVOCATION, 2);
	send_args(c, carol, POST_YIELD, 2, NULL); /* that invocation is bob's */
	expect_nothing(c);
	send_args(c, alice, POST_YIELD, 1, NULL);
	expect_nothing(c);
	send_args(c, bob, POST_YIELD, 2, NULL); /* in any order */
	expect(c, alice, POST_RESULT, 3);
	send_args(c, carol, POST_YIELD, 1, NULL);
	expect(c, alice, POST_RESULT, 2);
	send_args(c, bob, POST_YIELD, 1, NULL);
	expect(c, alice, POST_RESULT, 1);
}

static void unknown_answers_are_dropped(void **state)
{
	static const uint64_t wrong[] = {0, 2, WAMP_MAX_ID, UINT64_MAX};
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	call_bob(c, 1, 1);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		send_args(c, bob, POST_YIELD, wrong[i], NULL);
		send_args(c, bob, POST_INVOCATION_ERROR, wrong[i], NULL);
	}
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 8);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 1);
}

/* A violation while a call of the same caller has the id, whatever is called; else not.
 */
static void the_same_request_id_twice(void **state)
{
	static const char *const procedures[] = {"p", "nobodys"};
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	call_bob(c, 5, 1);
	for (size_t i = 0; i < ARRAY_LEN(procedures); i++) {
		call(c, alice, 5, procedures[i], NULL);
		struct post p = expect(c, alice, POST_VIOLATION, 0);
		assert_string_equal(p.error.text,
				    "CALL.Request: expected a new id, because a call "
				    "with this id is in flight");
	}
	call(c, carol, 5, "p", NULL);
	expect(c, bob, POST_INVOCATION, 2);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 2);
	send_args(c, bob, POST_YIELD, 1, "[1]");
	struct post p = expect(c, alice, POST_RESULT, 5);
	assert_args(&p, "[1]");
	call_bob(c, 5, 3);
	send_args(c, bob, POST_YIELD, 3, "[3]");
	p = expect(c, alice, POST_RESULT, 5);
	assert_args(&p, "[3]");
	send_args(c, bob, POST_YIELD, 2, NULL);
	expect(c, carol, POST_RESULT, 5);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

static void a_session_may_call_itself(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	call(c, bob, 5, "p", NULL);
	expect(c, bob, POST_INVOCATION, 1);
	send_args(c, bob, POST_YIELD, 1, NULL);
	expect(c, bob, POST_RESULT, 5);
}

static void many_calls_answered_in_any_order(void **state)
{
	enum { SESSIONS = 50, EACH = 40 };
	struct core *c = *state;
	struct realm_limits many = {.registrations = 1, .calls = EACH * SESSIONS};
	char name[16];
	uint64_t unanswered = 0;

	realm_free(&c->realm);
	c->realm = realm_new(REALM, N_WORKERS, &many, &c->ids, &c->deadlines, &c->outbox);
	assert_non_null(c->realm);
	for (uint32_t i = 0; i < SESSIONS; i++) {
		join(c, ref(1, i, 1), "callee");
		(void)snprintf(name, sizeof(name), "p%u", i);
		provide(c, ref(1, i, 1), name);
		forget_sent(c);
	}
	join(c, alice, "alice");
	for (uint64_t k = 1; k <= EACH; k++) {
		for (uint32_t i = 0; i < SESSIONS; i++) {
			(void)snprintf(name, sizeof(name), "p%u", i);
			call(c, alice, k * SESSIONS + i, name, NULL);
			expect(c, ref(1, i, 1), POST_INVOCATION, k);
			forget_sent(c);
			unanswered++;
		}
	}
	assert_int_equal(realm_counters(c->realm).calls_in_flight, unanswered);
	/* 7 and EACH have no common divisor, so k visits all */
	for (uint64_t k = 7; unanswered > 0; k = (k + 7) % EACH) {
		for (uint32_t i = SESSIONS; i-- > 0; unanswered--) {
			send_args(c, ref(1, i, 1), POST_YIELD, k + 1, NULL);
			expect(c, alice, POST_RESULT, (k + 1) * SESSIONS + i);
			forget_sent(c);
		}
	}
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(call_and_result),
		core_test(a_caller_discloses_itself),
		core_test(a_callee_asks_who_calls),
		core_test(callees_error_is_passed_on),
		core_test(no_such_procedure),
		core_test(unsent_invocation),
		core_test(unsent_invocations_among_others),
		core_test(many_unsent_invocations),
		core_test(undeliverable_twice),
		core_test(undeliverable_answer),
		core_test(procedure_has_one_callee),
		core_test(the_best_match_gets_the_call),
		core_test(patterns_do_not_get_calls_for_the_router),
		core_test(unregister),
		core_test(unregister_of_what_is_not_ones_own),
		core_test(too_many_registrations),
		core_test(too_many_calls_of_a_caller),
		core_test(invocation_ids_are_each_callees_own),
		core_test(unknown_answers_are_dropped),
		core_test(the_same_request_id_twice),
		core_test(a_session_may_call_itself),
		core_test(many_calls_answered_in_any_order),
	};

	return cmocka_run_group_tests_name("core_dealer", tests, NULL, NULL);
}
