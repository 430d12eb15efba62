/* SPDX-License-Identifier: Apache-2.0 */
/* Mailboxes between threads; see mailbox.h for which thread may call what. */
#include "common/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SPARE_MAX = 32 }; /* empty batches that a thread keeps for reuse */

/* The bytes in flight from one thread to another. */
struct pair {
	_Atomic size_t bytes;
	_Atomic bool over; /* above high water, and not below low water since */
};

/* Items that the sender has not handed over yet. */
struct stage {
	struct mail_list list;
	struct mail_batch *last; /* NULL if the list is empty */
	size_t bytes;
};

/* The part of a box that only the box's own thread uses. */
struct sender {
	struct stage *staged; /* one per receiver */
	struct mail_list spare;
	unsigned n_spare;
	struct mailbox_counters counters;
};

struct mailbox {
	_Alignas(64) pthread_mutex_t lock; /* guards `in` */
	struct mail_list in;
	int fd; /* eventfd */
	struct sender sender;
	struct pair *from; /* one per sender */
};

struct mailboxes {
	unsigned n;
	size_t item_size, high, low;
	_Atomic unsigned pairs_over;
	struct mailbox *box;
};

static int box_init(struct mailbox *b, unsigned n)
{
	pthread_mutex_init(&b->lock, NULL);
	STAILQ_INIT(&b->in);
	STAILQ_INIT(&b->sender.spare);
	b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	b->from = calloc(n, sizeof(*b->from));
	b->sender.staged = calloc(n, sizeof(*b->sender.staged));
	if (b->fd == -1 || b->from == NULL || b->sender.staged == NULL)
		return -1;
	for (unsigned i = 0; i < n; i++)
		STAILQ_INIT(&b->sender.staged[i].list);
	return 0;
}

struct mailboxes *mailboxes_new(unsigned n, size_t item_size, size_t high, size_t low)
{
	ASSERT(n > 0 && low < high);
	struct mailboxes *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->item_size = item_size;
	m->high = high;
	m->low = low;
	m->box = aligned_alloc(64, n * sizeof(*m->box));
	if (m->box == NULL)
		goto fail;
	memset(m->box, 0, n * sizeof(*m->box));
	for (m->n = 0; m->n < n;)
		if (box_init(&m->box[m->n++], n) != 0)
			goto fail;
	return m;
fail:
	mailboxes_free(&m, NULL);
	return NULL;
}

static void drop_list(struct mailboxes *m, struct mail_list *l, void (*drop)(void *item))
{
	while (!STAILQ_EMPTY(l)) {
		struct mail_batch *b = STAILQ_FIRST(l);
		STAILQ_REMOVE_HEAD(l, link);
		for (; b->taken < b->count; b->taken++)
			drop(b->items + b->taken * m->item_size);
		free(b);
	}
}

static void box_fini(struct mailboxes *m, struct mailbox *b, void (*drop)(void *item))
{
	drop_list(m, &b->in, drop);
	for (unsigned i = 0; i < m->n && b->sender.staged != NULL; i++)
		drop_list(m, &b->sender.staged[i].list, drop);
	/* The items of spare batches were taken, so nothing is dropped twice. */
	drop_list(m, &b->sender.spare, drop);
	free(b->sender.staged);
	free(b->from);
	if (b->fd != -1)
		close(b->fd);
	pthread_mutex_destroy(&b->lock);
}

void mailboxes_free(struct mailboxes **mp, void (*drop)(void *item))
{
	struct mailboxes *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	for (unsigned i = 0; i < m->n; i++)
		box_fini(m, &m->box[i], drop);
	free(m->box);
	free(m);
}

int mailbox_fd(const struct mailboxes *m, unsigned self)
{
	return m->box[self].fd;
}

static void wake(struct mailbox *b)
{
	uint64_t one = 1;

	/* write fails only if the eventfd's counter is full. Then the receiver wakes up
	 * anyway. */
	ssize_t ignored = write(b->fd, &one, sizeof(one));
	(void)ignored;
}

