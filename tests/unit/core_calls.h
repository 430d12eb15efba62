/* SPDX-License-Identifier: Apache-2.0 */
/* Three sessions and their calls, for the tests of calls at a realm's owner. The test is
 * the worker: it says when a message was read, and runs the wheel. */
#ifndef TESTS_UNIT_CORE_CALLS_H
#define TESTS_UNIT_CORE_CALLS_H

#include "tests/unit/core_fixture.h"

static const struct session_ref alice = {.worker = 0, .slot = 1, .generation = 1};
static const struct session_ref bob = {.worker = 1, .slot = 1, .generation = 1};
static const struct session_ref carol = {.worker = 2, .slot = 2, .generation = 1};

enum { READ_AT = 1000003 }; /* when the messages were read */

/* Bob can be interrupted, carol cannot; both have a procedure. */
static inline void join_all(struct core *c)
{
	wheel_init(&c->deadlines, READ_AT - 500);
	join(c, alice, "alice");
	send_join_with(c, bob, "bob", WAMP_FEATURE_CALL_CANCELING);
	expect(c, bob, POST_JOINED, 0);
	join(c, carol, "carol");
	provide(c, bob, "bobs");
	provide(c, carol, "carols");
}

static inline void call(struct core *c, struct session_ref who, uint64_t request,
			const char *procedure, uint32_t timeout_ms)
{
	send_post(c, who,
		  (struct post){.type = POST_CALL,
				.time_ms = READ_AT,
				.request = request,
				.payload = payload(procedure, NULL),
				.timeout_ms = timeout_ms});
}

static inline void cancel(struct core *c, struct session_ref who, uint64_t request,
			  enum wamp_cancel_mode mode)
{
	send_post(c, who,
		  (struct post){.type = POST_CANCEL,
				.time_ms = READ_AT,
				.request = request,
				.mode = (uint8_t)mode});
}

static inline void expect_interrupt(struct core *c, uint64_t invocation,
				    enum wamp_cancel_mode mode)
{
	struct post p = expect(c, bob, POST_INTERRUPT, invocation);

	assert_int_equal(p.mode, mode);
}

static inline void expect_canceled(struct core *c, struct session_ref caller,
				   uint64_t request)
{
	struct post p = expect_error(c, caller, WAMP_CALL, request, WAMP_ERROR_CANCELED,
				     "the caller has canceled the call");

	assert_null(p.payload);
}

static inline void fail_with(struct core *c, struct session_ref callee,
			     uint64_t invocation, const char *uri)
{
	send_post(c, callee,
		  (struct post){.type = POST_INVOCATION_ERROR,
				.request = invocation,
				.payload = payload(uri, NULL)});
}

static inline void run_to(struct core *c, uint64_t now_ms)
{
	wheel_run(&c->deadlines, now_ms, realm_deadline_passed, NULL);
}

#endif
