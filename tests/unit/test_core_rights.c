/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload takes away from the sessions of a realm, at the realm's owner. */
#define FIXTURE_ROOM 8192
#include "tests/unit/core_fixture.h"

#include <stdio.h>

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 2, .generation = 1};
static const struct session_ref zoe = {.worker = 2, .slot = 3, .generation = 1};

/* The roles of the realm under test, in the order of the configuration. */
enum { DEVICE = 0, ASKED = 1, GUEST = 2 };
static struct policy *policy; /* the last one */

/* Reloads: role device gets these permissions. Role guest is removed if `guests` is. */
static void reload_roles(struct core *c, const char *permissions, bool guests)
{
	static char yaml[200000];
	struct config *config;
	struct conf_error err;
	struct policy *next;

	(void)snprintf(yaml, sizeof(yaml),
		       "authenticators: {a: {socket: x}}\n"
		       "transports: [{type: rawsocket, endpoint: {type: tcp, port: 1},\n"
		       "   auth: {cryptosign: {type: dynamic, authenticator: a}}}]\n"
		       "realms: [{name: other, roles: [{name: x}]}, {name: devices,\n"
		       "  roles: [{name: device, permissions: [%s]},\n"
		       "    {name: asked, authorizer: a}%s]}]\n",
		       permissions,
		       guests ? ", {name: guest, permissions: "
				"[{uri: '', match: prefix, allow: {subscribe: true}}]}"
			      : "");
	if (config_parse(slice_str(yaml), "test", &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(policy_new(policy, config, &next), 0);
	config_free(&config);
	policy_unref(&policy);
	policy = next;
	realm_set_policy(c->realm, policy);
}

static void reload(struct core *c, const char *permissions)
{
	reload_roles(c, permissions, true);
}

#define MAY(uri, match, actions)                                                         \
	"{uri: '" uri "', match: " match ", allow: {" actions "}}"
#define ALL      "call: true, register: true, publish: true, subscribe: true"
#define MAY_ALL  MAY("", "prefix", ALL)
#define NOT(uri) MAY_ALL "," MAY(uri, "exact", "call: true")

static int teardown_policy(void **state)
{
	policy_unref(&policy);
	return teardown(state);
}

static int begin(void **state)
{
	setup_large(state);
	reload(*state, MAY_ALL);
	assert_false(realm_has_work(((struct core *)*state)->realm));
	return 0;
}

#define rights_test(f) cmocka_unit_test_setup_teardown(f, begin, teardown_policy)

static void join_as(struct core *c, struct session_ref from, unsigned role)
{
	struct identity i = {
		.realm = REALM,
		.role = policy->realms[REALM].slots[role].role,
		.session = session_id(from),
		.features.of[WAMP_ROLE_CALLEE] = WAMP_FEATURE_REGISTRATION_REVOCATION,
		.authmethod = "cryptosign",
		.realm_name = slice_str("devices"),
		.authid = slice_str("x"),
		.authrole = slice_str("device"),
		.authprovider = slice_str("dynamic"),
		.channel = {"tcp", "websocket", "cbor"},
		.peer_name = slice_str("tcp4:192.0.2.1:51812"),
	};
	struct identity *identity = identity_new(&i);

	assert_non_null(identity);
	send_post(c, from,
		  (struct post){
			  .type = POST_JOIN, .identity = identity, .mail = MAIL_NEW()});
	expect(c, from, POST_JOINED, 0);
}

/* Sends a SUBSCRIBE or REGISTER that this generation of the policy has allowed. */
static void send_judged(struct core *c, struct session_ref from, enum post_type type,
			enum match how, const char *uri, uint32_t generation)
{
	send_post(c, from,
		  (struct post){.type = (uint8_t)type,
				.request = 77,
				.match = (uint8_t)how,
				.generation = generation,
				.payload = payload(uri, NULL)});
}

static uint64_t subscribe_now(struct core *c, struct session_ref from, enum match how,
			      const char *topic)
{
	send_judged(c, from, POST_SUBSCRIBE, how, topic, (uint32_t)policy->generation);
	return expect(c, from, POST_SUBSCRIBED, 77).id;
}

static uint64_t register_now(struct core *c, struct session_ref from, enum match how,
			     const char *procedure)
{
	send_judged(c, from, POST_REGISTER, how, procedure, (uint32_t)policy->generation);
	return expect(c, from, POST_REGISTERED, 77).id;
}

static void expect_revoked(struct core *c, struct session_ref from, enum post_type type,
			   uint64_t id)
{
	struct post p = expect(c, from, type, 0);

	assert_int_equal(p.id, id);
	assert_string_equal(p.error.uri, "wamp.error.not_authorized");
}

static void expect_counts(struct core *c, uint64_t memberships, uint64_t callees,
			  uint64_t revoked_memberships, uint64_t revoked_callees)
{
	struct realm_counters n = realm_counters(c->realm);

	assert_int_equal(n.memberships, memberships);
	assert_int_equal(n.callees, callees);
	assert_int_equal(n.revoked_memberships, revoked_memberships);
	assert_int_equal(n.revoked_callees, revoked_callees);
}

static void publish(struct core *c, struct session_ref from, const char *topic)
{
	send_uri(c, from, POST_PUBLISH, 1, topic);
}

static void leave_behind(struct core *c, struct session_ref from, bool detached,
			 const char *topic)
{
	send_post(c, from,
		  (struct post){.type = POST_TESTAMENT,
				.request = 77,
				.detached = detached,
				.generation = (uint32_t)policy->generation,
				.payload = payload(topic, NULL)});
	expect(c, from, POST_RESULT, 77);
}

/* --- what is taken away --- */

static void testaments(void **state)
{
	struct core *c = *state;

	join_as(c, alice, DEVICE);
	join_as(c, bob, ASKED);
	join_as(c, zoe, DEVICE);
	subscribe_now(c, zoe, MATCH_PREFIX, "t");
	for (unsigned i = 0; i < 3; i++) {
		leave_behind(c, alice, i % 2 == 0, "t.no");
		leave_behind(c, alice, i % 2 == 0, "t.yes");
	}
	leave_behind(c, bob, false, "t.no");
	reload(c, MAY_ALL "," MAY("t.no", "exact", "subscribe: true"));
	finish_work(c);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).testaments, 4);
	send_post(c, alice, (struct post){.type = POST_GONE});
	for (unsigned i = 0; i < 3; i++) {
		struct post p = next_post(c, zoe.worker, POST_EVENT);
		assert_uri(&p, "t.yes");
	}
	send_post(c, bob, (struct post){.type = POST_GONE});
	struct post p = next_post(c, zoe.worker, POST_EVENT);
	assert_uri(&p, "t.no"); /* an authorizer has allowed it */
}

