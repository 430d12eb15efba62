/* SPDX-License-Identifier: Apache-2.0 */
/* Publications for some subscribers only, and with a disclosed publisher, at a realm's
 * owner. */
#include "tests/unit/core_fixture.h"

#include <inttypes.h>
#include <stdio.h>

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref dave = {.worker = 2, .slot = 9, .generation = 4};

/* The options of a PUBLISH with this list, in JSON. */
static struct options *options(enum msg_filter list, const char *json)
{
	struct msg m = {.filters = (uint8_t)(1u << list)};
	struct options *o;

	m.filter[list] = slice_str(json);
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &o), 0);
	assert_non_null(o);
	return o;
}

/* An acknowledged publication; takes the options. */
static void publish(struct core *c, struct session_ref who, struct options *o,
		    bool disclose)
{
	send_post(c, who,
		  (struct post){.type = POST_PUBLISH,
				.request = 5,
				.payload = payload("a", "[1]"),
				.options = o,
				.acknowledge = true,
				.exclude_me = true,
				.disclose = disclose ? DISCLOSE_YES : DISCLOSE_NEVER,
				.trust = disclose ? 8 : 0});
}

static void join_and_subscribe(struct core *c)
{
	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, dave, "dave");
	subscribe(c, bob, "a");
	subscribe(c, dave, "a");
}

/* The workers test their members, so each gets the lists. */
static void each_event_has_the_options(void **state)
{
	struct core *c = *state;
	struct options *o = options(MSG_ELIGIBLE_AUTHID, "[\"bob\"]");

	join_and_subscribe(c);
	/* the publisher is the only member of its worker */
	subscribe(c, alice, "a");
	publish(c, alice, o, false);
	for (unsigned worker = 1; worker < 3; worker++) {
		struct post p = next_post(c, worker, POST_EVENT);
		assert_ptr_equal(p.options, o);
		assert_null(p.disclosed);
		assert_true(p.exclude_me);
	}
	expect(c, alice, POST_PUBLISHED, 5);
	publish(c, alice, NULL, false);
	assert_null(next_post(c, 1, POST_EVENT).options);
	assert_null(next_post(c, 2, POST_EVENT).options);
	expect(c, alice, POST_PUBLISHED, 5);
}

/* Each of the lists that name the eligible can be empty. */
static void nobody_is_eligible(void **state)
{
	struct core *c = *state;

	join_and_subscribe(c);
	for (enum msg_filter list = MSG_ELIGIBLE; list < MSG_EXCLUDE; list++) {
		publish(c, alice, options(list, "[]"), true);
		expect(c, alice, POST_PUBLISHED, 5);
	}
	assert_int_equal(realm_counters(c->realm).publishes, 3);
	assert_int_equal(realm_counters(c->realm).events, 0);
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 0);
}

static void a_publisher_discloses_itself(void **state)
{
	struct core *c = *state;

	join_and_subscribe(c);
	const struct identity *i = session_find(c->realm, alice)->identity;
	publish(c, alice, NULL, true);
	for (unsigned worker = 1; worker < 3; worker++) {
		struct post p = next_post(c, worker, POST_EVENT);
		assert_ptr_equal(p.disclosed, i);
		assert_int_equal(p.trust, 8);
	}
	expect(c, alice, POST_PUBLISHED, 5);
	publish(c, alice, NULL, false);
	for (unsigned worker = 1; worker < 3; worker++) {
		struct post p = next_post(c, worker, POST_EVENT);
		assert_null(p.disclosed);
		assert_int_equal(p.trust, 0);
	}
	expect(c, alice, POST_PUBLISHED, 5);
}

enum { ENDS = 3 };

static void end(struct core *c, struct session_ref who, unsigned how)
{
	if (how == 0) {
		send_post(c, who, (struct post){.type = POST_GONE});
	} else if (how == 1) {
		send_post(c, who, (struct post){.type = POST_GOODBYE});
		expect(c, who, POST_LEFT, 0);
	} else {
		struct revocation *r = revocation_new(&(struct revocation){
			.authid = slice_str("alice"), .uri = slice_str("com.example.r")});
		assert_non_null(r);
		realm_revoke(c->realm, r);
		revocation_unref(&r);
		expect(c, who, POST_KILLED, 0);
	}
}

/* Events that are on their way keep the identity. A publication behind the end is dropped
 * with all that it holds. */
