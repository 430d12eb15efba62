/* SPDX-License-Identifier: Apache-2.0 */
/* A login from HELLO to WELCOME, driven by posts and messages, with doubles for the
 * connection and the outbox. Uses JSON, so that the sent messages are readable. Include
 * it in one file of a program. One thread. */
#ifndef TESTS_UNIT_LOGIN_FIXTURE_H
#define TESTS_UNIT_LOGIN_FIXTURE_H

#include "common/err.h"
#include "routerd/peer/attach.h"
#include "routerd/peer/login.h"
#include "routerd/peer/peer.h"
#include "routerd/post/login_message.h"
#include "routerd/post/outbox.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- doubles: the connection --- */

struct conn {
	struct peer peer;
	struct conn_conf conf;
	bool established;
	bool dropped;
	bool half_full; /* what conn_half_full returns */
	enum conn_end end;
	uint16_t close_code; /* 0: open */
	unsigned holds, releases;
	char held[1024]; /* the rest of the message of the last hold */
	char sent[8192]; /* messages, each followed by a newline */
};

static struct net the_net;

void *conn_user(struct conn *c)
{
	return &c->peer;
}

const struct conn_conf *conn_conf(const struct conn *c)
{
	return &c->conf;
}

enum conn_end conn_end(const struct conn *c)
{
	return c->end;
}

const char *conn_end_str(enum conn_end end)
{
	(void)end;
	return "end";
}

const struct tls *conn_tls(const struct conn *c)
{
	(void)c;
	return NULL;
}

const struct tls *conn_clients_tls(const struct conn *c)
{
	(void)c;
	return NULL;
}

const struct proxy_tls *conn_proxy_tls(const struct conn *c)
{
	(void)c;
	return NULL;
}

struct sock_name conn_peer_name(const struct conn *c)
{
	(void)c;
	return (struct sock_name){"tcp4:127.0.0.1:5"};
}

struct sock_name conn_proxy_name(const struct conn *c)
{
	(void)c;
	return (struct sock_name){""};
}

struct conn_prefix conn_prefix(const struct conn *c)
{
	(void)c;
	return (struct conn_prefix){"test"};
}

void conn_established(struct conn *c)
{
	c->established = true;
}

void conn_left(struct conn *c)
{
	c->established = false;
}

void conn_hold(struct conn *c, struct slice rest)
{
	c->holds++;
	snprintf(c->held, sizeof(c->held), "%.*s", (int)rest.len, (const char *)rest.p);
}

void conn_release(struct conn *c)
{
	c->releases++;
}

void conn_restart_handshake(struct conn *c)
{
	(void)c;
}

/* Strips the frame's head, which has a 7-bit or 16-bit length. */
void conn_send(struct conn *c, struct slice framed)
{
	size_t head = framed.p[1] < 126 ? 2 : 4;

	if (c->close_code != 0 || c->dropped)
		return;
	strncat(c->sent, (const char *)framed.p + head, framed.len - head);
	strcat(c->sent, "\n");
}

void conn_send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages)
{
	(void)n_messages;
	conn_send(c, slice_of(framed->data, framed->len));
	shared_buf_unref(&framed);
}

bool conn_half_full(const struct conn *c, size_t len)
{
	(void)len;
	return c->half_full;
}

void conn_join_frames(struct conn *c)
{
	(void)c;
}

bool conn_is_longpoll(const struct conn *c)
{
	(void)c;
	return false;
}

size_t conn_send_max(const struct conn *c)
{
	(void)c;
	return SIZE_MAX;
}

void conn_close(struct conn *c, uint16_t code, const char *reason)
{
	(void)reason;
	if (c->close_code == 0)
		c->close_code = code;
}

void conn_drop(struct conn *c)
{
	c->dropped = true;
}

/* --- doubles: the outbox --- */

enum { POSTS_MAX = 32 };
static struct post posts[POSTS_MAX];
static unsigned n_posts;

struct outbox *const no_outbox = NULL;

bool post_send(struct outbox *ob, unsigned to_worker, const struct post *p)
{
	(void)ob;
	(void)to_worker;
	assert_true(n_posts < POSTS_MAX);
	posts[n_posts++] = *p;
	return true;
}

void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail)
{
	bool sent = post_send(ob, to_worker, p);

	assert_true(sent);
	free(*mail);
	*mail = NULL;
}

struct mail_batch *outbox_reserve(const struct outbox *ob)
{
	(void)ob;
	return malloc(1);
}

/* The first recorded post of a type, or NULL. */
static inline struct post *posted(enum post_type type)
{
	for (unsigned i = 0; i < n_posts; i++)
		if (posts[i].type == type)
			return &posts[i];
	return NULL;
}

/* The first recorded post of a type; the test fails if there is none. */
static inline const struct post *must_have_posted(enum post_type type)
{
	const struct post *p = posted(type);

	assert_non_null(p);
	/* The compiler does not know that assert_non_null ends the test. */
	if (p == NULL)
		abort();
	return p;
}

