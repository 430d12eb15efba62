/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's transports: endpoint, options and login methods of each listener;
 * see config.h. Crossbar's keys that we need not are accepted where what we do anyway is
 * what they ask for, and refused where a user would miss something. Runs while a file is
 * read; no state.
 */
#include "common/err.h"
#include "proto/http.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <arpa/inet.h>

#define MIB (1 << 20)

static bool is_id(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
				      "XYZ0123456789_.-";
	size_t len = strlen(text);

	return len <= 64 && strspn(text, allowed) == len;
}
const struct conf_rule config_id_rule = {
	is_id, "expected a name of at most 64 letters, digits, '_', '.' and '-'"};

/* --- endpoint --- */

static int check_interface(struct conf *c, const struct config_endpoint *e)
{
	unsigned char address[sizeof(struct in6_addr)];
	bool v4 = inet_pton(AF_INET, e->host, address) == 1;
	bool v6 = inet_pton(AF_INET6, e->host, address) == 1;

	if (!v4 && !v6)
		return conf_fail(c, &e->host,
				 "'interface': expected a numeric address, such as "
				 "127.0.0.1 or \"::1\"");
	if ((e->version == 4 && !v4) || (e->version == 6 && !v6))
		return conf_fail(c, &e->version,
				 "'version' and 'interface' contradict each other; leave "
				 "out 'version'");
	return 0;
}

static int check_tcp(struct conf *c, struct config_endpoint *e)
{
	if (e->port == 0)
		return conf_fail(c, NULL,
				 "'port' is missing: a TCP endpoint needs one, from 1 to "
				 "65535");
	if (e->version == 5)
		return conf_fail(c, &e->version, "'version': expected 4 or 6");
	if (e->host != NULL)
		return check_interface(c, e);
	if (e->version != 0)
		e->host = e->version == 4 ? "0.0.0.0" : "::";
	return 0;
}

static int check_unix(struct conf *c, struct config_endpoint *e)
{
	if (e->path == NULL)
		return conf_fail(c, NULL,
				 "'path' is missing: a Unix endpoint needs the name of "
				 "its socket");
	if (e->mode_text == NULL)
		e->mode_text = "0660";
	e->mode = conf_mode(e->mode_text);
	return 0;
}

static const char *const endpoint_types[] = {
	[ENDPOINT_TCP] = "tcp",
	[ENDPOINT_UNIX] = "unix",
	NULL,
};

static int check_endpoint(struct conf *c, void *map)
{
	struct config_endpoint *e = map;
	const struct {
		const void *field;
		enum endpoint_type of;
		const char *key;
	} rows[] = {
		{&e->path, ENDPOINT_UNIX, "path"},
		{&e->mode_text, ENDPOINT_UNIX, "mode"},
		{&e->port, ENDPOINT_TCP, "port"},
		{&e->host, ENDPOINT_TCP, "interface"},
		{&e->version, ENDPOINT_TCP, "version"},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].of != e->type && conf_given(c, rows[i].field))
			r = conf_fail(c, rows[i].field,
				      "'%s' is for endpoints of type %s", rows[i].key,
				      endpoint_types[rows[i].of]);
	if (r != 0)
		return r;
	return e->type == ENDPOINT_UNIX ? check_unix(c, e) : check_tcp(c, e);
}

