/* SPDX-License-Identifier: Apache-2.0 */
/* control/collector, with doubles of the workers and a clock that the test controls.
 * Memory runs out at each allocation in turn. One thread. */
#include "routerd/control/collector.h"

#include "tests/unit/fake_loop.h"
#include "tests/unit/wrapped_malloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WORKERS = 3 };

struct sample {
	uint64_t value;
};
static const struct counter_table sample_table =
	COUNTER_TABLE(struct sample, {"value", "a value of the test", COUNTER,
				      offsetof(struct sample, value)});

static struct mailboxes *boxes;
static struct outbox outboxes[WORKERS];
static struct collector collector;
static unsigned n_done;
/* Of each worker in the last collection: its value, or 0: none. */
static uint64_t seen[WORKERS];

static void drop(void *item)
{
	post_drop(item);
}

static void on_done(void *arg)
{
	struct collector *c = arg;

	n_done++;
	for (unsigned w = 0; w < WORKERS; w++) {
		const struct buf *s = c->workers[w].snapshot;
		const struct snapshot_part *part = NULL;
		size_t at = 0;
		seen[w] = 0;
		assert_true(s == NULL || !c->workers[w].waits);
		if (s != NULL)
			part = snapshot_next(s, &at);
		if (part != NULL)
			seen[w] = part->values[0];
	}
}

static int setup(void **state)
{
	(void)state;
	n_done = 0;
	armed = NULL;
	boxes = mailboxes_new(WORKERS, sizeof(struct post), 1 << 20, 1 << 19);
	assert_non_null(boxes);
	for (unsigned w = 0; w < WORKERS; w++)
		outboxes[w] =
			(struct outbox){.boxes = boxes, .self = w, .n_workers = WORKERS};
	collector_init(&collector, NULL, &outboxes[0]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	collector_fini(&collector);
	mailboxes_free(&boxes, drop);
	assert_int_equal(memory.live, 0);
	return 0;
}

static void start(void)
{
	collector_start(&collector, on_done, &collector);
}

/* Handles the posts of a worker. Returns how many were requests. */
static unsigned turn(unsigned w, uint64_t value)
{
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);
	unsigned n = 0;

	mailbox_hand_over(boxes, 0);
	mailbox_take(boxes, w, &in);
	mailbox_take_own(boxes, w, &in);
	while (!STAILQ_EMPTY(&in)) {
		struct mail_batch *b = STAILQ_FIRST(&in);
		struct post *posts = (struct post *)(void *)b->items;
		STAILQ_REMOVE_HEAD(&in, link);
		for (; b->taken < b->count; b->taken++) {
			struct post *p = &posts[b->taken];
			if (p->type == POST_COUNTED) {
				collector_post(&collector, p);
			} else {
				const struct sample sample = {value};
				struct post answer = {
					.type = POST_COUNTED,
					.id = p->id,
					.session = {.worker = (uint16_t)w},
					.snapshot = buf_new(SIZE_MAX / 2),
				};
				assert_int_equal(p->type, POST_COUNT);
				if (answer.snapshot != NULL)
					snapshot_add(answer.snapshot, SNAPSHOT_NO_REALM,
						     &sample_table, &sample);
				if (answer.snapshot != NULL && answer.snapshot->err != 0)
					buf_free(&answer.snapshot);
				post_send_reserved(&outboxes[w], 0, &answer, &p->mail);
				n++;
			}
			post_drop(p);
		}
		mailbox_done(boxes, w, b);
	}
	mailbox_hand_over(boxes, w);
	return n;
}

/* Lets all workers answer, until none has a post. */
static void all_answer(uint64_t value)
{
	for (unsigned round = 0; round < 4; round++)
		for (unsigned w = 0; w < WORKERS; w++)
			turn(w, value);
}

static void deadline_passes(void)
{
	assert_ptr_equal(armed, &collector.deadline);
	assert_int_equal(armed_due, now_ms + COLLECTOR_MS);
	armed->cb(armed->arg);
}

static void expect_seen(uint64_t first, uint64_t second, uint64_t third)
{
	assert_int_equal(seen[0], first);
	assert_int_equal(seen[1], second);
	assert_int_equal(seen[2], third);
}

static void test_all_answer(void **state)
{
	(void)state;
	start();
	assert_int_equal(n_done, 0);
	all_answer(5);
	assert_int_equal(n_done, 1);
	expect_seen(5, 5, 5);
	assert_null(armed);
}

