/* SPDX-License-Identifier: Apache-2.0 */
/* How sessions end at a realm's owner: the order of what follows, and slices. */
#define FIXTURE_ROOM 2048
#include "tests/unit/core_fixture.h"

#include <stdio.h>

enum { SLICE = 256 }; /* what one slice of leave.c may end */

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 2, .slot = 1, .generation = 1};
/* the next session on bob's place */
static const struct session_ref heir = {.worker = 1, .slot = 1, .generation = 2};

static const char *numbered(const char *prefix, unsigned i)
{
	static char uri[32];

	snprintf(uri, sizeof(uri), "%s.%u", prefix, i);
	return uri;
}

static void subscribe_many(struct core *c, struct session_ref who, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		subscribe(c, who, numbered("t", i));
		forget_sent(c);
	}
}

static void go(struct core *c, struct session_ref who)
{
	send_post(c, who, (struct post){.type = POST_GONE});
}

/* All of it happens with the post that ends the session. */
static void the_order(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	send_join_with(c, carol, "carol", WAMP_FEATURE_CALL_CANCELING);
	expect(c, carol, POST_JOINED, 0);
	join(c, bob, "bob");
	subscribe(c, alice, "wamp.session.on_leave");
	subscribe(c, bob, "wamp.session.on_leave");
	provide(c, bob, "p");
	provide(c, carol, "q");
	subscribe(c, carol, "t");
	send_uri(c, bob, POST_TESTAMENT, 9, "t");
	expect(c, bob, POST_RESULT, 9);
	send_uri(c, bob, POST_CALL, 1, "q");
	expect(c, carol, POST_INVOCATION, 1);
	send_uri(c, alice, POST_CALL, 2, "p");
	expect(c, bob, POST_INVOCATION, 1);
	send_post(c, bob, (struct post){.type = POST_GOODBYE});
	expect(c, bob, POST_LEFT, 0);
	next_post(c, carol.worker, POST_EVENT);
	expect(c, carol, POST_INTERRUPT, 1);
	expect_error(c, alice, WAMP_CALL, 2, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	struct post p = next_post(c, alice.worker, POST_EVENT);
	assert_args(&p, "[2000001,\"bob\",\"device\"]");
	expect_nothing(c);
	assert_false(realm_has_work(c->realm));
}

/* No slice ends more than its share, and the place is free at once. */
static void many_memberships_end_in_slices(void **state)
{
	enum { MANY = 10 * SLICE + 5 };
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	subscribe_many(c, bob, MANY);
	subscribe(c, alice, "wamp.session.on_leave");
	uint64_t before = realm_counters(c->realm).memberships;
	go(c, bob);
	assert_int_equal(realm_counters(c->realm).sessions, 1);
	join(c, heir, "heir");
	subscribe(c, heir, "t.0");
	before++;
	for (unsigned i = 1; i <= 10; i++) {
		assert_int_equal(realm_counters(c->realm).memberships,
				 before - i * SLICE);
		assert_true(realm_has_work(c->realm));
		expect_nothing(c);
		realm_work(c->realm);
	}
	assert_false(realm_has_work(c->realm));
	struct post p = next_post(c, alice.worker, POST_EVENT);
	assert_args(&p, "[2000001,\"bob\",\"device\"]");
	assert_int_equal(realm_counters(c->realm).memberships, 2);
	send_uri(c, alice, POST_PUBLISH, 1, "t.0");
	next_post(c, heir.worker, POST_EVENT);
	expect_nothing(c);
}

/* Bob has so much that it takes several slices before its registrations end. */
static void bob_leaves_slowly(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
	provide(c, bob, "p");
	provide(c, alice, "q");
	send_uri(c, carol, POST_CALL, 1, "p");
	expect(c, bob, POST_INVOCATION, 1);
	for (unsigned i = 1; i <= 2 * SLICE; i++) {
		send_uri(c, bob, POST_CALL, i, "q");
		expect(c, alice, POST_INVOCATION, i);
		forget_sent(c);
	}
	go(c, bob);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 1 + SLICE);
	assert_int_equal(realm_counters(c->realm).registrations, 2);
}

