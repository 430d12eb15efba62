/* SPDX-License-Identifier: Apache-2.0 */
/* A realm whose memory runs out at each allocation in turn, and one whose allocations are
 * counted. The sources are included in this program, so that it can replace malloc for
 * them. One thread. */
#include "tests/unit/failing_malloc.h"

#include "common/id_table.c"
#include "routerd/core/broker.c"
#include "routerd/core/call.c"
#include "routerd/core/chunks.c"
#include "routerd/core/dealer.c"
#include "routerd/core/leave.c"
#include "routerd/core/meta.c"
#include "routerd/core/meta_event.c"
#include "routerd/core/meta_walk.c"
#include "routerd/core/pattern.c"
#include "routerd/core/realm.c"
#include "routerd/core/registration.c"
#include "routerd/core/reroute.c"
#include "routerd/core/retained.c"
#include "routerd/core/session.c"
/* a kept payload also needs memory */
#define payload_keep(p) (may_allocate() ? payload_keep(p) : NULL)
#include "routerd/core/stored_event.c"
#undef payload_keep
#include "routerd/core/testament.c"
#include "routerd/post/id_list.c"
#include "routerd/post/payload_writer.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#define MAIL_NEW()      (not_freed++, malloc(1))
#define MAIL_FREE(mail) counted_free(mail)
#include "tests/unit/core_fixture.h"

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};

/* JOIN, SUBSCRIBE, REGISTER or CALL gets one answer: success, or an error with its
 * reason. */
static bool answered(struct core *c, enum post_type yes)
{
	assert_int_equal(c->outbox.end - c->outbox.first, 1);
	struct post p = c->outbox.sent[c->outbox.first++].post;

	if (p.type == yes)
		return true;
	if (yes == POST_JOINED) {
		assert_int_equal(p.type, POST_JOIN_REFUSED);
		assert_null(p.revocation);
		return false;
	}
	assert_int_equal(p.type, POST_ERROR);
	assert_string_equal(p.error.uri, WAMP_ERROR_UNAVAILABLE);
	assert_string_equal(p.error.text, "out of memory");
	return false;
}

/* True if no failure was visible. */
static bool scenario(struct core *c)
{
	bool ok = true;

	send_join(c, alice, "alice");
	if (!answered(c, POST_JOINED))
		return false;
	send_join(c, bob, "bob");
	if (!answered(c, POST_JOINED))
		return false;
	send_uri(c, alice, POST_SUBSCRIBE, 1, "a");
	ok &= answered(c, POST_SUBSCRIBED);
	send_uri(c, bob, POST_SUBSCRIBE, 2, "a");
	ok &= answered(c, POST_SUBSCRIBED);
	send_uri(c, bob, POST_REGISTER, 3, "p");
	if (!answered(c, POST_REGISTERED))
		return false;
	send_uri(c, alice, POST_CALL, 4, "p");
	if (answered(c, POST_INVOCATION)) {
		send_args(c, bob, POST_YIELD, 1, NULL);
		expect(c, alice, POST_RESULT, 4);
	} else {
		ok = false;
	}
	send_post(c, alice,
		  (struct post){.type = POST_META,
				.request = 5,
				.id = session_id(bob),
				.procedure = META_SESSION_GET});
	ok &= answered(c, POST_RESULT);
	send_post(c, alice,
		  (struct post){.type = POST_META,
				.request = 6,
				.procedure = META_SESSION_LIST});
	realm_work(c->realm);
	ok &= answered(c, POST_RESULT);
	/* the failure has left nothing wrong behind */
	send_uri(c, alice, POST_CALL, 5, "p");
	ok &= answered(c, POST_INVOCATION);
	return ok;
}

/* Meta events that find no memory reach nobody and are counted; the requests succeed. */
static bool told(struct core *c, size_t n)
{
	size_t got = c->outbox.end - c->outbox.first;
	uint64_t unsent = realm_counters(c->realm).unsent_publishes;

	while (c->outbox.first < c->outbox.end)
		next_post(c, alice.worker, POST_EVENT);
	assert_int_equal(got + unsent, n);
	c->realm->counters.unsent_publishes = 0;
	return got == n;
}

