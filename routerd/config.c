/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: which keys there are, and what must hold between them; see config.h.
 * The tables here are all that a file may say.
 */
#include "routerd/config.h"

#include "common/err.h"
#include "proto/http.h"
#include "routerd/peer/rights.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define TABLE(name, title, type, rows, checker)                                          \
	static const struct conf_table name = {                                          \
		.what = (title),                                                         \
		.size = sizeof(type),                                                    \
		.keys = (rows),                                                          \
		.n_keys = ARRAY_LEN(rows),                                               \
		.check = (checker),                                                      \
	}

#define MIB (1 << 20)

/* --- realms, roles, permissions --- */

/* Names of realms and roles travel in messages as URIs do. */
static int check_name(struct conf *c, const char *const *name)
{
	if (strlen(*name) > 255 || !uri_valid(slice_str(*name)))
		return conf_fail(c, name,
				 "a name must be a URI of at most 255 bytes, such as "
				 "realm1 or com.example.devices");
	return 0;
}

static const struct conf_key allow_keys[] = {
	CONF_KEY("call", BOOL, struct config_permission, allow.call, .def = false),
	CONF_KEY("register", BOOL, struct config_permission, allow.register_,
		 .def = false),
	CONF_KEY("publish", BOOL, struct config_permission, allow.publish, .def = false),
	CONF_KEY("subscribe", BOOL, struct config_permission, allow.subscribe,
		 .def = false),
};
TABLE(allow_table, "allow", struct config_permission, allow_keys, NULL);

static const struct conf_key disclose_keys[] = {
	{.name = "caller", .type = CONF_FIXED, .def = false},
	{.name = "publisher", .type = CONF_FIXED, .def = false},
};
TABLE(disclose_table, "disclose", char, disclose_keys, NULL);

static bool ends_with_star(const char *uri)
{
	size_t len = strlen(uri);

	return len > 0 && uri[len - 1] == '*';
}

/* Crossbar's: without match, stars in the URI say how it matches. */
static int convert_stars(struct conf *c, struct config_permission *p)
{
	const char *star = strchr(p->uri, '*');
	char *plain;
	size_t n = 0;

	p->match = MATCH_EXACT;
	if (star == NULL)
		return 0;
	p->match =
		ends_with_star(p->uri) && star[1] == '\0' ? MATCH_PREFIX : MATCH_WILDCARD;
	plain = pool_text(conf_pool(c), slice_str(p->uri));
	if (plain == NULL)
		return conf_fail_nomem(c);
	for (const char *from = p->uri; *from != '\0'; from++)
		if (*from != '*')
			plain[n++] = *from;
	plain[n] = '\0';
	p->uri = plain;
	return 0;
}

static int check_permission(struct conf *c, void *map)
{
	struct config_permission *p = map;

	if (strlen(p->uri) > WAMP_MAX_URI)
		return conf_fail(c, &p->uri, "'uri' must have at most %d bytes",
				 WAMP_MAX_URI);
	if (p->match == -1) {
		int r = convert_stars(c, p);
		if (r != 0)
			return r;
	}
	if (p->match == MATCH_EXACT && !uri_valid(slice_str(p->uri)))
		return conf_fail(
			c, &p->uri,
			"'uri' must be a URI, such as com.example.procedure; for "
			"all URIs say uri: \"\" with match: prefix");
	return 0;
}

static const char *const matches[] = {"exact", "prefix", "wildcard", NULL};
static const struct conf_key permission_keys[] = {
	CONF_KEY("uri", TEXT, struct config_permission, uri, .required = true),
	CONF_KEY_OF("match", ENUM, struct config_permission, match, int, .names = matches,
		    .def = -1),
	/* the four answers lie in the permission itself */
	{.name = "allow", .type = CONF_MAP, .at = 0, .table = &allow_table},
	{.name = "disclose", .type = CONF_MAP, .at = 0, .table = &disclose_table},
	{.name = "cache", .type = CONF_IGNORED},
	{.name = "validate", .type = CONF_UNSUPPORTED},
};
TABLE(permission_table, "the permission", struct config_permission, permission_keys,
      check_permission);