static void a_publisher_ends(void **state)
{
	struct core *c = *state;

	join(c, bob, "bob");
	subscribe(c, bob, "a");
	for (unsigned how = 0; how < ENDS; how++) {
		struct session_ref who = {.worker = 0, .slot = 1, .generation = how};
		join(c, who, "alice");
		publish(c, who, options(MSG_EXCLUDE, "[7]"), true);
		struct post event = next_post(c, 1, POST_EVENT);
		expect(c, who, POST_PUBLISHED, 5);
		end(c, who, how);
		assert_null(session_find(c->realm, who));
		assert_int_equal(event.disclosed->session, session_id(who));
		assert_true(slice_eq_str(event.disclosed->authid, "alice"));
		publish(c, who, options(MSG_EXCLUDE, "[7]"), true);
		expect_nothing(c);
	}
	assert_int_equal(realm_counters(c->realm).dropped_posts, ENDS);
}

/* The lists are the workers' to test: a member that comes or goes between two events
 * changes only to which workers they go. */
static void members_come_and_go(void **state)
{
	struct core *c = *state;

	join(c, alice, "alice");
	join(c, bob, "bob");
	join(c, dave, "dave");
	uint64_t id = subscribe(c, bob, "a");
	publish(c, alice, options(MSG_ELIGIBLE_AUTHID, "[\"dave\"]"), false);
	assert_non_null(next_post(c, 1, POST_EVENT).options);
	expect(c, alice, POST_PUBLISHED, 5);
	subscribe(c, dave, "a");
	send_id(c, bob, POST_UNSUBSCRIBE, 6, id);
	expect(c, bob, POST_UNSUBSCRIBED, 6);
	publish(c, alice, options(MSG_ELIGIBLE_AUTHID, "[\"dave\"]"), false);
	assert_non_null(next_post(c, 2, POST_EVENT).options);
	expect(c, alice, POST_PUBLISHED, 5);
	end(c, dave, 0);
	publish(c, alice, options(MSG_ELIGIBLE_AUTHID, "[\"dave\"]"), false);
	expect(c, alice, POST_PUBLISHED, 5);
}

static void without_memory_nothing_is_held(void **state)
{
	struct core *c = *state;

	join_and_subscribe(c);
	for (unsigned n = 1; n <= 2; n++) {
		c->outbox.fail_at = n;
		publish(c, alice, options(MSG_EXCLUDE, "[7]"), true);
		c->outbox.roomy = 0;
		expect_error(c, alice, WAMP_PUBLISH, 5, WAMP_ERROR_UNAVAILABLE,
			     "out of memory");
	}
	assert_int_equal(realm_counters(c->realm).unsent_publishes, 2);
}

/* --- few of many --- */

enum { MEMBERS = 65 }; /* one more than are always tested by their workers */

static struct session_ref nth(unsigned i)
{
	return ref((uint16_t)(i % N_WORKERS), 100 + i, 1);
}

static void join_many(struct core *c)
{
	join(c, alice, "alice");
	for (unsigned i = 0; i < MEMBERS; i++) {
		join(c, nth(i), i % 2 == 0 ? "even" : "odd");
		subscribe(c, nth(i), "a");
		forget_sent(c);
	}
}

/* The next n posts are one to each of these, in any order. */
static void expect_directly(struct core *c, const struct session_ref *to, unsigned n)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = 0;
		assert_true(c->outbox.first < c->outbox.end);
		const struct post *p = &c->outbox.sent[c->outbox.first].post;
		while (k < n && !session_ref_eq(p->session, to[k]))
			k++;
		assert_true(k < n);
		seen |= 1u << k;
		expect(c, to[k], POST_EVENT_ONE, 0);
		assert_null(p->options);
		assert_args(p, "[1]");
	}
	assert_int_equal(seen, (1u << n) - 1);
}

static void few_of_many_get_it_directly(void **state)
{
	struct core *c = *state;
	const struct session_ref to[] = {nth(3), nth(20), nth(64)};
	char list[200];

	join_many(c);
	snprintf(list, sizeof(list),
		 "[%" PRIu64 ",%" PRIu64 ",4711,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]",
		 session_id(to[2]), session_id(to[0]), session_id(to[1]),
		 session_id(to[0]), session_id(alice));
	publish(c, alice, options(MSG_ELIGIBLE, list), true);
	const struct post *first = &c->outbox.sent[c->outbox.first].post;
	expect_directly(c, to, 3);
	assert_true(slice_eq_str(first->disclosed->authid, "alice"));
	assert_int_equal(first->trust, 8);
	expect(c, alice, POST_PUBLISHED, 5);
	assert_int_equal(realm_counters(c->realm).events, 3);
}

