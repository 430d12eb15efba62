/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions at a realm's owner: joining, the ways to leave, and what disappears with a
 * session. */
#include "tests/unit/core_fixture.h"

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 1, .slot = 2, .generation = 1};

static const char left_text[] = "the callee left while the call was in flight";

static void join_all(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
}

static struct revocation *revocation_of(const char *authid)
{
	struct revocation from = {
		.number = 1,
		.authid = slice_str(authid),
		.uri = slice_str(WAMP_CLOSE_KILLED),
	};
	struct revocation *r = revocation_new(&from);

	assert_non_null(r);
	return r;
}

/* The ways to leave. The tests below that use each_way must pass with each of them. */
enum way { BY_GONE, BY_GOODBYE, BY_REVOCATION, BY_REPLACEMENT, WAYS };

static void leave(struct core *c, struct session_ref who, const char *authid,
		  enum way way)
{
	struct session_ref next = who;

	switch (way) {
	case BY_GONE:
		send_post(c, who, (struct post){.type = POST_GONE});
		break;
	case BY_GOODBYE:
		send_post(c, who, (struct post){.type = POST_GOODBYE});
		break;
	case BY_REVOCATION:;
		struct revocation *r = revocation_of(authid);
		realm_revoke(c->realm, r);
		revocation_unref(&r);
		break;
	case BY_REPLACEMENT:
		next.generation++;
		send_join(c, next, "next");
		break;
	case WAYS:
		break;
	}
}

/* The last post to the worker of a session that leaves. */
static void expect_last_post(struct core *c, struct session_ref who, enum way way)
{
	struct session_ref next = who;

	if (way == BY_GOODBYE) {
		expect(c, who, POST_LEFT, 0);
	} else if (way == BY_REVOCATION) {
		struct post p = expect(c, who, POST_KILLED, 0);
		assert_true(slice_eq_str(p.revocation->uri, WAMP_CLOSE_KILLED));
	} else if (way == BY_REPLACEMENT) {
		next.generation++;
		expect(c, next, POST_JOINED, 0);
	}
}

/* A session leaves, and that is all; neither does the one that replaces it stay. */
static void expect_leave(struct core *c, struct session_ref who, enum way way)
{
	expect_last_post(c, who, way);
	expect_nothing(c);
	who.generation++;
	if (way == BY_REPLACEMENT)
		send_post(c, who, (struct post){.type = POST_GONE});
}

/* Runs a test with each way to leave, each time in a new realm. */
static void each_way(struct core *c, void (*test)(struct core *, enum way))
{
	for (int way = 0; way < WAYS; way++) {
		join_all(c);
		test(c, (enum way)way);
		expect_nothing(c);
		realm_free(&c->realm);
		expect_nothing(c);
		forget_sent(c);
		c->realm = realm_new(REALM, N_WORKERS, &default_limits, &c->ids,
				     &c->deadlines, &c->outbox);
		assert_non_null(c->realm);
	}
}

static void publish(struct core *c, struct session_ref who, const char *topic)
{
	send_uri(c, who, POST_PUBLISH, 5, topic);
}

static void check_memberships(struct core *c, enum way way)
{
	uint64_t shared = subscribe(c, bob, "shared");
	subscribe(c, carol, "shared");
	subscribe(c, alice, "shared");
	subscribe(c, bob, "own");
	leave(c, bob, "bob", way);
	expect_leave(c, bob, way);
	assert_int_equal(realm_counters(c->realm).memberships, 2);
	assert_int_equal(realm_counters(c->realm).subscriptions, 1);
	publish(c, alice, "own");
	expect_nothing(c);
	publish(c, alice, "shared");
	assert_int_equal(next_post(c, 0, POST_EVENT).id, shared);
	assert_int_equal(next_post(c, 1, POST_EVENT).id, shared);
	leave(c, carol, "carol", way); /* the last member on its worker */
	expect_leave(c, carol, way);
	publish(c, alice, "shared");
	assert_int_equal(next_post(c, 0, POST_EVENT).id, shared);
	expect_nothing(c);
	leave(c, alice, "alice", way);
	expect_leave(c, alice, way);
	assert_int_equal(realm_counters(c->realm).memberships, 0);
	assert_int_equal(realm_counters(c->realm).subscriptions, 0);
}

