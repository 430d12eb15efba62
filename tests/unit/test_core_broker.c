/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions and publications at a realm's owner. */
#include "tests/unit/core_fixture.h"

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 1, .slot = 2, .generation = 1};
static const struct session_ref dave = {.worker = 2, .slot = 9, .generation = 4};

static void join_all(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
	join(c, dave, "dave");
}

static void publish(struct core *c, struct session_ref who, const char *topic,
		    bool acknowledge, bool exclude_me)
{
	send_post(c, who,
		  (struct post){.type = POST_PUBLISH,
				.request = 5,
				.payload = payload(topic, "[1]"),
				.acknowledge = acknowledge,
				.exclude_me = exclude_me});
}

static struct post expect_event(struct core *c, unsigned worker,
				struct session_ref publisher, uint64_t subscription)
{
	struct post p = next_post(c, worker, POST_EVENT);

	assert_true(session_ref_eq(p.session, publisher));
	assert_int_equal(p.id, subscription);
	assert_in_range(p.publication, 1, WAMP_MAX_ID);
	assert_args(&p, "[1]");
	return p;
}

static void one_event_for_each_worker_with_members(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = subscribe(c, bob, "a.b");
	assert_int_equal(subscribe(c, carol, "a.b"), id);
	assert_int_equal(subscribe(c, dave, "a.b"), id);
	publish(c, alice, "a.b", false, true);
	struct post first = expect_event(c, 1, alice, id);
	struct post second = expect_event(c, 2, alice, id);
	expect_nothing(c);
	assert_int_equal(first.publication, second.publication);
	assert_true(first.exclude_me && second.exclude_me);
	assert_uri(&first, "a.b");
	assert_ptr_equal(first.payload, second.payload);
	assert_int_equal(realm_counters(c->realm).publishes, 1);
	assert_int_equal(realm_counters(c->realm).events, 2);
}

static void topics_are_apart(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t ab = subscribe(c, bob, "a.b");
	uint64_t a = subscribe(c, bob, "a");
	assert_int_not_equal(ab, a);
	publish(c, alice, "a", false, true);
	expect_event(c, 1, alice, a);
	publish(c, alice, "a.b", false, true);
	expect_event(c, 1, alice, ab);
	publish(c, alice, "a.b.c", false, true);
	expect_nothing(c);
}

static void published_when_asked_even_if_nobody_listens(void **state)
{
	struct core *c = *state;

	join_all(c);
	publish(c, alice, "a", true, true);
	uint64_t first = expect(c, alice, POST_PUBLISHED, 5).id;
	assert_in_range(first, 1, WAMP_MAX_ID);
	uint64_t id = subscribe(c, bob, "a");
	publish(c, alice, "a", true, true);
	struct post event = expect_event(c, 1, alice, id);
	assert_int_equal(expect(c, alice, POST_PUBLISHED, 5).id, event.publication);
	assert_int_not_equal(event.publication, first);
}

static void publisher_alone_on_its_worker_is_skipped(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = subscribe(c, bob, "a");
	publish(c, bob, "a", false, true);
	expect_nothing(c);
	publish(c, bob, "a", false, false);
	assert_false(expect_event(c, 1, bob, id).exclude_me);
	/* the only member is another session on the same worker */
	publish(c, carol, "a", false, true);
	assert_true(expect_event(c, 1, carol, id).exclude_me);
	subscribe(c, carol, "a");
	/* with two members the worker must tell them apart */
	publish(c, bob, "a", false, true);
	assert_true(expect_event(c, 1, bob, id).exclude_me);
	subscribe(c, dave, "a");
	subscribe(c, alice, "a");
	publish(c, alice, "a", true, true);
	expect_event(c, 1, alice, id);
	expect_event(c, 2, alice, id);
	expect(c, alice, POST_PUBLISHED, 5);
}

static void second_subscribe_gets_the_same_answer(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = subscribe(c, bob, "a");
	assert_int_equal(subscribe(c, bob, "a"), id);
	assert_int_equal(realm_counters(c->realm).memberships, 1);
	send_id(c, bob, POST_UNSUBSCRIBE, 6, id);
	assert_int_equal(expect(c, bob, POST_UNSUBSCRIBED, 6).id, id);
	publish(c, alice, "a", false, true);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).subscriptions, 0);
}

