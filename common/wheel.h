/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines of many objects: a ring of lists, one for each 10 milliseconds. Setting,
 * moving and cancelling cost a list operation each; no timer object, no allocation. A
 * deadline may pass up to 10 milliseconds late, never early. Owned by one thread; time is
 * passed in.
 */
#ifndef COMMON_WHEEL_H
#define COMMON_WHEEL_H

#include "common/base.h"

#include <sys/queue.h>

enum {
	WHEEL_TICK_MS = 10,
	WHEEL_SLOTS = 4096, /* deadlines further away than this are passed over in turn */
};

/* Embedded in what has the deadline. All zero is one that is not set. */
struct wheel_node {
	LIST_ENTRY(wheel_node) link;
	uint64_t tick; /* when it is due; 0: not set */
};

LIST_HEAD(wheel_list, wheel_node);

struct wheel {
	uint64_t tick; /* run up to here */
	uint64_t next; /* no node is due before; meaningless without nodes */
	size_t nodes;
	struct wheel_list slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);

/* Sets or moves a deadline. */
void wheel_set(struct wheel *w, struct wheel_node *n, uint64_t due_ms);
void wheel_cancel(struct wheel *w, struct wheel_node *n);

/*
 * Calls cb for each deadline that has passed, after it was taken out; cb may set and
 * cancel any.
 */
typedef void wheel_cb(struct wheel_node *n, void *arg);
void wheel_run(struct wheel *w, uint64_t now_ms, wheel_cb *cb, void *arg);

/* Before this time wheel_run has nothing to do; 0: without a deadline. */
uint64_t wheel_next_ms(const struct wheel *w);

#endif