static void nobody_calls_a_session_that_has_left(void **state)
{
	struct core *c = *state;

	bob_leaves_slowly(c);
	send_uri(c, alice, POST_CALL, 2, "p");
	expect_error(c, alice, WAMP_CALL, 2, WAMP_ERROR_NO_SUCH_PROCEDURE,
		     "no callee registered for procedure");
	assert_int_equal(realm_counters(c->realm).registrations, 1);
	join(c, heir, "heir");
	provide(c, heir, "p");
	send_uri(c, alice, POST_CALL, 3, "p");
	expect(c, heir, POST_INVOCATION, 1);
}

static void its_procedure_can_be_registered_at_once(void **state)
{
	struct core *c = *state;

	bob_leaves_slowly(c);
	join(c, heir, "heir");
	provide(c, heir, "p");
	send_uri(c, alice, POST_CALL, 2, "p");
	expect(c, heir, POST_INVOCATION, 1);
	finish_work(c);
	expect_error(c, carol, WAMP_CALL, 1, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	send_args(c, heir, POST_YIELD, 1, NULL);
	expect(c, alice, POST_RESULT, 2);
}

/* What ends the calls to it and its own calls before their turn sends it nothing. */
static void calls_end_before_their_turn(void **state)
{
	struct core *c = *state;

	bob_leaves_slowly(c);
	send_args(c, alice, POST_YIELD, 1, NULL); /* the first call ends last */
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, SLICE);
	send_post(
		c, carol,
		(struct post){.type = POST_CANCEL, .request = 1, .mode = WAMP_MODE_KILL});
	expect_error(c, carol, WAMP_CALL, 1, WAMP_ERROR_CANCELED,
		     "the caller has canceled the call");
	send_args(c, bob, POST_YIELD, 1, NULL);
	assert_int_equal(realm_counters(c->realm).dropped_posts, 1);
	go(c, alice); /* the callee of bob's other calls */
	finish_work(c);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

/* Those that leave later wait, and nobody is overtaken. */
static void sessions_leave_in_order(void **state)
{
	struct core *c = *state;
	struct post p;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
	subscribe_many(c, bob, 2 * SLICE);
	subscribe(c, alice, "wamp.session.on_leave");
	go(c, bob);
	send_post(c, carol, (struct post){.type = POST_GOODBYE});
	expect(c, carol, POST_LEFT, 0);
	realm_work(c->realm);
	expect_nothing(c);
	realm_work(c->realm);
	p = next_post(c, alice.worker, POST_EVENT);
	assert_args(&p, "[2000001,\"bob\",\"device\"]");
	p = next_post(c, alice.worker, POST_EVENT);
	assert_args(&p, "[3000001,\"carol\",\"device\"]");
	assert_false(realm_has_work(c->realm));
}

/* A realm that is freed meanwhile says nothing. */
static void the_realm_ends_between_slices(void **state)
{
	struct core *c = *state;

	bob_leaves_slowly(c);
	subscribe(c, alice, "wamp.session.on_leave");
}

/* Memory runs out for the ERRORs of a later slice. */
static void callers_are_lost_in_a_slice(void **state)
{
	struct core *c = *state;

	bob_leaves_slowly(c);
	subscribe(c, alice, "wamp.session.on_leave");
	realm_work(c->realm);
	expect_nothing(c);
	c->outbox.fail_at = 1;
	realm_work(c->realm);
	struct post p = next_post(c, alice.worker, POST_EVENT);
	assert_args(&p, "[2000001,\"bob\",\"device\"]");
	assert_null(expect(c, carol, POST_KILLED, 0).revocation);
	p = next_post(c, alice.worker, POST_EVENT);
	assert_args(&p, "[3000001,\"carol\",\"device\"]");
	assert_false(realm_has_work(c->realm));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		large_test(the_order),
		large_test(many_memberships_end_in_slices),
		large_test(nobody_calls_a_session_that_has_left),
		large_test(its_procedure_can_be_registered_at_once),
		large_test(calls_end_before_their_turn),
		large_test(sessions_leave_in_order),
		large_test(the_realm_ends_between_slices),
		large_test(callers_are_lost_in_a_slice),
	};

	return cmocka_run_group_tests_name("core_leave", tests, NULL, NULL);
}
