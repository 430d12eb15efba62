/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of common/wheel: deadlines that are moved, canceled, and changed by
 * callbacks. */
#include "common/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct item {
	struct wheel_node node;
	uint64_t due;
	bool fired;
};

static uint64_t now;
static struct wheel wheel;

static void fire(struct wheel_node *n, void *arg)
{
	struct item *it = container_of(n, struct item, node);

	assert_ptr_equal(arg, &wheel);
	assert_false(it->fired);
	assert_true(now >= it->due);
	it->fired = true;
}

static void test_deadlines_fire_in_time(void **state)
{
	static struct item items[3000];
	const uint64_t start = 123456789;

	(void)state;
	srand(2);
	now = start;
	wheel_init(&wheel, now);
	assert_int_equal(wheel_next_ms(&wheel), 0);
	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		items[i].due = now + (uint64_t)(rand() % 200000);
		wheel_set(&wheel, &items[i].node, items[i].due);
	}
	while (wheel.nodes > 0) {
		uint64_t next = wheel_next_ms(&wheel);

		assert_true(next > now);
		assert_true(next <= now + (uint64_t)WHEEL_SLOTS * WHEEL_TICK_MS);
		now = next + (uint64_t)(rand() % 150);
		wheel_run(&wheel, now, fire, &wheel);
		for (size_t i = 0; i < ARRAY_LEN(items); i++) {
			if (items[i].due + WHEEL_TICK_MS <= now)
				assert_true(items[i].fired);
		}
	}
}

static void test_moved_and_canceled(void **state)
{
	struct item a = {.due = 500}, b = {.due = 700}, c = {.due = 90 * 1000};

	(void)state;
	now = 0;
	wheel_init(&wheel, now);
	wheel_set(&wheel, &a.node, 100);
	wheel_set(&wheel, &a.node, a.due);
	wheel_set(&wheel, &b.node, b.due);
	wheel_set(&wheel, &c.node, c.due);
	wheel_cancel(&wheel, &b.node);
	wheel_cancel(&wheel, &b.node);
	now = 80 * 1000; /* a long sleep */
	wheel_run(&wheel, now, fire, &wheel);
	assert_true(a.fired);
	assert_false(b.fired);
	assert_false(c.fired);
	now = 90 * 1000 + 100;
	wheel_run(&wheel, now, fire, &wheel);
	assert_true(c.fired);
	assert_int_equal(wheel.nodes, 0);
	/* time that goes backwards fires nothing */
	wheel_run(&wheel, now - 5000, fire, &wheel);
}

static struct item all[4];

/* Each timer cancels the next one, and sets itself anew with a deadline in the past. */
static void fire_and_meddle(struct wheel_node *n, void *arg)
{
	size_t i = (size_t)(container_of(n, struct item, node) - all);

	(void)arg;
	all[i].fired = true;
	wheel_cancel(&wheel, &all[(i + 1) % 4].node);
	wheel_set(&wheel, n, 0);
}

static void test_callbacks_change_the_wheel(void **state)
{
	size_t fired = 0;

	(void)state;
	wheel_init(&wheel, 0);
	for (size_t i = 0; i < 4; i++)
		wheel_set(&wheel, &all[i].node, 50);
	wheel_run(&wheel, 200, fire_and_meddle, NULL);
	for (size_t i = 0; i < 4; i++)
		fired += all[i].fired;
	assert_in_range(fired, 1, 3);
	assert_in_range(wheel.nodes, 1, 2);
	for (size_t i = 0; i < 4; i++)
		wheel_cancel(&wheel, &all[i].node);
	assert_int_equal(wheel.nodes, 0);
}

/* No earlier than needed, except after a deadline was canceled. */
static void test_when_the_wheel_is_due_next(void **state)
{
	struct item a = {.due = 500}, b = {.due = 250}, c = {.due = 100 * 1000};

	(void)state;
	now = 0;
	wheel_init(&wheel, now);
	wheel_set(&wheel, &a.node, a.due);
	assert_int_equal(wheel_next_ms(&wheel), 510);
	wheel_set(&wheel, &b.node, b.due);
	assert_int_equal(wheel_next_ms(&wheel), 260);
	now = 259;
	wheel_run(&wheel, now, fire, &wheel);
	assert_false(b.fired);
	now = 260;
	wheel_run(&wheel, now, fire, &wheel);
	assert_true(b.fired);
	assert_int_equal(wheel_next_ms(&wheel), 510);
	wheel_cancel(&wheel, &a.node);
	assert_int_equal(wheel_next_ms(&wheel), 0);
	/* further away than the wheel is round */
	wheel_set(&wheel, &c.node, c.due);
	for (int looks = 0; !c.fired; looks++) {
		assert_true(looks < 5);
		now = wheel_next_ms(&wheel);
		assert_in_range(now, 1, c.due + WHEEL_TICK_MS);
		wheel_run(&wheel, now, fire, &wheel);
	}
	assert_int_equal(now, c.due + WHEEL_TICK_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines_fire_in_time),
		cmocka_unit_test(test_moved_and_canceled),
		cmocka_unit_test(test_callbacks_change_the_wheel),
		cmocka_unit_test(test_when_the_wheel_is_due_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
