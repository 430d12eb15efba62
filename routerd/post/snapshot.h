/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of one worker's counters, all taken at the same moment. The worker makes a
 * snapshot and posts it to worker 0, which then owns it. One thread at a time.
 */
#ifndef ROUTERD_POST_SNAPSHOT_H
#define ROUTERD_POST_SNAPSHOT_H

#include "common/counters.h"

enum { SNAPSHOT_NO_REALM = UINT16_MAX };

struct snapshot_part {
	struct counter_set set; /* its values are in the snapshot's own memory */
	uint16_t realm;         /* slot, or SNAPSHOT_NO_REALM */
};

struct snapshot {
	size_t size;             /* bytes of memory */
	size_t n_parts, n_bytes; /* used so far */
	size_t max_parts;
	struct snapshot_part parts[];
};

/*
 * Makes an empty snapshot with room for max_parts parts, whose counters take n_bytes in
 * total. NULL if out of memory. Release it with free().
 */
struct snapshot *snapshot_new(size_t max_parts, size_t n_bytes) MUSTCHECK;

/* Appends a copy of one object's counters. */
void snapshot_add(struct snapshot *s, uint16_t realm, const struct counter_table *table,
		  const void *values);

#endif
