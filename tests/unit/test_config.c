/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routerd's configuration: defaults, what each key becomes, and each error with its place
 * and text, Crossbar's own sections among them.
 */
#include "routerd/config.h"

#include "common/err.h"
#include "routerd/peer/rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct config *cfg;
static struct conf_error err;

static int parse_bytes(struct slice text)
{
	config_unref(&cfg);
	err.text[0] = '\0';
	return config_parse(text, "r.yaml", &cfg, &err);
}

static void accept(const char *text)
{
	int r = parse_bytes(slice_str(text));

	if (r != 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_non_null(cfg);
	assert_string_equal(err.text, "");
}

static void refuse(const char *text, const char *message)
{
	char expected[sizeof(err.text)];

	snprintf(expected, sizeof(expected), "r.yaml:%s", message);
	assert_int_equal(parse_bytes(slice_str(text)), E_SYNTAX);
	assert_null(cfg);
	assert_string_equal(err.text, expected);
}

static int end(void **state)
{
	(void)state;
	config_unref(&cfg);
	return 0;
}

/* The smallest file, in parts of one line. */
#define REALMS     "realms: [{name: realm1, roles: [{name: user}]}]\n"
#define AUTH       "auth: {cryptosign: {type: dynamic, authenticator: authd}}"
#define AUTHS      "authenticators: {authd: {socket: a.sock}}\n"
#define ENDPOINT   "endpoint: {type: tcp, port: 8080}"
#define TRANSPORTS "transports: [{type: websocket, " ENDPOINT ", " AUTH "}]\n"
#define EVERYTHING REALMS AUTHS TRANSPORTS

/* Where what is tested stands, each on line 4, and behind how many columns. */
#define TOP      EVERYTHING                                            /* 0 */
#define IN_REALM AUTHS TRANSPORTS "realms:\n- {"                       /* 3 */
#define IN_ROLE  AUTHS TRANSPORTS "realms: [{name: realm1, roles:\n[{" /* 2 */
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

struct row {
	const char *text, *message;
};

static void refuse_all(const struct row *rows, size_t n, const char *before,
		       const char *after)
{
	for (size_t i = 0; i < n; i++) {
		char text[4096];
		int len = snprintf(text, sizeof(text), "%s%s%s", before, rows[i].text,
				   after);
		assert_in_range(len, 1, sizeof(text) - 1);
		refuse(text, rows[i].message);
	}
}

/* --- what is accepted --- */

static void defaults(void **state)
{
	(void)state;
	accept(EVERYTHING);
	assert_int_equal(cfg->version, 2);
	assert_int_equal(cfg->threads, 0);
	assert_in_range(strlen(cfg->node), 1, 255);
	assert_int_equal(cfg->n_realms, 1);
	assert_int_equal(cfg->n_authenticators, 1);
	assert_int_equal(cfg->n_listeners, 1);
	assert_int_equal(cfg->log.level, LOG_LEVEL_INFO);
	assert_int_equal(cfg->log.format, LOG_FORMAT_TEXT);
	assert_int_equal(cfg->debug.stall_worker, -1);

	const struct config_limits *limits = &cfg->limits;
	assert_true(limits->queue_size == 16 << 20);
	assert_true(limits->queued_total == 1 << 30);
	assert_true(limits->incomplete_total == 256 << 20);
	assert_true(limits->mailbox_high == 8 << 20);
	assert_true(limits->mailbox_low == 2 << 20);
	assert_int_equal(limits->hold_queue, 4096);
	assert_int_equal(limits->hold_timeout, 5000);
	assert_int_equal(limits->pending_calls, 10000);
	assert_int_equal(limits->session_subscriptions, 100000);
	assert_int_equal(limits->session_registrations, 100000);
}

static void defaults_of_a_listener(void **state)
{
	(void)state;
	accept(EVERYTHING);
	const struct config_listener *l = &cfg->listeners[0];

	assert_string_equal(l->name, "listener0");
	assert_int_equal(l->endpoint.type, ENDPOINT_TCP);
	assert_null(l->endpoint.host);
	assert_int_equal(l->endpoint.port, 8080);
	assert_int_equal(l->paths.count, 0);
	assert_int_equal(l->serializers, 7);
	assert_int_equal(l->options.max_message_size, 1 << 20);
	assert_int_equal(l->options.max_connections, 50000);
	assert_int_equal(l->options.allowed_origins.count, 0);
	assert_false(l->options.allow_null_origin);
	assert_int_equal(l->options.auto_ping_interval, 30000);
	assert_int_equal(l->options.auto_ping_timeout, 10000);
	assert_int_equal(l->options.open_handshake_timeout, 10000);
	assert_int_equal(l->options.close_handshake_timeout, 2000);
	assert_int_equal(l->auth.cryptosign.authenticator_index, 0);
	assert_int_equal(l->auth.anonymous.type, -1);
	assert_int_equal(l->auth.anonymous.realm_index, -1);

	const struct config_authenticator *a = &cfg->authenticators[0];
	assert_string_equal(a->name, "authd");
	assert_string_equal(a->socket, "a.sock");
	assert_int_equal(a->require_features, 0);
	assert_int_equal(a->timeout, 2000);
	assert_true(config_uid_allowed(a, 0));
	assert_true(config_uid_allowed(a, geteuid()));
	assert_false(config_uid_allowed(a, geteuid() + 1));
}

static const char whole[] =
	"# every key\n"
	"$schema: https://example.com/any\n"
	"version: 2\n"
	"threads: 3\n"
	"node: left-1\n"
	"realms:\n"
	"- name: realm1\n"
	"  roles:\n"
	"  - name: nobody\n"
	"  - name: com.example.user\n"
	"    permissions:\n"
	"    - {uri: a.b, allow: {call: true}, cache: true}\n"
	"    - uri: a.\n"
	"      match: prefix\n"
	"      allow: {register: true, publish: false}\n"
	"      disclose: {caller: false, publisher: false}\n"
	"    - {uri: a..c, match: wildcard, allow: {subscribe: true}}\n"
	"- name: realm2\n"
	"  roles: [{name: user}, {name: guest}]\n"
	"  options: {event_dispatching_chunk_size: 5, enable_meta_api: false}\n"
	"authenticators:\n"
	"  one: {socket: one.sock}\n"
	"  two:\n"
	"    socket: two.sock\n"
	"    require_features: [revoke]\n"
	"    allow_users: [root, 1234]\n"
	"    timeout: 5 s\n"
	"transports:\n"
	"- type: websocket\n"
	"  id: public.1\n"
	"  endpoint: {type: tcp, interface: 127.0.0.1, port: 1, version: 4}\n"
	"  paths: [/ws, '/']\n"
	"  serializers: [cbor, json]\n"
	"  options:\n"
	"    max_message_size: 16 MiB\n"
	"    max_connections: 0\n"
	"    allowed_origins: ['https://*.example.com', '*:1234', 'null']\n"
	"    allow_null_origin: true\n"
	"    auto_ping_interval: 0\n"
	"    auto_ping_timeout: 100\n"
	"    open_handshake_timeout: 3 s\n"
	"    close_handshake_timeout: 1000\n"
	"  auth:\n"
	"    cryptosign: {type: dynamic, authenticator: two}\n"
	"    anonymous: {type: static, role: guest, realm: realm2}\n"
	"- type: websocket\n"
	"  endpoint: {type: unix, path: /run/r.sock, mode: 0666}\n"
	"  auth: {anonymous: {type: static, role: guest}}\n"
	"- {type: websocket, endpoint: {type: tcp, port: 1, interface: '::1'},\n"
	"   auth: {cryptosign: {type: dynamic, authenticator: one}}}\n"
	"- {type: websocket, endpoint: {type: tcp, port: 2, version: 6},\n"
	"   auth: {cryptosign: {type: dynamic, authenticator: one}}}\n"
	"limits:\n"
	"  queue_size: 4096\n"
	"  queued_total: 1 MiB\n"
	"  incomplete_total: 48 MiB\n"
	"  mailbox_high: 1 MiB\n"
	"  mailbox_low: 1 KiB\n"
	"  hold_queue: 1\n"
	"  hold_timeout: 100 ms\n"
	"  pending_calls: 2\n"
	"  session_subscriptions: 3\n"
	"  session_registrations: 4\n"
	"log: {level: debug, format: journal}\n"
	"debug: {stall_worker: 2}\n";

static void check_whole_listeners(void)
{
	const struct config_listener *l = cfg->listeners;

	assert_int_equal(cfg->n_listeners, 4);
	assert_string_equal(l[0].name, "public.1");
	assert_string_equal(l[0].endpoint.host, "127.0.0.1");
	assert_int_equal(l[0].endpoint.port, 1);
	assert_int_equal(l[0].paths.count, 2);
	assert_int_equal(l[0].serializers, 1 << SERIALIZER_JSON | 1 << SERIALIZER_CBOR);
	assert_int_equal(l[0].options.max_message_size, 16 << 20);
	assert_int_equal(l[0].options.max_connections, 0);
	assert_int_equal(l[0].options.allowed_origins.count, 3);
	assert_true(l[0].options.allow_null_origin);
	assert_int_equal(l[0].options.auto_ping_interval, 0);
	assert_int_equal(l[0].options.auto_ping_timeout, 100);
	assert_int_equal(l[0].options.open_handshake_timeout, 3000);
	assert_int_equal(l[0].options.close_handshake_timeout, 1000);
	assert_int_equal(l[0].auth.cryptosign.authenticator_index, 1);
	assert_int_equal(l[0].auth.anonymous.realm_index, 1);
	assert_string_equal(l[0].auth.anonymous.role, "guest");
	assert_string_equal(l[1].name, "listener1");
	assert_int_equal(l[1].endpoint.type, ENDPOINT_UNIX);
	assert_string_equal(l[1].endpoint.path, "/run/r.sock");
	assert_int_equal(l[1].endpoint.mode, 0666);
	assert_int_equal(l[1].auth.cryptosign.type, -1);
	assert_int_equal(l[1].auth.cryptosign.authenticator_index, -1);
	assert_int_equal(l[1].auth.anonymous.realm_index, -1);
	assert_string_equal(l[2].endpoint.host, "::1");
	assert_string_equal(l[3].endpoint.host, "::");
}

static bool may(size_t role, enum action action, const char *uri)
{
	return rights_allow(cfg->realms[0].roles[role].rights, action, slice_str(uri));
}

static void each_key(void **state)
{
	(void)state;
	accept(whole);
	assert_int_equal(cfg->threads, 3);
	assert_string_equal(cfg->node, "left-1");
	check_whole_listeners();

	assert_int_equal(cfg->n_authenticators, 2);
	assert_int_equal(cfg->authenticators[1].require_features, CONFIG_FEATURE_REVOKE);
	assert_int_equal(cfg->authenticators[1].timeout, 5000);
	assert_true(config_uid_allowed(&cfg->authenticators[1], 0));
	assert_true(config_uid_allowed(&cfg->authenticators[1], 1234));
	assert_false(config_uid_allowed(&cfg->authenticators[1], 1235));

	assert_true(may(1, ACTION_CALL, "a.b"));
	assert_true(may(1, ACTION_REGISTER, "a.x"));
	assert_false(may(1, ACTION_PUBLISH, "a.x"));
	assert_true(may(1, ACTION_SUBSCRIBE, "a.x.c"));
	assert_false(may(1, ACTION_SUBSCRIBE, "a.x.d"));
	assert_false(may(0, ACTION_CALL, "a.b"));

	assert_int_equal(cfg->limits.queue_size, 4096);
	assert_int_equal(cfg->limits.queued_total, 1 << 20);
	assert_int_equal(cfg->limits.incomplete_total, 48 << 20);
	assert_int_equal(cfg->limits.mailbox_high, 1 << 20);
	assert_int_equal(cfg->limits.mailbox_low, 1024);
	assert_int_equal(cfg->limits.hold_queue, 1);
	assert_int_equal(cfg->limits.hold_timeout, 100);
	assert_int_equal(cfg->limits.pending_calls, 2);
	assert_int_equal(cfg->limits.session_subscriptions, 3);
	assert_int_equal(cfg->limits.session_registrations, 4);
	assert_int_equal(cfg->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(cfg->log.format, LOG_FORMAT_JOURNAL);
	assert_int_equal(cfg->debug.stall_worker, 2);
}

static void questions(void **state)
{
	(void)state;
	accept(whole);
	const struct config_listener *l = cfg->listeners;

	assert_int_equal(config_realm_find(cfg, slice_str("realm2")), 1);
	assert_int_equal(config_realm_find(cfg, slice_str("realm")), E_NOTFOUND);
	assert_int_equal(config_realm_find(cfg, slice_of(NULL, 0)), E_NOTFOUND);
	assert_int_equal(config_role_find(&cfg->realms[1], slice_str("guest")), 1);
	assert_int_equal(config_role_find(&cfg->realms[0], slice_str("guest")),
			 E_NOTFOUND);

	assert_true(config_path_known(&l[0], slice_str("/ws")));
	assert_true(config_path_known(&l[0], slice_str("/")));
	assert_false(config_path_known(&l[0], slice_str("/ws/")));
	assert_true(config_path_known(&l[1], slice_str("/anything")));

	assert_true(config_origin_allowed(&l[0], slice_str("https://a.example.com")));
	assert_true(config_origin_allowed(&l[0], slice_str("http://b.org:1234")));
	assert_true(config_origin_allowed(&l[0], slice_str("null")));
	assert_false(config_origin_allowed(&l[0], slice_str("https://example.com")));
	assert_true(config_origin_allowed(&l[1], slice_str("https://example.com")));
	assert_true(config_origin_allowed(&l[1], slice_str("null")));
	accept(IN_OPTIONS "allowed_origins: ['https://a.org']" AFTER_OPTIONS);
	assert_false(config_origin_allowed(&cfg->listeners[0], slice_str("null")));
	accept(IN_OPTIONS "allowed_origins: ['https://a.org'], allow_null_origin: "
			  "true" AFTER_OPTIONS);
	assert_true(config_origin_allowed(&cfg->listeners[0], slice_str("null")));
}

/* Crossbar's stars, where no match is given. */
static void stars(void **state)
{
	(void)state;
	static const struct {
		const char *uri, *plain;
		enum match match;
	} rows[] = {
		{"a.b", "a.b", MATCH_EXACT},         {"*", "", MATCH_PREFIX},
		{"a.*", "a.", MATCH_PREFIX},         {"a.b*", "a.b", MATCH_PREFIX},
		{"a.*.b", "a..b", MATCH_WILDCARD},   {"*.b", ".b", MATCH_WILDCARD},
		{"*.*", ".", MATCH_WILDCARD},        {"a.*.b.*", "a..b.", MATCH_WILDCARD},
		{"a..*.b", "a...b", MATCH_WILDCARD},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[1024];

		snprintf(text, sizeof(text), IN_PERMISSION "uri: '%s'" AFTER_PERMISSION,
			 rows[i].uri);
		accept(text);
		const struct config_permission *p =
			&cfg->realms[0].roles[0].permissions[0];
		assert_string_equal(p->uri, rows[i].plain);
		assert_int_equal(p->match, rows[i].match);
	}
	/* where it is given, a star is a letter as any other */
	accept(IN_PERMISSION "uri: 'a.*', match: exact" AFTER_PERMISSION);
	assert_int_equal(cfg->realms[0].roles[0].permissions[0].match, MATCH_EXACT);
	assert_string_equal(cfg->realms[0].roles[0].permissions[0].uri, "a.*");
}

static void patterns(void **state)
{
	(void)state;
	accept(IN_PERMISSION "uri: '', match: prefix}, {uri: '', match: wildcard}, "
			     "{uri: '..', match: wildcard}, {uri: a.b, match: wildcard}, "
			     "{uri: a.b., match: prefix}, {uri: a.b, match: prefix}, "
			     "{uri: .b, match: wildcard" AFTER_PERMISSION);
	assert_int_equal(cfg->realms[0].roles[0].n_permissions, 7);
}

/* --- Crossbar's files --- */

/* What a Crossbar user has, from the level of realms and transports on. */
static void crossbars_sections(void **state)
{
	(void)state;
	accept("{\n"
	       "   \"$schema\": \"https://example.com/crossbar.json\",\n"
	       "   \"version\": 2,\n"
	       "   \"realms\": [\n"
	       "      {\n"
	       "         \"name\": \"devices\",\n"
	       "         \"roles\": [\n"
	       "            {\n"
	       "               \"name\": \"device\",\n"
	       "               \"permissions\": [\n"
	       "                  {\n"
	       "                     \"uri\": \"\",\n"
	       "                     \"match\": \"prefix\",\n"
	       "                     \"allow\": {\n"
	       "                        \"call\": true,\n"
	       "                        \"register\": true,\n"
	       "                        \"publish\": true,\n"
	       "                        \"subscribe\": true\n"
	       "                     },\n"
	       "                     \"disclose\": {\n"
	       "                        \"caller\": false,\n"
	       "                        \"publisher\": false\n"
	       "                     },\n"
	       "                     \"cache\": true\n"
	       "                  }\n"
	       "               ]\n"
	       "            }\n"
	       "         ]\n"
	       "      }\n"
	       "   ],\n"
	       "   \"authenticators\": {\n"
	       "      \"com.example.authenticate\": {\"socket\": \"auth.sock\"}\n"
	       "   },\n"
	       "   \"transports\": [\n"
	       "      {\n"
	       "         \"type\": \"websocket\",\n"
	       "         \"endpoint\": {\n"
	       "            \"type\": \"tcp\",\n"
	       "            \"port\": 8080,\n"
	       "            \"shared\": true,\n"
	       "            \"backlog\": 1024\n"
	       "         },\n"
	       "         \"url\": \"ws://myserver.com:8080\",\n"
	       "         \"debug\": false,\n"
	       "         \"serializers\": [\"cbor\", \"msgpack\", \"json\"],\n"
	       "         \"options\": {\n"
	       "            \"allowed_origins\": [\"*\"],\n"
	       "            \"allow_null_origin\": true,\n"
	       "            \"enable_webstatus\": false,\n"
	       "            \"max_frame_size\": 1048576,\n"
	       "            \"max_message_size\": 1048576,\n"
	       "            \"auto_fragment_size\": 65536,\n"
	       "            \"fail_by_drop\": true,\n"
	       "            \"echo_close_codereason\": true,\n"
	       "            \"open_handshake_timeout\": 2500,\n"
	       "            \"close_handshake_timeout\": 1000,\n"
	       "            \"auto_ping_interval\": 10000,\n"
	       "            \"auto_ping_timeout\": 5000,\n"
	       "            \"auto_ping_size\": 12,\n"
	       "            \"auto_ping_restart_on_any_traffic\": true,\n"
	       "            \"external_port\": 443,\n"
	       "            \"enable_hybi10\": false,\n"
	       "            \"enable_rfc6455\": true,\n"
	       "            \"validate_utf8\": true,\n"
	       "            \"mask_server_frames\": false,\n"
	       "            \"require_masked_client_frames\": true,\n"
	       "            \"apply_mask\": true,\n"
	       "            \"tcp_nodelay\": true,\n"
	       "            \"require_websocket_subprotocol\": true,\n"
	       "            \"show_server_version\": false,\n"
	       "            \"enable_flash_policy\": false\n"
	       "         },\n"
	       "         \"auth\": {\n"
	       "            \"cryptosign\": {\n"
	       "               \"type\": \"dynamic\",\n"
	       "               \"authenticator\": \"com.example.authenticate\"\n"
	       "            },\n"
	       "            \"anonymous\": {\"type\": \"static\", \"role\": \"device\"}\n"
	       "         }\n"
	       "      }\n"
	       "   ]\n"
	       "}\n");
	assert_int_equal(cfg->listeners[0].options.open_handshake_timeout, 2500);
	assert_int_equal(cfg->listeners[0].options.auto_ping_interval, 10000);
	assert_int_equal(cfg->listeners[0].options.max_message_size, 1048576);
}

/* What a node of Crossbar begins with. */
static void crossbars_node(void **state)
{
	(void)state;
	refuse("{\n   \"version\": 2,\n   \"controller\": {\"id\": \"x\"}\n}",
	       "3:18: 'controller' has no counterpart: leave it out; 'node' is the name "
	       "that clients see");
	refuse("{\n   \"version\": 2,\n   \"workers\": [{\"type\": \"router\"}]\n}",
	       "3:15: 'workers' are not supported: 'realms' and 'transports' of the "
	       "worker of type router belong at the top of the file; 'threads' says how "
	       "many serve them");
	refuse("{\"version\": 1}",
	       "1:13: 'version': expected an integer from 2 to 2, not '1'");
}

/* --- errors --- */

static void errors_at_the_top(void **state)
{
	(void)state;
#define THREADS "'threads': expected an integer from 1 to 16 or 'auto', not "
	static const struct row rows[] = {
		{"thread: 1",
		 "4:1: unknown key 'thread' in the file (did you mean 'threads'?)"},
		{"listen: 1",
		 "4:1: unknown key 'listen' in the file, expected 'version', 'threads', "
		 "'node', 'realms', 'authenticators', 'transports', 'limits', 'log' or "
		 "'debug'"},
		{"threads: 0", "4:10: " THREADS "'0'"},
		{"threads: 17", "4:10: " THREADS "'17'"},
		{"node: ''", "4:7: 'node': expected a text, not an empty text"},
		{"type: router",
		 "4:7: 'type' is not needed: all is one router; leave it out"},
		{"id: worker1",
		 "4:5: 'id' is not needed: 'node' is the name that clients see"},
		{"options: {pythonpath: ['..']}",
		 "4:10: 'options' of a worker are not supported: leave them out; a "
		 "transport has options of its own"},
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
		 "4:23: 'stall_worker': expected an integer from 0 to 15, not '16'"},
		{REALMS, "4:1: 'realms' is there twice in the file"},
		{"threads: &n 1", "4:10: anchors are not supported: leave out '&...'"},
		{"threads: *n", "4:10: aliases are not supported: write the value out"},
	};
	char node[300] = "node: ";

	refuse_all(rows, ARRAY_LEN(rows), TOP, "");
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
	"a name must be a URI, such as realm1 or com.example.devices: without spaces, "  \
	"'#' and empty components"
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
		 "4:50: this realm has a role 'u' already"},
		{"name: r, roles: [{name: u}]}\n- {name: s, roles: [{name: u}]}\n"
		 "- {name: r, roles: [{name: u}]}",
		 "6:10: there is a realm 'r' already"},
		{"name: r, roles: [{name: u}], store: {type: memory}}",
		 "4:40: 'store' is not supported yet: leave it out"},
		{"name: r, roles: [{name: u}], rlinks: []}",
		 "4:41: 'rlinks' is not supported yet: leave it out"},
		{"name: r, roles: [{name: u}], options: {enable_meta_api: true}}",
		 "4:60: 'enable_meta_api: true' is not supported yet: say false or leave "
		 "it out"},
		{"name: r, roles: [{name: u}], options: {bridge_meta_api: true}}",
		 "4:60: 'bridge_meta_api: true' is not supported yet: say false or leave "
		 "it out"},
		{"name: r, roles: [{name: u}], options: {uri_check: strict}}",
		 "4:54: 'uri_check' is not supported: URIs are checked by the loose "
		 "rule; leave it out"},
		{"name: r, roles: [{name: u}], realm: x}",
		 "4:33: unknown key 'realm' in the realm, expected 'name', 'roles' or "
		 "'options'"},
		{"name: r, roles: [{name: u, authorizer: a.b}]}",
		 "4:43: 'authorizer' is not supported yet: list 'permissions' instead"},
		{"name: r, roles: [{name: u, allow-by-default: true}]}",
		 "4:49: 'allow-by-default' is not supported: a permission with uri: "
		 "\"\" and match: prefix speaks of everything"},
		{"name: r, roles: [{permissions: []}]}",
		 "4:21: the role needs the key 'name'"},
	};
	char long_name[300];

	refuse_all(rows, ARRAY_LEN(rows), IN_REALM, "");
	snprintf(long_name, sizeof(long_name), "realms: [{name: %0256d}]", 0);
	refuse(long_name, "1:17: 'name': expected at most 255 bytes");
	snprintf(long_name, sizeof(long_name), "realms: [{roles: [{name: %0256d}]}]", 0);
	refuse(long_name, "1:26: 'name': expected at most 255 bytes");
}

