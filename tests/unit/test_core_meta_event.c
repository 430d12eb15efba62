/* SPDX-License-Identifier: Apache-2.0 */
/* The meta events at a realm's owner: when they are published, to whom, and what they
 * say. */
#include "tests/unit/core_fixture.h"

#include <stdio.h>

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 2, .slot = 1, .generation = 1};

/* The next post is an event of the router itself for the members on a worker. */
static struct post expect_event(struct core *c, unsigned worker, uint64_t subscription,
				const char *topic, const char *arguments)
{
	struct post p = next_post(c, worker, POST_EVENT);

	assert_int_equal(p.id, subscription);
	assert_in_range(p.publication, 1, WAMP_MAX_ID);
	assert_false(p.exclude_me);
	assert_null(p.options);
	assert_null(p.disclosed);
	assert_uri(&p, topic);
	assert_args(&p, arguments);
	return p;
}

static void join_and_leave(void **state)
{
	static const char joined[] =
		"[{\"session\":2000001,\"authid\":\"bob\",\"authrole\":\"device\","
		"\"authmethod\":\"cryptosign\",\"authprovider\":\"dynamic\","
		"\"transport\":{\"channel_type\":\"tcp\",\"channel_framing\":"
		"\"websocket\",\"channel_serializer\":\"cbor\",\"peer\":"
		"\"tcp4:192.0.2.1:51812\"}}]";
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, carol, "carol");
	uint64_t on_join = subscribe(c, alice, "wamp.session.on_join");
	uint64_t on_leave = subscribe(c, alice, "wamp.session.on_leave");
	subscribe(c, carol, "wamp.session.on_leave");
	join(c, bob, "bob");
	struct post first =
		expect_event(c, alice.worker, on_join, "wamp.session.on_join", joined);
	send_post(c, bob, (struct post){.type = POST_GOODBYE});
	expect(c, bob, POST_LEFT, 0);
	struct post second =
		expect_event(c, alice.worker, on_leave, "wamp.session.on_leave",
			     "[2000001,\"bob\",\"device\"]");
	struct post third =
		expect_event(c, carol.worker, on_leave, "wamp.session.on_leave",
			     "[2000001,\"bob\",\"device\"]");
	assert_int_not_equal(first.publication, second.publication);
	assert_int_equal(second.publication, third.publication);
	assert_int_equal(realm_counters(c->realm).publishes, 0);
	assert_int_equal(realm_counters(c->realm).events, 3);
}

/* Neither its own join nor its own end. */
static void a_session_hears_only_of_others(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	subscribe(c, alice, "wamp.session.on_join");
	subscribe(c, alice, "wamp.session.on_leave");
	send_post(c, alice, (struct post){.type = POST_GONE});
	expect_nothing(c);
	join(c, alice, "alice");
}

/* Events that nobody listens to take no publication id: the ids depend on the seed. */
static void nobody_listens(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	uint64_t id = subscribe(c, alice, "wamp.session.on_join");
	send_id(c, alice, POST_UNSUBSCRIBE, 1, id);
	expect(c, alice, POST_UNSUBSCRIBED, 1);
	uint64_t before = c->realm->broker.publication;
	join(c, bob, "bob");
	send_post(c, bob, (struct post){.type = POST_GONE});
	assert_int_equal(c->realm->broker.publication, before);
	for (unsigned t = 0; t < META_TOPIC_COUNT; t++)
		assert_int_equal(c->realm->broker.listeners[t], 0);
}

/* An event that finds no memory reaches nobody, and the session is not harmed. */
static void no_memory_for_an_event(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	subscribe(c, alice, "wamp.session.on_join");
	c->outbox.fail_at = 2;
	join(c, bob, "bob");
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 1);
	assert_int_equal(realm_counters(c->realm).sessions, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(join_and_leave),
		core_test(a_session_hears_only_of_others),
		core_test(nobody_listens),
		core_test(no_memory_for_an_event),
	};

	return cmocka_run_group_tests_name("core_meta_event", tests, NULL, NULL);
}
