/* SPDX-License-Identifier: Apache-2.0 */
/* REGISTER with force_reregister at a realm's owner: a session takes a registration over
 * from its callees. */
#define FIXTURE_ROOM 4096
#include "tests/unit/core_fixture.h"

enum {
	MANY = 600, /* more than two slices of a takeover */
	SLICE_MAX = 256,
};

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 2, .generation = 1};
static const struct session_ref zoe = {.worker = 2, .slot = 3, .generation = 1};

/* The callees; they are on all workers. */
static struct session_ref who(unsigned i)
{
	return (struct session_ref){
		.worker = (uint16_t)(i % N_WORKERS), .slot = 20 + i, .generation = 1};
}

/* Joins a session that wants to know when its registrations are revoked. */
static void join_told(struct core *c, struct session_ref from)
{
	send_join_with(c, from, "callee", WAMP_FEATURE_REGISTRATION_REVOCATION);
	expect(c, from, POST_JOINED, 0);
}

struct options_of_register {
	enum match match;
	uint8_t invoke;
	uint32_t concurrency;
	bool force;
};

static void send_register(struct core *c, struct session_ref from, uint64_t request,
			  const char *procedure, struct options_of_register o)
{
	send_post(c, from,
		  (struct post){.type = POST_REGISTER,
				.request = request,
				.force = o.force,
				.match = (uint8_t)o.match,
				.invoke = o.invoke,
				.concurrency = o.concurrency,
				.created_ms = 1000 * request,
				.payload = payload(procedure, NULL)});
}

static uint64_t share(struct core *c, struct session_ref from)
{
	send_register(c, from, 78, "p",
		      (struct options_of_register){.invoke = WAMP_INVOKE_ROUNDROBIN});
	return expect(c, from, POST_REGISTERED, 78).id;
}

static void force(struct core *c, struct session_ref from, uint64_t request)
{
	send_register(c, from, request, "p", (struct options_of_register){.force = true});
}

static void expect_revoked(struct core *c, struct session_ref callee, uint64_t id)
{
	struct post p = expect(c, callee, POST_UNREGISTERED, 0);

	assert_int_equal(p.id, id);
	assert_string_equal(p.error.uri, "wamp.error.unregistered");
}

static void call(struct core *c, uint64_t request)
{
	send_post(c, alice,
		  (struct post){.type = POST_CALL,
				.request = request,
				.payload = payload("p", "[7]")});
}

/* The next post is an INVOCATION for this registration. Returns its request id. */
static uint64_t invoked(struct core *c, struct session_ref callee, uint64_t registration)
{
	struct post p = next_post(c, callee.worker, POST_INVOCATION);

	assert_true(session_ref_eq(p.session, callee));
	assert_int_equal(p.id, registration);
	return p.request;
}

static void expect_counts(struct core *c, uint64_t registrations, uint64_t callees,
			  uint64_t takeovers, uint64_t revoked)
{
	struct realm_counters n = realm_counters(c->realm);

	assert_int_equal(n.registrations, registrations);
	assert_int_equal(n.callees, callees);
	assert_int_equal(n.takeovers, takeovers);
	assert_int_equal(n.revoked_callees, revoked);
}

static void nothing_to_take_over(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	force(c, bob, 1);
	uint64_t id = expect(c, bob, POST_REGISTERED, 1).id;
	call(c, 1);
	assert_int_equal(invoked(c, bob, id), 1);
	expect_counts(c, 1, 1, 0, 0);
}

/* For each way to match: the other session is the callee, with a new id. */
static void from_another(void **state)
{
	static const char *const uris[MATCH_COUNT] = {"p.q", "p.", "p."};
	struct core *c = *state;

	join(c, alice, "alice");
	join_told(c, bob);
	join(c, zoe, "zoe");
	for (enum match how = 0; how < MATCH_COUNT; how++) {
		struct options_of_register o = {.match = how};
		send_register(c, bob, 1, uris[how], o);
		uint64_t old = expect(c, bob, POST_REGISTERED, 1).id;
		o.force = true;
		send_register(c, zoe, 2, uris[how], o);
		expect_revoked(c, bob, old);
		uint64_t id = expect(c, zoe, POST_REGISTERED, 2).id;
		assert_int_equal(id, old + N_WORKERS);
		send_id(c, bob, POST_UNREGISTER, 3, old);
		expect_error(c, bob, WAMP_UNREGISTER, 3, WAMP_ERROR_NO_SUCH_REGISTRATION,
			     "the session has no registration with this id");
		send_uri(c, alice, POST_CALL, 4, "p.q");
		uint64_t invocation = invoked(c, zoe, id);
		send_args(c, zoe, POST_YIELD, invocation, NULL);
		expect(c, alice, POST_RESULT, 4);
		expect_counts(c, 1, 1, how + 1, how + 1);
		/* the meta procedures see the new one only */
		send_post(c, alice,
			  (struct post){.type = POST_META,
					.request = 5,
					.id = old,
					.procedure = META_REGISTRATION_GET});
		expect_error(c, alice, WAMP_CALL, 5, WAMP_ERROR_NO_SUCH_REGISTRATION,
			     "the realm has no registration with this id");
		send_post(c, alice,
			  (struct post){.type = POST_META,
					.request = 6,
					.id = id,
					.procedure = META_REGISTRATION_GET});
		assert_non_null(expect(c, alice, POST_RESULT, 6).payload);
		send_id(c, zoe, POST_UNREGISTER, 7, id);
		expect(c, zoe, POST_UNREGISTERED, 7);
		expect_counts(c, 0, 0, how + 1, how + 1);
	}
}

