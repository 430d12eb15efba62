/* SPDX-License-Identifier: Apache-2.0 */
/* The meta procedures that kill sessions, at a realm's owner: whom they end, in which
 * order the posts come, and all the ways in which a victim may leave by itself. */
#include "tests/unit/core_fixture.h"

#include <stdio.h>

enum {
	KILLS = 16, /* sessions that one slice of meta.c ends */
	MANY = 3 * KILLS + 5,
};

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 1, .slot = 2, .generation = 1};

static const char no_other[] = "the realm has no other session with this id";
static const char left_text[] = "the callee left while the call was in flight";

static void join_all(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, carol, "carol");
}

/* name: an authid or authrole */
static void send_kill(struct core *c, struct session_ref who, uint64_t request,
		      enum meta_procedure procedure, uint64_t id, const char *name)
{
	struct revocation from = {
		.authid = slice_str(name),
		.role = slice_str(name),
		.uri = slice_str("com.example.bye"),
		.message = slice_str("so long"),
	};
	struct revocation *kill = revocation_new(&from);

	assert_non_null(kill);
	send_post(c, who,
		  (struct post){.type = POST_META,
				.request = request,
				.procedure = (uint8_t)procedure,
				.id = id,
				.kill = kill});
}

static void kill_one(struct core *c, struct session_ref who, uint64_t request,
		     struct session_ref victim)
{
	send_kill(c, who, request, META_SESSION_KILL, session_id(victim), "");
}

static void expect_killed(struct core *c, struct session_ref who)
{
	struct post p = expect(c, who, POST_KILLED, 0);

	assert_true(slice_eq_str(p.revocation->uri, "com.example.bye"));
	assert_true(slice_eq_str(p.revocation->message, "so long"));
}

/* A result without arguments. */
static void expect_done(struct core *c, struct session_ref who, uint64_t request)
{
	struct post p = expect(c, who, POST_RESULT, request);
	struct msg_payload items;

	assert_int_equal(payload_items(p.payload, SERIALIZER_JSON, &items), 0);
	assert_int_equal(items.items, 0);
}

static void expect_args(struct core *c, struct session_ref who, uint64_t request,
			const char *args)
{
	struct post p = expect(c, who, POST_RESULT, request);

	assert_args(&p, args);
}

static void work(struct core *c)
{
	assert_true(realm_has_work(c->realm));
	realm_work(c->realm);
}

static void by_id(void **state)
{
	struct core *c = *state;

	join_all(c);
	kill_one(c, alice, 1, bob);
	expect_killed(c, bob);
	expect_done(c, alice, 1);
	assert_int_equal(realm_counters(c->realm).sessions, 2);
	assert_int_equal(realm_counters(c->realm).kills, 1);
	kill_one(c, alice, 2, bob);
	expect_error(c, alice, WAMP_CALL, 2, WAMP_ERROR_NO_SUCH_SESSION, no_other);
	kill_one(c, alice, 3, alice);
	expect_error(c, alice, WAMP_CALL, 3, WAMP_ERROR_NO_SUCH_SESSION, no_other);
	assert_false(realm_has_work(c->realm));
}

static void everything_of_the_victim_ends(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, bob, "t");
	provide(c, bob, "p");
	provide(c, carol, "q");
	send_uri(c, alice, POST_CALL, 1, "p"); /* the killer waits for its victim */
	expect(c, bob, POST_INVOCATION, 1);
	send_uri(c, carol, POST_CALL, 2, "p");
	expect(c, bob, POST_INVOCATION, 2);
	send_uri(c, bob, POST_CALL, 3, "p"); /* and so does the victim itself */
	expect(c, bob, POST_INVOCATION, 3);
	send_uri(c, bob, POST_CALL, 4, "q");
	expect(c, carol, POST_INVOCATION, 1);
	kill_one(c, alice, 5, bob);
	expect_killed(c, bob);
	expect_done(c, alice, 5);
	expect_error(c, carol, WAMP_CALL, 2, WAMP_ERROR_CANCELED, left_text);
	expect_error(c, alice, WAMP_CALL, 1, WAMP_ERROR_CANCELED, left_text);
	send_uri(c, alice, POST_PUBLISH, 6, "t");
	send_uri(c, alice, POST_CALL, 7, "p");
	expect_error(c, alice, WAMP_CALL, 7, WAMP_ERROR_NO_SUCH_PROCEDURE,
		     "no callee registered for procedure");
	send_args(c, carol, POST_YIELD, 1, NULL);
	expect_nothing(c);
}

/* What the victim sends before it knows of its end has no effect. */
static void input_behind_a_kill(void **state)
{
	struct core *c = *state;

	join_all(c);
	subscribe(c, carol, "t");
	kill_one(c, alice, 1, bob);
	expect_killed(c, bob);
	expect_done(c, alice, 1);
	send_uri(c, bob, POST_PUBLISH, 1, "t");
	send_uri(c, bob, POST_SUBSCRIBE, 2, "t");
	send_post(c, bob, (struct post){.type = POST_GOODBYE});
	send_post(c, bob, (struct post){.type = POST_GONE});
	expect_nothing(c);
	assert_int_equal(realm_counters(c->realm).dropped_posts, 4);
}

