/* SPDX-License-Identifier: Apache-2.0 */
/* control/reload: what is sent to the workers, also when memory is short. The test plays
 * the workers. Doubles: the outbox. */
#include "routerd/control/reload.c"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { WORKERS = 3 };

static const char yaml[] = "realms: [{name: r, roles: [{name: a, permissions: [{uri: "
			   "x}, {uri: y..z, match: "
			   "wildcard}]}, {name: b}]}]\n"
			   "transports: [{type: rawsocket, endpoint: {type: tcp, port: "
			   "1}, auth: {anonymous: "
			   "{type: static, role: a}}}]\n";

static char path[] = "/tmp/test_reload.XXXXXX";
static struct loop *loop;
static struct config *config;
static struct policy *policy;
static struct outbox outbox = {.n_workers = WORKERS};
static struct reload reload;
static struct post sent[WORKERS];
static unsigned n_sent;
static bool no_memory;

bool outbox_ask_all(struct outbox *ob, const struct post *p, void *shared)
{
	assert_ptr_equal(p->policy, shared);
	assert_int_equal(n_sent, 0);
	while (n_sent < ob->n_workers && !no_memory) {
		policy_ref(shared);
		sent[n_sent++] = *p;
	}
	return !no_memory;
}

static void write_config(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	struct conf_error errors;

	(void)state;
	no_memory = false;
	write_config(yaml);
	if (config_load(path, &config, &errors) != 0)
		fail_msg("%s", errors.text);
	assert_int_equal(policy_new(NULL, config, &policy), 0);
	loop = loop_new(NULL, NULL);
	reload_init(&reload, loop, path, config, policy, &outbox);
	return 0;
}

static void drop_sent(void)
{
	while (n_sent > 0)
		post_drop(&sent[--n_sent]);
}

static int teardown(void **state)
{
	(void)state;
	drop_sent();
	reload_stop(&reload);
	policy_unref(&policy);
	config_free(&config);
	loop_free(&loop);
	return 0;
}

/* Runs the loop until the file was read. */
static void finish_reading(void)
{
	assert_int_equal(reload.state, RELOAD_READING);
	while (reload.reading != NULL)
		assert_int_equal(event_base_loop(loop_base(loop), EVLOOP_ONCE), 0);
}

static void report_all(void)
{
	uint64_t generation = reload.policy->generation;

	drop_sent();
	for (unsigned w = 0; w < WORKERS; w++)
		reload_reported(&reload, &(struct post){
						 .type = POST_RELOADED,
						 .id = generation,
						 .counts = {.sessions = w, .pending = 1},
						 .revoked = 10 * w,
					 });
}

static void each_worker_gets_the_policy(void **state)
{
	(void)state;
	reload_begin(&reload);
	finish_reading();
	assert_int_equal(n_sent, WORKERS);
	for (unsigned w = 0; w < WORKERS; w++) {
		assert_int_equal(sent[w].type, POST_RELOAD);
		assert_ptr_equal(sent[w].policy, reload.policy);
		assert_int_equal(sent[w].policy->generation, 2);
	}
	report_all();
	assert_int_equal(reload.done, 1);
	assert_int_equal(reload.ended.sessions, 0 + 1 + 2);
	assert_int_equal(reload.ended.pending, 3);
	assert_int_equal(reload.revoked, 10 * (0 + 1 + 2));
	assert_int_equal(reload.state, RELOAD_IDLE);
}

static void many_requests_are_one_more_reload(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		reload_begin(&reload);
	finish_reading();
	for (int i = 0; i < 5; i++)
		reload_begin(&reload);
	report_all();
	finish_reading();
	report_all();
	assert_int_equal(reload.state, RELOAD_IDLE);
	assert_int_equal(reload.done, 2);
	assert_int_equal(reload.policy->generation, 3);
}

static void refused_and_again(void)
{
	assert_int_equal(n_sent, 0);
	assert_int_equal(reload.refused, 1);
	assert_int_equal(reload.state, RELOAD_IDLE);
	assert_ptr_equal(reload.policy, policy);
	no_memory = false;
	write_config(yaml);
	reload_begin(&reload);
	finish_reading();
	report_all();
	assert_int_equal(reload.done, 1);
}

static void a_wrong_file(void **state)
{
	(void)state;
	write_config("realms: 1\n");
	reload_begin(&reload);
	finish_reading();
	refused_and_again();
}

/* A request that comes while a wrong file is read is not forgotten. */
static void a_wrong_file_then_a_good_one(void **state)
{
	(void)state;
	write_config("realms: 1\n");
	reload_begin(&reload);
	while (atomic_load(&reload.reading->refs) > 1)
		usleep(1000);
	write_config(yaml);
	reload_begin(&reload);
	finish_reading();
	assert_int_equal(reload.refused, 1);
	report_all();
	assert_int_equal(reload.done, 1);
}

static void no_memory_for_posts(void **state)
{
	(void)state;
	no_memory = true;
	reload_begin(&reload);
	finish_reading();
	refused_and_again();
}

static void no_descriptor(void **state)
{
	struct rlimit old, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	reload_begin(&reload);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_null(reload.reading);
	refused_and_again();
}

/* The sanitizers find what is not freed. */
static void given_up_at_each_stage(void **state)
{
	(void)state;
	reload_begin(&reload);
	reload_stop(&reload);
	reload_begin(&reload); /* has no effect any more */
	assert_null(reload.reading);
	reload_init(&reload, loop, path, config, policy, &outbox);
	reload_begin(&reload);
	finish_reading();
	reload_stop(&reload);
	reload_reported(&reload, &(struct post){.type = POST_RELOADED, .id = 2});
	assert_int_equal(reload.done, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_worker_gets_the_policy),
		TEST(many_requests_are_one_more_reload),
		TEST(a_wrong_file),
		TEST(a_wrong_file_then_a_good_one),
		TEST(no_memory_for_posts),
		TEST(no_descriptor),
		TEST(given_up_at_each_stage),
	};
	int fd = mkstemp(path);

	if (fd == -1)
		return 1;
	close(fd);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