static void errors_in_permissions(void **state)
{
	(void)state;
#define EXACT                                                                            \
	"'uri': expected a URI, such as com.example.procedure; for all URIs say uri: "   \
	"\"\" and match: prefix"
#define PREFIX   "'uri': expected how URIs begin, such as com.example."
#define WILDCARD "'uri': expected a URI with empty components, such as com..created"
#define STARS    "'uri': stars are for permissions without 'match'; leave out one of the two"
#define STAR                                                                             \
	"'uri': a star stands for a whole component, as in com.*.created, or for any "   \
	"end, as in com.example.*"
	static const struct row rows[] = {
		{"match: exact", "4:2: the permission needs the key 'uri'"},
		{"uri: ''", "4:8: " EXACT},
		{"uri: '', match: exact", "4:8: " EXACT},
		{"uri: a..b", "4:8: " EXACT},
		{"uri: 'a b'", "4:8: " EXACT},
		{"match: exact, allow: {call: true}, uri: a.", "4:43: " EXACT},
		/* the place is the URI's, whatever follows */
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
		{"uri: [a]", "4:8: 'uri': expected a text, not a list"},
		{"uri: a, match: regex",
		 "4:18: 'match': expected 'exact', 'prefix' or 'wildcard', not 'regex'"},
		{"uri: a, allow: {call: yes}",
		 "4:25: 'call': expected true or false, not 'yes'"},
		{"uri: a, allow: {subscribes: true}",
		 "4:19: unknown key 'subscribes' in allow (did you mean 'subscribe'?)"},
		{"uri: a, allow: true", "4:18: 'allow': expected a map, not 'true'"},
		{"uri: a, disclose: {caller: true}",
		 "4:30: 'caller: true' is not supported yet: say false or leave it out"},
		{"uri: a, disclose: {caller: false, publisher: true}",
		 "4:48: 'publisher: true' is not supported yet: say false or leave it "
		 "out"},
		{"uri: a, disclose: {callee: true}",
		 "4:22: unknown key 'callee' in disclose (did you mean 'caller'?)"},
		{"uri: a, validate: {}",
		 "4:21: 'validate' is not supported yet: leave it out"},
		{"uri: a}, {uri: b}, {uri: a, allow: {call: true}",
		 "4:28: this uri has a permission with this match already; merge the "
		 "two"},
		{"uri: 'a.*'}, {uri: a., match: prefix",
		 "4:22: this uri has a permission with this match already; merge the "
		 "two"},
	};
	char text[2048];

	refuse_all(rows, ARRAY_LEN(rows), IN_PERMISSION, AFTER_PERMISSION);
	snprintf(text, sizeof(text), IN_PERMISSION "uri: %01025d" AFTER_PERMISSION, 0);
	refuse(text, "4:8: 'uri': expected at most 1024 bytes");
}

