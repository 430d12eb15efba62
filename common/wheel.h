/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines of many objects: a ring of lists, one for each 10 milliseconds. Setting,
 * moving or canceling a deadline costs a list operation and no allocation. A deadline
 * fires up to 10 milliseconds late, never early. One thread owns a wheel; the caller
 * passes the time.
 */
#ifndef COMMON_WHEEL_H
#define COMMON_WHEEL_H

#include "common/base.h"

#include <sys/queue.h>

enum {
	WHEEL_TICK_MS = 10,
	/*
	 * A deadline that is more than this many ticks away stays in its slot for several
	 * rounds.
	 */
	WHEEL_SLOTS = 4096,
};

/* Embedded in each object that has a deadline. All zero: no deadline is set. */
struct wheel_node {
	LIST_ENTRY(wheel_node) link;
	uint64_t tick; /* tick when it is due; 0: not set */
};

LIST_HEAD(wheel_list, wheel_node);

struct wheel {
	uint64_t tick; /* last tick that was run */
	uint64_t next; /* no node is due earlier; undefined without nodes */
	size_t nodes;
	struct wheel_list slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);

/* Sets or moves a deadline. */
void wheel_set(struct wheel *w, struct wheel_node *n, uint64_t due_ms);
void wheel_cancel(struct wheel *w, struct wheel_node *n);

/*
 * Calls cb for each deadline that has passed, after removing it. cb may set and cancel
 * any deadline.
 */
typedef void wheel_cb(struct wheel_node *n, void *arg);
void wheel_run(struct wheel *w, uint64_t now_ms, wheel_cb *cb, void *arg);

/* wheel_run has nothing to do before this time; 0: no deadline is set. */
uint64_t wheel_next_ms(const struct wheel *w);

#endif