static void test_a_request_meanwhile_starts_another(void **state)
{
	(void)state;
	start();
	turn(1, 1);
	start();
	start();
	turn(2, 1);
	turn(0, 1);
	turn(0, 1);
	assert_int_equal(n_done, 1);
	expect_seen(1, 1, 1);
	all_answer(2);
	assert_int_equal(n_done, 2);
	expect_seen(2, 2, 2);
	all_answer(3);
	assert_int_equal(n_done, 2);
}

static void test_a_worker_that_stands_still(void **state)
{
	(void)state;
	start();
	turn(0, 1);
	turn(1, 1);
	turn(0, 1);
	assert_int_equal(n_done, 0);
	deadline_passes();
	assert_int_equal(n_done, 1);
	expect_seen(1, 1, 0);
	for (unsigned i = 2; i < 10; i++) {
		start();
		turn(0, i);
		turn(1, i);
		turn(0, i);
		deadline_passes();
		assert_int_equal(n_done, i);
		expect_seen(i, i, 0);
	}
	/* it has one request, not nine */
	assert_int_equal(turn(2, 1), 1);
	turn(0, 1);
	start();
	all_answer(20);
	assert_int_equal(n_done, 10);
	expect_seen(20, 20, 20);
}

/* An answer to an earlier request may be older than the present one, so it does not
 * count.
 */
static void test_a_late_answer(void **state)
{
	(void)state;
	start();
	turn(0, 1);
	turn(1, 1);
	turn(0, 1);
	turn(2, 1); /* answers, but worker 0 does not see it yet */
	deadline_passes();
	start();
	all_answer(2);
	assert_int_equal(n_done, 2);
	expect_seen(2, 2, 2);
}

static void test_a_late_answer_after_the_end(void **state)
{
	(void)state;
	start();
	deadline_passes();
	assert_int_equal(n_done, 1);
	expect_seen(0, 0, 0);
	all_answer(1);
	assert_int_equal(n_done, 1);
}

static void test_stop(void **state)
{
	(void)state;
	collector_stop(&collector);
	assert_int_equal(n_done, 0);
	start();
	turn(1, 1);
	turn(0, 1);
	turn(0, 1);
	start();
	collector_stop(&collector);
	assert_int_equal(n_done, 1);
	expect_seen(1, 1, 0);
	all_answer(1);
	assert_int_equal(n_done, 1);
}

static void test_the_end_in_between(void **state)
{
	(void)state;
	start();
	turn(1, 1);
	turn(0, 1);
}

/* Each allocation fails once: of the request and its mail for each worker, of each
 * snapshot. done is called all the same, and the next collection is complete. */
static void test_no_memory(void **state)
{
	unsigned incomplete = 0;
	size_t n;

	(void)state;
	for (n = 1;; n++) {
		unsigned before = n_done;
		memory.count = 0;
		memory.first = n;
		memory.n = 1;
		start();
		all_answer(n);
		assert_int_equal(n_done, before + 1);
		bool failed = memory.count >= n;
		memory.first = 0;
		bool complete = seen[0] == n && seen[1] == n && seen[2] == n;
		incomplete += !complete;
		assert_true(failed || complete);
		start();
		all_answer(1000);
		assert_int_equal(n_done, before + 2);
		expect_seen(1000, 1000, 1000);
		if (!failed)
			break;
	}
	/* mail and snapshot of each worker at least */
	assert_true(n > 2 * WORKERS && incomplete >= 2 * WORKERS);
}

static void test_no_memory_at_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		memory.one_in = 1;
		start();
		memory.one_in = 0;
		assert_int_equal(n_done, i + 1);
		expect_seen(0, 0, 0);
		assert_null(armed);
	}
	start();
	all_answer(7);
	expect_seen(7, 7, 7);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_all_answer),
		T(test_a_request_meanwhile_starts_another),
		T(test_a_worker_that_stands_still),
		T(test_a_late_answer),
		T(test_a_late_answer_after_the_end),
		T(test_stop),
		T(test_the_end_in_between),
		T(test_no_memory),
		T(test_no_memory_at_all),
	};
	wrap_libevent();
	return cmocka_run_group_tests_name("collector", tests, NULL, NULL);
}
