/* SPDX-License-Identifier: Apache-2.0 */
/* Every error of routerd's configuration, with its place and text. The errors of logins:
 * test_config_errors_auth.c. Warnings: test_config_warnings.c. */
#include "routerd/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/config_check.h"

/* The top of a Crossbar node's file. */
static void crossbars_node(void **state)
{
	(void)state;
	refuse("{\n   \"version\": 2,\n   \"controller\": {\"id\": \"x\"}\n}",
	       "3:18: 'controller' is not supported: leave it out; 'node' sets the name "
	       "that clients see");
	refuse("{\n   \"version\": 2,\n   \"workers\": [{\"type\": \"router\"}]\n}",
	       "3:15: 'workers' are not supported: 'realms' and 'transports' of the "
	       "worker of type router belong at the top of the file; 'threads' sets the "
	       "number of threads");
	refuse("{\"version\": 1}",
	       "1:13: 'version': expected an integer from 2 to 2, not '1'");
}

static void errors_at_the_top(void **state)
{
	(void)state;
#define THREADS "'threads': expected an integer from 1 to 16 or 'auto', not "
	static const struct row rows[] = {
		{"thread: 1",
		 "4:1: unknown key 'thread' in the file (did you mean 'threads'?)"},
		{"listen: 1",
		 "4:1: unknown key 'listen' in the file, expected 'version', 'threads', "
		 "'node', 'node_key_file', 'realms', 'authenticators', 'transports', "
		 "'limits', 'log' or "
		 "'debug'"},
		{"threads: 0", "4:10: " THREADS "'0'"},
		{"threads: 17", "4:10: " THREADS "'17'"},
		{"node: ''", "4:7: 'node': expected a string, not an empty string"},
		{"type: router", "4:7: 'type' is not needed: the file configures one "
				 "router; leave it out"},
		{"id: worker1",
		 "4:5: 'id' is not supported: 'node' sets the name that clients see"},
		{"options: {pythonpath: ['..']}",
		 "4:10: 'options' of a worker are not supported: leave them out; each "
		 "transport has its own options"},
		{"components: []",
		 "4:13: 'components' are not started by routerd: run them as clients"},
		{"connections: []",
		 "4:14: 'connections' is not supported yet: leave it out"},
		{"manhole: {}", "4:10: 'manhole' is not supported yet: leave it out"},
		{"log: {level: trace}",
		 "4:14: 'level': expected 'error', 'warn', 'info' or 'debug', not "
		 "'trace'"},
		{"log: {format: json}",
		 "4:15: 'format': expected 'text' or 'journal', not 'json'"},
		{"log: {file: x}",
		 "4:7: unknown key 'file' in log, expected 'level' or 'format'"},
		{"debug: {stall_worker: 16}",
		 "4:23: 'stall_worker': expected an integer from 0 to 15 or 'none', not "
		 "'16'"},
		{REALMS, "4:1: 'realms' is given twice in the file"},
		{"threads: &n 1", "4:10: anchors are not supported: leave out '&...'"},
		{"threads: *n", "4:10: aliases are not supported: write the value out"},
	};
	char node[300] = "node: ";

	check_all(refuse, rows, ARRAY_LEN(rows), TOP, "");
	refuse(AUTHS TRANSPORTS, "1:1: the file needs the key 'realms'");
	refuse(AUTHS REALMS, "1:1: the file needs the key 'transports'");
	refuse("realms: []", "1:9: 'realms': expected 1 to 1024 elements, not 0");
	refuse("transports: []", "1:13: 'transports': expected 1 to 64 elements, not 0");
	memset(node + 6, 'n', 256);
	refuse(node, "1:7: 'node': expected at most 255 bytes");
}