/* One that has not announced that it understands revocation is not told. */
static void a_callee_that_is_not_told(void **state)
{
	struct core *c = *state;

	join(c, bob, "bob");
	join(c, zoe, "zoe");
	uint64_t old = provide(c, bob, "p");
	force(c, zoe, 2);
	expect(c, zoe, POST_REGISTERED, 2);
	send_id(c, bob, POST_UNREGISTER, 3, old);
	expect_error(c, bob, WAMP_UNREGISTER, 3, WAMP_ERROR_NO_SUCH_REGISTRATION,
		     "the session has no registration with this id");
}

static void from_itself(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join_told(c, bob);
	uint64_t old = provide(c, bob, "p");
	call(c, 1);
	uint64_t first = invoked(c, bob, old);
	force(c, bob, 2);
	expect_revoked(c, bob, old);
	uint64_t id = expect(c, bob, POST_REGISTERED, 2).id;
	assert_int_not_equal(id, old);
	call(c, 2);
	uint64_t second = invoked(c, bob, id);
	send_args(c, bob, POST_YIELD, second, NULL);
	expect(c, alice, POST_RESULT, 2);
	send_args(c, bob, POST_YIELD, first, NULL);
	expect(c, alice, POST_RESULT, 1);
	send_id(c, bob, POST_UNREGISTER, 3, old);
	expect_error(c, bob, WAMP_UNREGISTER, 3, WAMP_ERROR_NO_SUCH_REGISTRATION,
		     "the session has no registration with this id");
	send_id(c, bob, POST_UNREGISTER, 4, id);
	expect(c, bob, POST_UNREGISTERED, 4);
}

/* It has as many registrations, or wildcards, as it may have; one is taken over. */
static void at_a_limit(void **state)
{
	static const char *const uris[] = {"a.", "b.", "c.", "d"};
	struct core *c = *state;
	struct options_of_register o = {.match = MATCH_WILDCARD};

	join(c, bob, "bob");
	join_told(c, zoe);
	for (unsigned i = 0; i < 4; i++) {
		o.match = i < 3 ? MATCH_WILDCARD : MATCH_EXACT;
		send_register(c, bob, 1, uris[i], o);
		expect(c, bob, POST_REGISTERED, 1);
	}
	o = (struct options_of_register){.match = MATCH_WILDCARD, .force = true};
	send_register(c, bob, 2, "a.", o);
	expect(c, bob, POST_REGISTERED, 2);
	/* zoe's stay hers */
	uint64_t id = provide(c, zoe, "p");
	force(c, bob, 3);
	expect_error(c, bob, WAMP_REGISTER, 3, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many registrations");
	send_id(c, zoe, POST_UNREGISTER, 4, id);
	expect(c, zoe, POST_UNREGISTERED, 4);
	send_register(c, zoe, 5, "z.", (struct options_of_register){.match = o.match});
	expect(c, zoe, POST_REGISTERED, 5);
	c->realm->limits.registrations = 5;
	send_register(c, bob, 6, "z.", o);
	expect_error(c, bob, WAMP_REGISTER, 6, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many wildcards");
	expect_counts(c, 5, 5, 1, 1);
}

/* All that listeners of meta events see, in order. */
static void meta_events(void **state)
{
	static const enum meta_topic topics[] = {
		META_REGISTRATION_ON_UNREGISTER, META_REGISTRATION_ON_UNREGISTER,
		META_REGISTRATION_ON_DELETE, META_REGISTRATION_ON_CREATE,
		META_REGISTRATION_ON_REGISTER};
	struct core *c = *state;

	join(c, alice, "alice");
	for (unsigned i = 0; i < 2; i++) {
		join_told(c, who(i));
		share(c, who(i));
	}
	subscribe_to(c, alice, MATCH_PREFIX, "wamp.registration.");
	force(c, who(0), 2);
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		if (i < 2)
			(void)next_post(c, who(1 - (unsigned)i).worker,
					POST_UNREGISTERED);
		if (i == 3)
			expect(c, who(0), POST_REGISTERED, 2);
		struct post p = next_post(c, alice.worker, POST_EVENT);
		assert_true(slice_eq(payload_uri(p.payload), meta_topic_name(topics[i])));
	}
}

/* Calls in the queue go to the new callee, in order, and carry the new id. */
static void waiting_calls(void **state)
{
	struct core *c = *state;

	c->realm->limits.queued_calls = 10;
	c->realm->limits.queued_bytes = c->realm->limits.queued_total = 100000;
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, zoe, "zoe");
	send_register(c, bob, 1, "p", (struct options_of_register){.concurrency = 1});
	uint64_t old = expect(c, bob, POST_REGISTERED, 1).id;
	for (uint64_t k = 1; k <= 4; k++)
		call(c, k);
	uint64_t first = invoked(c, bob, old);
	send_register(c, zoe, 2, "p",
		      (struct options_of_register){.force = true, .concurrency = 2});
	uint64_t id = expect(c, zoe, POST_REGISTERED, 2).id;
	assert_int_equal(invoked(c, zoe, id), 1);
	assert_int_equal(invoked(c, zoe, id), 2);
	assert_int_equal(realm_counters(c->realm).calls_queued, 1);
	send_args(c, bob, POST_YIELD, first, NULL);
	expect(c, alice, POST_RESULT, 1);
	send_args(c, zoe, POST_YIELD, 2, NULL);
	expect(c, alice, POST_RESULT, 3);
	assert_int_equal(invoked(c, zoe, id), 3);
}

