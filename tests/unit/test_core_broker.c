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
	};

	return cmocka_run_group_tests_name("core_broker", tests, NULL, NULL);
}
