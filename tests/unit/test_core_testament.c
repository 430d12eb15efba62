/* SPDX-License-Identifier: Apache-2.0 */
/* Testaments at a realm's owner: their limits, when and in which order they are
 * published, and with what. */
#include "tests/unit/core_fixture.h"

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 2, .slot = 1, .generation = 1};

static const char full_text[] =
	"the session has too many testaments: at most 32, and 64 KiB in total";

static void join_all(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
}

static uint64_t kept(const struct core *c)
{
	return realm_counters(c->realm).testaments;
}

/* A call without arguments in its result. */
static void expect_done(struct core *c, struct session_ref who, uint64_t request)
{
	struct post p = expect(c, who, POST_RESULT, request);
	struct msg_payload items;

	assert_int_equal(payload_items(p.payload, SERIALIZER_JSON, &items), 0);
	assert_int_equal(items.items, 0);
}

static void leave_behind(struct core *c, struct session_ref who, bool detached,
			 const char *topic, const char *args)
{
	send_post(c, who,
		  (struct post){.type = POST_TESTAMENT,
				.request = 5,
				.exclude_me = true,
				.detached = detached,
				.payload = payload(topic, args)});
	expect_done(c, who, 5);
}

static void flush(struct core *c, struct session_ref who, bool detached)
{
	send_post(c, who,
		  (struct post){.type = POST_META,
				.request = 6,
				.detached = detached,
				.procedure = META_SESSION_FLUSH_TESTAMENTS});
	expect_done(c, who, 6);
}

static void go(struct core *c, struct session_ref who)
{
	send_post(c, who, (struct post){.type = POST_GONE});
}

static struct post expect_event(struct core *c, struct session_ref from, unsigned worker,
				const char *topic, const char *args)
{
	struct post p = next_post(c, worker, POST_EVENT);

	assert_true(session_ref_eq(p.session, from));
	assert_uri(&p, topic);
	assert_args(&p, args);
	return p;
}

/* First those with the scope detached; each scope in the order of its calls. */
static void in_order(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	subscribe(c, alice, "wamp.session.on_leave");
	leave_behind(c, bob, false, "t", "[1]");
	leave_behind(c, bob, true, "t", "[2]");
	leave_behind(c, bob, false, "nobody", "[3]");
	leave_behind(c, bob, false, "t", "[4]");
	leave_behind(c, bob, true, "t", "[5]");
	leave_behind(c, carol, true, "t", "[6]");
	assert_int_equal(kept(c), 6);
	uint64_t before = realm_counters(c->realm).publishes;
	send_post(c, bob, (struct post){.type = POST_GOODBYE});
	expect(c, bob, POST_LEFT, 0);
	expect_event(c, bob, alice.worker, "t", "[2]");
	expect_event(c, bob, alice.worker, "t", "[5]");
	expect_event(c, bob, alice.worker, "t", "[1]");
	expect_event(c, bob, alice.worker, "t", "[4]");
	struct post p = next_post(c, alice.worker, POST_EVENT);
	assert_args(&p, "[2000001,\"bob\",\"device\"]");
	assert_int_equal(kept(c), 1);
	assert_int_equal(realm_counters(c->realm).publishes, before + 5);
}

/* Its own worker gets an event only for other members. */
static void never_to_the_session_itself(void **state)
{
	static const struct session_ref neighbour = {
		.worker = 1, .slot = 2, .generation = 1};
	struct core *c = *state;

	join_all(c);
	join(c, neighbour, "neighbour");
	subscribe(c, bob, "t");
	leave_behind(c, bob, false, "t", "[1]");
	go(c, bob);
	expect_nothing(c);
	join(c, bob, "bob");
	subscribe(c, bob, "t");
	subscribe(c, neighbour, "t");
	leave_behind(c, bob, false, "t", "[2]");
	go(c, bob);
	assert_true(expect_event(c, bob, bob.worker, "t", "[2]").exclude_me);
}

/* What the worker has judged goes into the event. */
static void as_judged(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	struct post t = {
		.type = POST_TESTAMENT,
		.request = 5,
		.disclose = DISCLOSE_YES,
		.trust = 7,
		.payload = payload("t", "[1]"),
	};
	send_post(c, bob, t);
	expect_done(c, bob, 5);
	go(c, bob);
	struct post p = expect_event(c, bob, alice.worker, "t", "[1]");
	assert_int_equal(p.trust, 7);
	assert_false(p.exclude_me);
	assert_int_equal(p.disclosed->session, session_id(bob));
}

