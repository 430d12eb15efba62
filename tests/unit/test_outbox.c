/* SPDX-License-Identifier: Apache-2.0 */
/* post/outbox: a question reaches all workers or none. Memory runs out at each allocation
 * in turn. One thread. */
#include "routerd/post/outbox.h"

#include "tests/unit/wrapped_malloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WORKERS = 3 };

static void drop(void *item)
{
	post_drop(item);
}

/* Handles the posts to a worker, which are questions. Returns their number. */
static unsigned receive(struct mailboxes *boxes, unsigned worker,
			const struct revocation *expected)
{
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);
	struct mail_batch *b;
	unsigned n = 0;

	mailbox_take(boxes, worker, &in);
	mailbox_take_own(boxes, worker, &in);
	while ((b = STAILQ_FIRST(&in)) != NULL) {
		STAILQ_REMOVE_HEAD(&in, link);
		for (; b->taken < b->count; b->taken++, n++) {
			struct post *p = &((struct post *)(void *)b->items)[b->taken];
			assert_int_equal(p->type, POST_REVOKE);
			assert_ptr_equal(p->revocation, expected);
			assert_non_null(p->mail);
			post_drop(p);
		}
		mailbox_done(boxes, worker, b);
	}
	return n;
}

/* Asks all workers, while the n-th allocation fails. Returns whether it was reached. */
static bool ask(size_t n)
{
	struct revocation *r = revocation_new(&(struct revocation){.number = 1});
	struct mailboxes *boxes =
		mailboxes_new(WORKERS, sizeof(struct post), 1 << 20, 1 << 19);
	struct outbox outbox = {.boxes = boxes, .n_workers = WORKERS};

	memory.failed = memory.count = 0;
	memory.first = n;
	memory.n = 1;
	bool sent = outbox_ask_all(
		&outbox, &(struct post){.type = POST_REVOKE, .revocation = r}, r);
	memory.first = 0;
	assert_int_equal(sent, memory.failed == 0);
	mailbox_hand_over(boxes, 0);
	assert_int_equal(atomic_load(&r->refs), sent ? 1 + WORKERS : 1);
	for (unsigned w = 0; w < WORKERS; w++)
		assert_int_equal(receive(boxes, w, r), sent);
	assert_int_equal(atomic_load(&r->refs), 1);
	mailboxes_free(&boxes, drop);
	revocation_unref(&r);
	assert_int_equal(memory.live, 0);
	return !sent;
}

static void test_all_or_none(void **state)
{
	size_t n = 1;

	(void)state;
	while (ask(n))
		n++;
	/* mail for the answer of each worker, and room for its post */
	assert_true(n > 2 * WORKERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_or_none),
	};
	wrap_libevent();
	return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
