/* SPDX-License-Identifier: Apache-2.0 */
/* Histories while memory runs out, at each allocation in turn: at the realm's owner,
 * which keeps events and makes pages. No subscriber loses an event, and each question has
 * one answer. The sources are included in this program, so that it can replace malloc for
 * them. One thread. */
#include "tests/unit/failing_malloc.h"

#include "routerd/core/broker.c"
#include "routerd/core/history.c"
#include "routerd/core/pattern.c"
/* a kept payload also needs memory */
#define payload_keep(p) (may_allocate() ? payload_keep(p) : NULL)
#include "routerd/core/stored_event.c"
#undef payload_keep
#include "routerd/post/event_page.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#define FIXTURE_ROOM 256
#include "tests/unit/core_fixture.h"

#include <stdio.h>

enum { N = 40 }; /* events; the ring grows twice */

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const char topic[] = "com.example.t";

/*
 * Publishes N events. Whoever is subscribed gets an event, even if a history misses it.
 * If there is no memory to find all subscriptions or to send the event, no history has
 * it. Returns how many events are missing.
 */
static uint64_t publish_all(struct core *c)
{
	struct realm_counters counters = {0};
	char arguments[16];

	for (unsigned i = 0; i < N; i++) {
		snprintf(arguments, sizeof(arguments), "[%u]", i);
		send_post(c, alice,
			  (struct post){.type = POST_PUBLISH,
					.payload = payload(topic, arguments)});
		counters = realm_counters(c->realm);
		uint64_t sent = i + 1 - counters.unsent_publishes;
		assert_in_range(counters.history_missed + counters.unsent_publishes, 0,
				1);
		if (c->outbox.first == c->outbox.end) {
			assert_int_equal(counters.unsent_publishes, 1);
			continue;
		}
		struct post event = next_post(c, bob.worker, POST_EVENT);
		assert_args(&event, arguments);
		/* the second history has at most the last 20 */
		assert_in_range(counters.history_events, sent - 1,
				sent + (sent < 20 ? sent : 20));
	}
	return counters.history_missed + counters.unsent_publishes;
}

/* The arguments of a page's events grow, whichever are missing. */
static void check_order(const struct event_page *page)
{
	struct msg_payload items;
	struct buf scratch;
	int last = -1;

	buf_init(&scratch, 1000);
	for (size_t i = 0; i < page->n; i++) {
		assert_int_equal(payload_items_into(page->events[i].payload,
						    SERIALIZER_JSON, &scratch, &items),
				 0);
		int value = atoi((const char *)items.bytes.p + 1);
		assert_in_range(value, last + 1, N - 1);
		last = value;
	}
	buf_fini(&scratch);
	assert_in_range(last, N - 2, N - 1);
}

/* Asks for a page. False if there is no memory for the question or for the page. */
static bool ask_page(struct core *c, uint64_t subscription)
{
	struct event_query *q = event_query_new();

	if (q == NULL)
		return false;
	not_freed--; /* post.c frees it */
	send_post(c, bob,
		  (struct post){.type = POST_META,
				.procedure = META_SUBSCRIPTION_GET_EVENTS,
				.request = 9,
				.id = subscription,
				.query = q});
	assert_int_equal(c->outbox.end - c->outbox.first, 1);
	if (c->outbox.sent[c->outbox.first].post.type == POST_ERROR) {
		expect_error(c, bob, WAMP_CALL, 9, WAMP_ERROR_UNAVAILABLE,
			     "out of memory");
		return false;
	}
	const struct event_page *page = expect(c, bob, POST_PAGE, 9).page;
	check_order(page);
	return page->n == N;
}

/* True if no failure was visible. */
static bool play(struct core *c)
{
	static const int64_t unix_offset = 1000;
	static const struct config_history conf[] = {
		{.uri = topic, .limit = 1000, .bytes = 1 << 20},
		{.uri = "com.", .match = MATCH_PREFIX, .limit = 20, .bytes = 1 << 20}};
	bool kept = realm_keep_history(c->realm, conf, 2, &unix_offset, 7) == 0;

	if (!kept)
		return false;
	join(c, alice, "alice");
	join(c, bob, "bob");
	send_uri(c, bob, POST_SUBSCRIBE, 1, topic);
	struct post p = c->outbox.sent[c->outbox.first++].post;
	if (p.type == POST_ERROR)
		return false;
	bool ok = publish_all(c) == 0;
	return ask_page(c, p.id) && ok;
}

static void memory_runs_out_at_each_place(void **state)
{
	unsigned failures = 0;
	bool ok = false;
	size_t before = not_freed;

	(void)state;
	fail_at = 0;
	for (size_t n = 1; !ok; n++) {
		struct core c = {0};
		c.ids = (struct id_series){.next = 1, .step = 1};
		c.realm = realm_new(REALM, N_WORKERS, &default_limits, &c.ids,
				    &c.deadlines, &c.outbox);
		assert_non_null(c.realm);
		allocations = 0;
		fail_at = n;
		ok = play(&c) && n > allocations;
		failures += !ok;
		fail_at = 0;
		realm_free(&c.realm);
		forget_sent(&c);
		assert_int_equal(not_freed, before);
	}
	/* a stored event needs two allocations in each of the two histories */
	assert_in_range(failures, 4 * N, 5 * N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(memory_runs_out_at_each_place),
	};

	return cmocka_run_group_tests_name("history memory", tests, NULL, NULL);
}
