/* SPDX-License-Identifier: Apache-2.0 */
/* peer/deliver and peer/broken: the posts of a call, as its caller's and its callee's
 * worker gets them. The test is the owner. */
#include "tests/unit/failing_malloc.h"

#include "routerd/peer/broken.c"
#include "routerd/peer/unsent.c"
#include "routerd/post/payload.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include "tests/unit/login_fixture.h"

static uint64_t invocation; /* of the next INVOCATION that the owner posts */

static struct peer *session(void)
{
	return &w.conn.peer;
}

static void log_in(void)
{
	say_hello();
	answer(5);
	say_authenticate();
	verify_signatures();
	owner_says(POST_JOINED, NULL);
	drop_posts();
	w.conn.sent[0] = '\0';
}

static int setup_session(void **state)
{
	int err = setup(state);

	allocations = fail_at = 0;
	invocation = 3;
	log_in();
	return err;
}

static int teardown_session(void **state)
{
	client_gone(CONN_END_LOST);
	assert_int_equal(w.peers.broken.count, 0);
	assert_int_equal(not_freed, 0);
	return teardown(state);
}

/* --- what the owner posts --- */

static void deliver_post(struct post p)
{
	p.session = peer_ref(session());
	attach_post(&w.peers, &p);
}

/* A RESULT with these Arguments, in MessagePack. */
static void result(uint64_t request, bool progress, const char *arguments)
{
	struct msg_payload items = {slice_str(arguments), 1};
	struct payload *payload =
		payload_new(SERIALIZER_MSGPACK, slice_of(NULL, 0), items);

	assert_non_null(payload);
	deliver_post((struct post){.type = POST_RESULT,
				   .request = request,
				   .progress = progress,
				   .payload = payload});
}

static void invoke_with(struct payload *payload)
{
	assert_non_null(payload);
	deliver_post((struct post){.type = POST_INVOCATION,
				   .request = invocation,
				   .id = 4,
				   .progress = true,
				   .disclosed = identity_ref(session()->identity),
				   .payload = payload});
}

static void invoke(void)
{
	invoke_with(payload_new(SERIALIZER_JSON, slice_of(NULL, 0),
				(struct msg_payload){.items = 0}));
}

/* An INVOCATION with these Arguments, in MessagePack. */
static void invoke_once(const char *arguments)
{
	invoke_with(payload_new(SERIALIZER_MSGPACK, slice_of(NULL, 0),
				(struct msg_payload){slice_str(arguments), 1}));
}

#define SEVEN "\x91\x07"
#define NAN_  "\x91\xca\x7f\xc0\xff\xff" /* no zero bytes */

static void progress(uint64_t request)
{
	result(request, true, SEVEN);
}

static void break_call(uint64_t request)
{
	result(request, true, NAN_);
}

static void owners_error(uint64_t request)
{
	deliver_post((struct post){.type = POST_ERROR,
				   .request_type = WAMP_CALL,
				   .request = request,
				   .error = {WAMP_ERROR_CANCELED, "over"}});
}

/* --- what it leads to --- */

static void expect_sent(const char *messages)
{
	assert_string_equal(w.conn.sent, messages);
	w.conn.sent[0] = '\0';
}

static void expect_error_sent(uint64_t request, const char *uri)
{
	char begin[200];

	snprintf(begin, sizeof(begin), "[8,48,%u,{},\"%s\",[\"", (unsigned)request, uri);
	assert_memory_equal(w.conn.sent, begin, strlen(begin));
	/* it is the only message */
	assert_ptr_equal(strchr(w.conn.sent, '\n'), strrchr(w.conn.sent, '\n'));
	w.conn.sent[0] = '\0';
}

#define NAN_IN_JSON                                                                      \
	"the callee's answer: YIELD.Arguments[0]: NaN and Infinity cannot be "           \
	"expressed in JSON"

/* The owner was told, once. The payload carries the text; if memory ran out, text does.
 */
static void expect_reported_with(enum wamp_type request_type, uint64_t request,
				 const char *uri, const char *words, const char *text)
{
	assert_int_equal(n_posts, 1);
	assert_int_equal(posts[0].type, request_type == WAMP_INVOCATION
						? POST_UNSENT
						: POST_UNDELIVERABLE);
	assert_int_equal(posts[0].request_type, request_type);
	assert_int_equal(posts[0].request, request);
	assert_string_equal(posts[0].error.uri, uri);
	if (words == NULL) {
		assert_null(posts[0].payload);
		assert_string_equal(posts[0].error.text, text);
	} else {
		assert_true(slice_eq_str(payload_uri(posts[0].payload), words));
		assert_null(posts[0].error.text);
	}
	drop_posts();
}

