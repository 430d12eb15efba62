/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets an EVENT, and what: runs, members, filters, Details. */
#include "tests/unit/members_fixture.h"

/* --- runs --- */

/* Events are delivered in order of publication. All receivers of the same bytes share one
 * piece. */
static void test_a_run_is_one_piece(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15), *b = raw(SERIALIZER_JSON, 15);

	(void)state;
	add(a);
	add(b);
	for (unsigned warm = 0; warm < 2; warm++) {
		publications = 0;
		struct post posts[] = {json("[1]"), json("[2]"), long_one(50000)};
		size_t taken, before = not_freed;
		uint64_t sent = net.counters[NET_MESSAGES_OUT];
		assert_true(fan_out_begin(&ps, posts, 3, &taken));
		assert_int_equal(taken, 3);
		assert_int_equal(net.counters[NET_MESSAGES_OUT], sent + 2 * 3);
		/* the payloads are freed, the piece is queued; scratch exists */
		assert_true(!warm || not_freed == before - 3 + 1);
		turns();
		assert_true(!warm || not_freed == before - 3);
		EXPECT_START(a, TWO " [36,7,3,{},[\"xxx");
		EXPECT_START(b, TWO " [36,7,3,{},[\"xxx");
	}
	expect_counted(2 * 2 * 3, 0);
}

/* Delivers posts without receivers. The sizes of the runs must be these digits. */
static void expect_runs(struct post *posts, size_t n, const char *expected)
{
	char runs[80] = "";
	size_t taken;

	for (; n > 0; n -= taken, posts += taken) {
		size_t len = strlen(runs);
		if (posts->type == POST_EVENT)
			assert_true(fan_out_begin(&ps, posts, n, &taken));
		else
			taken = 1;
		assert_in_range(taken, 1, n);
		snprintf(runs + len, sizeof(runs) - len, "%zu ", taken);
	}
	assert_string_equal(runs, expected);
}

static void test_what_ends_a_run(void **state)
{
	struct post many[FAN_OUT_MAX + 2];
	struct post p[6];

	(void)state;
	for (unsigned what = 0; what < 8; what++) {
		for (unsigned i = 0; i < 6; i++)
			p[i] = json("");
		p[0].exclude_me = p[1].exclude_me = p[2].exclude_me = what >= 4;
		p[3].exclude_me = p[4].exclude_me = p[5].exclude_me = what >= 3;
		p[3].id += what == 1;
		if (what == 2) { /* all receive it, whoever published */
			p[3].session.slot++;
			p[4].session.worker++;
		}
		p[3].session.slot += what == 5;
		p[3].session.worker = what == 6 ? 8 : 9;
		p[3].session.generation += what == 7;
		static const char *const runs[] = {"6 ", "3 1 2 ", "6 ",     "3 3 ",
						   "6 ", "3 1 2 ", "3 1 2 ", "3 1 2 "};
		expect_runs(p, 6, runs[what]);
	}
	for (unsigned i = 0; i < 6; i++)
		p[i] = json("");
	post_drop(&p[3]);
	p[3] = (struct post){.type = POST_PUBLISHED, .id = TOPIC};
	expect_runs(p, 6, "3 1 2 ");
	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		many[i] = json("");
	expect_runs(many, ARRAY_LEN(many), "64 2 ");
	/* 43,690 bytes would be a third of the limit for a run */
	for (unsigned i = 0; i < 6; i++)
		p[i] = long_one(i < 3 ? 43000 : i == 4 ? ARGS_MAX : 65000);
	expect_runs(p, 6, "3 1 1 1 ");
}

static void test_nobody_is_there(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15);

	(void)state;
	assert_int_equal(members_add(&ps, a, TOPIC + 1), 0);
	assert_true(fan_out_go_on(&ps));
	size_t before = not_freed;
	fan_out_two();
	assert_int_equal(not_freed, before);
	assert_true(fan_out_go_on(&ps));
	EXPECT(a, "");
	expect_counted(0, 0);
}

/* --- who gets it --- */

static void test_members_come_and_go(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15), *b = raw(SERIALIZER_JSON, 15);

	(void)state;
	add(a);
	add(a); /* adding twice has no effect */
	add(b);
	assert_int_equal(members_add(&ps, b, TOPIC + 1), 0);
	fan_out_two();
	EXPECT(a, TWO);
	EXPECT(b, TWO);
	members_remove(&ps, a, TOPIC);
	members_remove(&ps, a, TOPIC);
	members_remove(&ps, a, TOPIC + 1);
	fan_out_two();
	EXPECT(a, "");
	EXPECT(b, TWO);
	members_remove_all(&ps, b);
	assert_int_equal(ps.members.lists.count, 0);
	assert_int_equal(ps.members.by_peer.count, 0);
	add(a);
	fan_out_two();
	EXPECT(a, TWO);
	EXPECT(b, "");
}