static void errors_in_realms(void **state)
{
	(void)state;
#define A_NAME                                                                           \
	"'name' must be a URI, such as realm1 or com.example.devices: no spaces, no "    \
	"'#', no empty components"
	static const struct row rows[] = {
		{"name: r}", "4:3: the realm needs the key 'roles'"},
		{"roles: [{name: u}]}", "4:3: the realm needs the key 'name'"},
		{"name: r, roles: []}",
		 "4:20: 'roles': expected 1 to 256 elements, not 0"},
		{"name: 'a b', roles: [{name: u}]}", "4:10: " A_NAME},
		{"name: a..b, roles: [{name: u}]}", "4:10: " A_NAME},
		{"name: 'a#b', roles: [{name: u}]}", "4:10: " A_NAME},
		{"name: r, roles: [{name: a.}]}", "4:28: " A_NAME},
		{"name: r, roles: [{name: u}, {name: v}, {name: u}]}",
		 "4:50: 'u' is given twice in 'roles'"},
		{"name: r, roles: [{name: u}]}\n- {name: s, roles: [{name: u}]}\n"
		 "- {name: r, roles: [{name: u}]}",
		 "6:10: 'r' is given twice in 'realms'"},
		{"name: r, roles: [{name: u}], store: {type: memory}}",
		 "4:40: 'store' is not supported yet: leave it out"},
		{"name: r, roles: [{name: u}], rlinks: []}",
		 "4:41: 'rlinks' is not supported yet: leave it out"},
		{"name: r, roles: [{name: u}], options: {enable_meta_api: false}}",
		 "4:60: 'enable_meta_api: false' is not supported yet: use true or leave "
		 "it out"},
		{"name: r, roles: [{name: u}], options: {call_timeout_unit: min}}",
		 "4:62: 'call_timeout_unit': expected 'ms' or 's', not 'min'"},
		{"name: r, roles: [{name: u}], options: {call_queue: -1}}",
		 "4:55: 'call_queue': expected an integer from 0 to 1000000, not '-1'"},
		{"name: r, roles: [{name: u}], options: {call_queue_size: 1023}}",
		 "4:60: 'call_queue_size': expected a size from 1 KiB to 1 GiB, in bytes "
		 "or "
		 "with a unit (KiB, MiB, GiB), not '1023'"},
		{"name: r, roles: [{name: u}], options: {call_queue: 1, call_queue_size: "
		 "2 "
		 "KiB, call_queue_total: 1 KiB}}",
		 "4:75: 'call_queue_size' is 2048 bytes, but must be at most "
		 "'call_queue_total', which is 1024"},
		{"name: r, roles: [{name: u}], options: {history: [{match: exact}]}}",
		 "4:53: the history needs the key 'uri'"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: ''}]}}",
		 "4:59: 'uri': expected a URI, such as com.example.topic; a pattern "
		 "needs "
		 "'match'"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: 'com.*'}]}}",
		 "4:59: 'uri': '*' means nothing special here: for a pattern write "
		 "match: prefix and uri: com.example., or match: wildcard and uri: "
		 "com..created"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: 'a.*.c', match: "
		 "wildcard}]}}",
		 "4:59: 'uri': '*' means nothing special here: for a pattern write "
		 "match: prefix and uri: com.example., or match: wildcard and uri: "
		 "com..created"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: a..b, match: "
		 "prefix}]}}",
		 "4:59: 'uri': expected the beginning of a URI, such as com.example."},
		{"name: r, roles: [{name: u}], options: {history: [{uri: '#', match: "
		 "wildcard}]}}",
		 "4:59: 'uri': expected a URI with empty components, such as "
		 "com..created, and at most 32 components"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: a, limit: "
		 "100001}]}}",
		 "4:69: 'limit': expected an integer from 1 to 100000, not '100001'"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: a, bytes: 1}]}}",
		 "4:69: 'bytes': expected a size from 4 KiB to 1024 GiB, in bytes or "
		 "with a unit (KiB, MiB, GiB), not '1'"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: a, age: "
		 "43201 min}]}}",
		 "4:67: 'age': expected a time from 0 to 43200 min, in milliseconds or "
		 "with a unit (ms, s, min) or 'none', not '43201 min'"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: a}, {uri: a, "
		 "match: prefix}, {uri: a, limit: 2}]}}",
		 "4:94: another history has this uri and match: leave out one of the "
		 "two"},
		{"name: r, roles: [{name: u}], options: {history: [{uri: a, bytes: 256 "
		 "MiB}, {uri: b}]}}",
		 "1:1: 'history_total' must be at least 269484032 bytes, the sum of "
		 "'bytes' of all histories, but is 268435456"},
		{"name: r, roles: [{name: u}], options: {bridge_meta_api: true}}",
		 "4:60: 'bridge_meta_api: true' is not supported yet: use false or leave "
		 "it out"},
		{"name: r, roles: [{name: u}], options: {uri_check: strict}}",
		 "4:54: 'uri_check' is not supported: URIs are always checked by the "
		 "loose rules; leave it out"},
		{"name: r, roles: [{name: u}], socket: x}",
		 "4:33: unknown key 'socket' in the realm: it belongs in "
		 "'authenticators'; "
		 "expected here: 'name', 'roles' or 'options'"},
		{"name: r, roles: [{name: u, authorizer: a, permissions: []}]}",
		 "4:43: a role must not have both 'permissions' and 'authorizer': leave "
		 "out one of the two"},
		{"name: r, roles: [{name: u, allow-by-default: true}]}",
		 "4:49: 'allow-by-default' is not supported: a permission with uri: \"\" "
		 "and match: prefix matches everything"},
		{"name: r, roles: [{permissions: []}]}",
		 "4:21: the role needs the key 'name'"},
	};
	char long_name[300];

	check_all(refuse, rows, ARRAY_LEN(rows), IN_REALM, "");
	snprintf(long_name, sizeof(long_name), "realms: [{name: %0256d}]", 0);
	refuse(long_name, "1:17: 'name': expected at most 255 bytes");
	snprintf(long_name, sizeof(long_name), "realms: [{roles: [{name: %0256d}]}]", 0);
	refuse(long_name, "1:26: 'name': expected at most 255 bytes");
}

