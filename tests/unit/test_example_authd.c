/* SPDX-License-Identifier: Apache-2.0 */
/* etc/examples/authd.yaml says every key that authd knows, and no other. */
#include "authd/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/example_check.h"

static void says_every_key(void **state)
{
	char *text = example_read("etc/examples/authd.yaml");
	char *routerd = strstr(text, ", routerd]"), *authd = strstr(text, ", authd]");

	(void)state;
	/* users that every system has */
	assert_non_null(routerd);
	assert_non_null(authd);
	memcpy(routerd, ", nobody ]", 10);
	memcpy(authd, ", root ]", 8);
	example_check(text, &authd_config_table);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_every_key),
	};

	return cmocka_run_group_tests_name("example_authd", tests, NULL, NULL);
}