/* Those that are still in the lists get nothing, not even if the next session on the
 * connection subscribes to the same. */
static void test_many_end_in_pieces(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15), *b = raw(SERIALIZER_JSON, 15);

	(void)state;
	for (uint64_t i = 0; i < 3 * REMOVED_AT_ONCE; i++)
		assert_int_equal(members_add(&ps, a, 1000 + i), 0);
	add(a);
	add(b);
	members_remove_all(&ps, a);
	peers_renew(&ps, a);
	assert_int_equal(ps.members.by_peer.count, 2 * REMOVED_AT_ONCE + 2);
	fan_out_two();
	EXPECT(a, "");
	EXPECT(b, TWO);
	add(a);
	fan_out_two();
	EXPECT(a, TWO);
	EXPECT(b, TWO);
	assert_true(members_remove_some(&ps));
	assert_int_equal(ps.members.by_peer.count, REMOVED_AT_ONCE + 3);
	leave(b);
	assert_true(members_remove_some(&ps));
	assert_false(members_remove_some(&ps));
	assert_false(members_remove_some(&ps));
	assert_int_equal(ps.members.by_peer.count, 1);
	fan_out_two();
	EXPECT(a, TWO);
	/* the rest ends with the worker */
	for (uint64_t i = 0; i < 2 * REMOVED_AT_ONCE; i++)
		assert_int_equal(members_add(&ps, a, 1000 + i), 0);
}

static void publish_as(struct session_ref from, bool exclude_me)
{
	publications = 0;
	struct post p = json("[1]");

	p.session = from;
	p.exclude_me = exclude_me;
	fan_out(&p, 1);
}

static void test_exclude_me(void **state)
{
	struct peer *a = raw(SERIALIZER_JSON, 15), *b = raw(SERIALIZER_CBOR, 15);
	struct session_ref from = peer_ref(a), other = from;

	(void)state;
	add(a);
	add(b);
	publish_as(from, false);
	EXPECT(a, "[36,7,1,{},[1]]");
	EXPECT(b, "[36,7,1,{},[1]]");
	publish_as(from, true);
	EXPECT(a, "");
	EXPECT(b, "[36,7,1,{},[1]]");
	/* a publisher that is no member need not be left out */
	members_remove(&ps, b, TOPIC);
	publish_as(peer_ref(b), true);
	EXPECT(a, "[36,7,1,{},[1]]");
	EXPECT(b, "");
	/* the same slot on another worker, and an old session in it */
	other.worker++;
	publish_as(other, true);
	EXPECT(a, "[36,7,1,{},[1]]");
	members_remove_all(&ps, a);
	peers_renew(&ps, a);
	add(a);
	publish_as(from, true);
	EXPECT(a, "[36,7,1,{},[1]]");
}

/* --- who is meant, and who has published --- */

static void test_each_gets_what_is_for_it(void **state)
{
	struct peer *ann = member(SERIALIZER_JSON, 1, "ann");
	struct peer *joe = member(SERIALIZER_CBOR, 2, "joe");
	struct peer *joe2 = member(SERIALIZER_JSON, 3, "joe");

	(void)state;
	for (unsigned run = 0; run < 2; run++) {
		publications = 0;
		fan_out((struct post[]){json("[1]"), filtered("[2]", MSG_ELIGIBLE, "[1]"),
					filtered("[3]", MSG_EXCLUDE_AUTHID, "[\"ann\"]"),
					filtered("[4]", MSG_ELIGIBLE, "[3,4]"),
					filtered("[5]", MSG_ELIGIBLE, "[9]"),
					json("[6]")},
			6);
		EXPECT(ann, "[36,7,1,{},[1]] [36,7,2,{},[2]] [36,7,6,{},[6]]");
		EXPECT(joe, "[36,7,1,{},[1]] [36,7,3,{},[3]] [36,7,6,{},[6]]");
		EXPECT(joe2, "[36,7,1,{},[1]] [36,7,3,{},[3]] [36,7,4,{},[4]] "
			     "[36,7,6,{},[6]]");
		expect_counted((run + 1) * 10, 0);
	}
}

/* An EVENT with this option, "mqtt". */
static struct post opaque(const char *args, enum msg_passthru option)
{
	struct msg m = {.passthru = (uint8_t)(1u << option)};
	struct post p = json(args);

	m.passthru_value[option] = slice_str("\"mqtt\"");
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &p.options), 0);
	return p;
}

