/* SPDX-License-Identifier: Apache-2.0 */
/* Retained events at a realm's owner: which event of a topic a subscriber gets, in which
 * order, and what the store refuses when it is full. */
#define FIXTURE_ROOM 1100
#include "tests/unit/core_fixture.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref dave = {.worker = 2, .slot = 9, .generation = 4};

static void join_all(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, dave, "dave");
}

/* The options of a PUBLISH with this list, in JSON. */
static struct options *options(enum msg_filter list, const char *json)
{
	struct msg m = {.filters = (uint8_t)(1u << list)};
	struct options *o;

	m.filter[list] = slice_str(json);
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &o), 0);
	return o;
}

/* Publishes with `retain`. Takes the options. Returns the publication id. */
static uint64_t retain(struct core *c, struct session_ref who, const char *topic,
		       struct options *o, const char *arguments)
{
	send_post(c, who,
		  (struct post){.type = POST_PUBLISH,
				.request = 5,
				.payload = payload(topic, arguments),
				.options = o,
				.acknowledge = true,
				.retain = true,
				.exclude_me = true});
	return expect(c, who, POST_PUBLISHED, 5).id;
}

static uint64_t retain_for(struct core *c, const char *authids, const char *arguments)
{
	return retain(c, alice, "a", options(MSG_ELIGIBLE_AUTHID, authids), arguments);
}

static uint64_t get_retained(struct core *c, struct session_ref who, enum match how,
			     const char *topic)
{
	send_post(c, who,
		  (struct post){.type = POST_SUBSCRIBE,
				.request = 77,
				.match = (uint8_t)how,
				.retain = true,
				.payload = payload(topic, NULL)});
	return expect(c, who, POST_SUBSCRIBED, 77).id;
}

static struct post expect_event(struct core *c, struct session_ref to, uint64_t id,
				const char *arguments)
{
	struct post p = expect(c, to, POST_EVENT_ONE, 0);

	assert_true(p.retain);
	assert_int_equal(p.id, id);
	assert_args(&p, arguments);
	return p;
}

/* Who gets these Arguments when it subscribes to "a"; NULL: gets no event. */
static void expect_retained(struct core *c, struct session_ref who, const char *arguments)
{
	uint64_t id = get_retained(c, who, MATCH_EXACT, "a");

	if (arguments != NULL)
		expect_event(c, who, id, arguments);
	expect_nothing(c);
	send_id(c, who, POST_UNSUBSCRIBE, 78, id);
	expect(c, who, POST_UNSUBSCRIBED, 78);
}

static struct realm_counters counters(const struct core *c)
{
	return realm_counters(c->realm);
}

static void limit(struct core *c, struct realm_limits limits)
{
	limits.subscriptions = 100;
	limits.wildcards = 100;
	realm_set_limits(c->realm, &limits);
}

/* --- one topic --- */

static void the_last_event_with_its_own_id(void **state)
{
	struct core *c = *state;

	join_all(c);
	retain(c, alice, "a", NULL, "[1]");
	uint64_t publication = retain(c, alice, "a", NULL, "[2]");
	uint64_t id = get_retained(c, bob, MATCH_EXACT, "a");
	struct post p = expect_event(c, bob, id, "[2]");
	assert_int_equal(p.publication, publication);
	assert_int_equal(p.match, MATCH_EXACT);
	assert_null(p.disclosed);
	/* again, also for a member */
	assert_int_equal(get_retained(c, bob, MATCH_EXACT, "a"), id);
	expect_event(c, bob, id, "[2]");
	/* only who asks for it */
	subscribe(c, dave, "a");
	assert_int_equal(counters(c).retained_topics, 1);
	/* an event without retain changes nothing */
	send_uri(c, alice, POST_PUBLISH, 6, "a");
	next_post(c, 1, POST_EVENT);
	next_post(c, 2, POST_EVENT);
	get_retained(c, bob, MATCH_EXACT, "a");
	expect_event(c, bob, id, "[2]");
	get_retained(c, bob, MATCH_EXACT, "a.b");
	get_retained(c, bob, MATCH_EXACT, "b");
}

