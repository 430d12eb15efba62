/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines in a ring of lists; see wheel.h. Runs on the wheel's thread. */
#include "common/wheel.h"

static struct wheel_list *slot_of(struct wheel *w, uint64_t tick)
{
	return &w->slots[tick % WHEEL_SLOTS];
}

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	w->tick = now_ms / WHEEL_TICK_MS;
	w->next = 0;
	w->nodes = 0;
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		LIST_INIT(&w->slots[i]);
}

void wheel_set(struct wheel *w, struct wheel_node *n, uint64_t due_ms)
{
	wheel_cancel(w, n);
	n->tick = due_ms / WHEEL_TICK_MS + 1;
	if (n->tick <= w->tick)
		n->tick = w->tick + 1;
	if (w->nodes == 0 || n->tick < w->next)
		w->next = n->tick;
	LIST_INSERT_HEAD(slot_of(w, n->tick), n, link);
	w->nodes++;
}

void wheel_cancel(struct wheel *w, struct wheel_node *n)
{
	if (n->tick == 0)
		return;
	LIST_REMOVE(n, link);
	n->tick = 0;
	w->nodes--;
}

/*
 * Runs all due nodes of one slot. The list is moved aside first, so that a deadline that
 * cb sets is not visited in the same pass. cb may also cancel nodes of either list.
 */
static void run_slot(struct wheel *w, struct wheel_list *slot, wheel_cb *cb, void *arg)
{
	struct wheel_list taken;
	struct wheel_node *n = LIST_FIRST(slot);

	LIST_INIT(slot);
	LIST_INIT(&taken);
	if (n != NULL) {
		taken.lh_first = n;
		n->link.le_prev = &taken.lh_first;
	}
	while ((n = LIST_FIRST(&taken)) != NULL) {
		LIST_REMOVE(n, link);
		if (n->tick > w->tick) {
			LIST_INSERT_HEAD(slot, n, link);
			continue;
		}
		n->tick = 0;
		w->nodes--;
		cb(n, arg);
	}
}

/* The first tick, from `tick` on, whose slot is not empty. There must be nodes. */
static uint64_t find_next(struct wheel *w, uint64_t tick)
{
	while (LIST_EMPTY(slot_of(w, tick)))
		tick++;
	return tick;
}

void wheel_run(struct wheel *w, uint64_t now_ms, wheel_cb *cb, void *arg)
{
	uint64_t now = now_ms / WHEEL_TICK_MS;
	uint64_t from = w->tick + 1;

	if (now < from)
		return;
	w->tick = now;
	if (w->nodes == 0 || w->next > now)
		return;
	if (from < w->next)
		from = w->next;
	/* After a long pause visit each slot once, not once per tick. */
	if (now - from >= WHEEL_SLOTS)
		from = now - WHEEL_SLOTS + 1;
	for (uint64_t t = from; t <= now; t++)
		run_slot(w, slot_of(w, t), cb, arg);
	if (w->nodes > 0)
		w->next = find_next(w, now + 1);
}

uint64_t wheel_next_ms(const struct wheel *w)
{
	return w->nodes == 0 ? 0 : w->next * WHEEL_TICK_MS;
}