static void take_down_memberships(void **state)
{
	each_way(*state, check_memberships);
}

static void check_registrations(struct core *c, enum way way)
{
	provide(c, bob, "p");
	provide(c, bob, "q");
	leave(c, bob, "bob", way);
	expect_leave(c, bob, way);
	assert_int_equal(realm_counters(c->realm).registrations, 0);
	send_uri(c, alice, POST_CALL, 9, "p");
	expect_error(c, alice, WAMP_CALL, 9, WAMP_ERROR_NO_SUCH_PROCEDURE,
		     "no callee registered for procedure");
	provide(c, carol, "p");
	provide(c, carol, "q");
}

static void take_down_registrations(void **state)
{
	each_way(*state, check_registrations);
}

static void check_calls_of_caller(struct core *c, enum way way)
{
	provide(c, alice, "p");
	send_uri(c, bob, POST_CALL, 9, "p");
	expect(c, alice, POST_INVOCATION, 1);
	send_uri(c, carol, POST_CALL, 9, "p");
	expect(c, alice, POST_INVOCATION, 2);
	leave(c, bob, "bob", way);
	expect_leave(c, bob, way);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 1);
	send_args(c, alice, POST_YIELD, 1, NULL); /* nobody waits for it */
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 1);
	send_args(c, alice, POST_YIELD, 2, NULL);
	expect(c, carol, POST_RESULT, 9);
}

static void take_down_calls_of_caller(void **state)
{
	each_way(*state, check_calls_of_caller);
}

static void check_invocations_of_callee(struct core *c, enum way way)
{
	provide(c, bob, "p");
	send_uri(c, alice, POST_CALL, 8, "p");
	expect(c, bob, POST_INVOCATION, 1);
	send_uri(c, carol, POST_CALL, 9, "p");
	expect(c, bob, POST_INVOCATION, 2);
	/* a call of its own: the caller has left, so nobody gets an ERROR */
	send_uri(c, bob, POST_CALL, 10, "p");
	expect(c, bob, POST_INVOCATION, 3);
	leave(c, bob, "bob", way);
	expect_last_post(c, bob, way);
	expect_error(c, carol, WAMP_CALL, 9, WAMP_ERROR_CANCELED, left_text);
	expect_error(c, alice, WAMP_CALL, 8, WAMP_ERROR_CANCELED, left_text);
	expect_nothing(c);
	if (way == BY_REPLACEMENT)
		send_post(c, ref(1, 1, 2), (struct post){.type = POST_GONE});
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	send_args(c, bob, POST_YIELD, 1, NULL);
	expect_nothing(c);
}

static void take_down_invocations_of_callee(void **state)
{
	each_way(*state, check_invocations_of_callee);
}

static void check_realm(struct core *c, enum way way)
{
	assert_int_equal(c->realm->session_table.count, 3);
	leave(c, bob, "bob", way);
	expect_leave(c, bob, way);
	assert_int_equal(c->realm->session_table.count, 2);
	uint64_t dropped = realm_counters(c->realm).dropped_posts;
	publish(c, bob, "a");
	send_uri(c, bob, POST_SUBSCRIBE, 1, "a");
	send_uri(c, bob, POST_REGISTER, 2, "p");
	send_uri(c, bob, POST_CALL, 3, "p");
	send_id(c, bob, POST_UNSUBSCRIBE, 4, 1);
	send_id(c, bob, POST_UNREGISTER, 5, 1);
	send_args(c, bob, POST_YIELD, 1, NULL);
	send_args(c, bob, POST_INVOCATION_ERROR, 1, NULL);
	send_id(c, bob, POST_UNDELIVERABLE, 1, 0);
	send_post(c, bob, (struct post){.type = POST_GOODBYE});
	send_post(c, bob, (struct post){.type = POST_GONE});
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).dropped_posts, dropped + 11);
}

