/* SPDX-License-Identifier: Apache-2.0 */
/* The meta procedures about registrations and subscriptions at a realm's owner: the
 * answers, and what comes and goes while a long list is made. */
#include "tests/unit/core_fixture.h"

#include <stdio.h>

enum {
	SLICE = 512, /* elements in one slice of meta.c */
	MANY = 2 * SLICE + 10,
};

static const struct realm_limits wide = {
	.subscriptions = 2 * MANY,
	.registrations = 2 * MANY,
	.wildcards = 4,
	.calls = 8,
};

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 1, .slot = 2, .generation = 1};

static const char no_registration[] = "the realm has no registration with this id";
static const char no_subscription[] = "the realm has no subscription with this id";

/* A realm whose sessions may have many subscriptions. */
static void widen(struct core *c)
{
	realm_free(&c->realm);
	c->realm = realm_new(REALM, N_WORKERS, &wide, &c->ids, &c->deadlines, &c->outbox);
	assert_non_null(c->realm);
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
}

static void send_about(struct core *c, enum meta_procedure procedure, uint64_t id)
{
	send_post(c, alice,
		  (struct post){.type = POST_META,
				.request = 1,
				.procedure = (uint8_t)procedure,
				.id = id});
}

static void send_search(struct core *c, enum meta_procedure procedure, enum match how,
			const char *uri)
{
	send_post(c, alice,
		  (struct post){.type = POST_META,
				.request = 1,
				.procedure = (uint8_t)procedure,
				.match = (uint8_t)how,
				.payload = payload(uri, NULL)});
}

static void expect_text(struct core *c, const char *args)
{
	struct post p = expect(c, alice, POST_RESULT, 1);

	assert_args(&p, args);
	expect_nothing(c);
}

/* The result is [id]. */
static void expect_id(struct core *c, uint64_t id)
{
	char args[40];

	snprintf(args, sizeof(args), "[%llu]", (unsigned long long)id);
	expect_text(c, args);
}

static void expect_no_such(struct core *c, enum meta_procedure procedure)
{
	bool registration = procedure < META_SUBSCRIPTION_LIST;

	expect_error(c, alice, WAMP_CALL, 1,
		     registration ? WAMP_ERROR_NO_SUCH_REGISTRATION
				  : WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		     registration ? no_registration : no_subscription);
}

static void work(struct core *c, unsigned slices)
{
	while (slices-- > 0) {
		expect_nothing(c);
		assert_true(realm_has_work(c->realm));
		realm_work(c->realm);
	}
}

/* Reads a list of ids up to its end. */
static size_t read_ids(struct token_reader *r, uint64_t *ids, size_t max)
{
	struct token t;
	size_t n = 0;

	assert_int_equal(token_expect(r, TOKEN_ARRAY, &t), 0);
	while (token_next(r, &t) == 0 && t.type == TOKEN_UINT) {
		assert_true(n < max);
		ids[n++] = t.u;
	}
	assert_int_equal(t.type, TOKEN_END);
	return n;
}

/* The result is {exact: [...], prefix: [], wildcard: []}, or a list. */
static size_t expect_ids(struct core *c, bool lists, uint64_t *ids, size_t max)
{
	struct post p = expect(c, alice, POST_RESULT, 1);
	struct msg_payload items;
	struct token_reader r;
	struct token t;
	uint64_t none;

	assert_false(realm_has_work(c->realm));
	assert_int_equal(payload_items(p.payload, SERIALIZER_MSGPACK, &items), 0);
	token_reader_init(&r, SERIALIZER_MSGPACK, items.bytes);
	assert_int_equal(token_expect(&r, TOKEN_ARRAY, &t), 0);
	if (!lists)
		return read_ids(&r, ids, max);
	assert_int_equal(token_expect(&r, TOKEN_MAP, &t), 0);
	assert_int_equal(token_expect(&r, TOKEN_STR, &t), 0);
	assert_true(slice_eq_str(t.text, "exact"));
	size_t n = read_ids(&r, ids, max);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(token_expect(&r, TOKEN_STR, &t), 0);
		assert_int_equal(read_ids(&r, &none, 0), 0);
	}
	return n;
}

