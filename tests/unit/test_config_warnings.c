/* SPDX-License-Identifier: Apache-2.0 */
/* Every warning about routerd's configuration, with its place and text. */
#include "routerd/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/unit/config_check.h"

/* The text is accepted with this warning; NULL: with none. */
static void warn(const char *text, const char *message)
{
	char expected[1024] = "";

	if (message != NULL)
		snprintf(expected, sizeof(expected), "r.yaml:%s", message);
	accept(text);
	assert_string_equal(err.text, expected);
}

#define BY_KEY "cryptosign: {type: dynamic, authenticator: authd}, "
#define A_KEY  "1111111111111111111111111111111111111111111111111111111111111111"
#define KEYS   ", stored-key: " A_KEY ", server-key: " A_KEY "}"
#define PBKDF2 "{role: user, kdf: pbkdf2, iterations: 1, salt: 0011223344556677" KEYS
#define AUTOBAHN                                                                         \
	"{role: user, kdf: argon2id-13, iterations: 1, memory: 8, salt: "                \
	"0011223344556677" KEYS
#define MORE_WORK "{role: user, kdf: pbkdf2, iterations: 2, salt: 0011223344556677" KEYS
static void warnings_of_secrets(void **state)
{
	(void)state;
#define A_USER                                                                           \
	"warning: clients can find out that this user exists: its iterations, keylen "   \
	"or "                                                                            \
	"length of salt differ from those of 'a': give all the same"
	static const struct row rows[] = {
		{BY_KEY "wampcra: {type: static, users: {a: {role: user, secret: s},\n"
			"b: {role: user, secret: t}}",
		 NULL},
		{BY_KEY "wampcra: {type: static, users: {a: {role: user, secret: s},\n"
			"b: {role: user, secret: t, salt: u}}",
		 "5:1: " A_USER},
		{BY_KEY
		 "wampcra: {type: static, users: {a: {role: user, secret: s, salt: u},\n"
		 "b: {role: user, secret: t, salt: u, keylen: 16}}",
		 "5:1: " A_USER},
		{BY_KEY
		 "wampcra: {type: static, users: {a: {role: user, secret: s, salt: u},\n"
		 "b: {role: user, secret: t, salt: uv}}",
		 "5:1: " A_USER},
		{BY_KEY "scram: {type: static, principals: {a: " PBKDF2 ",\nb: " AUTOBAHN
			", c: " PBKDF2 "}",
		 NULL},
		{BY_KEY "scram: {type: static, principals: {a: " PBKDF2 ", b: " AUTOBAHN
			",\nc: " MORE_WORK "}",
		 "5:1: warning: clients can find out that this principal exists: its "
		 "kdf, iterations, memory or length of salt differ from those of 'a': "
		 "give all the same"},
	};

	check_all(warn, rows, ARRAY_LEN(rows), IN_AUTH, AFTER_AUTH);
}

static void warnings_of_options(void **state)
{
	(void)state;
#define NO_PINGS "' has no effect: auto_ping_interval is 0"
	static const struct row rows[] = {
		{"max_connections: 100000",
		 "4:19: warning: 'max_connections' is 100000, "
		 "but the system allows this process only 20000 descriptors: raise "
		 "LimitNOFILE in the unit, or ulimit -n"},
		{"max_connections: 20000", NULL},
		{"max_connections: 0", NULL},
		{"allowed_origins: [http://a, '*']",
		 "4:19: warning: 'allowed_origins': \"*\" allows all origins, so the "
		 "others have no effect"},
		{"allowed_origins: ['*']", NULL},
		{"allow_null_origin: true",
		 "4:21: warning: 'allow_null_origin' has no effect: 'allowed_origins' "
		 "allows null anyway"},
		{"allowed_origins: ['*'], allow_null_origin: true",
		 "4:45: warning: 'allow_null_origin' has no effect: 'allowed_origins' "
		 "allows null anyway"},
		{"allowed_origins: ['null'], allow_null_origin: true",
		 "4:48: warning: 'allow_null_origin' has no effect: 'allowed_origins' "
		 "allows null anyway"},
		{"allowed_origins: [http://a], allow_null_origin: true", NULL},
		{"auto_ping_interval: 0", NULL},
		{"auto_ping_interval: 0, auto_ping_timeout: 1 s",
		 "4:44: warning: 'auto_ping_timeout" NO_PINGS},
	};
	struct rlimit files = {.rlim_cur = 1000, .rlim_max = 20000};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	check_all(warn, rows, ARRAY_LEN(rows), IN_OPTIONS, AFTER_OPTIONS);
	warn(REALMS AUTHS "transports: [{type: universal, " ENDPOINT ", " AUTH
			  ", options:\n{auto_ping_interval: 0, rawsocket_ping: true}}]",
	     "4:41: warning: 'rawsocket_ping" NO_PINGS);
}