static bool scenario_with_listener(struct core *c)
{
	bool ok = true;

	send_join(c, alice, "alice");
	if (!answered(c, POST_JOINED))
		return false;
	send_pattern(c, alice, POST_SUBSCRIBE, 1, MATCH_PREFIX, "wamp.");
	if (!answered(c, POST_SUBSCRIBED))
		return false;
	send_join(c, bob, "bob");
	struct post p = c->outbox.sent[c->outbox.first++].post;
	if (p.type != POST_JOINED)
		return false;
	ok &= told(c, 1);
	send_uri(c, bob, POST_SUBSCRIBE, 2, "a");
	p = c->outbox.sent[c->outbox.first++].post;
	if (p.type != POST_SUBSCRIBED)
		return false;
	ok &= told(c, 2);
	send_uri(c, bob, POST_REGISTER, 3, "p");
	p = c->outbox.sent[c->outbox.first++].post;
	if (p.type != POST_REGISTERED)
		return false;
	ok &= told(c, 2);
	send_post(c, bob, (struct post){.type = POST_GONE});
	return told(c, 5) && ok;
}

/* A publication that matches two subscriptions: its members get both EVENTs or none. */
static bool scenario_with_patterns(struct core *c)
{
	send_join(c, alice, "alice");
	if (!answered(c, POST_JOINED))
		return false;
	send_join(c, bob, "bob");
	if (!answered(c, POST_JOINED))
		return false;
	send_pattern(c, bob, POST_SUBSCRIBE, 1, MATCH_PREFIX, "a");
	if (!answered(c, POST_SUBSCRIBED))
		return false;
	send_pattern(c, bob, POST_SUBSCRIBE, 2, MATCH_WILDCARD, "a.");
	if (!answered(c, POST_SUBSCRIBED))
		return false;
	send_post(c, alice,
		  (struct post){.type = POST_PUBLISH,
				.request = 3,
				.acknowledge = true,
				.payload = payload("a.b", NULL)});
	if (c->outbox.end - c->outbox.first == 1) {
		assert_false(answered(c, POST_PUBLISHED));
		return false;
	}
	assert_int_equal(next_post(c, bob.worker, POST_EVENT).more->n, 1);
	expect(c, alice, POST_PUBLISHED, 3);
	return true;
}

/*
 * A topic whose new event finds no memory has no event afterwards, so nobody takes an old
 * one for the last. The publication itself succeeds.
 */
static bool scenario_with_retained(struct core *c)
{
	static const char *const arguments[] = {"[1]", "[2]", "[3]"};
	bool ok = true;

	send_join(c, alice, "alice");
	if (!answered(c, POST_JOINED))
		return false;
	send_join(c, bob, "bob");
	if (!answered(c, POST_JOINED))
		return false;
	for (unsigned i = 0; i < 3; i++) {
		send_post(c, alice,
			  (struct post){.type = POST_PUBLISH,
					.time_ms = 10000 * (i + UINT64_C(1)),
					.retain = true,
					.payload = payload(i == 1 ? "ab" : "aa",
							   arguments[i])});
		if (c->outbox.first == c->outbox.end)
			continue;
		expect(c, alice, POST_NOT_RETAINED, 0);
		ok = false;
	}
	send_post(c, bob,
		  (struct post){.type = POST_SUBSCRIBE,
				.match = MATCH_PREFIX,
				.retain = true,
				.payload = payload("a", NULL)});
	if (c->outbox.end - c->outbox.first == 1)
		return answered(c, POST_SUBSCRIBED) && ok;
	expect(c, bob, POST_SUBSCRIBED, 0);
	for (unsigned i = 1; c->outbox.first < c->outbox.end; i++) {
		struct post p = expect(c, bob, POST_EVENT_ONE, 0);
		struct msg_payload items;
		assert_int_equal(payload_items(p.payload, SERIALIZER_JSON, &items), 0);
		assert_false(slice_eq_str(items.bytes, "[1]"));
		assert_true(!ok || slice_eq_str(items.bytes, arguments[i]));
	}
	return ok;
}

static void send_share(struct core *c, struct session_ref from)
{
	send_post(c, from,
		  (struct post){.type = POST_REGISTER,
				.invoke = WAMP_INVOKE_ROUNDROBIN,
				.concurrency = 1,
				.payload = payload("p", NULL)});
}

/* The calls that callees have got: the callees, and the ids of the INVOCATIONs. */
struct calls {
	struct session_ref callees[4];
	uint64_t ids[4];
	size_t n;
};

/* Reads at most one INVOCATION. */
static void read_invocation(struct core *c, struct calls *calls)
{
	if (c->outbox.first == c->outbox.end)
		return;
	struct post p = c->outbox.sent[c->outbox.first++].post;
	assert_int_equal(p.type, POST_INVOCATION);
	calls->callees[calls->n] = p.session;
	calls->ids[calls->n++] = p.request;
}