static void add_subscriptions(struct core *c, struct session_ref who, unsigned from,
			      unsigned to, uint64_t *ids)
{
	char topic[20];

	for (; from < to; from++) {
		snprintf(topic, sizeof(topic), "t.%u", from);
		ids[from] = subscribe(c, who, topic);
		forget_sent(c);
	}
}

static void unsubscribe(struct core *c, struct session_ref who, uint64_t id)
{
	send_id(c, who, POST_UNSUBSCRIBE, 2, id);
	expect(c, who, POST_UNSUBSCRIBED, 2);
	forget_sent(c);
}

static void registrations(void **state)
{
	struct core *c = *state;
	char text[200];

	widen(c);
	send_about(c, META_REGISTRATION_LIST, 0);
	work(c, 1);
	expect_text(c, "[{\"exact\":[],\"prefix\":[],\"wildcard\":[]}]");
	uint64_t id = provide(c, bob, "a.b");
	send_about(c, META_REGISTRATION_GET, id);
	snprintf(text, sizeof(text),
		 "[{\"id\":%llu,\"created\":\"1970-01-01T00:00:00.000Z\",\"uri\":\"a.b\","
		 "\"match\":\"exact\",\"invoke\":\"single\"}]",
		 (unsigned long long)id);
	expect_text(c, text);
	send_search(c, META_REGISTRATION_LOOKUP, MATCH_EXACT, "a.b");
	expect_id(c, id);
	send_search(c, META_REGISTRATION_LOOKUP, MATCH_PREFIX, "a.b");
	expect_text(c, "[null]");
	send_search(c, META_REGISTRATION_MATCH, MATCH_EXACT, "a.b");
	expect_id(c, id);
	send_search(c, META_REGISTRATION_MATCH, MATCH_EXACT, "a");
	expect_text(c, "[null]");
	send_about(c, META_REGISTRATION_COUNT_CALLEES, id);
	expect_id(c, 1);
	send_about(c, META_REGISTRATION_LIST_CALLEES, id);
	work(c, 1);
	expect_text(c, "[[2000001]]");
	send_about(c, META_REGISTRATION_LIST_CALLEES, id);
	send_id(c, bob, POST_UNREGISTER, 2, id);
	expect(c, bob, POST_UNREGISTERED, 2);
	work(c, 1);
	expect_no_such(c, META_REGISTRATION_LIST_CALLEES);
	send_about(c, META_REGISTRATION_GET, id);
	expect_no_such(c, META_REGISTRATION_GET);
	send_about(c, META_REGISTRATION_COUNT_CALLEES, id);
	expect_no_such(c, META_REGISTRATION_COUNT_CALLEES);
}

