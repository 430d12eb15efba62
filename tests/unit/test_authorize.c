/* SPDX-License-Identifier: Apache-2.0 */
/* peer/authorize: a request of a role with an authorizer waits, and is handled or refused
 * when the answer comes, whatever happens meanwhile. */
#include "tests/unit/login_fixture.h"

#include "routerd/peer/authorize.h"

#define YES   "\xc3"
#define CALL1 "[48,1,{\"timeout\":5},\"com.example.add\"]"

static struct peer *session(void)
{
	return &w.conn.peer;
}

static void set_authorizer(const char *name)
{
	struct rights *rights;
	size_t duplicate;

	assert_int_equal(rights_new(NULL, 0, &rights, &duplicate), 0);
	assert_int_equal(rights_set_authorizer(rights, name), 0);
	rights_unref(&session()->rights);
	session()->rights = rights;
}

/* A session whose role has this authorizer. */
static void join_with(const char *name)
{
	say_hello();
	answer(5);
	say_authenticate();
	verify_signatures();
	owner_says(POST_JOINED, NULL);
	set_authorizer(name);
	drop_posts();
	w.conn.sent[0] = '\0';
}

static bool gone;

static void leave(enum conn_end end)
{
	gone = true;
	client_gone(end);
}

static int setup_session(void **state)
{
	int err = setup(state);

	gone = false;
	join_with("authd");
	return err;
}

/* bytes NULL: memory ran out. */
static void decide(struct session_ref to, uint64_t number, enum login_outcome outcome,
		   const char *bytes)
{
	struct login_message head = {.outcome = outcome};

	attach_post(&w.peers,
		    &(struct post){
			    .type = POST_AUTHORIZED,
			    .session = to,
			    .id = number,
			    .login = bytes == NULL
					     ? NULL
					     : login_message_new(&head, slice_str(bytes)),
		    });
}

static struct session_ref self(void)
{
	return peer_ref(session());
}

/* What conn_release leads to, in a later turn. */
static void say_again(void)
{
	char held[sizeof(w.conn.held)];

	memcpy(held, w.conn.held, sizeof(held));
	say(held);
}

/* --- tests --- */

static void test_asks_and_waits(void **state)
{
	struct auth_authorize q;

	(void)state;
	say(CALL1);
	assert_int_equal(w.conn.holds, 1);
	assert_string_equal(w.conn.held, CALL1);
	assert_null(posted(POST_CALL));
	const struct post *post = must_have_posted(POST_AUTHORIZE);
	assert_int_equal(post->login->kind, QUESTION_AUTHORIZE);
	assert_in_range(post->login->deadline_ms, loop_now_ms(w.loop) + 1000,
			loop_now_ms(w.loop) + 2000);
	assert_int_equal(auth_authorize_read(login_message_bytes(post->login), &q), 0);
	assert_true(slice_eq_str(q.uri, "com.example.add"));
	assert_true(slice_eq_str(q.action, "call"));
	assert_true(slice_eq_str(q.options, "\x81\xa7timeout\x05"));
	assert_true(slice_eq_str(q.authid, "client01"));
	assert_string_equal(w.conn.sent, "");
}

static void test_allowed(void **state)
{
	(void)state;
	say(CALL1);
	decide(self(), 1, LOGIN_RESULT, YES);
	assert_int_equal(w.conn.releases, 1);
	assert_null(posted(POST_CALL)); /* the connection gives it again */
	say_again();
	assert_int_equal(must_have_posted(POST_CALL)->disclose, DISCLOSE_NO);
	assert_int_equal(w.conn.holds, 1);
	/* the answer was for one request */
	say("[48,2,{},\"com.example.add\"]");
	assert_int_equal(w.conn.holds, 2);
	assert_int_equal(session()->question, 2);
}