static void a_subscription_ends_with_its_last_member(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = subscribe(c, bob, "a");
	subscribe(c, carol, "a");
	subscribe(c, dave, "a");
	send_id(c, bob, POST_UNSUBSCRIBE, 6, id);
	expect(c, bob, POST_UNSUBSCRIBED, 6);
	publish(c, alice, "a", false, true);
	expect_event(c, 1, alice, id);
	expect_event(c, 2, alice, id);
	send_id(c, carol, POST_UNSUBSCRIBE, 7, id);
	expect(c, carol, POST_UNSUBSCRIBED, 7);
	publish(c, alice, "a", false, true);
	expect_event(c, 2, alice, id); /* none to worker 1 */
	send_id(c, dave, POST_UNSUBSCRIBE, 8, id);
	expect(c, dave, POST_UNSUBSCRIBED, 8);
	publish(c, alice, "a", false, true);
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).subscriptions, 0);
	assert_int_equal(realm_counters(c->realm).memberships, 0);
	assert_int_not_equal(subscribe(c, bob, "a"), id); /* ids are not reused */
}

static void unsubscribe_of_what_is_not_ones_own(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = subscribe(c, bob, "a");
	const uint64_t wrong[] = {id, id + 1, id + N_WORKERS, 0, WAMP_MAX_ID, UINT64_MAX};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		send_id(c, alice, POST_UNSUBSCRIBE, i, wrong[i]);
		struct post p = expect_error(
			c, alice, WAMP_UNSUBSCRIBE, i, WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
			"the session has no subscription with this id");
		assert_null(p.payload);
	}
	send_id(c, bob, POST_UNSUBSCRIBE, 8, id);
	expect(c, bob, POST_UNSUBSCRIBED, 8);
	send_id(c, bob, POST_UNSUBSCRIBE, 9, id);
	expect_error(c, bob, WAMP_UNSUBSCRIBE, 9, WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		     "the session has no subscription with this id");
}

