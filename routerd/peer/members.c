/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's members of subscriptions, and fan-out to them; see members.h. */
#include "routerd/peer/members.h"

#include "common/err.h"
#include "proto/msg.h"
#include "proto/ws_frame.h"
#include "routerd/peer/peer.h"
#include "routerd/peer/peers.h"

#include <stdlib.h>

enum {
	DELIVERIES_PER_LOOK = 16, /* between two looks at the clock */
	ENVELOPE_MAX = 64,        /* what EVENT puts around its payload, or more */
	FRAMED_MAX = 80 << 20,    /* the largest payload, transcoded, and its envelope */
};

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

/* The EVENTs have reached everybody, or nobody is left. */
static void fan_out_end(struct fan_out *f)
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

/* Appends an EVENT, framed for p's kind, to out. Errors as payload_items. */
MUSTCHECK
static int append_event(const struct peer *p, const struct post *event, struct buf *out,
			size_t *len_out)
{
	size_t start = out->len;
	struct msg_payload items;
	int r = payload_items(event->payload, p->serializer, &items);

	if (r != 0)
		return r;
	size_t room = peer_begin_frame(p, out, items.bytes.len + ENVELOPE_MAX);
	msg_write_event(out, p->serializer, event->id, event->publication, items);
	r = peer_end_frame(p, out, start, room, len_out);
	if (r != 0) {
		buf_clear(out);
		out->len = start;
	}
	return r;
}

/* Joins the frame at `start`, the last one in out, to the one at `last` before it, if
 * both are short. */
static bool join_frames(struct buf *out, size_t last, size_t start)
{
	size_t len = ws_frame_join(out->data + last, start - last, out->cap - last,
				   slice_of(out->data + start, out->len - start));

	if (len != 0)
		out->len = last + len;
	return len != 0;
}

/* Enough memory for all of them, most often. */
static size_t expected_size(const struct fan_out *f)
{
	size_t size = 0;

	for (unsigned i = 0; i < f->n_events; i++)
		size += payload_size(f->events[i].payload) + ENVELOPE_MAX;
	return size;
}

/* What p's kind gets, made when it is first needed. */
static const struct fan_out_bytes *bytes_for(struct fan_out *f, struct peer *p)
{
	struct fan_out_bytes *b = &f->bytes[peer_wire_kind(p)];
	size_t last = SHARED_BUF_HEAD, len = 0;
	struct buf out;

	if (b->made)
		return b;
	b->made = true;
	shared_buf_begin(&out, expected_size(f), FRAMED_MAX);
	b->no_memory = out.err == E_NOMEM;
	if (out.err != 0) {
		peer_log_undeliverable(p, WAMP_EVENT, out.err);
		return b;
	}
	for (unsigned i = 0; i < f->n_events; i++) {
		size_t start = out.len;
		int r = append_event(p, &f->events[i], &out, &len);
		if (r == E_NOMEM) {
			b->no_memory = true;
			break;
		}
		if (r != 0) {
			peer_log_undeliverable(p, WAMP_EVENT, r);
			continue;
		}
		if (len > b->longest)
			b->longest = len;
		if (!p->batched || b->n_events == 0 || !join_frames(&out, last, start))
			last = start;
		b->n_events++;
	}
	if (b->n_events == 0)
		buf_fini(&out);
	else
		b->framed = shared_buf_end(&out);
	return b;
}

/* It must not go on as if it had missed nothing. */
static void drop_member(struct peer *p)
{
	peers_no_memory(p->peers, conn_prefix(p->conn).text, "EVENT");
	conn_drop(p->conn);
}

/* To a peer for which one of them is too long: those that are not. */
static void deliver_singly(struct peers *ps, struct fan_out *f, struct peer *p)
{
	for (unsigned i = 0; i < f->n_events; i++) {
		const struct post *event = &f->events[i];
		struct msg_payload items;
		int r = payload_items(event->payload, p->serializer, &items);

		if (r == 0)
			msg_write_event(peer_begin(p), p->serializer, event->id,
					event->publication, items);
		if (r == 0)
			r = peer_send(p);
		if (r == E_NOMEM) {
			drop_member(p);
			return;
		}
		if (r != 0)
			peer_log_undeliverable(p, WAMP_EVENT, r);
		peers_count(ps, r == 0 ? PEER_EVENTS_DELIVERED : PEER_UNDELIVERABLE);
	}
}

static void deliver_to(struct peers *ps, struct fan_out *f, struct peer *p)
{
	const struct post *first = &f->events[0];

	/* the slot first: a cheap look that nearly always settles it */
	if (p->slot == first->session.slot && first->exclude_me &&
	    session_ref_eq(first->session, peers_ref(ps, p)))
		return;
	const struct fan_out_bytes *b = bytes_for(f, p);
	if (b->no_memory) {
		drop_member(p);
		return;
	}
	if (p->raw && b->longest > conn_send_max(p->conn)) {
		deliver_singly(ps, f, p);
		return;
	}
	ps->counters[PEER_UNDELIVERABLE] += f->n_events - b->n_events;
	ps->counters[PEER_EVENTS_DELIVERED] += b->n_events;
	if (b->framed != NULL)
		conn_send_shared(p->conn, shared_buf_ref(b->framed), b->n_events);
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
		    budget_posts_spent(&ps->net->budget))
			return false;
	}
	fan_out_end(f);
	return true;
}

/* To the same members, all of them or all but the same one? */
static bool same_way(const struct post *a, const struct post *b)
{
	return b->type == POST_EVENT && a->id == b->id &&
	       a->exclude_me == b->exclude_me &&
	       (!a->exclude_me || session_ref_eq(a->session, b->session));
}

/* How many of the posts go together; at least one. */
static size_t count_together(const struct post *posts, size_t n)
{
	size_t bytes = payload_size(posts[0].payload);
	size_t i = 1;

	for (; i < n && i < FAN_OUT_MAX && same_way(&posts[0], &posts[i]); i++) {
		bytes += payload_size(posts[i].payload);
		if (bytes > FAN_OUT_MAX_BYTES)
			break;
	}
	return i;
}

bool members_fan_out(struct peers *ps, struct post *posts, size_t n, size_t *taken_out)
{
	struct fan_out *f = &ps->members.fan_out;
	size_t together = count_together(posts, n);
	struct member_list *l;

	ASSERT(f->list == NULL && n > 0);
	*taken_out = together;
	memcpy(f->events, posts, together * sizeof(*posts));
	f->n_events = (unsigned)together;
	HASH_FIND(hh, ps->members.lists, &posts->id, sizeof(posts->id), l);
	if (l == NULL) {
		fan_out_end(f);
		return true;
	}
	f->list = l;
	f->next = TAILQ_FIRST(&l->members);
	return members_fan_out_go_on(ps);
}