/* Too many eligible sessions, and too few members. */
static void many_of_many_are_tested_by_their_workers(void **state)
{
	struct core *c = *state;
	struct session_ref all[16];
	char list[1000];
	size_t len = 0;

	for (unsigned i = 0; i < 16; i++)
		all[i] = nth(i);
	join_many(c);
	snprintf(list, sizeof(list), "[%" PRIu64 "]", session_id(nth(0)));
	publish(c, alice, options(MSG_ELIGIBLE, list), false);
	expect_directly(c, all, 1);
	expect(c, alice, POST_PUBLISHED, 5);
	for (unsigned n = 16; n <= 17; n++) {
		len = 0;
		for (unsigned i = 0; i < n; i++)
			len += (size_t)snprintf(list + len, sizeof(list) - len,
						"%c%" PRIu64, i == 0 ? '[' : ',',
						session_id(nth(i)));
		snprintf(list + len, sizeof(list) - len, "]");
		publish(c, alice, options(MSG_ELIGIBLE, list), false);
		if (n == 16)
			expect_directly(c, all, 16);
		for (unsigned worker = 0; n > 16 && worker < N_WORKERS; worker++)
			next_post(c, worker, POST_EVENT);
		expect(c, alice, POST_PUBLISHED, 5);
	}
	end(c, nth(64), 0);
	snprintf(list, sizeof(list), "[%" PRIu64 "]", session_id(nth(0)));
	publish(c, alice, options(MSG_ELIGIBLE, list), false);
	for (unsigned worker = 0; worker < N_WORKERS; worker++)
		assert_non_null(next_post(c, worker, POST_EVENT).options);
	expect(c, alice, POST_PUBLISHED, 5);
}

/* The other lists, membership and exclude_me count as they do for the workers. */
static void a_direct_event_passes_all_lists(void **state)
{
	struct core *c = *state;
	struct msg m = {.filters = 1 << MSG_ELIGIBLE | 1 << MSG_EXCLUDE_AUTHID};
	const struct session_ref to[] = {nth(0), nth(2)};
	struct post publication = {.type = POST_PUBLISH};
	char list[200];

	join_many(c);
	snprintf(list, sizeof(list), "[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]",
		 session_id(nth(0)), session_id(nth(1)), session_id(nth(2)),
		 session_id(alice));
	m.filter[MSG_ELIGIBLE] = slice_str(list);
	m.filter[MSG_EXCLUDE_AUTHID] = slice_str("[\"odd\"]");
	for (unsigned exclude_me = 0; exclude_me < 2; exclude_me++) {
		publication.exclude_me = exclude_me;
		publication.payload = payload("a", "[1]");
		assert_int_equal(options_new(SERIALIZER_JSON, &m, &publication.options),
				 0);
		send_post(c, nth(0), publication);
		expect_directly(c, exclude_me ? to + 1 : to, exclude_me ? 1 : 2);
		expect_nothing(c);
	}
}

/* The order of a session's events is the same as without the short way. */
static void few_of_many_in_several_subscriptions(void **state)
{
	struct core *c = *state;
	uint64_t ids[3];
	char list[200];

	join_many(c);
	ids[0] = subscribe(c, nth(7), "a");
	for (unsigned how = 1; how < 3; how++) {
		ids[how] = subscribe_to(c, nth(7), (enum match)how, "a");
		subscribe_to(c, nth(1), (enum match)how, "a");
	}
	snprintf(list, sizeof(list), "[%" PRIu64 "]", session_id(nth(7)));
	publish(c, alice, options(MSG_ELIGIBLE, list), false);
	for (unsigned how = 0; how < 3; how++) {
		struct post p = expect(c, nth(7), POST_EVENT_ONE, 0);
		assert_int_equal(p.id, ids[how]);
		assert_int_equal(p.match, how);
	}
	expect(c, alice, POST_PUBLISHED, 5);
}

/* Who misses its event for want of memory ends, as on a worker; the others get theirs. */
static void a_direct_event_without_memory(void **state)
{
	struct core *c = *state;
	const struct session_ref to[] = {nth(0), nth(3)};
	char list[200];

	join_many(c);
	snprintf(list, sizeof(list), "[%" PRIu64 ",%" PRIu64 "]", session_id(to[0]),
		 session_id(to[1]));
	c->outbox.fail_at = 1;
	publish(c, alice, options(MSG_ELIGIBLE, list), true);
	unsigned lost = session_find(c->realm, to[0]) == NULL ? 0 : 1;
	expect_directly(c, &to[1 - lost], 1);
	expect(c, alice, POST_PUBLISHED, 5);
	assert_null(expect(c, to[lost], POST_KILLED, 0).revocation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(each_event_has_the_options),
		core_test(nobody_is_eligible),
		core_test(a_publisher_discloses_itself),
		core_test(a_publisher_ends),
		core_test(members_come_and_go),
		core_test(without_memory_nothing_is_held),
		core_test(few_of_many_get_it_directly),
		core_test(many_of_many_are_tested_by_their_workers),
		core_test(a_direct_event_passes_all_lists),
		core_test(a_direct_event_without_memory),
		core_test(few_of_many_in_several_subscriptions),
	};

	return cmocka_run_group_tests_name("filters", tests, NULL, NULL);
}
