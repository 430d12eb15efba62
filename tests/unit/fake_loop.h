/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for common/loop.c in the tests of net/: events are real, but the clock is the
 * test's, and so is the one timer that a net has. Include it in one file of a program.
 */
#ifndef TESTS_UNIT_FAKE_LOOP_H
#define TESTS_UNIT_FAKE_LOOP_H

#include "common/loop.h"

struct loop {
	struct event_base *base;
};

static struct loop loop;
static uint64_t now_ms;
static struct timer *armed; /* there is one timer: the net's */
static uint64_t armed_due;

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
	return now_ms * 1000000;
}

void timer_init(struct timer *t, struct loop *l, timer_cb *cb, void *arg)
{
	(void)l;
	t->cb = cb;
	t->arg = arg;
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