static void errors_in_permissions(void **state)
{
	(void)state;
#define EXACT                                                                            \
	"'uri': expected a URI, such as com.example.procedure; for all URIs use uri: "   \
	"\"\" and match: prefix; com..created needs match: wildcard"
#define PREFIX   "'uri': expected the beginning of a URI, such as com.example."
#define WILDCARD "'uri': expected a URI with empty components, such as com..created"
#define STARS                                                                            \
	"'uri': '*' is for permissions without 'match': leave out 'match', or write "    \
	"the "                                                                           \
	"pattern without '*'"
#define STAR                                                                             \
	"'uri': expected each '*' in place of a whole component, as in com.*.created, "  \
	"or one '*' at the end, as in com.example.*"
	static const struct row rows[] = {
		{"match: exact", "4:2: the permission needs the key 'uri'"},
		{"uri: ''", "4:8: " EXACT},
		{"uri: '', match: exact", "4:8: " EXACT},
		{"uri: a..b", "4:8: " EXACT},
		{"uri: 'a b'", "4:8: " EXACT},
		{"match: exact, allow: {call: true}, uri: a.", "4:43: " EXACT},
		/* the place is that of the URI, whatever follows */
		{"uri: a., allow: {call: true}, disclose: {}", "4:8: " EXACT},
		{"uri: a.., match: prefix", "4:8: " PREFIX},
		{"uri: 'a b', match: prefix", "4:8: " PREFIX},
		{"uri: a b, match: wildcard", "4:8: " WILDCARD},
		{"uri: 'a..#', match: wildcard", "4:8: " WILDCARD},
		{"uri: 'a.*', match: prefix", "4:8: " STARS},
		{"uri: 'a.*.b', match: wildcard", "4:8: " STARS},
		{"uri: 'a.b*.c'", "4:8: " STAR},
		{"uri: 'a.*b.c'", "4:8: " STAR},
		{"uri: 'a.**'", "4:8: " STAR},
		{"uri: '*a*'", "4:8: " STAR},
		{"uri: a..b.*", "4:8: " PREFIX},
		{"uri: '*.a b'", "4:8: " WILDCARD},
		{"uri: [a]", "4:8: 'uri': expected a string, not a list"},
		{"uri: a, match: regex",
		 "4:18: 'match': expected 'exact', 'prefix' or 'wildcard', not 'regex'"},
		{"uri: a, allow: {call: yes}",
		 "4:25: 'call': expected true or false, not 'yes'"},
		{"uri: a, allow: {subscribes: true}",
		 "4:19: unknown key 'subscribes' in allow (did you mean 'subscribe'?)"},
		{"uri: a, publish: true",
		 "4:11: unknown key 'publish' in the permission: it belongs in "
		 "'allow'"},
		{"uri: a, allow: true", "4:18: 'allow': expected a map, not 'true'"},
		{"uri: a, disclose: {caller: never}",
		 "4:30: 'caller': expected 'allow', 'true', 'false' or 'refuse', not "
		 "'never'"},
		{"uri: a, disclose: {caller: false, publisher: [true]}",
		 "4:48: 'publisher': expected 'allow', 'true', 'false' or 'refuse', not "
		 "a list"},
		{"uri: a, disclose: true",
		 "4:21: 'disclose': expected a map, not 'true'"},
		{"uri: a, disclose: {callee: true}",
		 "4:22: unknown key 'callee' in disclose (did you mean 'caller'?)"},
		{"uri: a, trust_level: -1", "4:24: 'trust_level': expected an integer "
					    "from 0 to 254 or 'none', not '-1'"},
		{"uri: a, trust_level: 255", "4:24: 'trust_level': expected an integer "
					     "from 0 to 254 or 'none', not '255'"},
		{"uri: a, trust_level: high", "4:24: 'trust_level': expected an integer "
					      "from 0 to 254 or 'none', not 'high'"},
		{"uri: a, validate: {}",
		 "4:21: 'validate' is not supported yet: leave it out"},
		{"uri: a}, {uri: b}, {uri: a, allow: {call: true}",
		 "4:28: another permission has the same uri and match: merge the two"},
		{"uri: 'a.*'}, {uri: a., match: prefix",
		 "4:22: another permission has the same uri and match: merge the two"},
	};
	char text[2048];

	check_all(refuse, rows, ARRAY_LEN(rows), IN_PERMISSION, AFTER_PERMISSION);
	snprintf(text, sizeof(text), IN_PERMISSION "uri: %01025d" AFTER_PERMISSION, 0);
	refuse(text, "4:8: 'uri': expected at most 1024 bytes");
}

