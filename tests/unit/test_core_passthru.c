/* SPDX-License-Identifier: Apache-2.0 */
/* Calls and events with ppt_scheme or enc_algo: the options travel with their message,
 * and only to sessions that understand them. */
#define FIXTURE_ROOM 256
#include "core_fixture.h"

#include <stdio.h>

static const struct session_ref alice = {.worker = 0, .slot = 7, .generation = 3},
				bob = {.worker = 2, .slot = 7, .generation = 4};

static const char ppt[] = "{\"ppt_scheme\":\"x_a\",\"ppt_keyid\":\"k\"}";
static const char enc[] = "{\"enc_algo\":\"mqtt\"}";
static const char both[] = "{\"enc_algo\":\"mqtt\",\"ppt_scheme\":\"wamp\"}";
enum {
	PPT = WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE,
	ENC = WAMP_FEATURE_PAYLOAD_TRANSPARENCY,
};

static const char no_callee[] =
	"the callee has not announced payload_passthru_mode (ppt_scheme) or "
	"payload_transparency (enc_algo)";
static const char no_caller[] = "the callee's answer has ppt_scheme or enc_algo, and the "
				"caller has not announced "
				"payload_passthru_mode or payload_transparency";

/* The options of a PUBLISH, written in JSON. */
static struct options *options(const char *json)
{
	struct msg m = {.hello = NULL};
	struct buf text, scratch;
	struct options *o;

	buf_init(&text, 10000);
	buf_init(&scratch, 10000);
	buf_printf(&text, "[16,1,%s,\"t\"]", json);
	assert_int_equal(msg_read(SERIALIZER_JSON, buf_slice(&text), &scratch, &m), 0);
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &o), 0);
	buf_fini(&text);
	buf_fini(&scratch);
	return o;
}

static void join_as(struct core *c, struct session_ref who, uint8_t caller,
		    uint8_t callee)
{
	struct identity i = {
		.realm = REALM,
		.role = &device_role,
		.session = session_id(who),
		.features.of[WAMP_ROLE_CALLER] = caller,
		.features.of[WAMP_ROLE_CALLEE] = callee,
		.authmethod = "anonymous",
		.realm_name = slice_str("devices"),
		.authid = slice_str("a"),
		.authrole = slice_str("device"),
	};
	struct identity *identity = identity_new(&i);

	assert_non_null(identity);
	send_post(c, who,
		  (struct post){
			  .type = POST_JOIN, .identity = identity, .mail = MAIL_NEW()});
	expect(c, who, POST_JOINED, 0);
}

static void send_with(struct core *c, struct session_ref from, struct post p,
		      const char *uri, const char *json)
{
	p.payload = payload(uri, "\"\\u0000AQ==\"");
	p.options = json == NULL ? NULL : options(json);
	send_post(c, from, p);
}

static void call_with(struct core *c, uint64_t request, const char *json)
{
	send_with(c, alice,
		  (struct post){.type = POST_CALL, .request = request, .progress = true},
		  "p", json);
}

/* The post has these options, and no others. */
static void assert_options(const struct post *p, const char *json)
{
	struct options *expected = options(json);
	const struct slice *have, *want = options_passthru(expected);

	assert_non_null(p->options);
	have = options_passthru(p->options);
	assert_non_null(have);
	for (unsigned i = 0; i < MSG_PASSTHRU_COUNT; i++) {
		assert_int_equal(have[i].p == NULL, want[i].p == NULL);
		assert_true(slice_eq(have[i], want[i]));
	}
	assert_args(p, "\"\\u0000AQ==\"");
	options_unref(&expected);
}