static struct mail_batch *batch_alloc(const struct mailboxes *m, unsigned room)
{
	struct mail_batch *b = malloc(sizeof(*b) + room * m->item_size);

	if (b != NULL)
		b->room = room;
	return b;
}

struct mail_batch *mailbox_reserve(const struct mailboxes *m)
{
	return batch_alloc(m, 1);
}

static struct mail_batch *take_spare(struct sender *s)
{
	struct mail_batch *b = STAILQ_FIRST(&s->spare);

	if (b != NULL) {
		STAILQ_REMOVE_HEAD(&s->spare, link);
		s->n_spare--;
	}
	return b;
}

static bool has_room(const struct stage *st)
{
	return st->last != NULL && st->last->count < st->last->room;
}

static void append_batch(struct stage *st, unsigned self, struct mail_batch *b)
{
	b->from = self;
	b->count = b->taken = 0;
	b->bytes = 0;
	st->last = b;
	STAILQ_INSERT_TAIL(&st->list, b, link);
}

/* This may leave an empty batch at the end of the list, which is harmless. */
bool mailbox_room(struct mailboxes *m, unsigned self, unsigned to)
{
	struct sender *s = &m->box[self].sender;
	struct stage *st = &s->staged[to];
	struct mail_batch *b;

	if (has_room(st))
		return true;
	b = take_spare(s);
	if (b == NULL)
		b = batch_alloc(m, MAIL_BATCH_ITEMS);
	if (b == NULL)
		return false;
	append_batch(st, self, b);
	return true;
}

static void *add_item(struct mailboxes *m, struct stage *st, size_t bytes)
{
	struct mail_batch *b = st->last;

	b->bytes += bytes;
	st->bytes += bytes;
	return b->items + b->count++ * m->item_size;
}

static NOINLINE void *stage_in_new_batch(struct mailboxes *m, unsigned self, unsigned to,
					 size_t bytes)
{
	if (!mailbox_room(m, self, to))
		return NULL;
	return add_item(m, &m->box[self].sender.staged[to], bytes);
}

void *mailbox_stage(struct mailboxes *m, unsigned self, unsigned to, size_t bytes)
{
	struct stage *st = &m->box[self].sender.staged[to];

	if (UNLIKELY(!has_room(st)))
		return stage_in_new_batch(m, self, to, bytes);
	return add_item(m, st, bytes);
}

void *mailbox_stage_reserved(struct mailboxes *m, unsigned self, unsigned to,
			     size_t bytes, struct mail_batch *reserved)
{
	struct sender *s = &m->box[self].sender;
	struct stage *st = &s->staged[to];
	struct mail_batch *b = has_room(st) ? st->last : take_spare(s);

	if (b == NULL)
		append_batch(st, self, reserved);
	else if (b != st->last)
		append_batch(st, self, b);
	/* The reserved batch was not needed. */
	if (st->last != reserved)
		free(reserved);
	return add_item(m, st, bytes);
}

/*
 * Adds 1 or -1 to the number of pairs whose mark `over` is set. The thread that changes
 * the number to 0 wakes all threads. That thread need not be the one that cleared the
 * last mark: two threads may change their marks in one order and call this in the other.
 */
static void change_pairs_over(struct mailboxes *m, unsigned by)
{
	if (atomic_fetch_add(&m->pairs_over, by) + by != 0)
		return;
	for (unsigned i = 0; i < m->n; i++)
		wake(&m->box[i]);
}

/*
 * Updates the mark `over` of a pair after its bytes have changed. Both ends may do this
 * at the same time. The end that changed the bytes last also reads them last, so the mark
 * is right in the end.
 */
static void settle(struct mailboxes *m, struct pair *p)
{
	for (;;) {
		size_t bytes = atomic_load(&p->bytes);
		if (bytes > m->high) {
			if (atomic_exchange(&p->over, true))
				return;
			change_pairs_over(m, 1);
		} else if (bytes < m->low) {
			if (!atomic_load(&p->over) || !atomic_exchange(&p->over, false))
				return;
			change_pairs_over(m, -1u);
		} else {
			return;
		}
	}
}