static void errors_in_transports(void **state)
{
	(void)state;
#define A_PATH                                                                           \
	"'paths': expected a path that begins with '/', such as /ws, without '?', "      \
	"'#', '*' and spaces; leave out 'paths' to serve all paths"
#define A_POLL_PATH                                                                      \
	"'path': expected a path that begins with '/' and does not end with it, such "   \
	"as /lp, without '?', '#', '*' and spaces"
#define AN_ID                                                                            \
	"expected a name of at most 64 characters: letters, digits, '_', '.' and '-'"
#define UNIVERSAL                                                                        \
	" is not needed: the keys beside 'type: universal' apply to both framings"
	static const struct row rows[] = {
		{"id: a b", "4:5: " AN_ID},
		{"id: \"a\\nb\"", "4:5: " AN_ID},
		{"id: ''", "4:5: 'id': expected a string, not an empty string"},
		{"paths: []", "4:8: 'paths': expected 1 to 64 elements, not 0"},
		{"paths: [/, ws]", "4:12: " A_PATH},
		{"paths: [/ws?x]", "4:9: " A_PATH},
		{"paths: ['/#']", "4:9: " A_PATH},
		{"paths: ['/ws ']", "4:9: " A_PATH},
		{"paths: [/w\xc3\xa4]", "4:9: " A_PATH},
		{"paths: {ws: {type: websocket}}",
		 "4:8: 'paths': expected a list, not a map"},
		{"serializers: []", "4:14: 'serializers': expected 1 to 4 elements, not "
				    "0"},
		{"serializers: [json, flatbuffers]",
		 "4:21: 'serializers': 'flatbuffers' is not supported yet; expected "
		 "'json', 'msgpack', 'cbor' or 'ubjson'"},
		{"serializers: [wamp.2.json]",
		 "4:15: 'serializers': expected 'json', 'msgpack', 'cbor' or "
		 "'ubjson', not 'wamp.2.json'"},
		{"serializers: [json, json]",
		 "4:21: 'serializers': 'json' is given twice"},
		{"cookie: {}", "4:9: 'cookie' is not supported yet: leave it out"},
		{"rawsocket: {}", "4:12: 'rawsocket'" UNIVERSAL},
		{"websocket: {}", "4:12: 'websocket'" UNIVERSAL},
		{"web: {}", "4:6: 'web' is not supported yet: leave it out"},
		{"mqtt: {}", "4:7: 'mqtt' is not supported yet: leave it out"},
		{"max_message_size: 1000", "4:1: unknown key 'max_message_size' in the "
					   "transport: it belongs in 'options'"},
		{"port: 1", "4:1: unknown key 'port' in the transport: it belongs in "
			    "'endpoint'"},
		{"paths: ['/*']", "4:9: " A_PATH},
		{"path: /ws", "4:1: unknown key 'path' in the transport (did you mean "
			      "'paths'?), or it "
			      "belongs in 'endpoint' or 'longpoll'"},
		{"longpoll: {}", "4:11: longpoll needs the key 'path'"},
		{"longpoll: {path: /}", "4:18: " A_POLL_PATH},
		{"longpoll: {path: /lp/}", "4:18: " A_POLL_PATH},
		{"longpoll: {path: lp}", "4:18: " A_POLL_PATH},
		{"longpoll: {path: /lp?x}", "4:18: " A_POLL_PATH},
		{"longpoll: {path: /lp, request_timeout: 61 s}",
		 "4:40: 'request_timeout': expected a time from 100 ms to 1 min, in "
		 "milliseconds or with a unit (ms, s, min), not '61 s'"},
		{"longpoll: {path: /lp, session_timeout: 10 s}",
		 "4:40: 'session_timeout' must be longer than 'request_timeout', which "
		 "is 10000 ms"},
	};
	static const char *const types[] = {"web", "mqtt"};

	accept(IN_TRANSPORT "paths: ['/~!$%41', '/']}]");
	check_all(refuse, rows, ARRAY_LEN(rows), IN_TRANSPORT, "}]");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		char text[200], message[200];

		snprintf(text, sizeof(text), "transports: [{type: %s}]", types[i]);
		snprintf(message, sizeof(message),
			 "1:21: 'type': '%s' is not supported yet; expected "
			 "'websocket', 'rawsocket' or 'universal'",
			 types[i]);
		refuse(text, message);
	}
	refuse("transports: [{type: ws}]", "1:21: 'type': expected 'websocket', "
					   "'rawsocket' or 'universal', not 'ws'");
	refuse("transports: [{}]", "1:14: the transport needs the key 'type'");
	refuse("transports: [{type: websocket}]",
	       "1:14: the transport needs the key 'endpoint'");
	refuse("transports: [{type: websocket, " ENDPOINT "}]",
	       "1:14: the transport needs the key 'auth'");
}

/* Keys of one type of transport that have no effect in another. */
static void errors_of_types(void **state)
{
	(void)state;
#define OF_WEBSOCKET                                                                     \
	" is for WebSocket: leave it out, or use 'type: universal' to serve both"
#define OF_RAW_PINGS                                                                     \
	" is for pings, which RawSocket clients get only with 'rawsocket_ping: true'"
	static const struct row of_raw[] = {
		{"paths: [/ws]", "4:8: 'paths'" OF_WEBSOCKET},
		{"longpoll: {path: /lp}", "4:18: 'longpoll'" OF_WEBSOCKET},
		{"options: {allowed_origins: [\"*\"]}",
		 "4:28: 'allowed_origins'" OF_WEBSOCKET},
		{"options: {allow_null_origin: false}",
		 "4:30: 'allow_null_origin'" OF_WEBSOCKET},
		{"options: {compression: true}", "4:24: 'compression'" OF_WEBSOCKET},
		{"options: {auto_ping_interval: 30 s}",
		 "4:31: 'auto_ping_interval'" OF_RAW_PINGS},
		{"options: {rawsocket_ping: false, auto_ping_timeout: 10 s}",
		 "4:53: 'auto_ping_timeout'" OF_RAW_PINGS},
	};
	static const struct row of_web[] = {
		{"options: {rawsocket_ping: true}",
		 "4:27: 'rawsocket_ping' is for RawSocket: leave it out, WebSocket "
		 "clients get pings anyway"},
	};
#define OF(type) REALMS AUTHS "transports: [{type: " type ", " ENDPOINT ", " AUTH ",\n"

	check_all(refuse, of_raw, ARRAY_LEN(of_raw), OF("rawsocket"), "}]");
	check_all(refuse, of_web, ARRAY_LEN(of_web), OF("websocket"), "}]");
	accept(OF("rawsocket") "options: {auto_ping_interval: 30 s, auto_ping_timeout: "
			       "10 s, rawsocket_ping: true}}]");
	accept(OF("rawsocket") "options: {close_handshake_timeout: 1 s}}]");
	accept(OF("websocket") "options: {rawsocket_ping: false}}]");
	accept(OF("universal") "paths: [/ws], options: {allowed_origins: [\"*\"], "
			       "allow_null_origin: false, auto_ping_interval: 30 s, "
			       "rawsocket_ping: false}}]");
}

