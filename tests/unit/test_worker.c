/* SPDX-License-Identifier: Apache-2.0 */
/* A real worker among doubles of other workers, which post to its mailbox and read its
 * posts. It runs in its own thread, as in the router. */
#include "routerd/worker.h"

#include "common/mailbox.h"
#include "routerd/post/post.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORKERS = 3, REAL = 2 }; /* the real worker owns the only realm */

static const char yaml[] =
	"realms:\n"
	"  - name: realm1\n"
	"    roles:\n"
	"      - name: user\n"
	"        permissions: [{uri: '', match: prefix, allow: {call: true}}]\n"
	"transports:\n"
	"  - type: websocket\n"
	"    endpoint: {type: tcp, port: 1}\n"
	"    auth:\n"
	"      anonymous: {type: static, role: user}\n";

static struct config *config;
static struct policy *policy;
static struct mailboxes *boxes;
static struct worker *worker;
static pthread_t thread;

static void drop(void *item)
{
	post_drop(item);
}

static void *run(void *arg)
{
	worker_run(arg);
	return NULL;
}

static int setup(void **state)
{
	struct conf_error err;

	(void)state;
	if (config_parse(slice_str(yaml), "test", &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(policy_new(NULL, config, &policy), 0);
	boxes = mailboxes_new(WORKERS, sizeof(struct post), 1 << 20, 1 << 19);
	assert_non_null(boxes);
	worker = worker_new(REAL, WORKERS, config, policy, boxes);
	assert_non_null(worker);
	assert_int_equal(pthread_create(&thread, NULL, run, worker), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_free(&worker);
	mailboxes_free(&boxes, drop);
	policy_unref(&policy);
	config_free(&config);
	return 0;
}

static void say(unsigned from, const struct post *p)
{
	struct post *room = mailbox_stage(boxes, from, REAL, post_size(p));

	*room = *p;
	mailbox_hand_over(boxes, from);
}

/* Takes mail for a double until a post of this type comes. Returns the number of posts
 * before it. */
static unsigned wait_for(unsigned self, enum post_type type)
{
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);
	unsigned before = 0;
	bool found = false;

	while (!found) {
		struct pollfd fd = {.fd = mailbox_fd(boxes, self), .events = POLLIN};
		assert_int_equal(poll(&fd, 1, 10000), 1);
		mailbox_take(boxes, self, &in);
		while (!STAILQ_EMPTY(&in)) {
			struct mail_batch *b = STAILQ_FIRST(&in);
			struct post *posts = (struct post *)(void *)b->items;
			STAILQ_REMOVE_HEAD(&in, link);
			for (; b->taken < b->count; b->taken++) {
				found = found || posts[b->taken].type == type;
				before += !found;
				post_drop(&posts[b->taken]);
			}
			mailbox_done(boxes, self, b);
		}
	}
	return before;
}

static void drain(unsigned from)
{
	say(from, &(struct post){.type = POST_DRAIN});
}

/* Posts that another worker sent before its token may cause further posts to the worker
 * that asked first. So that worker gets DRAINED only after every token has arrived. */
static void test_drained_comes_behind_what_all_have_posted(void **state)
{
	static const struct identity nobody = {.authmethod = "anonymous"};

	(void)state;
	drain(0);
	/* worker 1 posts this, but the answer goes to worker 0, as an EVENT would */
	say(1, &(struct post){
		       .type = POST_JOIN,
		       .session = {.worker = 0, .generation = 1},
		       .identity = identity_new(&nobody),
	       });
	drain(1);
	say(1, &(struct post){.type = POST_STOP});
	assert_int_equal(wait_for(0, POST_DRAINED), 2); /* DRAIN and JOINED */
	assert_int_equal(wait_for(1, POST_DRAINED), 1); /* DRAIN */
	say(0, &(struct post){.type = POST_DRAINED});
	say(1, &(struct post){.type = POST_DRAINED});
	assert_int_equal(wait_for(0, POST_STOPPED), 0);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_drained_comes_behind_what_all_have_posted, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