/* Two callees take one call each, and two more wait. A call that finds no memory costs
 * no callee its place, and the queue no room. */
static bool scenario_with_queue(struct core *c)
{
	struct realm_limits limits = default_limits;
	struct calls calls = {.n = 0};
	unsigned living = 0;

	limits.queued_calls = 2;
	limits.queued_bytes = limits.queued_total = 10000;
	realm_set_limits(c->realm, &limits);
	send_join(c, alice, "alice");
	if (!answered(c, POST_JOINED))
		return false;
	send_join(c, bob, "bob");
	if (!answered(c, POST_JOINED))
		return false;
	send_share(c, alice);
	if (!answered(c, POST_REGISTERED))
		return false;
	send_share(c, bob);
	bool ok = answered(c, POST_REGISTERED);
	unsigned callees = 1 + ok;
	assert_int_equal(realm_counters(c->realm).callees, callees);
	while (living < callees + 2) {
		send_uri(c, alice, POST_CALL, living + 1, "p");
		if (c->outbox.first < c->outbox.end &&
		    c->outbox.sent[c->outbox.first].post.type == POST_ERROR) {
			ok = answered(c, POST_INVOCATION);
			continue;
		}
		read_invocation(c, &calls);
		living++;
	}
	assert_int_equal(calls.n, callees);
	assert_int_equal(realm_counters(c->realm).calls_queued, 2);
	for (size_t i = 0; i < calls.n; i++) {
		send_args(c, calls.callees[i], POST_YIELD, calls.ids[i], NULL);
		next_post(c, alice.worker, POST_RESULT);
		read_invocation(c, &calls);
	}
	assert_int_equal(calls.n, living);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	return ok;
}

/* Joins alice, and bob with these features, and registers p for bob. */
static bool have_callee(struct core *c, uint8_t features)
{
	send_join(c, alice, "alice");
	if (!answered(c, POST_JOINED))
		return false;
	send_join_with(c, bob, "bob", features);
	if (!answered(c, POST_JOINED))
		return false;
	send_share(c, bob);
	return answered(c, POST_REGISTERED);
}

static void send_input(struct core *c, enum post_type type, enum call_chunk chunk)
{
	send_post(c, alice,
		  (struct post){.type = (uint8_t)type,
				.request = 1,
				.progress = true,
				.chunk = (uint8_t)chunk,
				.payload = payload("p", NULL)});
}

/* A call whose input, and whose results, come in pieces. */
static bool scenario_with_pieces(struct core *c)
{
	if (!have_callee(c, WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS |
				    WAMP_FEATURE_CALL_CANCELING))
		return false;
	send_input(c, POST_CALL, CHUNK_FIRST);
	if (!answered(c, POST_INVOCATION))
		return false;
	for (unsigned chunk = CHUNK_NEXT; chunk <= CHUNK_LAST; chunk++) {
		send_input(c, POST_CHUNK, (enum call_chunk)chunk);
		expect(c, bob, POST_INVOCATION, 1);
	}
	for (unsigned progress = 2; progress-- > 0;) {
		send_post(c, bob,
			  (struct post){.type = POST_YIELD,
					.request = 1,
					.progress = progress != 0,
					.payload = payload(NULL, "[7]")});
		expect(c, alice, POST_RESULT, 1);
	}
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	return true;
}

static void send_unavailable(struct core *c, struct session_ref callee)
{
	send_post(c, callee,
		  (struct post){.type = POST_INVOCATION_ERROR,
				.request = 1,
				.payload = payload(WAMP_ERROR_UNAVAILABLE, NULL)});
}

/* The first callee passes a call on to the second one. If what the second one needs could
 * not be kept, the caller gets the answer of the first one. */
static bool scenario_with_reroute(struct core *c)
{
	static const struct session_ref carol = {.worker = 2, .slot = 1, .generation = 1};

	if (!have_callee(c, WAMP_FEATURE_CALL_REROUTE))
		return false;
	send_join_with(c, carol, "carol", WAMP_FEATURE_CALL_REROUTE);
	if (!answered(c, POST_JOINED))
		return false;
	send_share(c, carol);
	if (!answered(c, POST_REGISTERED))
		return false;
	send_uri(c, alice, POST_CALL, 1, "p");
	if (!answered(c, POST_INVOCATION))
		return false;
	send_unavailable(c, bob);
	struct post p = c->outbox.sent[c->outbox.first++].post;
	if (p.type == POST_INVOCATION) {
		send_unavailable(c, carol);
		expect(c, alice, POST_ERROR, 1);
	} else {
		assert_int_equal(p.type, POST_ERROR);
	}
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	assert_int_equal(c->realm->dealer.kept_bytes, 0);
	return p.type == POST_INVOCATION;
}

