/* SPDX-License-Identifier: Apache-2.0 */
/* Sending posts; the owner's thread. See outbox.h. */
#include "routerd/outbox.h"

void post_send(struct outbox *ob, unsigned to_worker, const struct post *p)
{
	struct post *room = mailbox_stage(ob->boxes, ob->self, to_worker, post_size(p));

	*room = *p;
	ob->n_posts++;
}

void outbox_send_all(struct outbox *ob, const struct post *p)
{
	for (unsigned w = 0; w < ob->n_workers; w++)
		post_send(ob, w, p);
}
