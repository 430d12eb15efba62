/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a worker's counters; see snapshot.h. Any thread. */
#include "routerd/post/snapshot.h"

#include <stdlib.h>

struct snapshot *snapshot_new(size_t max_parts, size_t n_bytes)
{
	size_t size = sizeof(struct snapshot) + max_parts * sizeof(struct snapshot_part) +
		      n_bytes;
	struct snapshot *s = calloc(1, size);

	if (s == NULL)
		return NULL;
	s->size = size;
	s->max_parts = max_parts;
	return s;
}

void snapshot_add(struct snapshot *s, uint16_t realm, const struct counter_table *table,
		  const void *values)
{
	/* The values are stored after the array of parts. */
	char *copy = (char *)&s->parts[s->max_parts] + s->n_bytes;

	ASSERT(s->n_parts < s->max_parts && copy + table->size <= (char *)s + s->size);
	memcpy(copy, values, table->size);
	s->n_bytes += table->size;
	s->parts[s->n_parts++] =
		(struct snapshot_part){.set = {table, copy}, .realm = realm};
}
