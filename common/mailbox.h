/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes between N threads: each has one, all may write to it, itself included.
 *
 * Items are staged by the sender and handed over once per turn of its loop: the lock, the
 * only one beside the C library's, is taken once per turn and pair, and the reader is
 * woken only if its box was empty. Between two threads items keep their order.
 *
 * Bounded by pressure: bytes in flight are counted per pair. While any pair is above its
 * high water, until all are below low water, mailbox_pressure() is true, and whoever
 * takes in new work must stop doing so. Nobody waits and nothing is dropped; the
 * overshoot is a turn's work of each thread.
 *
 * Functions with `self` are called by that thread only; mailbox_pressure by any.
 */
#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include "common/base.h"

#include <sys/queue.h>

enum { MAIL_BATCH_ITEMS = 64 };

/* Items on their way, in order. The reader takes them from the front. */
struct mail_batch {
	STAILQ_ENTRY(mail_batch) link;
	unsigned from;
	unsigned room;  /* for items */
	unsigned count; /* items in it */
	unsigned taken; /* items that the reader is done with */
	size_t bytes;   /* their account */
	_Alignas(16) unsigned char items[];
};
STAILQ_HEAD(mail_list, mail_batch);

struct mailboxes;

struct mailbox_counters {
	uint64_t items;   /* handed over to other threads */
	uint64_t batches; /* in so many hand-overs */
	uint64_t wakeups; /* that had to wake the reader */
};

/* n boxes for items of sizeof() item_size; high and low water in bytes, low < high. NULL:
 * no memory or descriptors. */
struct mailboxes *mailboxes_new(unsigned n, size_t item_size, size_t high,
				size_t low) MUSTCHECK;

/*
 * Frees the boxes. Items still in them are given to drop, which must release what they
 * hold; no thread may be using them any more.
 */
void mailboxes_free(struct mailboxes **m, void (*drop)(void *item));

/* Becomes readable when something has come, or pressure has fallen. Poll it; lent. */
int mailbox_fd(const struct mailboxes *m, unsigned self);

/*
 * Room for one item to `to`, uninitialised, counting for so many bytes. Valid until the
 * next call. NULL: no memory.
 */
void *mailbox_stage(struct mailboxes *m, unsigned self, unsigned to,
		    size_t bytes) MUSTCHECK;

/* Makes sure that the next mailbox_stage to `to` finds room. False: no memory. */
bool mailbox_room(struct mailboxes *m, unsigned self, unsigned to) MUSTCHECK;

/*
 * Mail for what must not be lost: room for one item, put aside while there is memory.
 * Any thread. Given back by free(). NULL: no memory.
 */
struct mail_batch *mailbox_reserve(const struct mailboxes *m) MUSTCHECK;

/* mailbox_stage that cannot fail: takes the reserved mail, whether it is needed or not.
 */
void *mailbox_stage_reserved(struct mailboxes *m, unsigned self, unsigned to,
			     size_t bytes, struct mail_batch *reserved);

/* At the end of a turn: everything staged for others becomes visible to them. */
void mailbox_hand_over(struct mailboxes *m, unsigned self);

/* After mailbox_fd became readable: appends all that has come to *out. */
void mailbox_take(struct mailboxes *m, unsigned self, struct mail_list *out);

/* Appends what self has staged for itself to *out. Needs no turn's end. */
void mailbox_take_own(struct mailboxes *m, unsigned self, struct mail_list *out);

/* Has self staged something for itself that was not taken yet? */
bool mailbox_has_own(const struct mailboxes *m, unsigned self);

/* The reader is done with a batch that it has taken off its list; frees it. */
void mailbox_done(struct mailboxes *m, unsigned self, struct mail_batch *b);

/* Should everybody stop taking in work? */
bool mailbox_pressure(const struct mailboxes *m);

const struct mailbox_counters *mailbox_counters(const struct mailboxes *m, unsigned self);

#endif
