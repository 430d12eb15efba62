/* SPDX-License-Identifier: Apache-2.0 */
/* When a worker ends calls whose deadline has passed: not before it has handled what was
 * read before the deadline. And how long it goes on with work that can wait: until too
 * much mail waits. One worker, whose clock and turns the test controls; the test plays
 * another worker, on which caller and callee are. Double: common/loop. */
#include "routerd/worker.c"
#include "routerd/worker_realms.c"

#include "tests/unit/fake_loop.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
	WORKERS = 2,
	OTHER = 0, /* the test */
	OWNER = 1, /* of the only realm */
	START = 1000000,
	TIMEOUT = 50,
	DUE = START + TIMEOUT,
};

static const char yaml[] =
	"realms: [{name: r, roles: [{name: u, permissions: [{uri: '', match: prefix, "
	"allow: {call: true, register: true}}]}]}]\n"
	"transports: [{type: rawsocket, endpoint: {type: tcp, port: 1},\n"
	"  auth: {anonymous: {type: static, role: u}}}]\n";

static const struct session_ref caller = {.slot = 1, .generation = 1};
static const struct session_ref callee = {.slot = 2, .generation = 1};

static struct config *config;
static struct policy *policy;
static struct mailboxes *boxes;
static struct worker *owner;

static void drop(void *item)
{
	post_drop(item);
}

static void say(struct session_ref who, struct post p)
{
	p.session = who;
	struct post *room = mailbox_stage(boxes, OTHER, OWNER, post_size(&p));

	assert_non_null(room);
	*room = p;
}

/* One post, and it is of this type. It holds no reference any more. */
static struct post heard(enum post_type type)
{
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);

	mailbox_take(boxes, OTHER, &in);
	struct mail_batch *b = STAILQ_FIRST(&in);
	assert_non_null(b);
	assert_null(STAILQ_NEXT(b, link));
	assert_int_equal(b->count, 1);
	struct post p = *(struct post *)(void *)b->items;
	assert_int_equal(p.type, type);
	post_drop(&p);
	b->taken = 1;
	mailbox_done(boxes, OTHER, b);
	return p;
}

static void heard_nothing(void)
{
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);

	mailbox_take(boxes, OTHER, &in);
	assert_true(STAILQ_EMPTY(&in));
}

static struct payload *payload(const char *uri)
{
	struct payload *p = payload_new(SERIALIZER_JSON, slice_str(uri),
					(struct msg_payload){.items = 0});

	assert_non_null(p);
	return p;
}

static void join(struct session_ref who)
{
	const struct identity nobody = {.session = who.slot, .authmethod = "anonymous"};

	say(who, (struct post){.type = POST_JOIN,
			       .identity = identity_new(&nobody),
			       .mail = outbox_reserve(&owner->outbox)});
	mailbox_hand_over(boxes, OTHER);
	loop_run(owner->loop);
	heard(POST_JOINED);
}

/* The callee has a call with a timeout; the clock shows START. */
static int setup(void **state)
{
	struct conf_error err;

	(void)state;
	now_ms = START;
	if (config_parse(slice_str(yaml), "test", &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(policy_new(NULL, config, &policy), 0);
	boxes = mailboxes_new(WORKERS, sizeof(struct post), 1 << 20, 1 << 19);
	assert_non_null(boxes);
	owner = worker_new(OWNER, WORKERS, config, policy, boxes);
	assert_non_null(owner);
	join(caller);
	join(callee);
	say(callee, (struct post){.type = POST_REGISTER,
				  .request = 1,
				  .generation = (uint32_t)policy->generation,
				  .payload = payload("p")});
	mailbox_hand_over(boxes, OTHER);
	loop_run(owner->loop);
	heard(POST_REGISTERED);
	say(caller, (struct post){.type = POST_CALL,
				  .time_ms = START,
				  .request = 7,
				  .timeout_ms = TIMEOUT,
				  .payload = payload("p")});
	mailbox_hand_over(boxes, OTHER);
	loop_run(owner->loop);
	heard(POST_INVOCATION);
	assert_ptr_equal(armed, &owner->deadline_timer);
	assert_in_range(armed_due, DUE + 1, DUE + WHEEL_TICK_MS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_free(&owner);
	mailboxes_free(&boxes, drop);
	policy_unref(&policy);
	config_free(&config);
	return 0;
}

static void answer(uint64_t read_at)
{
	say(callee, (struct post){.type = POST_YIELD,
				  .time_ms = read_at,
				  .request = 1,
				  .payload = payload("")});
}

/* A turn in which the worker does not learn of its mail. */
static bool turn(void)
{
	return on_worker_turn_end(owner);
}

static void nothing_comes(void **state)
{
	(void)state;
	now_ms = DUE;
	assert_false(turn());
	assert_false(turn());
	heard_nothing();
	now_ms = armed_due;
	armed->cb(armed->arg);
	assert_true(turn()); /* sockets are read once more */
	heard_nothing();
	assert_false(turn());
	struct post p = heard(POST_ERROR);
	assert_int_equal(p.request, 7);
	assert_string_equal(p.error.uri, WAMP_ERROR_TIMEOUT);
	now_ms += 100000;
	assert_false(turn());
	heard_nothing();
}

/* The deadline passes while the worker stands still, and the result lies in its mailbox.
 */
static void the_result_is_in_the_mailbox(void **state)
{
	(void)state;
	answer(DUE - 1);
	mailbox_hand_over(boxes, OTHER);
	now_ms = DUE + 1000;
	assert_true(turn());
	assert_true(turn()); /* finds the mail */
	heard_nothing();
	assert_false(turn());
	heard(POST_RESULT);
}

/* The result was taken from the mailbox, but a turn has a share only. */
static void the_result_waits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * MAIL_BATCH_ITEMS; i++)
		say(caller, (struct post){.type = POST_UNSUBSCRIBE,
					  .time_ms = DUE - 10,
					  .request = 1,
					  .id = 1});
	answer(DUE - 1);
	mailbox_hand_over(boxes, OTHER);
	mailbox_take(boxes, OWNER, &owner->inbox);
	now_ms = DUE + 1000;
	owner->turn_ms = now_ms;
	look_ns = 1000000000; /* the share is used up at once */
	unsigned turns = 0, results = 0;
	while (turn())
		turns++;
	look_ns = 0;
	assert_true(turns > 2);
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);
	mailbox_take(boxes, OTHER, &in);
	while (!STAILQ_EMPTY(&in)) {
		struct mail_batch *b = STAILQ_FIRST(&in);
		struct post *posts = (struct post *)(void *)b->items;
		STAILQ_REMOVE_HEAD(&in, link);
		for (; b->taken < b->count; b->taken++) {
			struct post *p = &posts[b->taken];
			results += p->type == POST_RESULT;
			assert_true(p->type == POST_RESULT ||
				    p->request_type == WAMP_UNSUBSCRIBE);
			post_drop(p);
		}
		mailbox_done(boxes, OTHER, b);
	}
	assert_int_equal(results, 1);
}

