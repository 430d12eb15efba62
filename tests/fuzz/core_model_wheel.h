/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of a realm: the wheel. It runs as in common/wheel.c, since the order of
 * deadlines matters. See core_model.h.
 */
#ifndef TESTS_FUZZ_CORE_MODEL_WHEEL_H
#define TESTS_FUZZ_CORE_MODEL_WHEEL_H

#include "tests/fuzz/core_model_calls.h"

/*
 * Runs a slot of the wheel: the deadline that was put into it last comes first. Those of
 * later rounds are put into it again.
 */
static void model_slot(struct model *m, uint64_t tick)
{
	for (uint64_t begin = m->set;;) {
		size_t i = m->n_flights;
		for (size_t k = 0; k < m->n_flights; k++) {
			const struct flight *f = &m->flights[k];
			if (f->tick != 0 && f->tick % WHEEL_SLOTS == tick % WHEEL_SLOTS &&
			    f->set <= begin &&
			    (i == m->n_flights || f->set > m->flights[i].set))
				i = k;
		}
		if (i == m->n_flights)
			return;
		if (m->flights[i].tick > m->wheel_tick) {
			m->flights[i].set = ++m->set;
		} else {
			time_out(m, i);
			model_drain(m);
		}
	}
}

static bool has_deadline(const struct model *m, uint64_t slot, bool any)
{
	for (size_t i = 0; i < m->n_flights; i++)
		if (m->flights[i].tick != 0 &&
		    (any || m->flights[i].tick % WHEEL_SLOTS == slot % WHEEL_SLOTS))
			return true;
	return false;
}

/* As in common/wheel.c, since the order of deadlines matters. */
static void model_run_wheel(struct model *m)
{
	uint64_t tick = m->wheel_tick + 1;

	if (now_ms / WHEEL_TICK_MS < tick)
		return;
	m->wheel_tick = now_ms / WHEEL_TICK_MS;
	if (!has_deadline(m, 0, true) || m->wheel_next > m->wheel_tick)
		return;
	if (tick < m->wheel_next)
		tick = m->wheel_next;
	for (; tick <= m->wheel_tick; tick++)
		model_slot(m, tick);
	if (!has_deadline(m, 0, true))
		return;
	for (m->wheel_next = m->wheel_tick + 1; !has_deadline(m, m->wheel_next, false);)
		m->wheel_next++;
}

#endif
