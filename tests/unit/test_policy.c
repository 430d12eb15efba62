/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: which slots realms and roles have from one reload to the next. */
#include "routerd/config/policy.h"

#include "common/err.h"
#include "routerd/post/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TRANSPORTS                                                                       \
	"authenticators: {a: {socket: x}}\n"                                             \
	"transports:\n"                                                                  \
	"- {type: rawsocket, endpoint: {type: tcp, port: 1},\n"                          \
	"   auth: {cryptosign: {type: dynamic, authenticator: a}}}\n"

static struct policy *policy; /* in force */

/* Replaces the policy by that of a configuration with these realms. */
static int try_reload(const char *realms)
{
	char yaml[20000];
	struct config *cfg;
	struct conf_error err;
	struct policy *next;

	(void)snprintf(yaml, sizeof(yaml), TRANSPORTS "realms: [%s]\n", realms);
	if (config_parse(slice_str(yaml), "test", &cfg, &err) != 0)
		fail_msg("%s", err.text);
	int rc = policy_new(policy, cfg, &next);
	config_free(&cfg);
	if (rc != 0) {
		assert_null(next);
		return rc;
	}
	policy_unref(&policy);
	policy = next;
	return 0;
}

static void load(const char *realms)
{
	assert_int_equal(try_reload(realms), 0);
}

static int end(void **state)
{
	(void)state;
	policy_unref(&policy);
	return 0;
}

#define ROLE(name, action)                                                               \
	"{name: " name ", permissions: [{uri: '', match: prefix, allow: {" action        \
	": true}}]}"

static unsigned realm(const char *name)
{
	int slot = policy_realm_find(policy, slice_str(name));

	assert_true(slot >= 0);
	return (unsigned)slot;
}

static struct role_slot *role(const char *realm_name, const char *name)
{
	return policy_role_find(policy, realm(realm_name), slice_str(name));
}

static bool may(unsigned realm_slot, const struct role_slot *of, enum action action)
{
	const struct rights *rights = policy_rights(policy, realm_slot, of);

	assert_non_null(rights);
	return rule_allows(rights_rule(rights, slice_str("any.uri")), action);
}

static void roles_keep_their_slots(void **state)
{
	(void)state;
	load("{name: r, roles: [" ROLE("a", "call") "," ROLE("b", "call") "]}");
	struct role_slot *a = role_slot_ref(role("r", "a")),
			 *b = role_slot_ref(role("r", "b"));

	assert_int_equal(policy->generation, 1);
	assert_int_not_equal(a->index, b->index);
	assert_true(may(0, a, ACTION_CALL));
	assert_false(may(0, a, ACTION_PUBLISH));
	/* in another order, with one more, and with other rights */
	load("{name: r, roles: [" ROLE("c", "call") "," ROLE("b", "publish") "," ROLE(
		"a", "publish") "]}");
	assert_int_equal(policy->generation, 2);
	assert_ptr_equal(role("r", "a"), a);
	assert_ptr_equal(role("r", "b"), b);
	assert_true(may(0, a, ACTION_PUBLISH));
	assert_false(may(0, a, ACTION_CALL));
	assert_int_not_equal(role("r", "c")->index, a->index);
	assert_int_not_equal(role("r", "c")->index, b->index);
	role_slot_unref(&a);
	role_slot_unref(&b);
}

static void a_slot_serves_one_role_while_anybody_refers_to_it(void **state)
{
	(void)state;
	load("{name: r, roles: [" ROLE("a", "call") "," ROLE("b", "call") "]}");
	struct identity *session =
		identity_new(&(struct identity){.role = role("r", "a")});
	assert_non_null(session);
	unsigned slot = session->role->index;

	load("{name: r, roles: [" ROLE("b", "call") "]}");
	assert_null(role("r", "a"));
	assert_null(policy_rights(policy, 0, session->role));
	load("{name: r, roles: [" ROLE("b", "call") "," ROLE("c", "call") "]}");
	assert_int_not_equal(role("r", "c")->index, slot);
	assert_null(policy_rights(policy, 0, session->role));
	/* it comes back: the session's role has rights again */
	load("{name: r, roles: [" ROLE("a", "publish") "," ROLE("b", "call") "]}");
	assert_ptr_equal(role("r", "a"), session->role);
	assert_true(may(0, session->role, ACTION_PUBLISH));
	/* it goes again, and so does the last reference: another role gets the slot */
	load("{name: r, roles: [" ROLE("b", "call") "]}");
	identity_unref(&session);
	load("{name: r, roles: [" ROLE("b", "call") "," ROLE("d", "call") "]}");
	assert_int_equal(role("r", "d")->index, slot);
	assert_int_equal(policy->realms[0].n_slots, 3);
}

