/* SPDX-License-Identifier: Apache-2.0 */
/* A replacement for common/loop.c. Events are real; the test controls the clock and the
 * turns. No timer fires by itself; the test can fire that of a net. Include it in one
 * file of a program. One thread. */
#ifndef TESTS_UNIT_FAKE_LOOP_H
#define TESTS_UNIT_FAKE_LOOP_H

#include "common/loop.h"

#include <stdlib.h>

struct loop {
	struct event_base *base;
	loop_turn_cb *turn_end;
	void *arg;
	bool more; /* the last result of the hook */
	bool stopped;
};

static uint64_t now_ms;
/* how much the clock moves at each look, and the sum of these moves */
static uint64_t look_ns, looked_ns;
static struct timer *armed; /* the timer that was set last */
static uint64_t armed_due;

struct loop *loop_new(loop_turn_cb *turn_end, void *arg)
{
	struct loop *l = malloc(sizeof(*l));

	ASSERT(l != NULL);
	*l = (struct loop){.base = event_base_new(), .turn_end = turn_end, .arg = arg};
	return l;
}

void loop_free(struct loop **l)
{
	event_base_free((*l)->base);
	free(*l);
	*l = NULL;
}

/* Runs one turn, unless the loop was stopped. */
void loop_run(struct loop *l)
{
	if (l->stopped)
		return;
	event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	l->more = l->turn_end(l->arg);
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

uint64_t loop_now_ms(struct loop *l)
{
	(void)l;
	return now_ms;
}

uint64_t clock_now_ns(void)
{
	looked_ns += look_ns;
	return now_ms * 1000000 + looked_ns;
}

void timer_init(struct timer *t, struct loop *l, timer_cb *cb, void *arg)
{
	(void)l;
	t->cb = cb;
	t->arg = arg;
}

int loop_reserve_timers(struct loop *l, unsigned n)
{
	(void)l;
	(void)n;
	return 0;
}

void loop_release_timers(struct loop *l, unsigned n)
{
	(void)l;
	(void)n;
}

void timer_arm(struct timer *t, uint64_t after_ms)
{
	armed = t;
	armed_due = now_ms + after_ms;
}

void timer_disarm(struct timer *t)
{
	(void)t;
	armed = NULL;
}

#endif
