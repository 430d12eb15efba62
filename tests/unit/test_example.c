/* SPDX-License-Identifier: Apache-2.0 */
/* etc/examples/routerd.yaml has every key that routerd accepts, and no other. */
#include "routerd/config/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/example_check.h"

static void says_every_key(void **state)
{
	char *text = example_read("etc/examples/routerd.yaml");

	(void)state;
	example_check(text, &config_table);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_every_key),
	};

	return cmocka_run_group_tests_name("example", tests, NULL, NULL);
}