static void errors_between_transports(void **state)
{
	(void)state;
#define ONE(more, endpoint)                                                              \
	"- {type: websocket, " AUTH ", " more "endpoint:\n   {" endpoint "}}\n"
#define TWICE "the transport 'listener0' already listens on this address"
	static const struct row rows[] = {
		{ONE("", "type: tcp, port: 1") ONE("", "port: 1, type: tcp"),
		 "7:11: " TWICE},
		{ONE("", "type: tcp, port: 1")
			 ONE("", "type: tcp, interface: 127.0.0.1, port: 1"),
		 "7:44: " TWICE},
		/* two notations of the same address */
		{ONE("", "type: tcp, interface: '::1', port: 1")
			 ONE("", "type: tcp, interface: '0:0:0::0001', port: 1"),
		 "7:48: " TWICE},
		{ONE("", "type: tcp, interface: 0.0.0.0, port: 1")
			 ONE("", "type: tcp, interface: 127.0.0.1, port: 1"),
		 "7:44: " TWICE},
		{ONE("", "type: tcp, interface: '::1', port: 1")
			 ONE("", "type: tcp, interface: '::', port: 1"),
		 "7:39: " TWICE},
		{ONE("", "type: tcp, interface: '::', port: 1")
			 ONE("", "type: tcp, version: 4, port: 1"),
		 "7:34: " TWICE},
		{ONE("", "type: unix, path: /a") ONE("", "type: unix, path: /a"),
		 "7:23: " TWICE},
		{ONE("", "type: unix, path: a.sock"),
		 "5:23: the authenticator 'authd' uses this socket"},
		{ONE("id: a, ", "type: tcp, port: 1")
			 ONE("id: a, ", "type: tcp, port: 2"),
		 "6:84: another transport has the id 'a'"},
		{ONE("id: listener1, ", "type: tcp, port: 1")
			 ONE("", "type: tcp, port: 2"),
		 "6:3: another transport has the id 'listener1'"},
	};

	check_all(refuse, rows, ARRAY_LEN(rows), REALMS AUTHS "transports:\n", "");
	accept(REALMS AUTHS
	       "transports:\n" ONE("", "type: tcp, interface: '::1', port: 1")
		       ONE("", "type: tcp, interface: '::2', port: 1")
			       ONE("", "type: tcp, interface: 127.0.0.1, port: 1"));
	accept(REALMS AUTHS
	       "transports:\n" ONE("", "type: tcp, interface: 0.0.0.0, port: 1")
		       ONE("", "type: tcp, interface: '::1', port: 1")
			       ONE("", "type: tcp, interface: 127.0.0.1, port: 2"));
	accept(REALMS AUTHS "transports:\n" ONE("", "type: tcp, port: 1")
		       ONE("", "type: tcp, port: 2") ONE("", "type: unix, path: /a")
			       ONE("", "type: unix, path: /b"));
}

