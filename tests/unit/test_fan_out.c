/* SPDX-License-Identifier: Apache-2.0 */
/* Delivering an EVENT takes several turns, goes to several subscriptions and encodings,
 * and may find no memory. */
#include "routerd/net/conn.h"
/* A test of very many members has peers without connections. */
static void send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages);
#define conn_send_shared send_shared
#include "tests/unit/members_fixture.h"
#undef conn_send_shared

/* --- the cursor --- */

enum { CROWD = 40 };

/* Delivers to many peers, until the turn's time is over. */
static void begin_with_crowd(struct peer **crowd)
{
	struct post p[2] = {json("[1]"), json("[2]")};
	size_t taken;

	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = raw(SERIALIZER_JSON, 15);
		add(crowd[i]);
	}
	now_ms += 1000; /* ends the turn's time */
	assert_false(fan_out_begin(&ps, p, 2, &taken));
	assert_int_equal(taken, 2);
}

static void expect_crowd(struct peer **crowd, unsigned from, unsigned to,
			 const char *text)
{
	for (unsigned i = from; i < to; i++)
		EXPECT(crowd[i], text);
}

static void test_more_than_a_turn(void **state)
{
	struct peer *crowd[CROWD];

	(void)state;
	begin_with_crowd(crowd);
	expect_crowd(crowd, 0, DELIVERIES_PER_CHECK, TWO);
	expect_crowd(crowd, DELIVERIES_PER_CHECK, CROWD, "");
	assert_false(fan_out_go_on(&ps));
	expect_crowd(crowd, 0, DELIVERIES_PER_CHECK, "");
	expect_crowd(crowd, DELIVERIES_PER_CHECK, 2 * DELIVERIES_PER_CHECK, TWO);
	expect_crowd(crowd, 2 * DELIVERIES_PER_CHECK, CROWD, "");
	assert_true(fan_out_go_on(&ps));
	expect_crowd(crowd, 0, 2 * DELIVERIES_PER_CHECK, "");
	expect_crowd(crowd, 2 * DELIVERIES_PER_CHECK, CROWD, TWO);
	assert_true(fan_out_go_on(&ps));
	expect_counted(2 * CROWD, 0);
	/* no further turn if nobody is left to deliver to */
	for (unsigned i = DELIVERIES_PER_CHECK; i < CROWD; i++)
		leave(crowd[i]);
	publications = 0;
	fan_out_two();
	expect_crowd(crowd, 0, DELIVERIES_PER_CHECK, TWO);
}

/* Peers first, first + 1, ... (n of them) leave while the cursor is at
 * DELIVERIES_PER_CHECK. */
static void leave_in_the_middle(unsigned first, unsigned n)
{
	struct peer *crowd[CROWD];
	void *state = NULL;

	setup(&state);
	begin_with_crowd(crowd);
	turns();
	expect_crowd(crowd, 0, DELIVERIES_PER_CHECK, TWO);
	size_t before = not_freed;
	for (unsigned i = first; i < first + n; i++)
		leave(crowd[i]);
	assert_true(not_freed < before);
	budget_posts(&net.budget);
	assert_true(fan_out_go_on(&ps));
	for (unsigned i = DELIVERIES_PER_CHECK; i < CROWD; i++)
		if (i < first || i >= first + n)
			EXPECT(crowd[i], TWO);
	teardown(&state);
}

static void test_leaving_in_the_middle(void **state)
{
	(void)state;
	leave_in_the_middle(DELIVERIES_PER_CHECK, 1); /* the peer at the cursor */
	leave_in_the_middle(DELIVERIES_PER_CHECK - 1, 1);
	leave_in_the_middle(DELIVERIES_PER_CHECK - 1, 5);
	leave_in_the_middle(DELIVERIES_PER_CHECK, CROWD - DELIVERIES_PER_CHECK);
	leave_in_the_middle(CROWD - 1, 1);
	leave_in_the_middle(0, CROWD);
}

/* --- very many members --- */

enum { MASS = 100000 };

static struct stand_in {
	struct peer peer;
	unsigned events; /* that it got */
	bool ended;
} * stand_ins;

static unsigned sent_in_turn;

static void send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages)
{
	struct stand_in *s = (struct stand_in *)(void *)c;

	if (stand_ins == NULL || s < stand_ins || s >= stand_ins + MASS) {
		conn_send_shared(c, framed, n_messages);
		return;
	}
	assert_false(s->ended);
	s->events += n_messages;
	sent_in_turn++;
	shared_buf_unref(&framed);
}