static void expect_reported(uint64_t request, const char *uri)
{
	bool slow = strcmp(uri, WAMP_ERROR_UNAVAILABLE) == 0;

	expect_reported_with(WAMP_CALL, request, uri,
			     slow ? "the receiver reads too slowly" : NAN_IN_JSON, NULL);
}

static void expect_silence(void)
{
	assert_int_equal(n_posts, 0);
	expect_sent("");
}

#define PROGRESS(request) "[50," #request ",{\"progress\":true},[7]]\n"
#define RESULT(request)   "[50," #request ",{},[7]]\n"

static void test_a_stream(void **state)
{
	(void)state;
	progress(1);
	progress(2);
	progress(1);
	result(1, false, SEVEN);
	result(2, false, SEVEN);
	expect_sent(PROGRESS(1) PROGRESS(2) PROGRESS(1) RESULT(1) RESULT(2));
	invoke();
	char expected[200];
	snprintf(expected, sizeof(expected),
		 "[68,3,4,{\"receive_progress\":true,\"caller\":%llu,"
		 "\"caller_authid\":\"client01\",\"caller_authrole\":\"device\"}]\n",
		 (unsigned long long)session()->identity->session);
	expect_sent(expected);
	expect_silence();
}

/* The rest of the stream is dropped, and its final result becomes the one ERROR. */
static void test_the_final_result_comes_first(void **state)
{
	(void)state;
	progress(1);
	expect_sent(PROGRESS(1));
	break_call(1);
	expect_sent("");
	expect_reported(1, WAMP_ERROR_INVALID_ARGUMENT);
	progress(1);
	break_call(1);
	progress(2);
	expect_sent(PROGRESS(2)); /* another call */
	expect_silence();
	result(1, false, SEVEN);
	expect_error_sent(1, WAMP_ERROR_INVALID_ARGUMENT);
	expect_silence();
	/* the id is free */
	progress(1);
	result(1, false, SEVEN);
	expect_sent(PROGRESS(1) RESULT(1));
}

static void test_the_error_comes_first(void **state)
{
	(void)state;
	break_call(1);
	expect_reported(1, WAMP_ERROR_INVALID_ARGUMENT);
	/* an answer to another request with the same id */
	deliver_post((struct post){.type = POST_ERROR,
				   .request_type = WAMP_SUBSCRIBE,
				   .request = 1,
				   .error = {WAMP_ERROR_UNAVAILABLE, "no"}});
	w.conn.sent[0] = '\0';
	progress(1);
	expect_silence();
	owners_error(1);
	expect_error_sent(1, WAMP_ERROR_CANCELED);
	progress(1);
	expect_sent(PROGRESS(1));
}

static void test_a_callees_error_comes_first(void **state)
{
	(void)state;
	break_call(1);
	expect_reported(1, WAMP_ERROR_INVALID_ARGUMENT);
	deliver_post((struct post){
		.type = POST_ERROR,
		.request_type = WAMP_CALL,
		.request = 1,
		.payload = payload_new(SERIALIZER_JSON, slice_str("com.example.e"),
				       (struct msg_payload){slice_str("[\"x\"]"), 1})});
	expect_error_sent(1, "com.example.e");
	assert_int_equal(w.peers.broken.count, 0);
}

/* A final result is answered here, as always; nobody else need know. */
static void test_a_final_result_is_lost(void **state)
{
	(void)state;
	progress(1);
	expect_sent(PROGRESS(1));
	result(1, false, NAN_);
	expect_error_sent(1, WAMP_ERROR_INVALID_ARGUMENT);
	expect_silence();
}

/* A stream dies before its connection does. */
static void test_the_queue_is_half_full(void **state)
{
	(void)state;
	progress(1);
	expect_sent(PROGRESS(1));
	w.conn.half_full = true;
	progress(1);
	expect_sent("");
	expect_reported(1, WAMP_ERROR_UNAVAILABLE);
	/* it has room again, but a result is missing */
	w.conn.half_full = false;
	progress(1);
	expect_silence();
	w.conn.half_full = true;
	result(1, false, SEVEN);
	expect_error_sent(1, WAMP_ERROR_UNAVAILABLE);
	/* other messages may use all of the queue */
	result(2, false, SEVEN);
	expect_sent(RESULT(2));
	invoke();
	assert_memory_equal(w.conn.sent, "[68,3,4,", 8);
	assert_int_equal(n_posts, 0);
}

static void test_the_session_ends(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 20; i++) {
		break_call(i);
		expect_reported(i, WAMP_ERROR_INVALID_ARGUMENT);
	}
	assert_int_equal(w.peers.broken.count, 20);
	say("[6,{},\"wamp.close.normal\"]");
	/* posts arrive until LEFT */
	break_call(21);
	invoke();
	expect_sent("");
	owner_says(POST_LEFT, NULL);
	assert_int_equal(w.peers.broken.count, 0);
	drop_posts();
	/* another session on the same connection */
	log_in();
	progress(1);
	expect_sent(PROGRESS(1));
	expect_silence();
	break_call(2);
	expect_reported(2, WAMP_ERROR_INVALID_ARGUMENT);
}