static int check_role(struct conf *c, void *map)
{
	struct config_role *role = map;
	size_t n = role->n_permissions, duplicate;
	struct permission *list = calloc(n + 1, sizeof(*list));
	struct rights *rights;
	int r = check_name(c, &role->name);

	if (r != 0 || list == NULL) {
		free(list);
		return r != 0 ? r : conf_fail_nomem(c);
	}
	for (size_t i = 0; i < n; i++) {
		const struct config_permission *p = &role->permissions[i];
		list[i] = (struct permission){
			.uri = slice_str(p->uri),
			.match = (enum match)p->match,
			.allow = {[ACTION_CALL] = p->allow.call,
				  [ACTION_REGISTER] = p->allow.register_,
				  [ACTION_PUBLISH] = p->allow.publish,
				  [ACTION_SUBSCRIBE] = p->allow.subscribe},
		};
	}
	r = rights_new(conf_pool(c), list, n, &rights, &duplicate);
	free(list);
	if (r == E_EXISTS)
		return conf_fail(c, &role->permissions[duplicate].uri,
				 "this uri has a permission with this match already; "
				 "merge the two");
	if (r != 0)
		return conf_fail_nomem(c);
	role->rights = rights;
	return 0;
}

static const struct conf_key role_keys[] = {
	CONF_KEY("name", STRING, struct config_role, name, .required = true),
	CONF_ARRAY_KEY("permissions", LIST, struct config_role, permissions,
		       n_permissions, struct config_permission,
		       .max = CONFIG_MAX_PERMISSIONS, .table = &permission_table),
	{.name = "authorizer", .type = CONF_UNSUPPORTED},
};
TABLE(role_table, "the role", struct config_role, role_keys, check_role);

static int check_realm(struct conf *c, void *map)
{
	struct config_realm *realm = map;

	for (size_t i = 0; i < realm->n_roles; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(realm->roles[i].name, realm->roles[k].name) == 0)
				return conf_fail(c, &realm->roles[i].name,
						 "this realm has a role \"%s\" already",
						 realm->roles[i].name);
	return check_name(c, &realm->name);
}

static const struct conf_key realm_keys[] = {
	CONF_KEY("name", STRING, struct config_realm, name, .required = true),
	CONF_ARRAY_KEY("roles", LIST, struct config_realm, roles, n_roles,
		       struct config_role, .required = true, .min = 1,
		       .max = CONFIG_MAX_ROLES, .table = &role_table),
};
TABLE(realm_table, "the realm", struct config_realm, realm_keys, check_realm);

/* --- listeners --- */

/* "0660" */
static int parse_mode(const char *text, mode_t *out)
{
	mode_t mode = 0;
	size_t len = strlen(text);

	if (len < 3 || len > 4 || (len == 4 && text[0] != '0'))
		return E_SYNTAX;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p < '0' || *p > '7')
			return E_SYNTAX;
		mode = mode << 3 | (mode_t)(*p - '0');
	}
	*out = mode;
	return 0;
}

static int check_tcp(struct conf *c, struct config_endpoint *e)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (e->port == 0)
		return conf_fail(c, NULL,
				 "'port' is missing: a TCP endpoint needs one, from "
				 "1 to 65535");
	if (e->path != NULL)
		return conf_fail(c, &e->path, "'path' is for endpoints of type unix");
	if (e->host == NULL && e->version != 0)
		e->host = e->version == 4 ? "0.0.0.0" : "::";
	if (e->host == NULL)
		return 0;
	bool v4 = inet_pton(AF_INET, e->host, address) == 1;
	bool v6 = inet_pton(AF_INET6, e->host, address) == 1;
	if (!v4 && !v6)
		return conf_fail(
			c, &e->host,
			"'interface' must be a numeric address, such as 127.0.0.1 "
			"or \"::1\"");
	if ((e->version == 4 && !v4) || (e->version == 6 && !v6))
		return conf_fail(c, &e->version,
				 "'version' and 'interface' contradict each other");
	return 0;
}