/* Its membership ends: by UNSUBSCRIBED, with its session, or with its connection. */
static void end_one(struct stand_in *s, unsigned way)
{
	if (s->ended)
		return;
	s->ended = true;
	if (way == 0) {
		members_remove(&ps, &s->peer, TOPIC);
		return;
	}
	members_remove_all(&ps, &s->peer);
	if (way == 1)
		peers_renew(&ps, &s->peer);
	else
		peers_remove(&ps, &s->peer);
}

/* The cursor visits each member once, in pieces, while members end before it, at it and
 * behind it. Whoever is there when its turn comes gets the event, and nobody gets it
 * twice. */
static void test_many_members_end_in_the_middle(void **state)
{
	struct post p = json("[1]");
	uint64_t chance = 17;
	size_t taken, at = 0;
	unsigned turns_taken = 0, ended = 0, got = 0;

	(void)state;
	stand_ins = calloc(MASS, sizeof(*stand_ins));
	assert_non_null(stand_ins);
	for (size_t i = 0; i < MASS; i++) {
		struct stand_in *s = &stand_ins[i];
		s->peer.peers = &ps;
		s->peer.conn = (struct conn *)(void *)s;
		TAILQ_INIT(&s->peer.members);
		assert_int_equal(peers_add(&ps, &s->peer), 0);
		add(&s->peer);
	}
	now_ms += 1000; /* ends the turn's time */
	for (bool done = fan_out_begin(&ps, &p, 1, &taken); !done;
	     done = fan_out_go_on(&ps), turns_taken++) {
		assert_in_range(sent_in_turn, 1, DELIVERIES_PER_CHECK);
		sent_in_turn = 0;
		while (at < MASS && (stand_ins[at].ended || stand_ins[at].events > 0))
			at++;
		if (at < MASS)
			end_one(&stand_ins[at], turns_taken % 3);
		for (unsigned k = 0; k < 3; k++) {
			chance = chance * UINT64_C(6364136223846793005) + 1;
			end_one(&stand_ins[(chance >> 33) % MASS], k);
		}
	}
	for (size_t i = 0; i < MASS; i++) {
		ended += stand_ins[i].ended;
		got += stand_ins[i].events;
		if (stand_ins[i].ended)
			assert_in_range(stand_ins[i].events, 0, 1);
		else
			assert_int_equal(stand_ins[i].events, 1);
	}
	assert_in_range(ended, MASS / 10, MASS / 2);
	expect_counted(got, 0);
	for (size_t i = 0; i < MASS; i++) {
		struct peer *peer = &stand_ins[i].peer;
		members_remove_all(&ps, peer);
		if (ps.slots[peer->slot].peer == peer)
			peers_remove(&ps, peer);
	}
	free(stand_ins);
	stand_ins = NULL;
}

/* Those who are not meant count as looked at. */
static void test_few_of_a_crowd(void **state)
{
	struct peer *crowd[CROWD];
	size_t taken;

	(void)state;
	for (unsigned i = 0; i < CROWD; i++)
		crowd[i] = member(SERIALIZER_JSON, i + 1, "joe");
	now_ms += 1000; /* ends the turn's time */
	publications = 0;
	struct post p = filtered("[1]", MSG_ELIGIBLE, "[40,20]");
	assert_false(fan_out_begin(&ps, &p, 1, &taken));
	expect_crowd(crowd, 0, CROWD, "");
	assert_false(fan_out_go_on(&ps));
	assert_true(fan_out_go_on(&ps));
	for (unsigned i = 0; i < CROWD; i++)
		EXPECT(crowd[i], i == 19 || i == 39 ? "[36,7,1,{},[1]]" : "");
	expect_counted(2, 0);
}

/* The router ends in the middle, and so do all peers. */
static void test_the_end_in_the_middle(void **state)
{
	struct peer *crowd[CROWD];

	(void)state;
	begin_with_crowd(crowd);
}

/* --- publications with several subscriptions --- */

/* An EVENT of TOPIC, and of these other subscriptions, which are patterns. */
static struct post event_of_many(const char *args, const uint64_t *more, size_t n)
{
	struct post p = json(args);

	p.more = id_list_new(n);
	assert_non_null(p.more);
	memcpy(p.more->ids, more, n * sizeof(*more));
	return p;
}

/* Each subscription's members get an EVENT, and only patterns say the topic. No two
 * publications are mixed. */