static const struct conf_key endpoint_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_endpoint, type, enum endpoint_type,
		    .required = true, .names = endpoint_types),
	CONF_KEY("port", INT, struct config_endpoint, port, .min = 1, .max = 65535),
	CONF_KEY("interface", STRING, struct config_endpoint, host, .text = NULL),
	CONF_KEY("version", INT, struct config_endpoint, version, .min = 4, .max = 6),
	CONF_KEY("path", STRING, struct config_endpoint, path, .text = NULL,
		 .max = CONF_MAX_SOCKET),
	CONF_KEY("mode", STRING, struct config_endpoint, mode_text, .text = NULL,
		 .rule = &conf_mode_rule),
	/* as many as the system allows */
	{.name = "backlog", .type = CONF_IGNORED},
	/* all threads serve every port */
	{.name = "shared", .type = CONF_IGNORED},
	{.name = "portrange",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not supported: say which 'port'"},
	{.name = "user_timeout",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not supported: 'auto_ping_timeout' in 'options' finds dead "
		 "connections"},
	{.name = "tls",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not supported yet: let a proxy in front of routerd speak TLS"},
};
static const struct conf_table endpoint_table =
	CONF_TABLE("the endpoint", struct config_endpoint, endpoint_keys, check_endpoint);

/* --- options --- */

static const struct conf_rule origin_rule = {
	http_pattern_matches,
	"'allowed_origins': no browser sends this; expected scheme and host without a "
	"'/' "
	"behind it, such as https://example.com, in which '*' may stand for any text"};

static const struct conf_key options_keys[] = {
	CONF_KEY("max_message_size", SIZE, struct config_options, max_message_size,
		 .min = 1024, .max = CONFIG_MAX_MESSAGE, .def = MIB),
	CONF_KEY("max_header_size", SIZE, struct config_options, max_header_size,
		 .min = 1024, .max = 64 * 1024, .def = 16 * 1024),
	CONF_KEY("max_headers", INT, struct config_options, max_headers, .min = 8,
		 .max = HTTP_HEADERS_MAX, .def = 100),
	CONF_KEY("max_connections", INT, struct config_options, max_connections,
		 .max = 10 * 1000 * 1000, .def = 50000),
	CONF_KEY("allowed_origins", STRINGS, struct config_options, allowed_origins,
		 .min = 1, .max = 256, .rule = &origin_rule),
	CONF_KEY("allow_null_origin", BOOL, struct config_options, allow_null_origin,
		 .def = false),
	CONF_KEY("auto_ping_interval", MS, struct config_options, auto_ping_interval,
		 .max = 24 * 3600 * 1000, .def = 30000),
	CONF_KEY("rawsocket_ping", BOOL, struct config_options, rawsocket_ping,
		 .def = false),
	CONF_KEY("auto_ping_timeout", MS, struct config_options, auto_ping_timeout,
		 .min = 100, .max = 3600 * 1000, .def = 10000),
	CONF_KEY("open_handshake_timeout", MS, struct config_options,
		 open_handshake_timeout, .min = 100, .max = 600 * 1000, .def = 10000),
	CONF_KEY("close_handshake_timeout", MS, struct config_options,
		 close_handshake_timeout, .min = 100, .max = 60 * 1000, .def = 2000),

	/* no frame is larger than the largest message */
	{.name = "max_frame_size", .type = CONF_IGNORED},
	/* what we send is not masked, and in one frame whatever its size */
	{.name = "auto_fragment_size", .type = CONF_IGNORED},
	{.name = "auto_ping_size", .type = CONF_IGNORED},
	/* a client that breaks the protocol learns why, and is gone soon after */
	{.name = "fail_by_drop", .type = CONF_IGNORED},
	{.name = "echo_close_codereason", .type = CONF_IGNORED},
	/* the port in a request's Host is not compared with ours */
	{.name = "external_port", .type = CONF_IGNORED},
	{.name = "enable_webstatus", .type = CONF_IGNORED},
	{.name = "show_server_version", .type = CONF_FIXED, .def = false},

	{.name = "auto_ping_restart_on_any_traffic",
	 .type = CONF_FIXED,
	 .def = true,
	 .text = "is not supported: whatever is received counts as life"},
	{.name = "enable_rfc6455",
	 .type = CONF_FIXED,
	 .def = true,
	 .text = "is not supported: RFC 6455 is the WebSocket that is spoken"},
	{.name = "enable_hybi10",
	 .type = CONF_FIXED,
	 .def = false,
	 .text = "is not supported: RFC 6455 is the WebSocket that is spoken"},
	{.name = "validate_utf8",
	 .type = CONF_FIXED,
	 .def = true,
	 .text = "is not supported: RFC 6455 demands it"},
	{.name = "mask_server_frames",
	 .type = CONF_FIXED,
	 .def = false,
	 .text = "is not supported: RFC 6455 forbids it"},
	{.name = "require_masked_client_frames",
	 .type = CONF_FIXED,
	 .def = true,
	 .text = "is not supported: RFC 6455 demands it"},
	{.name = "apply_mask",
	 .type = CONF_FIXED,
	 .def = true,
	 .text = "is not supported: RFC 6455 demands it"},
	{.name = "tcp_nodelay",
	 .type = CONF_FIXED,
	 .def = true,
	 .text = "is not supported: messages are sent together already, and without "
		 "delay"},
	{.name = "require_websocket_subprotocol",
	 .type = CONF_FIXED,
	 .def = true,
	 .text = "is not supported: the subprotocol says which serializer is spoken"},
	{.name = "compression", .type = CONF_UNSUPPORTED},
	{.name = "enable_flash_policy", .type = CONF_FIXED, .def = false},
	{.name = "flash_policy", .type = CONF_UNSUPPORTED},
};
static const struct conf_table options_table =
	CONF_TABLE("options", struct config_options, options_keys, NULL);

/* --- auth --- */

static const char *const dynamic_only[] = {"dynamic", NULL};
static const char *const not_dynamic[] = {"static", "function", NULL};
static const char *const static_only[] = {"static", NULL};
static const char *const not_static[] = {"dynamic", "function", NULL};

static const struct conf_key cryptosign_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_auth, cryptosign.type, int,
		    .required = true, .names = dynamic_only, .later = not_dynamic,
		    .def = -1),
	CONF_KEY("authenticator", STRING, struct config_auth, cryptosign.authenticator,
		 .required = true),
	{.name = "authenticator-realm",
	 .type = CONF_UNSUPPORTED,
	 .text = "has no counterpart: an authenticator is a process with a socket, not a "
		 "session in a realm"},
	{.name = "principals",
	 .type = CONF_UNSUPPORTED,
	 .text = "are not kept here: give them to authd, by authctl principal add"},
	{.name = "trustroots", .type = CONF_UNSUPPORTED},
};
static const struct conf_table cryptosign_table =
	CONF_TABLE("cryptosign", struct config_auth, cryptosign_keys, NULL);

