/* SPDX-License-Identifier: Apache-2.0 */
/* The meta procedures at a realm's owner: the answers, and long walks that are
 * interrupted by whatever may happen between two slices. */
#include "tests/unit/core_fixture.h"

#include "routerd/post/role_set.h"

#include <stdio.h>

enum {
	SLICE = 512, /* sessions in one slice of meta.c */
	MANY = 2 * SLICE + 10,
	ROLES = 3,
};

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 1, .slot = 2, .generation = 1};

static void join_all(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
}

/* The i-th of many sessions; their roles alternate. */
static struct session_ref member(uint32_t i)
{
	return ref((uint16_t)(i % N_WORKERS), 100 + i, 1);
}

static struct role_slot *role_slot_at(unsigned index)
{
	static struct role_slot one = {.refs = 1, .index = 1};
	static struct role_slot two = {.refs = 1, .index = 2};
	static struct role_slot three = {.refs = 1, .index = 3};
	static struct role_slot *const roles[] = {&device_role, &one, &two, &three};

	return roles[index];
}

static void join_as(struct core *c, struct session_ref who, unsigned role)
{
	struct identity i = {
		.session = session_id(who),
		.role = role_slot_at(role),
		.authid = slice_str("member"),
	};
	struct identity *identity = identity_new(&i);

	assert_non_null(identity);
	send_post(c, who,
		  (struct post){
			  .type = POST_JOIN, .identity = identity, .mail = MAIL_NEW()});
	expect(c, who, POST_JOINED, 0);
	forget_sent(c);
}

static void join_many(struct core *c)
{
	for (uint32_t i = 0; i < MANY; i++)
		join_as(c, member(i), i % ROLES);
}

static void go(struct core *c, struct session_ref who)
{
	send_post(c, who, (struct post){.type = POST_GONE});
}

static void send_meta(struct core *c, struct session_ref who, uint64_t request,
		      enum meta_procedure procedure, struct role_set *roles)
{
	send_post(c, who,
		  (struct post){.type = POST_META,
				.request = request,
				.procedure = (uint8_t)procedure,
				.roles = roles});
}

static void send_get(struct core *c, struct session_ref who, uint64_t request,
		     uint64_t session)
{
	send_post(c, who,
		  (struct post){.type = POST_META,
				.request = request,
				.id = session,
				.procedure = META_SESSION_GET});
}

static struct role_set *role_filter(unsigned which)
{
	struct role_set *set = role_set_new(ROLES);

	assert_non_null(set);
	if (which < ROLES)
		role_set_add(set, role_slot_at(which));
	return set;
}

static void work(struct core *c, unsigned slices)
{
	while (slices-- > 0) {
		assert_true(realm_has_work(c->realm));
		realm_work(c->realm);
	}
}

static uint64_t expect_number(struct core *c, struct session_ref who, uint64_t request)
{
	struct post p = expect(c, who, POST_RESULT, request);
	struct msg_payload items;
	unsigned long long n;

	assert_int_equal(payload_items(p.payload, SERIALIZER_JSON, &items), 0);
	assert_int_equal(items.items, 1);
	assert_int_equal(sscanf((const char *)items.bytes.p, "[%llu]", &n), 1);
	return n;
}

/* The ids of a result of wamp.session.list. */
static size_t expect_ids(struct core *c, struct session_ref who, uint64_t request,
			 uint64_t *ids, size_t max)
{
	struct post p = expect(c, who, POST_RESULT, request);
	struct msg_payload items;
	struct token_reader r;
	struct token t;
	size_t n = 0;

	assert_int_equal(payload_items(p.payload, SERIALIZER_CBOR, &items), 0);
	assert_int_equal(items.items, 1);
	token_reader_init(&r, SERIALIZER_CBOR, items.bytes);
	assert_int_equal(token_expect(&r, TOKEN_ARRAY, &t), 0);
	assert_int_equal(token_expect(&r, TOKEN_ARRAY, &t), 0);
	while (token_next(&r, &t) == 0 && t.type == TOKEN_UINT) {
		assert_true(n < max);
		ids[n++] = t.u;
	}
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_expect(&r, TOKEN_END, &t), 0);
	assert_int_equal(token_end(&r), 0);
	return n;
}