static void test_several_subscriptions(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15), *b = raw(SERIALIZER_CBOR, 15);
	const uint64_t more[] = {TOPIC + 1, TOPIC + 2, TOPIC + 3};
	size_t taken;

	(void)state;
	add(a);
	assert_int_equal(members_add(&ps, a, TOPIC + 1), 0);
	assert_int_equal(members_add(&ps, a, TOPIC + 3), 0);
	assert_int_equal(members_add(&ps, b, TOPIC + 3), 0);
	struct post p[] = {event_of_many("[1]", more, 3), event_of_many("[2]", more, 3),
			   json("[3]")};
	budget_posts(&net.budget);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(fan_out_begin(&ps, p + i, 3 - i, &taken));
		assert_int_equal(taken, 1);
	}
	EXPECT(a, "[36,7,1,{},[1]] [36,8,1,{\"topic\":\"topic\"},[1]] "
		  "[36,10,1,{\"topic\":\"topic\"},[1]] "
		  "[36,7,2,{},[2]] [36,8,2,{\"topic\":\"topic\"},[2]] "
		  "[36,10,2,{\"topic\":\"topic\"},[2]] [36,7,3,{},[3]]");
	EXPECT(b, "[36,10,1,{\"topic\":\"topic\"},[1]] "
		  "[36,10,2,{\"topic\":\"topic\"},[2]]");
	expect_counted(9, 0);
}

/* A single pattern: its EVENTs may travel together. */
static void test_a_pattern(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15);
	struct post p[] = {json("[1]"), json("[2]"), json("[3]")};
	size_t taken;

	(void)state;
	add(a);
	for (unsigned i = 0; i < 3; i++)
		p[i].match = MATCH_PREFIX;
	p[1].disclosed = identity(1, "ann");
	assert_true(fan_out_begin(&ps, p, 3, &taken));
	assert_int_equal(taken, 3);
	EXPECT(a, "[36,7,1,{\"topic\":\"topic\"},[1]] "
		  "[36,7,2,{\"publisher\":1,\"publisher_authid\":\"ann\","
		  "\"publisher_authrole\":\"user\",\"topic\":\"topic\"},[2]] "
		  "[36,7,3,{\"topic\":\"topic\"},[3]]");
	p[0] = json("[4]");
	p[0].type = POST_EVENT_ONE;
	p[0].match = MATCH_WILDCARD;
	fan_out_to_one(a, &p[0]);
	post_drop(&p[0]);
	EXPECT(a, "[36,7,4,{\"topic\":\"topic\"},[4]]");
}

/* The clock is looked at for each subscription; members, all of a subscription, or all
 * of several may leave between two turns. */
static void test_several_subscriptions_in_turns(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15), *b = raw(SERIALIZER_JSON, 15);
	uint64_t more[100];
	size_t taken;
	unsigned turns_taken = 1;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
		more[i] = TOPIC + 1 + i;
		assert_int_equal(members_add(&ps, i < 50 ? a : b, more[i]), 0);
	}
	now_ms += 1000; /* ends the turn's time */
	struct post p = event_of_many("[1]", more, ARRAY_LEN(more));
	assert_false(fan_out_begin(&ps, &p, 1, &taken));
	EXPECT(a, "[36,8,1,{\"topic\":\"topic\"},[1]]");
	members_remove(&ps, a, TOPIC + 2);
	assert_false(fan_out_go_on(&ps));
	EXPECT(a, "");
	leave(a);
	while (!fan_out_go_on(&ps))
		turns_taken++;
	assert_in_range(turns_taken, 90, 100);
	assert_int_equal(ps.counters[PEER_EVENTS_DELIVERED], 1 + 50);
	assert_int_equal(strncmp(got(b), "[36,58,1,{", 10), 0);
	/* the router ends in the middle */
	p = event_of_many("[2]", more, ARRAY_LEN(more));
	assert_false(fan_out_begin(&ps, &p, 1, &taken));
}

/* --- encodings --- */

static void test_all_kinds(void **state)
{
	struct peer *p[13];
	unsigned n = 0, kinds = 0;

	(void)state;
	for (unsigned s = 0; s < SERIALIZER_COUNT; s++)
		p[n++] = raw(s, 15);
	p[n++] = websocket("wamp.2.json");
	p[n++] = websocket("wamp.2.msgpack");
	p[n++] = websocket("wamp.2.cbor");
	p[n++] = websocket("wamp.2.ubjson");
	p[n++] = websocket("wamp.2.json.batched");
	p[n++] = websocket("wamp.2.json.batched");
	p[n - 1]->separator = 0x18; /* the separator shows the encoding */
	p[n++] = websocket("wamp.2.msgpack.batched");
	p[n++] = websocket("wamp.2.cbor.batched");
	p[n++] = websocket("wamp.2.ubjson.batched");
	for (unsigned i = 0; i < n; i++) {
		add(p[i]);
		kinds |= 1u << peer_wire_kind(p[i]);
	}
	assert_int_equal(__builtin_popcount(kinds), n);
	fan_out_two();
	for (unsigned i = 0; i < n; i++) {
		EXPECT(p[i], TWO);
		assert_int_equal(frames_got, p[i]->batched ? 1 : 2);
	}
	/* [NaN], which JSON cannot represent, between two other events; and alone */
	for (unsigned alone = 0; alone < 2; alone++) {
		publications = 0;
		struct post posts[3] = {json("[1]"),
					event(SERIALIZER_CBOR, "\x81\xf9\x7e\x00", 4),
					json("[3]")};
		if (alone) {
			post_drop(&posts[0]);
			post_drop(&posts[2]);
		}
		fan_out(posts + alone, alone ? 1 : 3);
		for (unsigned i = 0; i < n; i++)
			if (p[i]->serializer == SERIALIZER_JSON)
				EXPECT(p[i],
				       alone ? "" : "[36,7,1,{},[1]] [36,7,3,{},[3]]");
	}
	expect_counted(2 * n + 2 * n + n - 4 + n - 4, 4 + 4);
}