static void errors_in_transports(void **state)
{
	(void)state;
#define A_PATH "'paths': a path begins with '/' and has neither query nor spaces, as /ws"
#define AN_ID  "expected a name of at most 64 letters, digits, '_', '.' and '-'"
#define UNIVERSAL                                                                        \
	" belongs to transports of type universal, which are not supported yet: make "   \
	"one of type websocket, with 'paths'"
	static const struct row rows[] = {
		{"id: a b", "4:5: " AN_ID},
		{"id: \"a\\nb\"", "4:5: " AN_ID},
		{"id: ''", "4:5: 'id': expected a text, not an empty text"},
		{"paths: []", "4:8: 'paths': expected 1 to 64 elements, not 0"},
		{"paths: [/, ws]", "4:12: " A_PATH},
		{"paths: [/ws?x]", "4:9: " A_PATH},
		{"paths: ['/#']", "4:9: " A_PATH},
		{"paths: ['/ws ']", "4:9: " A_PATH},
		{"paths: [/w\xc3\xa4]", "4:9: " A_PATH},
		{"paths: {ws: {type: websocket}}",
		 "4:8: 'paths': expected a list, not a map"},
		{"serializers: []", "4:14: 'serializers': expected 1 to 3 elements, not "
				    "0"},
		{"serializers: [json, ubjson]",
		 "4:21: 'serializers': 'ubjson' is not supported yet; expected 'json', "
		 "'msgpack' or 'cbor'"},
		{"serializers: [wamp.2.json]",
		 "4:15: 'serializers': expected 'json', 'msgpack' or 'cbor', not "
		 "'wamp.2.json'"},
		{"serializers: [json, json]",
		 "4:21: 'serializers': 'json' is there twice"},
		{"cookie: {}", "4:9: 'cookie' is not supported yet: leave it out"},
		{"rawsocket: {}", "4:12: 'rawsocket'" UNIVERSAL},
		{"websocket: {}", "4:12: 'websocket'" UNIVERSAL},
		{"web: {}", "4:6: 'web'" UNIVERSAL},
		{"mqtt: {}", "4:7: 'mqtt'" UNIVERSAL},
		{"path: /ws",
		 "4:1: unknown key 'path' in the transport (did you mean 'paths'?)"},
	};
	static const char *const types[] = {"rawsocket", "web", "universal", "mqtt"};

	refuse_all(rows, ARRAY_LEN(rows), IN_TRANSPORT, "}]");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		char text[200], message[200];

		snprintf(text, sizeof(text), "transports: [{type: %s}]", types[i]);
		snprintf(message, sizeof(message),
			 "1:21: 'type': '%s' is not supported yet; expected 'websocket'",
			 types[i]);
		refuse(text, message);
	}
	refuse("transports: [{type: ws}]",
	       "1:21: 'type': expected 'websocket', not 'ws'");
	refuse("transports: [{}]", "1:14: the transport needs the key 'type'");
	refuse("transports: [{type: websocket}]",
	       "1:14: the transport needs the key 'endpoint'");
	refuse("transports: [{type: websocket, " ENDPOINT "}]",
	       "1:14: the transport needs the key 'auth'");
}

