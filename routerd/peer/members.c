/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's members of subscriptions; see members.h. */
#include "routerd/peer/members.h"

#include "common/err.h"
#include "routerd/peer/peer.h"
#include "routerd/peer/peers.h"

#include <stdlib.h>

void members_init(struct members *m)
{
	*m = (struct members){.lists = NULL};
}

void members_fan_out_end(struct fan_out *f)
{
	for (unsigned k = 0; k < WIRE_KINDS; k++)
		shared_buf_unref(&f->bytes[k].framed);
	memset(f->bytes, 0, sizeof(f->bytes));
	while (f->n_events > 0)
		post_drop(&f->events[--f->n_events]);
	f->list = NULL;
	f->next = NULL;
}

void members_fini(struct members *m)
{
	ASSERT(m->lists == NULL && m->by_session == NULL);
}

static struct membership *find(struct members *m, const struct peer *p,
			       uint64_t subscription)
{
	struct membership_key key = {.subscription = subscription, .slot = p->slot};
	struct membership *ms;

	HASH_FIND(hh, m->by_session, &key, sizeof(key), ms);
	return ms;
}

static struct member_list *list_get(struct members *m, uint64_t subscription)
{
	struct member_list *l;

	HASH_FIND(hh, m->lists, &subscription, sizeof(subscription), l);
	if (l != NULL)
		return l;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->subscription = subscription;
	TAILQ_INIT(&l->members);
	HASH_ADD(hh, m->lists, subscription, sizeof(l->subscription), l);
	if (!table_has(l)) {
		free(l);
		return NULL;
	}
	return l;
}

static void list_drop_if_empty(struct members *m, struct member_list *l)
{
	if (!TAILQ_EMPTY(&l->members))
		return;
	if (m->fan_out.list == l)
		members_fan_out_end(&m->fan_out);
	HASH_DELETE(hh, m->lists, l);
	free(l);
}

int members_add(struct peers *ps, struct peer *p, uint64_t subscription)
{
	struct members *m = &ps->members;

	if (find(m, p, subscription) != NULL)
		return 0;
	struct member_list *l = list_get(m, subscription);
	struct membership *ms = calloc(1, sizeof(*ms));
	if (l == NULL || ms == NULL)
		goto fail;
	ms->key = (struct membership_key){.subscription = subscription, .slot = p->slot};
	ms->peer = p;
	ms->list = l;
	HASH_ADD(hh, m->by_session, key, sizeof(ms->key), ms);
	if (!table_has(ms))
		goto fail;
	TAILQ_INSERT_TAIL(&l->members, ms, in_list);
	LIST_INSERT_HEAD(&p->memberships, ms, of_peer);
	return 0;
fail:
	free(ms);
	if (l != NULL)
		list_drop_if_empty(m, l);
	return E_NOMEM;
}

static void remove_one(struct members *m, struct membership *ms)
{
	struct member_list *l = ms->list;

	if (m->fan_out.next == ms)
		m->fan_out.next = TAILQ_NEXT(ms, in_list);
	TAILQ_REMOVE(&l->members, ms, in_list);
	LIST_REMOVE(ms, of_peer);
	HASH_DELETE(hh, m->by_session, ms);
	free(ms);
	list_drop_if_empty(m, l);
}

void members_remove(struct peers *ps, struct peer *p, uint64_t subscription)
{
	struct membership *ms = find(&ps->members, p, subscription);

	if (ms != NULL)
		remove_one(&ps->members, ms);
}

void members_remove_all(struct peers *ps, struct peer *p)
{
	while (!LIST_EMPTY(&p->memberships))
		remove_one(&ps->members, LIST_FIRST(&p->memberships));
}