static void warnings_of_anonymous(void **state)
{
	(void)state;
#define ANONYMOUS "auth: {anonymous: {type: static, role: user}}"
#define ANY_PAGE                                                                         \
	"warning: any web page can connect to this transport as an anonymous client: "   \
	"list the origins that may connect in 'allowed_origins' of 'options'"
#define OPEN(type) REALMS "transports:\n- {type: " type ", " ANONYMOUS ", "
	warn(OPEN("websocket") ENDPOINT "}", "3:60: " ANY_PAGE);
	warn(OPEN("universal") ENDPOINT "}", "3:60: " ANY_PAGE);
	warn(OPEN("rawsocket") ENDPOINT "}", NULL);
	warn(OPEN("websocket") "endpoint: {type: unix, path: /a}}", NULL);
	warn(OPEN("websocket") ENDPOINT ", options: {allowed_origins: [http://a]}}",
	     NULL);
	/* an explicit star shows that the author has decided so */
	warn(OPEN("websocket") ENDPOINT ", options: {allowed_origins: ['*']}}", NULL);
}

static void warnings_of_realms(void **state)
{
	(void)state;
#define FOR_ANYBODY(more)                                                                \
	"transports: [{type: rawsocket, " ENDPOINT                                       \
	", auth: {anonymous: {type: static, role: u" more "}}}]\nrealms:\n"
#define CAN "permissions: [{uri: a, allow: {subscribe: true}}]"
#define NONE                                                                             \
	"warning: no client can join this realm: no transport assigns any of its roles"
#define IDLE                                                                             \
	"warning: this role allows nothing: give it a permission that allows an action"
	warn(FOR_ANYBODY("") "- {name: r, roles: [{name: u, " CAN "}]}\n"
			     "- {name: s, roles: [{name: u, " CAN "}]}",
	     NULL);
	warn(FOR_ANYBODY("") "- {name: r, roles: [{name: u, " CAN "}, {name: v, " CAN
			     "}]}\n- {name: s, roles: [{name: v}]}",
	     "3:90: warning: no client can get this role: no transport assigns it\n"
	     "r.yaml:4:10: " NONE);
	warn(FOR_ANYBODY(", realm: r") "- {name: s, roles: [{name: u, " CAN "}]}\n"
				       "- {name: r, roles: [{name: u, " CAN "}]}",
	     "3:10: " NONE);
	/* an authenticator may assign any role */
	warn(AUTHS TRANSPORTS "realms:\n- {name: r, roles: [{name: u, " CAN
			      "}, {name: v, " CAN "}]}",
	     NULL);
	warn(AUTHS TRANSPORTS "realms:\n- {name: r, roles: [{name: u}]}", "4:28: " IDLE);
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: a}]}]}",
	     "4:28: " IDLE);
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: "
	     "wamp., match: prefix, allow: {call: true, register: true}}]}]}",
	     "4:51: warning: 'register' matters here only for patterns that also match "
	     "other URIs: URIs whose first component is \"wamp\" are reserved");
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: "
	     "wamp.a, allow: {call: true, publish: true}}]}]}",
	     "4:51: warning: 'publish' has no effect here: clients cannot publish to "
	     "URIs whose first component is \"wamp\"");
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: "
	     "wamp, allow: {call: true, publish: true}}]}]}",
	     "4:51: warning: 'publish' has no effect here: clients cannot publish to "
	     "URIs whose first component is \"wamp\"");
	/* it also matches "wampum" */
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: "
	     "wamp, match: prefix, allow: {call: true, publish: true}}]}]}",
	     NULL);
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: "
	     "wamp., match: prefix, allow: {call: true, subscribe: true}}]}]}",
	     NULL);
	/* forbids what a less specific permission may allow */
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: wamp., "
	     "match: prefix}, {uri: a, allow: {call: true}}]}]}",
	     NULL);
	warn(AUTHS TRANSPORTS
	     "realms:\n- {name: r, roles: [{name: u, permissions: [{uri: "
	     "wampum, allow: {register: true}}, {uri: a, allow: "
	     "{publish: true}}]}]}",
	     NULL);
}

