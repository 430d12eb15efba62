/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of routerd/peer/members: real peers on socket pairs. The test supplies
 * memberships and EVENTs in place of an owner. The sources under test are included in
 * this program, so that it can replace malloc for them. One thread. */
#include "tests/unit/failing_malloc.h"

#include "common/buf.c"
#include "common/id_table.c"
#include "common/shared_buf.c"
#include "routerd/net/conn.h"
/* A test of very many members has peers without connections. */
static void send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages);
#define conn_send_shared send_shared
#include "routerd/peer/fan_out.c"
#undef conn_send_shared
#include "routerd/peer/members.c"
#include "routerd/post/options.c"
#include "routerd/post/payload.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include "routerd/net/conn_int.h"
#include "routerd/peer/attach.h"
#include "tests/unit/fake_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PEERS_MAX = 64,
	TOPIC = 7, /* a subscription id; TOPIC + 1 is another */
	ARGS_MAX = 70000,
};

static const char yaml[] =
	"realms: [{name: realm1, roles: [{name: user, permissions: []}]}]\n"
	"transports: [{type: universal, endpoint: {type: tcp, port: 1},\n"
	"  auth: {anonymous: {type: static, role: user}}}]\n";

static struct config *config;
static struct policy *policy;
static struct loop loop;
static struct net net;
static struct peers ps;
static struct peer_listener listener;
static struct conn_conf conf;
static int fds[PEERS_MAX]; /* the clients' ends, by slot */
static uint64_t publications;