/* Only members with payload transparency get enc_algo; all get ppt_scheme. */
static void test_each_gets_what_it_understands(void **state)
{
	struct peer *ann = member(SERIALIZER_JSON, 1, "ann");
	struct peer *joe = member(SERIALIZER_CBOR, 2, "joe");
	struct peer *joe2 = member(SERIALIZER_JSON, 3, "joe");

	(void)state;
	joe->identity->features.of[WAMP_ROLE_SUBSCRIBER] =
		WAMP_FEATURE_PAYLOAD_TRANSPARENCY;
	joe2->identity->features.of[WAMP_ROLE_CALLEE] = WAMP_FEATURE_PAYLOAD_TRANSPARENCY;
	fan_out((struct post[]){json("[1]"), opaque("\"\\u0000AQ==\"", MSG_ENC_ALGO),
				opaque("[\"\\u0000Ag==\"]", MSG_PPT_SCHEME), json("[4]")},
		4);
	EXPECT(ann,
	       "[36,7,1,{},[1]] [36,7,3,{\"ppt_scheme\":\"mqtt\"},[\"\\u0000Ag==\"]] "
	       "[36,7,4,{},[4]]");
	EXPECT(joe2,
	       "[36,7,1,{},[1]] [36,7,3,{\"ppt_scheme\":\"mqtt\"},[\"\\u0000Ag==\"]] "
	       "[36,7,4,{},[4]]");
	EXPECT(joe,
	       "[36,7,1,{},[1]] [36,7,2,{\"enc_algo\":\"mqtt\"},\"\\u0000AQ==\"] "
	       "[36,7,3,{\"ppt_scheme\":\"mqtt\"},[\"\\u0000Ag==\"]] [36,7,4,{},[4]]");
	expect_counted(10, 0);
	assert_int_equal(ps.counters[PEER_EVENTS_NOT_UNDERSTOOD], 2);
	/* the same if the event comes directly */
	for (unsigned i = 0; i < 2; i++) {
		struct post p = opaque("\"\\u0000AQ==\"", MSG_ENC_ALGO);

		p.publication = 9;
		p.id = 7;
		fan_out_to_one(i == 0 ? joe : ann, &p);
		post_drop(&p);
	}
	EXPECT(ann, "");
	EXPECT(joe, "[36,7,9,{\"enc_algo\":\"mqtt\"},\"\\u0000AQ==\"]");
	expect_counted(11, 0);
	assert_int_equal(ps.counters[PEER_EVENTS_NOT_UNDERSTOOD], 3);
}