/* Without memory the owner renumbers at once. */
static bool scenario_with_unsent(struct core *c)
{
	if (!have_callee(c, 0))
		return false;
	send_uri(c, alice, POST_CALL, 1, "p");
	if (!answered(c, POST_INVOCATION))
		return false;
	send_post(
		c, bob,
		(struct post){.type = POST_UNSENT, .request = 1, .error = {"x.y", "no"}});
	expect_error(c, alice, WAMP_CALL, 1, "x.y", "no");
	bool ok = c->outbox.first == c->outbox.end;
	send_args(c, bob, POST_YIELD, 1, NULL);
	assert_int_equal(expect(c, bob, POST_RENUMBERED, 0).id, 1);
	send_uri(c, alice, POST_CALL, 2, "p");
	if (c->outbox.sent[c->outbox.first].post.type == POST_INVOCATION)
		expect(c, bob, POST_INVOCATION, 1);
	else
		ok = answered(c, POST_INVOCATION);
	return ok;
}

/* A testament is kept or refused. If there is no memory for an event, it is counted. */
static bool scenario_with_testaments(struct core *c)
{
	unsigned kept = 0;

	send_join(c, alice, "alice");
	if (!answered(c, POST_JOINED))
		return false;
	send_join(c, bob, "bob");
	if (!answered(c, POST_JOINED))
		return false;
	send_pattern(c, alice, POST_SUBSCRIBE, 1, MATCH_PREFIX, "a");
	bool ok = answered(c, POST_SUBSCRIBED);
	send_pattern(c, alice, POST_SUBSCRIBE, 2, MATCH_EXACT, "a.b");
	ok &= answered(c, POST_SUBSCRIBED);
	for (unsigned i = 0; i < 3; i++) {
		send_uri(c, bob, POST_TESTAMENT, 3, "a.b");
		kept += answered(c, POST_RESULT);
		assert_int_equal(realm_counters(c->realm).testaments, kept);
	}
	send_post(c, bob, (struct post){.type = POST_GONE});
	assert_int_equal(realm_counters(c->realm).testaments, 0);
	size_t events = c->outbox.end - c->outbox.first;
	while (c->outbox.first < c->outbox.end)
		next_post(c, alice.worker, POST_EVENT);
	if (realm_counters(c->realm).memberships > 0)
		assert_int_equal(events + realm_counters(c->realm).unsent_publishes,
				 kept);
	return ok && events == 3;
}

static void runs_out_at_each_place(bool (*play)(struct core *c))
{
	bool ok = false;

	for (size_t n = 1; !ok; n++) {
		struct core c = {0};
		allocations = 0;
		fail_at = n;
		c.ids = (struct id_series){.next = 1, .step = 1};
		c.realm = realm_new(REALM, N_WORKERS, &default_limits, &c.ids,
				    &c.deadlines, &c.outbox);
		if (c.realm != NULL)
			ok = play(&c) && n > allocations;
		realm_free(&c.realm);
		forget_sent(&c);
		assert_int_equal(not_freed, 0);
	}
	fail_at = 0;
	assert_in_range(allocations, 10, 40);
}

static void memory_runs_out_at_each_place(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario);
}

static void memory_runs_out_for_pieces(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_pieces);
}

static void memory_runs_out_for_reroutes(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_reroute);
}

static void memory_runs_out_for_unsent_calls(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_unsent);
}

static void memory_runs_out_for_several_events(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_patterns);
}

static void memory_runs_out_for_retained_events(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_retained);
}

static void memory_runs_out_for_callees_and_queues(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_queue);
}

static void memory_runs_out_for_testaments(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_testaments);
}

static void memory_runs_out_for_meta_events(void **state)
{
	(void)state;
	runs_out_at_each_place(scenario_with_listener);
}