static void errors_between_transports(void **state)
{
	(void)state;
#define ONE(more, endpoint)                                                              \
	"- {type: websocket, " AUTH ", " more "endpoint:\n   {" endpoint "}}\n"
#define TWICE "the transport 'listener0' listens at this address already"
	static const struct row rows[] = {
		{ONE("", "type: tcp, port: 1") ONE("", "port: 1, type: tcp"),
		 "7:11: " TWICE},
		{ONE("", "type: tcp, port: 1")
			 ONE("", "type: tcp, interface: 127.0.0.1, port: 1"),
		 "7:44: " TWICE},
		{ONE("", "type: unix, path: /a") ONE("", "type: unix, path: /a"),
		 "7:23: " TWICE},
		{ONE("id: a, ", "type: tcp, port: 1")
			 ONE("id: a, ", "type: tcp, port: 2"),
		 "6:84: there is a transport with id 'a' already"},
		{ONE("id: listener1, ", "type: tcp, port: 1")
			 ONE("", "type: tcp, port: 2"),
		 "6:3: there is a transport with id 'listener1' already"},
	};

	refuse_all(rows, ARRAY_LEN(rows), REALMS AUTHS "transports:\n", "");
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
		 "4:24: 'portrange' is not supported: say which 'port'"},
		{"type: tcp, port: 1, user_timeout: 5",
		 "4:36: 'user_timeout' is not supported: 'auto_ping_timeout' in "
		 "'options' finds dead connections"},
		{"type: tcp, port: 1, tls: {key: a.pem}",
		 "4:27: 'tls' is not supported yet: let a proxy in front of routerd "
		 "speak TLS"},
		{"type: unix",
		 "4:1: 'path' is missing: a Unix endpoint needs the name of its socket"},
		{"type: unix, path: /a, port: 1",
		 "4:30: 'port' is for endpoints of type tcp"},
		{"type: unix, path: /a, interface: '::1'",
		 "4:35: 'interface' is for endpoints of type tcp"},
		{"type: unix, path: /a, version: 4",
		 "4:33: 'version' is for endpoints of type tcp"},
		{"type: unix, path: /a, mode: rw",
		 "4:30: a mode is three octal digits, as \"0660\": who may read and "
		 "write"},
		{"type: unix, path: /a, host: x",
		 "4:24: unknown key 'host' in the endpoint (did you mean 'port'?)"},
	};
	char text[2048];

	refuse_all(rows, ARRAY_LEN(rows), IN_ENDPOINT, AFTER_OPTIONS);
	snprintf(text, sizeof(text), IN_ENDPOINT "type: unix, path: %0108d}}]", 0);
	refuse(text, "4:20: 'path': the system allows a socket's name at most 107 "
		     "bytes");
	snprintf(text, sizeof(text), IN_ENDPOINT "type: unix, path: %0107d}}]", 0);
	accept(text);
}