/* Without the mark the caller could get a result with a gap. */
static void test_no_memory(void **state)
{
	(void)state;
	fail_at = allocations + 2; /* the first is the test's own payload */
	break_call(1);
	assert_true(w.conn.dropped);
	expect_silence();
}

/* The calls end all the same, with a text that needs no memory. */
static void test_no_memory_for_the_text(void **state)
{
	static const char text[] = "the message cannot be delivered";

	(void)state;
	fail_at = allocations + 3;
	break_call(1);
	expect_reported_with(WAMP_CALL, 1, WAMP_ERROR_INVALID_ARGUMENT, NULL, text);
	/* the caller's worker has the whole text */
	result(1, false, SEVEN);
	expect_sent("[8,48,1,{},\"" WAMP_ERROR_INVALID_ARGUMENT "\",[\"" NAN_IN_JSON
		    "\"]]\n");
	fail_at = allocations + 3;
	invoke_once(NAN_);
	expect_reported_with(WAMP_INVOCATION, 3, WAMP_ERROR_INVALID_ARGUMENT, NULL, text);
	assert_false(w.conn.dropped);
	expect_silence();
}

static void test_a_call_cannot_be_expressed(void **state)
{
	(void)state;
	invoke_once(NAN_);
	expect_reported_with(
		WAMP_INVOCATION, 3, WAMP_ERROR_INVALID_ARGUMENT,
		"CALL.Arguments[0]: NaN and Infinity cannot be expressed in JSON", NULL);
	expect_silence();
}

/* The payload is not to blame. */
static void test_an_authid_cannot_be_expressed(void **state)
{
	struct slice authid = session()->identity->authid;

	(void)state;
	session()->identity->authid = slice_of("\0a", 2);
	invoke();
	expect_reported_with(WAMP_INVOCATION, 3, WAMP_ERROR_INVALID_ARGUMENT,
			     "the authid or authrole of the sender: a string that begins "
			     "with U+0000 cannot be expressed in JSON",
			     NULL);
	session()->identity->authid = authid;
	expect_silence();
}

/* --- the numbers of INVOCATIONs --- */

static void expect_unsent(uint64_t request)
{
	expect_reported_with(
		WAMP_INVOCATION, request, WAMP_ERROR_INVALID_ARGUMENT,
		"CALL.Arguments[0]: NaN and Infinity cannot be expressed in JSON", NULL);
	expect_silence();
}

static void expect_invocation(uint64_t request)
{
	char begin[20];

	snprintf(begin, sizeof(begin), "[68,%u,4,", (unsigned)request);
	assert_memory_equal(w.conn.sent, begin, strlen(begin));
	w.conn.sent[0] = '\0';
}

static void interrupt(uint64_t request)
{
	deliver_post((struct post){
		.type = POST_INTERRUPT, .request = request, .mode = WAMP_MODE_KILL});
}

static void renumbered(uint64_t n)
{
	deliver_post((struct post){.type = POST_RENUMBERED, .id = n});
}

#define INTERRUPT(request) "[69," #request ",{\"mode\":\"kill\"}]\n"

/* The client sees 3, 4, 5 and 6. */
static void test_numbers_have_no_gaps(void **state)
{
	static const bool lost[] = {false, true, true, false, true, false};
	static const uint64_t numbers[] = {3, 4, 4, 4, 5, 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lost); i++, invocation++) {
		invoke_once(lost[i] ? NAN_ : SEVEN);
		if (lost[i])
			expect_unsent(numbers[i]);
		else
			expect_invocation(numbers[i]);
	}
	/* The owner does not know yet. It gets no INTERRUPT to the client for those that
	 * were not sent. */
	for (uint64_t i = 3; i <= 8; i++)
		interrupt(i);
	expect_sent(INTERRUPT(3) INTERRUPT(4) INTERRUPT(5));
	/* it knows of two, then of all */
	renumbered(2);
	interrupt(4);
	interrupt(5);
	interrupt(6);
	expect_sent(INTERRUPT(4) INTERRUPT(5));
	invocation = 7;
	invoke_once(SEVEN);
	expect_invocation(6);
	renumbered(1);
	interrupt(6);
	expect_sent(INTERRUPT(6));
	invoke_once(NAN_);
	expect_unsent(7);
	say("[6,{},\"wamp.close.normal\"]");
	interrupt(6);
	expect_sent("");
	owner_says(POST_LEFT, NULL);
	drop_posts();
	/* another session on the same connection */
	log_in();
	invocation = 1;
	invoke_once(SEVEN);
	expect_invocation(1);
}