/* The worker judged them before the reload, and the owner gets them later. */
static void testaments_on_their_way(void **state)
{
	struct core *c = *state;
	struct post t = {
		.type = POST_TESTAMENT,
		.request = 5,
		.generation = (uint32_t)policy->generation,
	};

	join_as(c, alice, DEVICE);
	reload(c, MAY_ALL "," MAY("t.no", "exact", "subscribe: true"));
	finish_work(c);
	t.payload = payload("t.no", NULL);
	send_post(c, alice, t);
	struct post p = expect_error(c, alice, WAMP_CALL, 5, WAMP_ERROR_NOT_AUTHORIZED,
				     "this session's role may not publish to");
	assert_uri(&p, "t.no");
	t.payload = payload("t.yes", NULL);
	send_post(c, alice, t);
	expect(c, alice, POST_RESULT, 5);
	assert_int_equal(realm_counters(c->realm).testaments, 1);
}

static void only_what_is_forbidden(void **state)
{
	struct core *c = *state;
	uint32_t revoked;

	join_as(c, alice, DEVICE);
	join_as(c, bob, DEVICE);
	uint64_t topics[] = {subscribe_now(c, alice, MATCH_EXACT, "a"),
			     subscribe_now(c, alice, MATCH_EXACT, "b")};
	uint64_t procedures[] = {register_now(c, alice, MATCH_EXACT, "a"),
				 register_now(c, alice, MATCH_EXACT, "b")};
	subscribe_now(c, bob, MATCH_EXACT, "b");
	send_uri(c, bob, POST_CALL, 1, "b");
	assert_int_equal(expect(c, alice, POST_INVOCATION, 1).id, procedures[1]);
	reload(c, NOT("b"));
	assert_true(realm_has_work(c->realm));
	assert_true(realm_walks_rights(c->realm, &revoked));
	finish_work(c);
	expect_revoked(c, alice, POST_UNREGISTERED, procedures[1]);
	expect_revoked(c, alice, POST_UNSUBSCRIBED, topics[1]);
	expect(c, bob, POST_UNSUBSCRIBED, 0);
	expect_counts(c, 1, 1, 2, 1);
	assert_false(realm_walks_rights(c->realm, &revoked));
	assert_int_equal(revoked, 3);
	/* nothing of b reaches them; a still does */
	publish(c, bob, "b");
	expect_nothing(c);
	publish(c, bob, "a");
	assert_int_equal(next_post(c, alice.worker, POST_EVENT).id, topics[0]);
	send_uri(c, bob, POST_CALL, 2, "b");
	expect_error(c, bob, WAMP_CALL, 2, WAMP_ERROR_NO_SUCH_PROCEDURE,
		     "no callee registered for procedure");
	/* the call that was running goes on */
	send_args(c, alice, POST_YIELD, 1, NULL);
	expect(c, bob, POST_RESULT, 1);
	send_id(c, alice, POST_UNSUBSCRIBE, 3, topics[1]);
	expect_error(c, alice, WAMP_UNSUBSCRIBE, 3, WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		     "the session has no subscription with this id");
	/* the same rights again: nothing happens */
	reload(c, NOT("b"));
	finish_work(c);
	expect_nothing(c);
	(void)realm_walks_rights(c->realm, &revoked);
	assert_int_equal(revoked, 0);
}

