/* SPDX-License-Identifier: Apache-2.0 */
/* Sends posts through the mailboxes; the worker's own thread. See outbox.h. */
#include "routerd/post/outbox.h"

#include "common/err.h"

#include <stdlib.h>

bool post_send(struct outbox *ob, unsigned to_worker, const struct post *p)
{
	struct post *room = mailbox_stage(ob->boxes, ob->self, to_worker, post_size(p));

	if (room == NULL) {
		ob->n_lost++;
		return false;
	}
	*room = *p;
	ob->n_posts++;
	return true;
}

bool post_room(struct outbox *ob, unsigned to_worker)
{
	if (mailbox_room(ob->boxes, ob->self, to_worker))
		return true;
	ob->n_lost++;
	return false;
}

void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail)
{
	struct post *room = mailbox_stage_reserved(ob->boxes, ob->self, to_worker,
						   post_size(p), *mail);

	*mail = NULL;
	*room = *p;
	ob->n_posts++;
}

struct mail_batch *outbox_reserve(const struct outbox *ob)
{
	return mailbox_reserve(ob->boxes);
}

/* Makes sure that the next post_send to each worker cannot fail. */
static bool room_for_all(struct outbox *ob)
{
	for (unsigned w = 0; w < ob->n_workers; w++)
		if (!post_room(ob, w))
			return false;
	return true;
}

bool outbox_send_all(struct outbox *ob, const struct post *p)
{
	if (!room_for_all(ob))
		return false;
	for (unsigned w = 0; w < ob->n_workers; w++) {
		bool sent = post_send(ob, w, p);
		ASSERT(sent);
	}
	return true;
}

bool outbox_ask_all(struct outbox *ob, const struct post *p, void *shared)
{
	struct mail_for_all mail = {.to = {NULL}};
	struct post question = *p;

	if (outbox_reserve_all(ob, &mail) != 0 || !room_for_all(ob)) {
		outbox_free_all(&mail);
		return false;
	}
	for (unsigned w = 0; w < ob->n_workers; w++) {
		refs_take(shared);
		question.mail = mail.to[w];
		bool sent = post_send(ob, w, &question);
		ASSERT(sent);
	}
	return true;
}

int outbox_reserve_all(const struct outbox *ob, struct mail_for_all *mail)
{
	for (unsigned w = 0; w < ob->n_workers; w++) {
		mail->to[w] = outbox_reserve(ob);
		if (mail->to[w] == NULL)
			return E_NOMEM;
	}
	return 0;
}

void outbox_free_all(struct mail_for_all *mail)
{
	for (unsigned w = 0; w < CONFIG_MAX_THREADS; w++) {
		free(mail->to[w]);
		mail->to[w] = NULL;
	}
}

void outbox_send_all_reserved(struct outbox *ob, const struct post *p,
			      struct mail_for_all *mail)
{
	for (unsigned w = 0; w < ob->n_workers; w++)
		post_send_reserved(ob, w, p, &mail->to[w]);
}