static int check_unix(struct conf *c, struct config_endpoint *e)
{
	if (e->path == NULL)
		return conf_fail(c, NULL, "'path' is missing: a Unix endpoint needs one");
	if (strlen(e->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return conf_fail(c, &e->path,
				 "'path' is too long for a socket: at most %zu bytes",
				 sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (e->port != 0)
		return conf_fail(c, &e->port, "'port' is for endpoints of type tcp");
	if (e->host != NULL)
		return conf_fail(c, &e->host, "'interface' is for endpoints of type tcp");
	return 0;
}

static int check_endpoint(struct conf *c, void *map)
{
	struct config_endpoint *e = map;

	if (parse_mode(e->mode_text, &e->mode) != 0)
		return conf_fail(c, &e->mode_text,
				 "'mode' must be an octal number, such as \"0660\"");
	if (e->version != 0 && e->version != 4 && e->version != 6)
		return conf_fail(c, &e->version, "'version' must be 4 or 6");
	return e->type == ENDPOINT_UNIX ? check_unix(c, e) : check_tcp(c, e);
}

static const char *const endpoint_types[] = {"tcp", "unix", NULL};
static const struct conf_key endpoint_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_endpoint, type, enum endpoint_type,
		    .required = true, .names = endpoint_types),
	CONF_KEY("interface", STRING, struct config_endpoint, host, .text = NULL),
	CONF_KEY("port", INT, struct config_endpoint, port, .min = 1, .max = 65535),
	CONF_KEY("version", INT, struct config_endpoint, version, .min = 4, .max = 6),
	CONF_KEY("backlog", INT, struct config_endpoint, backlog, .min = 1, .max = 65535,
		 .def = 4096),
	CONF_KEY("path", STRING, struct config_endpoint, path, .text = NULL),
	CONF_KEY("mode", STRING, struct config_endpoint, mode_text, .text = "0660"),
	{.name = "tls", .type = CONF_UNSUPPORTED},
};
TABLE(endpoint_table, "the endpoint", struct config_endpoint, endpoint_keys,
      check_endpoint);

static const struct conf_key options_keys[] = {
	CONF_KEY("max_message_size", SIZE, struct config_options, max_message_size,
		 .min = 1024, .max = CONFIG_MAX_MESSAGE, .def = MIB),
	CONF_KEY("allowed_origins", STRINGS, struct config_options, allowed_origins,
		 .max = 256),
	CONF_KEY("allow_null_origin", BOOL, struct config_options, allow_null_origin,
		 .def = false),
	CONF_KEY("auto_ping_interval", MS, struct config_options, auto_ping_interval,
		 .max = 24 * 3600 * 1000, .def = 30000),
	CONF_KEY("auto_ping_timeout", MS, struct config_options, auto_ping_timeout,
		 .min = 100, .max = 3600 * 1000, .def = 10000),
	CONF_KEY("open_handshake_timeout", MS, struct config_options,
		 open_handshake_timeout, .min = 100, .max = 600 * 1000, .def = 10000),
	CONF_KEY("close_handshake_timeout", MS, struct config_options,
		 close_handshake_timeout, .min = 100, .max = 60 * 1000, .def = 2000),
	CONF_KEY("max_connections", INT, struct config_options, max_connections,
		 .max = 10 * 1000 * 1000, .def = 50000),
	{.name = "compression", .type = CONF_UNSUPPORTED},
};
TABLE(options_table, "options", struct config_options, options_keys, NULL);

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
};
TABLE(cryptosign_table, "cryptosign", struct config_auth, cryptosign_keys, NULL);

static const struct conf_key anonymous_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_auth, anonymous.type, int,
		    .required = true, .names = static_only, .later = not_static,
		    .def = -1),
	CONF_KEY("role", STRING, struct config_auth, anonymous.role, .required = true),
	CONF_KEY("realm", STRING, struct config_auth, anonymous.realm, .text = NULL),
};
TABLE(anonymous_table, "anonymous", struct config_auth, anonymous_keys, NULL);