static void a_victim_that_has_just_left(void **state)
{
	struct core *c = *state;

	for (int goodbye = 0; goodbye < 2; goodbye++) {
		join_all(c);
		send_post(c, bob,
			  (struct post){.type = goodbye ? POST_GOODBYE : POST_GONE});
		if (goodbye)
			expect(c, bob, POST_LEFT, 0);
		kill_one(c, alice, 1, bob);
		expect_error(c, alice, WAMP_CALL, 1, WAMP_ERROR_NO_SUCH_SESSION,
			     no_other);
		send_kill(c, alice, 2, META_SESSION_KILL_BY_AUTHID, 0, "bob");
		work(c);
		expect_args(c, alice, 2, "[[]]");
		send_post(c, alice, (struct post){.type = POST_GONE});
		send_post(c, carol, (struct post){.type = POST_GONE});
	}
}

static void join_and_kill(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	kill_one(c, alice, 1, bob);
	expect_error(c, alice, WAMP_CALL, 1, WAMP_ERROR_NO_SUCH_SESSION, no_other);
	send_join(c, bob, "bob");
	kill_one(c, alice, 2, bob);
	expect(c, bob, POST_JOINED, 0);
	expect_killed(c, bob);
	expect_done(c, alice, 2);
	/* the slot and the id are free again */
	join(c, bob, "bob");
}

static void two_kills_of_one_session(void **state)
{
	struct core *c = *state;

	join_all(c);
	kill_one(c, alice, 1, bob);
	expect_killed(c, bob);
	expect_done(c, alice, 1);
	kill_one(c, carol, 1, bob);
	expect_error(c, carol, WAMP_CALL, 1, WAMP_ERROR_NO_SUCH_SESSION, no_other);
	/* two sessions kill each other: the first call wins */
	kill_one(c, alice, 2, carol);
	kill_one(c, carol, 2, alice);
	expect_killed(c, carol);
	expect_done(c, alice, 2);
	expect_nothing(c);
}

static void by_authid(void **state)
{
	struct core *c = *state;
	struct session_ref other = ref(2, 7, 1);

	join(c, alice, "x");
	join(c, bob, "x");
	join(c, carol, "y");
	join(c, other, "x");
	send_kill(c, alice, 1, META_SESSION_KILL_BY_AUTHID, 0, "x");
	expect_nothing(c);
	work(c);
	expect_killed(c, bob);
	expect_killed(c, other);
	expect_args(c, alice, 1, "[[2000001,3000007]]");
	send_kill(c, alice, 2, META_SESSION_KILL_BY_AUTHID, 0, "");
	work(c);
	expect_args(c, alice, 2, "[[]]");
	assert_int_equal(realm_counters(c->realm).sessions, 2);
	assert_false(realm_has_work(c->realm));
}

static void by_authrole(void **state)
{
	struct core *c = *state;

	join_all(c); /* as "device" */
	send_kill(c, alice, 1, META_SESSION_KILL_BY_AUTHROLE, 0, "devices");
	work(c);
	expect_args(c, alice, 1, "[0]");
	send_kill(c, alice, 2, META_SESSION_KILL_BY_AUTHROLE, 0, "device");
	work(c);
	expect_killed(c, bob);
	expect_killed(c, carol);
	expect_args(c, alice, 2, "[2]");
	assert_int_equal(realm_counters(c->realm).sessions, 1);
}

static struct session_ref member(uint32_t i)
{
	return ref((uint16_t)(i % N_WORKERS), 100 + i, 1);
}

static void join_many(struct core *c)
{
	for (uint32_t i = 0; i < MANY; i++) {
		join(c, member(i), "many");
		forget_sent(c);
	}
}

/* Members first to MANY - 1, less the caller, in slices. */
static void expect_killed_in_slices(struct core *c, uint32_t caller)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		if (i == caller)
			continue;
		if (n++ % KILLS == 0) {
			forget_sent(c);
			work(c);
		}
		expect_killed(c, member(i));
	}
}

static void all_in_slices(void **state)
{
	struct core *c = *state;

	join_many(c);
	send_kill(c, member(20), 1, META_SESSION_KILL_ALL, 0, "");
	join(c, alice, "alice"); /* joins behind the call, so it lives */
	join(c, bob, "bob");
	expect_killed_in_slices(c, 20);
	expect_args(c, member(20), 1, "[52]");
	assert_false(realm_has_work(c->realm));
	assert_int_equal(realm_counters(c->realm).sessions, 3);
	send_post(c, alice,
		  (struct post){.type = POST_META,
				.request = 1,
				.procedure = META_SESSION_LIST});
	work(c);
	expect_args(c, alice, 1, "[[3000120,1000001,2000001]]");
}