static void subscriptions(void **state)
{
	struct core *c = *state;
	char text[200];

	widen(c);
	uint64_t exact = subscribe(c, bob, "a.b");
	uint64_t prefix = subscribe_to(c, carol, MATCH_PREFIX, "a");
	uint64_t wildcard = subscribe_to(c, bob, MATCH_WILDCARD, ".b");
	subscribe(c, carol, "a.b");
	send_about(c, META_SUBSCRIPTION_LIST, 0);
	work(c, 1);
	snprintf(text, sizeof(text),
		 "[{\"exact\":[%llu],\"prefix\":[%llu],\"wildcard\":[%llu]}]",
		 (unsigned long long)exact, (unsigned long long)prefix,
		 (unsigned long long)wildcard);
	expect_text(c, text);
	send_about(c, META_SUBSCRIPTION_GET, prefix);
	snprintf(text, sizeof(text),
		 "[{\"id\":%llu,\"created\":\"1970-01-01T00:00:01.000Z\",\"uri\":\"a\","
		 "\"match\":\"prefix\"}]",
		 (unsigned long long)prefix);
	expect_text(c, text);
	send_search(c, META_SUBSCRIPTION_MATCH, MATCH_EXACT, "a.b");
	snprintf(text, sizeof(text), "[[%llu,%llu,%llu]]", (unsigned long long)exact,
		 (unsigned long long)prefix, (unsigned long long)wildcard);
	expect_text(c, text);
	send_search(c, META_SUBSCRIPTION_MATCH, MATCH_EXACT, "b");
	expect_text(c, "[null]");
	send_search(c, META_SUBSCRIPTION_LOOKUP, MATCH_WILDCARD, ".b");
	expect_id(c, wildcard);
	send_about(c, META_SUBSCRIPTION_COUNT_SUBSCRIBERS, exact);
	expect_id(c, 2);
	send_about(c, META_SUBSCRIPTION_LIST_SUBSCRIBERS, exact);
	work(c, 1);
	expect_text(c, "[[2000002,2000001]]");
	send_about(c, META_SUBSCRIPTION_LIST_SUBSCRIBERS, prefix);
	unsubscribe(c, carol, prefix);
	work(c, 1);
	expect_no_such(c, META_SUBSCRIPTION_LIST_SUBSCRIBERS);
}

static void a_long_list_is_made_in_slices(void **state)
{
	static uint64_t ids[MANY + 1], found[MANY];
	struct core *c = *state;

	widen(c);
	add_subscriptions(c, bob, 0, MANY, ids);
	send_about(c, META_SUBSCRIPTION_LIST, 0);
	add_subscriptions(c, bob, MANY, MANY + 1, ids); /* behind the call */
	work(c, 3);
	assert_int_equal(expect_ids(c, true, found, MANY), MANY);
	assert_memory_equal(found, ids, sizeof(found));
}

/* Ids that are there all the time are in the list, once. */
static void subscriptions_end_between_slices(void **state)
{
	static const unsigned ended[] = {5, SLICE, SLICE + 1, SLICE + 9, MANY - 1};
	static uint64_t ids[MANY], found[MANY];
	struct core *c = *state;
	size_t n, next = 0, k = 0;

	widen(c);
	add_subscriptions(c, bob, 0, MANY, ids);
	send_about(c, META_SUBSCRIPTION_LIST, 0);
	work(c, 1);
	for (size_t i = 0; i < ARRAY_LEN(ended); i++)
		unsubscribe(c, bob, ids[ended[i]]);
	work(c, 2);
	n = expect_ids(c, true, found, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		if (k < ARRAY_LEN(ended) && i == ended[k]) {
			k++;
			if (i != 5) /* was visited before it ended */
				continue;
		}
		assert_int_equal(found[next++], ids[i]);
	}
	assert_int_equal(next, n);
}

/* The owner of all that was not visited yet leaves. */
static void the_rest_ends_between_slices(void **state)
{
	static uint64_t ids[MANY], found[MANY];
	struct core *c = *state;

	widen(c);
	add_subscriptions(c, bob, 0, 2 * SLICE, ids);
	add_subscriptions(c, carol, 2 * SLICE, MANY, ids);
	send_about(c, META_SUBSCRIPTION_LIST, 0);
	work(c, 2);
	send_post(c, carol, (struct post){.type = POST_GONE});
	work(c, 1);
	assert_int_equal(expect_ids(c, true, found, MANY), 2 * SLICE);
	assert_memory_equal(found, ids, 2 * SLICE * sizeof(ids[0]));
}

static struct session_ref member(uint32_t i)
{
	return ref((uint16_t)(i % N_WORKERS), 100 + i, 1);
}

static uint64_t join_members(struct core *c)
{
	uint64_t id = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		join(c, member(i), "member");
		id = subscribe(c, member(i), "t");
		forget_sent(c);
	}
	return id;
}