static int setup(void **state)
{
	struct conf_error err;

	(void)state;
	allocations = fail_at = publications = 0;
	loop.base = event_base_new();
	now_ms = 1000;
	if (config_parse(slice_str(yaml), "test", &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(policy_new(NULL, config, &policy), 0);
	listener = (struct peer_listener){.peers = &ps, .conf = &config->listeners[0]};
	conf = (struct conn_conf){.handler = &attach_handler,
				  .user = &listener,
				  .name = "test",
				  .framings = CONN_WEBSOCKET | CONN_RAWSOCKET,
				  .early_message_max = 1000,
				  .head_max = 16 * 1024,
				  .headers_max = 64,
				  .message_max = 1 << 20,
				  .queue_max = 1 << 20};
	assert_int_equal(net_init(&net, &loop, "w0", 64u << 20, 64u << 20), 0);
	assert_int_equal(peers_init(&ps, 0, 1, NULL, config, policy, &net), 0);
	return 0;
}

static void turns(void)
{
	for (int i = 0; i < 3; i++) {
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		(void)net_turn_end(&net);
	}
}

static int teardown(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ps.n_slots; i++)
		if (ps.slots[i].peer != NULL) {
			members_remove_all(&ps, ps.slots[i].peer);
			identity_unref(&ps.slots[i].peer->identity);
			close(fds[i]);
		}
	assert_null(ps.members.fan_out.list);
	net_fini(&net);
	peers_fini(&ps);
	policy_unref(&policy);
	config_free(&config);
	event_base_free(loop.base);
	assert_int_equal(not_freed, 0);
	return 0;
}

/* --- peers --- */

/* Connects, sends this handshake, reads the answer. */
static struct peer *connect_peer(const char *hello, size_t len)
{
	char answer[1000];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	struct conn *c = conn_adopt(&net, pair[0], &conf);
	assert_non_null(c);
	assert_int_equal(send(pair[1], hello, len, 0), len);
	turns();
	assert_true(recv(pair[1], answer, sizeof(answer), 0) > 0);
	assert_int_equal(c->state, CONN_OPEN);
	struct peer *p = conn_user(c);
	assert_in_range(p->slot, 0, PEERS_MAX - 1);
	fds[p->slot] = pair[1];
	return p;
}

/* A client that accepts messages of up to 2 ^ (9 + size) bytes. */
static struct peer *raw(enum serializer s, int size)
{
	char hello[4] = {0x7f, (char)(size << 4 | ((int)s + 1))};

	return connect_peer(hello, sizeof(hello));
}

static struct peer *websocket(const char *subprotocol)
{
	char request[500];
	int n = snprintf(request, sizeof(request),
			 "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
			 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			 "Sec-WebSocket-Protocol: %s\r\n\r\n",
			 subprotocol);

	return connect_peer(request, (size_t)n);
}

static void leave(struct peer *p)
{
	members_remove_all(&ps, p);
	identity_unref(&p->identity);
	close(fds[p->slot]);
	turns();
}

static void add(struct peer *p)
{
	assert_int_equal(members_add(&ps, p, TOPIC), 0);
}

/* --- what a client has received --- */

static struct slice next_frame(const struct peer *p, struct slice *rest)
{
	const uint8_t *at = rest->p;
	size_t head = 4, len = get_be32(at);

	if (!p->raw) {
		assert_int_equal(at[0], p->serializer == SERIALIZER_JSON ? 0x81 : 0x82);
		head = at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
		len = at[1] < 126    ? at[1]
		      : at[1] == 126 ? get_be16(at + 2)
				     : get_be64(at + 2);
	}
	assert_true(len <= rest->len - head);
	*rest = slice_of(at + head + len, rest->len - head - len);
	return slice_of(at + head, len);
}

static void put_as_json(struct buf *out, const struct peer *p, struct slice message)
{
	if (out->len > 0)
		buf_put_str(out, " ");
	if (p->serializer == SERIALIZER_JSON)
		buf_put_slice(out, message);
	else
		assert_int_equal(
			transcode(p->serializer, message, 1, SERIALIZER_JSON, out), 0);
}

static unsigned frames_got; /* frames that the last got() read */

/* Everything received since the last call, as JSON, with blanks between messages. Lent.
 */
static const char *got(const struct peer *p)
{
	static uint8_t bytes[1 << 20];
	static char text[1 << 20];
	struct buf out;
	uint8_t separator = 0;

	turns();
	ssize_t n = recv(fds[p->slot], bytes, sizeof(bytes), 0);
	struct slice rest = slice_of(bytes, n > 0 ? (size_t)n : 0), message;
	buf_init(&out, sizeof(text) - 1);
	for (frames_got = 0; rest.len > 0; frames_got++) {
		struct slice frame = next_frame(p, &rest);
		if (!p->batched)
			put_as_json(&out, p, frame);
		while (p->batched && frame.len > 0) {
			assert_int_equal(
				batch_next(p->serializer, &frame, &message, &separator),
				0);
			assert_int_equal(separator, p->serializer == SERIALIZER_JSON
							    ? p->separator
							    : 0);
			put_as_json(&out, p, message);
		}
	}
	assert_int_equal(out.err, 0);
	memcpy(text, out.len > 0 ? (const char *)out.data : "", out.len);
	text[out.len] = '\0';
	buf_fini(&out);
	return text;
}

#define EXPECT(peer, text) assert_string_equal(got(peer), text)

static void expect_counted(uint64_t delivered, uint64_t undeliverable)
{
	assert_int_equal(ps.counters[PEER_EVENTS_DELIVERED], delivered);
	assert_int_equal(ps.counters[PEER_UNDELIVERABLE], undeliverable);
}

/* --- posts --- */

/* An EVENT. Each call uses the next publication id. */
static struct post event(enum serializer s, const void *args, size_t len)
{
	struct msg_payload items = {slice_of(args, len), len > 0};
	struct post p = {
		.type = POST_EVENT,
		.id = TOPIC,
		.publication = ++publications,
		.payload = payload_new(s, slice_str("topic"), items),
		.session = {.worker = 9},
	};

	assert_non_null(p.payload);
	return p;
}

static struct post json(const char *args)
{
	return event(SERIALIZER_JSON, args, strlen(args));
}

static struct post long_one(size_t len)
{
	static char args[ARGS_MAX];

	memset(args, 'x', len);
	memcpy(args, "[\"", 2);
	memcpy(args + len - 2, "\"]", 2);
	return event(SERIALIZER_JSON, args, len);
}

/* Delivers all these posts, in as many runs as needed. */
static void fan_out(struct post *posts, size_t n)
{
	size_t taken;

	for (; n > 0; n -= taken, posts += taken)
		assert_true(fan_out_begin(&ps, posts, n, &taken));
}

/* Delivers two EVENTs, of publications 1 and 2. */
static void fan_out_two(void)
{
	publications = 0;
	fan_out((struct post[]){json("[1]"), json("[2]")}, 2);
}

#define TWO "[36,7,1,{},[1]] [36,7,2,{},[2]]"

#define EXPECT_START(peer, text) assert_memory_equal(got(peer), text, strlen(text))

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

static struct identity *identity(uint64_t session, const char *authid)
{
	struct identity *i = identity_new(&(struct identity){
		.session = session,
		.authid = slice_str(authid),
		.authrole = slice_str("user"),
	});

	assert_non_null(i);
	return i;
}

static struct peer *member(enum serializer s, uint64_t session, const char *authid)
{
	struct peer *p = raw(s, 15);

	p->identity = identity(session, authid);
	add(p);
	return p;
}

/* An EVENT for those who pass this list. */
static struct post filtered(const char *args, enum msg_filter list, const char *entries)
{
	struct msg m = {.filters = (uint8_t)(1u << list)};
	struct post p = json(args);

	m.filter[list] = slice_str(entries);
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &p.options), 0);
	return p;
}

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
	struct peer *p[12];
	unsigned n = 0, kinds = 0;

	(void)state;
	for (unsigned s = 0; s < SERIALIZER_COUNT; s++)
		p[n++] = raw(s, 15);
	p[n++] = websocket("wamp.2.json");
	p[n++] = websocket("wamp.2.msgpack");
	p[n++] = websocket("wamp.2.cbor");
	p[n++] = websocket("wamp.2.json.batched");
	p[n++] = websocket("wamp.2.json.batched");
	p[n - 1]->separator = 0x18; /* the separator shows the encoding */
	p[n++] = websocket("wamp.2.msgpack.batched");
	p[n++] = websocket("wamp.2.cbor.batched");
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

	return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
