/* SPDX-License-Identifier: Apache-2.0 */
/* common/mailbox: order, pressure and wake-ups, with real threads. */
#include "common/mailbox.c"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

/* Bytes in flight from one thread to another. */
static size_t in_flight(const struct mailboxes *m, unsigned from, unsigned to)
{
	return atomic_load(&m->box[to].from[from].bytes);
}

struct item {
	unsigned from;
	uint64_t seq;
	void *held;
};

static unsigned n_dropped;

static void drop_item(void *p)
{
	struct item *i = p;

	n_dropped++;
	free(i->held);
}

static void stage(struct mailboxes *m, unsigned from, unsigned to, uint64_t seq,
		  size_t bytes)
{
	struct item *i = mailbox_stage(m, from, to, bytes);

	if (i == NULL)
		abort();
	*i = (struct item){.from = from, .seq = seq};
}

/* Takes the first item of a list, and frees its batch if it was the last one of it. */
static bool pop(struct mailboxes *m, unsigned self, struct mail_list *l, struct item *out)
{
	struct mail_batch *b;

	while ((b = STAILQ_FIRST(l)) != NULL && b->count == 0) {
		STAILQ_REMOVE_HEAD(l, link);
		mailbox_done(m, self, b);
	}
	if (b == NULL)
		return false;
	memcpy(out, b->items + b->taken++ * sizeof(struct item), sizeof(*out));
	if (b->taken == b->count) {
		STAILQ_REMOVE_HEAD(l, link);
		mailbox_done(m, self, b);
	}
	return true;
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void test_nothing_is_visible_before_hand_over(void **state)
{
	struct mailboxes *m = mailboxes_new(2, sizeof(struct item), 1000, 100);
	struct mail_list l = STAILQ_HEAD_INITIALIZER(l);
	struct item got;

	(void)state;
	stage(m, 0, 1, 7, 10);
	assert_false(readable(mailbox_fd(m, 1), 0));
	mailbox_take(m, 1, &l);
	assert_true(STAILQ_EMPTY(&l));
	mailbox_hand_over(m, 0);
	assert_true(readable(mailbox_fd(m, 1), 0));
	mailbox_take(m, 1, &l);
	assert_true(pop(m, 1, &l, &got));
	assert_int_equal(got.seq, 7);
	assert_false(pop(m, 1, &l, &got));
	assert_false(readable(mailbox_fd(m, 1), 0));
	mailboxes_free(&m, drop_item);
	assert_null(m);
}

static void test_wakes_only_when_empty(void **state)
{
	struct mailboxes *m = mailboxes_new(2, sizeof(struct item), 1 << 20, 100);

	(void)state;
	for (int i = 0; i < 5; i++) {
		stage(m, 0, 1, 1, 1);
		mailbox_hand_over(m, 0);
	}
	assert_int_equal(mailbox_counters(m, 0)->wakeups, 1);
	assert_int_equal(mailbox_counters(m, 0)->batches, 5);
	assert_int_equal(mailbox_counters(m, 0)->items, 5);
	n_dropped = 0;
	mailboxes_free(&m, drop_item);
	assert_int_equal(n_dropped, 5);
}

static void test_own_items_need_no_turn(void **state)
{
	struct mailboxes *m = mailboxes_new(1, sizeof(struct item), 1000, 100);
	struct mail_list l = STAILQ_HEAD_INITIALIZER(l);
	struct item got;

	(void)state;
	for (uint64_t i = 0; i < 3 * MAIL_BATCH_ITEMS; i++)
		stage(m, 0, 0, i, 0);
	assert_true(mailbox_has_own(m, 0));
	mailbox_take_own(m, 0, &l);
	assert_false(mailbox_has_own(m, 0));
	for (uint64_t i = 0; i < 3 * MAIL_BATCH_ITEMS; i++) {
		assert_true(pop(m, 0, &l, &got));
		assert_int_equal(got.seq, i);
	}
	assert_false(pop(m, 0, &l, &got));
	mailboxes_free(&m, drop_item);
}

static void test_pressure_rises_and_falls_and_wakes_all(void **state)
{
	struct mailboxes *m = mailboxes_new(3, sizeof(struct item), 1000, 100);
	struct mail_list l = STAILQ_HEAD_INITIALIZER(l);
	struct item got;

	(void)state;
	stage(m, 0, 1, 1, 1000);
	mailbox_hand_over(m, 0);
	assert_false(mailbox_pressure(m)); /* at the high-water mark, not above */
	stage(m, 0, 1, 2, 1);
	mailbox_hand_over(m, 0);
	assert_true(mailbox_pressure(m));
	assert_int_equal(in_flight(m, 0, 1), 1001);

	mailbox_take(m, 1, &l);
	assert_true(mailbox_pressure(m)); /* taken, but not handled yet */
	assert_true(pop(m, 1, &l, &got));
	assert_false(mailbox_pressure(m));
	assert_true(readable(mailbox_fd(m, 2), 0)); /* a thread that was not involved */
	assert_true(readable(mailbox_fd(m, 0), 0));
	assert_true(pop(m, 1, &l, &got));
	mailboxes_free(&m, drop_item);
}

static void test_free_drops_what_is_left(void **state)
{
	struct mailboxes *m = mailboxes_new(2, sizeof(struct item), 1000, 100);

	(void)state;
	for (unsigned to = 0; to < 2; to++) {
		struct item *i = mailbox_stage(m, 0, to, 1);
		*i = (struct item){.held = malloc(10)}; /* leaks unless drop is called */
	}
	stage(m, 1, 0, 1, 1);
	mailbox_hand_over(m, 1);
	n_dropped = 0;
	mailboxes_free(&m, drop_item);
	assert_int_equal(n_dropped, 3);
}

/* --- threads: each sends to each, in order, under pressure --- */

enum {
	THREADS = 4,
	PER_PAIR = 20000,
	ITEM_BYTES = 100,
	HIGH = 20000,
	LOW = 5000,
	PER_TURN = 50
};

struct world {
	struct mailboxes *m;
	_Atomic size_t max_in_flight;
};

struct thread {
	struct world *w;
	unsigned self;
	uint64_t expect[THREADS];
	bool ok;
};

static void note_max(struct world *w, size_t v)
{
	size_t old = atomic_load(&w->max_in_flight);

	while (v > old && !atomic_compare_exchange_weak(&w->max_in_flight, &old, v))
		;
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	struct mailboxes *m = t->w->m;
	struct mail_list l = STAILQ_HEAD_INITIALIZER(l);
	uint64_t sent = 0, received = 0;

	t->ok = true;
	while (received < (uint64_t)THREADS * PER_PAIR) {
		for (int i = 0; i < PER_TURN && sent < PER_PAIR && !mailbox_pressure(m);
		     i++, sent++)
			for (unsigned to = 0; to < THREADS; to++)
				stage(m, t->self, to, sent, ITEM_BYTES);
		mailbox_hand_over(m, t->self);
		if (sent == PER_PAIR || mailbox_pressure(m))
			readable(mailbox_fd(m, t->self), STAILQ_EMPTY(&l) ? 100 : 0);
		mailbox_take(m, t->self, &l);
		mailbox_take_own(m, t->self, &l);
		struct item got;
		while (pop(m, t->self, &l, &got)) {
			if (got.seq != t->expect[got.from]++)
				t->ok = false;
			received++;
		}
		for (unsigned from = 0; from < THREADS; from++)
			note_max(t->w, in_flight(m, from, t->self));
	}
	return NULL;
}

static void test_threads_keep_order_within_bounds(void **state)
{
	struct world w = {.m = mailboxes_new(THREADS, sizeof(struct item), HIGH, LOW)};
	struct thread t[THREADS] = {0};
	pthread_t id[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		t[i].w = &w;
		t[i].self = i;
		assert_int_equal(pthread_create(&id[i], NULL, run_thread, &t[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(id[i], NULL);
		assert_true(t[i].ok);
		for (unsigned from = 0; from < THREADS; from++)
			assert_int_equal(t[i].expect[from], PER_PAIR);
	}
	/* the bound is the high-water mark plus one turn */
	assert_in_range(w.max_in_flight, 1, HIGH + PER_TURN * ITEM_BYTES);
	assert_false(mailbox_pressure(w.m));
	mailboxes_free(&w.m, drop_item);
}

/* Reserved mail comes after the mail staged before it, even without memory. */
static void test_reserved_mail_keeps_its_place(void **state)
{
	struct mailboxes *m = mailboxes_new(2, sizeof(struct item), 1 << 20, 1 << 19);
	struct mail_list in = STAILQ_HEAD_INITIALIZER(in);
	uint64_t n = 0, got = 0;
	struct item item;

	(void)state;
	assert_non_null(m);
	for (unsigned round = 0; round < 3 * MAIL_BATCH_ITEMS; round++) {
		struct mail_batch *mail = mailbox_reserve(m);
		assert_non_null(mail);
		struct item *i = mailbox_stage_reserved(m, 0, 1, 1, mail);
		*i = (struct item){.seq = n++};
		for (unsigned k = 0; k < round % 3; k++)
			stage(m, 0, 1, n++, 1);
		/* reserve room that is not used */
		if (round % 5 == 0)
			assert_true(mailbox_room(m, 0, 1));
		if (round % 7 == 0)
			mailbox_hand_over(m, 0);
	}
	mailbox_hand_over(m, 0);
	assert_int_equal(in_flight(m, 0, 1), n);
	mailbox_take(m, 1, &in);
	while (pop(m, 1, &in, &item))
		assert_int_equal(item.seq, got++);
	assert_int_equal(got, n);
	assert_int_equal(in_flight(m, 0, 1), 0);
	mailboxes_free(&m, drop_item);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_visible_before_hand_over),
		cmocka_unit_test(test_wakes_only_when_empty),
		cmocka_unit_test(test_own_items_need_no_turn),
		cmocka_unit_test(test_pressure_rises_and_falls_and_wakes_all),
		cmocka_unit_test(test_free_drops_what_is_left),
		cmocka_unit_test(test_reserved_mail_keeps_its_place),
		cmocka_unit_test(test_threads_keep_order_within_bounds),
	};
	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
