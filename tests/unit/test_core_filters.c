/* SPDX-License-Identifier: Apache-2.0 */
/* Publications for some subscribers only, and with a disclosed publisher, at a realm's
 * owner. */
#include "tests/unit/core_fixture.h"

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref dave = {.worker = 2, .slot = 9, .generation = 4};

/* The options of a PUBLISH with this list, in JSON. */
static struct options *options(enum msg_filter list, const char *json)
{
	struct msg m = {.filters = (uint8_t)(1u << list)};
	struct options *o;

	m.filter[list] = slice_str(json);
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &o), 0);
	assert_non_null(o);
	return o;
}

/* An acknowledged publication; takes the options. */
static void publish(struct core *c, struct session_ref who, struct options *o,
		    bool disclose_me)
{
	send_post(c, who,
		  (struct post){.type = POST_PUBLISH,
				.request = 5,
				.payload = payload("a", "[1]"),
				.options = o,
				.acknowledge = true,
				.exclude_me = true,
				.disclose_me = disclose_me});
}

static void join_and_subscribe(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, dave, "dave");
	subscribe(c, bob, "a");
	subscribe(c, dave, "a");
}

/* The workers test their members, so each gets the lists. */
static void each_event_has_the_options(void **state)
{
	struct core *c = *state;
	struct options *o = options(MSG_ELIGIBLE_AUTHID, "[\"bob\"]");

	join_and_subscribe(c);
	/* the publisher is the only member of its worker */
	subscribe(c, alice, "a");
	publish(c, alice, o, false);
	for (unsigned worker = 1; worker < 3; worker++) {
		struct post p = next_post(c, worker, POST_EVENT);
		assert_ptr_equal(p.options, o);
		assert_null(p.publisher);
		assert_true(p.exclude_me);
	}
	expect(c, alice, POST_PUBLISHED, 5);
	publish(c, alice, NULL, false);
	assert_null(next_post(c, 1, POST_EVENT).options);
	assert_null(next_post(c, 2, POST_EVENT).options);
	expect(c, alice, POST_PUBLISHED, 5);
}

/* Each of the lists that name the eligible can be empty. */
static void nobody_is_eligible(void **state)
{
	struct core *c = *state;

	join_and_subscribe(c);
	for (enum msg_filter list = MSG_ELIGIBLE; list < MSG_EXCLUDE; list++) {
		publish(c, alice, options(list, "[]"), true);
		expect(c, alice, POST_PUBLISHED, 5);
	}
	assert_int_equal(realm_counters(c->realm).publishes, 3);
	assert_int_equal(realm_counters(c->realm).events, 0);
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 0);
}

static void a_publisher_discloses_itself(void **state)
{
	struct core *c = *state;

	join_and_subscribe(c);
	const struct identity *i = session_find(c->realm, alice)->identity;
	publish(c, alice, NULL, true);
	assert_ptr_equal(next_post(c, 1, POST_EVENT).publisher, i);
	assert_ptr_equal(next_post(c, 2, POST_EVENT).publisher, i);
	expect(c, alice, POST_PUBLISHED, 5);
	publish(c, alice, NULL, false);
	assert_null(next_post(c, 1, POST_EVENT).publisher);
	assert_null(next_post(c, 2, POST_EVENT).publisher);
	expect(c, alice, POST_PUBLISHED, 5);
}

enum { ENDS = 3 };

static void end(struct core *c, struct session_ref who, unsigned how)
{
	if (how == 0) {
		send_post(c, who, (struct post){.type = POST_GONE});
	} else if (how == 1) {
		send_post(c, who, (struct post){.type = POST_GOODBYE});
		expect(c, who, POST_LEFT, 0);
	} else {
		struct revocation *r = revocation_new(&(struct revocation){
			.authid = slice_str("alice"), .uri = slice_str("com.example.r")});
		assert_non_null(r);
		realm_revoke(c->realm, r);
		revocation_unref(&r);
		expect(c, who, POST_KILLED, 0);
	}
}

/* Events that are on their way keep the identity. A publication behind the end is dropped
 * with all that it holds. */
static void a_publisher_ends(void **state)
{
	struct core *c = *state;

	join(c, bob, "bob");
	subscribe(c, bob, "a");
	for (unsigned how = 0; how < ENDS; how++) {
		struct session_ref who = {.worker = 0, .slot = 1, .generation = how};
		join(c, who, "alice");
		publish(c, who, options(MSG_EXCLUDE, "[7]"), true);
		struct post event = next_post(c, 1, POST_EVENT);
		expect(c, who, POST_PUBLISHED, 5);
		end(c, who, how);
		assert_null(session_find(c->realm, who));
		assert_int_equal(event.publisher->session, session_id(who));
		assert_true(slice_eq_str(event.publisher->authid, "alice"));
		publish(c, who, options(MSG_EXCLUDE, "[7]"), true);
		expect_nothing(c);
	}
	assert_int_equal(realm_counters(c->realm).dropped_posts, ENDS);
}

/* The lists are the workers' to test: a member that comes or goes between two events
 * changes only to which workers they go. */
static void members_come_and_go(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, dave, "dave");
	uint64_t id = subscribe(c, bob, "a");
	publish(c, alice, options(MSG_ELIGIBLE_AUTHID, "[\"dave\"]"), false);
	assert_non_null(next_post(c, 1, POST_EVENT).options);
	expect(c, alice, POST_PUBLISHED, 5);
	subscribe(c, dave, "a");
	send_id(c, bob, POST_UNSUBSCRIBE, 6, id);
	expect(c, bob, POST_UNSUBSCRIBED, 6);
	publish(c, alice, options(MSG_ELIGIBLE_AUTHID, "[\"dave\"]"), false);
	assert_non_null(next_post(c, 2, POST_EVENT).options);
	expect(c, alice, POST_PUBLISHED, 5);
	end(c, dave, 0);
	publish(c, alice, options(MSG_ELIGIBLE_AUTHID, "[\"dave\"]"), false);
	expect(c, alice, POST_PUBLISHED, 5);
}

static void without_memory_nothing_is_held(void **state)
{
	struct core *c = *state;

	join_and_subscribe(c);
	for (unsigned n = 1; n <= 2; n++) {
		c->outbox.fail_at = n;
		publish(c, alice, options(MSG_EXCLUDE, "[7]"), true);
		c->outbox.roomy = 0;
		expect_error(c, alice, WAMP_PUBLISH, 5, WAMP_ERROR_UNAVAILABLE,
			     "out of memory");
	}
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(each_event_has_the_options),
		core_test(nobody_is_eligible),
		core_test(a_publisher_discloses_itself),
		core_test(a_publisher_ends),
		core_test(members_come_and_go),
		core_test(without_memory_nothing_is_held),
	};

	return cmocka_run_group_tests_name("filters", tests, NULL, NULL);
}
