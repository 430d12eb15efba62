/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for the tests of routerd's configuration. Include it behind <cmocka.h>. */
#ifndef TESTS_UNIT_CONFIG_CHECK_H
#define TESTS_UNIT_CONFIG_CHECK_H

#include "common/err.h"
#include "routerd/config/config.h"

#include <stdio.h>

/* A text, and the error or warning that it gives. */
struct row {
	const char *text, *message;
};

static struct config *cfg;
static struct conf_error err;

static int parse_bytes(struct slice text)
{
	config_free(&cfg);
	err.text[0] = '\0';
	return config_parse(text, "r.yaml", &cfg, &err);
}

/* The text is accepted, perhaps with warnings. */
static inline void accept(const char *text)
{
	int r = parse_bytes(slice_str(text));

	if (r != 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_non_null(cfg);
	assert_true((err.warnings == 0) == (err.text[0] == '\0'));
}

/* The text is refused with this as the first error. */
static inline void refuse(const char *text, const char *message)
{
	char expected[sizeof(err.text)];

	snprintf(expected, sizeof(expected), "r.yaml:%s", message);
	assert_int_equal(parse_bytes(slice_str(text)), E_SYNTAX);
	assert_null(cfg);
	err.text[strcspn(err.text, "\n")] = '\0';
	assert_string_equal(err.text, expected);
}

/* Makes a check of the text of each row, between two other texts, and its message. */
static inline void check_all(void (*check)(const char *text, const char *message),
			     const struct row *rows, size_t n, const char *before,
			     const char *after)
{
	for (size_t i = 0; i < n; i++) {
		char text[4096];
		int len = snprintf(text, sizeof(text), "%s%s%s", before, rows[i].text,
				   after);
		assert_in_range(len, 1, sizeof(text) - 1);
		check(text, rows[i].message);
	}
}

static int end(void **state)
{
	(void)state;
	config_free(&cfg);
	return 0;
}

/* The smallest file, in parts of one line. */
#define REALMS                                                                           \
	"realms: [{name: realm1, roles: [{name: user, permissions: "                     \
	"[{uri: a, allow: {call: true}}]}]}]\n"
#define AUTH       "auth: {cryptosign: {type: dynamic, authenticator: authd}}"
#define AUTHS      "authenticators: {authd: {socket: a.sock}}\n"
#define ENDPOINT   "endpoint: {type: tcp, port: 8080}"
#define TRANSPORTS "transports: [{type: websocket, " ENDPOINT ", " AUTH "}]\n"
#define EVERYTHING REALMS AUTHS TRANSPORTS

/* Beginnings of a file. The text under test follows on line 4, after the given number of
 * columns. */
#define TOP      EVERYTHING                      /* 0 */
#define IN_REALM AUTHS TRANSPORTS "realms:\n- {" /* 3 */
#define IN_PERMISSION                                                                    \
	AUTHS TRANSPORTS "realms: [{name: realm1, roles: [{name: user, permissions:\n"   \
			 "[{" /* 2 */
#define AFTER_PERMISSION "}]}]}]"
#define IN_TRANSPORT                                                                     \
	REALMS AUTHS "transports: [{type: websocket, " ENDPOINT ", " AUTH ",\n" /* 0 */
#define IN_ENDPOINT                                                                      \
	REALMS AUTHS "transports: [{type: websocket, " AUTH ", endpoint:\n{" /* 1 */
#define IN_OPTIONS                                                                       \
	REALMS AUTHS "transports: [{type: websocket, " ENDPOINT ", " AUTH ", options:\n" \
		     "{" /* 1 */
#define IN_AUTH                                                                          \
	REALMS AUTHS "transports: [{type: websocket, " ENDPOINT ", auth:\n{" /* 1 */
#define AFTER_OPTIONS "}}]"
#define AFTER_AUTH    "}}}]"

#endif