static void errors_in_options(void **state)
{
	(void)state;
#define MS      " (or with ms, s, min), not "
#define RFC6455 "is not supported: RFC 6455 "
#define ORIGIN                                                                           \
	"'allowed_origins': no browser sends this; expected scheme and host, such as "   \
	"https://example.com, in which '*' may stand for any text"
	static const struct row rows[] = {
		{"max_message_size: 0",
		 "4:20: 'max_message_size': expected a number of bytes from 1 KiB to 16 "
		 "MiB (or with KiB, MiB, GiB), not '0'"},
		{"max_message_size: 64 MiB",
		 "4:20: 'max_message_size': expected a number of bytes from 1 KiB to 16 "
		 "MiB (or with KiB, MiB, GiB), not '64\\x20MiB'"},
		{"max_connections: 10000001",
		 "4:19: 'max_connections': expected an integer from 0 to 10000000, not "
		 "'10000001'"},
		{"allowed_origins: []",
		 "4:19: 'allowed_origins': expected 1 to 256 elements, not 0"},
		{"allowed_origins: ['*', example.com]", "4:25: " ORIGIN},
		{"allowed_origins: '*'",
		 "4:19: 'allowed_origins': expected a list, not the text '*'"},
		{"auto_ping_interval: 25 h",
		 "4:22: 'auto_ping_interval': expected milliseconds from 0 to 1440 min" MS
		 "'25\\x20h'"},
		{"auto_ping_timeout: 0",
		 "4:21: 'auto_ping_timeout': expected milliseconds from 100 ms to 60 "
		 "min" MS "'0'"},
		{"open_handshake_timeout: 0",
		 "4:26: 'open_handshake_timeout': expected milliseconds from 100 ms to "
		 "10 min" MS "'0'"},
		{"close_handshake_timeout: 99",
		 "4:27: 'close_handshake_timeout': expected milliseconds from 100 ms to "
		 "1 min" MS "'99'"},
		{"auto_ping_restart_on_any_traffic: false",
		 "4:36: 'auto_ping_restart_on_any_traffic: false' is not supported: "
		 "whatever is received counts as life"},
		{"enable_rfc6455: false",
		 "4:18: 'enable_rfc6455: false' " RFC6455 "is the WebSocket that is "
		 "spoken"},
		{"enable_hybi10: true",
		 "4:17: 'enable_hybi10: true' " RFC6455 "is the WebSocket that is "
		 "spoken"},
		{"validate_utf8: false",
		 "4:17: 'validate_utf8: false' " RFC6455 "demands it"},
		{"mask_server_frames: true",
		 "4:22: 'mask_server_frames: true' " RFC6455 "forbids it"},
		{"require_masked_client_frames: false",
		 "4:32: 'require_masked_client_frames: false' " RFC6455 "demands it"},
		{"apply_mask: false", "4:14: 'apply_mask: false' " RFC6455 "demands it"},
		{"tcp_nodelay: false",
		 "4:15: 'tcp_nodelay: false' is not supported: messages are sent "
		 "together already, and without delay"},
		{"require_websocket_subprotocol: false",
		 "4:33: 'require_websocket_subprotocol: false' is not supported: the "
		 "subprotocol says which serializer is spoken"},
		{"show_server_version: true",
		 "4:23: 'show_server_version: true' is not supported yet: say false or "
		 "leave it out"},
		{"compression: {deflate: {}}",
		 "4:15: 'compression' is not supported yet: leave it out"},
		{"enable_flash_policy: true",
		 "4:23: 'enable_flash_policy: true' is not supported yet: say false or "
		 "leave it out"},
		{"flash_policy: x",
		 "4:16: 'flash_policy' is not supported yet: leave it out"},
		{"max_mesage_size: 1",
		 "4:2: unknown key 'max_mesage_size' in options (did you mean "
		 "'max_message_size'?)"},
		{"something: 1",
		 "4:2: unknown key 'something' in options, expected 'max_message_size', "
		 "'max_connections', 'allowed_origins', 'allow_null_origin', "
		 "'auto_ping_interval', 'auto_ping_timeout', 'open_handshake_timeout' or "
		 "'close_handshake_timeout'"},
	};

	refuse_all(rows, ARRAY_LEN(rows), IN_OPTIONS, AFTER_OPTIONS);
}