/* Each message has its own options: those of a CALL do not get into its RESULT. */
static void options_travel_with_their_message(void **state)
{
	struct core *c = *state;

	join_as(c, alice, PPT | ENC, 0);
	join_as(c, bob, 0, PPT | ENC);
	provide(c, bob, "p");
	call_with(c, 42, ppt);
	struct post p = expect(c, bob, POST_INVOCATION, 1);
	assert_options(&p, ppt);
	send_with(c, bob,
		  (struct post){.type = POST_YIELD, .request = 1, .progress = true}, NULL,
		  both);
	p = expect(c, alice, POST_RESULT, 42);
	assert_options(&p, both);
	send_with(c, bob, (struct post){.type = POST_YIELD, .request = 1}, NULL, NULL);
	p = expect(c, alice, POST_RESULT, 42);
	assert_null(p.options);
	call_with(c, 43, NULL);
	p = expect(c, bob, POST_INVOCATION, 2);
	assert_null(p.options);
	send_with(c, bob, (struct post){.type = POST_INVOCATION_ERROR, .request = 2},
		  "com.e", enc);
	p = expect(c, alice, POST_ERROR, 43);
	assert_options(&p, enc);
	assert_uri(&p, "com.e");
	assert_null(p.error.uri);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

/* What a callee or caller must have announced. */
static const struct {
	const char *options;
	uint8_t features;
	bool understood;
} needs[] = {
	{ppt, 0, false},         {ppt, ENC, false},
	{ppt, PPT, true},        {enc, 0, false},
	{enc, PPT, false},       {enc, ENC, true},
	{both, PPT, false},      {both, ENC, false},
	{both, PPT | ENC, true}, {"{\"exclude\":[1]}", 0, true},
};

static void a_callee_must_understand_the_call(void **state)
{
	struct core *c = *state;

	join_as(c, alice, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		/* the role of a caller does not count */
		join_as(c, bob, PPT | ENC, needs[i].features);
		provide(c, bob, "p");
		call_with(c, 42, needs[i].options);
		if (needs[i].understood) {
			expect(c, bob, POST_INVOCATION, 1);
			send_with(c, bob, (struct post){.type = POST_YIELD, .request = 1},
				  NULL, NULL);
			expect(c, alice, POST_RESULT, 42);
		} else {
			expect_error(c, alice, WAMP_CALL, 42,
				     WAMP_ERROR_FEATURE_NOT_SUPPORTED, no_callee);
		}
		send_post(c, bob, (struct post){.type = POST_GONE});
		finish_work(c);
		expect_nothing(c);
		assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	}
}

static void a_caller_must_understand_the_answer(void **state)
{
	static const enum post_type answers[] = {POST_YIELD, POST_INVOCATION_ERROR};
	struct core *c = *state;
	uint64_t invocation = 0;

	join_as(c, bob, 0, 0);
	provide(c, bob, "p");
	for (size_t i = 0; i < 2 * ARRAY_LEN(needs); i++) {
		enum post_type type = answers[i % 2];

		join_as(c, alice, needs[i / 2].features, PPT | ENC);
		call_with(c, 42, NULL);
		expect(c, bob, POST_INVOCATION, ++invocation);
		send_with(c, bob,
			  (struct post){.type = (uint8_t)type, .request = invocation},
			  "com.e", needs[i / 2].options);
		if (needs[i / 2].understood)
			expect(c, alice, type == POST_YIELD ? POST_RESULT : POST_ERROR,
			       42);
		else
			expect_error(c, alice, WAMP_CALL, 42,
				     WAMP_ERROR_FEATURE_NOT_SUPPORTED, no_caller);
		send_post(c, alice, (struct post){.type = POST_GONE});
		finish_work(c);
		expect_nothing(c);
		assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
	}
}

/* The callee of a progressive result is told to stop, since its call has ended. */
static void a_progressive_result_that_the_caller_does_not_understand(void **state)
{
	struct core *c = *state;

	join_as(c, alice, 0, 0);
	join_as(c, bob, 0, WAMP_FEATURE_CALL_CANCELING);
	provide(c, bob, "p");
	call_with(c, 42, NULL);
	expect(c, bob, POST_INVOCATION, 1);
	send_with(c, bob,
		  (struct post){.type = POST_YIELD, .request = 1, .progress = true}, NULL,
		  ppt);
	assert_int_equal(expect(c, bob, POST_INTERRUPT, 1).mode, WAMP_MODE_KILLNOWAIT);
	expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_FEATURE_NOT_SUPPORTED,
		     no_caller);
	send_with(c, bob, (struct post){.type = POST_YIELD, .request = 1}, NULL, ppt);
	assert_int_equal(realm_counters(c->realm).unknown_answers, 1);
}

/* A refused call does not count towards the callee's limit, and queued calls keep their
 * options. */
