/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the transports of the configuration: endpoint and options of each listener; see
 * config.h. config_auth.c reads their login methods. No state; any thread.
 */
#include "proto/http.h"
#include "proto/wamp.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <arpa/inet.h>

#define HOUR (3600 * 1000) /* ms */

static bool is_id(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
				      "XYZ0123456789_.-";
	size_t len = strlen(text);

	return len <= 64 && strspn(text, allowed) == len;
}
const struct conf_rule config_id_rule = {
	is_id, "expected a name of at most 64 characters: letters, digits, '_', '.' and "
	       "'-'"};

/* Adds an error if the file gives a key that would have no effect here. */
static void refuse_if(struct conf *c, bool useless, const void *field, const char *key,
		      const char *why)
{
	if (useless && conf_given(c, field))
		conf_fail(c, field, "'%s' %s", key, why);
}

/* --- networks --- */

static bool is_network(const char *text)
{
	struct network network;

	return network_parse(text, &network) == 0;
}
#define A_NETWORK                                                                        \
	"expected an address such as 192.0.2.1 or \"2001:db8::1\", a network such as "   \
	"10.0.0.0/8, or unix"
static const struct conf_rule from_rule = {is_network, "'from': " A_NETWORK};
static const struct conf_rule trusted_rule = {is_network,
					      "'trusted_proxies': " A_NETWORK};

static void parse_networks(const struct conf_strings *texts, struct config_networks *out)
{
	for (out->count = 0; out->count < texts->count; out->count++) {
		int err =
			network_parse(texts->items[out->count], &out->items[out->count]);
		ASSERT(err == 0); /* because of from_rule and trusted_rule */
	}
}

static void check_proxy_protocol(struct conf *c, void *map)
{
	struct config_proxy_protocol *proxy = map;

	(void)c;
	parse_networks(&proxy->texts, &proxy->from);
}

static const struct conf_key proxy_protocol_keys[] = {
	CONF_KEY("from", STRINGS, struct config_proxy_protocol, texts, .required = true,
		 .min = 1, .max = CONFIG_MAX_NETWORKS, .rule = &from_rule),
};
static const struct conf_table proxy_protocol_table =
	CONF_TABLE("proxy_protocol", struct config_proxy_protocol, proxy_protocol_keys,
		   check_proxy_protocol);

/* --- endpoint --- */

static void check_tcp(struct conf *c, struct config_endpoint *endpoint)
{
	unsigned char address[sizeof(struct in6_addr)];
	bool v4 = endpoint->host != NULL &&
		  inet_pton(AF_INET, endpoint->host, address) == 1;
	bool v6 = endpoint->host != NULL &&
		  inet_pton(AF_INET6, endpoint->host, address) == 1;

	if (endpoint->port == 0)
		conf_fail(c, NULL,
			  "'port' is missing: a TCP endpoint needs one, from 1 to 65535");
	else if (endpoint->version == 5)
		conf_fail(c, &endpoint->version, "'version': expected 4 or 6");
	else if (endpoint->host == NULL && endpoint->version != 0)
		endpoint->host = endpoint->version == 4 ? "0.0.0.0" : "::";
	else if (endpoint->host != NULL && !v4 && !v6)
		conf_fail(c, &endpoint->host,
			  "'interface': expected a numeric address, such as 127.0.0.1 or "
			  "\"::1\"");
	else if ((endpoint->version == 4 && v6) || (endpoint->version == 6 && v4))
		conf_fail(c, &endpoint->version,
			  "'version' and 'interface' contradict each other; leave out "
			  "'version'");
}

/* Refuses a list of proxies none of which could connect. */
static void check_proxies(struct conf *c, struct config_endpoint *endpoint)
{
	struct config_proxy_protocol *proxy = &endpoint->proxy_protocol;
	bool is_unix = endpoint->type == ENDPOINT_UNIX, any = proxy->from.count == 0;

	for (size_t i = 0; i < proxy->from.count; i++)
		any = any ||
		      (proxy->from.items[i].base.family == ADDRESS_UNIX) == is_unix;
	if (!any)
		conf_fail(c, &proxy->texts,
			  "nobody could connect: 'from' needs %s for an endpoint of this "
			  "type",
			  is_unix ? "'unix'" : "addresses");
}

#define OF_UNIX "is for endpoints of type unix"
#define OF_TCP  "is for endpoints of type tcp"
static void check_endpoint(struct conf *c, void *map)
{
	struct config_endpoint *endpoint = map;
	bool tcp = endpoint->type == ENDPOINT_TCP;

	refuse_if(c, tcp, &endpoint->path, "path", OF_UNIX);
	refuse_if(c, tcp, &endpoint->mode, "mode", OF_UNIX);
	refuse_if(c, !tcp, &endpoint->port, "port", OF_TCP);
	refuse_if(c, !tcp, &endpoint->host, "interface", OF_TCP);
	refuse_if(c, !tcp, &endpoint->version, "version", OF_TCP);
	refuse_if(c, !tcp, &endpoint->tls, "tls", OF_TCP);
	check_proxies(c, endpoint);
	if (tcp)
		check_tcp(c, endpoint);
	else if (endpoint->path == NULL)
		conf_fail(c, NULL,
			  "'path' is missing: a Unix endpoint needs the path of its "
			  "socket");
}