static const struct conf_key anonymous_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_auth, anonymous.type, int,
		    .required = true, .names = static_only, .later = not_static,
		    .def = -1),
	CONF_KEY("role", STRING, struct config_auth, anonymous.role, .required = true),
	CONF_KEY("realm", STRING, struct config_auth, anonymous.realm, .text = NULL),
	{.name = "authid",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not supported: each anonymous session gets an authid of its own"},
};
static const struct conf_table anonymous_table =
	CONF_TABLE("anonymous", struct config_auth, anonymous_keys, NULL);

static const struct conf_key auth_keys[] = {
	{.name = "cryptosign", .type = CONF_MAP, .at = 0, .table = &cryptosign_table},
	{.name = "anonymous", .type = CONF_MAP, .at = 0, .table = &anonymous_table},
	{.name = "ticket", .type = CONF_UNSUPPORTED},
	{.name = "wampcra", .type = CONF_UNSUPPORTED},
	{.name = "scram", .type = CONF_UNSUPPORTED},
	{.name = "tls", .type = CONF_UNSUPPORTED},
	{.name = "cookie", .type = CONF_UNSUPPORTED},
};
static const struct conf_table auth_table =
	CONF_TABLE("auth", struct config_auth, auth_keys, NULL);

/* --- the listener --- */

/* What stands in a request: printable ASCII without spaces. */
static bool is_path(const char *path)
{
	for (const char *p = path; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || strchr("?#*", *p) != NULL)
			return false;
	return path[0] == '/';
}
static const struct conf_rule path_rule = {
	is_path,
	"'paths': a path begins with '/' and has neither query nor spaces nor '*', "
	"as /ws; without 'paths' all are served"};

/* Keys that would have no effect where they are. */
#define OF_WEBSOCKET                                                                     \
	"is for WebSocket: leave it out, or say 'type: universal' to serve both"