/* The session that is next, and the last of the victims, leave between two slices. */
static void victims_leave_between_slices(void **state)
{
	struct core *c = *state;

	join_many(c);
	send_kill(c, member(0), 1, META_SESSION_KILL_ALL, 0, "");
	join(c, alice, "alice");
	work(c);
	for (uint32_t i = 1; i <= KILLS; i++)
		expect_killed(c, member(i));
	expect_nothing(c);
	send_post(c, member(KILLS + 1), (struct post){.type = POST_GONE});
	kill_one(c, alice, 1, member(KILLS + 2));
	expect_killed(c, member(KILLS + 2));
	expect_done(c, alice, 1);
	send_post(c, member(MANY - 1), (struct post){.type = POST_GONE});
	/* its slot is used again at once, by a session that lives */
	join(c, member(MANY - 1), "new");
	forget_sent(c);
	for (uint32_t i = KILLS + 3; i < MANY - 1; i++) {
		if ((i - 3) % KILLS == 0)
			work(c);
		expect_killed(c, member(i));
	}
	if (realm_has_work(c->realm))
		work(c);
	expect_args(c, member(0), 1, "[49]");
	assert_int_equal(realm_counters(c->realm).sessions, 3);
}

static void the_killer_leaves(void **state)
{
	struct core *c = *state;

	join_many(c);
	send_kill(c, member(0), 1, META_SESSION_KILL_ALL, 0, "");
	work(c);
	forget_sent(c);
	send_post(c, member(0), (struct post){.type = POST_GONE});
	assert_false(realm_has_work(c->realm));
	assert_int_equal(realm_counters(c->realm).sessions, MANY - 1 - KILLS);
}

/* Those that are dead stay dead; the others live. */
static void a_kill_is_canceled(void **state)
{
	struct core *c = *state;

	join_many(c);
	send_kill(c, member(0), 1, META_SESSION_KILL_ALL, 0, "");
	work(c);
	forget_sent(c);
	send_post(c, member(0), (struct post){.type = POST_CANCEL, .request = 1});
	expect_error(c, member(0), WAMP_CALL, 1, WAMP_ERROR_CANCELED,
		     "the caller has canceled the call");
	assert_false(realm_has_work(c->realm));
	assert_int_equal(realm_counters(c->realm).sessions, MANY - KILLS);
}

/* The walks of a victim end with it, and those of others go on. */
static void victims_have_walks(void **state)
{
	struct core *c = *state;

	join_all(c);
	send_kill(c, bob, 1, META_SESSION_KILL_ALL, 0, "");
	send_kill(c, carol, 2, META_SESSION_KILL_ALL, 0, "");
	send_kill(c, alice, 3, META_SESSION_KILL_BY_AUTHID, 0, "bob");
	work(c);
	expect_killed(c, alice);
	expect_killed(c, carol);
	expect_args(c, bob, 1, "[2]");
	assert_false(realm_has_work(c->realm));
}

/* A post to another session is lost during a kill: that session ends, too. */
static void memory_runs_out(void **state)
{
	struct core *c = *state;

	join_all(c);
	provide(c, bob, "p");
	send_uri(c, carol, POST_CALL, 1, "p");
	expect(c, bob, POST_INVOCATION, 1);
	send_kill(c, alice, 1, META_SESSION_KILL_BY_AUTHID, 0, "bob");
	c->outbox.fail_at = 2; /* the ERROR to carol, after the result */
	work(c);
	expect_killed(c, bob);
	expect_args(c, alice, 1, "[[2000001]]");
	assert_null(expect(c, carol, POST_KILLED, 0).revocation);
	/* the caller's own result is lost */
	join(c, bob, "bob");
	c->outbox.fail_at = 1;
	kill_one(c, alice, 2, bob);
	expect_killed(c, bob);
	assert_null(expect(c, alice, POST_KILLED, 0).revocation);
	assert_int_equal(realm_counters(c->realm).sessions, 0);
}

static void a_realm_is_freed_with_a_kill(void **state)
{
	struct core *c = *state;

	join_all(c);
	send_kill(c, alice, 1, META_SESSION_KILL_ALL, 0, "");
	send_kill(c, bob, 2, META_SESSION_KILL_BY_AUTHID, 0, "carol");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(by_id),
		core_test(everything_of_the_victim_ends),
		core_test(input_behind_a_kill),
		core_test(a_victim_that_has_just_left),
		core_test(join_and_kill),
		core_test(two_kills_of_one_session),
		core_test(by_authid),
		core_test(by_authrole),
		core_test(all_in_slices),
		core_test(victims_leave_between_slices),
		core_test(the_killer_leaves),
		core_test(a_kill_is_canceled),
		core_test(victims_have_walks),
		core_test(memory_runs_out),
		core_test(a_realm_is_freed_with_a_kill),
	};

	return cmocka_run_group_tests_name("core_kill", tests, NULL, NULL);
}