/* A pattern goes if one topic that it matches is forbidden. */
static void patterns(void **state)
{
	struct core *c = *state;
	uint64_t ids[6];

	join_as(c, alice, DEVICE);
	ids[0] = register_now(c, alice, MATCH_PREFIX, "a");
	ids[1] = register_now(c, alice, MATCH_WILDCARD, "a.");
	register_now(c, alice, MATCH_WILDCARD, "a..");
	ids[2] = subscribe_now(c, alice, MATCH_WILDCARD, ".b");
	ids[3] = subscribe_now(c, alice, MATCH_PREFIX, "a.b");
	subscribe_now(c, alice, MATCH_PREFIX, "a.bc");
	subscribe_now(c, alice, MATCH_EXACT, "a.c");
	reload(c, NOT("a.b"));
	finish_work(c);
	expect_revoked(c, alice, POST_UNREGISTERED, ids[1]);
	expect_revoked(c, alice, POST_UNREGISTERED, ids[0]);
	expect_revoked(c, alice, POST_UNSUBSCRIBED, ids[3]);
	expect_revoked(c, alice, POST_UNSUBSCRIBED, ids[2]);
	expect_counts(c, 2, 1, 2, 2);
}

/* Roles with an authorizer, and roles that were removed. */
static void roles_that_are_left_alone(void **state)
{
	struct core *c = *state;

	join_as(c, alice, ASKED);
	join_as(c, bob, GUEST);
	join_as(c, zoe, DEVICE);
	subscribe_now(c, alice, MATCH_EXACT, "b");
	subscribe_now(c, bob, MATCH_EXACT, "b");
	subscribe_now(c, zoe, MATCH_EXACT, "b");
	reload_roles(c, NOT("b"), false);
	finish_work(c);
	expect(c, zoe, POST_UNSUBSCRIBED, 0);
	expect_counts(c, 2, 0, 1, 0);
	/* nor is a request judged again */
	send_judged(c, alice, POST_SUBSCRIBE, MATCH_EXACT, "c", 1);
	expect(c, alice, POST_SUBSCRIBED, 77);
	/* its worker ends this session */
	send_judged(c, bob, POST_SUBSCRIBE, MATCH_EXACT, "c", 1);
	expect(c, bob, POST_ERROR, 77);
	send_post(c, bob, (struct post){.type = POST_GONE});
}

