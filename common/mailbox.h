/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes between N threads. Each thread has one box; all threads may write to it,
 * including itself.
 *
 * A sender stages items and hands them over once per turn of its loop. So it takes the
 * lock of a box once per turn, and wakes the receiver only if the box was empty. No other
 * code takes a lock, apart from the log and the C library. Items from one thread to
 * another keep their order.
 *
 * Pressure bounds the boxes. Bytes in flight are counted for each pair of a sender and a
 * receiver. mailbox_pressure() becomes true when a pair exceeds the high water mark, and
 * false when all pairs are below the low water mark; while it is true, threads must not
 * accept new work. Senders never wait and items are never dropped, so a pair may exceed
 * the mark by the items that are sent in one turn.
 *
 * Only thread `self` may call the functions that take `self`; any thread may call
 * mailbox_pressure.
 */
#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include "common/counters.h"

#include <sys/queue.h>

enum { MAIL_BATCH_ITEMS = 64 };

/* Items in flight, in order. The receiver processes them from the front. */
struct mail_batch {
	STAILQ_ENTRY(mail_batch) link;
	unsigned from;
	unsigned room;  /* items that fit */
	unsigned count; /* items in the batch */
	unsigned taken; /* items that the receiver has processed */
	size_t bytes;   /* bytes that the items count as */
	_Alignas(16) unsigned char items[];
};
STAILQ_HEAD(mail_list, mail_batch);

struct mailboxes;

/* Field, name of the counter, type, help. */
#define MAILBOX_COUNTERS(X)                                                              \
	X(items, "posts_out", COUNTER, "internal messages passed to other workers")      \
	X(batches, "batches_out", COUNTER,                                               \
	  "batches of internal messages passed to other workers")                        \
	X(wakeups, "wakeups", COUNTER, "batches that woke the other worker")

struct mailbox_counters {
#define X(field, name, type, help) uint64_t field;
	MAILBOX_COUNTERS(X)
#undef X
};
extern const struct counter_table mailbox_counter_table; /* describes that struct */

/*
 * Makes n boxes for items of item_size bytes. high and low are the water marks in bytes,
 * low < high. NULL if out of memory or descriptors.
 */
struct mailboxes *mailboxes_new(unsigned n, size_t item_size, size_t high,
				size_t low) MUSTCHECK;

/*
 * Frees the boxes. No thread may use them any more. Calls drop for each item left; drop
 * must release the resources of the item.
 */
void mailboxes_free(struct mailboxes **m, void (*drop)(void *item));

/*
 * A descriptor that becomes readable when items arrive or pressure ends. The mailboxes
 * own it.
 */
int mailbox_fd(const struct mailboxes *m, unsigned self);

/*
 * Stages an item for thread `to`. The item counts as `bytes` bytes in flight. Returns its
 * uninitialised storage, which is valid until the next call. NULL if out of memory.
 */
void *mailbox_stage(struct mailboxes *m, unsigned self, unsigned to,
		    size_t bytes) MUSTCHECK;

/* Makes sure that the next mailbox_stage to `to` succeeds. False if out of memory. */
bool mailbox_room(struct mailboxes *m, unsigned self, unsigned to) MUSTCHECK;

/*
 * Allocates room for one item in advance, for an item that must not be lost. Any thread.
 * Release it with free(). NULL if out of memory.
 */
struct mail_batch *mailbox_reserve(const struct mailboxes *m) MUSTCHECK;

/*
 * Like mailbox_stage, but cannot fail. It takes ownership of the reserved batch, even if
 * it does not need it.
 */
void *mailbox_stage_reserved(struct mailboxes *m, unsigned self, unsigned to,
			     size_t bytes, struct mail_batch *reserved);

/*
 * Makes all items that were staged for other threads visible to them. Call it at the end
 * of a turn.
 */
void mailbox_hand_over(struct mailboxes *m, unsigned self);

/* Appends all arrived items to *out. Call it when mailbox_fd is readable. */
void mailbox_take(struct mailboxes *m, unsigned self, struct mail_list *out);

/* Appends the items that self has staged for itself to *out. No hand-over is needed. */
void mailbox_take_own(struct mailboxes *m, unsigned self, struct mail_list *out);

/* Has self staged items for itself that were not taken yet? */
bool mailbox_has_own(const struct mailboxes *m, unsigned self);

/*
 * Frees a batch or keeps it for reuse. The receiver calls it for a batch whose items it
 * has processed, after removing the batch from its list.
 */
void mailbox_done(struct mailboxes *m, unsigned self, struct mail_batch *b);

/*
 * The largest number of bytes that self has in flight to any one thread. Items that are
 * only staged count, too.
 */
size_t mailbox_in_flight(const struct mailboxes *m, unsigned self);

/* Must threads stop accepting new work? */
bool mailbox_pressure(const struct mailboxes *m);

const struct mailbox_counters *mailbox_counters(const struct mailboxes *m, unsigned self);

#endif