static void too_many_subscriptions(void **state)
{
	static const char *const topics[] = {"a", "b", "c", "d", "e"};
	struct core *c = *state;

	join_all(c);
	for (size_t i = 0; i < default_limits.subscriptions; i++)
		subscribe(c, bob, topics[i]);
	send_uri(c, bob, POST_SUBSCRIBE, 9, "e");
	expect_error(c, bob, WAMP_SUBSCRIBE, 9, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many subscriptions");
	assert_int_equal(realm_counters(c->realm).subscriptions, 4);
	uint64_t id = subscribe(c, bob, "d"); /* already subscribed */
	subscribe(c, carol, "e");             /* the limit is per session */
	send_id(c, bob, POST_UNSUBSCRIBE, 10, id);
	expect(c, bob, POST_UNSUBSCRIBED, 10);
	subscribe(c, bob, "e");
}

static void first_id_is_small_and_workers_are_apart(void **state)
{
	struct core *c = *state;

	join_all(c);
	assert_int_equal(subscribe(c, bob, "a"), 1 + OWNER);
	assert_int_equal(provide(c, bob, "a"), 1 + OWNER + N_WORKERS);
	assert_int_equal(subscribe(c, bob, "b"), 1 + OWNER + 2 * N_WORKERS);
	/* another realm of the worker, or a later one on the same slot, goes on from here
	 */
	realm_free(&c->realm);
	forget_sent(c);
	c->realm = realm_new(REALM, N_WORKERS, &default_limits, &c->ids, &c->deadlines,
			     &c->outbox);
	assert_non_null(c->realm);
	join_all(c);
	assert_int_equal(subscribe(c, bob, "a"), 1 + OWNER + 3 * N_WORKERS);
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void publication_ids_differ(void **state)
{
	enum { N = 100000 };
	struct core *c = *state;
	uint64_t *ids = malloc(N * sizeof(*ids)), low = 0, again;

	assert_non_null(ids);
	join_all(c);
	broker_seed(&c->realm->broker, 42);
	for (size_t i = 0; i < N; i++) {
		publish(c, alice, "a", true, true);
		ids[i] = expect(c, alice, POST_PUBLISHED, 5).id;
		assert_in_range(ids[i], 1, WAMP_MAX_ID);
		low += ids[i] <= WAMP_MAX_ID / 2;
		forget_sent(c);
	}
	assert_in_range(low, N * 49 / 100, N * 51 / 100);
	again = ids[0];
	qsort(ids, N, sizeof(*ids), compare_ids);
	for (size_t i = 1; i < N; i++)
		assert_int_not_equal(ids[i], ids[i - 1]);
	free(ids);
	broker_seed(&c->realm->broker, 42);
	publish(c, alice, "a", true, true);
	assert_int_equal(expect(c, alice, POST_PUBLISHED, 5).id, again);
	broker_seed(&c->realm->broker, 43);
	publish(c, alice, "a", true, true);
	assert_int_not_equal(expect(c, alice, POST_PUBLISHED, 5).id, again);
}

/* --- patterns --- */

static void expect_more(const struct post *event, const uint64_t *ids, size_t n)
{
	assert_int_equal(event->more == NULL ? 0 : event->more->n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(event->more->ids[i], ids[i]);
}

/* Each worker with a member gets one event for all subscriptions, in the order exact,
 * prefixes by length, wildcards. */
static void one_event_for_all_matching_subscriptions(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t wildcard = subscribe_to(c, bob, MATCH_WILDCARD, "a..c");
	uint64_t longer = subscribe_to(c, bob, MATCH_PREFIX, "a.b");
	uint64_t shorter = subscribe_to(c, dave, MATCH_PREFIX, "a");
	uint64_t exact = subscribe_to(c, dave, MATCH_EXACT, "a.b.c");
	subscribe_to(c, dave, MATCH_WILDCARD, "a..");
	subscribe_to(c, alice, MATCH_PREFIX, "b");
	publish(c, alice, "a.b.c", true, true);
	struct post first = expect_event(c, 1, alice, exact);
	struct post second = expect_event(c, 2, alice, exact);
	expect(c, alice, POST_PUBLISHED, 5);
	expect_nothing(c);
	assert_int_equal(first.match, MATCH_EXACT);
	assert_int_equal(first.publication, second.publication);
	assert_ptr_equal(first.more, second.more);
	expect_more(&first, (uint64_t[]){shorter, longer, wildcard, wildcard + 12}, 4);
	/* a topic without an exact subscription */
	publish(c, alice, "a.x.c", false, true);
	first = expect_event(c, 1, alice, shorter);
	assert_int_equal(first.match, MATCH_PREFIX);
	expect_more(&first, (uint64_t[]){wildcard, wildcard + 12}, 2);
	expect_event(c, 2, alice, shorter);
	/* a single one */
	publish(c, bob, "b", false, true);
	first = next_post(c, 0, POST_EVENT);
	assert_int_equal(first.match, MATCH_PREFIX);
	expect_more(&first, NULL, 0);
	assert_int_equal(realm_counters(c->realm).events, 5);
	assert_int_equal(realm_counters(c->realm).subscriptions, 6);
}

static void one_topic_with_three_matches(void **state)
{
	struct core *c = *state;
	uint64_t ids[MATCH_COUNT];

	join_all(c);
	for (unsigned how = 0; how < MATCH_COUNT; how++) {
		ids[how] = subscribe_to(c, bob, (enum match)how, "a.b");
		assert_int_equal(subscribe_to(c, bob, (enum match)how, "a.b"), ids[how]);
		assert_int_equal(subscribe_to(c, dave, (enum match)how, "a.b"), ids[how]);
	}
	assert_true(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
	publish(c, alice, "a.b", false, true);
	struct post event = expect_event(c, 1, alice, ids[0]);
	expect_more(&event, ids + 1, 2);
	expect_event(c, 2, alice, ids[0]);
	send_id(c, bob, POST_UNSUBSCRIBE, 6, ids[MATCH_PREFIX]);
	expect(c, bob, POST_UNSUBSCRIBED, 6);
	send_id(c, dave, POST_UNSUBSCRIBE, 7, ids[MATCH_PREFIX]);
	expect(c, dave, POST_UNSUBSCRIBED, 7);
	publish(c, alice, "a.b", false, true);
	event = expect_event(c, 1, alice, ids[0]);
	expect_more(&event, ids + 2, 1);
	expect_event(c, 2, alice, ids[0]);
}

/* The publisher's worker is left out only if nobody there gets any of the events. */
static void publisher_alone_in_several_subscriptions(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t exact = subscribe(c, bob, "a.b");
	uint64_t prefix = subscribe_to(c, bob, MATCH_PREFIX, "a");
	publish(c, bob, "a.b", false, true);
	expect_nothing(c);
	publish(c, bob, "a.b", false, false);
	expect_event(c, 1, bob, exact);
	assert_int_equal(subscribe_to(c, carol, MATCH_PREFIX, "a"), prefix);
	publish(c, bob, "a.b", false, true);
	struct post event = expect_event(c, 1, bob, exact);
	assert_true(event.exclude_me);
	expect_more(&event, &prefix, 1);
}

/* Memory runs out for the second worker: the first one gets nothing, either. */
static void all_or_nothing_without_memory(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t exact = subscribe(c, bob, "a.b");
	subscribe_to(c, dave, MATCH_PREFIX, "a");
	c->outbox.fail_at = 2;
	publish(c, alice, "a.b", true, true);
	expect_error(c, alice, WAMP_PUBLISH, 5, WAMP_ERROR_UNAVAILABLE, "out of memory");
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 1);
	publish(c, alice, "a.b", false, true);
	expect_event(c, 1, alice, exact);
	expect_event(c, 2, alice, exact);
}

static void many_matching_subscriptions(void **state)
{
	enum { N = 200 };
	char topic[N + 1] = "";
	struct core *c = *state;
	struct session_ref who = alice;
	uint64_t ids[N];

	for (unsigned i = 0; i < N; i++) {
		if (i % default_limits.subscriptions == 0) {
			who = ref((uint16_t)(i % N_WORKERS), 100 + i, 1);
			join(c, who, "joe");
		}
		topic[i] = 'a';
		ids[i] = subscribe_to(c, who, MATCH_PREFIX, topic);
		forget_sent(c);
	}
	join(c, alice, "alice");
	publish(c, alice, topic, true, true);
	for (unsigned worker = 0; worker < N_WORKERS; worker++) {
		struct post event = expect_event(c, worker, alice, ids[0]);
		expect_more(&event, ids + 1, N - 1);
	}
	expect(c, alice, POST_PUBLISHED, 5);
}

static void too_many_wildcards(void **state)
{
	struct core *c = *state;

	join_all(c);
	uint64_t id = subscribe_to(c, bob, MATCH_WILDCARD, "a.");
	subscribe_to(c, bob, MATCH_WILDCARD, "b.");
	send_pattern(c, bob, POST_REGISTER, 78, MATCH_WILDCARD, "c.");
	expect(c, bob, POST_REGISTERED, 78);
	for (unsigned i = 0; i < 2; i++) {
		send_pattern(c, bob, i == 0 ? POST_SUBSCRIBE : POST_REGISTER, 9,
			     MATCH_WILDCARD, "d.");
		struct post p = expect_error(
			c, bob, i == 0 ? WAMP_SUBSCRIBE : WAMP_REGISTER, 9,
			WAMP_ERROR_UNAVAILABLE, "the session has too many wildcards");
		assert_int_equal(p.match, MATCH_WILDCARD);
	}
	assert_int_equal(realm_counters(c->realm).subscriptions, 2);
	/* neither one that it has, nor other patterns, nor those of others count */
	assert_int_equal(subscribe_to(c, bob, MATCH_WILDCARD, "a."), id);
	subscribe_to(c, bob, MATCH_PREFIX, "d.");
	subscribe_to(c, carol, MATCH_WILDCARD, "d.");
	send_id(c, bob, POST_UNSUBSCRIBE, 10, id);
	expect(c, bob, POST_UNSUBSCRIBED, 10);
	subscribe_to(c, bob, MATCH_WILDCARD, "d.");
}

/* Otherwise a PUBLISH to one URI could take as long as some sessions like. */
static void too_many_shapes(void **state)
{
	enum { N = 13, SHAPES = PATTERN_VISITS_MAX / N };
	static const char text[] =
		"the realm has too many wildcards whose empty components are in "
		"different places";
	struct core *c = *state;
	uint64_t id = 0;

	join_all(c);
	for (unsigned shape = 0; shape <= SHAPES; shape++) {
		char uri[2 * N + 1] = "";
		for (unsigned i = 0; i < N; i++)
			strcat(uri, (shape >> i & 1) != 0 ? "a." : ".");
		uri[strlen(uri) - 1] = '\0';
		forget_sent(c);
		if (shape < SHAPES) {
			id = subscribe_to(c, bob, MATCH_WILDCARD, uri);
			continue;
		}
		send_pattern(c, carol, POST_SUBSCRIBE, 9, MATCH_WILDCARD, uri);
		struct post p = expect_error(c, carol, WAMP_SUBSCRIBE, 9,
					     WAMP_ERROR_UNAVAILABLE, text);
		assert_null(p.payload);
		assert_int_equal(realm_counters(c->realm).shapes_full, 1);
		/* registrations have an index of their own */
		send_pattern(c, carol, POST_REGISTER, 10, MATCH_WILDCARD, uri);
		expect(c, carol, POST_REGISTERED, 10);
		send_id(c, bob, POST_UNSUBSCRIBE, 11, id);
		expect(c, bob, POST_UNSUBSCRIBED, 11);
		subscribe_to(c, carol, MATCH_WILDCARD, uri);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(one_event_for_each_worker_with_members),
		core_test(topics_are_apart),
		core_test(published_when_asked_even_if_nobody_listens),
		core_test(publisher_alone_on_its_worker_is_skipped),
		core_test(second_subscribe_gets_the_same_answer),
		core_test(a_subscription_ends_with_its_last_member),
		core_test(unsubscribe_of_what_is_not_ones_own),
		core_test(too_many_subscriptions),
		core_test(first_id_is_small_and_workers_are_apart),
		core_test(publication_ids_differ),
		core_test(one_event_for_all_matching_subscriptions),
		core_test(one_topic_with_three_matches),
		core_test(publisher_alone_in_several_subscriptions),
		core_test(all_or_nothing_without_memory),
		core_test(many_matching_subscriptions),
		core_test(too_many_wildcards),
		large_test(too_many_shapes),
	};

	return cmocka_run_group_tests_name("core_broker", tests, NULL, NULL);
}