/* The newest member comes first. */
static void members_come_and_go_between_slices(void **state)
{
	static uint64_t found[MANY];
	struct core *c = *state;
	uint64_t id;
	size_t n, next = 0;

	widen(c);
	id = join_members(c);
	send_about(c, META_SUBSCRIPTION_LIST_SUBSCRIBERS, id);
	work(c, 1);
	/* the one that is next, the one that is next now, one that was visited, the last
	 */
	unsubscribe(c, member(MANY - 1 - SLICE), id);
	send_post(c, member(MANY - 2 - SLICE), (struct post){.type = POST_GONE});
	unsubscribe(c, member(MANY - 3), id);
	unsubscribe(c, member(0), id);
	subscribe(c, bob, "t");
	work(c, 2);
	n = expect_ids(c, false, found, MANY);
	for (unsigned i = 0; i < MANY - 1; i++)
		if (i != SLICE && i != SLICE + 1)
			assert_int_equal(found[next++], session_id(member(MANY - 1 - i)));
	assert_int_equal(next, n);
}

/* The callee that registered first comes first. */
static void callees_come_and_go_between_slices(void **state)
{
	static uint64_t found[MANY];
	struct core *c = *state;
	uint64_t id = 0;
	size_t n, next = 0;

	widen(c);
	for (uint32_t i = 0; i < MANY; i++) {
		join(c, member(i), "member");
		send_post(c, member(i),
			  (struct post){.type = POST_REGISTER,
					.request = 1,
					.invoke = WAMP_INVOKE_ROUNDROBIN,
					.payload = payload("p", NULL)});
		id = expect(c, member(i), POST_REGISTERED, 1).id;
		forget_sent(c);
	}
	send_about(c, META_REGISTRATION_COUNT_CALLEES, id);
	expect_id(c, MANY);
	send_about(c, META_REGISTRATION_LIST_CALLEES, id);
	work(c, 1);
	/* the one that is next, the one that is next now, one that was visited, the last
	 */
	send_post(c, member(SLICE), (struct post){.type = POST_GONE});
	send_id(c, member(SLICE + 1), POST_UNREGISTER, 2, id);
	expect(c, member(SLICE + 1), POST_UNREGISTERED, 2);
	send_post(c, member(5), (struct post){.type = POST_GONE});
	send_post(c, member(MANY - 1), (struct post){.type = POST_GONE});
	work(c, 2);
	n = expect_ids(c, false, found, MANY);
	for (uint32_t i = 0; i < MANY - 1; i++)
		if (i != SLICE && i != SLICE + 1)
			assert_int_equal(found[next++], session_id(member(i)));
	assert_int_equal(next, n);
}

static void the_subscription_ends_between_slices(void **state)
{
	static uint64_t found[MANY];
	struct core *c = *state;
	uint64_t id;

	widen(c);
	id = join_members(c);
	send_about(c, META_SUBSCRIPTION_LIST_SUBSCRIBERS, id);
	work(c, 1);
	for (uint32_t i = 0; i < MANY; i++)
		unsubscribe(c, member(i), id);
	/* another one takes its place, perhaps also in memory */
	subscribe(c, bob, "t");
	work(c, 1);
	assert_int_equal(expect_ids(c, false, found, MANY), SLICE);
}

static void the_asker_leaves(void **state)
{
	static uint64_t ids[MANY];
	struct core *c = *state;

	widen(c);
	add_subscriptions(c, bob, 0, MANY, ids);
	send_about(c, META_SUBSCRIPTION_LIST, 0);
	work(c, 1);
	send_post(c, alice, (struct post){.type = POST_GONE});
	assert_false(realm_has_work(c->realm));
	expect_nothing(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(registrations),
		core_test(subscriptions),
		core_test(a_long_list_is_made_in_slices),
		core_test(subscriptions_end_between_slices),
		core_test(the_rest_ends_between_slices),
		core_test(members_come_and_go_between_slices),
		core_test(callees_come_and_go_between_slices),
		core_test(the_subscription_ends_between_slices),
		core_test(the_asker_leaves),
	};

	return cmocka_run_group_tests_name("core_meta_lists", tests, NULL, NULL);
}