static const struct conf_key auth_keys[] = {
	{.name = "cryptosign", .type = CONF_MAP, .at = 0, .table = &cryptosign_table},
	{.name = "anonymous", .type = CONF_MAP, .at = 0, .table = &anonymous_table},
	{.name = "ticket", .type = CONF_UNSUPPORTED},
	{.name = "wampcra", .type = CONF_UNSUPPORTED},
	{.name = "scram", .type = CONF_UNSUPPORTED},
	{.name = "tls", .type = CONF_UNSUPPORTED},
	{.name = "cookie", .type = CONF_UNSUPPORTED},
};
TABLE(auth_table, "auth", struct config_auth, auth_keys, NULL);

/* "json" is bit 0 and "json.batched" bit 1: CONFIG_SERIALIZER */
static const char *const serializers[] = {
	[SERIALIZER_JSON * 2] = "json",
	[SERIALIZER_JSON * 2 + 1] = "json.batched",
	[SERIALIZER_MSGPACK * 2] = "msgpack",
	[SERIALIZER_MSGPACK * 2 + 1] = "msgpack.batched",
	[SERIALIZER_CBOR * 2] = "cbor",
	[SERIALIZER_CBOR * 2 + 1] = "cbor.batched",
	[SERIALIZER_COUNT * 2] = NULL,
};
enum { ALL_SERIALIZERS = (1 << (SERIALIZER_COUNT * 2)) - 1 };

static int check_listener(struct conf *c, void *map)
{
	struct config_listener *l = map;

	for (size_t i = 0; i < l->paths.count; i++)
		if (l->paths.items[i][0] != '/' ||
		    strpbrk(l->paths.items[i], "?#") != NULL)
			return conf_fail(
				c, &l->paths.items[i],
				"a path begins with '/' and has no query, as /ws");
	if (l->auth.cryptosign.type == -1 && l->auth.anonymous.type == -1)
		return conf_fail(c, NULL,
				 "nobody could log in here: 'auth' needs cryptosign or "
				 "anonymous");
	return 0;
}

static const char *const listener_types[] = {"websocket", NULL};
static const char *const later_listener_types[] = {"rawsocket", "web", "universal",
						   "mqtt", NULL};
static const struct conf_key listener_keys[] = {
	CONF_KEY_OF("type", ENUM, struct config_listener, type, int, .required = true,
		    .names = listener_types, .later = later_listener_types),
	CONF_KEY("id", STRING, struct config_listener, name, .text = NULL),
	CONF_KEY_OF("endpoint", MAP, struct config_listener, endpoint,
		    struct config_endpoint, .required = true, .table = &endpoint_table),
	CONF_KEY("paths", STRINGS, struct config_listener, paths, .max = 64),
	CONF_KEY("serializers", FLAGS, struct config_listener, serializers, .min = 1,
		 .max = SERIALIZER_COUNT * 2, .names = serializers,
		 .def = ALL_SERIALIZERS),
	CONF_KEY_OF("options", MAP, struct config_listener, options,
		    struct config_options, .table = &options_table),
	CONF_KEY_OF("auth", MAP, struct config_listener, auth, struct config_auth,
		    .required = true, .table = &auth_table),
};
TABLE(listener_table, "the transport", struct config_listener, listener_keys,
      check_listener);

/* --- authenticators, limits, log --- */