static void a_callee_with_a_limit(void **state)
{
	struct realm_limits limits = default_limits;
	struct core *c = *state;

	limits.queued_calls = 2;
	limits.queued_bytes = limits.queued_total = 10000;
	realm_set_limits(c->realm, &limits);
	join_as(c, alice, 0, 0);
	join_as(c, bob, 0, PPT);
	send_post(c, bob,
		  (struct post){.type = POST_REGISTER,
				.request = 5,
				.concurrency = 1,
				.payload = payload("p", NULL)});
	expect(c, bob, POST_REGISTERED, 5);
	for (int i = 0; i < 3; i++) {
		call_with(c, 42, enc);
		expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_FEATURE_NOT_SUPPORTED,
			     no_callee);
	}
	call_with(c, 43, NULL);
	expect(c, bob, POST_INVOCATION, 1);
	call_with(c, 44, ppt);
	call_with(c, 45, enc);
	expect_nothing(c);
	send_with(c, bob, (struct post){.type = POST_YIELD, .request = 1}, NULL, NULL);
	expect(c, alice, POST_RESULT, 43);
	finish_work(c);
	struct post p = expect(c, bob, POST_INVOCATION, 2);
	assert_options(&p, ppt);
	send_with(c, bob, (struct post){.type = POST_YIELD, .request = 2}, NULL, NULL);
	expect(c, alice, POST_RESULT, 44);
	finish_work(c);
	expect_error(c, alice, WAMP_CALL, 45, WAMP_ERROR_FEATURE_NOT_SUPPORTED,
		     no_callee);
	assert_int_equal(realm_counters(c->realm).calls_in_flight, 0);
}

/* The policy chooses the callee, whatever the callees have announced. */
static void a_shared_registration(void **state)
{
	const struct session_ref callees[] = {bob, ref(1, 5, 1)};
	struct core *c = *state;

	join_as(c, alice, 0, 0);
	for (unsigned i = 0; i < ARRAY_LEN(callees); i++) {
		join_as(c, callees[i], 0, i == 0 ? 0 : PPT);
		send_post(c, callees[i],
			  (struct post){.type = POST_REGISTER,
					.request = 5,
					.invoke = WAMP_INVOKE_ROUNDROBIN,
					.payload = payload("p", NULL)});
		expect(c, callees[i], POST_REGISTERED, 5);
	}
	for (unsigned round = 1; round <= 3; round++) {
		call_with(c, 42, ppt);
		expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_FEATURE_NOT_SUPPORTED,
			     no_callee);
		call_with(c, 43, ppt);
		expect(c, callees[1], POST_INVOCATION, round);
		send_with(c, callees[1],
			  (struct post){.type = POST_YIELD, .request = round}, NULL,
			  NULL);
		expect(c, alice, POST_RESULT, 43);
	}
}

/* Whom an event reaches is for the workers to judge, which know the members. */
static void events_carry_their_options(void **state)
{
	struct core *c = *state;

	join_as(c, alice, 0, 0);
	join_as(c, bob, 0, 0);
	subscribe(c, bob, "t");
	send_with(c, alice, (struct post){.type = POST_PUBLISH, .request = 1}, "t", both);
	struct post p = next_post(c, bob.worker, POST_EVENT);
	assert_options(&p, both);
}

/* An event to few of many goes to them directly, with its ppt_ and enc_ options. */
static void direct_events_carry_their_options(void **state)
{
	struct core *c = *state;
	char json[100];

	join_as(c, alice, 0, 0);
	for (uint32_t i = 0; i < 65; i++) {
		join_as(c, ref(2, 100 + i, 1), 0, 0);
		subscribe(c, ref(2, 100 + i, 1), "t");
	}
	snprintf(json, sizeof(json), "{\"enc_algo\":\"mqtt\",\"eligible\":[%llu,%llu]}",
		 (unsigned long long)session_id(ref(2, 103, 1)),
		 (unsigned long long)session_id(ref(2, 107, 1)));
	send_with(c, alice, (struct post){.type = POST_PUBLISH, .request = 1}, "t", json);
	for (uint32_t slot = 103; slot <= 107; slot += 4) {
		struct post p = next_post(c, 2, POST_EVENT_ONE);

		assert_int_equal(p.session.slot, slot);
		assert_options(&p, enc);
	}
	c->outbox.discard = true;
}

/* The references go, and the caller is told. */
static void without_memory_for_the_invocation(void **state)
{
	struct core *c = *state;

	join_as(c, alice, 0, 0);
	join_as(c, bob, 0, PPT);
	provide(c, bob, "p");
	c->outbox.fail_at = 1;
	call_with(c, 42, ppt);
	expect_error(c, alice, WAMP_CALL, 42, WAMP_ERROR_UNAVAILABLE, "out of memory");
	call_with(c, 43, ppt);
	expect(c, bob, POST_INVOCATION, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(options_travel_with_their_message),
		core_test(a_callee_must_understand_the_call),
		core_test(a_caller_must_understand_the_answer),
		core_test(a_progressive_result_that_the_caller_does_not_understand),
		core_test(a_callee_with_a_limit),
		core_test(a_shared_registration),
		core_test(events_carry_their_options),
		large_test(direct_events_carry_their_options),
		core_test(without_memory_for_the_invocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
