/* SPDX-License-Identifier: Apache-2.0 */
/* routerd's configuration: defaults, the meaning of each key, Crossbar's own sections,
 * and hostile files. See test_config_errors.c for errors. */
#include "routerd/config/config.h"

#include "common/err.h"
#include "routerd/config/rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/config_check.h"

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
	assert_int_equal(limits->session_wildcards, 1000);
	assert_true(limits->history_total == 256 << 20);
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
	assert_int_equal(l->serializers, 15);
	assert_int_equal(l->options.max_message_size, 1 << 20);
	assert_int_equal(l->options.max_header_size, 16 << 10);
	assert_int_equal(l->options.max_headers, 100);
	assert_int_equal(l->options.max_connections, 50000);
	assert_int_equal(l->options.allowed_origins.count, 0);
	assert_false(l->options.allow_null_origin);
	assert_int_equal(l->options.auto_ping_interval, 30000);
	assert_int_equal(l->options.auto_ping_timeout, 10000);
	assert_int_equal(l->options.open_handshake_timeout, 10000);
	assert_int_equal(l->options.close_handshake_timeout, 2000);
	assert_int_equal(l->auth.methods[METHOD_CRYPTOSIGN].authenticator_index, 0);
	assert_int_equal(l->auth.anonymous.type, -1);
	assert_int_equal(l->auth.anonymous.realm_index, -1);

	const struct config_authenticator *a = &cfg->authenticators[0];
	assert_string_equal(a->name, "authd");
	assert_string_equal(a->socket, "a.sock");
	assert_int_equal(a->require_features, 0);
	assert_int_equal(a->timeout, 2000);
	assert_true(conf_user_allowed(&a->allow_users, 0));
	assert_true(conf_user_allowed(&a->allow_users, geteuid()));
	assert_false(conf_user_allowed(&a->allow_users, geteuid() + 1));
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
	"      disclose: {caller: false, publisher: true}\n"
	"      trust_level: 0\n"
	"    - {uri: a..c, match: wildcard, allow: {subscribe: true},\n"
	"      disclose: {caller: refuse, publisher: allow}, trust_level: 254}\n"
	"- name: realm2\n"
	"  roles: [{name: user}, {name: guest}]\n"
	"  options: {event_dispatching_chunk_size: 5, enable_meta_api: true,\n"
	"    call_timeout_unit: s, goodbye_reason: wamp.close.normal,\n"
	"    call_queue: 5, call_queue_size: 1 KiB,\n"
	"    call_queue_total: 2 KiB, retained_topics: 7, retained_size: 3 KiB,\n"
	"    retained_age: 1 min,\n"
	"    history: [{uri: a.b}, {uri: '', match: prefix, limit: 1, bytes: 10 KiB,\n"
	"      age: 5 min}]}\n"
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
	"  longpoll: {path: /lp, request_timeout: 5 s, session_timeout: 1 min}\n"
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
	"  session_wildcards: 5\n"
	"  history_total: 1058816\n"
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
	assert_string_equal(l[0].longpoll.path, "/lp");
	assert_int_equal(l[0].longpoll.request_timeout, 5000);
	assert_int_equal(l[0].longpoll.session_timeout, 60000);
	assert_null(l[1].longpoll.path);
	assert_int_equal(l[0].serializers, 1 << SERIALIZER_JSON | 1 << SERIALIZER_CBOR);
	assert_int_equal(l[0].options.max_message_size, 16 << 20);
	assert_int_equal(l[0].options.max_connections, 0);
	assert_int_equal(l[0].options.allowed_origins.count, 3);
	assert_true(l[0].options.allow_null_origin);
	assert_int_equal(l[0].options.auto_ping_interval, 0);
	assert_int_equal(l[0].options.auto_ping_timeout, 100);
	assert_int_equal(l[0].options.open_handshake_timeout, 3000);
	assert_int_equal(l[0].options.close_handshake_timeout, 1000);
	assert_int_equal(l[0].auth.methods[METHOD_CRYPTOSIGN].authenticator_index, 1);
	assert_int_equal(l[0].auth.anonymous.realm_index, 1);
	assert_string_equal(l[0].auth.anonymous.role, "guest");
	assert_string_equal(l[1].name, "listener1");
	assert_int_equal(l[1].endpoint.type, ENDPOINT_UNIX);
	assert_string_equal(l[1].endpoint.path, "/run/r.sock");
	assert_int_equal(l[1].endpoint.mode, 0666);
	assert_int_equal(l[1].auth.methods[METHOD_CRYPTOSIGN].type, -1);
	assert_int_equal(l[1].auth.methods[METHOD_CRYPTOSIGN].authenticator_index, -1);
	assert_int_equal(l[1].auth.anonymous.realm_index, -1);
	assert_string_equal(l[2].endpoint.host, "::1");
	assert_string_equal(l[3].endpoint.host, "::");
}

static struct rule rule_for(size_t role, const char *uri)
{
	const struct config_role *r = &cfg->realms[0].roles[role];
	struct rights *rights;
	size_t duplicate;

	assert_int_equal(
		rights_new(r->permissions, r->n_permissions, &rights, &duplicate), 0);
	struct rule rule = *rights_rule(rights, slice_str(uri));
	rights_unref(&rights);
	return rule;
}

static bool may(size_t role, enum action action, const char *uri)
{
	struct rule rule = rule_for(role, uri);

	return rule_allows(&rule, action);
}

static void assert_rule(const char *uri, enum disclosure caller,
			enum disclosure publisher, int trust_level)
{
	struct rule rule = rule_for(1, uri);