static const char *const endpoint_types[] = {
	[ENDPOINT_TCP] = "tcp",
	[ENDPOINT_UNIX] = "unix",
	NULL,
};
static const struct conf_key endpoint_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_endpoint, type, enum endpoint_type,
		    .required = true, .names = endpoint_types),
	CONF_NUMBER(INT, struct config_endpoint, port, 1, 65535, 0),
	CONF_KEY("interface", STRING, struct config_endpoint, host, .text = NULL),
	/* The bounds also allow 5, which check_tcp refuses. */
	CONF_NUMBER(INT, struct config_endpoint, version, 4, 6, 0),
	CONF_KEY("path", STRING, struct config_endpoint, path, .max = CONF_MAX_SOCKET),
	CONF_KEY("mode", MODE, struct config_endpoint, mode, .def = 0660),
	CONF_KEY_OF("tls", MAP, struct config_endpoint, tls, struct config_tls,
		    .table = &config_tls_table),
	CONF_KEY_OF("proxy_protocol", MAP, struct config_endpoint, proxy_protocol,
		    struct config_proxy_protocol, .table = &proxy_protocol_table,
		    .text = "; name the proxies, such as {from: [192.0.2.10]}"),
};
static const struct conf_table endpoint_table =
	CONF_TABLE("the endpoint", struct config_endpoint, endpoint_keys, check_endpoint);

/* --- options --- */

static const struct conf_rule origin_rule = {
	http_pattern_matches,
	"'allowed_origins': expected a scheme and a host without a final '/', such as "
	"https://example.com, because browsers send no other origins; '*' matches any "
	"text"};

/* A row with the smallest and largest value and the default. */
#define OPTION(kind, field, least, most, otherwise)                                      \
	CONF_NUMBER(kind, struct config_options, field, least, most, otherwise)
static const struct conf_key options_keys[] = {
	OPTION(SIZE, max_message_size, 1024, CONFIG_MAX_MESSAGE, MIB),
	OPTION(SIZE, max_header_size, 1024, 64 << 10, 16 << 10),
	OPTION(INT, max_headers, 8, HTTP_HEADERS_MAX, 100),
	OPTION(INT, max_connections, 0, 10000000, 50000),
	CONF_KEY("allowed_origins", STRINGS, struct config_options, allowed_origins,
		 .min = 1, .max = 256, .rule = &origin_rule),
	CONF_KEY("allow_null_origin", BOOL, struct config_options, allow_null_origin,
		 .def = false),
	CONF_KEY("trusted_proxies", STRINGS, struct config_options, trusted_proxies,
		 .min = 1, .max = CONFIG_MAX_NETWORKS, .rule = &trusted_rule),
	OPTION(MS, auto_ping_interval, 0, 24 * HOUR, 30000),
	CONF_KEY("rawsocket_ping", BOOL, struct config_options, rawsocket_ping,
		 .def = false),
	OPTION(MS, auto_ping_timeout, 100, HOUR, 10000),
	/* In Crossbar.io it is {deflate: {...}}. */
	CONF_KEY("compression", BOOL, struct config_options, compression, .def = false,
		 .text = "; true stands for deflate, without parameters"),
	OPTION(MS, open_handshake_timeout, 100, HOUR / 6, 10000),
	OPTION(MS, close_handshake_timeout, 100, HOUR / 60, 2000),
};
static const struct conf_table options_table =
	CONF_TABLE("options", struct config_options, options_keys, NULL);

/* --- the listener --- */

/* A path as in a request: printable ASCII without spaces. */
static bool is_path(const char *path)
{
	for (const char *p = path; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || strchr("?#*", *p) != NULL)
			return false;
	return path[0] == '/';
}
static const struct conf_rule path_rule = {
	is_path,
	"'paths': expected a path that begins with '/', such as /ws, without '?', "
	"'#', '*' and spaces; leave out 'paths' to serve all paths"};

static bool is_poll_path(const char *path)
{
	return is_path(path) && path[strlen(path) - 1] != '/';
}
static const struct conf_rule poll_path_rule = {
	is_poll_path,
	"'path': expected a path that begins with '/' and does not end with "
	"it, such as /lp, without '?', '#', '*' and spaces"};

