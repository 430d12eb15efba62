/* SPDX-License-Identifier: Apache-2.0 */
/* wamp.registration.remove_callee and wamp.subscription.remove_subscriber at a realm's
 * owner. */
#include "tests/unit/core_fixture.h"

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 2, .generation = 1};
static const struct session_ref zoe = {.worker = 2, .slot = 3, .generation = 1};

static void send_removal(struct core *c, enum meta_procedure procedure, uint64_t id,
			 uint64_t session)
{
	struct revocation from = {.session = session,
				  .uri = slice_str("com.example.why")};
	struct revocation *kill = revocation_new(&from);

	assert_non_null(kill);
	send_post(c, alice,
		  (struct post){.type = POST_META,
				.request = 9,
				.procedure = (uint8_t)procedure,
				.id = id,
				.kill = kill});
}

static void expect_refused(struct core *c, const char *uri, const char *text)
{
	expect_error(c, alice, WAMP_CALL, 9, uri, text);
}

static void remove_callee(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	send_join_with(c, bob, "bob", WAMP_FEATURE_REGISTRATION_REVOCATION);
	expect(c, bob, POST_JOINED, 0);
	join(c, zoe, "zoe");
	uint64_t id = provide(c, bob, "p"), other = provide(c, zoe, "q");
	send_removal(c, META_REGISTRATION_REMOVE_CALLEE, id + 1000, session_id(bob));
	expect_refused(c, WAMP_ERROR_NO_SUCH_REGISTRATION,
		       "the realm has no registration with this id");
	send_removal(c, META_REGISTRATION_REMOVE_CALLEE, id, 1);
	expect_refused(c, WAMP_ERROR_NO_SUCH_SESSION,
		       "the registration has no callee with this session id");
	send_removal(c, META_REGISTRATION_REMOVE_CALLEE, id, session_id(zoe));
	expect_refused(c, WAMP_ERROR_NO_SUCH_SESSION,
		       "the registration has no callee with this session id");
	send_removal(c, META_REGISTRATION_REMOVE_CALLEE, id, session_id(bob));
	struct post p = expect(c, bob, POST_UNREGISTERED, 0);
	assert_int_equal(p.id, id);
	assert_uri(&p, "com.example.why");
	expect(c, alice, POST_RESULT, 9);
	/* zoe has not announced that she understands it */
	send_removal(c, META_REGISTRATION_REMOVE_CALLEE, other, session_id(zoe));
	p = expect(c, alice, POST_RESULT, 9);
	assert_args(&p, "");
	assert_int_equal(realm_counters(c->realm).revoked_callees, 2);
	assert_int_equal(realm_counters(c->realm).registrations, 0);
}

static void remove_subscriber(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, zoe, "zoe");
	uint64_t id = subscribe(c, bob, "t");
	subscribe(c, alice, "t");
	send_removal(c, META_SUBSCRIPTION_REMOVE_SUBSCRIBER, id + 1000, session_id(bob));
	expect_refused(c, WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		       "the realm has no subscription with this id");
	send_removal(c, META_SUBSCRIPTION_REMOVE_SUBSCRIBER, id, session_id(zoe));
	expect_refused(c, WAMP_ERROR_NO_SUCH_SESSION,
		       "the subscription has no subscriber with this session id");
	send_removal(c, META_SUBSCRIPTION_REMOVE_SUBSCRIBER, id, session_id(bob));
	struct post p = expect(c, bob, POST_UNSUBSCRIBED, 0);
	assert_int_equal(p.id, id);
	assert_uri(&p, "com.example.why");
	expect(c, alice, POST_RESULT, 9);
	/* itself */
	send_removal(c, META_SUBSCRIPTION_REMOVE_SUBSCRIBER, id, session_id(alice));
	expect(c, alice, POST_UNSUBSCRIBED, 0);
	expect(c, alice, POST_RESULT, 9);
	assert_int_equal(realm_counters(c->realm).revoked_memberships, 2);
	assert_int_equal(realm_counters(c->realm).subscriptions, 0);
}

/* No memory for the post to a callee: it is removed all the same. */
static void no_memory_to_tell(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	send_join_with(c, bob, "bob", WAMP_FEATURE_REGISTRATION_REVOCATION);
	expect(c, bob, POST_JOINED, 0);
	uint64_t id = provide(c, bob, "p");
	c->outbox.fail_at = 1;
	send_removal(c, META_REGISTRATION_REMOVE_CALLEE, id, session_id(bob));
	expect(c, alice, POST_RESULT, 9);
	assert_int_equal(realm_counters(c->realm).callees, 0);
	assert_int_equal(realm_counters(c->realm).sessions, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(remove_callee),
		core_test(remove_subscriber),
		core_test(no_memory_to_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
