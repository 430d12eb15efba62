/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop; see loop.h. Runs on the thread that calls loop_run. */
#include "common/loop.h"

#include "common/err.h"

#include <stdlib.h>
#include <time.h>

struct loop {
	struct event_base *base;
	loop_turn_cb *turn_end;
	void *arg;
	uint64_t now_ms; /* 0: not read in this turn yet */
	bool stop;
	unsigned timers;     /* timers reserved by callers */
	unsigned timers_max; /* timers that memory exists for */
};

enum { TIMERS_FIRST = 256 };

uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/*
 * Makes libevent's table of armed timers large enough for n. The table never shrinks, so
 * it is enough to arm n timers for a moment.
 */
static int make_timers(struct loop *l, unsigned n)
{
	static const struct timeval far = {.tv_sec = 1 << 30};
	struct event *dummies = calloc(n, sizeof(*dummies));
	unsigned armed = 0;

	while (dummies != NULL && armed < n) {
		evtimer_assign(&dummies[armed], l->base, NULL, NULL);
		if (event_add(&dummies[armed], &far) != 0)
			break;
		armed++;
	}
	if (armed == n)
		l->timers_max = n;
	for (unsigned i = 0; i < armed; i++)
		event_del(&dummies[i]);
	free(dummies);
	return armed == n ? 0 : E_NOMEM;
}

int loop_reserve_timers(struct loop *l, unsigned n)
{
	if (l->timers + n > l->timers_max && make_timers(l, 2 * (l->timers + n)) != 0)
		return E_NOMEM;
	l->timers += n;
	return 0;
}

void loop_release_timers(struct loop *l, unsigned n)
{
	l->timers -= n;
}

struct loop *loop_new(loop_turn_cb *turn_end, void *arg)
{
	struct loop *l = calloc(1, sizeof(*l));
	struct event_config *cfg = event_config_new();

	if (l == NULL || cfg == NULL ||
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) != 0 ||
	    (l->base = event_base_new_with_config(cfg)) == NULL ||
	    loop_reserve_timers(l, TIMERS_FIRST) != 0)
		goto fail;
	event_config_free(cfg);
	l->turn_end = turn_end;
	l->arg = arg;
	return l;
fail:
	if (l != NULL && l->base != NULL)
		event_base_free(l->base);
	if (cfg != NULL)
		event_config_free(cfg);
	free(l);
	return NULL;
}

void loop_free(struct loop **lp)
{
	struct loop *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	event_base_free(l->base);
	free(l);
}

void loop_run(struct loop *l)
{
	/* The hook runs once before the first wait. */
	bool busy = true;

	while (!l->stop) {
		/* The first call of loop_now_ms in this turn reads the clock. */
		l->now_ms = 0;
		event_base_loop(l->base, EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : 0));
		busy = l->turn_end != NULL && l->turn_end(l->arg);
	}
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

static NOINLINE uint64_t read_clock(struct loop *l)
{
	l->now_ms = clock_now_ns() / 1000000;
	return l->now_ms;
}

uint64_t loop_now_ms(struct loop *l)
{
	return LIKELY(l->now_ms != 0) ? l->now_ms : read_clock(l);
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->cb(t->arg);
}

void timer_init(struct timer *t, struct loop *l, timer_cb *cb, void *arg)
{
	t->cb = cb;
	t->arg = arg;
	evtimer_assign(&t->ev, l->base, timer_fired, t);
}

void timer_arm(struct timer *t, uint64_t after_ms)
{
	struct timeval tv = {
		.tv_sec = (time_t)(after_ms / 1000),
		.tv_usec = (suseconds_t)(after_ms % 1000 * 1000),
	};

	event_add(&t->ev, &tv);
}

void timer_disarm(struct timer *t)
{
	event_del(&t->ev);
}