static void errors_in_endpoints(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"port: 1", "4:1: the endpoint needs the key 'type'"},
		{"type: udp", "4:8: 'type': expected 'tcp' or 'unix', not 'udp'"},
		{"type: tcp",
		 "4:1: 'port' is missing: a TCP endpoint needs one, from 1 to 65535"},
		{"type: tcp, port: 0",
		 "4:19: 'port': expected an integer from 1 to 65535, not '0'"},
		{"type: tcp, port: 65536",
		 "4:19: 'port': expected an integer from 1 to 65535, not '65536'"},
		{"type: tcp, port: $PORT",
		 "4:19: 'port': expected an integer from 1 to 65535, not '$PORT'"},
		{"type: tcp, port: 1, path: /a",
		 "4:28: 'path' is for endpoints of type unix"},
		{"type: tcp, port: 1, mode: 0660",
		 "4:28: 'mode' is for endpoints of type unix"},
		{"type: tcp, port: 1, interface: localhost",
		 "4:33: 'interface': expected a numeric address, such as 127.0.0.1 or "
		 "\"::1\""},
		{"type: tcp, port: 1, version: 5", "4:31: 'version': expected 4 or 6"},
		{"type: tcp, port: 1, version: 7",
		 "4:31: 'version': expected an integer from 4 to 6, not '7'"},
		{"type: tcp, port: 1, version: 6, interface: 0.0.0.0",
		 "4:31: 'version' and 'interface' contradict each other; leave out "
		 "'version'"},
		{"type: tcp, port: 1, version: 4, interface: '::'",
		 "4:31: 'version' and 'interface' contradict each other; leave out "
		 "'version'"},
		{"type: tcp, portrange: [1, 2]",
		 "4:24: 'portrange' is not supported: give one 'port'"},
		{"type: tcp, port: 1, user_timeout: 5",
		 "4:36: 'user_timeout' is not supported: 'auto_ping_timeout' in "
		 "'options' finds dead connections"},
		{"type: tcp, port: 1, proxy_protocol: {from: [10.0.0.0/33]}",
		 "4:46: 'from': expected an address such as 192.0.2.1 or "
		 "\"2001:db8::1\", a "
		 "network such as 10.0.0.0/8, or unix"},
		{"type: tcp, port: 1, proxy_protocol: true",
		 "4:38: 'proxy_protocol': expected a map, not 'true'; name the proxies, "
		 "such as {from: [192.0.2.10]}"},
		{"type: tcp, port: 1, tls: {certificate: a, key: b, more_certificates: "
		 "[c]}",
		 "4:72: 'more_certificates': expected a map, not 'c'; each has a key: "
		 "{certificate: FILE, key: FILE}"},
		{"type: tcp, port: 1, proxy_protocol: {from: [unix]}",
		 "4:45: nobody could connect: 'from' needs addresses for an endpoint of "
		 "this type"},
		{"type: unix, path: /a, proxy_protocol: {from: [10.0.0.0/8]}",
		 "4:47: nobody could connect: 'from' needs 'unix' for an endpoint of "
		 "this "
		 "type"},
		{"type: tcp, port: 1, tls: {key: a.pem}",
		 "4:27: tls needs the key 'certificate'"},
		{"type: tcp, port: 1, tls: {certificate: /no/a.pem, key: /no/a.key}",
		 "4:41: /no/a.pem: No such file or directory"},
		{"type: tcp, port: 1, tls: {certificate: a, key: a, ciphers: AES128-SHA}",
		 "4:61: 'ciphers': expected OpenSSL's names of ciphers of TLS 1.2, "
		 "joined "
		 "by ':', only those with ECDHE and AEAD, such as ECDHE+AESGCM; those of "
		 "TLS 1.3 are always allowed"},
		{"type: tcp, port: 1, tls: {certificate: a, key: a, groups: X1}",
		 "4:60: 'groups': expected OpenSSL's names of groups, joined by ':', "
		 "such as X25519:P-256"},
		{"type: unix",
		 "4:1: 'path' is missing: a Unix endpoint needs the path of its socket"},
		{"type: unix, path: /a, port: 1",
		 "4:30: 'port' is for endpoints of type tcp"},
		{"type: unix, path: /a, interface: '::1'",
		 "4:35: 'interface' is for endpoints of type tcp"},
		{"type: unix, path: /a, version: 4",
		 "4:33: 'version' is for endpoints of type tcp"},
		{"type: unix, path: /a, mode: rw",
		 "4:30: 'mode': expected an octal mode that lets someone write, such as "
		 "\"0660\": clients need that to connect"},
		{"type: unix, path: /a, host: x",
		 "4:24: unknown key 'host' in the endpoint, expected 'type', 'port', "
		 "'interface', 'version', 'path', 'mode', 'tls' or 'proxy_protocol'"},
	};
	char text[2048];

	check_all(refuse, rows, ARRAY_LEN(rows), IN_ENDPOINT, AFTER_OPTIONS);
	snprintf(text, sizeof(text), IN_ENDPOINT "type: unix, path: %0108d}}]", 0);
	refuse(text, "4:20: 'path': expected at most 107 bytes");
	snprintf(text, sizeof(text), IN_ENDPOINT "type: unix, path: %0107d}}]", 0);
	accept(text);
}

static void errors_in_options(void **state)
{
	(void)state;
#define MS      ", in milliseconds or with a unit (ms, s, min), not "
#define RFC6455 "is not supported: RFC 6455 "
#define ORIGIN                                                                           \
	"'allowed_origins': expected a scheme and a host without a final '/', such as "  \
	"https://example.com, because browsers send no other origins; '*' matches any "  \
	"text"
	static const struct row rows[] = {
		{"max_message_size: 0",
		 "4:20: 'max_message_size': expected a size from 1 KiB to 16 "
		 "MiB, in bytes or with a unit (KiB, MiB, GiB), not '0'"},
		{"max_message_size: 64 MiB",
		 "4:20: 'max_message_size': expected a size from 1 KiB to 16 "
		 "MiB, in bytes or with a unit (KiB, MiB, GiB), not '64 MiB'"},
		{"max_connections: 10000001",
		 "4:19: 'max_connections': expected an integer from 0 to 10000000, not "
		 "'10000001'"},
		{"allowed_origins: []",
		 "4:19: 'allowed_origins': expected 1 to 256 elements, not 0"},
		{"allowed_origins: ['*', example.com]", "4:25: " ORIGIN},
		{"allowed_origins: '*'",
		 "4:19: 'allowed_origins': expected a list, not the string '*'"},
		{"auto_ping_interval: 25 h",
		 "4:22: 'auto_ping_interval': expected a time from 0 to 1440 min" MS
		 "'25 h'"},
		{"auto_ping_timeout: 0",
		 "4:21: 'auto_ping_timeout': expected a time from 100 ms to 60 "
		 "min" MS "'0'"},
		{"open_handshake_timeout: 0",
		 "4:26: 'open_handshake_timeout': expected a time from 100 ms to "
		 "10 min" MS "'0'"},
		{"close_handshake_timeout: 99",
		 "4:27: 'close_handshake_timeout': expected a time from 100 ms to "
		 "1 min" MS "'99'"},
		{"auto_ping_restart_on_any_traffic: false",
		 "4:36: 'auto_ping_restart_on_any_traffic: false' is not supported: any "
		 "input always restarts the interval"},
		{"enable_rfc6455: false",
		 "4:18: 'enable_rfc6455: false' "
		 "is not supported: routerd supports only RFC 6455"},
		{"enable_hybi10: true",
		 "4:17: 'enable_hybi10: true' "
		 "is not supported: routerd supports only RFC 6455"},
		{"validate_utf8: false",
		 "4:17: 'validate_utf8: false' " RFC6455 "requires true"},
		{"mask_server_frames: true",
		 "4:22: 'mask_server_frames: true' " RFC6455 "forbids it"},
		{"require_masked_client_frames: false",
		 "4:32: 'require_masked_client_frames: false' " RFC6455 "requires true"},
		{"apply_mask: false",
		 "4:14: 'apply_mask: false' " RFC6455 "requires true"},
		{"tcp_nodelay: false", "4:15: 'tcp_nodelay: false' is not supported: "
				       "routerd always sets TCP_NODELAY"},
		{"require_websocket_subprotocol: false",
		 "4:33: 'require_websocket_subprotocol: false' is not supported: the "
		 "subprotocol selects the serializer"},
		{"show_server_version: true",
		 "4:23: 'show_server_version: true' is not supported yet: use false or "
		 "leave it out"},
		{"compression: {deflate: {}}",
		 "4:15: 'compression': expected true or false, not a map; true stands "
		 "for deflate, without parameters"},
		{"enable_flash_policy: true",
		 "4:23: 'enable_flash_policy: true' is not supported yet: use false or "
		 "leave it out"},
		{"flash_policy: x",
		 "4:16: 'flash_policy' is not supported yet: leave it out"},
		{"trusted_proxies: [localhost]",
		 "4:20: 'trusted_proxies': expected an address such as 192.0.2.1 or "
		 "\"2001:db8::1\", a network such as 10.0.0.0/8, or unix"},
		{"max_mesage_size: 1",
		 "4:2: unknown key 'max_mesage_size' in options (did you mean "
		 "'max_message_size'?)"},
		{"something: 1",
		 "4:2: unknown key 'something' in options, expected 'max_message_size', "
		 "'max_header_size', 'max_headers', 'max_connections', "
		 "'allowed_origins', 'allow_null_origin', "
		 "'trusted_proxies', 'auto_ping_interval', 'rawsocket_ping', "
		 "'auto_ping_timeout', 'compression', 'open_handshake_timeout' or "
		 "'close_handshake_timeout'"},
	};

	check_all(refuse, rows, ARRAY_LEN(rows), IN_OPTIONS, AFTER_OPTIONS);
}

