/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop of one thread: a libevent base without locks, a clock, timers, and a hook
 * at the end of each turn. A turn is one wait for events, their callbacks, and the hook.
 *
 * Everything here belongs to the thread that runs the loop. Code that does not own a loop
 * gets the time as an argument.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/base.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct loop;

/*
 * Called at the end of each turn. Returns true if it has left work that no event will
 * announce; then the next turn does not wait.
 */
typedef bool loop_turn_cb(void *arg);

/* NULL if out of memory or descriptors. turn_end may be NULL. */
struct loop *loop_new(loop_turn_cb *turn_end, void *arg) MUSTCHECK;
/* Frees the loop. All events on it must have been deleted. */
void loop_free(struct loop **l);

/* Runs turns until loop_stop is called. */
void loop_run(struct loop *l);
/* Makes this turn the last. Call it from a callback or the hook. */
void loop_stop(struct loop *l);

/* The base, for event_assign. The loop owns it. */
struct event_base *loop_base(struct loop *l);

/* Monotonic milliseconds, the same during all callbacks and the hook of a turn. */
uint64_t loop_now_ms(struct loop *l);
/* Monotonic nanoseconds, read at the call. Any thread. */
uint64_t clock_now_ns(void);

/*
 * Arming a timer must not fail, so memory for all armed timers is allocated in advance.
 * 256 timers of a loop need no reservation. A caller that needs more than a few timers
 * reserves them first, and releases them after disarming them. Returns 0 or E_NOMEM.
 */
int loop_reserve_timers(struct loop *l, unsigned n) MUSTCHECK;
void loop_release_timers(struct loop *l, unsigned n);

/*
 * A timer, embedded in its owner's struct. It fires once each time it is armed. Arming an
 * armed timer changes its time.
 */
typedef void timer_cb(void *arg);
struct timer {
	struct event ev;
	timer_cb *cb;
	void *arg;
};
void timer_init(struct timer *t, struct loop *l, timer_cb *cb, void *arg);
void timer_arm(struct timer *t, uint64_t after_ms);
void timer_disarm(struct timer *t);

#endif