/* Everybody who may listen sees it end; who was revoked does not see that. */
static void meta_events_of_a_reload(void **state)
{
	static const enum meta_topic topics[] = {
		META_REGISTRATION_ON_UNREGISTER, META_REGISTRATION_ON_DELETE,
		META_SUBSCRIPTION_ON_UNSUBSCRIBE, META_SUBSCRIPTION_ON_DELETE};
	struct core *c = *state;

	join_as(c, zoe, GUEST);
	join_as(c, alice, DEVICE);
	register_now(c, alice, MATCH_EXACT, "b");
	subscribe_now(c, alice, MATCH_EXACT, "b");
	subscribe_now(c, alice, MATCH_EXACT, "wamp.subscription.on_unsubscribe");
	subscribe_now(c, zoe, MATCH_PREFIX, "wamp.");
	reload(c, MAY("a", "prefix", ALL));
	finish_work(c);
	expect(c, alice, POST_UNREGISTERED, 0);
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		if (i == 2) {
			expect(c, alice, POST_UNSUBSCRIBED, 0); /* the meta topic */
			expect(c, alice, POST_UNSUBSCRIBED, 0);
		}
		struct post p = next_post(c, zoe.worker, POST_EVENT);
		assert_true(slice_eq(payload_uri(p.payload), meta_topic_name(topics[i])));
	}
}

/* --- requests that were allowed before the reload and arrive after it --- */

static void judged_again(void **state)
{
	struct core *c = *state;

	join_as(c, alice, DEVICE);
	reload(c, NOT("a.b"));
	finish_work(c);
	send_judged(c, alice, POST_SUBSCRIBE, MATCH_EXACT, "a.b", 1);
	struct post p =
		expect_error(c, alice, WAMP_SUBSCRIBE, 77, "wamp.error.not_authorized",
			     "this session's role may not subscribe to");
	assert_uri(&p, "a.b");
	send_judged(c, alice, POST_SUBSCRIBE, MATCH_PREFIX, "a.", 1);
	expect(c, alice, POST_ERROR, 77);
	send_judged(c, alice, POST_REGISTER, MATCH_EXACT, "a.b", 1);
	p = expect_error(c, alice, WAMP_REGISTER, 77, "wamp.error.not_authorized",
			 "this session's role may not register");
	assert_uri(&p, "a.b");
	expect_counts(c, 0, 0, 0, 0);
	send_judged(c, alice, POST_SUBSCRIBE, MATCH_EXACT, "a.c", 1);
	expect(c, alice, POST_SUBSCRIBED, 77);
	send_judged(c, alice, POST_REGISTER, MATCH_PREFIX, "b", 1);
	expect(c, alice, POST_REGISTERED, 77);
	/* its worker knows the new policy: the owner relies on it */
	send_judged(c, alice, POST_SUBSCRIBE, MATCH_EXACT, "a.b", 2);
	expect(c, alice, POST_SUBSCRIBED, 77);
	/* the owner does not know it yet */
	send_judged(c, alice, POST_SUBSCRIBE, MATCH_EXACT, "d", 3);
	expect(c, alice, POST_SUBSCRIBED, 77);
}

/* A takeover in slices, whose session loses the right in between. */
static void a_takeover_that_becomes_forbidden(void **state)
{
	enum { MANY = 300 };
	struct core *c = *state;
	struct session_ref other = alice;

	join_as(c, zoe, DEVICE);
	for (unsigned i = 0; i < MANY; i++) {
		other.slot = 100 + i;
		join_as(c, other, ASKED);
		send_post(c, other,
			  (struct post){.type = POST_REGISTER,
					.request = 77,
					.invoke = WAMP_INVOKE_LAST,
					.generation = 1,
					.payload = payload("b", NULL)});
		expect(c, other, POST_REGISTERED, 77);
		forget_sent(c);
	}
	send_post(c, zoe,
		  (struct post){.type = POST_REGISTER,
				.request = 5,
				.force = true,
				.generation = 1,
				.payload = payload("b", NULL)});
	forget_sent(c);
	assert_int_not_equal(realm_counters(c->realm).callees, 0);
	reload(c, NOT("b"));
	finish_work(c);
	for (uint64_t n = realm_counters(c->realm).revoked_callees; n > 256; n--)
		(void)next_post(c, alice.worker, POST_UNREGISTERED);
	expect_error(c, zoe, WAMP_REGISTER, 5, "wamp.error.not_authorized",
		     "this session's role may not register");
	expect_counts(c, 0, 0, 0, MANY);
	assert_int_equal(realm_counters(c->realm).registrations, 0);
}