static void warnings_of_crossbar(void **state)
{
	(void)state;
#define ROLE(permissions)                                                                \
	FOR_ANYBODY("")                                                                  \
	"- {name: r, roles: [{name: u, permissions: [" permissions "]}]}"
	warn(ROLE("{uri: com.a., match: prefix, allow: {call: true}},\n"
		  "{uri: com.a.b, allow: {call: true, register: true}}"),
	     "3:51: warning: this permission decides about 'com.a.bx', and allows call. "
	     "Crossbar.io would apply none, because of the one in line 4 (uri 'com.a.b', "
	     "match exact), and allow nothing");
	warn(ROLE("{uri: com.a., match: prefix, allow: {call: true}},\n"
		  "{uri: com..b, match: wildcard, allow: {publish: true}}"),
	     "3:51: warning: this permission decides about 'com.a.b', and allows call. "
	     "Crossbar.io would apply the one in line 4 (uri 'com..b', match wildcard), "
	     "and allow publish");
	warn(ROLE("{uri: .b, match: wildcard, allow: {call: true}}"),
	     "3:51: warning: this permission decides about 'x.b', and allows call. "
	     "Crossbar.io would ignore it, and allow nothing");
	warn(ROLE("{uri: com.a., match: prefix, allow: {call: true}},\n"
		  "{uri: com..b, match: wildcard, allow: {call: true}}"),
	     NULL);
	/* No character is left for a URI that is in no permission. */
	warn(ROLE("{uri: xyzwvutsrqponmlkjihgfedcba0123456789_-~, allow: {call: true}}"),
	     "3:28: warning: this role's permissions were not compared with "
	     "Crossbar.io's rules, because together they contain all letters and digits");
}

static void warnings_of_crossbars_keys(void **state)
{
	(void)state;
	/* once, however many permissions have the key */
	warn("$schema: any\n" ROLE("{uri: a.b, allow: {call: true}, cache: true},\n"
				   "{uri: a.c, allow: {call: true}, cache: true}"),
	     "4:84: warning: 'cache' has no effect");
}

/* The last warning about a role with the prefix "a." and n more permissions. */
static const char *last_of_crossbar(unsigned n, bool wildcards)
{
	static const char *const before[] = {"", ".x", "y"}, *const after[] = {"", ".",
									       ".."};
	static char text[32 << 10];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s",
				      FOR_ANYBODY("") "- {name: r, roles: [{name: u, "
						      "permissions: [{uri: a., match: "
						      "prefix, allow: {call: true}}");

	for (unsigned i = 0; i < n; i++) {
		unsigned kind = wildcards ? 1 + i % 2 : 0;

		len += (size_t)snprintf(text + len, sizeof(text) - len,
					", {uri: a.%s%u%s, match: %s, allow: {%s: true}}",
					before[kind], i, after[kind],
					wildcards ? "wildcard" : "exact",
					wildcards ? "call" : "publish");
	}
	assert_true(len + sizeof("]}]}") <= sizeof(text));
	snprintf(text + len, sizeof(text) - len, "]}]}");
	accept(text);
	const char *end = strrchr(err.text, '\n');
	return end == NULL ? err.text : end + 1;
}

