/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of shared registrations at a realm's owner: two callers, and callees on all
 * workers. Include it in one file of a program. */
#ifndef TESTS_UNIT_CORE_SHARED_H
#define TESTS_UNIT_CORE_SHARED_H

#define FIXTURE_ROOM 256
#include "tests/unit/core_fixture.h"

enum {
	CALLEES = 5,
	CALLS = 40, /* that a session may have in flight */
	READ_AT = 1000003,
	ORPHAN_MAX = 60000,
	KILL_MAX = 30000,
};

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref zoe = {.worker = 1, .slot = 9, .generation = 1};

/* The callees; they are on all workers. */
static inline struct session_ref who(unsigned i)
{
	return (struct session_ref){
		.worker = (uint16_t)(i % N_WORKERS), .slot = 20 + i, .generation = 1};
}

static inline void send_register(struct core *c, struct session_ref from, uint8_t invoke,
				 uint32_t concurrency)
{
	send_post(c, from,
		  (struct post){.type = POST_REGISTER,
				.request = 78,
				.invoke = invoke,
				.concurrency = concurrency,
				.payload = payload("p", NULL)});
}

static inline uint64_t share(struct core *c, struct session_ref from, uint8_t invoke,
			     uint32_t concurrency)
{
	send_register(c, from, invoke, concurrency);
	return expect(c, from, POST_REGISTERED, 78).id;
}

/* Alice and zoe call; who(i) are callees, and the first n register. */
static inline uint64_t share_all(struct core *c, unsigned n, uint8_t invoke,
				 uint32_t concurrency)
{
	struct realm_limits limits = default_limits;
	uint64_t id = 0;

	limits.calls = CALLS;
	realm_set_limits(c->realm, &limits);
	wheel_init(&c->deadlines, READ_AT);
	join(c, alice, "alice");
	join(c, zoe, "zoe");
	for (unsigned i = 0; i < CALLEES; i++)
		join(c, who(i), "callee");
	for (unsigned i = 0; i < n; i++) {
		uint64_t got = share(c, who(i), invoke, concurrency);
		assert_true(i == 0 || got == id);
		id = got;
	}
	return id;
}

static inline void allow_queue(struct core *c, uint32_t calls, size_t bytes)
{
	struct realm_limits limits = c->realm->limits;

	limits.queued_calls = calls;
	limits.queued_bytes = bytes;
	limits.queued_total = 2 * bytes;
	realm_set_limits(c->realm, &limits);
}

static inline void call_with(struct core *c, struct session_ref from, uint64_t request,
			     uint32_t timeout_ms)
{
	send_post(c, from,
		  (struct post){.type = POST_CALL,
				.time_ms = READ_AT,
				.request = request,
				.timeout_ms = timeout_ms,
				.payload = payload("p", "[7]")});
}

static inline void call(struct core *c, uint64_t request)
{
	call_with(c, alice, request, 0);
}

/* The next post is an INVOCATION: to which callee? *invocation gets its id. */
static inline unsigned invoked(struct core *c, uint64_t *invocation)
{
	assert_true(c->outbox.first < c->outbox.end);
	struct post p = c->outbox.sent[c->outbox.first++].post;

	assert_int_equal(p.type, POST_INVOCATION);
	assert_in_range(p.session.slot, 20, 20 + CALLEES);
	if (invocation != NULL)
		*invocation = p.request;
	return p.session.slot - 20;
}

static inline void yield(struct core *c, unsigned callee, uint64_t invocation)
{
	send_args(c, who(callee), POST_YIELD, invocation, NULL);
}

/* Calls and gets the result: the callee. */
static inline unsigned call_through(struct core *c)
{
	uint64_t invocation;

	call(c, 1);
	unsigned i = invoked(c, &invocation);
	yield(c, i, invocation);
	expect(c, alice, POST_RESULT, 1);
	forget_sent(c);
	return i;
}

static inline void leave(struct core *c, unsigned callee)
{
	send_post(c, who(callee), (struct post){.type = POST_GONE});
}

static inline void cancel(struct core *c, struct session_ref from, uint64_t request,
			  uint8_t mode)
{
	send_post(c, from,
		  (struct post){.type = POST_CANCEL,
				.time_ms = READ_AT,
				.request = request,
				.mode = mode});
}

static inline void run_to(struct core *c, uint64_t now_ms)
{
	wheel_run(&c->deadlines, now_ms, realm_deadline_passed, NULL);
}

static inline void expect_busy(struct core *c, struct session_ref caller,
			       uint64_t request)
{
	struct post p = expect_error(
		c, caller, WAMP_CALL, request, WAMP_ERROR_NO_AVAILABLE_CALLEE,
		"all callees are busy, and the queue is full, for procedure");

	assert_uri(&p, "p");
}

static inline void expect_canceled(struct core *c, struct session_ref caller,
				   uint64_t request)
{
	expect_error(c, caller, WAMP_CALL, request, WAMP_ERROR_CANCELED,
		     "the caller has canceled the call");
}

static inline void expect_counts(struct core *c, uint64_t in_flight, uint64_t queued,
				 uint64_t orphans)
{
	struct realm_counters n = realm_counters(c->realm);

	assert_int_equal(n.calls_in_flight, in_flight);
	assert_int_equal(n.calls_queued, queued);
	assert_int_equal(n.orphans, orphans);
}

/* A callee with one slot, which can or cannot be interrupted. */
static inline uint64_t share_one(struct core *c, bool stops)
{
	share_all(c, 0, 0, 0);
	leave(c, 0);
	send_join_with(c, who(0), "callee", stops ? WAMP_FEATURE_CALL_CANCELING : 0);
	expect(c, who(0), POST_JOINED, 0);
	return share(c, who(0), WAMP_INVOKE_ROUNDROBIN, 1);
}

#endif
