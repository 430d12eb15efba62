/* SPDX-License-Identifier: Apache-2.0 */
/* The meta events at a realm's owner: when they are published, to whom, and what they
 * say. */
#define FIXTURE_ROOM 2048
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
	if (arguments != NULL)
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

/* --- subscriptions and registrations --- */

#define EPOCH "1970-01-01T00:00:00.000Z" /* the fixture's posts carry no time */

static const char *const topics[META_TOPIC_COUNT] = {
	"wamp.session.on_join",
	"wamp.session.on_leave",
	"wamp.subscription.on_create",
	"wamp.subscription.on_subscribe",
	"wamp.subscription.on_unsubscribe",
	"wamp.subscription.on_delete",
	"wamp.registration.on_create",
	"wamp.registration.on_register",
	"wamp.registration.on_unregister",
	"wamp.registration.on_delete",
};

/* The ids of a session's subscriptions to all meta topics. */
static uint64_t listening[META_TOPIC_COUNT];

static void listen(struct core *c, struct session_ref who)
{
	for (size_t i = 0; i < META_TOPIC_COUNT; i++)
		listening[i] = subscribe(c, who, topics[i]);
}

/* The next post is this event, for alice, who listens. */
static void hear(struct core *c, const char *topic, const char *fmt, ...)
{
	char arguments[300];
	size_t i = 0;
	va_list ap;

	while (strcmp(topics[i], topic) != 0)
		i++;
	va_start(ap, fmt);
	vsnprintf(arguments, sizeof(arguments), fmt, ap);
	va_end(ap);
	expect_event(c, alice.worker, listening[i], topic, arguments);
}

#define ID(id) ((unsigned)(id))

static void subscriptions_come_and_go(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
	listen(c, alice);
	expect_nothing(c); /* none about topics of the router */
	uint64_t id = subscribe(c, bob, "a");
	hear(c, "wamp.subscription.on_create",
	     "[2000001,{\"id\":%u,\"created\":\"" EPOCH
	     "\",\"uri\":\"a\",\"match\":\"exact\"}]",
	     ID(id));
	hear(c, "wamp.subscription.on_subscribe", "[2000001,%u]", ID(id));
	subscribe(c, bob, "a");
	expect_nothing(c);
	subscribe(c, carol, "a");
	hear(c, "wamp.subscription.on_subscribe", "[3000001,%u]", ID(id));
	send_id(c, bob, POST_UNSUBSCRIBE, 1, id);
	expect(c, bob, POST_UNSUBSCRIBED, 1);
	hear(c, "wamp.subscription.on_unsubscribe", "[2000001,%u]", ID(id));
	send_id(c, bob, POST_UNSUBSCRIBE, 2, id);
	expect_error(c, bob, WAMP_UNSUBSCRIBE, 2, WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		     "the session has no subscription with this id");
	send_id(c, carol, POST_UNSUBSCRIBE, 1, id);
	expect(c, carol, POST_UNSUBSCRIBED, 1);
	hear(c, "wamp.subscription.on_unsubscribe", "[3000001,%u]", ID(id));
	hear(c, "wamp.subscription.on_delete", "[3000001,%u]", ID(id));
	/* it hears of its own, too */
	id = subscribe_to(c, alice, MATCH_PREFIX, "a");
	hear(c, "wamp.subscription.on_create",
	     "[1000001,{\"id\":%u,\"created\":\"1970-01-01T00:00:01.000Z\","
	     "\"uri\":\"a\",\"match\":\"prefix\"}]",
	     ID(id));
	hear(c, "wamp.subscription.on_subscribe", "[1000001,%u]", ID(id));
}

static void registrations_come_and_go(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
	listen(c, alice);
	uint64_t id = provide(c, bob, "p");
	hear(c, "wamp.registration.on_create",
	     "[2000001,{\"id\":%u,\"created\":\"" EPOCH
	     "\",\"uri\":\"p\",\"match\":\"exact\",\"invoke\":\"single\"}]",
	     ID(id));
	hear(c, "wamp.registration.on_register", "[2000001,%u]", ID(id));
	send_uri(c, carol, POST_REGISTER, 1, "p");
	expect_error(c, carol, WAMP_REGISTER, 1, WAMP_ERROR_PROCEDURE_ALREADY_EXISTS,
		     "a callee is already registered for procedure");
	send_id(c, bob, POST_UNREGISTER, 2, id);
	expect(c, bob, POST_UNREGISTERED, 2);
	hear(c, "wamp.registration.on_unregister", "[2000001,%u]", ID(id));
	hear(c, "wamp.registration.on_delete", "[2000001,%u]", ID(id));
}

