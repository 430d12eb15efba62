/* SPDX-License-Identifier: Apache-2.0 */
/* A client whose calls have progressive input and options that describe the payload,
 * while memory runs out at each allocation of its worker in turn. The test is the owner.
 * The sources are included in this program, so that it can replace malloc for them. One
 * thread. */
#include "tests/unit/failing_malloc.h"

#include "common/buf.c"
#include "routerd/peer/inputs.c"
#include "routerd/post/options.c"
#include "routerd/post/payload.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include "tests/unit/login_fixture.h"

static unsigned n_refused;

static void begin(void)
{
	assert_int_equal(setup(NULL), 0);
	say_hello();
	answer(5);
	say_authenticate();
	verify_signatures();
	owner_says(POST_JOINED, NULL);
	drop_posts();
	w.conn.peer.identity->features.of[WAMP_ROLE_CALLER] =
		WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS |
		WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE;
	/* the buffers that a worker keeps between messages */
	buf_fini(&w.peers.out);
	buf_fini(&w.peers.decoded);
	w.conn.sent[0] = '\0';
	allocations = fail_at = 0;
}

static void end(void)
{
	fail_at = 0;
	client_gone(CONN_END_LOST);
	assert_int_equal(w.peers.inputs.count, 0);
	teardown(NULL);
	assert_int_equal(not_freed, 0);
}

static bool is_over(void)
{
	return w.conn.dropped || w.conn.close_code != 0;
}

/*
 * Says these parts of a call while the n-th allocation fails. The owner gets all of them,
 * or none, and then the client gets one ERROR; otherwise the connection ends. True if no
 * allocation has failed.
 */
static bool say_parts(const char *const *parts, unsigned n_parts, size_t n)
{
	static const enum call_chunk one[] = {CHUNK_NONE},
				     three[] = {CHUNK_FIRST, CHUNK_NEXT, CHUNK_LAST};
	const enum call_chunk *chunks = n_parts == 1 ? one : three;

	begin();
	fail_at = n;
	for (unsigned i = 0; i < n_parts && !is_over(); i++)
		say(parts[i]);
	bool ok = n > allocations;
	for (unsigned i = 0; i < n_posts; i++) {
		assert_int_equal(posts[i].type, i == 0 ? POST_CALL : POST_CHUNK);
		assert_int_equal(posts[i].chunk, chunks[i]);
		assert_true((posts[i].options != NULL) == (i == 0));
	}
	if (!is_over()) {
		assert_int_equal(w.conn.peer.inputs.n_open, 0);
		assert_int_equal(w.conn.peer.inputs.n_answered, 0);
	}
	if (!is_over() && n_posts == 0) {
		assert_true(sent("[8,48,7,{},\"wamp.error.unavailable\""));
		assert_ptr_equal(strchr(w.conn.sent, '\n'), strrchr(w.conn.sent, '\n'));
		n_refused++;
	} else {
		assert_true(is_over() || n_posts == n_parts);
		assert_string_equal(w.conn.sent, "");
	}
	assert_true(!ok || n_posts == n_parts);
	end();
	return ok;
}

static void runs_out_at_each_place(const char *const *parts, unsigned n_parts)
{
	size_t n = 1;

	n_refused = 0;
	while (!say_parts(parts, n_parts, n))
		n++;
	assert_in_range(n, 5, 40);
	assert_true(n_refused > 1);
}

/* the escapes also need memory */
#define OPTIONS "\"ppt_scheme\":\"x_\\u0061\",\"ppt_keyid\":\"k\\u00e4\""

static void memory_runs_out_for_options(void **state)
{
	static const char *const parts[] = {"[48,7,{" OPTIONS "},\"com.example.p\",[1]]"};

	(void)state;
	runs_out_at_each_place(parts, 1);
}

static void memory_runs_out_for_input(void **state)
{
	static const char *const parts[] = {
		"[48,7,{\"progress\":true," OPTIONS "},\"com.example.p\",[1]]",
		"[48,7,{\"progress\":true},\"com.example.p\",[2]]",
		"[48,7,{},\"com.example.p\",[3]]",
	};

	(void)state;
	runs_out_at_each_place(parts, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_runs_out_for_options),
		cmocka_unit_test(memory_runs_out_for_input),
	};

	if (sodium_init() < 0)
		return 1;
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("call_memory", tests, NULL, NULL);
}