static void test_refused(void **state)
{
	static const struct {
		enum login_outcome outcome;
		const char *bytes, *uri, *text;
	} rows[] = {
		{LOGIN_RESULT, "\xc2", "wamp.error.not_authorized",
		 "[\"this session's role may not call <com.example.add>\"]"},
		{LOGIN_RESULT,
		 "\x81\xa5"
		 "allow\xc2",
		 "wamp.error.not_authorized", ""},
		{LOGIN_RESULT, "\x01", "wamp.error.authorization_failed",
		 "the authorizer has failed"},
		{LOGIN_ERROR, "\xa3x.y", "x.y", ""},
		{LOGIN_ERROR, "\x92\xa3x.y\xa2no", "x.y", "[\"no\"]"},
		{LOGIN_ERROR, "\x01", "wamp.error.authorization_failed", ""},
		{LOGIN_TIMEOUT, "", "wamp.error.authorization_failed",
		 "did not answer in time"},
		{LOGIN_RESULT, NULL, "wamp.error.authorization_failed", "out of memory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		w.conn.sent[0] = '\0';
		say(CALL1);
		decide(self(), i + 1, rows[i].outcome, rows[i].bytes);
		say_again();
		assert_true(sent("[8,48,1,{},\""));
		assert_true(sent(rows[i].uri));
		assert_true(sent(rows[i].text));
		assert_null(posted(POST_CALL));
		assert_int_equal(session()->authorize_state, AUTHORIZE_IDLE);
		drop_posts();
	}
	assert_int_equal(w.peers.counters[PEER_AUTHORIZATIONS_FAILED], 4);
	assert_int_equal(w.peers.counters[PEER_NOT_AUTHORIZED], 4);
}

static void test_silent_without_acknowledge(void **state)
{
	(void)state;
	say("[16,1,{},\"com.example.t\"]");
	decide(self(), 1, LOGIN_UNAVAILABLE, "");
	say_again();
	say("[16,2,{},\"com.example.t\"]");
	decide(self(), 2, LOGIN_RESULT, "\xc2");
	say_again();
	assert_string_equal(w.conn.sent, "");
	assert_null(posted(POST_PUBLISH));
	assert_int_equal(w.peers.counters[PEER_PUBLISHES_DROPPED], 2);
}

static void test_answers_for_nobody(void **state)
{
	(void)state;
	decide(self(), 0, LOGIN_RESULT, YES); /* nothing was asked */
	say(CALL1);
	decide(self(), 2, LOGIN_RESULT, YES); /* of another question */
	decide(self(), 0, LOGIN_RESULT, YES);
	assert_int_equal(w.conn.releases, 0);
	decide(self(), 1, LOGIN_RESULT, YES);
	decide(self(), 1, LOGIN_RESULT, "\xc2"); /* twice */
	assert_int_equal(w.conn.releases, 1);
	assert_int_equal(w.peers.counters[PEER_POSTS_STALE], 4);
	say_again();
	assert_non_null(posted(POST_CALL));
}

static void test_never_asked(void **state)
{
	(void)state;
	say("[70,1,{}]");
	say("[34,1,5]");
	say("[66,2,5]");
	say("[49,1,{}]");
	say("[8,68,1,{},\"a.b\"]");
	say("[48,3,{},\"a..b\"]");
	assert_int_equal(w.conn.holds, 0);
	assert_null(posted(POST_AUTHORIZE));
	assert_non_null(posted(POST_YIELD));
	assert_true(sent("[8,48,3,{},\"wamp.error.invalid_uri\""));
}

static void test_gone_while_it_waits(void **state)
{
	struct session_ref was = self();

	(void)state;
	say(CALL1);
	leave(CONN_END_LOST);
	assert_non_null(posted(POST_LOGIN_CANCEL));
	assert_non_null(posted(POST_GONE));
	decide(was, 1, LOGIN_RESULT, YES);
	assert_int_equal(w.conn.releases, 0);
	assert_int_equal(w.peers.counters[PEER_POSTS_STALE], 1);
}

/* The answer is there, and the connection ends before it gives the request again. */
static void test_gone_when_answered(void **state)
{
	(void)state;
	say(CALL1);
	decide(self(), 1, LOGIN_RESULT, YES);
	leave(CONN_END_LOST);
	assert_null(posted(POST_LOGIN_CANCEL));
	assert_null(session()->answer);
}

static void test_killed_while_it_waits(void **state)
{
	struct session_ref was = self();

	(void)state;
	say(CALL1);
	owner_says(POST_KILLED, revocation_of(6));
	assert_true(sent("[6,{\"message\":\"gone\"},\"com.example.revoked\"]"));
	assert_non_null(posted(POST_LOGIN_CANCEL));
	decide(was, 1, LOGIN_RESULT, YES);
	assert_int_equal(w.conn.releases, 0);
	say(CALL1);
	assert_null(posted(POST_CALL));
	leave(CONN_END_OWN);
}

/* A reload decides about a request that waits: by permissions that allow or deny it. */
static void test_other_rights_meanwhile(void **state)
{
	const struct permission all = {
		.uri = "",
		.match = MATCH_PREFIX,
		.allow = {[ACTION_CALL] = true},
		.trust_level = -1,
	};
	size_t duplicate;

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		set_authorizer("authd");
		say(CALL1);
		rights_unref(&session()->rights);
		assert_int_equal(rights_new(&all, n, &session()->rights, &duplicate), 0);
		decide(self(), n + 1, LOGIN_RESULT, n == 0 ? YES : "\xc2");
		say_again();
		assert_true((posted(POST_CALL) != NULL) == (n == 1));
		assert_true(sent("wamp.error.not_authorized"));
		assert_int_equal(session()->authorize_state, AUTHORIZE_IDLE);
	}
	assert_null(session()->answer);
}

/* After a reload a role may have an authorizer that the router was not started with. */
static void test_unknown_authorizer(void **state)
{
	(void)state;
	set_authorizer("new");
	say(CALL1);
	assert_int_equal(w.conn.holds, 0);
	assert_true(sent("wamp.error.authorization_failed"));
	assert_true(sent("which the router asks only after a restart"));
}