static void errors_in_auth(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"cryptosign: {type: static",
		 "4:21: 'type': 'static' is not supported yet; expected 'dynamic'"},
		{"cryptosign: {type: function",
		 "4:21: 'type': 'function' is not supported yet; expected 'dynamic'"},
		{"cryptosign: {type: magic",
		 "4:21: 'type': expected 'dynamic', not 'magic'"},
		{"cryptosign: {type: dynamic",
		 "4:14: cryptosign needs the key 'authenticator'"},
		{"cryptosign: {authenticator: authd",
		 "4:14: cryptosign needs the key 'type'"},
		{"cryptosign: {type: dynamic, authenticator: other",
		 "4:45: there is no authenticator 'other'; 'authenticators' at the top "
		 "of the file must have it, with its socket"},
		{"cryptosign: {type: dynamic, authenticator-realm: r",
		 "4:51: 'authenticator-realm' has no counterpart: an authenticator is a "
		 "process with a socket, not a session in a realm"},
		{"cryptosign: {principals: {}",
		 "4:27: 'principals' are not kept here: give them to authd, by authctl "
		 "principal add"},
		{"cryptosign: {trustroots: {}",
		 "4:27: 'trustroots' is not supported yet: leave it out"},
		{"anonymous: {type: dynamic",
		 "4:20: 'type': 'dynamic' is not supported yet; expected 'static'"},
		{"anonymous: {type: static", "4:13: anonymous needs the key 'role'"},
		{"anonymous: {role: user", "4:13: anonymous needs the key 'type'"},
		{"anonymous: {type: static, role: nobody",
		 "4:34: no realm has a role 'nobody'"},
		{"anonymous: {type: static, role: user, realm: realm2",
		 "4:47: there is no realm 'realm2' in 'realms'"},
		{"anonymous: {type: static, role: nobody, realm: realm1",
		 "4:34: the realm 'realm1' has no role 'nobody'"},
		{"anonymous: {type: static, role: \"\\e[1m\"",
		 "4:34: no realm has a role '\\x1b[1m'"},
		{"anonymous: {authid: x",
		 "4:22: 'authid' is not supported: each anonymous session gets an authid "
		 "of its own"},
		{"ticket: {", "4:10: 'ticket' is not supported yet: leave it out"},
		{"wampcra: {", "4:11: 'wampcra' is not supported yet: leave it out"},
		{"scram: {", "4:9: 'scram' is not supported yet: leave it out"},
		{"tls: {", "4:7: 'tls' is not supported yet: leave it out"},
		{"cookie: {", "4:10: 'cookie' is not supported yet: leave it out"},
		{"oauth: {", "4:2: unknown key 'oauth' in auth, expected 'cryptosign' or "
			     "'anonymous'"},
	};

	refuse_all(rows, ARRAY_LEN(rows), IN_AUTH, AFTER_AUTH);
	refuse(IN_AUTH "}}]", "3:14: nobody could log in here: 'auth' needs cryptosign "
			      "or anonymous");
}