static inline void drop_posts(void)
{
	while (n_posts > 0)
		post_drop(&posts[--n_posts]);
}

/* --- fixture --- */

static const char yaml[] =
	"realms:\n"
	"  - name: devices\n"
	"    roles:\n"
	"      - name: device\n"
	"        permissions: [{uri: '', match: prefix, allow: {call: true}}]\n"
	"authenticators: {authd: {socket: x.sock}}\n"
	"transports:\n"
	"  - type: websocket\n"
	"    endpoint: {type: tcp, port: 1}\n"
	"    auth:\n"
	"      cryptosign: {type: dynamic, authenticator: authd}\n"
	"      ticket: {type: dynamic, authenticator: authd}\n"
	"      anonymous: {type: static, role: device}\n"
	"  - type: websocket\n"
	"    endpoint: {type: tcp, port: 2}\n"
	"    auth:\n"
	"      ticket: {type: static, principals: {joe: {role: device, ticket: s3cret}}}\n"
	"      wampcra: {type: static, users: {joe: {role: device, secret: s3cret}}}\n"
	"      scram:\n" /* the password is "pencil" */
	"        type: static\n"
	"        principals:\n"
	"          joe:\n"
	"            {role: device, kdf: pbkdf2, iterations: 1, salt: 0011223344556677,\n"
	"             stored-key: "
	"6367aee6cbae04aa9fd26e32ca9f76ea380296378a5cebe716232a7744c59aac,\n"
	"             server-key: "
	"75aa01b7f3113727b74e757fc12d200886390054dc5c649d9f03fd4865e8d426}\n"
	"  - type: websocket\n"
	"    endpoint: {type: tcp, port: 3}\n"
	"    options: {allowed_origins: ['https://example.com']}\n"
	"    auth:\n"
	"      wampcra: {type: dynamic, authenticator: authd}\n"
	"      scram: {type: dynamic, authenticator: authd}\n"
	"      cookie: {type: dynamic, authenticator: authd}\n";

struct world {
	struct config *config;
	struct policy *policy;
	struct loop *loop;
	struct peers peers;
	struct peer_listener listener;
	struct conn conn;
	unsigned char pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
	char pk_hex[2 * crypto_sign_PUBLICKEYBYTES + 1];
};

static struct world w;

static inline void connect_client(void)
{
	struct http_request req = {.path = slice_str("/ws")};
	const char *text;

	w.conn = (struct conn){.conf = {.user = &w.listener, .name = "test"}};
	req.n_headers = 1;
	req.headers[0] = (struct http_header){slice_str("Sec-WebSocket-Protocol"),
					      slice_str("wamp.2.json")};
	assert_int_equal(attach_handler.upgrade(&w.conn, &req, &text), 0);
	assert_string_equal(text, "wamp.2.json");
}

static inline void client_gone(enum conn_end end)
{
	w.conn.end = end;
	attach_handler.closed(&w.conn);
}