#define OF_RAW_PINGS "is for pings, which RawSocket has only with 'rawsocket_ping: true'"
static int check_type(struct conf *c, const struct config_listener *l)
{
	const struct config_options *o = &l->options;
	bool raw = l->type == LISTENER_RAWSOCKET, web = l->type == LISTENER_WEBSOCKET;
	const struct {
		bool useless;
		const void *field;
		const char *key, *why;
	} rows[] = {
		{raw, &l->paths, "paths", OF_WEBSOCKET},
		{raw, &o->allowed_origins, "allowed_origins", OF_WEBSOCKET},
		{raw, &o->allow_null_origin, "allow_null_origin", OF_WEBSOCKET},
		{raw && !o->rawsocket_ping, &o->auto_ping_interval, "auto_ping_interval",
		 OF_RAW_PINGS},
		{raw && !o->rawsocket_ping, &o->auto_ping_timeout, "auto_ping_timeout",
		 OF_RAW_PINGS},
		{web && o->rawsocket_ping, &o->rawsocket_ping, "rawsocket_ping",
		 "is for RawSocket: leave it out, since WebSocket has pings anyway"},
	};

	int r = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].useless && conf_given(c, rows[i].field))
			r = conf_fail(c, rows[i].field, "'%s' %s", rows[i].key,
				      rows[i].why);
	return r;
}

static int check_listener(struct conf *c, void *map)
{
	const struct config_listener *l = map;
	int r = check_type(c, l);

	if (l->auth.cryptosign.type == -1 && l->auth.anonymous.type == -1)
		r = conf_fail(c, NULL,
			      "nobody could log in here: 'auth' needs cryptosign or "
			      "anonymous");
	return r;
}

static const char *const serializers[] = {
	[SERIALIZER_JSON] = "json",
	[SERIALIZER_MSGPACK] = "msgpack",
	[SERIALIZER_CBOR] = "cbor",
	[SERIALIZER_COUNT] = NULL,
};
static const char *const later_serializers[] = {"ubjson", "flatbuffers", NULL};
static const char *const listener_types[] = {"websocket", "rawsocket", "universal", NULL};
static const char *const later_listener_types[] = {"web", "mqtt", NULL};
#define OF_UNIVERSAL                                                                     \
	"is not needed: the keys beside 'type: universal' are for both framings"
static const struct conf_key listener_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_listener, type, enum listener_type,
		    .required = true, .names = listener_types,
		    .later = later_listener_types),
	CONF_KEY("id", STRING, struct config_listener, name, .text = NULL,
		 .rule = &config_id_rule),
	CONF_KEY_OF("endpoint", MAP, struct config_listener, endpoint,
		    struct config_endpoint, .required = true, .table = &endpoint_table),
	CONF_KEY("paths", STRINGS, struct config_listener, paths, .min = 1, .max = 64,
		 .rule = &path_rule),
	CONF_KEY("serializers", FLAGS, struct config_listener, serializers, .min = 1,
		 .max = SERIALIZER_COUNT, .names = serializers,
		 .later = later_serializers, .def = (1 << SERIALIZER_COUNT) - 1),
	CONF_KEY_OF("options", MAP, struct config_listener, options,
		    struct config_options, .table = &options_table),
	CONF_KEY_OF("auth", MAP, struct config_listener, auth, struct config_auth,
		    .required = true, .table = &auth_table),
	/* Crossbar takes from it what to compare a request's Host with */
	{.name = "url", .type = CONF_IGNORED},
	{.name = "debug", .type = CONF_IGNORED},
	{.name = "cookie", .type = CONF_UNSUPPORTED},
	{.name = "websocket", .type = CONF_UNSUPPORTED, .text = OF_UNIVERSAL},
	{.name = "rawsocket", .type = CONF_UNSUPPORTED, .text = OF_UNIVERSAL},
	{.name = "web", .type = CONF_UNSUPPORTED},
	{.name = "mqtt", .type = CONF_UNSUPPORTED},
};
const struct conf_table config_listener_table = CONF_TABLE(
	"the transport", struct config_listener, listener_keys, check_listener);
