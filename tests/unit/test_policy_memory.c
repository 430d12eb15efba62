/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a policy while memory runs out, at each allocation in turn. One thread. */
#include "tests/unit/failing_malloc.h"

#include "common/pool.c"
#include "routerd/config/policy.c"
#include "routerd/config/rights.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char yaml[] =
	"realms: [{name: r, roles: [{name: a, permissions: [{uri: x}, {uri: y..z, match: "
	"wildcard}]}, {name: b}]}]\n"
	"transports: [{type: rawsocket, endpoint: {type: tcp, port: 1}, auth: "
	"{anonymous: "
	"{type: static, role: a}}}]\n";

/* before is the policy in force; it is left whole, and nothing leaks. */
static struct policy *make_in_the_end(const struct policy *before,
				      const struct config *cfg)
{
	size_t live = not_freed;
	struct policy *next = NULL;
	int rc = E_NOMEM;

	for (size_t n = 1; rc != 0; n++) {
		assert_int_equal(not_freed, live);
		allocations = 0;
		fail_at = n;
		rc = policy_new(before, cfg, &next);
		assert_true((rc == 0 && next != NULL) || (rc == E_NOMEM && next == NULL));
	}
	fail_at = 0;
	assert_in_range(allocations, 10, 30);
	return next;
}

static void a_policy_without_memory(void **state)
{
	struct conf_error errors;
	struct config *cfg;

	(void)state;
	assert_int_equal(config_parse(slice_str(yaml), "test", &cfg, &errors), 0);
	struct policy *first = make_in_the_end(NULL, cfg);
	struct policy *second = make_in_the_end(first, cfg);

	assert_ptr_equal(policy_role_find(first, 0, slice_str("a")),
			 policy_role_find(second, 0, slice_str("a")));
	policy_unref(&first);
	policy_unref(&second);
	config_free(&cfg);
	assert_int_equal(not_freed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
