/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a worker's posts go: the other end of post_send. Posts to others leave at the end
 * of the turn, posts to itself wait in the same place and are taken from there.
 */
#ifndef ROUTERD_OUTBOX_H
#define ROUTERD_OUTBOX_H

#include "common/mailbox.h"
#include "routerd/post.h"

struct outbox {
	struct mailboxes *boxes; /* lent */
	unsigned self;           /* the worker's index */
	unsigned n_workers;
	uint64_t n_posts; /* sent, to itself included */
};

/* Sends a copy of *p, which must hold nothing that is counted or owned, to every worker.
 */
void outbox_send_all(struct outbox *ob, const struct post *p);

#endif
