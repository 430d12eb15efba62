/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of one worker's counters, all taken at the same moment, in a buffer. The worker
 * makes a snapshot and posts it to worker 0, which then owns it. One thread at a time.
 */
#ifndef ROUTERD_POST_SNAPSHOT_H
#define ROUTERD_POST_SNAPSHOT_H

#include "common/buf.h"
#include "common/counters.h"

enum { SNAPSHOT_NO_REALM = UINT16_MAX };

/* The counters of one object. */
struct snapshot_part {
	const struct counter_table *table;
	uint64_t realm;    /* slot, or SNAPSHOT_NO_REALM */
	uint64_t values[]; /* table->size bytes */
};

/* Appends a copy of one object's counters. A failure is in snapshot->err afterwards. */
static inline void snapshot_add(struct buf *snapshot, uint64_t realm,
				const struct counter_table *table, const void *values)
{
	const struct snapshot_part head = {.table = table, .realm = realm};

	buf_put(snapshot, &head, sizeof(head));
	buf_put(snapshot, values, table->size);
}

/* The part at *at, which advances to the next one. NULL at the end. */
static inline const struct snapshot_part *snapshot_next(const struct buf *snapshot,
							size_t *at)
{
	const void *part = snapshot->data + *at;

	if (*at == snapshot->len)
		return NULL;
	*at += sizeof(struct snapshot_part) +
	       ((const struct snapshot_part *)part)->table->size;
	return part;
}

#endif