/*
 * Adds the staged bytes to the pair's count and moves the staged items to the end of
 * *out.
 */
static void unstage(struct stage *st, struct pair *p, struct mail_list *out)
{
	atomic_fetch_add(&p->bytes, st->bytes);
	STAILQ_CONCAT(out, &st->list);
	st->last = NULL;
	st->bytes = 0;
}

static void hand_over_to(struct mailboxes *m, unsigned self, unsigned to)
{
	struct sender *s = &m->box[self].sender;
	struct mailbox *box = &m->box[to];
	struct mail_batch *b;

	STAILQ_FOREACH (b, &s->staged[to].list, link)
		s->counters.items += b->count;
	s->counters.batches++;

	pthread_mutex_lock(&box->lock);
	/* If the box is not empty, its thread was woken before and has not taken the
	 * items yet. */
	bool was_empty = STAILQ_EMPTY(&box->in);
	unstage(&s->staged[to], &box->from[self], &box->in);
	pthread_mutex_unlock(&box->lock);

	if (was_empty) {
		s->counters.wakeups++;
		wake(box);
	}
	settle(m, &box->from[self]);
}

void mailbox_hand_over(struct mailboxes *m, unsigned self)
{
	for (unsigned to = 0; to < m->n; to++)
		if (to != self && m->box[self].sender.staged[to].last != NULL)
			hand_over_to(m, self, to);
}

void mailbox_take(struct mailboxes *m, unsigned self, struct mail_list *out)
{
	struct mailbox *box = &m->box[self];
	uint64_t ignored;

	/* Clear the signal before taking the items: an item that arrives in between
	 * signals again. */
	ssize_t n = read(box->fd, &ignored, sizeof(ignored));
	(void)n;
	pthread_mutex_lock(&box->lock);
	STAILQ_CONCAT(out, &box->in);
	pthread_mutex_unlock(&box->lock);
}

void mailbox_take_own(struct mailboxes *m, unsigned self, struct mail_list *out)
{
	struct stage *own = &m->box[self].sender.staged[self];

	if (own->last == NULL)
		return;
	unstage(own, &m->box[self].from[self], out);
	settle(m, &m->box[self].from[self]);
}

bool mailbox_has_own(const struct mailboxes *m, unsigned self)
{
	return m->box[self].sender.staged[self].last != NULL;
}

void mailbox_done(struct mailboxes *m, unsigned self, struct mail_batch *b)
{
	struct mailbox *box = &m->box[self];
	struct pair *p = &box->from[b->from];

	atomic_fetch_sub(&p->bytes, b->bytes);
	settle(m, p);
	/* A reserved batch has room for one item only, so do not keep it. */
	if (box->sender.n_spare == SPARE_MAX || b->room < MAIL_BATCH_ITEMS) {
		free(b);
		return;
	}
	STAILQ_INSERT_HEAD(&box->sender.spare, b, link);
	box->sender.n_spare++;
}

size_t mailbox_in_flight(const struct mailboxes *m, unsigned self)
{
	size_t most = 0;

	for (unsigned to = 0; to < m->n; to++) {
		size_t bytes = m->box[self].sender.staged[to].bytes +
			       atomic_load_explicit(&m->box[to].from[self].bytes,
						    memory_order_relaxed);
		if (bytes > most)
			most = bytes;
	}
	return most;
}

bool mailbox_pressure(const struct mailboxes *m)
{
	return atomic_load_explicit(&m->pairs_over, memory_order_relaxed) != 0;
}

#define X(field, name, type, help)                                                       \
	{name, help, type, offsetof(struct mailbox_counters, field)},
const struct counter_table mailbox_counter_table =
	COUNTER_TABLE(struct mailbox_counters, MAILBOX_COUNTERS(X));
#undef X

const struct mailbox_counters *mailbox_counters(const struct mailboxes *m, unsigned self)
{
	return &m->box[self].sender.counters;
}