static bool has_id(const uint64_t *ids, size_t n, struct session_ref who)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += ids[i] == session_id(who);
	assert_in_range(found, 0, 1);
	return found == 1;
}

static void count_all(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	send_meta(c, alice, 1, META_SESSION_COUNT, NULL);
	assert_int_equal(expect_number(c, alice, 1), 1);
	join(c, bob, "bob");
	send_meta(c, alice, 2, META_SESSION_COUNT, NULL);
	assert_int_equal(expect_number(c, alice, 2), 2);
	go(c, alice);
	send_meta(c, bob, 3, META_SESSION_COUNT, NULL);
	assert_int_equal(expect_number(c, bob, 3), 1);
	assert_false(realm_has_work(c->realm));
	assert_int_equal(realm_counters(c->realm).calls, 3);
	assert_int_equal(realm_counters(c->realm).results, 3);
}

static void get_one(void **state)
{
	struct core *c = *state;
	struct post p;

	join_all(c);
	send_get(c, alice, 1, session_id(bob));
	p = expect(c, alice, POST_RESULT, 1);
	assert_args(&p,
		    "[{\"session\":2000001,\"authid\":\"bob\",\"authrole\":\"device\","
		    "\"authmethod\":\"cryptosign\",\"authprovider\":\"dynamic\","
		    "\"transport\":{\"channel_type\":\"tcp\",\"channel_framing\":"
		    "\"websocket\",\"channel_serializer\":\"cbor\",\"peer\":"
		    "\"tcp4:192.0.2.1:51812\"}}]");
	send_get(c, alice, 2, session_id(alice)); /* itself */
	expect(c, alice, POST_RESULT, 2);
	go(c, bob);
	for (uint64_t i = 0; i < 2; i++) {
		send_get(c, alice, 3, i == 0 ? session_id(bob) : 1);
		expect_error(c, alice, WAMP_CALL, 3, WAMP_ERROR_NO_SUCH_SESSION,
			     "the realm has no session with this id");
	}
}

static void list_in_order_of_joining(void **state)
{
	struct core *c = *state;
	struct post p;

	join_all(c);
	send_meta(c, bob, 5, META_SESSION_LIST, NULL);
	expect_nothing(c);
	work(c, 1);
	p = expect(c, bob, POST_RESULT, 5);
	assert_args(&p, "[[1000001,2000001,2000002]]");
	assert_false(realm_has_work(c->realm));
	realm_work(c->realm); /* does nothing */
	go(c, alice);
	join(c, alice, "alice");
	send_meta(c, bob, 6, META_SESSION_LIST, NULL);
	work(c, 1);
	p = expect(c, bob, POST_RESULT, 6);
	assert_args(&p, "[[2000001,2000002,1000001]]");
}

static void filters(void **state)
{
	static uint64_t ids[MANY];
	struct core *c = *state;
	struct role_set *two;
	struct post p;

	join_many(c);
	for (unsigned i = 0; i < ROLES; i++) {
		size_t n = MANY / ROLES + (i < MANY % ROLES);
		send_meta(c, member(0), 1, META_SESSION_COUNT, role_filter(i));
		work(c, 3);
		assert_int_equal(expect_number(c, member(0), 1), n);
		send_meta(c, member(0), 2, META_SESSION_LIST, role_filter(i));
		work(c, 3);
		assert_int_equal(expect_ids(c, member(0), 2, ids, MANY), n);
		for (uint32_t k = 0; k < MANY; k++)
			assert_int_equal(has_id(ids, n, member(k)), k % ROLES == i);
	}
	two = role_filter(0);
	role_set_add(two, role_slot_at(2));
	role_set_add(two, role_slot_at(2));
	send_meta(c, member(0), 3, META_SESSION_COUNT, two);
	send_meta(c, member(0), 4, META_SESSION_COUNT, role_filter(ROLES)); /* none */
	send_meta(c, member(0), 5, META_SESSION_LIST, role_filter(ROLES));
	work(c, 9);
	assert_int_equal(expect_number(c, member(0), 3),
			 MANY - MANY / ROLES - (MANY % ROLES > 1));
	assert_int_equal(expect_number(c, member(0), 4), 0);
	p = expect(c, member(0), POST_RESULT, 5);
	assert_args(&p, "[[]]");
	/* a role that came after the filter was made */
	join_as(c, alice, ROLES);
	send_meta(c, alice, 6, META_SESSION_COUNT, role_filter(ROLES));
	work(c, 3);
	assert_int_equal(expect_number(c, alice, 6), 0);
}