static void check_longpoll(struct conf *c, void *map)
{
	const struct config_longpoll *lp = map;

	if (lp->session_timeout <= lp->request_timeout)
		conf_fail(c, &lp->session_timeout,
			  "'session_timeout' must be longer than 'request_timeout', "
			  "which is %u ms",
			  lp->request_timeout);
}

static const struct conf_key longpoll_keys[] = {
	CONF_KEY("path", STRING, struct config_longpoll, path, .required = true,
		 .rule = &poll_path_rule),
	CONF_NUMBER(MS, struct config_longpoll, request_timeout, 100, HOUR / 60, 10000),
	CONF_NUMBER(MS, struct config_longpoll, session_timeout, 1000, HOUR, 30000),
};
static const struct conf_table longpoll_table =
	CONF_TABLE("longpoll", struct config_longpoll, longpoll_keys, check_longpoll);

static bool offers_any(const struct config_auth *auth)
{
	bool any = auth->anonymous.type != -1;

	for (size_t m = 0; m < METHOD_COUNT; m++)
		any = any || auth->methods[m].type != -1;
	return any;
}

#define OF_WEBSOCKET                                                                     \
	"is for WebSocket: leave it out, or use 'type: universal' to serve both"
#define OF_RAW_PINGS                                                                     \
	"is for pings, which RawSocket clients get only with 'rawsocket_ping: true'"
static void check_listener(struct conf *c, void *map)
{
	struct config_listener *l = map;
	const struct config_options *o = &l->options;
	const struct config_method *cs = &l->auth.methods[METHOD_CRYPTOSIGN];
	bool raw = l->type == LISTENER_RAWSOCKET, silent = raw && !o->rawsocket_ping;

	refuse_if(c, raw, &l->paths, "paths", OF_WEBSOCKET);
	refuse_if(c, raw, &l->longpoll, "longpoll", OF_WEBSOCKET);
	refuse_if(c, raw, &o->allowed_origins, "allowed_origins", OF_WEBSOCKET);
	refuse_if(c, raw, &o->allow_null_origin, "allow_null_origin", OF_WEBSOCKET);
	refuse_if(c, raw, &o->compression, "compression", OF_WEBSOCKET);
	refuse_if(c, raw, &o->trusted_proxies, "trusted_proxies", OF_WEBSOCKET);
	refuse_if(c, raw, &l->auth.methods[METHOD_COOKIE].type, "cookie", OF_WEBSOCKET);
	refuse_if(c, silent, &o->auto_ping_interval, "auto_ping_interval", OF_RAW_PINGS);
	refuse_if(c, silent, &o->auto_ping_timeout, "auto_ping_timeout", OF_RAW_PINGS);
	refuse_if(c, l->type == LISTENER_WEBSOCKET && o->rawsocket_ping,
		  &o->rawsocket_ping, "rawsocket_ping",
		  "is for RawSocket: leave it out, WebSocket clients get pings anyway");
	refuse_if(c, l->endpoint.tls.own.certificate == NULL && cs->channel_binding != 0,
		  &cs->channel_binding, "channel_binding",
		  "needs TLS: add 'tls' to the endpoint, or leave it out");
	refuse_if(c, l->endpoint.tls.clients <= CONFIG_CLIENTS_OFF,
		  &l->auth.methods[METHOD_TLS].type, "tls",
		  "needs client certificates: add 'tls' with 'ca_certificates' to the "
		  "endpoint");
	parse_networks(&o->trusted_proxies, &l->trusted);
	if (!offers_any(&l->auth))
		conf_fail(c, NULL,
			  "nobody could log in: 'auth' needs at least one method");
}

static const char *const serializers[] = {
	[SERIALIZER_JSON] = "json", [SERIALIZER_MSGPACK] = "msgpack",
	[SERIALIZER_CBOR] = "cbor", [SERIALIZER_UBJSON] = "ubjson",
	[SERIALIZER_COUNT] = NULL,
};
static const char *const later_serializers[] = {"flatbuffers", NULL};
static const char *const listener_types[] = {"websocket", "rawsocket", "universal", NULL};
static const char *const later_listener_types[] = {"web", "mqtt", NULL};
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
	CONF_KEY_OF("longpoll", MAP, struct config_listener, longpoll,
		    struct config_longpoll, .table = &longpoll_table),
	CONF_KEY("serializers", FLAGS, struct config_listener, serializers, .min = 1,
		 .max = SERIALIZER_COUNT, .names = serializers,
		 .later = later_serializers, .def = (1 << SERIALIZER_COUNT) - 1),
	CONF_KEY_OF("options", MAP, struct config_listener, options,
		    struct config_options, .table = &options_table),
	CONF_KEY_OF("auth", MAP, struct config_listener, auth, struct config_auth,
		    .required = true, .table = &config_auth_table),
};
const struct conf_table config_listener_table = CONF_TABLE(
	"the transport", struct config_listener, listener_keys, check_listener);
