/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear hashing with nodes embedded in the objects; see id_table.h. Runs on the table's
 * thread.
 */
#include "common/id_table.h"

#include "common/err.h"

#include <sodium.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 16 }; /* a power of two */

int id_table_init(struct id_table *t)
{
	*t = (struct id_table){
		.n_buckets = FIRST_BUCKETS,
		.mask = 2 * FIRST_BUCKETS - 1,
		.capacity = FIRST_BUCKETS,
		.buckets = calloc(FIRST_BUCKETS, sizeof(struct id_node *)),
	};
	if (t->buckets == NULL)
		return E_NOMEM;
	randombytes_buf(t->key, sizeof(t->key));
	/* Only an odd factor keeps all bits of an owner or id in the product. */
	t->key[0] |= 1;
	t->key[1] |= 1;
	return 0;
}

void id_table_fini(struct id_table *t)
{
	ASSERT(t->count == 0);
	free(t->buckets);
	t->buckets = NULL;
}

/*
 * Adds a bucket and moves the nodes that hash to it from the bucket they shared. If
 * memory runs out, chains grow longer instead.
 */
static void split_one_bucket(struct id_table *t)
{
	if (t->n_buckets == t->capacity) {
		struct id_node **more =
			realloc(t->buckets, 2 * t->capacity * sizeof(*more));
		if (more == NULL)
			return;
		t->buckets = more;
		t->capacity *= 2;
	}
	struct id_node **to = &t->buckets[t->n_buckets];
	/* The shared bucket has the index of the new one without its highest bit. */
	struct id_node **from = &t->buckets[t->n_buckets & t->mask >> 1];
	t->n_buckets++;
	*to = NULL;
	while (*from != NULL) {
		struct id_node *node = *from;
		if (id_table_bucket(t, node->owner, node->id) != to) {
			from = &node->next;
			continue;
		}
		*from = node->next;
		node->next = *to;
		*to = node;
	}
	if (t->n_buckets > t->mask)
		t->mask = 2 * t->mask + 1;
}

void id_table_add(struct id_table *t, struct id_node *node)
{
	DEBUG_ASSERT(id_table_find(t, node->owner, node->id) == NULL);
	struct id_node **bucket = id_table_bucket(t, node->owner, node->id);

	node->next = *bucket;
	*bucket = node;
	if (++t->count > t->n_buckets)
		split_one_bucket(t);
}

void id_table_remove(struct id_table *t, struct id_node *node)
{
	struct id_node **link = id_table_bucket(t, node->owner, node->id);

	while (*link != node) {
		ASSERT(*link != NULL);
		link = &(*link)->next;
	}
	*link = node->next;
	t->count--;
}