static void errors_in_authenticators(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"a: {}", "4:4: the authenticator needs the key 'socket'"},
		{"a: {socket: ''}", "4:13: 'socket': expected a text, not an empty text"},
		{"a b: {socket: s}", "4:1: " AN_ID},
		{"a: {socket: s}, a: {socket: t}",
		 "4:17: 'a' is there twice in 'authenticators'"},
		{"a: {socket: s, require_features: [magic]}",
		 "4:35: 'require_features': expected 'revoke', not 'magic'"},
		{"a: {socket: s, allow_users: []}",
		 "4:29: 'allow_users': expected 1 to 64 elements, not 0"},
		{"a: {socket: s, allow_users: [0, no such]}",
		 "4:33: there is no user 'no\\x20such' on this system"},
		{"a: {socket: s, timeout: 9}",
		 "4:25: 'timeout': expected milliseconds from 10 ms to 1 min" MS "'9'"},
		{"a: {socket: s, timeout: 61 s}",
		 "4:25: 'timeout': expected milliseconds from 10 ms to 1 min" MS
		 "'61\\x20s'"},
	};
	char text[2048];

	refuse_all(rows, ARRAY_LEN(rows), REALMS TRANSPORTS "authenticators: {\n", "}");
	refuse("authenticators: [{socket: s}]",
	       "1:17: 'authenticators': expected a map of names, not a list");
	snprintf(text, sizeof(text), "authenticators: {a: {socket: %0108d}}", 0);
	refuse(text, "1:30: 'socket': the system allows a socket's name at most 107 "
		     "bytes");
	snprintf(text, sizeof(text), "authenticators: {%065d: {socket: s}}", 0);
	refuse(text, "1:18: " AN_ID);
}