/* What a session holds ends in one order, whatever the way in which it leaves. */
static void everything_of_a_session_ends(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
	uint64_t shared = subscribe(c, carol, "a"), own = subscribe(c, bob, "b");
	subscribe(c, bob, "a");
	uint64_t reg = provide(c, bob, "p");
	send_uri(c, carol, POST_CALL, 1, "p");
	expect(c, bob, POST_INVOCATION, 1);
	listen(c, alice);
	send_post(c, bob, (struct post){.type = POST_GOODBYE});
	expect(c, bob, POST_LEFT, 0);
	hear(c, "wamp.registration.on_unregister", "[2000001,%u]", ID(reg));
	hear(c, "wamp.registration.on_delete", "[2000001,%u]", ID(reg));
	expect_error(c, carol, WAMP_CALL, 1, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	hear(c, "wamp.subscription.on_unsubscribe", "[2000001,%u]", ID(shared));
	hear(c, "wamp.subscription.on_unsubscribe", "[2000001,%u]", ID(own));
	hear(c, "wamp.subscription.on_delete", "[2000001,%u]", ID(own));
	hear(c, "wamp.session.on_leave", "[2000001,\"bob\",\"device\"]");
	expect_nothing(c);
}

/* The listener's own subscriptions end, too: it hears nothing of that, others do. */
static void a_listener_leaves(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	listen(c, alice);
	listen(c, bob);
	send_post(c, alice, (struct post){.type = POST_GONE});
	expect_event(c, bob.worker, listening[1], "wamp.session.on_leave",
		     "[1000001,\"alice\",\"device\"]");
	send_post(c, bob, (struct post){.type = POST_GONE});
	expect_nothing(c);
	for (unsigned t = 0; t < META_TOPIC_COUNT; t++)
		assert_int_equal(c->realm->broker.listeners[t], 0);
}

static void kill_all(struct core *c, struct session_ref who)
{
	struct revocation *kill =
		revocation_new(&(struct revocation){.uri = slice_str(WAMP_CLOSE_KILLED)});

	assert_non_null(kill);
	send_post(c, who,
		  (struct post){.type = POST_META,
				.request = 1,
				.procedure = META_SESSION_KILL_ALL,
				.kill = kill});
	realm_work(c->realm);
}

/* It ends what its victims hold, as always, and publishes nothing about that. */
static void kill_all_is_quiet(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	subscribe(c, bob, "a");
	provide(c, bob, "p");
	listen(c, alice);
	send_uri(c, alice, POST_CALL, 2, "p");
	expect(c, bob, POST_INVOCATION, 1);
	kill_all(c, alice);
	expect(c, bob, POST_KILLED, 0);
	struct post p = expect(c, alice, POST_RESULT, 1);
	assert_args(&p, "[1]");
	expect_error(c, alice, WAMP_CALL, 2, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
	assert_false(realm_has_work(c->realm));
	assert_int_equal(realm_counters(c->realm).registrations, 0);
}

/* --- a session with many subscriptions leaves --- */

enum {
	SLICE = 256, /* what one slice of leave.c may end */
	MANY = 100000,
};

/* What became of a subscription of the session. */
enum fate { LIVES, ENDED, DELETED };

/* Reads the events of a slice: each subscription ends, and then is deleted. Returns how
 * many end. */
static unsigned hear_ends(struct core *c, uint8_t *fates, uint64_t first)
{
	unsigned ended = 0;

	for (; c->outbox.first < c->outbox.end; c->outbox.first++) {
		const struct post *p = &c->outbox.sent[c->outbox.first].post;
		unsigned long long session, id;
		struct msg_payload items;

		assert_int_equal(p->type, POST_EVENT);
		assert_int_equal(payload_items(p->payload, SERIALIZER_JSON, &items), 0);
		assert_int_equal(
			sscanf((const char *)items.bytes.p, "[%llu,%llu]", &session, &id),
			2);
		assert_int_equal(session, session_id(bob));
		uint8_t *fate = &fates[(id - first) / N_WORKERS];
		if (p->id == listening[META_SUBSCRIPTION_ON_UNSUBSCRIBE]) {
			assert_int_equal(*fate, LIVES);
			*fate = ENDED;
			ended++;
		} else {
			assert_int_equal(p->id, listening[META_SUBSCRIPTION_ON_DELETE]);
			assert_int_equal(*fate, ENDED);
			*fate = DELETED;
		}
	}
	return ended;
}

static void many_subscriptions_end_in_slices(void **state)
{
	static uint8_t fates[MANY];
	static const struct session_ref next = {.worker = 1, .slot = 1, .generation = 2};
	struct core *c = *state;
	uint64_t first = 0;
	unsigned total = 0;
	char topic[20];

	join(c, alice, "alice");
	join(c, bob, "bob");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(topic, sizeof(topic), "t.%u", i);
		uint64_t id = subscribe(c, bob, topic);
		first = i == 0 ? id : first;
		forget_sent(c);
	}
	listen(c, alice);
	uint64_t others = META_TOPIC_COUNT;
	send_post(c, bob, (struct post){.type = POST_GONE});
	total = hear_ends(c, fates, first);
	assert_int_equal(total, SLICE);
	forget_sent(c);
	/* its place is free at once, and what it sends is dropped */
	join(c, next, "next");
	expect_event(c, alice.worker, listening[META_SESSION_ON_JOIN],
		     "wamp.session.on_join", NULL);
	send_uri(c, bob, POST_PUBLISH, 1, "t.0");
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).dropped_posts, 1);
	for (;;) {
		assert_true(realm_has_work(c->realm));
		realm_work(c->realm);
		if (total + SLICE > MANY)
			break;
		assert_int_equal(hear_ends(c, fates, first), SLICE);
		total += SLICE;
		/* the counters agree with the events */
		assert_int_equal(realm_counters(c->realm).memberships,
				 MANY - total + others);
		forget_sent(c);
	}
	/* on_leave is the last of all */
	c->outbox.end--;
	total += hear_ends(c, fates, first);
	c->outbox.end++;
	assert_int_equal(total, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(fates[i], DELETED);
	expect_event(c, alice.worker, listening[META_SESSION_ON_LEAVE],
		     "wamp.session.on_leave", "[2000001,\"bob\",\"device\"]");
	assert_false(realm_has_work(c->realm));
}