static void take_down_leaves_the_realm(void **state)
{
	each_way(*state, check_realm);
}

static void ways_are_counted(void **state)
{
	struct core *c = *state;

	for (int way = 0; way < WAYS; way++) {
		join(c, bob, "bob");
		leave(c, bob, "bob", (enum way)way);
		expect_leave(c, bob, (enum way)way);
	}
	struct realm_counters n = realm_counters(c->realm);
	assert_int_equal(n.joins, 5);
	assert_int_equal(n.gones, 2); /* and the session that replaced it */
	assert_int_equal(n.goodbyes, 1);
	assert_int_equal(n.kills, 1);
	assert_int_equal(n.replaced, 1);
	assert_int_equal(n.sessions, 0);
}

static void a_slot_is_used_again(void **state)
{
	struct core *c = *state;
	struct session_ref next = bob;

	join_all(c);
	provide(c, bob, "p");
	send_post(c, bob, (struct post){.type = POST_GONE});
	next.generation++;
	join(c, next, "next");
	send_uri(c, bob, POST_REGISTER, 2, "p"); /* of the old generation */
	expect_nothing(c);
	provide(c, next, "p");
	send_uri(c, alice, POST_CALL, 3, "p");
	expect(c, next, POST_INVOCATION, 1); /* begins at 1 again */
}

static void same_slot_of_another_worker_is_another_session(void **state)
{
	struct core *c = *state;

	join_all(c); /* alice and bob both have slot 1 */
	send_post(c, alice, (struct post){.type = POST_GONE});
	assert_int_equal(c->realm->session_table.count, 2);
	subscribe(c, bob, "a");
}

static void identity_is_held_and_dropped(void **state)
{
	struct core *c = *state;
	struct identity i = {.authid = slice_str("bob")};
	struct identity *identity = identity_new(&i);

	assert_non_null(identity);
	send_post(c, bob,
		  (struct post){.type = POST_JOIN, .identity = identity_ref(identity)});
	expect(c, bob, POST_JOINED, 0);
	assert_int_equal(identity->refs, 2);
	send_post(c, bob, (struct post){.type = POST_GONE});
	assert_int_equal(identity->refs, 1);
	identity_unref(&identity);
}

static void send_join_with_id(struct core *c, struct session_ref from, uint64_t id)
{
	struct identity i = {.authid = slice_str("carol"), .session = id};
	struct identity *identity = identity_new(&i);

	assert_non_null(identity);
	send_post(c, from,
		  (struct post){
			  .type = POST_JOIN, .identity = identity, .mail = MAIL_NEW()});
}

static void two_sessions_never_share_an_id(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	send_join_with_id(c, carol, session_id(alice));
	assert_null(expect(c, carol, POST_JOIN_REFUSED, 0).revocation);
	assert_int_equal(realm_counters(c->realm).sessions, 1);
	assert_int_equal(realm_counters(c->realm).joins, 1);
	send_uri(c, carol, POST_SUBSCRIBE, 1, "a"); /* it is not here */
	subscribe(c, alice, "a");
	send_post(c, alice, (struct post){.type = POST_GONE});
	send_join_with_id(c, carol, session_id(alice));
	expect(c, carol, POST_JOINED, 0);
	/* on the place of the one that has the id */
	send_join_with_id(c, ref(1, 2, 2), session_id(alice));
	expect(c, ref(1, 2, 2), POST_JOINED, 0);
	assert_int_equal(realm_counters(c->realm).sessions, 1);
	assert_int_equal(c->realm->sessions_by_id.count, 1);
}