/* Nobody is subscribed, and the publisher has left. */
static void the_store_is_no_subscriber(void **state)
{
	struct core *c = *state;

	join_all(c);
	retain(c, alice, "a", NULL, "[1]");
	assert_int_equal(counters(c).subscriptions, 0);
	send_post(c, alice, (struct post){.type = POST_GONE});
	expect_retained(c, bob, "[1]");
	expect_retained(c, dave, "[1]");
	assert_int_equal(counters(c).subscriptions, 0);
}

static void the_publisher_is_excluded(void **state)
{
	struct core *c = *state;
	struct session_ref again = ref(0, 1, 2);

	join_all(c);
	retain(c, alice, "a", NULL, "[1]");
	expect_retained(c, alice, NULL);
	send_post(c, alice,
		  (struct post){.type = POST_PUBLISH,
				.payload = payload("a", "[2]"),
				.retain = true});
	expect_retained(c, alice, "[2]");
	retain(c, alice, "a", NULL, "[3]");
	send_post(c, alice, (struct post){.type = POST_GONE});
	/* the next session in its place is another one */
	struct identity i = *session_find(c->realm, bob)->identity;
	i.session = 4711;
	send_post(c, again,
		  (struct post){.type = POST_JOIN,
				.identity = identity_new(&i),
				.mail = MAIL_NEW()});
	expect(c, again, POST_JOINED, 0);
	expect_retained(c, again, "[3]");
}

static void the_publisher_as_it_was_disclosed(void **state)
{
	struct core *c = *state;

	join_all(c);
	send_post(c, alice,
		  (struct post){.type = POST_PUBLISH,
				.payload = payload("a", "[1]"),
				.retain = true,
				.disclose = DISCLOSE_YES,
				.trust = 3});
	send_post(c, alice, (struct post){.type = POST_GONE});
	uint64_t id = get_retained(c, bob, MATCH_EXACT, "a");
	struct post p = expect_event(c, bob, id, "[1]");
	assert_true(slice_eq_str(p.disclosed->authid, "alice"));
	assert_int_equal(p.disclosed->session, session_id(alice));
	assert_int_equal(p.trust, 3);
}

/* Specification: "the most recent event that they would have received". */
static void the_newest_that_the_session_may_have(void **state)
{
	struct core *c = *state;

	join_all(c);
	retain(c, alice, "a", NULL, "[1]");
	retain_for(c, "[\"bob\"]", "[2]");
	expect_retained(c, bob, "[2]");
	expect_retained(c, dave, "[1]");
	retain_for(c, "[\"dave\",\"bob\"]", "[3]");
	expect_retained(c, bob, "[3]");
	expect_retained(c, dave, "[3]");
	/* the same list replaces; the lists of others do not */
	retain_for(c, "[\"bob\"]", "[4]");
	retain_for(c, "[\"bob\",\"dave\"]", "[5]");
	assert_int_equal(c->realm->retained.topics.by_id.count, 1);
	expect_retained(c, dave, "[5]");
	retain_for(c, "[\"bob\"]", "[6]");
	expect_retained(c, bob, "[6]");
	expect_retained(c, dave, "[5]");
	retain(c, alice, "a", options(MSG_EXCLUDE_AUTHID, "[\"bob\"]"), "[7]");
	expect_retained(c, bob, "[6]");
	expect_retained(c, dave, "[7]");
	/* an event for nobody is not stored */
	for (enum msg_filter list = MSG_ELIGIBLE; list < MSG_EXCLUDE; list++)
		retain(c, alice, "a", options(list, "[]"), "[8]");
	expect_retained(c, bob, "[6]");
	/* an event for all replaces everything */
	size_t bytes = c->realm->retained.bytes;
	retain(c, bob, "a", NULL, "[9]");
	assert_true(c->realm->retained.bytes < bytes);
	expect_retained(c, bob, NULL);
	expect_retained(c, dave, "[9]");
	expect_retained(c, alice, "[9]");
}

static void the_oldest_of_nine_restricted_ones_goes(void **state)
{
	struct core *c = *state;
	char list[32], args[32];

	join_all(c);
	retain(c, alice, "a", NULL, "[0]");
	for (unsigned i = 1; i <= RETAINED_RESTRICTED_MAX; i++) {
		snprintf(list, sizeof(list), "[\"u%u\"%s]", i, i < 3 ? ",\"bob\"" : "");
		snprintf(args, sizeof(args), "[%u]", i);
		retain_for(c, list, args);
	}
	expect_retained(c, bob, "[2]");
	retain_for(c, "[\"u9\"]", "[9]");
	expect_retained(c, bob, "[2]");
	retain_for(c, "[\"u10\"]", "[10]");
	/* the event for all stays */
	expect_retained(c, bob, "[0]");
	assert_int_equal(counters(c).retained_topics, 1);
}