static void errors_in_authenticators(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a: {}", "4:4: the authenticator needs the key 'socket'"},
		{"a: {socket: ''}",
		 "4:13: 'socket': expected a string, not an empty string"},
		{"a b: {socket: s}", "4:1: " AN_ID},
		{"a: {socket: s}, a: {socket: t}",
		 "4:17: 'a' is given twice in 'authenticators'"},
		{"a: {socket: s, require_features: [magic]}",
		 "4:35: 'require_features': expected 'revoke', not 'magic'"},
		{"a: {socket: s, allow_users: []}",
		 "4:29: 'allow_users': expected 1 to 64 elements, not 0"},
		{"a: {socket: s, allow_users: [0, no such]}",
		 "4:33: 'allow_users': there is no user 'no such' on this system"},
		{"a: {socket: s, timeout: 9}",
		 "4:25: 'timeout': expected a time from 10 ms to 1 min" MS "'9'"},
		{"a: {socket: s, timeout: 61 s}",
		 "4:25: 'timeout': expected a time from 10 ms to 1 min" MS "'61 s'"},
	};
	char text[2048];

	check_all(refuse, rows, ARRAY_LEN(rows), REALMS TRANSPORTS "authenticators: {\n",
		  "}");
	refuse("authenticators: [{socket: s}]",
	       "1:17: 'authenticators': expected a map of names, not a list");
	snprintf(text, sizeof(text), "authenticators: {a: {socket: %0108d}}", 0);
	refuse(text, "1:30: 'socket': expected at most 107 bytes");
	snprintf(text, sizeof(text), "authenticators: {%065d: {socket: s}}", 0);
	refuse(text, "1:18: " AN_ID);
}

static void errors_in_limits(void **state)
{
	(void)state;
#define BYTES ", in bytes or with a unit (KiB, MiB, GiB), not "
	static const struct row rows[] = {
		{"queue_size: 4095",
		 "4:22: 'queue_size': expected a size from 4 KiB to 1 GiB" BYTES
		 "'4095'"},
		{"queued_total: 1",
		 "4:24: 'queued_total': expected a size from 1 MiB to 1024 "
		 "GiB" BYTES "'1'"},
		{"incomplete_total: 2 TiB",
		 "4:28: 'incomplete_total': expected a size from 1 MiB to "
		 "1024 GiB" BYTES "'2 TiB'"},
		{"mailbox_high: 0",
		 "4:24: 'mailbox_high': expected a size from 4 KiB to 1 "
		 "GiB" BYTES "'0'"},
		{"mailbox_low: 0", "4:23: 'mailbox_low': expected a size from 1 KiB to 1 "
				   "GiB" BYTES "'0'"},
		{"mailbox_low: 8 MiB",
		 "4:23: 'mailbox_low' is 8388608 bytes, but must be less than "
		 "'mailbox_high', which is 8388608"},
		{"mailbox_high: 1 MiB",
		 "4:9: 'mailbox_low' is 2097152 bytes, but must be less than "
		 "'mailbox_high', which is 1048576"},
		{"hold_queue: 0",
		 "4:22: 'hold_queue': expected an integer from 1 to 1000000, not '0'"},
		{"hold_timeout: 0",
		 "4:24: 'hold_timeout': expected a time from 100 ms to 1 min" MS "'0'"},
		{"pending_calls: 0",
		 "4:25: 'pending_calls': expected an integer from 1 to 10000000, not "
		 "'0'"},
		{"session_subscriptions: 0",
		 "4:33: 'session_subscriptions': expected an integer from 1 to 10000000, "
		 "not '0'"},
		{"session_registrations: 0",
		 "4:33: 'session_registrations': expected an integer from 1 to 10000000, "
		 "not '0'"},
		{"session_wildcards: 0",
		 "4:29: 'session_wildcards': expected an integer from 1 to 10000000, "
		 "not '0'"},
		{"history_total: 4095",
		 "4:25: 'history_total': expected a size from 4 KiB to 1024 GiB" BYTES
		 "'4095'"},
		{"octets: 1",
		 "4:10: unknown key 'octets' in limits, expected 'queue_size', "
		 "'queued_total', 'incomplete_total', 'mailbox_high', 'mailbox_low', "
		 "'hold_queue', 'hold_timeout', 'pending_calls', "
		 "'session_subscriptions', "
		 "'session_registrations', 'session_wildcards', 'handshakes' or "
		 "'history_total'"},
		{"incomplete_total: 3 MiB}\nthreads: 4\n#",
		 "4:28: 'incomplete_total' must be at least 4194304 bytes: it is divided "
		 "among 4 threads, and a transport's max_message_size is 1048576 bytes"},
	};

	check_all(refuse, rows, ARRAY_LEN(rows), EVERYTHING "limits: {", "}");
	accept(EVERYTHING "limits: {incomplete_total: 4 MiB}\nthreads: 4");
}