static int check_authenticator(struct conf *c, void *map)
{
	struct config_authenticator *a = map;

	if (strlen(a->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return conf_fail(c, &a->socket,
				 "'socket' is too long for a socket: at most %zu bytes",
				 sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	return conf_uids(c, &a->allow_users, &a->uids, &a->n_uids);
}

static const char *const features[] = {"revoke", NULL};
static const struct conf_key authenticator_keys[] = {
	CONF_KEY("socket", STRING, struct config_authenticator, socket, .required = true),
	CONF_KEY("require_features", FLAGS, struct config_authenticator, require_features,
		 .names = features),
	CONF_KEY("allow_users", STRINGS, struct config_authenticator, allow_users,
		 .min = 1, .max = 64),
	CONF_KEY("timeout", MS, struct config_authenticator, timeout, .min = 10,
		 .max = 60 * 1000, .def = 2000),
};
TABLE(authenticator_table, "the authenticator", struct config_authenticator,
      authenticator_keys, check_authenticator);

static int check_limits(struct conf *c, void *map)
{
	struct config_limits *l = map;

	if (l->mailbox_low >= l->mailbox_high)
		return conf_fail(c, &l->mailbox_low,
				 "'mailbox_low' must be less than 'mailbox_high'");
	return 0;
}

#define GIB64 (INT64_C(1) << 30)
static const struct conf_key limits_keys[] = {
	CONF_KEY("queue_size", SIZE, struct config_limits, queue_size, .min = 4096,
		 .max = GIB64, .def = 16 * MIB),
	CONF_KEY("queued_total", SIZE, struct config_limits, queued_total, .min = MIB,
		 .max = 1024 * GIB64, .def = GIB64),
	CONF_KEY("incomplete_total", SIZE, struct config_limits, incomplete_total,
		 .min = MIB, .max = 1024 * GIB64, .def = 256 * MIB),
	CONF_KEY("mailbox_high", SIZE, struct config_limits, mailbox_high, .min = 4096,
		 .max = GIB64, .def = 8 * MIB),
	CONF_KEY("mailbox_low", SIZE, struct config_limits, mailbox_low, .min = 1024,
		 .max = GIB64, .def = 2 * MIB),
	CONF_KEY("hold_queue", INT, struct config_limits, hold_queue, .min = 1,
		 .max = 1000000, .def = 4096),
	CONF_KEY("hold_timeout", MS, struct config_limits, hold_timeout, .min = 100,
		 .max = 60 * 1000, .def = 5000),
	CONF_KEY("pending_calls", INT, struct config_limits, pending_calls, .min = 1,
		 .max = 10000000, .def = 10000),
	CONF_KEY("session_subscriptions", INT, struct config_limits,
		 session_subscriptions, .min = 1, .max = 10000000, .def = 100000),
	CONF_KEY("session_registrations", INT, struct config_limits,
		 session_registrations, .min = 1, .max = 10000000, .def = 100000),
};
TABLE(limits_table, "limits", struct config_limits, limits_keys, check_limits);

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"text", "journal", NULL};
static const struct conf_key log_keys[] = {
	CONF_KEY_OF("level", ENUM, struct config, log.level, enum log_level,
		    .names = levels, .def = LOG_LEVEL_INFO),
	CONF_KEY_OF("format", ENUM, struct config, log.format, enum log_format,
		    .names = formats, .def = LOG_FORMAT_TEXT),
};
TABLE(log_table, "log", struct config, log_keys, NULL);

static const struct conf_key debug_keys[] = {
	CONF_KEY("stall_worker", INT, struct config, debug.stall_worker,
		 .max = CONFIG_MAX_THREADS - 1, .def = -1),
};
TABLE(debug_table, "debug", struct config, debug_keys, NULL);

/* --- what must hold between them --- */

static int check_realm_names(struct conf *c, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_realms; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(cfg->realms[i].name, cfg->realms[k].name) == 0)
				return conf_fail(c, &cfg->realms[i].name,
						 "there is a realm \"%s\" already",
						 cfg->realms[i].name);
	return 0;
}

static bool same_address(const struct config_endpoint *a, const struct config_endpoint *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == ENDPOINT_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port &&
	       (a->host == NULL || b->host == NULL || strcmp(a->host, b->host) == 0);
}

static int check_listeners(struct conf *c, struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		struct config_listener *l = &cfg->listeners[i];
		char name[32];
		if (l->name == NULL) {
			snprintf(name, sizeof(name), "listener%zu", i);
			l->name = pool_text(&cfg->pool, slice_str(name));
			if (l->name == NULL)
				return conf_fail_nomem(c);
		}
		for (size_t k = 0; k < i; k++) {
			if (strcmp(l->name, cfg->listeners[k].name) == 0)
				return conf_fail(c, &l->name,
						 "there is a transport with id \"%s\" "
						 "already",
						 l->name);
			if (same_address(&l->endpoint, &cfg->listeners[k].endpoint))
				return conf_fail(c, &l->endpoint,
						 "the transport \"%s\" listens at this "
						 "address already",
						 cfg->listeners[k].name);
		}
	}
	return 0;
}

