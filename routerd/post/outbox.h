/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The implementation of post_send: an outbox stages a worker's posts in the mailboxes.
 * Posts to other workers leave at the end of the turn. Posts to the worker itself are
 * staged in the same way; the worker takes them out in the same turn or the next.
 *
 * An outbox belongs to its worker's thread.
 */
#ifndef ROUTERD_OUTBOX_H
#define ROUTERD_OUTBOX_H

#include "common/mailbox.h"
#include "routerd/config/config.h"
#include "routerd/post/post.h"

struct outbox {
	struct mailboxes *boxes; /* lent */
	unsigned self;           /* the worker's index */
	unsigned n_workers;
	uint64_t n_posts; /* posts sent, including those to the worker itself */
	uint64_t n_lost;  /* posts that were not sent, because memory ran out */
};

/* Reserves mail for one post_send_reserved. NULL if out of memory. */
struct mail_batch *outbox_reserve(const struct outbox *ob) MUSTCHECK;

/*
 * Sends a copy of *p to every worker. *p must not hold references or owned objects. False
 * if out of memory; then no worker gets it.
 */
bool outbox_send_all(struct outbox *ob, const struct post *p) MUSTCHECK;
/*
 * The same for a post that each worker must answer even if memory runs out: adds mail for
 * the answer. *p refers to the reference-counted object `shared`, and each worker gets a
 * reference of its own.
 */
bool outbox_ask_all(struct outbox *ob, const struct post *p, void *shared) MUSTCHECK;

/* Reserved mail for one post to every worker. A zeroed struct is empty. */
struct mail_for_all {
	struct mail_batch *to[CONFIG_MAX_THREADS];
};
/* Reserves mail for every worker. 0 or E_NOMEM; call outbox_free_all in both cases. */
int outbox_reserve_all(const struct outbox *ob, struct mail_for_all *mail) MUSTCHECK;
void outbox_free_all(struct mail_for_all *mail);
/* Like outbox_send_all, but cannot fail: it uses the reserved mail. */
void outbox_send_all_reserved(struct outbox *ob, const struct post *p,
			      struct mail_for_all *mail);

#endif