/* Behind SUBSCRIBED and the meta events about it, before what is published next. */
static void the_order_after_subscribed(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe_to(c, dave, MATCH_PREFIX, "wamp.subscription.");
	retain(c, alice, "a", NULL, "[1]");
	uint64_t id = get_retained(c, bob, MATCH_EXACT, "a");
	next_post(c, 2, POST_EVENT);
	next_post(c, 2, POST_EVENT);
	expect_event(c, bob, id, "[1]");
}

/* The publication of a meta event is not retained. */
static void meta_events_are_not_retained(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = get_retained(c, bob, MATCH_PREFIX, "wamp.");
	join(c, ref(0, 7, 1), "eve");
	assert_int_equal(next_post(c, 1, POST_EVENT).id, id);
	get_retained(c, dave, MATCH_PREFIX, "wamp.");
	assert_int_equal(counters(c).retained_topics, 0);
}

/* --- patterns --- */

static void patterns_in_the_order_of_publication(void **state)
{
	static const char *const topics[] = {"com.b.x", "com.a.x", "com.c.y", "com.a.y"};
	struct core *c = *state;
	char args[16];

	join_all(c);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(args, sizeof(args), "[%u]", i);
		retain(c, alice, topics[i], NULL, args);
	}
	retain(c, alice, "com.b.x", NULL, "[4]");
	uint64_t id = get_retained(c, bob, MATCH_PREFIX, "com.");
	for (unsigned i = 1; i <= 4; i++) {
		snprintf(args, sizeof(args), "[%u]", i);
		struct post p = expect_event(c, bob, id, args);
		assert_uri(&p, topics[i % 4]);
		assert_int_equal(p.match, MATCH_PREFIX);
	}
	id = get_retained(c, bob, MATCH_WILDCARD, "com..x");
	expect_event(c, bob, id, "[1]");
	assert_int_equal(expect_event(c, bob, id, "[4]").match, MATCH_WILDCARD);
	id = get_retained(c, bob, MATCH_PREFIX, "com.c");
	expect_event(c, bob, id, "[2]");
	get_retained(c, bob, MATCH_WILDCARD, "com.");
}

/* A filter hides an event from patterns, too. */
static void patterns_show_only_what_a_session_may_have(void **state)
{
	struct core *c = *state;

	join_all(c);
	retain_for(c, "[\"bob\"]", "[1]");
	retain(c, bob, "b", NULL, "[2]");
	uint64_t id = get_retained(c, bob, MATCH_WILDCARD, "");
	expect_event(c, bob, id, "[1]");
	id = get_retained(c, dave, MATCH_WILDCARD, "");
	expect_event(c, dave, id, "[2]");
}

static void the_newest_thousand(void **state)
{
	enum { N = 3000, FIRST = 1700 };
	struct core *c = *state;
	char topic[32], args[32];

	join_all(c);
	/* in an order that is not that of their names */
	for (unsigned i = 0; i < N; i++) {
		snprintf(topic, sizeof(topic), "t.%u", i * 1999 % N);
		snprintf(args, sizeof(args), "[%u]", i);
		retain(c, alice, topic, NULL, args);
		forget_sent(c);
	}
	/* the event of a topic moves to the end */
	for (unsigned i = 0; i < 300; i++) {
		snprintf(topic, sizeof(topic), "t.%u", i * 1999 % N);
		snprintf(args, sizeof(args), "[%u]", N + i);
		retain(c, alice, topic, NULL, args);
		forget_sent(c);
	}
	assert_int_equal(counters(c).retained_topics, N);
	uint64_t id = get_retained(c, bob, MATCH_PREFIX, "t.");
	for (unsigned i = N + 300 - RETAINED_ANSWER_MAX; i < N + 300; i++) {
		snprintf(args, sizeof(args), "[%u]", i);
		expect_event(c, bob, id, args);
	}
	expect_nothing(c);
}