static int find_authenticator(struct conf *c, const struct config *cfg,
			      struct config_auth *auth)
{
	auth->cryptosign.authenticator_index = -1;
	if (auth->cryptosign.type == -1)
		return 0;
	for (size_t i = 0; i < cfg->n_authenticators; i++)
		if (strcmp(cfg->authenticators[i].name, auth->cryptosign.authenticator) ==
		    0)
			auth->cryptosign.authenticator_index = (int)i;
	if (auth->cryptosign.authenticator_index == -1)
		return conf_fail(
			c, &auth->cryptosign.authenticator,
			"there is no authenticator \"%s\"; 'authenticators' at the "
			"top of the file must have it",
			auth->cryptosign.authenticator);
	return 0;
}

static bool has_role(const struct config_realm *realm, const char *role)
{
	return config_role_find(realm, slice_str(role)) >= 0;
}

static int find_anonymous(struct conf *c, const struct config *cfg,
			  struct config_auth *auth)
{
	bool found = false;

	auth->anonymous.realm_index = -1;
	if (auth->anonymous.type == -1)
		return 0;
	if (auth->anonymous.realm != NULL) {
		int i = config_realm_find(cfg, slice_str(auth->anonymous.realm));
		if (i < 0)
			return conf_fail(c, &auth->anonymous.realm,
					 "there is no realm \"%s\"",
					 auth->anonymous.realm);
		auth->anonymous.realm_index = i;
		if (!has_role(&cfg->realms[i], auth->anonymous.role))
			return conf_fail(c, &auth->anonymous.role,
					 "the realm \"%s\" has no role \"%s\"",
					 auth->anonymous.realm, auth->anonymous.role);
		return 0;
	}
	for (size_t i = 0; i < cfg->n_realms && !found; i++)
		found = has_role(&cfg->realms[i], auth->anonymous.role);
	if (!found)
		return conf_fail(c, &auth->anonymous.role, "no realm has a role \"%s\"",
				 auth->anonymous.role);
	return 0;
}

static int default_node(struct conf *c, struct config *cfg)
{
	char host[256] = "";

	if (cfg->node != NULL)
		return 0;
	gethostname(host, sizeof(host) - 1);
	cfg->node = pool_text(&cfg->pool, slice_str(host[0] != '\0' ? host : "routerd"));
	return cfg->node == NULL ? conf_fail_nomem(c) : 0;
}

static int check_config(struct conf *c, void *map)
{
	struct config *cfg = map;
	int r = check_realm_names(c, cfg);

	if (r == 0)
		r = check_listeners(c, cfg);
	for (size_t i = 0; i < cfg->n_listeners && r == 0; i++) {
		r = find_authenticator(c, cfg, &cfg->listeners[i].auth);
		if (r == 0)
			r = find_anonymous(c, cfg, &cfg->listeners[i].auth);
	}
	return r == 0 ? default_node(c, cfg) : r;
}