/* --- slices --- */

enum { SUBSCRIPTIONS = 3000, SLICE_COST = 512 };

static void topic_name(char *to, size_t size, unsigned i)
{
	(void)snprintf(to, size, "t.%u", i);
}

/* alice and bob subscribe to many topics. */
static void subscribe_many(struct core *c)
{
	const struct session_ref both[] = {alice, bob};
	char topic[32];

	for (size_t k = 0; k < 2; k++) {
		join_as(c, both[k], DEVICE);
		for (unsigned i = 0; i < SUBSCRIPTIONS; i++) {
			topic_name(topic, sizeof(topic), i);
			subscribe_now(c, both[k], MATCH_EXACT, topic);
			forget_sent(c);
		}
	}
}

static uint64_t memberships(const struct core *c)
{
	return realm_counters(c->realm).memberships;
}

static void it_takes_slices(void **state)
{
	struct core *c = *state;
	uint64_t left = 2 * SUBSCRIPTIONS;
	unsigned slices = 0;

	subscribe_many(c);
	reload(c, MAY("a", "prefix", ALL));
	while (realm_has_work(c->realm)) {
		assert_int_equal(memberships(c), left);
		realm_work(c->realm);
		assert_in_range(left - memberships(c), 0, SLICE_COST / 3 + 1);
		left = memberships(c);
		slices++;
		/* the sessions go on */
		publish(c, alice, "t.0");
		publish(c, alice, "x");
		forget_sent(c);
	}
	assert_int_equal(left, 0);
	assert_in_range(slices, 2 * SUBSCRIPTIONS * 3 / SLICE_COST, SUBSCRIPTIONS);
}

/* It takes longer to judge by many permissions. */
static void many_permissions_cost_more(void **state)
{
	enum { PERMISSIONS = 1600 };
	static char text[100000];
	struct core *c = *state;
	size_t len = (size_t)snprintf(text, sizeof(text), MAY("a", "exact", ALL));
	char topic[32];

	join_as(c, alice, DEVICE);
	for (unsigned i = 0; i < 100; i++) {
		topic_name(topic, sizeof(topic), i);
		subscribe_now(c, alice, MATCH_PREFIX, topic);
		forget_sent(c);
	}
	for (unsigned i = 0; i < PERMISSIONS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					",{uri: x%u, allow: {call: true}}", i);
	assert_true(len < sizeof(text));
	reload(c, text);
	realm_work(c->realm);
	/* each costs 2 * 2 * PERMISSIONS / 16 */
	assert_in_range(memberships(c), 97, 99);
	finish_work(c);
	assert_int_equal(memberships(c), 0);
	forget_sent(c);
}

/* Everything that can happen to what the walk visits next. */
static void changes_in_between(void **state)
{
	struct core *c = *state;

	subscribe_many(c);
	join_as(c, zoe, DEVICE);
	uint64_t id = subscribe_now(c, zoe, MATCH_EXACT, "b");
	reload(c, NOT("b"));
	realm_work(c->realm);
	assert_int_equal(memberships(c), 2 * SUBSCRIPTIONS + 1);
	/* what it visits next is unsubscribed, ten times */
	for (unsigned i = 0; i < 10; i++) {
		const struct membership *next = c->realm->rights_walk.membership;
		assert_non_null(next);
		send_id(c, alice, POST_UNSUBSCRIBE, 1,
			membership_pattern(next)->by_id.id);
		expect(c, alice, POST_UNSUBSCRIBED, 1);
		assert_ptr_not_equal(c->realm->rights_walk.membership, next);
	}
	/* the session that it visits leaves, in slices */
	send_post(c, alice, (struct post){.type = POST_GONE});
	assert_ptr_equal(c->realm->rights_walk.session, session_find(c->realm, bob));
	/* a new session with the same slot is not visited: its things are allowed */
	struct session_ref again = alice;
	again.generation = 2;
	join_as(c, again, DEVICE);
	subscribe_now(c, again, MATCH_EXACT, "b");
	forget_sent(c);
	while (c->realm->rights_walk.session == session_find(c->realm, bob))
		realm_work(c->realm);
	finish_work(c);
	expect_revoked(c, zoe, POST_UNSUBSCRIBED, id);
	expect_counts(c, SUBSCRIPTIONS + 1, 0, 1, 0);
	forget_sent(c);
}