static void warnings_of_crossbar_are_limited(void **state)
{
	(void)state;
	assert_non_null(strstr(last_of_crossbar(20, false), "decides about"));
	assert_int_equal(err.warnings, 20);
	assert_string_equal(last_of_crossbar(21, false),
			    "r.yaml:3:28: warning: Crossbar.io would decide differently "
			    "for more than 20 pairs of this role's permissions: change "
			    "those above, and check again");
	assert_int_equal(err.warnings, 21);
	/* "a..x0." and "a.y1..": 22,500 pairs match the same URIs. */
	assert_string_equal(last_of_crossbar(300, true),
			    "r.yaml:3:28: warning: this role has too many wildcards to "
			    "compare all: Crossbar.io may decide differently in other "
			    "cases, too");
}

static void warnings_of_authenticators(void **state)
{
	(void)state;
#define NEVER "has no effect: open_handshake_timeout ends each login after 10000 ms"
	static const struct row limits[] = {
		{"hold_timeout: 10 s", NULL},
		{"hold_timeout: 11 s", "4:24: warning: 'hold_timeout' " NEVER},
		{"queue_size: 16 MiB, queued_total: 16 MiB", NULL},
		{"queue_size: 16 MiB, queued_total: 15 MiB",
		 "4:22: warning: 'queue_size' has no effect: queued_total limits all "
		 "queues of a thread together to 15728640 bytes"},
		{"queue_size: 16 MiB, queued_total: 31 MiB}\nthreads: 2\n#",
		 "4:22: warning: 'queue_size' has no effect: queued_total limits all "
		 "queues of a thread together to 16252928 bytes"},
	};
	static const struct row rows[] = {
		{"authd: {socket: a, timeout: 10 s}", NULL},
		{"authd: {socket: a, timeout: 10001}", "4:29: warning: 'timeout' " NEVER},
		{"authd: {socket: a, forward_client_cert: false}", NULL},
		{"authd: {socket: a, forward_client_cert: true}",
		 "4:41: warning: 'forward_client_cert' has no effect: no transport with "
		 "this authenticator asks for client certificates"},
		{"authd: {socket: a}, other: {socket: b}",
		 "4:21: warning: this authenticator has no effect: no transport and no "
		 "role names it"},
	};

	/* hold_timeout also limits how long requests wait for an authorizer */
	static const struct row with_authorizer[] = {
		{"hold_timeout: 12 s}\nauthenticators: {authd: {socket: a, timeout: 12 "
		 "s}}\n#",
		 NULL},
		{"hold_timeout: 11 s}\nauthenticators: {authd: {socket: a, timeout: "
		 "10500}}\n#",
		 "3:24: warning: 'hold_timeout' has no effect: requests wait for an "
		 "authorizer for at most 10500 ms, its timeout, and "
		 "open_handshake_timeout ends each login after 10000 ms"},
	};

	check_all(
		warn, with_authorizer, ARRAY_LEN(with_authorizer),
		"realms: [{name: r, roles: [{name: u, authorizer: authd}]}]\n" TRANSPORTS
		"limits: {",
		"}");
	check_all(warn, limits, ARRAY_LEN(limits), EVERYTHING "limits: {", "}");
	check_all(warn, rows, ARRAY_LEN(rows), REALMS TRANSPORTS "authenticators: {\n",
		  "}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warnings_of_secrets),
		cmocka_unit_test(warnings_of_options),
		cmocka_unit_test(warnings_of_anonymous),
		cmocka_unit_test(warnings_of_realms),
		cmocka_unit_test(warnings_of_crossbar),
		cmocka_unit_test(warnings_of_crossbars_keys),
		cmocka_unit_test(warnings_of_crossbar_are_limited),
		cmocka_unit_test(warnings_of_authenticators),
	};

	return cmocka_run_group_tests_name("config_warnings", tests, NULL, end);
}