static void the_newest_within_the_bytes(void **state)
{
	struct core *c = *state;
	struct realm_limits limits = default_limits;
	size_t one = payload_size(NULL);
	struct payload *p = payload("t.0", "[1]");

	one = payload_size(p);
	payload_unref(&p);
	limits.retained_answer = 2 * one;
	limit(c, limits);
	join_all(c);
	for (unsigned i = 0; i < 4; i++) {
		char topic[8] = "t.0", args[8] = "[0]";
		topic[2] = args[1] = (char)('0' + i);
		retain(c, alice, topic, NULL, args);
	}
	uint64_t id = get_retained(c, bob, MATCH_PREFIX, "t.");
	expect_event(c, bob, id, "[2]");
	expect_event(c, bob, id, "[3]");
	expect_nothing(c);
	limits.retained_answer = 1;
	limit(c, limits);
	get_retained(c, bob, MATCH_PREFIX, "t.");
	expect_event(c, bob, id, "[3]");
	expect_nothing(c);
}

/* --- limits --- */

static void new_topics_do_not_fit(void **state)
{
	struct core *c = *state;
	char topic[] = "a";

	join_all(c);
	for (; topic[0] < 'a' + 4; topic[0]++)
		retain(c, alice, topic, NULL, "[1]");
	expect_nothing(c);
	assert_int_equal(counters(c).retained_full, 0);
	/* the publisher's worker logs it, but not more than once a second */
	for (unsigned i = 0; i < 3; i++) {
		send_post(c, alice,
			  (struct post){.type = POST_PUBLISH,
					.time_ms = 1000,
					.payload = payload("x", "[1]"),
					.retain = true});
		if (i == 0)
			expect(c, alice, POST_NOT_RETAINED, 0);
		expect_nothing(c);
	}
	send_post(c, alice,
		  (struct post){.type = POST_PUBLISH,
				.time_ms = 2000,
				.payload = payload("x", "[1]"),
				.retain = true});
	expect(c, alice, POST_NOT_RETAINED, 0);
	assert_int_equal(counters(c).retained_full, 4);
	assert_int_equal(counters(c).retained_topics, 4);
	get_retained(c, bob, MATCH_EXACT, "x");
	/* known topics still get new events */
	retain(c, alice, "a", NULL, "[2]");
	retain_for(c, "[\"bob\"]", "[3]");
	expect_retained(c, bob, "[3]");
	expect_retained(c, dave, "[2]");
}

/* Nobody takes an old event for the last one. */
static void a_known_topic_loses_what_does_not_fit(void **state)
{
	static char large[30000];
	struct core *c = *state;
	struct realm_limits limits = default_limits;

	memset(large, ' ', sizeof(large) - 1);
	large[0] = '[';
	large[sizeof(large) - 2] = ']';
	limits.retained_bytes = 20000;
	limit(c, limits);
	join_all(c);
	retain(c, alice, "a", NULL, "[1]");
	retain(c, alice, "b", NULL, "[1]");
	retain(c, alice, "a", NULL, large);
	expect(c, alice, POST_NOT_RETAINED, 0);
	expect_retained(c, bob, NULL);
	assert_int_equal(counters(c).retained_topics, 1);
	retain(c, alice, "a", NULL, "[2]");
	retain_for(c, "[\"bob\"]", large);
	expect_retained(c, bob, NULL);
	expect_retained(c, dave, NULL);
	assert_int_equal(counters(c).retained_full, 2);
	uint64_t id = get_retained(c, bob, MATCH_EXACT, "b");
	expect_event(c, bob, id, "[1]");
}

/* A reload lowers the limits: nothing is dropped, and known topics get new events. */
static void lower_limits_drop_nothing(void **state)
{
	struct core *c = *state;
	struct realm_limits limits = default_limits;

	join_all(c);
	retain(c, alice, "a", NULL, "[1]");
	retain(c, alice, "b", NULL, "[1]");
	limits.retained_topics = 0;
	limits.retained_bytes = 1024;
	limit(c, limits);
	assert_int_equal(counters(c).retained_topics, 2);
	expect_retained(c, bob, "[1]");
	retain(c, alice, "a", NULL, "[2]");
	expect_retained(c, bob, "[2]");
	retain(c, alice, "a", NULL, "[22]");
	expect_retained(c, bob, "[22]");
	retain(c, alice, "c", NULL, "[3]");
	expect(c, alice, POST_NOT_RETAINED, 0);
	assert_int_equal(counters(c).retained_topics, 2);
}

