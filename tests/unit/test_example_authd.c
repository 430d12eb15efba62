/* SPDX-License-Identifier: Apache-2.0 */
/* etc/examples/authd.yaml has every key that authd accepts, and no other. Also tests the
 * errors of authd's configuration. */
#include "authd/settings.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/example_check.h"

static void says_every_key(void **state)
{
	char *text = example_read("etc/examples/authd.yaml");
	char *routerd = strstr(text, ", routerd]"), *authd = strstr(text, ", authd]");

	(void)state;
	/* these users exist on every system */
	assert_non_null(routerd);
	assert_non_null(authd);
	memcpy(routerd, ", nobody ]", 10);
	memcpy(authd, ", bin  ]", 8);
	example_check(text, &authd_settings_table);
	free(text);
}

/* Checks the error for a text. NULL: no error. */
static void check_said(const char *text, const char *said)
{
	void *config;
	struct conf_error err = {0};
	struct pool pool = {NULL};
	int r = conf_parse(slice_str(text), "a.yaml", &authd_settings_table, &config,
			   &pool, &err);

	if (said == NULL ? err.text[0] != '\0' : strcmp(err.text, said) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(r, err.text[0] == '\0' || err.warnings > 0 ? 0 : E_SYNTAX);
	pool_fini(&pool);
}

static void says_what_is_wrong(void **state)
{
	(void)state;
#define DB    "database: d\n"
#define PATHS "listen: {path: l}\nadmin: {path: a}\n"
	check_said(DB PATHS, NULL);
	check_said("path: x", "a.yaml:1:1: unknown key 'path' in the file: it belongs in "
			      "'listen' or 'admin'\n"
			      "a.yaml:1:1: the file needs the key 'database'\n"
			      "a.yaml:1:1: the file needs the key 'listen'\n"
			      "a.yaml:1:1: the file needs the key 'admin'");
	check_said(DB "listen: {path: a}\nadmin: {path: a}",
		   "a.yaml:3:15: 'admin' must have its own path");
	check_said("database: l\n" PATHS,
		   "a.yaml:1:11: 'database' must have its own path");
	check_said("database: a\n" PATHS,
		   "a.yaml:1:11: 'database' must have its own path");
	check_said(DB PATHS "deny: {uri: a b}",
		   "a.yaml:4:13: 'uri' must be a URI, such as com.example.no_such_user");
}

static void says_what_has_no_effect(void **state)
{
	(void)state;
#define OWNER                                                                            \
	"warning: 'mode' lets only the owner of the socket connect, but "                \
	"'allow_users' lists more users: use \"0660\" or \"0666\""
	check_said(DB
		   "admin: {path: a}\nlisten: {path: l, mode: '0600', allow_users: [0, "
		   "1, 2]}",
		   "a.yaml:3:25: " OWNER);
	check_said(DB
		   "admin: {path: a}\nlisten: {path: l, mode: '0600', allow_users: [0, "
		   "1]}",
		   NULL);
	check_said(DB
		   "admin: {path: a}\nlisten: {path: l, mode: '0620', allow_users: [1, "
		   "2]}",
		   NULL);
	check_said(DB PATHS "deny: {message: 'no {key} {pubkey}'}",
		   "a.yaml:4:17: warning: 'message': only {pubkey} is replaced; other "
		   "braces are sent unchanged");
	check_said(DB PATHS "deny: {message: '{pubkey} {pubkey}'}", NULL);
}

/* The system limits the length of a socket's path. */
static void says_that_a_path_is_too_long(void **state)
{
	char text[300];

	(void)state;
	snprintf(text, sizeof(text), DB "admin: {path: a}\nlisten: {path: %0107d}", 0);
	check_said(text, NULL);
	snprintf(text, sizeof(text), DB "admin: {path: a}\nlisten: {path: %0108d}", 0);
	check_said(text, "a.yaml:3:16: 'path': expected at most 107 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_every_key),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(says_what_has_no_effect),
		cmocka_unit_test(says_that_a_path_is_too_long),
	};

	return cmocka_run_group_tests_name("example_authd", tests, NULL, NULL);
}