static size_t longest_chain(const struct id_table *t)
{
	size_t longest = 0;

	for (size_t i = 0; i < t->n_buckets; i++) {
		size_t n = 0;
		for (const struct id_node *node = t->buckets[i]; node != NULL;
		     node = node->next)
			n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Without memory for more buckets the chains get longer; the table grows when it can. */
static void buckets_are_not_needed(void **state)
{
	enum { N = 1000, MANY = 2 * N };
	/* The golden ratio of the 42 bits that choose among 1,024 buckets. For any
	 * position of the owners, at most 3 of 1,000 consecutive ids fall into one
	 * bucket, or 6 into one that is not split yet. A random key is sometimes much
	 * worse. */
	static const uint64_t key = 0x278dde6e5fd;
	static struct id_node nodes[MANY];
	struct id_table t;
	int owners[2];

	(void)state;
	assert_int_equal(id_table_init(&t), 0);
	t.key[1] = key;
	for (size_t i = 0; i < MANY; i++) {
		nodes[i].owner = &owners[i % 2];
		nodes[i].id = i / 2;
		fail_at = i < N ? allocations + 1 : 0;
		id_table_add(&t, &nodes[i]);
	}
	assert_int_equal(t.count, MANY);
	assert_true(t.n_buckets > N);
	assert_in_range(longest_chain(&t), 2, 12);
	for (size_t i = 0; i < MANY; i++) {
		assert_ptr_equal(id_table_find(&t, &owners[i % 2], i / 2), &nodes[i]);
		assert_null(id_table_find(&t, &owners[i % 2], i / 2 + N));
		assert_null(id_table_find(&t, NULL, i / 2));
	}
	for (size_t i = MANY; i-- > 0;) {
		id_table_remove(&t, &nodes[i]);
		assert_null(id_table_find(&t, &owners[i % 2], i / 2));
	}
	id_table_fini(&t);
	assert_int_equal(not_freed, 0);
}

static void messages_need_no_memory(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	subscribe(c, bob, "a");
	provide(c, bob, "p");
	for (uint64_t i = 1; i <= 100; i++) {
		size_t before = allocations;
		send_uri(c, alice, POST_CALL, i, "p");
		expect(c, bob, POST_INVOCATION, i);
		send_args(c, bob, POST_YIELD, i, NULL);
		expect(c, alice, POST_RESULT, i);
		send_uri(c, alice, POST_PUBLISH, i, "a");
		next_post(c, 1, POST_EVENT);
		/* the first call allocates what all others use */
		assert_int_equal(allocations, before + (i == 1));
		forget_sent(c);
	}
	assert_int_equal(c->realm->dealer.n_free_calls, 1);
}

static void all_memory_comes_back(void **state)
{
	enum { N = 10000 };
	struct core *c = *state;
	size_t before = not_freed;

	c->outbox.discard = true;
	for (uint32_t i = 0; i < N; i++) {
		send_join(c, ref(0, i, 1), "stormy");
		send_uri(c, ref(0, i, 1), POST_SUBSCRIBE, 1, "a");
		send_uri(c, ref(0, i, 1), POST_REGISTER, 2, i % 2 == 0 ? "p" : "q");
		send_uri(c, ref(0, i, 1), POST_CALL, 3, i % 2 == 0 ? "q" : "p");
		send_uri(c, ref(0, i, 1), POST_TESTAMENT, 4, "a");
	}
	assert_true(not_freed > before + 2 * N);
	for (uint32_t i = 0; i < N; i++)
		send_post(c, ref(0, i, 1), (struct post){.type = POST_GONE});
	finish_work(c);
	/* except calls that are kept for reuse */
	assert_int_equal(not_freed, before + c->realm->dealer.n_free_calls);
	assert_in_range(c->realm->dealer.n_free_calls, 1, FREE_CALLS_MAX);
	c->outbox.discard = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_runs_out_at_each_place),
		cmocka_unit_test(memory_runs_out_for_pieces),
		cmocka_unit_test(memory_runs_out_for_reroutes),
		cmocka_unit_test(memory_runs_out_for_unsent_calls),
		cmocka_unit_test(memory_runs_out_for_several_events),
		cmocka_unit_test(memory_runs_out_for_testaments),
		cmocka_unit_test(memory_runs_out_for_meta_events),
		cmocka_unit_test(memory_runs_out_for_callees_and_queues),
		cmocka_unit_test(memory_runs_out_for_retained_events),
		cmocka_unit_test(buckets_are_not_needed),
		core_test(messages_need_no_memory),
		core_test(all_memory_comes_back),
	};

	return cmocka_run_group_tests_name("core_memory", tests, NULL, NULL);
}
