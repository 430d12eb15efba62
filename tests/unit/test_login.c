/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer/: a login from HELLO to WELCOME, and each place where a revocation may meet it,
 * driven by posts and messages, with doubles for the connection and the outbox. JSON, so
 * that what is sent can be read.
 */
#include "common/err.h"
#include "routerd/login.h"
#include "routerd/outbox.h"
#include "routerd/peer/login.h"
#include "routerd/peer/peer.h"

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
	enum conn_end end;
	uint16_t close_code; /* 0: open */
	char sent[8192];     /* messages, each followed by a newline */
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

struct sock_name conn_peer_name(const struct conn *c)
{
	(void)c;
	return (struct sock_name){"tcp4:127.0.0.1:5"};
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

void conn_restart_handshake(struct conn *c)
{
	(void)c;
}

/* Strips the frame's head (a short one, or one with a 16-bit length). */
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

void conn_join_frames(struct conn *c)
{
	(void)c;
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

void post_send(struct outbox *ob, unsigned to_worker, const struct post *p)
{
	(void)ob;
	(void)to_worker;
	assert_true(n_posts < POSTS_MAX);
	posts[n_posts++] = *p;
}

/* The first recorded post of a type; NULL: there is none. */
static struct post *posted(enum post_type type)
{
	for (unsigned i = 0; i < n_posts; i++)
		if (posts[i].type == type)
			return &posts[i];
	return NULL;
}

/* The same where there must be one. */
static const struct post *must_have_posted(enum post_type type)
{
	const struct post *p = posted(type);

	assert_non_null(p);
	if (p == NULL) /* for the compiler, which does not know that assert_non_null ends
			  the test */
		abort();
	return p;
}

static void drop_posts(void)
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
	"      anonymous: {type: static, role: device}\n";

struct world {
	struct config *config;
	struct loop *loop;
	struct peers peers;
	struct peer_listener listener;
	struct conn conn;
	unsigned char pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
	char pk_hex[2 * crypto_sign_PUBLICKEYBYTES + 1];
};

static struct world w;

static void connect_client(void)
{
	struct http_request req = {.path = slice_str("/ws")};
	const char *text;

	w.conn = (struct conn){.conf = {.user = &w.listener, .name = "test"}};
	req.n_headers = 1;
	req.headers[0] = (struct http_header){slice_str("Sec-WebSocket-Protocol"),
					      slice_str("wamp.2.json")};
	assert_int_equal(peer_conn_handler.upgrade(&w.conn, &req, &text), 0);
	assert_string_equal(text, "wamp.2.json");
}

static void client_gone(enum conn_end end)
{
	w.conn.end = end;
	peer_conn_handler.closed(&w.conn);
}

static int setup(void **state)
{
	struct conf_error err;

	(void)state;
	memset(&w, 0, sizeof(w));
	if (config_parse(slice_str(yaml), "test", &w.config, &err) != 0)
		fail_msg("%s", err.text);
	w.loop = loop_new(NULL, NULL);
	assert_int_equal(peers_init(&w.peers,
				    &(struct peers_params){
					    .n_workers = 1,
					    .outbox = no_outbox,
					    .config = w.config,
					    .net = &the_net,
					    .loop = w.loop,
				    }),
			 0);
	w.listener = (struct peer_listener){.peers = &w.peers,
					    .conf = &w.config->listeners[0]};
	crypto_sign_keypair(w.pk, w.sk);
	sodium_bin2hex(w.pk_hex, sizeof(w.pk_hex), w.pk, sizeof(w.pk));
	connect_client();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	drop_posts();
	peers_fini(&w.peers);
	loop_free(&w.loop);
	config_unref(&w.config);
	return 0;
}

static void say(const char *json)
{
	peer_conn_handler.message(&w.conn, slice_str(json), true);
}

static bool sent(const char *text)
{
	return strstr(w.conn.sent, text) != NULL;
}

static void hello(void)
{
	char json[256];

	snprintf(json, sizeof(json),
		 "[1,null,{\"roles\":{\"caller\":{}},\"authmethods\":[\"scram\","
		 "\"cryptosign\"],"
		 "\"authextra\":{\"pubkey\":\"%s\",\"channel_binding\":null}}]",
		 w.pk_hex);
	say(json);
	assert_int_equal(w.conn.peer.state, PEER_AUTH_WAIT);
	assert_non_null(posted(POST_LOGIN));
}

/* What the authenticator knows, read at an epoch. */
static void answer_with(uint64_t epoch, struct slice extra)
{
	struct auth_result res = {
		.role = slice_str("device"),
		.realm = slice_str("devices"),
		.authid = slice_str("client01"),
		.keys = {.n = 1},
		.extra = extra,
		.epoch = epoch,
	};
	struct lookup_stamp stamp = {.asked = true, .link = 1, .revocations = 0};
	struct buf b;

	memcpy(res.keys.key[0], w.pk, sizeof(w.pk));
	buf_init(&b, 4096);
	auth_result_write(&b, &res);
	peers_post(&w.peers, &(struct post){
				     .type = POST_LOGIN_ANSWER,
				     .session = peers_ref(&w.peers, &w.conn.peer),
				     .answer = login_answer_new(LOGIN_RESULT, &stamp,
								buf_slice(&b)),
			     });
	buf_fini(&b);
}

static void answer(uint64_t epoch)
{
	answer_with(epoch, slice_of(NULL, 0));
}

/* Signs the challenge that was sent. */
static void authenticate(void)
{
	unsigned char sig[crypto_sign_BYTES], challenge[LOGIN_CHALLENGE_LEN];
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

static void verify(void)
{
	assert_false(peers_verify_some(&w.peers));
}

static struct revocation *revocation_of(uint64_t epoch)
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

/* The revocation as the worker gets it; 10 for each session, and 1 for each handshake. */
static unsigned revoke(uint64_t epoch)
{
	struct revocation *r = revocation_of(epoch);
	unsigned n[3];

	for (int i = 0; i < 3; i++) { /* counted without harm, ended, not counted again */
		r->dry_run = i == 0;
		struct revocation_counts c = peers_revoke(&w.peers, r);
		n[i] = 10 * c.sessions + c.pending;
	}
	revocation_unref(&r);
	assert_int_equal(n[0], n[1]);
	assert_int_equal(n[2], 0);
	return n[1];
}

static void owner_says(enum post_type type, struct revocation *r)
{
	peers_post(&w.peers, &(struct post){
				     .type = (uint8_t)type,
				     .session = peers_ref(&w.peers, &w.conn.peer),
				     .revocation = r,
			     });
}

static void assert_revoked(void)
{
	assert_true(sent("[3,{\"message\":\"gone\"},\"com.example.revoked\"]"));
	assert_false(sent("[2,"));
	assert_int_equal(w.conn.peer.state, PEER_CLOSING);
	assert_int_not_equal(w.conn.close_code, 0);
}

/* --- tests --- */

static void test_a_good_login(void **state)
{
	(void)state;
	hello();
	answer(5);
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	authenticate();
	assert_null(posted(POST_JOIN)); /* verified in its own time */
	verify();
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	assert_non_null(posted(POST_JOIN));
	assert_memory_equal(must_have_posted(POST_JOIN)->identity->pubkey.octets, w.pk,
			    sizeof(w.pk));
	owner_says(POST_JOINED, NULL);
	assert_int_equal(w.conn.peer.state, PEER_JOINED);
	assert_true(w.conn.established);
	assert_true(sent("[2,"));
	assert_true(sent("\"authid\":\"client01\""));
	assert_true(sent("\"x_cb_peer\":\"tcp4:127.0.0.1:5\""));
	client_gone(CONN_END_LOST);
	assert_non_null(posted(POST_GONE));
}

static void test_revoked_in_auth_wait_answer_older(void **state)
{
	(void)state;
	hello();
	assert_int_equal(revoke(6), 0); /* not known yet whom it concerns */
	assert_int_equal(w.conn.peer.state, PEER_AUTH_WAIT);
	answer(5);
	assert_revoked();
	assert_false(sent("[4,"));
	client_gone(CONN_END_OWN);
}

static void test_revoked_in_auth_wait_answer_newer(void **state)
{
	(void)state;
	hello();
	revoke(6);
	answer(6); /* looked up after the change: let in */
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	client_gone(CONN_END_LOST);
}

static void test_revoked_when_challenged(void **state)
{
	(void)state;
	hello();
	answer(5);
	assert_int_equal(revoke(5), 0); /* this change was seen by the look-up */
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	assert_int_equal(revoke(6), 1);
	assert_revoked();
	client_gone(CONN_END_OWN);
}

static void test_revoked_while_the_signature_waits(void **state)
{
	(void)state;
	hello();
	answer(5);
	authenticate();
	assert_int_equal(revoke(6), 1);
	assert_revoked();
	verify();
	assert_null(posted(POST_JOIN));
	client_gone(CONN_END_OWN);
}

static void join(void)
{
	hello();
	answer(5);
	authenticate();
	verify();
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
}

/* The owner had the revocation before the JOIN. */
static void test_refused_in_joining(void **state)
{
	(void)state;
	join();
	assert_int_equal(revoke(6), 1); /* but left to the owner */
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	owner_says(POST_JOIN_REFUSED, revocation_of(6));
	assert_revoked();
	client_gone(CONN_END_OWN);
}

/* The owner had the JOIN before the revocation: JOINED and KILLED come in this order. */
static void test_killed_in_joining(void **state)
{
	(void)state;
	join();
	assert_int_equal(revoke(6), 1);
	owner_says(POST_JOINED, NULL);
	assert_int_equal(revoke(6), 0);
	owner_says(POST_KILLED, revocation_of(6));
	assert_true(sent("[6,{\"message\":\"gone\"},\"com.example.revoked\"]"));
	assert_int_equal(w.conn.peer.state, PEER_CLOSING);
	client_gone(CONN_END_OWN);
	assert_null(posted(POST_GONE)); /* the owner knows */
}

static void test_killed_when_joined(void **state)
{
	(void)state;
	join();
	owner_says(POST_JOINED, NULL);
	assert_int_equal(revoke(6), 10);
	assert_int_equal(w.conn.peer.state, PEER_JOINED); /* left to the owner */
	owner_says(POST_KILLED, revocation_of(6));
	assert_int_equal(revoke(7), 0);
	client_gone(CONN_END_OWN);
}

static void test_too_many_revocations_is_no_abort(void **state)
{
	(void)state;
	join();
	owner_says(POST_JOIN_REFUSED, NULL);
	assert_false(sent("[3,"));
	assert_true(w.conn.dropped);
	assert_int_equal(w.conn.close_code, 0);
	client_gone(CONN_END_OWN);
}

/* No session was opened, so none is closed. */
static void test_an_extra_that_cannot_be_said(void **state)
{
	static const char nan[] = "\x81\xa1x\xcb\x7f\xf8\0\0\0\0\0\0";

	(void)state;
	hello();
	answer_with(5, slice_of(nan, sizeof(nan) - 1));
	authenticate();
	verify();
	owner_says(POST_JOINED, NULL);
	assert_false(sent("[2,"));
	assert_true(sent("wamp.error.authentication_failed"));
	assert_non_null(posted(POST_GONE));
	client_gone(CONN_END_OWN);
	assert_int_equal(w.peers.counters[PEER_SESSIONS_OPENED], 0);
	assert_int_equal(w.peers.counters[PEER_SESSIONS_CLOSED], 0);
	assert_null(posted(POST_LOGIN_REPORT));
}

static void test_a_late_answer_is_for_nobody(void **state)
{
	struct session_ref old;

	(void)state;
	hello();
	old = peers_ref(&w.peers, &w.conn.peer);
	client_gone(CONN_END_LOST);
	assert_non_null(posted(POST_LOGIN_CANCEL));
	connect_client(); /* the same slot */
	static const struct lookup_stamp stamp = {.asked = true};
	peers_post(&w.peers, &(struct post){
				     .type = POST_LOGIN_ANSWER,
				     .session = old,
				     .answer = login_answer_new(LOGIN_UNAVAILABLE, &stamp,
								slice_of(NULL, 0)),
			     });
	assert_int_equal(w.conn.peer.state, PEER_NEW);
	assert_int_equal(w.peers.counters[PEER_POSTS_STALE], 1);
	client_gone(CONN_END_LOST);
}

static void test_gone_while_joining(void **state)
{
	struct session_ref old;

	(void)state;
	join();
	old = peers_ref(&w.peers, &w.conn.peer);
	client_gone(CONN_END_LOST);
	assert_non_null(posted(POST_GONE));
	assert_true(session_ref_eq(must_have_posted(POST_GONE)->session, old));
	connect_client();
	peers_post(&w.peers, &(struct post){.type = POST_JOINED, .session = old});
	assert_int_equal(w.conn.peer.state, PEER_NEW);
	client_gone(CONN_END_LOST);
}

static void test_a_second_authenticate(void **state)
{
	(void)state;
	hello();
	answer(5);
	authenticate();
	authenticate();
	assert_true(sent("wamp.error.protocol_violation"));
	verify();
	assert_null(posted(POST_JOIN));
	client_gone(CONN_END_OWN);
}

static void test_a_replayed_signature(void **state)
{
	char first[8192], json[512];
	unsigned char sig[crypto_sign_BYTES], challenge[LOGIN_CHALLENGE_LEN] = {1};
	char sig_hex[2 * sizeof(sig) + 1], challenge_hex[65];

	(void)state;
	(void)first;
	hello();
	answer(5);
	/* signed with the right key, but it is not our challenge */
	crypto_sign_detached(sig, NULL, challenge, sizeof(challenge), w.sk);
	sodium_bin2hex(sig_hex, sizeof(sig_hex), sig, sizeof(sig));
	sodium_bin2hex(challenge_hex, sizeof(challenge_hex), challenge,
		       sizeof(challenge));
	snprintf(json, sizeof(json), "[5,\"%s%s\",{}]", sig_hex, challenge_hex);
	say(json);
	verify();
	assert_true(sent("message signed is bogus"));
	assert_true(sent("wamp.error.not_authorized"));
	assert_null(posted(POST_JOIN));
	client_gone(CONN_END_OWN);
}

static void test_goodbye_and_another_session(void **state)
{
	(void)state;
	say("[1,\"devices\",{\"roles\":{\"caller\":{}}}]"); /* anonymous */
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	owner_says(POST_JOINED, NULL);
	struct session_ref first = peers_ref(&w.peers, &w.conn.peer);
	say("[6,{},\"wamp.close.normal\"]");
	assert_int_equal(w.conn.peer.state, PEER_LEAVING);
	say("[16,1,{},\"a.b\"]"); /* discarded */
	assert_null(posted(POST_PUBLISH));
	assert_true(w.conn.established);
	owner_says(POST_LEFT, NULL);
	assert_true(sent("[6,{},\"wamp.close.goodbye_and_out\"]"));
	assert_int_equal(w.conn.peer.state, PEER_NEW);
	assert_false(w.conn.established); /* the handshake has its deadline again */
	drop_posts();
	say("[1,\"devices\",{\"roles\":{\"caller\":{}}}]");
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	assert_false(session_ref_eq(first, peers_ref(&w.peers, &w.conn.peer)));
	client_gone(CONN_END_LOST);
	assert_non_null(posted(POST_GONE));
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_good_login),
		TEST(test_revoked_in_auth_wait_answer_older),
		TEST(test_revoked_in_auth_wait_answer_newer),
		TEST(test_revoked_when_challenged),
		TEST(test_revoked_while_the_signature_waits),
		TEST(test_refused_in_joining),
		TEST(test_killed_in_joining),
		TEST(test_killed_when_joined),
		TEST(test_too_many_revocations_is_no_abort),
		TEST(test_an_extra_that_cannot_be_said),
		TEST(test_a_late_answer_is_for_nobody),
		TEST(test_gone_while_joining),
		TEST(test_a_second_authenticate),
		TEST(test_a_replayed_signature),
		TEST(test_goodbye_and_another_session),
	};
	if (sodium_init() < 0)
		return 1;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}
