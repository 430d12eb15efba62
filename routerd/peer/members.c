/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of members; see members.h. The worker's thread. */
#include "routerd/peer/members.h"

#include "common/err.h"
#include "routerd/peer/peer.h"
#include "routerd/peer/peers.h"

#include <stdlib.h>

/* Memberships that one call removes; this takes about 0.1 ms. */
enum { REMOVED_AT_ONCE = 512 };

int members_init(struct members *m)
{
	*m = (struct members){.by_peer = {.count = 0}};
	TAILQ_INIT(&m->ended);
	return id_table_init(&m->lists) != 0 ? E_NOMEM : id_table_init(&m->by_peer);
}

void members_free_bytes(struct fan_out *f)
{
	for (unsigned k = 0; k < WIRE_KINDS; k++) {
		if (!f->bytes[k].made)
			continue;
		shared_buf_unref(&f->bytes[k].framed);
		f->bytes[k] = (struct fan_out_bytes){.made = false};
	}
}

void members_fan_out_end(struct fan_out *f)
{
	members_free_bytes(f);
	f->n_done = 0;
	while (f->n_events > 0)
		post_drop(&f->events[--f->n_events]);
	f->list = NULL;
	f->next = NULL;
}

/* The owner of member.node: the slot and the generation of a session. */
static void *owner_of(const struct peers *ps, const struct peer *p)
{
	static_assert(sizeof(void *) == sizeof(uint64_t), "both fit into a pointer");
	return (void *)((uintptr_t)p->slot << 32 | ps->slots[p->slot].generation);
}

static struct member *find_member(const struct peers *ps, const struct peer *p,
				  uint64_t subscription)
{
	struct id_node *node =
		id_table_find(&ps->members.by_peer, owner_of(ps, p), subscription);

	return node == NULL ? NULL : container_of(node, struct member, node);
}

struct member_list *members_of(const struct members *m, uint64_t subscription)
{
	struct id_node *node = id_table_find(&m->lists, NULL, subscription);

	return node == NULL ? NULL : container_of(node, struct member_list, node);
}

int members_add(struct peers *ps, struct peer *p, uint64_t subscription)
{
	struct members *m = &ps->members;
	struct member_list *l = members_of(m, subscription);

	if (find_member(ps, p, subscription) != NULL)
		return 0;
	struct member *member = malloc(sizeof(*member));
	if (member == NULL)
		return E_NOMEM;
	if (l == NULL) {
		l = malloc(sizeof(*l));
		if (l == NULL) {
			free(member);
			return E_NOMEM;
		}
		l->node = (struct id_node){.id = subscription};
		TAILQ_INIT(&l->members);
		id_table_add(&m->lists, &l->node);
	}
	member->node = (struct id_node){.owner = owner_of(ps, p), .id = subscription};
	member->list = l;
	id_table_add(&m->by_peer, &member->node);
	TAILQ_INSERT_TAIL(&l->members, member, in_list);
	TAILQ_INSERT_TAIL(&p->members, member, of_peer);
	return 0;
}

/* Ends a membership in the list `of`. Frees its member_list if no members are left. */
static void remove_one(struct members *m, struct peer_members *of, struct member *member)
{
	struct member_list *l = member->list;

	/* a delivery may end a session, and with it this membership, during a fan-out */
	if (m->fan_out.next == member)
		m->fan_out.next = TAILQ_NEXT(member, in_list);
	TAILQ_REMOVE(&l->members, member, in_list);
	TAILQ_REMOVE(of, member, of_peer);
	id_table_remove(&m->by_peer, &member->node);
	free(member);
	if (!TAILQ_EMPTY(&l->members))
		return;
	/* then the cursor is NULL, too */
	if (m->fan_out.list == l)
		m->fan_out.list = NULL;
	id_table_remove(&m->lists, &l->node);
	free(l);
}

void members_remove(struct peers *ps, struct peer *p, uint64_t subscription)
{
	struct member *member = find_member(ps, p, subscription);

	if (member != NULL)
		remove_one(&ps->members, &p->members, member);
}

/* Removes at most n memberships of the list `of`. */
static void remove_some(struct members *m, struct peer_members *of, unsigned n)
{
	struct member *member;

	for (; n > 0 && (member = TAILQ_FIRST(of)) != NULL; n--)
		remove_one(m, of, member);
}

void members_remove_all(struct peers *ps, struct peer *p)
{
	remove_some(&ps->members, &p->members, REMOVED_AT_ONCE);
	TAILQ_CONCAT(&ps->members.ended, &p->members, of_peer);
}

bool members_remove_some(struct peers *ps)
{
	remove_some(&ps->members, &ps->members.ended, REMOVED_AT_ONCE);
	return !TAILQ_EMPTY(&ps->members.ended);
}

void members_fini(struct members *m)
{
	members_fan_out_end(&m->fan_out);
	while (!TAILQ_EMPTY(&m->ended))
		remove_some(m, &m->ended, REMOVED_AT_ONCE);
	id_table_fini(&m->by_peer);
	id_table_fini(&m->lists);
}