	assert_int_equal(rule.disclose[ACTION_CALL], caller);
	assert_int_equal(rule.disclose[ACTION_PUBLISH], publisher);
	assert_int_equal(rule.trust, trust_level + 1);
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
	assert_true(conf_user_allowed(&cfg->authenticators[1].allow_users, 0));
	assert_true(conf_user_allowed(&cfg->authenticators[1].allow_users, 1234));
	assert_false(conf_user_allowed(&cfg->authenticators[1].allow_users, 1235));

	assert_true(may(1, ACTION_CALL, "a.b"));
	assert_true(may(1, ACTION_REGISTER, "a.x"));
	assert_false(may(1, ACTION_PUBLISH, "a.x"));
	assert_true(may(1, ACTION_SUBSCRIBE, "a.x.c"));
	assert_false(may(1, ACTION_SUBSCRIBE, "a.x.d"));
	assert_false(may(0, ACTION_CALL, "a.b"));
	assert_rule("a.b", DISCLOSURE_ALLOW, DISCLOSURE_ALLOW, -1);
	assert_rule("a.x", DISCLOSURE_IGNORE, DISCLOSURE_FORCE, 0);
	assert_rule("a.x.c", DISCLOSURE_REFUSE, DISCLOSURE_ALLOW, 254);

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
	assert_int_equal(cfg->limits.session_wildcards, 5);
	assert_int_equal(cfg->limits.history_total, 1058816);
	assert_int_equal(cfg->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(cfg->log.format, LOG_FORMAT_JOURNAL);
	assert_int_equal(cfg->debug.stall_worker, 2);
}

static void histories(void **state)
{
	(void)state;
	accept(whole);
	const struct config_history *h = cfg->realms[1].history;

	assert_int_equal(cfg->realms[0].n_history, 0);
	assert_int_equal(cfg->realms[1].n_history, 2);
	assert_string_equal(h[0].uri, "a.b");
	assert_int_equal(h[0].match, MATCH_EXACT);
	assert_int_equal(h[0].limit, 1000);
	assert_int_equal(h[0].bytes, 1 << 20);
	assert_int_equal(h[0].age, 0);
	assert_string_equal(h[1].uri, "");
	assert_int_equal(h[1].match, MATCH_PREFIX);
	assert_int_equal(h[1].limit, 1);
	assert_int_equal(h[1].bytes, 10 << 10);
	assert_int_equal(h[1].age, 300000);
	assert_true(config_history_differs(&cfg->realms[0], &cfg->realms[1]));
	assert_false(config_history_differs(&cfg->realms[1], &cfg->realms[1]));
	struct config_realm changed = cfg->realms[1];
	struct config_history other[] = {h[0], h[1]};
	other[1].age++;
	changed.history = other;
	assert_true(config_history_differs(&cfg->realms[1], &changed));
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
	assert_int_equal(cfg->realms[0].options.call_timeout_unit, CALL_TIMEOUT_IN_MS);
	assert_int_equal(cfg->realms[1].options.call_timeout_unit, CALL_TIMEOUT_IN_S);
	assert_int_equal(cfg->realms[0].options.goodbye_reason, GOODBYE_AND_OUT);
	assert_int_equal(cfg->realms[1].options.goodbye_reason, GOODBYE_NORMAL);
	assert_int_equal(cfg->realms[0].options.call_queue, 0);
	assert_int_equal(cfg->realms[0].options.call_queue_size, 1 << 20);
	assert_int_equal(cfg->realms[0].options.call_queue_total, 64 << 20);
	assert_int_equal(cfg->realms[1].options.call_queue, 5);
	assert_int_equal(cfg->realms[1].options.call_queue_size, 1024);
	assert_int_equal(cfg->realms[1].options.call_queue_total, 2048);
	assert_int_equal(cfg->realms[0].options.retained_topics, 10000);
	assert_int_equal(cfg->realms[0].options.retained_size, 64 << 20);
	assert_int_equal(cfg->realms[0].options.retained_age, 0);
	assert_int_equal(cfg->realms[1].options.retained_topics, 7);
	assert_int_equal(cfg->realms[1].options.retained_size, 3072);
	assert_int_equal(cfg->realms[1].options.retained_age, 60000);
	assert_int_equal(config_role_find(&cfg->realms[0], slice_str("guest")),
			 E_NOTFOUND);

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

/* Without `match`, stars have Crossbar's meaning. */
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
		const struct permission *p = &cfg->realms[0].roles[0].permissions[0];
		assert_string_equal(p->uri, rows[i].plain);
		assert_int_equal(p->match, rows[i].match);
	}
	/* with `match`, a star is an ordinary character */
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

/* Crossbar's sections, from realms and transports down. */
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

/* --- hostile files --- */

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

/* Whatever the damage, a file is read, or refused with a message that says where. */
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

static void files(void **state)
{
	(void)state;
	char path[] = "/tmp/test_config_XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = EVERYTHING;

	assert_true(fd != -1);
	assert_true(write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	config_free(&cfg);
	assert_int_equal(config_load(path, &cfg, &err), 0);
	assert_int_equal(cfg->n_realms, 1);
	config_free(&cfg);
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
		cmocka_unit_test(defaults),  cmocka_unit_test(defaults_of_a_listener),
		cmocka_unit_test(each_key),  cmocka_unit_test(histories),
		cmocka_unit_test(questions), cmocka_unit_test(stars),
		cmocka_unit_test(patterns),  cmocka_unit_test(crossbars_sections),
		cmocka_unit_test(many),      cmocka_unit_test(cut_and_flipped),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, end);
}