static void errors_in_limits(void **state)
{
	(void)state;
#define BYTES " (or with KiB, MiB, GiB), not "
	static const struct row rows[] = {
		{"queue_size: 4095", "4:22: 'queue_size': expected a number of bytes "
				     "from 4 KiB to 1 GiB" BYTES "'4095'"},
		{"queued_total: 1",
		 "4:24: 'queued_total': expected a number of bytes from 1 MiB to 1024 "
		 "GiB" BYTES "'1'"},
		{"incomplete_total: 2 TiB",
		 "4:28: 'incomplete_total': expected a number of bytes from 1 MiB to "
		 "1024 GiB" BYTES "'2\\x20TiB'"},
		{"mailbox_high: 0",
		 "4:24: 'mailbox_high': expected a number of bytes from 4 KiB to 1 "
		 "GiB" BYTES "'0'"},
		{"mailbox_low: 0",
		 "4:23: 'mailbox_low': expected a number of bytes from 1 KiB to 1 "
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
		 "4:24: 'hold_timeout': expected milliseconds from 100 ms to 1 min" MS
		 "'0'"},
		{"pending_calls: 0",
		 "4:25: 'pending_calls': expected an integer from 1 to 10000000, not "
		 "'0'"},
		{"session_subscriptions: 0",
		 "4:33: 'session_subscriptions': expected an integer from 1 to 10000000, "
		 "not '0'"},
		{"session_registrations: 0",
		 "4:33: 'session_registrations': expected an integer from 1 to 10000000, "
		 "not '0'"},
		{"memory: 1",
		 "4:10: unknown key 'memory' in limits, expected 'queue_size', "
		 "'queued_total', 'incomplete_total', 'mailbox_high', 'mailbox_low', "
		 "'hold_queue', 'hold_timeout', 'pending_calls', 'session_subscriptions' "
		 "or 'session_registrations'"},
		{"incomplete_total: 3 MiB}\nthreads: 4\n#",
		 "4:28: 'incomplete_total' must be at least 4194304 bytes: each of 4 "
		 "threads gets its part, and a transport's max_message_size is "
		 "1048576"},
	};

	refuse_all(rows, ARRAY_LEN(rows), EVERYTHING "limits: {", "}");
	accept(EVERYTHING "limits: {incomplete_total: 4 MiB}\nthreads: 4");
}

/* --- hostile files, and life --- */

static void many(void **state)
{
	(void)state;
	char *text = malloc(1 << 20);
	size_t n = (size_t)sprintf(text, "%s", AUTHS TRANSPORTS "realms:\n");

	for (unsigned i = 0; i < CONFIG_MAX_REALMS; i++)
		n += (size_t)sprintf(text + n, "- {name: r%u, roles: [{name: u}]}\n", i);
	accept(text);
	assert_int_equal(cfg->n_realms, CONFIG_MAX_REALMS);
	sprintf(text + n, "- {name: r, roles: [{name: u}]}\n");
	refuse(text, "4:1: 'realms': expected 1 to 1024 elements, not 1025");

	n = (size_t)sprintf(text, "%s",
			    AUTHS TRANSPORTS
			    "realms: [{name: r, roles: [{name: u, permissions: [\n");
	for (unsigned i = 0; i < CONFIG_MAX_PERMISSIONS; i++)
		n += (size_t)sprintf(text + n, "{uri: a.%u, allow: {call: true}},\n", i);
	sprintf(text + n, "]}]}]\n");
	accept(text);
	assert_true(may(0, ACTION_CALL, "a.4095"));
	assert_false(may(0, ACTION_CALL, "a.4096"));
	sprintf(text + n, "{uri: a.b}]}]}]\n");
	refuse(text, "3:51: 'permissions': expected 0 to 4096 elements, not 4097");
	free(text);
}

/* Whatever happens to a file, it is read or refused with a text that says where. */
static void check_parsed(struct slice text)
{
	int r = parse_bytes(text);

	assert_true(r == 0 || r == E_SYNTAX);
	assert_true((r == 0) == (cfg != NULL));
	assert_true(r == 0 || strncmp(err.text, "r.yaml:", 7) == 0);
}

static void cut_and_flipped(void **state)
{
	(void)state;
	size_t len = strlen(whole);
	char *text = malloc(len);

	for (size_t n = 0; n <= len; n++) {
		char *copy = malloc(n + 1);
		memcpy(copy, whole, n);
		check_parsed(slice_of(copy, n));
		free(copy);
	}
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(text, whole, len);
			text[i] = (char)(text[i] ^ 1 << bit);
			check_parsed(slice_of(text, len));
		}
	}
	free(text);
}

static void references(void **state)
{
	(void)state;
	accept(EVERYTHING);
	struct config *mine = config_ref(cfg), *none = NULL;

	assert_ptr_equal(mine, cfg);
	config_unref(&cfg);
	assert_null(cfg);
	assert_string_equal(mine->realms[0].name, "realm1");
	config_unref(&mine);
	config_unref(&none);
}

static void files(void **state)
{
	(void)state;
	char path[] = "/tmp/test_config_XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = EVERYTHING;

	assert_true(fd != -1);
	assert_true(write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	config_unref(&cfg);
	assert_int_equal(config_load(path, &cfg, &err), 0);
	assert_int_equal(cfg->n_realms, 1);
	config_unref(&cfg);
	assert_int_equal(ftruncate(fd, 20), 0);
	assert_int_equal(config_load(path, &cfg, &err), E_SYNTAX);
	assert_null(cfg);
	close(fd);
	unlink(path);
	assert_int_equal(config_load(path, &cfg, &err), E_SYS);
	assert_non_null(strstr(err.text, ": No such file or directory"));
	assert_null(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(defaults_of_a_listener),
		cmocka_unit_test(each_key),
		cmocka_unit_test(questions),
		cmocka_unit_test(stars),
		cmocka_unit_test(patterns),
		cmocka_unit_test(crossbars_sections),
		cmocka_unit_test(crossbars_node),
		cmocka_unit_test(errors_at_the_top),
		cmocka_unit_test(errors_in_realms),
		cmocka_unit_test(errors_in_permissions),
		cmocka_unit_test(errors_in_transports),
		cmocka_unit_test(errors_between_transports),
		cmocka_unit_test(errors_in_endpoints),
		cmocka_unit_test(errors_in_options),
		cmocka_unit_test(errors_in_auth),
		cmocka_unit_test(errors_in_authenticators),
		cmocka_unit_test(errors_in_limits),
		cmocka_unit_test(many),
		cmocka_unit_test(cut_and_flipped),
		cmocka_unit_test(references),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, end);
}
