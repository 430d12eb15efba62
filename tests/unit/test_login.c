/* SPDX-License-Identifier: Apache-2.0 */
/* peer/: a login from HELLO to WELCOME, and a revocation at each step of it. */
#include "tests/unit/login_fixture.h"

/* --- tests --- */

static void test_a_good_login(void **state)
{
	(void)state;
	say_hello();
	answer(5);
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	say_authenticate();
	assert_null(posted(POST_JOIN)); /* the signature is checked in a later turn */
	verify_signatures();
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	assert_non_null(posted(POST_JOIN));
	assert_memory_equal(must_have_posted(POST_JOIN)->identity->pubkey.octets, w.pk,
			    sizeof(w.pk));
	assert_int_equal(
		must_have_posted(POST_JOIN)->identity->features.of[WAMP_ROLE_CALLEE],
		WAMP_FEATURE_CALL_CANCELING);
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
	say_hello();
	assert_int_equal(revoke_at(6), 0); /* the principal is not known yet */
	assert_int_equal(w.conn.peer.state, PEER_AUTH_WAIT);
	answer(5);
	assert_revoked();
	assert_false(sent("[4,"));
	client_gone(CONN_END_OWN);
}

static void test_revoked_in_auth_wait_answer_newer(void **state)
{
	(void)state;
	say_hello();
	revoke_at(6);
	answer(6); /* the answer is newer than the revocation: let in */
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	client_gone(CONN_END_LOST);
}

static void test_revoked_when_challenged(void **state)
{
	(void)state;
	say_hello();
	answer(5);
	assert_int_equal(revoke_at(5), 0); /* the answer already includes this change */
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	assert_int_equal(revoke_at(6), 1);
	assert_revoked();
	client_gone(CONN_END_OWN);
}

static void test_revoked_while_the_signature_waits(void **state)
{
	(void)state;
	say_hello();
	answer(5);
	say_authenticate();
	assert_int_equal(revoke_at(6), 1);
	assert_revoked();
	verify_signatures();
	assert_null(posted(POST_JOIN));
	client_gone(CONN_END_OWN);
}

static void join(void)
{
	say_hello();
	answer(5);
	say_authenticate();
	verify_signatures();
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
}

/* The owner gets the revocation before the JOIN. */
static void test_refused_in_joining(void **state)
{
	(void)state;
	join();
	assert_int_equal(revoke_at(6), 1); /* left to the owner */
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	owner_says(POST_JOIN_REFUSED, revocation_of(6));
	assert_revoked();
	client_gone(CONN_END_OWN);
}

/* The owner gets the JOIN before the revocation, and sends JOINED, then KILLED. */
static void test_killed_in_joining(void **state)
{
	(void)state;
	join();
	assert_int_equal(revoke_at(6), 1);
	owner_says(POST_JOINED, NULL);
	assert_int_equal(revoke_at(6), 0);
	owner_says(POST_KILLED, revocation_of(6));
	assert_true(sent("[6,{\"message\":\"gone\"},\"com.example.revoked\"]"));
	assert_int_equal(w.conn.peer.state, PEER_CLOSING);
	client_gone(CONN_END_OWN);
	assert_null(posted(POST_GONE)); /* the owner knows already */
}

static void test_killed_when_joined(void **state)
{
	(void)state;
	join();
	owner_says(POST_JOINED, NULL);
	assert_int_equal(revoke_at(6), 10);
	assert_int_equal(w.conn.peer.state, PEER_JOINED); /* left to the owner */
	owner_says(POST_KILLED, revocation_of(6));
	assert_int_equal(revoke_at(7), 0);
	client_gone(CONN_END_OWN);
}