/* The authorizer discloses whoever calls or publishes; a callee that registers does not
 * demand to know its callers. */
static void test_discloses(void **state)
{
	static const struct {
		const char *message;
		enum post_type type;
		enum disclose expected;
	} rows[] = {
		{"[48,1,{\"disclose_me\":false},\"a.b\"]", POST_CALL, DISCLOSE_YES},
		{"[16,1,{},\"a.b\"]", POST_PUBLISH, DISCLOSE_YES},
		{"[64,1,{},\"a.b\"]", POST_REGISTER, DISCLOSE_NO},
		{"[64,1,{\"disclose_caller\":true},\"a.b\"]", POST_REGISTER,
		 DISCLOSE_YES},
		{"[32,1,{},\"a.b\"]", POST_SUBSCRIBE, DISCLOSE_NO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		drop_posts();
		say(rows[i].message);
		decide(self(), i + 1, LOGIN_RESULT,
		       "\x82\xa5"
		       "allow\xc3\xa8"
		       "disclose\xc3");
		say_again();
		assert_int_equal(must_have_posted(rows[i].type)->disclose,
				 rows[i].expected);
	}
}

/* What a permission says about disclosure, and what the client asks for. */
static void test_disclosure(void **state)
{
	static const struct {
		enum disclosure rule;
		const char *option;
		enum disclose expected;
		bool refused;
	} rows[] = {
		{DISCLOSURE_ALLOW, "", DISCLOSE_NO, false},
		{DISCLOSURE_ALLOW, "\"disclose_me\":false", DISCLOSE_NO, false},
		{DISCLOSURE_ALLOW, "\"disclose_me\":true", DISCLOSE_YES, false},
		{DISCLOSURE_FORCE, "", DISCLOSE_YES, false},
		{DISCLOSURE_FORCE, "\"disclose_me\":false", DISCLOSE_YES, false},
		{DISCLOSURE_FORCE, "\"disclose_me\":true", DISCLOSE_YES, false},
		{DISCLOSURE_IGNORE, "", DISCLOSE_NEVER, false},
		{DISCLOSURE_IGNORE, "\"disclose_me\":true", DISCLOSE_NEVER, false},
		{DISCLOSURE_REFUSE, "", DISCLOSE_NEVER, false},
		{DISCLOSURE_REFUSE, "\"disclose_me\":false", DISCLOSE_NEVER, false},
		{DISCLOSURE_REFUSE, "\"disclose_me\":true", DISCLOSE_NO, true},
	};
	static const enum action actions[] = {ACTION_CALL, ACTION_PUBLISH};
	static const enum post_type types[] = {POST_CALL, POST_PUBLISH};
	size_t dropped = 0;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		size_t row = i / 2, kind = i % 2, duplicate;
		struct permission p = {.uri = "a.b", .trust_level = (int)row - 1};
		char text[100];

		p.allow[actions[kind]] = true;
		p.disclose[actions[kind]] = rows[row].rule;
		rights_unref(&session()->rights);
		assert_int_equal(rights_new(&p, 1, &session()->rights, &duplicate), 0);
		snprintf(text, sizeof(text), "[%d,1,{%s},\"a.b\"]",
			 kind == 0 ? WAMP_CALL : WAMP_PUBLISH, rows[row].option);
		w.conn.sent[0] = '\0';
		drop_posts();
		say(text);
		if (!rows[row].refused) {
			const struct post *post = must_have_posted(types[kind]);
			assert_int_equal(post->disclose, rows[row].expected);
			assert_int_equal(post->trust, row);
			continue;
		}
		assert_null(posted(types[kind]));
		dropped += kind;
		assert_int_equal(w.peers.counters[PEER_PUBLISHES_DROPPED], dropped);
		assert_true(
			sent("[8,48,1,{},\"wamp.error.option_disallowed.disclose_me\"") ==
			(kind == 0));
	}
	assert_int_equal(dropped, 1);
}

static int teardown_session(void **state)
{
	if (!gone)
		client_gone(CONN_END_LOST);
	return teardown(state);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_session, teardown_session)
	const struct CMUnitTest tests[] = {
		TEST(test_asks_and_waits),
		TEST(test_allowed),
		TEST(test_refused),
		TEST(test_silent_without_acknowledge),
		TEST(test_answers_for_nobody),
		TEST(test_never_asked),
		TEST(test_gone_while_it_waits),
		TEST(test_gone_when_answered),
		TEST(test_killed_while_it_waits),
		TEST(test_other_rights_meanwhile),
		TEST(test_unknown_authorizer),
		TEST(test_disclosure),
		TEST(test_discloses),
	};

	if (sodium_init() < 0)
		return 1;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("authorize", tests, NULL, NULL);
}