/* Events with different lists are never one piece, also if the lists are equal. */
static void test_lists_end_a_run(void **state)
{
	struct post p[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		p[i] = i % 3 == 0 ? json("") : filtered("", MSG_ELIGIBLE, "[1]");
	options_unref(&p[2].options);
	p[2].options = options_ref(p[1].options);
	expect_runs(p, 6, "1 2 1 1 1 ");
}

#define ANN_OPEN                                                                         \
	"{\"publisher\":1,\"publisher_authid\":\"ann\","                                 \
	"\"publisher_authrole\":\"user\""
#define ANN ANN_OPEN "}"
#define ALL                                                                              \
	"[36,7,1,{},[1]] [36,7,2," ANN ",[2]] [36,7,3,{\"trustlevel\":0},[3]] "          \
	"[36,7,4," ANN_OPEN ",\"trustlevel\":254}]"

/* Each EVENT says of its own publisher what may be said. */
static void test_disclosed_publisher(void **state)
{
	struct peer *a = member(SERIALIZER_JSON, 1, "ann");
	struct peer *b = member(SERIALIZER_MSGPACK, 2, "joe");
	struct peer *c = member(SERIALIZER_CBOR, 3, "joe");
	struct peer *d = websocket("wamp.2.json.batched");
	struct post p[] = {json("[1]"), json("[2]"), json("[3]"), json("")};

	(void)state;
	add(d);
	p[1].disclosed = identity_ref(a->identity);
	p[3].disclosed = identity_ref(a->identity);
	p[2].trust = 1;
	p[3].trust = 255;
	fan_out(p, 4);
	EXPECT(a, ALL);
	EXPECT(b, ALL);
	EXPECT(c, ALL);
	EXPECT(d, ALL);
	assert_int_equal(frames_got, 1);
	expect_counted(16, 0);
}

/* The publisher counts for the length of the message; its texts can be long. */
static void test_too_long_with_its_publisher(void **state)
{
	static char authid[60000];
	struct peer *a = raw(SERIALIZER_JSON, 1), *b = raw(SERIALIZER_JSON, 15);
	struct post p[] = {json("[1]"), json("[2]"), long_one(990)};
	size_t head = strlen("[36,7,3,{},") + strlen(ANN) - strlen("{}");

	(void)state;
	add(a);
	add(b);
	p[0].disclosed = identity(1, "ann");
	p[2].disclosed = identity(1, "ann");
	fan_out(p, 3);
	EXPECT(a, "[36,7,1," ANN ",[1]] [36,7,2,{},[2]]");
	assert_int_equal(strlen(got(b)), 3 * head - strlen(ANN) + 5 + 7 + 991);
	expect_counted(5, 1);
	memset(authid, '"', sizeof(authid) - 1); /* JSON doubles its length */
	struct post q = json("[4]");
	q.disclosed = identity(1, authid);
	fan_out(&q, 1);
	EXPECT(a, "");
	assert_in_range(strlen(got(b)), 2 * sizeof(authid), 2 * sizeof(authid) + 200);
	expect_counted(6, 2);
}

static void test_one_member(void **state)
{
	struct peer *a = member(SERIALIZER_CBOR, 1, "ann"), *b = raw(SERIALIZER_JSON, 1);
	struct post p[] = {json("[1]"), json("[2]"), long_one(1100),
			   event(SERIALIZER_CBOR, "\x81\xf9\x7e\x00", 4)};

	(void)state;
	p[1].disclosed = identity_ref(a->identity);
	for (unsigned i = 0; i < 4; i++) {
		p[i].type = POST_EVENT_ONE;
		if (i < 2)
			fan_out_to_one(a, &p[i]);
		fan_out_to_one(b, &p[i]);
		post_drop(&p[i]);
	}
	EXPECT(a, "[36,7,1,{},[1]] [36,7,2," ANN ",[2]]");
	EXPECT(b, "[36,7,1,{},[1]] [36,7,2," ANN ",[2]]");
	expect_counted(4, 2);
}

/* A retained event, with a payload that keeps no other encodings. */
static struct post retained(struct post p)
{
	struct payload *kept = payload_keep(p.payload);

	assert_non_null(kept);
	payload_unref(&p.payload);
	p.payload = kept;
	p.type = POST_EVENT_ONE;
	p.retain = true;
	return p;
}

static void test_retained_events(void **state)
{
	struct peer *a = member(SERIALIZER_CBOR, 1, "ann"), *b = raw(SERIALIZER_JSON, 15);
	struct post p[] = {retained(json("[1]")), retained(json("[2]"))};

	(void)state;
	p[1].match = MATCH_PREFIX;
	p[1].disclosed = identity_ref(a->identity);
	for (unsigned i = 0; i < 2; i++) {
		fan_out_to_one(a, &p[i]);
		fan_out_to_one(b, &p[i]);
		post_drop(&p[i]);
	}
	EXPECT(a, "[36,7,1,{\"retained\":true},[1]] "
		  "[36,7,2,{\"retained\":true,\"publisher\":1,"
		  "\"publisher_authid\":\"ann\",\"publisher_authrole\":\"user\","
		  "\"topic\":\"topic\"},[2]]");
	EXPECT_START(b, "[36,7,1,{\"retained\":true},[1]] [36,7,2,{");
	expect_counted(4, 0);
}

/* Many retained events come at once. They must not end the connection. */
static void test_retained_events_for_a_full_queue(void **state)
{
	enum { LEN = 50000, HALF = 512 * 1024 };
	struct peer *a = raw(SERIALIZER_JSON, 15);

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct post p = retained(long_one(LEN));
		fan_out_to_one(a, &p);
		post_drop(&p);
	}
	assert_int_equal(a->conn->state, CONN_OPEN);
	expect_counted(HALF / LEN, 20 - HALF / LEN);
	/* there is room for other messages */
	struct post live = long_one(LEN);
	live.type = POST_EVENT_ONE;
	fan_out_to_one(a, &live);
	post_drop(&live);
	expect_counted(HALF / LEN + 1, 20 - HALF / LEN);
	assert_int_equal(a->conn->state, CONN_OPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_a_run_is_one_piece),
		T(test_what_ends_a_run),
		T(test_nobody_is_there),
		T(test_members_come_and_go),
		T(test_many_end_in_pieces),
		T(test_exclude_me),
		T(test_each_gets_what_is_for_it),
		T(test_each_gets_what_it_understands),
		T(test_lists_end_a_run),
		T(test_disclosed_publisher),
		T(test_too_long_with_its_publisher),
		T(test_one_member),
		T(test_retained_events),
		T(test_retained_events_for_a_full_queue),
#undef T
	};

	return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