static const struct conf_key config_keys[] = {
	CONF_KEY("version", INT, struct config, version, .min = 2, .max = 2, .def = 2),
	CONF_KEY("threads", INT, struct config, threads, .min = 1,
		 .max = CONFIG_MAX_THREADS, .text = "auto"),
	CONF_KEY("node", STRING, struct config, node, .text = NULL),
	CONF_ARRAY_KEY("realms", LIST, struct config, realms, n_realms,
		       struct config_realm, .required = true, .min = 1,
		       .max = CONFIG_MAX_REALMS, .table = &realm_table),
	CONF_ARRAY_KEY("authenticators", NAMED, struct config, authenticators,
		       n_authenticators, struct config_authenticator,
		       .max = CONFIG_MAX_AUTHENTICATORS, .table = &authenticator_table),
	CONF_ARRAY_KEY("transports", LIST, struct config, listeners, n_listeners,
		       struct config_listener, .required = true, .min = 1,
		       .max = CONFIG_MAX_LISTENERS, .table = &listener_table),
	CONF_KEY_OF("limits", MAP, struct config, limits, struct config_limits,
		    .table = &limits_table),
	{.name = "log", .type = CONF_MAP, .at = 0, .table = &log_table},
	{.name = "debug", .type = CONF_MAP, .at = 0, .table = &debug_table},
};
const struct conf_table config_table = {
	.what = "the file",
	.size = sizeof(struct config),
	.keys = config_keys,
	.n_keys = ARRAY_LEN(config_keys),
	.check = check_config,
};

/* --- life, and questions --- */

static struct config *config_new(const char *name, struct conf_error *err)
{
	struct config *cfg = calloc(1, sizeof(*cfg));

	if (cfg == NULL) {
		snprintf(err->text, sizeof(err->text), "%s: %s", name, err_str(E_NOMEM));
		return NULL;
	}
	atomic_init(&cfg->refs, 1);
	pool_init(&cfg->pool);
	return cfg;
}

int config_load(const char *path, struct config **out, struct conf_error *err_out)
{
	struct config *cfg = config_new(path, err_out);

	if (cfg == NULL)
		return E_NOMEM;
	int r = conf_load(path, &config_table, cfg, &cfg->pool, err_out);
	if (r == 0)
		*out = cfg;
	else
		config_unref(&cfg);
	return r;
}

int config_parse(struct slice text, const char *name, struct config **out,
		 struct conf_error *err_out)
{
	struct config *cfg = config_new(name, err_out);

	if (cfg == NULL)
		return E_NOMEM;
	int r = conf_parse(text, name, &config_table, cfg, &cfg->pool, err_out);
	if (r == 0)
		*out = cfg;
	else
		config_unref(&cfg);
	return r;
}

struct config *config_ref(struct config *cfg)
{
	atomic_fetch_add_explicit(&cfg->refs, 1, memory_order_relaxed);
	return cfg;
}

void config_unref(struct config **cp)
{
	struct config *cfg = *cp;

	*cp = NULL;
	if (cfg == NULL)
		return;
	if (atomic_fetch_sub_explicit(&cfg->refs, 1, memory_order_acq_rel) != 1)
		return;
	pool_fini(&cfg->pool);
	free(cfg);
}

int config_realm_find(const struct config *cfg, struct slice name)
{
	for (size_t i = 0; i < cfg->n_realms; i++)
		if (slice_eq_str(name, cfg->realms[i].name))
			return (int)i;
	return E_NOTFOUND;
}

int config_role_find(const struct config_realm *realm, struct slice name)
{
	for (size_t i = 0; i < realm->n_roles; i++)
		if (slice_eq_str(name, realm->roles[i].name))
			return (int)i;
	return E_NOTFOUND;
}

bool config_path_known(const struct config_listener *l, struct slice path)
{
	for (size_t i = 0; i < l->paths.count; i++)
		if (slice_eq_str(path, l->paths.items[i]))
			return true;
	return l->paths.count == 0;
}

bool config_origin_allowed(const struct config_listener *l, struct slice origin)
{
	const struct conf_strings *patterns = &l->options.allowed_origins;

	if (patterns->count == 0 ||
	    http_origin_allowed(origin, patterns->items, patterns->count))
		return true;
	return l->options.allow_null_origin && slice_eq_str(origin, "null");
}

bool config_uid_allowed(const struct config_authenticator *a, uid_t uid)
{
	if (a->n_uids == 0)
		return uid == 0 || uid == geteuid();
	for (size_t i = 0; i < a->n_uids; i++)
		if (a->uids[i] == uid)
			return true;
	return false;
}