/* What waits was read after the deadline: it stops nothing. */
static void the_result_is_late(void **state)
{
	(void)state;
	answer(DUE + 500);
	mailbox_hand_over(boxes, OTHER);
	now_ms = DUE + 1000;
	assert_true(turn());
	assert_true(turn());
	struct post p = heard(POST_ERROR);
	assert_string_equal(p.error.uri, WAMP_ERROR_TIMEOUT);
	assert_false(turn());
	heard_nothing();
}

/* After a long pause many deadlines have passed. A turn ends at least those of one tick,
 * and leaves the others to the next turn when its share is used up. */
static void a_turn_has_a_share(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		say(caller, (struct post){.type = POST_CALL,
					  .time_ms = START,
					  .request = 7 + i,
					  .timeout_ms = TIMEOUT + i * 100,
					  .payload = payload("p")});
		mailbox_hand_over(boxes, OTHER);
		loop_run(owner->loop);
		heard(POST_INVOCATION);
	}
	now_ms = DUE + 1000;
	assert_true(turn());
	look_ns = 1000000000;
	for (unsigned i = 0; i <= 1; i++) {
		assert_true(turn());
		assert_int_equal(heard(POST_ERROR).request, 7 + i);
	}
	look_ns = 0;
	assert_false(turn());
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);
	mailbox_take(boxes, OTHER, &in);
	struct mail_batch *b = STAILQ_FIRST(&in);
	assert_int_equal(b->count, 2);
	b->taken = b->count; /* these ERRORs refer to nothing */
	mailbox_done(boxes, OTHER, b);
}

/* Takes all mail, and forgets it. */
static void take_all_mail(void)
{
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);

	mailbox_take(boxes, OTHER, &in);
	while (!STAILQ_EMPTY(&in)) {
		struct mail_batch *b = STAILQ_FIRST(&in);
		struct post *posts = (struct post *)(void *)b->items;
		STAILQ_REMOVE_HEAD(&in, link);
		while (b->taken < b->count)
			post_drop(&posts[b->taken++]);
		mailbox_done(boxes, OTHER, b);
	}
}

static void subscribe(struct session_ref who, const char *topic)
{
	say(who, (struct post){.type = POST_SUBSCRIBE,
			       .generation = (uint32_t)policy->generation,
			       .time_ms = now_ms,
			       .request = 1,
			       .payload = payload(topic)});
	mailbox_hand_over(boxes, OTHER);
	loop_run(owner->loop);
	take_all_mail();
}

static uint64_t memberships(void)
{
	return realm_counters(owner->realms[0]).memberships;
}

/* A session with many subscriptions ends, somebody listens, and nobody takes the events.
 */
static void work_waits_for_the_mail(void **state)
{
	enum { MANY = 8000, SLICE = 256 };
	char topic[32];

	(void)state;
	subscribe(caller, "wamp.subscription.on_unsubscribe");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(topic, sizeof(topic), "com.example.t%u", i);
		subscribe(callee, topic);
	}
	assert_int_equal(memberships(), MANY + 1);
	say(callee, (struct post){.type = POST_GONE, .time_ms = now_ms});
	mailbox_hand_over(boxes, OTHER);
	loop_run(owner->loop);
	while (turn())
		;
	/* it waits, although it could go on */
	assert_int_equal(owner->n_busy, 1);
	assert_ptr_equal(armed, &owner->work_timer);
	assert_false(mailbox_pressure(boxes));
	assert_in_range(mailbox_in_flight(boxes, OWNER), WORK_AHEAD + 1, 2 * WORK_AHEAD);
	uint64_t left = memberships();
	assert_true(left > MANY / 4);
	assert_false(turn());
	assert_int_equal(memberships(), left);

	/* the timer makes it do one piece */
	for (unsigned i = 0; i < 3; i++) {
		armed->cb(armed->arg);
		assert_false(turn());
		assert_int_equal(memberships(), left - SLICE);
		left = memberships();
	}

	/* it goes on when the mail is taken */
	for (unsigned i = 0; i < MANY && owner->n_busy > 0; i++) {
		take_all_mail();
		turn();
	}
	assert_int_equal(memberships(), 1);
	take_all_mail();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_result_is_in_the_mailbox, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_result_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(the_result_is_late, setup, teardown),
		cmocka_unit_test_setup_teardown(a_turn_has_a_share, setup, teardown),
		cmocka_unit_test_setup_teardown(work_waits_for_the_mail, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("worker_deadlines", tests, NULL, NULL);
}