/* The revocation ended a session that said GOODBYE before the owner heard of it. */
static void test_revoked_in_the_session_after_goodbye(void **state)
{
	(void)state;
	join();
	owner_says(POST_JOINED, NULL);
	assert_int_equal(revoke_at(6), 10);
	say("[6,{},\"wamp.close.normal\"]");
	owner_says(POST_LEFT, NULL);
	assert_int_equal(w.conn.peer.state, PEER_NEW);
	drop_posts();
	w.conn.sent[0] = '\0';
	say_hello();
	answer(6);
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	assert_int_equal(revoke_at(7), 1);
	assert_revoked();
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

/* No session was opened, so none is reported as closed. */
static void test_an_extra_that_cannot_be_said(void **state)
{
	static const char nan[] = "\x81\xa1x\xcb\x7f\xf8\0\0\0\0\0\0";

	(void)state;
	say_hello();
	answer_with(5, slice_of(nan, sizeof(nan) - 1));
	say_authenticate();
	verify_signatures();
	owner_says(POST_JOINED, NULL);
	assert_false(sent("[2,"));
	assert_true(sent("wamp.error.authentication_failed"));
	assert_non_null(posted(POST_GONE));
	client_gone(CONN_END_OWN);
	assert_int_equal(w.peers.counters[PEER_SESSIONS_OPENED], 0);
	assert_int_equal(w.peers.counters[PEER_SESSIONS_CLOSED], 0);
	assert_null(posted(POST_LOGIN_REPORT));
}

/* --- a reload removes the role --- */

static void test_role_gone_in_auth_wait(void **state)
{
	(void)state;
	say_hello();
	assert_int_equal(reload_with_role("other"), 0); /* the role is not known yet */
	assert_int_equal(w.conn.peer.state, PEER_AUTH_WAIT);
	answer(5);
	assert_role_gone();
	assert_false(sent("[4,"));
	client_gone(CONN_END_OWN);
}

static void test_role_gone_when_challenged(void **state)
{
	(void)state;
	say_hello();
	answer(5);
	assert_int_equal(reload_with_role("other"), 1);
	assert_role_gone();
	client_gone(CONN_END_OWN);
	assert_null(posted(POST_JOIN));
}

static void test_role_gone_while_the_signature_waits(void **state)
{
	(void)state;
	say_hello();
	answer(5);
	say_authenticate();
	assert_int_equal(reload_with_role("other"), 1);
	assert_role_gone();
	verify_signatures();
	client_gone(CONN_END_OWN);
	assert_null(posted(POST_JOIN));
}

/* RELOAD comes before the owner's answer, which is then for nobody. */
static void role_gone_in_joining(enum post_type answer_type)
{
	join();
	struct session_ref old = peer_ref(&w.conn.peer);

	assert_int_equal(reload_with_role("other"), 1);
	assert_role_gone();
	assert_non_null(posted(POST_GONE));
	attach_post(&w.peers,
		    &(struct post){.type = (uint8_t)answer_type, .session = old});
	assert_false(sent("[2,"));
	assert_int_equal(w.peers.counters[PEER_POSTS_STALE], 1);
	client_gone(CONN_END_OWN);
}

static void test_role_gone_in_joining(void **state)
{
	(void)state;
	role_gone_in_joining(POST_JOINED);
}

static void test_role_gone_in_joining_and_refused(void **state)
{
	(void)state;
	role_gone_in_joining(POST_JOIN_REFUSED);
}

/* JOINED comes before RELOAD: the session ends. A revocation that is on its way is then
 * for nobody. */
static void test_role_gone_when_joined(void **state)
{
	(void)state;
	join();
	struct session_ref old = peer_ref(&w.conn.peer);

	owner_says(POST_JOINED, NULL);
	assert_int_equal(reload_with_role("other"), 10);
	assert_true(
		sent("[6,{\"message\":\"the role of this session was removed from the "
		     "configuration\"},\"wamp.error.no_such_role\"]"));
	assert_int_equal(w.conn.peer.state, PEER_CLOSING);
	assert_true(session_ref_eq(must_have_posted(POST_GONE)->session, old));
	attach_post(&w.peers, &(struct post){.type = POST_KILLED,
					     .session = old,
					     .revocation = revocation_of(6)});
	assert_false(sent("com.example.revoked"));
	client_gone(CONN_END_OWN);
}

/* The new policy is in force, but JOINED comes before its turn in the walk. */
static void test_joined_between_the_switch_and_the_walk(void **state)
{
	(void)state;
	join();
	begin_reload("other");
	owner_says(POST_JOINED, NULL);
	assert_role_gone();
	assert_non_null(posted(POST_GONE));
	assert_int_equal(end_reload(), 0);
	client_gone(CONN_END_OWN);
}

/* A session that leaves is left alone. */
static void test_role_gone_when_leaving(void **state)
{
	(void)state;
	join();
	owner_says(POST_JOINED, NULL);
	say("[6,{},\"wamp.close.close_realm\"]");
	assert_int_equal(reload_with_role("other"), 0);
	owner_says(POST_LEFT, NULL);
	assert_true(sent("wamp.close.goodbye_and_out"));
	assert_false(sent("no_such_role"));
	client_gone(CONN_END_LOST);
}

static void test_rights_are_replaced(void **state)
{
	(void)state;
	join();
	owner_says(POST_JOINED, NULL);
	struct rights *before = w.conn.peer.rights;
	assert_int_equal(reload_with_role("device"), 0);
	assert_ptr_not_equal(w.conn.peer.rights, before);
	assert_ptr_equal(w.conn.peer.rights,
			 policy_rights(w.policy, 0, w.conn.peer.identity->role));
	client_gone(CONN_END_LOST);
}

static void test_a_late_answer_is_for_nobody(void **state)
{
	struct session_ref old;

	(void)state;
	say_hello();
	old = peer_ref(&w.conn.peer);
	client_gone(CONN_END_LOST);
	assert_non_null(posted(POST_LOGIN_CANCEL));
	connect_client(); /* it gets the same slot */
	struct login_message head = {.outcome = LOGIN_UNAVAILABLE};
	attach_post(&w.peers,
		    &(struct post){
			    .type = POST_LOGIN_ANSWER,
			    .session = old,
			    .login = login_message_new(&head, slice_of(NULL, 0)),
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
	old = peer_ref(&w.conn.peer);
	client_gone(CONN_END_LOST);
	assert_non_null(posted(POST_GONE));
	assert_true(session_ref_eq(must_have_posted(POST_GONE)->session, old));
	connect_client();
	attach_post(&w.peers, &(struct post){.type = POST_JOINED, .session = old});
	assert_int_equal(w.conn.peer.state, PEER_NEW);
	client_gone(CONN_END_LOST);
}

static void test_a_second_authenticate(void **state)
{
	(void)state;
	say_hello();
	answer(5);
	say_authenticate();
	say_authenticate();
	assert_true(sent("wamp.error.protocol_violation"));
	verify_signatures();
	assert_null(posted(POST_JOIN));
	client_gone(CONN_END_OWN);
}

static void test_a_replayed_signature(void **state)
{
	char first[8192], json[512];
	unsigned char sig[crypto_sign_BYTES], challenge[32] = {1};
	char sig_hex[2 * sizeof(sig) + 1], challenge_hex[65];

	(void)state;
	(void)first;
	say_hello();
	answer(5);
	/* signed with the right key, but not our challenge */
	crypto_sign_detached(sig, NULL, challenge, sizeof(challenge), w.sk);
	sodium_bin2hex(sig_hex, sizeof(sig_hex), sig, sizeof(sig));
	sodium_bin2hex(challenge_hex, sizeof(challenge_hex), challenge,
		       sizeof(challenge));
	snprintf(json, sizeof(json), "[5,\"%s%s\",{}]", sig_hex, challenge_hex);
	say(json);
	verify_signatures();
	assert_true(sent("instead of the challenge"));
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
	struct session_ref first = peer_ref(&w.conn.peer);
	say("[6,{},\"wamp.close.normal\"]");
	assert_int_equal(w.conn.peer.state, PEER_LEAVING);
	say("[16,1,{},\"a.b\"]"); /* ignored */
	assert_null(posted(POST_PUBLISH));
	assert_true(w.conn.established);
	owner_says(POST_LEFT, NULL);
	assert_true(sent("[6,{},\"wamp.close.goodbye_and_out\"]"));
	assert_int_equal(w.conn.peer.state, PEER_NEW);
	/* the deadline for the handshake applies again */
	assert_false(w.conn.established);
	drop_posts();
	say("[1,\"devices\",{\"roles\":{\"caller\":{}}}]");
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	assert_false(session_ref_eq(first, peer_ref(&w.conn.peer)));
	client_gone(CONN_END_LOST);
	assert_non_null(posted(POST_GONE));
}

/* --- tickets --- */

static void say_hello_for_ticket(void)
{
	say("[1,\"devices\",{\"roles\":{\"caller\":{}},\"authmethods\":[\"ticket\"],"
	    "\"authid\":\"joe\"}]");
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	assert_true(sent("[4,\"ticket\",{}]"));
	assert_null(posted(POST_LOGIN));
}

static void say_ticket(void)
{
	/* the escape makes the router decode it into memory of its own */
	say("[5,\"s3cr\\u0065t\",{\"x\":1}]");
	assert_int_equal(w.conn.peer.state, PEER_AUTH_WAIT);
}

static void test_a_good_ticket(void **state)
{
	struct auth_request q;

	(void)state;
	say_hello_for_ticket();
	uint64_t deadline = w.conn.peer.login->deadline_ms;
	say_ticket();
	const struct login_message *asked = must_have_posted(POST_LOGIN)->login;
	assert_int_equal(asked->deadline_ms, deadline);
	assert_int_equal(auth_request_read(login_message_bytes(asked), &q), 0);
	assert_true(slice_eq_str(q.authmethod, "ticket"));
	assert_true(slice_eq_str(q.ticket, "s3cret"));
	assert_true(slice_eq_str(q.realm, "devices"));
	assert_true(slice_eq_str(q.authid, "joe"));
	assert_true(slice_eq_str(q.transport.path, "/ws"));
	answer(5);
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	const struct identity *i = must_have_posted(POST_JOIN)->identity;
	assert_string_equal(i->authmethod, "ticket");
	assert_true(slice_eq_str(i->authid, "client01"));
	assert_false(i->pubkey.there);
	owner_says(POST_JOINED, NULL);
	assert_int_equal(w.conn.peer.state, PEER_JOINED);
	assert_true(sent("\"authmethod\":\"ticket\""));
	client_gone(CONN_END_LOST);
}

/* The message and what was decoded from it are overwritten. */
static void test_no_ticket_is_left(void **state)
{
	(void)state;
	say_hello_for_ticket();
	say_ticket();
	for (size_t i = 0; i < strlen("[5,\"s3cr\\u0065t\",{\"x\":1}]"); i++)
		assert_int_equal(said[i], 0);
	for (size_t i = 0; i < w.peers.decoded.len; i++)
		assert_int_equal(w.peers.decoded.data[i], 0);
	client_gone(CONN_END_LOST);
}

static void test_revoked_before_the_ticket(void **state)
{
	(void)state;
	say_hello_for_ticket();
	assert_int_equal(revoke_at(6), 0); /* nobody knows yet who this is */
	assert_int_equal(w.conn.peer.state, PEER_CHALLENGED);
	say_ticket();
	answer(5);
	assert_true(sent("[3,{\"message\":\"gone\"},\"com.example.revoked\"]"));
	assert_null(posted(POST_JOIN));
	client_gone(CONN_END_OWN);
}

static void test_revoked_while_the_ticket_is_asked_about(void **state)
{
	(void)state;
	say_hello_for_ticket();
	say_ticket();
	assert_int_equal(revoke_at(6), 0);
	answer(6); /* newer than the revocation */
	assert_int_equal(w.conn.peer.state, PEER_JOINING);
	assert_int_equal(revoke_at(7), 1);
	owner_says(POST_JOIN_REFUSED, revocation_of(7));
	assert_true(sent("com.example.revoked"));
	assert_false(sent("[2,"));
	client_gone(CONN_END_OWN);
}

static void test_a_second_ticket(void **state)
{
	(void)state;
	say_hello_for_ticket();
	say_ticket();
	say("[5,\"other\",{}]");
	assert_true(sent("wamp.error.protocol_violation"));
	assert_non_null(posted(POST_LOGIN_CANCEL));
	client_gone(CONN_END_OWN);
}

static void test_tickets_of_the_wrong_length(void **state)
{
	static char json[AUTH_MAX_STRING + 32];

	(void)state;
	say_hello_for_ticket();
	say("[5,\"\",{}]");
	assert_true(sent("[3,{\"message\":\"the ticket is empty\"},"
			 "\"wamp.error.authentication_denied\"]"));
	client_gone(CONN_END_OWN);
	for (int more = 0; more < 2; more++) {
		connect_client();
		say_hello_for_ticket();
		snprintf(json, sizeof(json), "[5,\"%0*d\",{}]", AUTH_MAX_STRING + more,
			 0);
		say(json);
		assert_int_equal(posted(POST_LOGIN) != NULL, more == 0);
		assert_int_equal(sent("[3,"), more == 1);
		client_gone(CONN_END_OWN);
		drop_posts();
	}
}

/* Nobody was asked, so nobody is told. */
static void test_gone_before_the_ticket(void **state)
{
	(void)state;
	say_hello_for_ticket();
	client_gone(CONN_END_HANDSHAKE);
	assert_int_equal(n_posts, 0);
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
		TEST(test_revoked_in_the_session_after_goodbye),
		TEST(test_too_many_revocations_is_no_abort),
		TEST(test_an_extra_that_cannot_be_said),
		TEST(test_role_gone_in_auth_wait),
		TEST(test_role_gone_when_challenged),
		TEST(test_role_gone_while_the_signature_waits),
		TEST(test_role_gone_in_joining),
		TEST(test_role_gone_in_joining_and_refused),
		TEST(test_role_gone_when_joined),
		TEST(test_joined_between_the_switch_and_the_walk),
		TEST(test_role_gone_when_leaving),
		TEST(test_rights_are_replaced),
		TEST(test_a_late_answer_is_for_nobody),
		TEST(test_gone_while_joining),
		TEST(test_a_second_authenticate),
		TEST(test_a_replayed_signature),
		TEST(test_goodbye_and_another_session),
		TEST(test_a_good_ticket),
		TEST(test_no_ticket_is_left),
		TEST(test_revoked_before_the_ticket),
		TEST(test_revoked_while_the_ticket_is_asked_about),
		TEST(test_a_second_ticket),
		TEST(test_tickets_of_the_wrong_length),
		TEST(test_gone_before_the_ticket),
	};
	if (sodium_init() < 0)
		return 1;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}
