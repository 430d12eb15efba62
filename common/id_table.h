/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds objects by (owner, id): for example the subscriptions of a session by their id,
 * or the calls to a callee by the invocation's id. One table serves all sessions, so an
 * idle session costs no memory. Nodes are embedded in the objects, so adding allocates
 * nothing and cannot fail.
 *
 * The table uses linear hashing: an addition splits at most one bucket, so no addition is
 * slow, however large the table. The table never shrinks: it keeps up to 16 bytes for
 * each object it held at its fullest. A peer can influence which ids stay in the table,
 * so the hash is keyed. It is a multiplication instead of SipHash, because a peer cannot
 * observe the hashes.
 *
 * A table belongs to one thread.
 */
#ifndef COMMON_ID_TABLE_H
#define COMMON_ID_TABLE_H

#include "common/base.h"

/* Embedded in each object of a table. Set owner and id before adding it. */
struct id_node {
	struct id_node *next; /* next node of the bucket */
	void *owner;          /* compared, never dereferenced */
	uint64_t id;
};

struct id_table {
	struct id_node **buckets;
	size_t n_buckets; /* buckets in use */
	size_t mask; /* applied to hashes: 2^k - 1, n_buckets <= mask < 2 * n_buckets */
	size_t capacity; /* buckets allocated */
	size_t count;
	uint64_t key[2]; /* odd, random */
};

int id_table_init(struct id_table *t) MUSTCHECK; /* E_NOMEM */
/*
 * Frees the table, which must be empty. May also be called after a failed init, or on a
 * zeroed struct.
 */
void id_table_fini(struct id_table *t);

/* Adds a node. No other node may have the same owner and id. */
void id_table_add(struct id_table *t, struct id_node *node);
/* Removes a node, which must be in the table. */
void id_table_remove(struct id_table *t, struct id_node *node);

static inline struct id_node **id_table_bucket(const struct id_table *t,
					       const void *owner, uint64_t id)
{
	/* Use the upper half of the products: each bit of a product depends on all lower
	 * bits of the factors. */
	size_t i = ((uintptr_t)owner * t->key[0] + id * t->key[1]) >> 32 & t->mask;

	if (i >= t->n_buckets)
		/* That bucket does not exist yet: its nodes are still in the bucket from
		 * which a later split takes them. */
		i &= t->mask >> 1;
	return &t->buckets[i];
}

/* NULL if there is none. */
static inline struct id_node *id_table_find(const struct id_table *t, const void *owner,
					    uint64_t id)
{
	struct id_node *node = *id_table_bucket(t, owner, id);

	while (node != NULL && (node->id != id || node->owner != owner))
		node = node->next;
	return node;
}

#endif