static void realms_keep_their_slots(void **state)
{
	(void)state;
	load("{name: r, roles: [" ROLE("a", "call") "]}, {name: s, roles: [" ROLE(
		"a", "publish") "]}");
	unsigned r = realm("r"), s = realm("s");

	load("{name: s, roles: [" ROLE("a", "publish") "]}, {name: r, roles: [" ROLE(
		"a", "call") "]}");
	assert_int_equal(realm("r"), r);
	assert_int_equal(realm("s"), s);
	/* the configuration lacks one and has a new one: neither takes effect */
	load("{name: t, roles: [" ROLE("a", "call") "]}, {name: r, roles: [" ROLE(
		"a", "register") "]}");
	assert_int_equal(policy_realm_find(policy, slice_str("t")), E_NOTFOUND);
	assert_true(may(realm("r"), role("r", "a"), ACTION_REGISTER));
	assert_true(may(realm("s"), role("s", "a"), ACTION_PUBLISH));
	assert_int_equal(policy->n_realms, 2);
}

static void realms_keep_their_unit_of_timeouts(void **state)
{
	static const char in_s[] =
		"{name: r, roles: [{name: a}], options: {call_timeout_unit: s}}";

	(void)state;
	load("{name: r, roles: [{name: a}]}, {name: s, roles: [{name: a}]}");
	assert_int_equal(policy->realms[realm("r")].options.call_timeout_unit,
			 CALL_TIMEOUT_IN_MS);
	load(in_s);
	assert_int_equal(policy->realms[realm("r")].options.call_timeout_unit,
			 CALL_TIMEOUT_IN_S);
	assert_int_equal(policy->realms[realm("s")].options.call_timeout_unit,
			 CALL_TIMEOUT_IN_MS);
	load("{name: s, roles: [{name: a}]}"); /* without r, which stays as it was */
	assert_int_equal(policy->realms[realm("r")].options.call_timeout_unit,
			 CALL_TIMEOUT_IN_S);
}

/* Somebody refers to a new role after each reload, so that no slot becomes free. */
static void slots_are_limited(void **state)
{
	enum { EACH = CONFIG_MAX_ROLES };
	static struct role_slot *held[POLICY_ROLE_SLOTS_MAX];
	char *text = malloc(EACH * 20 + 100), name[20];
	size_t n = 0;
	int rc = 0;

	(void)state;
	assert_non_null(text);
	while (rc == 0) {
		size_t first = n;

		strcpy(text, "{name: r, roles: [");
		for (unsigned i = 0; i < EACH; i++) {
			(void)snprintf(name, sizeof(name), "{name: x%zu},", first + i);
			strcat(text, name);
		}
		strcat(text, "]}");
		rc = try_reload(text);
		for (unsigned i = 0; i < EACH && rc == 0; i++) {
			(void)snprintf(name, sizeof(name), "x%zu", first + i);
			held[n++] = role_slot_ref(role("r", name));
		}
	}
	assert_int_equal(rc, E_LIMIT);
	assert_int_equal(n, POLICY_ROLE_SLOTS_MAX);
	/* the old policy is whole; once a role is not referred to any more, there is room
	 */
	assert_ptr_equal(role("r", "x4095"), held[n - 1]);
	for (size_t i = 0; i < EACH; i++)
		role_slot_unref(&held[i]);
	assert_int_equal(try_reload(text), 0);
	while (n > 0)
		role_slot_unref(&held[--n]);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(roles_keep_their_slots, end),
		cmocka_unit_test_teardown(
			a_slot_serves_one_role_while_anybody_refers_to_it, end),
		cmocka_unit_test_teardown(realms_keep_their_slots, end),
		cmocka_unit_test_teardown(realms_keep_their_unit_of_timeouts, end),
		cmocka_unit_test_teardown(slots_are_limited, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
