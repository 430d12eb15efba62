/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's members of subscriptions, and fan-out to them; see members.h. */
#include "routerd/peer/members.h"

#include "common/err.h"
#include "proto/msg.h"
#include "routerd/peer/peer.h"
#include "routerd/peer/peers.h"

#include <stdlib.h>

/* Deliveries between two looks at the clock. */
enum { DELIVERIES_PER_LOOK = 16 };

/* No padding: compared as bytes. */
struct membership_key {
	uint64_t subscription;
	uint64_t slot;
};

struct membership {
	struct membership_key key;
	struct peer *peer;
	struct member_list *list;
	TAILQ_ENTRY(membership) in_list;
	LIST_ENTRY(membership) of_peer;
	UT_hash_handle hh; /* members.by_session */
};

struct member_list {
	uint64_t subscription;
	TAILQ_HEAD(, membership) members; /* never empty */
	UT_hash_handle hh;                /* members.lists */
};

void members_init(struct members *m)
{
	*m = (struct members){.lists = NULL};
}

/* The EVENT has reached everybody, or nobody is left. */
static void fan_out_end(struct fan_out *f)
{
	for (unsigned k = 0; k < WIRE_KINDS; k++)
		shared_buf_unref(&f->framed[k]);
	post_drop(&f->post);
	*f = (struct fan_out){.list = NULL};
}

void members_fini(struct members *m)
{
	if (m->fan_out.list != NULL)
		fan_out_end(&m->fan_out);
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
		fan_out_end(&m->fan_out);
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

/* The EVENT as p's kind gets it, made when first needed; NULL: it cannot be. */
static struct shared_buf *framed_for(struct fan_out *f, struct peer *p)
{
	unsigned kind = peer_wire_kind(p);

	if (f->framed[kind] != NULL || f->impossible[kind])
		return f->framed[kind];
	struct msg_payload items;
	if (payload_items(f->post.payload, p->serializer, &items) == 0) {
		struct buf *b = peer_begin(p);
		msg_write_event(b, p->serializer, f->post.id, f->post.publication, items);
		f->framed[kind] = peer_framed(p);
	}
	f->impossible[kind] = f->framed[kind] == NULL;
	return f->framed[kind];
}

static void deliver_to(struct peers *ps, struct fan_out *f, struct peer *p)
{
	/* the slot first: a cheap look that nearly always settles it */
	if (p->slot == f->post.session.slot && f->post.exclude_me &&
	    session_ref_eq(f->post.session, peers_ref(ps, p)))
		return;
	struct shared_buf *b = framed_for(f, p);
	if (b == NULL) {
		peers_count(ps, PEER_UNDELIVERABLE);
		return;
	}
	conn_send_shared(p->conn, shared_buf_ref(b));
	peers_count(ps, PEER_EVENTS_DELIVERED);
}

bool members_fan_out_go_on(struct peers *ps)
{
	struct fan_out *f = &ps->members.fan_out;

	if (f->list == NULL)
		return true;
	for (unsigned n = 1; f->next != NULL; n++) {
		struct membership *ms = f->next;
		f->next = TAILQ_NEXT(ms, in_list);
		deliver_to(ps, f, ms->peer);
		if (n % DELIVERIES_PER_LOOK == 0 && f->next != NULL &&
		    peers_over_budget(ps))
			return false;
	}
	fan_out_end(f);
	return true;
}

bool members_fan_out(struct peers *ps, struct post *event)
{
	struct fan_out *f = &ps->members.fan_out;
	struct member_list *l;

	ASSERT(f->list == NULL);
	HASH_FIND(hh, ps->members.lists, &event->id, sizeof(event->id), l);
	if (l == NULL) {
		post_drop(event);
		return true;
	}
	f->post = *event;
	f->list = l;
	f->next = TAILQ_FIRST(&l->members);
	return members_fan_out_go_on(ps);
}
