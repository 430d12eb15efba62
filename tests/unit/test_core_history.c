/* SPDX-License-Identifier: Apache-2.0 */
/* Histories at a realm's owner: their bounds, the exact account of their bytes, the time
 * of events, and the pages. */
#define FIXTURE_ROOM 4096
#include "tests/unit/core_fixture.h"

#include "routerd/post/event_page.h"

#include <malloc.h>
#include <stdio.h>

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};

static int64_t unix_offset;
static const char topic[] = "com.example.t";

/* Keeps the events of the topic within these bounds. Returns the subscription. */
static uint64_t keep(struct core *c, int limit, size_t bytes, uint32_t age)
{
	const struct config_history conf = {
		.uri = topic, .limit = limit, .bytes = bytes, .age = age};

	unix_offset = 1000000;
	assert_int_equal(realm_keep_history(c->realm, &conf, 1, &unix_offset, 7), 0);
	join(c, alice, "alice");
	join(c, bob, "bob");
	return pattern_exact(&c->realm->broker.topics, slice_str(topic))->by_id.id;
}

static void publish_at(struct core *c, uint64_t ms, const char *arguments)
{
	send_post(c, alice,
		  (struct post){.type = POST_PUBLISH,
				.time_ms = ms,
				.exclude_me = true,
				.payload = payload(topic, arguments)});
}

/* The page that answers a query; lent until the test ends. */
static struct event_page *ask(struct core *c, uint64_t subscription,
			      struct event_query query)
{
	struct event_query *q = event_query_new();

	assert_non_null(q);
	if (query.limit == 0)
		query.limit = EVENT_PAGE_MAX;
	if (query.last_ms == 0)
		query.last_ms = UINT64_MAX;
	*q = query;
	send_post(c, bob,
		  (struct post){.type = POST_META,
				.procedure = META_SUBSCRIPTION_GET_EVENTS,
				.request = 9,
				.id = subscription,
				.query = q});
	return expect(c, bob, POST_PAGE, 9).page;
}

static void expect_page(const struct event_page *page, const char *const *arguments,
			size_t n)
{
	struct msg_payload items;
	struct buf scratch;

	buf_init(&scratch, 1000);
	assert_int_equal(page->n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(payload_items_into(page->events[i].payload,
						    SERIALIZER_JSON, &scratch, &items),
				 0);
		assert_true(slice_eq_str(items.bytes, arguments[i]));
	}
	buf_fini(&scratch);
}

#define PAGE(page, ...)                                                                  \
	expect_page(page, (const char *const[]){__VA_ARGS__},                            \
		    ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static void bounded_by_number(void **state)
{
	static const char *const all[] = {"[0]", "[1]", "[2]", "[3]",
					  "[4]", "[5]", "[6]"};
	struct core *c = *state;
	uint64_t id = keep(c, 3, 1 << 20, 0);

	assert_int_equal(ask(c, id, (struct event_query){.limit = 5})->n, 0);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		publish_at(c, 100, all[i]);
		const struct event_page *page = ask(c, id, (struct event_query){0});
		size_t n = i < 3 ? i + 1 : 3;
		expect_page(page, &all[i + 1 - n], n);
		assert_false(page->more);
		assert_false(page->member);
		assert_int_equal(realm_counters(c->realm).history_events, n);
	}
	const struct event_page *page =
		ask(c, id, (struct event_query){.limit = 2, .reverse = true});
	PAGE(page, "[6]", "[5]");
	assert_true(page->more);
	assert_int_equal(page->last, page->events[1].publication);
	/* the pages above still refer to events that are forgotten */
}

