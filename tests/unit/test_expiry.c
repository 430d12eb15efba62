/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of the warnings about certificates that expire: when each is due. */
#include "routerd/control/expiry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { DAY = 86400 };

static const int64_t end = 1000 * DAY; /* when the certificate expires */

/* Nothing is said while a certificate is good for longer than 14 days. */
static void far(void **state)
{
	struct expiry_note note = expiry_note(end, 900 * DAY);

	(void)state;
	for (int64_t now = 900 * DAY; now <= end - 14 * DAY; now += 3600) {
		assert_int_equal(expiry_say(&note, now), EXPIRY_FAR);
		assert_in_range(expiry_wait(&note, now), 1, 3600);
	}
	assert_int_equal(expiry_say(&note, end - 14 * DAY), EXPIRY_FAR);
	assert_int_equal(expiry_wait(&note, end - 14 * DAY), 1);
	assert_int_equal(expiry_say(&note, end - 14 * DAY + 1), EXPIRY_SOON);
}

/* Runs the clock as the timer does. Returns the number of lines. */
static unsigned run(struct expiry_note *note, int64_t from, int64_t to,
		    enum expiry_state expected)
{
	unsigned lines = 0;

	for (int64_t now = from; now < to; now += expiry_wait(note, now)) {
		enum expiry_state said = expiry_say(note, now);

		if (said == EXPIRY_FAR)
			continue;
		assert_int_equal(said, expected);
		lines++;
	}
	return lines;
}

/* One line each day, and one at once when the certificate expires. */
static void lines(void **state)
{
	struct expiry_note note = expiry_note(end, 980 * DAY + 1234);

	(void)state;
	assert_int_equal(run(&note, 980 * DAY + 1234, end, EXPIRY_SOON), 14);
	assert_int_equal(expiry_say(&note, end - 1), EXPIRY_FAR);
	assert_int_equal(expiry_wait(&note, end - 1), 1);
	assert_int_equal(run(&note, end, end + 10 * DAY, EXPIRY_OVER), 10);
}

/* What was so at the start was said then: it is said again a day later. */
static void at_start(void **state)
{
	(void)state;
	for (int64_t start = end - 5 * DAY; start <= end + 5 * DAY; start += 10 * DAY) {
		struct expiry_note note = expiry_note(end, start);
		enum expiry_state is = start < end ? EXPIRY_SOON : EXPIRY_OVER;

		assert_int_equal(run(&note, start, start + DAY, is), 0);
		assert_int_equal(expiry_say(&note, start + DAY), is);
		assert_int_equal(expiry_say(&note, start + DAY), EXPIRY_FAR);
	}
}

/* A clock that is set back does not silence the warnings. */
static void clock_is_set(void **state)
{
	struct expiry_note note = expiry_note(end, end - 20 * DAY);

	(void)state;
	assert_int_equal(expiry_say(&note, end + DAY), EXPIRY_OVER);
	assert_int_equal(expiry_say(&note, end - DAY), EXPIRY_SOON);
	assert_int_equal(expiry_say(&note, end - DAY), EXPIRY_FAR);
	assert_int_equal(expiry_say(&note, end - 20 * DAY), EXPIRY_FAR);
	assert_int_equal(expiry_say(&note, end - 13 * DAY), EXPIRY_SOON);
}

static void days(void **state)
{
	struct config_certificate more[2] = {{.expires_s = end},
					     {.expires_s = end - DAY}};
	struct config_tls tls = {
		.own = {.expires_s = end + DAY}, .more = more, .n_more = 2};

	(void)state;
	assert_int_equal(expiry_count(&tls, end - 3 * DAY).certificate_days, 2);
	assert_int_equal(expiry_count(&tls, end - 3 * DAY + 1).certificate_days, 1);
	assert_int_equal(expiry_count(&tls, end - DAY - 1).certificate_days, 0);
	assert_int_equal(expiry_count(&tls, end).certificate_days, 0);
	tls.n_more = 0;
	assert_int_equal(expiry_count(&tls, end - 3 * DAY).certificate_days, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(far),      cmocka_unit_test(lines),
		cmocka_unit_test(at_start), cmocka_unit_test(clock_is_set),
		cmocka_unit_test(days),
	};

	return cmocka_run_group_tests_name("expiry", tests, NULL, NULL);
}