static void revocation_kills_only_whom_it_names(void **state)
{
	struct core *c = *state;

	join_all(c);
	join(c, ref(2, 5, 1), "bob");
	join(c, ref(0, 7, 1), "bob");
	struct revocation *r = revocation_of("bob");
	realm_revoke(c->realm, r);
	/* in order of joining */
	assert_ptr_equal(expect(c, bob, POST_KILLED, 0).revocation, r);
	expect(c, ref(2, 5, 1), POST_KILLED, 0);
	expect(c, ref(0, 7, 1), POST_KILLED, 0);
	assert_int_equal(r->refs, 4);
	realm_revoke(c->realm, r);
	assert_int_equal(c->realm->session_table.count, 2);
	assert_int_equal(realm_counters(c->realm).kills, 3);
	revocation_unref(&r);
}

static void killed_callee_and_caller_in_one_go(void **state)
{
	struct core *c = *state;

	join(c, alice, "same");
	join(c, bob, "same");
	provide(c, alice, "p");
	provide(c, bob, "q");
	send_uri(c, alice, POST_CALL, 1, "q");
	expect(c, bob, POST_INVOCATION, 1);
	send_uri(c, bob, POST_CALL, 2, "p");
	expect(c, alice, POST_INVOCATION, 1);
	struct revocation *r = revocation_of("same");
	realm_revoke(c->realm, r);
	revocation_unref(&r);
	/* both are dead before their calls end */
	expect(c, alice, POST_KILLED, 0);
	expect(c, bob, POST_KILLED, 0);
}

static void freeing_a_busy_realm_posts_nothing(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, alice, "p");
	provide(c, bob, "q");
	subscribe(c, alice, "a");
	subscribe(c, bob, "a");
	send_uri(c, alice, POST_CALL, 1, "q");
	expect(c, bob, POST_INVOCATION, 1);
	send_uri(c, bob, POST_CALL, 2, "p");
	expect(c, alice, POST_INVOCATION, 1);
	realm_free(&c->realm);
	expect_nothing(c);
	realm_free(&c->realm);
}

/* 10,000 sessions at once. MODE=asan reports leaks. */
static void storm(void **state)
{
	enum { N = 10000 };
	struct core *c = *state;

	c->outbox.discard = true;
	for (uint32_t round = 1; round <= 2; round++) {
		for (uint32_t i = 0; i < N; i++) {
			struct session_ref who = ref((uint16_t)(i % N_WORKERS), i, round);
			send_join(c, who, "stormy");
			send_uri(c, who, POST_SUBSCRIBE, 1, "storm");
			send_uri(c, who, POST_REGISTER, 2, i % 2 == 0 ? "p" : "q");
			send_uri(c, who, POST_CALL, 3, i % 2 == 0 ? "q" : "p");
		}
		assert_int_equal(c->realm->session_table.count, N);
		assert_int_equal(realm_counters(c->realm).memberships, N);
		for (uint32_t i = 0; i < N; i++) {
			struct session_ref who = ref((uint16_t)(i % N_WORKERS), i, round);
			send_post(c, who,
				  (struct post){.type = i % 3 == 0 ? POST_GOODBYE
								   : POST_GONE});
		}
		finish_work(c);
		struct realm_counters n = realm_counters(c->realm);
		assert_int_equal(n.sessions, 0);
		assert_int_equal(n.subscriptions, 0);
		assert_int_equal(n.memberships, 0);
		assert_int_equal(n.registrations, 0);
		assert_int_equal(n.calls_in_flight, 0);
		assert_int_equal(n.dropped_posts, 0);
	}
	c->outbox.discard = false;
}

/* --- no memory for a post --- */

/* The session is ended, and its worker drops the connection. */
static void expect_lost(struct core *c, struct session_ref who)
{
	assert_null(expect(c, who, POST_KILLED, 0).revocation);
}

static void a_join_without_memory_is_refused(void **state)
{
	struct core *c = *state;

	c->outbox.fail_at = 1;
	send_join(c, alice, "alice");
	assert_null(expect(c, alice, POST_JOIN_REFUSED, 0).revocation);
	assert_int_equal(c->realm->session_table.count, 0);
	join(c, alice, "alice");
}