static size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* The account agrees with malloc's, and never exceeds the bound. */
static void bounded_by_bytes(void **state)
{
	/* malloc counts what its cache holds, up to 300 KiB, as in use */
	enum { BYTES = 32 << 20, N = 40000 };
	static char arguments[8192];
	struct core *c = *state;
	keep(c, 100000, BYTES, 0);
	size_t before = in_use();

	for (unsigned i = 0; i < N; i++) {
		size_t len = i * 2654435761u % (i < N / 2 ? 64 : 8000);
		memset(arguments, '1', len + 1);
		arguments[len + 1] = '\0';
		publish_at(c, 100, arguments);
		assert_in_range(realm_counters(c->realm).history_bytes, 1, BYTES);
	}
	size_t bytes = realm_counters(c->realm).history_bytes;
	assert_in_range(bytes, BYTES - 16384, BYTES);
	/* sanitizers and valgrind have a malloc of their own */
	if (in_use() - before > BYTES / 2)
		assert_in_range(in_use() - before, bytes - bytes / 100,
				bytes + bytes / 100);
	assert_in_range(realm_counters(c->realm).history_events, 6000, 10000);
}

static void too_large(void **state)
{
	static char arguments[2048];
	struct core *c = *state;
	uint64_t id = keep(c, 10, 4096, 0);

	memset(arguments, '1', sizeof(arguments) - 1);
	publish_at(c, 100, "[1]");
	publish_at(c, 100, arguments);
	PAGE(ask(c, id, (struct event_query){0}), "[1]");
	assert_int_equal(realm_counters(c->realm).history_too_large, 1);
	assert_int_equal(realm_counters(c->realm).history_missed, 0);
}

static void bounded_by_age(void **state)
{
	struct core *c = *state;
	uint64_t id = keep(c, 10, 4096, 50);

	publish_at(c, 100, "[1]");
	publish_at(c, 120, "[2]");
	publish_at(c, 150, "[3]");
	PAGE(ask(c, id, (struct event_query){0}), "[1]", "[2]", "[3]");
	publish_at(c, 151, "[4]");
	assert_int_equal(realm_counters(c->realm).history_events, 3);
	/* time passes for the realm with any post */
	send_post(c, bob, (struct post){.type = POST_UNSUBSCRIBE, .time_ms = 171});
	c->outbox.first++;
	PAGE(ask(c, id, (struct event_query){0}), "[3]", "[4]");
}

/* The clock jumps back. The order stays, and age does not depend on the clock. */
static void times(void **state)
{
	struct core *c = *state;
	uint64_t id = keep(c, 10, 4096, 1000);

	publish_at(c, 100, "[1]");
	unix_offset = 500000;
	publish_at(c, 101, "[2]");
	unix_offset = 2000000;
	publish_at(c, 102, "[3]");
	const struct event_page *page = ask(c, id, (struct event_query){0});
	PAGE(page, "[1]", "[2]", "[3]");
	assert_int_equal(page->events[0].published_ms, 1000100);
	assert_int_equal(page->events[1].published_ms, 500101);
	assert_int_equal(page->events[2].published_ms, 2000102);
	PAGE(ask(c, id, (struct event_query){.first_ms = 1000100}), "[1]", "[3]");
	PAGE(ask(c, id, (struct event_query){.last_ms = 1000099}), "[2]");
	PAGE(ask(c, id, (struct event_query){.first_ms = 500101, .last_ms = 1000100}),
	     "[1]", "[2]");
}

static void members_keep_their_subscription(void **state)
{
	struct core *c = *state;
	uint64_t id = keep(c, 10, 4096, 0);

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(subscribe(c, bob, topic), id);
		publish_at(c, 100, "[1]");
		assert_int_equal(next_post(c, bob.worker, POST_EVENT).id, id);
		assert_true(ask(c, id, (struct event_query){0})->member);
		send_id(c, bob, POST_UNSUBSCRIBE, 3, id);
		expect(c, bob, POST_UNSUBSCRIBED, 3);
	}
	assert_int_equal(realm_counters(c->realm).subscriptions, 1);
	assert_int_equal(realm_counters(c->realm).history_events, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(bounded_by_number),
		core_test(bounded_by_bytes),
		core_test(too_large),
		core_test(bounded_by_age),
		core_test(times),
		core_test(members_keep_their_subscription),
	};

	return cmocka_run_group_tests_name("core history", tests, NULL, NULL);
}