/* --- patterns --- */

/* An event goes once to each subscription that matches, by all ways of matching. */
static void patterns_listen(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	uint64_t exact = subscribe(c, alice, "wamp.subscription.on_create");
	uint64_t prefix = subscribe_to(c, alice, MATCH_PREFIX, "wamp.");
	uint64_t wildcard = subscribe_to(c, alice, MATCH_WILDCARD, "wamp..on_create");
	assert_int_equal(c->realm->broker.listeners[META_SUBSCRIPTION_ON_CREATE], 3);
	assert_int_equal(c->realm->broker.listeners[META_SESSION_ON_JOIN], 1);
	subscribe(c, bob, "a");
	struct post p = next_post(c, alice.worker, POST_EVENT);
	assert_int_equal(p.id, exact);
	assert_uri(&p, "wamp.subscription.on_create");
	assert_int_equal(p.more->n, 2);
	assert_int_equal(p.more->ids[0], prefix);
	assert_int_equal(p.more->ids[1], wildcard);
	p = next_post(c, alice.worker, POST_EVENT);
	assert_int_equal(p.id, prefix);
	assert_int_equal(p.match, MATCH_PREFIX);
	assert_uri(&p, "wamp.subscription.on_subscribe");
	assert_null(p.more);
}

/* A pattern for everything is not one in "wamp.": it hears of itself. */
static void a_pattern_for_everything(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	uint64_t all = subscribe_to(c, alice, MATCH_PREFIX, "");
	struct post p = next_post(c, alice.worker, POST_EVENT);
	assert_uri(&p, "wamp.subscription.on_create");
	p = next_post(c, alice.worker, POST_EVENT);
	assert_uri(&p, "wamp.subscription.on_subscribe");
	assert_int_equal(p.id, all);
	send_id(c, alice, POST_UNSUBSCRIBE, 1, all);
	expect(c, alice, POST_UNSUBSCRIBED, 1);
	expect_nothing(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(join_and_leave),
		core_test(a_session_hears_only_of_others),
		core_test(nobody_listens),
		core_test(no_memory_for_an_event),
		large_test(subscriptions_come_and_go),
		large_test(registrations_come_and_go),
		large_test(everything_of_a_session_ends),
		large_test(a_listener_leaves),
		large_test(kill_all_is_quiet),
		large_test(many_subscriptions_end_in_slices),
		core_test(patterns_listen),
		core_test(a_pattern_for_everything),
	};

	return cmocka_run_group_tests_name("core_meta_event", tests, NULL, NULL);
}