static void a_lost_answer_ends_its_session(void **state)
{
	static const enum post_type requests[] = {POST_SUBSCRIBE, POST_REGISTER,
						  POST_CALL};
	struct core *c = *state;

	join(c, bob, "bob");
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		join(c, alice, "alice");
		c->outbox.fail_at = 1;
		send_uri(c, alice, requests[i], 7, "a");
		expect_lost(c, alice);
		assert_int_equal(c->realm->session_table.count, 1);
		send_uri(c, alice, POST_SUBSCRIBE, 8, "a"); /* alice does not know yet */
		expect_nothing(c);
	}
	assert_int_equal(realm_counters(c->realm).subscriptions, 0);
	assert_int_equal(realm_counters(c->realm).registrations, 0);
}

/* The callee is not affected, and its invocation ids have no gap. */
static void a_lost_invocation_costs_one_call(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	provide(c, bob, "p");
	c->outbox.fail_at = 1;
	send_uri(c, alice, POST_CALL, 7, "p");
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_UNAVAILABLE, "out of memory");
	send_uri(c, alice, POST_CALL, 8, "p");
	assert_int_equal(expect(c, bob, POST_INVOCATION, 1).request, 1);
	c->outbox.fail_at = 1;
	/* now there is no memory for the RESULT */
	send_args(c, bob, POST_YIELD, 1, NULL);
	expect_lost(c, alice);
	assert_int_equal(c->realm->session_table.count, 1);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

/* When a callee leaves, each caller gets an ERROR, or is ended. */
static void lost_errors_end_each_caller(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
	provide(c, bob, "p");
	send_uri(c, alice, POST_CALL, 7, "p");
	expect(c, bob, POST_INVOCATION, 1);
	send_uri(c, carol, POST_CALL, 8, "p");
	expect(c, bob, POST_INVOCATION, 2);
	c->outbox.fail_at = 1;
	send_post(c, bob, (struct post){.type = POST_GONE});
	/* the last call in flight comes first: carol's ERROR is lost, alice gets hers */
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	expect_lost(c, carol);
	assert_int_equal(c->realm->session_table.count, 1);
}

/* A publication reaches the members on all workers, or nobody. */
static void a_publication_without_memory_reaches_nobody(void **state)
{
	static const struct session_ref dave = {.worker = 2, .slot = 1, .generation = 1};
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, dave, "dave");
	subscribe(c, bob, "t");
	subscribe(c, dave, "t");
	for (unsigned n = 1; n <= 2; n++) {
		c->outbox.fail_at = n;
		send_post(c, alice,
			  (struct post){.type = POST_PUBLISH,
					.request = 7,
					.acknowledge = true,
					.payload = payload("t", NULL)});
		c->outbox.roomy = 0;
		expect_error(c, alice, WAMP_PUBLISH, 7, WAMP_ERROR_UNAVAILABLE,
			     "out of memory");
	}
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 2);
	assert_int_equal(realm_counters(c->realm).events, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(take_down_memberships),
		core_test(take_down_registrations),
		core_test(take_down_calls_of_caller),
		core_test(take_down_invocations_of_callee),
		core_test(take_down_leaves_the_realm),
		core_test(ways_are_counted),
		core_test(a_slot_is_used_again),
		core_test(same_slot_of_another_worker_is_another_session),
		core_test(identity_is_held_and_dropped),
		core_test(two_sessions_never_share_an_id),
		core_test(revocation_kills_only_whom_it_names),
		core_test(killed_callee_and_caller_in_one_go),
		core_test(freeing_a_busy_realm_posts_nothing),
		core_test(storm),
		core_test(a_join_without_memory_is_refused),
		core_test(a_lost_answer_ends_its_session),
		core_test(a_lost_invocation_costs_one_call),
		core_test(lost_errors_end_each_caller),
		core_test(a_publication_without_memory_reaches_nobody),
	};

	return cmocka_run_group_tests_name("core_session", tests, NULL, NULL);
}