static void flushed(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	flush(c, bob, true);
	leave_behind(c, bob, false, "t", "[1]");
	leave_behind(c, bob, true, "t", "[2]");
	leave_behind(c, bob, true, "t", "[3]");
	leave_behind(c, carol, true, "t", "[4]");
	flush(c, bob, true);
	assert_int_equal(kept(c), 2);
	flush(c, bob, true);
	go(c, bob);
	expect_event(c, bob, alice.worker, "t", "[1]");
	flush(c, carol, true);
	flush(c, carol, false);
	leave_behind(c, carol, false, "t", "[5]");
	go(c, carol);
	expect_event(c, carol, alice.worker, "t", "[5]");
}

static void add_refused(struct core *c, bool detached, struct payload *payload)
{
	send_post(c, bob,
		  (struct post){.type = POST_TESTAMENT,
				.request = 5,
				.detached = detached,
				.payload = payload});
	struct post p =
		expect_error(c, bob, WAMP_CALL, 5, WAMP_ERROR_UNAVAILABLE, full_text);
	assert_int_equal(p.procedure, META_SESSION_ADD_TESTAMENT);
}

static void at_most_so_many(void **state)
{
	struct core *c = *state;

	join_all(c);
	for (unsigned i = 0; i < TESTAMENTS_MAX; i++) {
		leave_behind(c, bob, i % 2 == 0, "t", NULL);
		forget_sent(c);
	}
	add_refused(c, true, payload("t", NULL));
	add_refused(c, false, payload("t", NULL));
	flush(c, bob, true);
	for (unsigned i = 0; i < TESTAMENTS_MAX / 2; i++) {
		leave_behind(c, bob, false, "t", NULL);
		forget_sent(c);
	}
	add_refused(c, true, payload("t", NULL));
	leave_behind(c, carol, true, "t", NULL);
	assert_int_equal(kept(c), TESTAMENTS_MAX + 1);
	assert_int_equal(realm_counters(c->realm).errors, 3);
}

/* A payload that makes a testament of this many bytes. */
static struct payload *payload_of(size_t bytes)
{
	static char text[TESTAMENT_BYTES_MAX];
	struct payload *empty = payload("t", "");
	size_t len = bytes - sizeof(struct post) - payload_size(empty);

	payload_unref(&empty);
	assert_true(len < sizeof(text));
	memset(text, ' ', len);
	text[len] = '\0';
	return payload("t", text);
}

static void at_most_so_many_bytes(void **state)
{
	struct core *c = *state;

	join_all(c);
	add_refused(c, false, payload_of(TESTAMENT_BYTES_MAX + 1));
	assert_int_equal(kept(c), 0);
	for (unsigned i = 0; i < 2; i++) {
		send_post(c, bob,
			  (struct post){.type = POST_TESTAMENT,
					.detached = i == 1,
					.payload = payload_of(TESTAMENT_BYTES_MAX / 2)});
		expect_done(c, bob, 0);
	}
	add_refused(c, true, payload("t", NULL));
	flush(c, bob, false);
	add_refused(c, true, payload_of(TESTAMENT_BYTES_MAX / 2 + 1));
	flush(c, bob, true);
	send_post(c, bob,
		  (struct post){.type = POST_TESTAMENT,
				.payload = payload_of(TESTAMENT_BYTES_MAX)});
	expect_done(c, bob, 0);
	add_refused(c, true, payload("t", NULL));
	assert_int_equal(kept(c), 1);
}

/* The slices of a session that ends; what others send in between comes in between. */
static void in_slices(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	for (unsigned i = 0; i < TESTAMENTS_MAX; i++) {
		leave_behind(c, bob, false, "t", NULL);
		leave_behind(c, carol, false, "t", NULL);
		forget_sent(c);
	}
	go(c, bob);
	forget_sent(c);
	assert_int_equal(kept(c), TESTAMENTS_MAX);
	go(c, carol);
	expect_nothing(c);
	while (kept(c) > 0) {
		uint64_t before = kept(c);
		realm_work(c->realm);
		assert_in_range(before - kept(c), 1, TESTAMENTS_MAX);
		forget_sent(c);
	}
	finish_work(c);
	assert_int_equal(realm_counters(c->realm).sessions, 1);
}

/* A session on the place of one whose testaments wait for their turn gets them, if it has
 * subscribed in time. */