static inline int setup(void **state)
{
	struct conf_error err;

	(void)state;
	memset(&w, 0, sizeof(w));
	if (config_parse(slice_str(yaml), "test", &w.config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(config_derive(w.config), 0);
	assert_int_equal(policy_new(NULL, w.config, &w.policy), 0);
	w.loop = loop_new(NULL, NULL);
	the_net.loop = w.loop;
	assert_int_equal(
		peers_init(&w.peers, 0, 1, no_outbox, w.config, w.policy, &the_net), 0);
	w.listener = (struct peer_listener){.peers = &w.peers,
					    .conf = &w.config->listeners[0]};
	crypto_sign_keypair(w.pk, w.sk);
	sodium_bin2hex(w.pk_hex, sizeof(w.pk_hex), w.pk, sizeof(w.pk));
	connect_client();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	drop_posts();
	peers_fini(&w.peers);
	loop_free(&w.loop);
	policy_unref(&w.policy);
	config_free(&w.config);
	return 0;
}

/* What the client said last, in memory that may be written to, as a framing's reader
 * lends it. */
static char said[32768];

static inline void say(const char *json)
{
	assert_true(strlen(json) < sizeof(said));
	strcpy(said, json);
	attach_handler.message(&w.conn, slice_str(said), true);
}

static inline bool sent(const char *text)
{
	return strstr(w.conn.sent, text) != NULL;
}

static inline void say_hello(void)
{
	char json[256];

	snprintf(json, sizeof(json),
		 "[1,null,{\"roles\":{\"callee\":{\"features\":{\"call_canceling\":true}}"
		 "},\"authmethods\":[\"scram\","
		 "\"cryptosign\"],"
		 "\"authextra\":{\"pubkey\":\"%s\",\"channel_binding\":null}}]",
		 w.pk_hex);
	say(json);
	assert_int_equal(w.conn.peer.state, PEER_AUTH_WAIT);
	assert_non_null(posted(POST_LOGIN));
}

/* Gives the authenticator's answer, as of this epoch. */
static inline void answer_with(uint64_t epoch, struct slice extra)
{
	struct auth_result res = {
		.role = slice_str("device"),
		.realm = slice_str("devices"),
		.authid = slice_str("client01"),
		.keys = {.n = 1},
		.extra = extra,
		.epoch = epoch,
	};
	struct login_message head = {.stamp = {.asked = true, .link = 1}};
	static uint8_t bytes[4096]; /* static, so that it needs no memory */
	struct buf b = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};

	memcpy(res.keys.key[0], w.pk, sizeof(w.pk));
	fields_write_item(&b, &auth_result_table, &res);
	attach_post(&w.peers, &(struct post){
				      .type = POST_LOGIN_ANSWER,
				      .session = peer_ref(&w.conn.peer),
				      .login = login_message_new(&head, buf_slice(&b)),
			      });
}

static inline void answer(uint64_t epoch)
{
	answer_with(epoch, slice_of(NULL, 0));
}

/* Sends AUTHENTICATE with a valid signature of the challenge. */
static inline void say_authenticate(void)
{
	unsigned char sig[crypto_sign_BYTES], challenge[32];
	char sig_hex[2 * sizeof(sig) + 1], json[512];
	const char *at = strstr(w.conn.sent, "\"challenge\":\"");

	assert_non_null(at);
	at += strlen("\"challenge\":\"");
	assert_int_equal(
		sodium_hex2bin(challenge, sizeof(challenge), at, 64, NULL, NULL, NULL),
		0);
	crypto_sign_detached(sig, NULL, challenge, sizeof(challenge), w.sk);
	sodium_bin2hex(sig_hex, sizeof(sig_hex), sig, sizeof(sig));
	snprintf(json, sizeof(json), "[5,\"%s%.64s\",{}]", sig_hex, at);
	say(json);
}

static inline void verify_signatures(void)
{
	the_net.budget = (struct budget){0}; /* a new turn */
	assert_false(attach_verify_some(&w.peers));
}

static inline struct revocation *revocation_of(uint64_t epoch)
{
	struct revocation r = {
		.has_epoch = true,
		.epoch = epoch,
		.link = 1,
		.number = 1,
		.authid = slice_str("client01"),
		.uri = slice_str("com.example.revoked"),
		.message = slice_str("gone"),
	};
	struct revocation *shared = revocation_new(&r);

	assert_non_null(shared);
	return shared;
}

/* Gives a revocation to the worker. Returns 10 for each session that it ends, plus 1 for
 * each handshake. */
static inline unsigned revoke_at(uint64_t epoch)
{
	struct revocation *r = revocation_of(epoch);
	unsigned n[3];

	/* count, end, and count again: a session is ended once */
	for (int i = 0; i < 3; i++) {
		r->dry_run = i == 0;
		struct revocation_counts c = attach_revoke(&w.peers, r);
		n[i] = 10 * c.sessions + c.pending;
	}
	revocation_unref(&r);
	assert_int_equal(n[0], n[1]);
	assert_int_equal(n[2], 0);
	return n[1];
}

static inline void owner_says(enum post_type type, struct revocation *r)
{
	attach_post(&w.peers, &(struct post){
				      .type = (uint8_t)type,
				      .session = peer_ref(&w.conn.peer),
				      .revocation = r,
			      });
}

/* Gives the worker a policy in which the realm "devices" has only this role. */
static inline void begin_reload(const char *role)
{
	struct conf_error err;
	struct config *config;
	struct policy *policy;
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "realms: [{name: devices, roles: [{name: %s}]}]\n"
		       "transports: [{type: rawsocket, endpoint: {type: tcp, port: 1},\n"
		       "  auth: {anonymous: {type: static, role: %s}}}]\n",
		       role, role);
	if (config_parse(slice_str(text), "test", &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(policy_new(w.policy, config, &policy), 0);
	config_free(&config);
	policy_unref(&w.policy);
	w.policy = policy;
	attach_reload(&w.peers, &(struct post){
					.type = POST_RELOAD,
					.policy = policy_ref(policy),
					.mail = malloc(1),
				});
}

/* Ends a reload. Returns 10 for each session that it ends, plus 1 for each handshake. */
static inline unsigned end_reload(void)
{
	assert_false(attach_reload_some(&w.peers));
	attach_reload_end(&w.peers, 0);
	const struct post *p = must_have_posted(POST_RELOADED);

	assert_int_equal(p->id, w.policy->generation);
	return 10 * p->counts.sessions + p->counts.pending;
}

static inline unsigned reload_with_role(const char *role)
{
	begin_reload(role);
	return end_reload();
}

static inline void assert_role_gone(void)
{
	assert_true(sent("\"wamp.error.no_such_role\"]"));
	assert_false(sent("[2,"));
	assert_int_equal(w.conn.peer.state, PEER_CLOSING);
	assert_int_not_equal(w.conn.close_code, 0);
}

static inline void assert_revoked(void)
{
	assert_true(sent("[3,{\"message\":\"gone\"},\"com.example.revoked\"]"));
	assert_false(sent("[2,"));
	assert_int_equal(w.conn.peer.state, PEER_CLOSING);
	assert_int_not_equal(w.conn.close_code, 0);
}

#endif