static void invoke_chunk(enum call_chunk chunk, const char *arguments)
{
	struct payload *payload =
		payload_new(SERIALIZER_MSGPACK, slice_of(NULL, 0),
			    (struct msg_payload){slice_str(arguments), 1});

	deliver_post((struct post){.type = POST_INVOCATION,
				   .request = invocation,
				   .id = 4,
				   .chunk = (uint8_t)chunk,
				   .payload = payload});
}

/* The rest of the input is on its way when the first chunk cannot be sent. */
static void test_numbers_of_chunks(void **state)
{
	(void)state;
	invoke_chunk(CHUNK_FIRST, NAN_);
	expect_unsent(3);
	invoke_chunk(CHUNK_NEXT, SEVEN);
	invoke_chunk(CHUNK_LAST, NAN_);
	expect_silence();
	invocation++;
	invoke_chunk(CHUNK_FIRST, SEVEN);
	expect_invocation(3);
	invoke_chunk(CHUNK_NEXT, SEVEN);
	expect_invocation(3);
	/* a later one ends the call, too, but its number was seen */
	invoke_chunk(CHUNK_NEXT, NAN_);
	assert_int_equal(posts[0].type, POST_UNDELIVERABLE);
	assert_int_equal(posts[0].request, 3);
	drop_posts();
	interrupt(4);
	expect_sent(INTERRUPT(3));
	renumbered(1);
	invocation = 3;
	invoke_chunk(CHUNK_NEXT, SEVEN);
	expect_silence();
	deliver_post((struct post){.type = POST_INPUT_OVER, .request = 3});
	invocation = 4;
	invoke_once(SEVEN);
	expect_invocation(4);
}

static void test_no_memory_for_a_number(void **state)
{
	(void)state;
	fail_at = allocations + 2;
	invoke_once(NAN_);
	assert_true(w.conn.dropped);
	expect_silence();
}

/* --- revocations --- */

static void revoke(enum post_type type)
{
	deliver_post((struct post){
		.type = (uint8_t)type, .id = 9, .error.uri = "com.example.why"});
}

/* The owner sends it only if the callee has announced that it understands it. */
static void test_a_registration_is_revoked(void **state)
{
	(void)state;
	revoke(POST_UNREGISTERED);
	expect_sent("[67,0,{\"registration\":9,\"reason\":\"com.example.why\"}]\n");
	deliver_post((struct post){.type = POST_UNREGISTERED, .request = 4});
	expect_sent("[67,4]\n");
}

/* The membership ends in any case. Not every subscriber is told. */
static void test_a_subscription_is_revoked(void **state)
{
	static const uint8_t features[] = {
		0, WAMP_FEATURE_SUBSCRIPTION_REVOCATION,
		WAMP_FEATURE_SUBSCRIPTION_REVOCATION | WAMP_FEATURE_PAYLOAD_TRANSPARENCY,
		WAMP_FEATURE_PAYLOAD_TRANSPARENCY | WAMP_FEATURE_REGISTRATION_REVOCATION};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		session()->identity->features.of[WAMP_ROLE_SUBSCRIBER] = features[i];
		deliver_post(
			(struct post){.type = POST_SUBSCRIBED, .request = 3, .id = 9});
		expect_sent("[33,3,9]\n");
		assert_non_null(members_of(&w.peers.members, 9));
		revoke(POST_UNSUBSCRIBED);
		expect_sent(i == 1 ? "[35,0,{\"subscription\":9,"
				     "\"reason\":\"com.example.why\"}]\n"
				   : "");
		assert_null(members_of(&w.peers.members, 9));
		/* the client's own UNSUBSCRIBE has crossed it */
		deliver_post((struct post){
			.type = POST_ERROR,
			.request_type = WAMP_UNSUBSCRIBE,
			.request = 4,
			.error = {WAMP_ERROR_NO_SUCH_SUBSCRIPTION, "gone"}});
		assert_memory_equal(w.conn.sent, "[8,34,4,", 8);
		w.conn.sent[0] = '\0';
	}
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_session, teardown_session)
	const struct CMUnitTest tests[] = {
		TEST(test_a_stream),
		TEST(test_the_final_result_comes_first),
		TEST(test_the_error_comes_first),
		TEST(test_a_callees_error_comes_first),
		TEST(test_a_final_result_is_lost),
		TEST(test_the_queue_is_half_full),
		TEST(test_the_session_ends),
		TEST(test_no_memory),
		TEST(test_no_memory_for_the_text),
		TEST(test_a_call_cannot_be_expressed),
		TEST(test_an_authid_cannot_be_expressed),
		TEST(test_numbers_have_no_gaps),
		TEST(test_numbers_of_chunks),
		TEST(test_no_memory_for_a_number),
		TEST(test_a_registration_is_revoked),
		TEST(test_a_subscription_is_revoked),
	};

	if (sodium_init() < 0)
		return 1;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("deliver", tests, NULL, NULL);
}