/* Whole files: all errors, and none that only follows from another. */
static void all_errors(void **state)
{
	(void)state;
	static const struct row rows[] = {
		/* references are checked even if other parts are wrong */
		{"thread: 1\n"
		 "realms: [{name: r, roles: [{name: u}]}]\n"
		 "transports:\n"
		 "- {type: websocket, endpoint: {type: tcp, port: 0}, auth: {}}\n"
		 "- {type: websocket, endpoint: {type: tcp, port: 1, path: /a, mode: "
		 "0660},\n"
		 "   paths: [ws, '/*'], publish: true,\n"
		 "   auth: {cryptosign: {type: dynamic, authenticator: a}}}\n"
		 "- {type: websocket, endpoint: {type: tcp, port: 2},\n"
		 "   auth: {cryptosign: {type: dynamic, authenticator: a},\n"
		 "          anonymous: {type: static, role: v}}}\n",
		 "r.yaml:1:1: unknown key 'thread' in the file (did you mean "
		 "'threads'?)\n"
		 "r.yaml:4:49: 'port': expected an integer from 1 to 65535, not '0'\n"
		 "r.yaml:5:58: 'path' is for endpoints of type unix\n"
		 "r.yaml:5:68: 'mode' is for endpoints of type unix\n"
		 "r.yaml:6:12: " A_PATH "\nr.yaml:6:16: " A_PATH "\n"
		 "r.yaml:6:23: unknown key 'publish' in the transport: it belongs in "
		 "'allow'; expected here: 'type', 'id', 'endpoint', 'paths', "
		 "'longpoll', 'serializers', 'options' or 'auth'\n"
		 "r.yaml:9:54: unknown authenticator 'a': define it in 'authenticators' "
		 "at the top of the file\n"
		 "r.yaml:10:43: no realm has a role 'v'"},
		/* but not references to something that may be wrong itself */
		{"realms: [{name: r, roles: [{name: u, x: 1}]}]\n"
		 "authenticators: {a: {}}\n"
		 "transports:\n"
		 "- {type: websocket, endpoint: {type: tcp, port: 2},\n"
		 "   auth: {cryptosign: {type: dynamic, authenticator: a},\n"
		 "          anonymous: {type: static, role: v}}}\n",
		 "r.yaml:1:38: unknown key 'x' in the role, expected 'name', "
		 "'permissions' or 'authorizer'\n"
		 "r.yaml:2:21: the authenticator needs the key 'socket'"},
		{"transports:\n"
		 "- {type: websocket, endpoint: {type: tcp, port: 2},\n"
		 "   auth: {anonymous: {type: static, role: v}}}\n",
		 "r.yaml:1:1: the file needs the key 'realms'"},
		{REALMS AUTHS
		 "transports:\n"
		 "- {type: websocket, endpoint: {type: tcp, port: 2},\n"
		 "   paths: [a, /b, c, '/*'], options: {allowed_origins: [x, "
		 "http://y/]}, " AUTH "}\n",
		 "r.yaml:5:12: " A_PATH "\nr.yaml:5:19: " A_PATH "\nr.yaml:5:22: " A_PATH
		 "\nr.yaml:5:57: " ORIGIN "\nr.yaml:5:60: " ORIGIN},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse_bytes(slice_str(rows[i].text)), E_SYNTAX);
		assert_string_equal(err.text, rows[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crossbars_node),
		cmocka_unit_test(errors_at_the_top),
		cmocka_unit_test(errors_in_realms),
		cmocka_unit_test(errors_in_permissions),
		cmocka_unit_test(errors_in_transports),
		cmocka_unit_test_teardown(errors_of_types, end),
		cmocka_unit_test(errors_between_transports),
		cmocka_unit_test(errors_in_endpoints),
		cmocka_unit_test(errors_in_options),
		cmocka_unit_test(errors_in_authenticators),
		cmocka_unit_test(errors_in_limits),
		cmocka_unit_test(all_errors),
	};

	return cmocka_run_group_tests_name("config_errors", tests, NULL, end);
}