/* --- many callees --- */

/* MANY callees share p; none is told. */
static uint64_t share_many(struct core *c)
{
	uint64_t id = 0;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, zoe, "zoe");
	for (unsigned i = 0; i < MANY; i++) {
		join(c, who(i), "callee");
		id = share(c, who(i));
		forget_sent(c);
	}
	return id;
}

/* No slice takes off more than SLICE_MAX; meanwhile the first ones get the calls. */
static void it_takes_slices(void **state)
{
	struct core *c = *state;
	uint64_t old = share_many(c), left = MANY;

	force(c, zoe, 2);
	for (unsigned n = 1; n < 3; n++) {
		expect_nothing(c);
		assert_true(realm_has_work(c->realm));
		uint64_t callees = realm_counters(c->realm).callees;
		assert_in_range(left - callees, 1, SLICE_MAX);
		left = callees;
		call(c, n);
		invoked(c, who(n - 1), old);
		/* for everybody else it is busy */
		send_register(c, bob, 3, "p",
			      (struct options_of_register){.force = n == 1});
		struct post p =
			expect_error(c, bob, WAMP_REGISTER, 3, WAMP_ERROR_UNAVAILABLE,
				     "another session is taking over "
				     "procedure");
		assert_uri(&p, "p");
		realm_work(c->realm);
	}
	uint64_t id = expect(c, zoe, POST_REGISTERED, 2).id;
	assert_false(realm_has_work(c->realm));
	expect_counts(c, 1, 1, 1, MANY);
	call(c, 3);
	invoked(c, zoe, id);
	send_args(c, who(0), POST_YIELD, 1, NULL);
	expect(c, alice, POST_RESULT, 1);
	forget_sent(c);
}

/* The new callee leaves between two slices: the registration ends with its last callee.
 */
static void the_taker_leaves(void **state)
{
	struct core *c = *state;

	share_many(c);
	force(c, zoe, 2);
	send_post(c, zoe, (struct post){.type = POST_GONE});
	finish_work(c);
	expect_nothing(c);
	expect_counts(c, 0, 0, 1, MANY);
	share(c, bob);
	expect_counts(c, 1, 1, 1, MANY);
}

/* The callees leave between two slices: the takeover ends with the last of them. */
static void the_callees_leave(void **state)
{
	struct core *c = *state;

	share_many(c);
	force(c, zoe, 2);
	for (unsigned i = 0; i < MANY; i++)
		send_post(c, who(i), (struct post){.type = POST_GONE});
	expect(c, zoe, POST_REGISTERED, 2);
	assert_false(realm_has_work(c->realm));
	expect_counts(c, 1, 1, 1, SLICE_MAX);
}

/* It has reached a limit before the last slice. */
static void a_limit_between_two_slices(void **state)
{
	struct core *c = *state;

	share_many(c);
	c->realm->limits.registrations = 1;
	force(c, zoe, 2);
	provide(c, zoe, "q");
	finish_work(c);
	expect_error(c, zoe, WAMP_REGISTER, 2, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many registrations");
	expect_counts(c, 1, 1, 1, MANY);
}

/* The realm is freed in the middle. */
static void the_realm_ends(void **state)
{
	struct core *c = *state;

	share_many(c);
	force(c, zoe, 2);
	assert_true(realm_has_work(c->realm));
}

/* Memory runs out for the message to a callee: it is taken off all the same. */
static void no_memory_to_tell(void **state)
{
	struct core *c = *state;

	join_told(c, bob);
	join(c, zoe, "zoe");
	provide(c, bob, "p");
	c->outbox.fail_at = 1;
	force(c, zoe, 2);
	expect(c, zoe, POST_REGISTERED, 2);
	expect_counts(c, 1, 1, 1, 1);
	assert_int_equal(realm_counters(c->realm).kills, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(nothing_to_take_over),
		core_test(from_another),
		core_test(a_callee_that_is_not_told),
		core_test(from_itself),
		core_test(at_a_limit),
		core_test(meta_events),
		core_test(waiting_calls),
		large_test(it_takes_slices),
		large_test(the_taker_leaves),
		large_test(the_callees_leave),
		large_test(a_limit_between_two_slices),
		large_test(the_realm_ends),
		core_test(no_memory_to_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