static void events_expire(void **state)
{
	struct core *c = *state;
	struct realm_limits limits = default_limits;

	limits.retained_age_ms = 1000;
	limit(c, limits);
	join_all(c);
	retain(c, alice, "a", NULL, "[1]");
	retain(c, alice, "b", NULL, "[2]");
	c->realm->now_ms = 500;
	retain_for(c, "[\"bob\"]", "[3]");
	c->realm->now_ms = 999;
	expect_retained(c, dave, "[1]");
	c->realm->now_ms = 1000;
	expect_retained(c, dave, NULL);
	expect_retained(c, bob, "[3]");
	/* b is gone, a has an event that is younger */
	assert_int_equal(counters(c).retained_topics, 1);
	c->realm->now_ms = 1500;
	expect_retained(c, bob, NULL);
	assert_int_equal(counters(c).retained_topics, 0);
	assert_int_equal(counters(c).retained_bytes, 0);
}

/* A few topics go with each request, whatever their number. */
static void many_topics_expire_in_steps(void **state)
{
	enum { N = 100 };
	struct core *c = *state;
	struct realm_limits limits = c->realm->limits;
	char topic[16];
	unsigned steps = 0;

	limits.retained_age_ms = 1000;
	realm_set_limits(c->realm, &limits);
	join_all(c);
	for (unsigned i = 0; i < N; i++) {
		snprintf(topic, sizeof(topic), "t.%u", i);
		retain(c, alice, topic, NULL, "[1]");
	}
	c->realm->now_ms = 5000;
	for (; counters(c).retained_topics > 0; steps++) {
		get_retained(c, bob, MATCH_PREFIX, "t.");
		expect_nothing(c);
	}
	assert_in_range(steps, N / 20, N / 10);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static size_t memory_taken(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}
#endif

/* What is counted is what malloc takes. */
static void the_bytes_are_those_of_malloc(void **state)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	enum { N = 20000 };
	struct core *c = *state;
	char topic[64], args[1024], list[64];

	join_all(c);
	c->outbox.discard = true;
	size_t before = memory_taken();
	for (unsigned i = 0; i < N; i++) {
		snprintf(topic, sizeof(topic), "com.example.device%u.state", i / 2);
		snprintf(list, sizeof(list), "[\"bob\",\"%u\"]", i);
		snprintf(args, sizeof(args), "[\"%*u\"]", (int)(i % 1000), i);
		send_post(c, alice,
			  (struct post){
				  .type = POST_PUBLISH,
				  .payload = payload(topic, args),
				  .options = i % 2 == 0
						     ? NULL
						     : options(MSG_ELIGIBLE_AUTHID, list),
				  .retain = true});
	}
	size_t taken = memory_taken() - before, counted = counters(c).retained_bytes;
	assert_int_equal(counters(c).retained_topics, N / 2);
	assert_in_range(taken, counted - counted / 100, counted + counted / 100);
	c->outbox.discard = false;
#else
	(void)state;
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: later, malloc has free memory that it counts as used */
		large_test(the_bytes_are_those_of_malloc),
		core_test(the_last_event_with_its_own_id),
		core_test(the_store_is_no_subscriber),
		core_test(the_publisher_is_excluded),
		core_test(the_publisher_as_it_was_disclosed),
		core_test(the_newest_that_the_session_may_have),
		core_test(the_oldest_of_nine_restricted_ones_goes),
		core_test(the_order_after_subscribed),
		core_test(meta_events_are_not_retained),
		core_test(patterns_in_the_order_of_publication),
		core_test(patterns_show_only_what_a_session_may_have),
		large_test(the_newest_thousand),
		core_test(the_newest_within_the_bytes),
		core_test(new_topics_do_not_fit),
		core_test(a_known_topic_loses_what_does_not_fit),
		core_test(lower_limits_drop_nothing),
		core_test(events_expire),
		large_test(many_topics_expire_in_steps),
	};

	return cmocka_run_group_tests_name("core_retained", tests, NULL, NULL);
}
