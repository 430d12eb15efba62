/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread's event loop: libevent's base without locks, a clock, timers, and the hook
 * at the end of each turn. A turn is one wait for events, their callbacks, and the hook.
 *
 * Everything here belongs to the thread that runs the loop. Below this layer time is
 * passed in, never asked for.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/base.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct loop;

/*
 * Called at the end of each turn. Returns true if work is left that needs no event: the
 * next turn then does not wait.
 */
typedef bool loop_turn_cb(void *arg);

/* NULL: no memory or no descriptors. turn_end may be NULL. */
struct loop *loop_new(loop_turn_cb *turn_end, void *arg) MUSTCHECK;
/* Frees the base. Every event on it must have been deleted. */
void loop_free(struct loop **l);

/* Runs turns until loop_stop. */
void loop_run(struct loop *l);
/* From a callback or the hook: this turn is the last. */
void loop_stop(struct loop *l);

/* For event_assign. Lent. */
struct event_base *loop_base(struct loop *l);

/* Monotonic milliseconds, the same throughout a turn's callbacks and its hook. */
uint64_t loop_now_ms(struct loop *l);
/* Monotonic nanoseconds, read now. Any thread. */
uint64_t clock_now_ns(void);

/*
 * Arming a timer must not fail, so there must be memory for all that are armed at once. A
 * loop has it for 256. Whoever needs more than a few of its own reserves them first, and
 * releases them when they are disarmed. 0 or E_NOMEM.
 */
int loop_reserve_timers(struct loop *l, unsigned n) MUSTCHECK;
void loop_release_timers(struct loop *l, unsigned n);

/*
 * A timer that its owner embeds. It fires once per arming. Arming an armed timer moves
 * it.
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