/* The last session of the walk leaves: the walk ends. */
static void the_last_one_leaves(void **state)
{
	struct core *c = *state;
	uint32_t revoked;

	join_as(c, alice, DEVICE);
	subscribe_now(c, alice, MATCH_EXACT, "b");
	reload(c, NOT("b"));
	join_as(c, bob, DEVICE);
	subscribe_now(c, bob, MATCH_EXACT, "b");
	send_post(c, alice, (struct post){.type = POST_GOODBYE});
	expect(c, alice, POST_LEFT, 0);
	assert_false(realm_walks_rights(c->realm, &revoked));
	assert_int_equal(revoked, 0);
	assert_false(realm_has_work(c->realm));
	expect_counts(c, 1, 0, 0, 0);
}

/* A second reload gives the rights back: what is left stays. A third takes all. */
static void a_reload_during_a_walk(void **state)
{
	struct core *c = *state;
	uint64_t left;

	subscribe_many(c);
	reload(c, MAY("a", "prefix", ALL));
	realm_work(c->realm);
	forget_sent(c);
	left = memberships(c);
	assert_in_range(left, SUBSCRIPTIONS, 2 * SUBSCRIPTIONS - 1);
	reload(c, MAY_ALL);
	finish_work(c);
	assert_int_equal(memberships(c), left);
	join_as(c, zoe, DEVICE);
	reload(c, MAY("t.", "prefix", ALL));
	realm_work(c->realm);
	assert_int_equal(memberships(c), left);
	subscribe_now(c, zoe, MATCH_EXACT, "t.0");
	reload(c, MAY("a", "prefix", ALL));
	forget_sent(c);
	finish_work(c);
	assert_int_equal(memberships(c), 0);
	forget_sent(c);
}

/* The realm is freed in the middle of a walk. */
static void the_realm_ends(void **state)
{
	struct core *c = *state;

	subscribe_many(c);
	reload(c, MAY("a", "prefix", ALL));
	realm_work(c->realm);
	forget_sent(c);
}

/*
 * No memory for the post to a subscriber: its worker would send it more events, so it
 * ends. A callee is only not told.
 */
static void no_memory_to_revoke(void **state)
{
	struct core *c = *state;

	join_as(c, alice, DEVICE);
	join_as(c, bob, DEVICE);
	subscribe_now(c, alice, MATCH_EXACT, "b");
	subscribe_now(c, alice, MATCH_EXACT, "a");
	register_now(c, bob, MATCH_EXACT, "b");
	reload(c, NOT("b"));
	c->outbox.fail_at = 1;
	finish_work(c);
	expect(c, bob, POST_UNREGISTERED, 0);
	assert_null(expect(c, alice, POST_KILLED, 0).revocation);
	expect_counts(c, 0, 0, 1, 1);
	register_now(c, bob, MATCH_EXACT, "c");
	reload(c, MAY("a", "prefix", ALL));
	c->outbox.fail_at = 1;
	finish_work(c);
	expect_nothing(c);
	expect_counts(c, 0, 0, 1, 2);
	assert_int_equal(realm_counters(c->realm).sessions, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rights_test(testaments),
		rights_test(testaments_on_their_way),
		rights_test(only_what_is_forbidden),
		rights_test(patterns),
		rights_test(roles_that_are_left_alone),
		rights_test(meta_events_of_a_reload),
		rights_test(judged_again),
		rights_test(a_takeover_that_becomes_forbidden),
		rights_test(it_takes_slices),
		rights_test(many_permissions_cost_more),
		rights_test(changes_in_between),
		rights_test(the_last_one_leaves),
		rights_test(a_reload_during_a_walk),
		rights_test(the_realm_ends),
		rights_test(no_memory_to_revoke),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
