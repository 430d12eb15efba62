/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of common/err: every code has a text of its own. */
#include "common/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_code_has_a_text(void **state)
{
	(void)state;
	for (int err = 0; err >= E_FULL; err--) {
		if (err == E_SYS)
			continue;
		assert_string_not_equal(err_str(err), "unknown error");
		for (int other = 0; other > err; other--)
			assert_string_not_equal(err_str(err), err_str(other));
	}
	assert_string_equal(err_str(1), "unknown error");
	assert_string_equal(err_str(E_FULL - 1), "unknown error");
}

static void test_a_system_call_has_the_text_of_errno(void **state)
{
	(void)state;
	errno = ENOENT;
	assert_string_equal(err_str(E_SYS), strerror(ENOENT));
	errno = 100000; /* no such error */
	assert_non_null(err_str(E_SYS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_code_has_a_text),
		cmocka_unit_test(test_a_system_call_has_the_text_of_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
