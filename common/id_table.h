/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds things by (owner, id): a session's membership by subscription, a callee's call by
 * invocation. One table holds those of all sessions, so that an idle session costs none;
 * its nodes are part of the things, so that adding needs no memory and cannot fail.
 *
 * Linear hashing: each addition splits at most one bucket, so that none of them is slow,
 * however many there are. The table never shrinks: it keeps 8 bytes for each thing that
 * it held at its fullest. Peers can influence which ids stay, so the hash is keyed; it is
 * a multiplication and not SipHash, because nothing that a peer sees depends on it.
 *
 * A table belongs to one thread.
 */
#ifndef COMMON_ID_TABLE_H
#define COMMON_ID_TABLE_H

#include "common/base.h"

/* Part of a thing that lies in a table. owner and id are set before it is added. */
struct id_node {
	struct id_node *next; /* in its bucket */
	void *owner;          /* only compared */
	uint64_t id;
};

struct id_table {
	struct id_node **buckets;
	size_t n_buckets; /* in use */
	size_t mask;      /* of a hash: 2^k - 1, n_buckets <= mask < 2 * n_buckets */
	size_t capacity;  /* of buckets */
	size_t count;
	uint64_t key[2]; /* odd, random */
};

int id_table_init(struct id_table *t) MUSTCHECK; /* E_NOMEM */
/* It must be empty. Fine after a failed or no init of a zeroed struct. */
void id_table_fini(struct id_table *t);

/* No other node may have this owner and id. */
void id_table_add(struct id_table *t, struct id_node *node);
/* The node must be in the table. */
void id_table_remove(struct id_table *t, struct id_node *node);

static inline struct id_node **id_table_bucket(const struct id_table *t,
					       const void *owner, uint64_t id)
{
	/* a product's bits from 32 on depend on all lower ones of its factors */
	size_t i = ((uintptr_t)owner * t->key[0] + id * t->key[1]) >> 32 & t->mask;

	if (i >= t->n_buckets)
		i &= t->mask >> 1; /* that bucket is not split off yet */
	return &t->buckets[i];
}

/* NULL: there is none. */
static inline struct id_node *id_table_find(const struct id_table *t, const void *owner,
					    uint64_t id)
{
	struct id_node *node = *id_table_bucket(t, owner, id);

	while (node != NULL && (node->id != id || node->owner != owner))
		node = node->next;
	return node;
}

#endif