/* A client that accepts 1 KiB gets each EVENT that fits, however long the piece is. */
static void test_too_long_for_one(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 1), *b = raw(SERIALIZER_JSON, 15);
	const size_t head = strlen("[36,7,1,{},");

	(void)state;
	add(a);
	add(b);
	fan_out((struct post[]){json("[1]"), long_one(1000 - head), json("[3]")}, 3);
	assert_int_equal(strlen(got(a)), 1001 + 2 * (head + 5));
	assert_int_equal(strlen(got(b)), 1001 + 2 * (head + 5));
	expect_counted(6, 0);
	publications = 0;
	fan_out((struct post[]){json("[1]"), long_one(1024 - head), json("[3]")}, 3);
	EXPECT(a, "[36,7,1,{},[1]] [36,7,3,{},[3]]");
	assert_int_equal(strlen(got(b)), 1025 + 2 * (head + 5));
	expect_counted(11, 1);
}

/* --- memory --- */

/* Adds p[0] to p[2]; those without memory become NULL. */
static void add_if_possible(struct peer **p)
{
	/* first make one the only member */
	if (members_add(&ps, p[0], TOPIC + 1) == 0)
		members_remove(&ps, p[0], TOPIC + 1);
	assert_int_equal(ps.members.lists.count, 0);
	for (unsigned i = 0; i < 3; i++)
		if (members_add(&ps, p[i], TOPIC) != 0)
			p[i] = NULL;
}

/* True if every peer got everything. */
static bool without_one_allocation(size_t which)
{
	struct peer *p[3];
	void *state = NULL;
	uint64_t received = 0, dropped = 0;

	setup(&state);
	for (unsigned i = 0; i < 3; i++)
		p[i] = raw(SERIALIZER_JSON + i, 15);
	struct post posts[2] = {json("[1]"), json("[2]")};
	allocations = 0;
	fail_at = which;
	add_if_possible(p);
	fan_out(posts, 2);
	bool ok = allocations < which;
	fail_at = 0;
	/* a peer that missed an event is ended */
	for (unsigned i = 0; i < 3; i++) {
		if (p[i] == NULL || p[i]->conn->state == CONN_OPEN)
			continue;
		members_remove_all(&ps, p[i]); /* as at the end of a session */
		p[i] = NULL;
		dropped++;
	}
	assert_true(!ok || dropped == 0);
	assert_int_equal(ps.counters[PEER_NO_MEMORY], dropped);
	for (unsigned i = 0; i < 3; i++) {
		if (p[i] == NULL)
			continue;
		EXPECT(p[i], TWO);
		received += 2;
	}
	expect_counted(received, 0);
	/* later events are delivered normally */
	fan_out_two();
	for (unsigned i = 0; i < 3; i++)
		if (p[i] != NULL)
			EXPECT(p[i], TWO);
	teardown(&state);
	return ok;
}

static void test_memory_runs_out(void **state)
{
	size_t n = 1;

	(void)state;
	while (!without_one_allocation(n))
		n++;
	assert_in_range(n, 10, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_more_than_a_turn),
		T(test_few_of_a_crowd),
		cmocka_unit_test(test_leaving_in_the_middle),
		T(test_many_members_end_in_the_middle),
		T(test_the_end_in_the_middle),
		T(test_several_subscriptions),
		T(test_a_pattern),
		T(test_several_subscriptions_in_turns),
		T(test_all_kinds),
		T(test_too_long_for_one),
		cmocka_unit_test(test_memory_runs_out),
#undef T
	};

	return cmocka_run_group_tests_name("fan_out", tests, NULL, NULL);
}
