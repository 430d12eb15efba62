/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a worker's posts go: the other end of post_send. Posts to others leave at the end
 * of the turn, posts to itself wait in the same place and are taken from there.
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
	uint64_t n_posts; /* sent, to itself included */
	uint64_t n_lost;  /* not sent, for want of memory */
};

/* For post_send_reserved. NULL: no memory. */
struct mail_batch *outbox_reserve(const struct outbox *ob) MUSTCHECK;

/* Makes sure that the next post_send to each worker cannot fail. False: no memory. */
bool outbox_room_all(struct outbox *ob) MUSTCHECK;

/*
 * Sends a copy of *p, which must hold nothing that is counted or owned, to every worker,
 * or, without memory, to none: false.
 */
bool outbox_send_all(struct outbox *ob, const struct post *p) MUSTCHECK;

/* Mail for a post to every worker. Zeroed it is empty. */
struct mail_for_all {
	struct mail_batch *to[CONFIG_MAX_THREADS];
};
/* 0 or E_NOMEM. outbox_free_all gives it back, also what there is of it. */
int outbox_reserve_all(const struct outbox *ob, struct mail_for_all *mail) MUSTCHECK;
void outbox_free_all(struct mail_for_all *mail);
/* outbox_send_all that cannot fail. */
void outbox_send_all_reserved(struct outbox *ob, const struct post *p,
			      struct mail_for_all *mail);

#endif