/* No slice looks at more sessions than its share, so two full slices do not suffice. */
static void a_long_walk_is_cut_into_slices(void **state)
{
	static uint64_t ids[MANY];
	struct core *c = *state;

	join_many(c);
	send_meta(c, member(0), 1, META_SESSION_LIST, NULL);
	work(c, 2);
	expect_nothing(c);
	send_meta(c, member(1), 2, META_SESSION_COUNT, NULL); /* need not wait */
	assert_int_equal(expect_number(c, member(1), 2), MANY);
	work(c, 1);
	assert_int_equal(expect_ids(c, member(0), 1, ids, MANY), MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(ids[i], session_id(member(i)));
	assert_false(realm_has_work(c->realm));
}

/* Sessions that are there all the time are in the list, once; no later ones are. */
static void sessions_come_and_go_between_slices(void **state)
{
	static uint64_t ids[MANY];
	struct core *c = *state;
	size_t n;

	join_many(c);
	send_meta(c, member(0), 1, META_SESSION_LIST, NULL);
	work(c, 1);
	go(c, member(5));         /* has been seen */
	go(c, member(SLICE));     /* is next */
	go(c, member(SLICE + 1)); /* is now next */
	go(c, member(SLICE + 9));
	go(c, member(MANY - 1));
	join_as(c, alice, 0);
	work(c, 2);
	n = expect_ids(c, member(0), 1, ids, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(has_id(ids, n, member(i)),
				 i != SLICE && i != SLICE + 1 && i != SLICE + 9 &&
					 i != MANY - 1);
	assert_false(has_id(ids, n, alice)); /* she joined after the call */
	assert_int_equal(n, MANY - 4);
}

static void the_rest_leaves_between_slices(void **state)
{
	static uint64_t ids[MANY];
	struct core *c = *state;

	join_many(c);
	send_meta(c, member(0), 1, META_SESSION_LIST, NULL);
	work(c, 2);
	for (uint32_t i = MANY; i-- > 2 * SLICE;)
		go(c, member(i));
	join_as(c, alice, 0); /* behind the end of the walk */
	work(c, 1);
	assert_int_equal(expect_ids(c, member(0), 1, ids, MANY), 2 * SLICE);
	assert_false(has_id(ids, 2 * SLICE, alice));
}

static void the_caller_leaves(void **state)
{
	struct core *c = *state;

	join_many(c);
	join_as(c, alice, 0);
	for (unsigned slices = 0; slices < 3; slices++) {
		join_as(c, bob, 0);
		send_meta(c, bob, 1, META_SESSION_LIST, role_filter(1));
		send_meta(c, bob, 2, META_SESSION_COUNT, role_filter(1));
		send_meta(c, alice, 3, META_SESSION_COUNT, role_filter(1));
		send_meta(c, bob, 4, META_SESSION_LIST, NULL);
		work(c, slices);
		go(c, bob);
		expect_nothing(c);
		/* alice's begins at the beginning */
		work(c, 3);
		assert_int_equal(expect_number(c, alice, 3), MANY / ROLES + 1);
		assert_false(realm_has_work(c->realm));
		forget_sent(c);
	}
}

static void walks_are_calls_in_flight(void **state)
{
	static const char many[] = "the session has too many calls in flight";
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	for (uint64_t i = 1; i <= default_limits.calls; i++)
		send_meta(c, alice, i, META_SESSION_LIST, NULL);
	send_meta(c, alice, 11, META_SESSION_LIST, role_filter(0));
	expect_error(c, alice, WAMP_CALL, 11, WAMP_ERROR_UNAVAILABLE, many);
	send_meta(c, alice, 12, META_SESSION_COUNT, NULL);
	expect_error(c, alice, WAMP_CALL, 12, WAMP_ERROR_UNAVAILABLE, many);
	send_get(c, alice, 13, session_id(bob));
	expect_error(c, alice, WAMP_CALL, 13, WAMP_ERROR_UNAVAILABLE, many);
	send_uri(c, alice, POST_CALL, 14, "p");
	expect_error(c, alice, WAMP_CALL, 14, WAMP_ERROR_UNAVAILABLE, many);
	send_meta(c, bob, 1, META_SESSION_LIST, NULL); /* it has its own limit */
	work(c, 1);
	expect(c, alice, POST_RESULT, 1);
	send_uri(c, alice, POST_CALL, 15, "p");
	expect(c, bob, POST_INVOCATION, 1);
	send_meta(c, alice, 16, META_SESSION_LIST, NULL);
	expect_error(c, alice, WAMP_CALL, 16, WAMP_ERROR_UNAVAILABLE, many);
	work(c, default_limits.calls);
	expect(c, bob, POST_RESULT, 1);
	for (uint64_t i = 2; i <= default_limits.calls; i++)
		expect(c, alice, POST_RESULT, i);
	go(c, bob);
	expect_error(c, alice, WAMP_CALL, 15, WAMP_ERROR_CANCELED,
		     "the callee left while the call was in flight");
}

static void send_cancel(struct core *c, struct session_ref who, uint64_t request,
			enum wamp_cancel_mode mode)
{
	send_post(c, who,
		  (struct post){.type = POST_CANCEL,
				.request = request,
				.mode = (uint8_t)mode});
}

/* In any mode, before the walk has begun, and in the middle of it. */
static void a_walk_is_canceled(void **state)
{
	static const char canceled[] = "the caller has canceled the call";
	static uint64_t ids[MANY];
	struct core *c = *state;

	join_many(c);
	for (int mode = WAMP_MODE_KILLNOWAIT; mode <= WAMP_MODE_KILL; mode++) {
		send_meta(c, member(0), 1, META_SESSION_LIST, role_filter(1));
		send_meta(c, member(0), 2, META_SESSION_LIST, NULL);
		send_meta(c, member(1), 1, META_SESSION_LIST, NULL);
		work(c, 2);
		send_cancel(c, member(0), 2, (enum wamp_cancel_mode)mode);
		expect_error(c, member(0), WAMP_CALL, 2, WAMP_ERROR_CANCELED, canceled);
		send_cancel(c, member(0), 1, (enum wamp_cancel_mode)mode);
		expect_error(c, member(0), WAMP_CALL, 1, WAMP_ERROR_CANCELED, canceled);
		send_cancel(c, member(0), 1, (enum wamp_cancel_mode)mode);
		expect_nothing(c);
		work(c, 3);
		assert_int_equal(expect_ids(c, member(1), 1, ids, MANY), MANY);
		assert_false(realm_has_work(c->realm));
		send_cancel(c, member(1), 1, (enum wamp_cancel_mode)mode);
		expect_nothing(c); /* it has its result */
	}
	assert_int_equal(realm_counters(c->realm).cancels, 6);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

static void a_walk_times_out(void **state)
{
	struct core *c = *state;
	struct post p = {.type = POST_META, .request = 1, .timeout_ms = 100};

	join_many(c);
	for (int i = 0; i < 2; i++) {
		p.procedure = META_SESSION_LIST;
		p.time_ms = 1000;
		send_post(c, member(0), p);
		work(c, 2);
		wheel_run(&c->deadlines, 1099, realm_deadline_passed, NULL);
		expect_nothing(c);
		if (i == 0) { /* in time */
			work(c, 1);
			expect(c, member(0), POST_RESULT, 1);
			assert_int_equal(c->deadlines.nodes, 0);
			continue;
		}
		wheel_run(&c->deadlines, 1200, realm_deadline_passed, NULL);
		expect_error(c, member(0), WAMP_CALL, 1, WAMP_ERROR_TIMEOUT,
			     "the callee did not answer within the call's timeout");
		assert_false(realm_has_work(c->realm));
	}
	assert_int_equal(realm_counters(c->realm).timeouts, 1);
}

/* The id of a call in flight must not be used again, whatever is called. */
static void a_walk_has_the_only_call_with_its_id(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	send_meta(c, alice, 1, META_SESSION_LIST, NULL);
	send_meta(c, alice, 1, META_SESSION_COUNT, NULL);
	expect(c, alice, POST_VIOLATION, 0);
	send_uri(c, alice, POST_CALL, 1, "p");
	expect(c, alice, POST_VIOLATION, 0);
	send_uri(c, alice, POST_CALL, 2, "p");
	expect(c, bob, POST_INVOCATION, 1);
	send_meta(c, alice, 2, META_SESSION_LIST, NULL);
	expect(c, alice, POST_VIOLATION, 0);
	work(c, 1);
	expect(c, alice, POST_RESULT, 1);
	send_meta(c, alice, 1, META_SESSION_COUNT, NULL);
	assert_int_equal(expect_number(c, alice, 1), 3);
}

/* A call waits for at most one walk of each other caller. */
static void callers_take_turns(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (uint64_t request = 1; request <= 3; request++)
		send_meta(c, alice, request, META_SESSION_LIST, NULL);
	send_meta(c, bob, 1, META_SESSION_LIST, NULL);
	send_meta(c, bob, 2, META_SESSION_LIST, NULL);
	send_meta(c, carol, 1, META_SESSION_LIST, NULL);
	work(c, 3);
	expect(c, alice, POST_RESULT, 1);
	expect(c, bob, POST_RESULT, 1);
	expect(c, carol, POST_RESULT, 1);
	/* alice, whose turn it is, loses only her own */
	send_cancel(c, alice, 2, WAMP_MODE_SKIP);
	expect(c, alice, POST_ERROR, 2);
	send_meta(c, carol, 2, META_SESSION_LIST, NULL);
	work(c, 3);
	expect(c, bob, POST_RESULT, 2);
	expect(c, alice, POST_RESULT, 3);
	expect(c, carol, POST_RESULT, 2);
	assert_false(realm_has_work(c->realm));
}

static void a_result_is_lost(void **state)
{
	struct core *c = *state;

	join_all(c);
	send_meta(c, alice, 1, META_SESSION_LIST, NULL);
	send_meta(c, alice, 2, META_SESSION_LIST, NULL);
	send_meta(c, bob, 3, META_SESSION_COUNT, role_filter(0));
	c->outbox.fail_at = 1;
	work(c, 1);
	expect(c, alice, POST_KILLED, 0);
	work(c, 1);
	assert_int_equal(expect_number(c, bob, 3), 2);
	assert_false(realm_has_work(c->realm));
}

static void a_realm_is_freed_with_walks(void **state)
{
	struct core *c = *state;

	join_many(c);
	send_meta(c, member(0), 1, META_SESSION_LIST, role_filter(1));
	send_meta(c, member(1), 2, META_SESSION_LIST, role_filter(1));
	work(c, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(count_all),
		core_test(get_one),
		core_test(list_in_order_of_joining),
		core_test(filters),
		core_test(a_long_walk_is_cut_into_slices),
		core_test(sessions_come_and_go_between_slices),
		core_test(the_rest_leaves_between_slices),
		core_test(the_caller_leaves),
		core_test(walks_are_calls_in_flight),
		core_test(a_walk_is_canceled),
		core_test(callers_take_turns),
		core_test(a_walk_times_out),
		core_test(a_walk_has_the_only_call_with_its_id),
		core_test(a_result_is_lost),
		core_test(a_realm_is_freed_with_walks),
	};

	return cmocka_run_group_tests_name("core_meta", tests, NULL, NULL);
}
