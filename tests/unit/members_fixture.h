/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of peer/members and peer/fan_out: real peers on socket pairs. The test
 * supplies memberships and EVENTs in place of an owner. The sources under test are
 * included here, so that a program can replace malloc for them. Include it in one file of
 * a program. One thread. */
#ifndef TESTS_UNIT_MEMBERS_FIXTURE_H
#define TESTS_UNIT_MEMBERS_FIXTURE_H

#include "tests/unit/failing_malloc.h"

#include "common/buf.c"
#include "common/id_table.c"
#include "common/shared_buf.c"
#include "routerd/peer/fan_out.c"
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

static inline int setup(void **state)
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

static inline void turns(void)
{
	for (int i = 0; i < 3; i++) {
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		(void)net_turn_end(&net);
	}
}

static inline int teardown(void **state)
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
static inline struct peer *connect_peer(const char *hello, size_t len)
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
static inline struct peer *raw(enum serializer s, int size)
{
	char hello[4] = {0x7f, (char)(size << 4 | ((int)s + 1))};

	return connect_peer(hello, sizeof(hello));
}

static inline struct peer *websocket(const char *subprotocol)
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

static inline void leave(struct peer *p)
{
	members_remove_all(&ps, p);
	identity_unref(&p->identity);
	close(fds[p->slot]);
	turns();
}

static inline void add(struct peer *p)
{
	assert_int_equal(members_add(&ps, p, TOPIC), 0);
}

/* --- what a client has received --- */

static inline struct slice next_frame(const struct peer *p, struct slice *rest)
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

static inline void put_as_json(struct buf *out, const struct peer *p,
			       struct slice message)
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

static inline void expect_counted(uint64_t delivered, uint64_t undeliverable)
{
	assert_int_equal(ps.counters[PEER_EVENTS_DELIVERED], delivered);
	assert_int_equal(ps.counters[PEER_UNDELIVERABLE], undeliverable);
}

/* --- posts --- */

/* An EVENT. Each call uses the next publication id. */
static inline struct post event(enum serializer s, const void *args, size_t len)
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

static inline struct post json(const char *args)
{
	return event(SERIALIZER_JSON, args, strlen(args));
}

static inline struct post long_one(size_t len)
{
	static char args[ARGS_MAX];

	memset(args, 'x', len);
	memcpy(args, "[\"", 2);
	memcpy(args + len - 2, "\"]", 2);
	return event(SERIALIZER_JSON, args, len);
}

/* Delivers all these posts, in as many runs as needed. */
static inline void fan_out(struct post *posts, size_t n)
{
	size_t taken;

	for (; n > 0; n -= taken, posts += taken)
		assert_true(fan_out_begin(&ps, posts, n, &taken));
}

/* Delivers two EVENTs, of publications 1 and 2. */
static inline void fan_out_two(void)
{
	publications = 0;
	fan_out((struct post[]){json("[1]"), json("[2]")}, 2);
}

#define TWO "[36,7,1,{},[1]] [36,7,2,{},[2]]"

#define EXPECT_START(peer, text) assert_memory_equal(got(peer), text, strlen(text))

/* --- identities and filters --- */

static inline struct identity *identity(uint64_t session, const char *authid)
{
	struct identity *i = identity_new(&(struct identity){
		.session = session,
		.authid = slice_str(authid),
		.authrole = slice_str("user"),
	});

	assert_non_null(i);
	return i;
}

static inline struct peer *member(enum serializer s, uint64_t session, const char *authid)
{
	struct peer *p = raw(s, 15);

	p->identity = identity(session, authid);
	add(p);
	return p;
}

/* An EVENT for those who pass this list. */
static inline struct post filtered(const char *args, enum msg_filter list,
				   const char *entries)
{
	struct msg m = {.filters = (uint8_t)(1u << list)};
	struct post p = json(args);

	m.filter[list] = slice_str(entries);
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &p.options), 0);
	return p;
}

#endif