static void to_the_heir(void **state)
{
	static const struct session_ref heir = {.worker = 2, .slot = 1, .generation = 2};
	struct core *c = *state;

	join_all(c);
	for (unsigned i = 0; i < TESTAMENTS_MAX; i++) {
		leave_behind(c, bob, false, "nobody", NULL);
		forget_sent(c);
	}
	leave_behind(c, carol, false, "t", "[1]");
	subscribe(c, carol, "t");
	go(c, bob); /* this takes a slice, so carol's end must wait */
	go(c, carol);
	expect_nothing(c);
	join(c, heir, "heir");
	uint64_t id = subscribe(c, heir, "t");
	finish_work(c);
	assert_int_equal(expect_event(c, carol, heir.worker, "t", "[1]").id, id);
}

static void send_kill(struct core *c, enum meta_procedure procedure)
{
	struct revocation from = {.authid = slice_str("bob"), .uri = slice_str("a.b")};

	send_post(c, alice,
		  (struct post){.type = POST_META,
				.request = 9,
				.procedure = (uint8_t)procedure,
				.id = session_id(bob),
				.kill = revocation_new(&from)});
}

static void with_a_kill(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, carol, "t");
	leave_behind(c, bob, false, "t", "[1]");
	send_kill(c, META_SESSION_KILL);
	expect(c, bob, POST_KILLED, 0);
	expect(c, alice, POST_RESULT, 9);
	expect_event(c, bob, carol.worker, "t", "[1]");
}

static void not_with_kill_all(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	leave_behind(c, bob, false, "t", "[1]");
	leave_behind(c, carol, true, "t", "[2]");
	send_kill(c, META_SESSION_KILL_ALL);
	finish_work(c);
	expect(c, bob, POST_KILLED, 0);
	expect(c, carol, POST_KILLED, 0);
	expect(c, alice, POST_RESULT, 9);
	assert_int_equal(kept(c), 0);
}

static void not_when_the_router_stops(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	leave_behind(c, bob, false, "t", "[1]");
	leave_behind(c, carol, true, "t", "[2]");
	realm_stop(c->realm);
	go(c, bob);
	send_post(c, carol, (struct post){.type = POST_GOODBYE});
	expect(c, carol, POST_LEFT, 0);
	assert_int_equal(kept(c), 0);
}

/* The realm ends with sessions that have testaments, one of which is leaving. */
static void the_realm_ends(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	for (unsigned i = 0; i < TESTAMENTS_MAX; i++) {
		leave_behind(c, bob, false, "t", NULL);
		leave_behind(c, carol, false, "t", NULL);
		forget_sent(c);
	}
	go(c, bob);
	go(c, carol);
	forget_sent(c);
	assert_int_equal(kept(c), TESTAMENTS_MAX);
}

/* Like any other call. */
static void calls_have_limits(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, alice, "p");
	for (unsigned i = 1; i <= default_limits.calls; i++) {
		send_uri(c, bob, POST_CALL, i, "p");
		expect(c, alice, POST_INVOCATION, i);
	}
	send_uri(c, bob, POST_TESTAMENT, 9, "t");
	expect_error(c, bob, WAMP_CALL, 9, WAMP_ERROR_UNAVAILABLE,
		     "the session has too many calls in flight");
	send_uri(c, bob, POST_TESTAMENT, 1, "t");
	expect(c, bob, POST_VIOLATION, 0);
	assert_int_equal(kept(c), 0);
}

/* The event is lost and counted; the end of the session goes on. */
static void no_memory_for_the_event(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, alice, "t");
	leave_behind(c, bob, true, "t", "[1]");
	leave_behind(c, bob, false, "t", "[2]");
	c->outbox.fail_at = 1;
	go(c, bob);
	expect_event(c, bob, alice.worker, "t", "[2]");
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 1);
	assert_int_equal(kept(c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(in_order),
		core_test(never_to_the_session_itself),
		core_test(as_judged),
		core_test(flushed),
		core_test(at_most_so_many),
		core_test(at_most_so_many_bytes),
		core_test(in_slices),
		core_test(to_the_heir),
		core_test(with_a_kill),
		core_test(not_with_kill_all),
		core_test(not_when_the_router_stops),
		core_test(the_realm_ends),
		core_test(calls_have_limits),
		core_test(no_memory_for_the_event),
	};

	return cmocka_run_group_tests_name("core_testament", tests, NULL, NULL);
}
