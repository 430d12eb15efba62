/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: its top level, and what must hold between its parts; see config.h.
 * The tables here, in config_realms.c and in config_listeners.c are all that a file may
 * say. Reading runs on one thread, questions on any.
 */
#include "routerd/config/config.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/http.h"
#include "routerd/config/config_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB (1 << 20)

/* --- authenticators, limits, log --- */

static int check_authenticator(struct conf *c, void *map)
{
	struct config_authenticator *a = map;

	return conf_uids(c, &a->allow_users, &a->uids, &a->n_uids);
}

static const char *const features[] = {"revoke", NULL};
static const struct conf_key authenticator_keys[] = {
	CONF_KEY("socket", STRING, struct config_authenticator, socket, .required = true,
		 .max = CONF_MAX_SOCKET),
	CONF_KEY("require_features", FLAGS, struct config_authenticator, require_features,
		 .max = ARRAY_LEN(features) - 1, .names = features),
	CONF_KEY("allow_users", STRINGS, struct config_authenticator, allow_users,
		 .min = 1, .max = 64),
	CONF_KEY("timeout", MS, struct config_authenticator, timeout, .min = 10,
		 .max = 60 * 1000, .def = 2000),
};
static const struct conf_table authenticator_table =
	CONF_TABLE("the authenticator", struct config_authenticator, authenticator_keys,
		   check_authenticator);

static int check_limits(struct conf *c, void *map)
{
	const struct config_limits *l = map;

	if (l->mailbox_low >= l->mailbox_high)
		return conf_fail(c, &l->mailbox_low,
				 "'mailbox_low' is %zu bytes, but must be less than "
				 "'mailbox_high', which is %zu",
				 l->mailbox_low, l->mailbox_high);
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
static const struct conf_table limits_table =
	CONF_TABLE("limits", struct config_limits, limits_keys, check_limits);

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"text", "journal", NULL};
static const struct conf_key log_keys[] = {
	CONF_KEY_OF("level", ENUM, struct config, log.level, enum log_level,
		    .names = levels, .def = LOG_LEVEL_INFO),
	CONF_KEY_OF("format", ENUM, struct config, log.format, enum log_format,
		    .names = formats, .def = LOG_FORMAT_TEXT),
};
static const struct conf_table log_table =
	CONF_TABLE("log", struct config, log_keys, NULL);

static const struct conf_key debug_keys[] = {
	CONF_KEY("stall_worker", INT, struct config, debug.stall_worker,
		 .max = CONFIG_MAX_THREADS - 1, .def = -1, .text = "none"),
};
static const struct conf_table debug_table =
	CONF_TABLE("debug", struct config, debug_keys, NULL);

/* --- what must hold between them --- */

static int check_realm_names(struct conf *c, const struct config *cfg)
{
	int r = 0;

	for (size_t i = 0; i < cfg->n_realms; i++)
		for (size_t k = 0; k < i; k++)
			if (!conf_broken(c, &cfg->realms[i]) &&
			    !conf_broken(c, &cfg->realms[k]) &&
			    strcmp(cfg->realms[i].name, cfg->realms[k].name) == 0)
				r = conf_fail(
					c, &cfg->realms[i].name,
					"there is a realm '%s' already",
					log_quote_text(slice_str(cfg->realms[i].name))
						.text);
	return r;
}

/* One address can be written in several ways. */
struct address {
	int family;
	unsigned char bytes[sizeof(struct in6_addr)];
	bool any; /* of this family; "::" is that of both */
};
static struct address address_of(const char *host)
{
	static const struct in6_addr zero;
	struct address a = {.family = AF_INET6};

	if (host == NULL || inet_pton(AF_INET6, host, a.bytes) != 1) {
		a.family = host == NULL ? AF_INET6 : AF_INET;
		(void)inet_pton(AF_INET, host == NULL ? "0.0.0.0" : host, a.bytes);
	}
	a.any = memcmp(a.bytes, &zero, a.family == AF_INET ? 4 : sizeof(zero)) == 0;
	return a;
}

/* Could they not both be listened at? */
static bool same_address(const struct config_endpoint *a, const struct config_endpoint *b)
{
	struct address x, y;

	if (a->type != b->type)
		return false;
	if (a->type == ENDPOINT_UNIX)
		return strcmp(a->path, b->path) == 0;
	x = address_of(a->host);
	y = address_of(b->host);
	if (a->port != b->port)
		return false;
	if (x.family != y.family)
		return (x.any && x.family == AF_INET6) || (y.any && y.family == AF_INET6);
	return x.any || y.any || memcmp(x.bytes, y.bytes, sizeof(x.bytes)) == 0;
}

static const void *address_field(const struct config_endpoint *e)
{
	return e->type == ENDPOINT_UNIX ? (const void *)&e->path : &e->port;
}

static int check_twins(struct conf *c, const struct config_listener *l,
		       const struct config_listener *other)
{
	int r = 0;

	if (strcmp(l->name, other->name) == 0)
		r = conf_fail(c, &l->name, "there is a transport with id '%s' already",
			      l->name);
	if (same_address(&l->endpoint, &other->endpoint))
		r = conf_fail(c, address_field(&l->endpoint),
			      "the transport '%s' listens at this address already",
			      other->name);
	return r;
}

/* Its own socket would replace that of an authenticator. */
static int check_own_socket(struct conf *c, const struct config *cfg,
			    const struct config_listener *l)
{
	for (size_t i = 0; i < cfg->n_authenticators; i++) {
		const struct config_authenticator *a = &cfg->authenticators[i];

		if (l->endpoint.type == ENDPOINT_UNIX && !conf_broken(c, a) &&
		    strcmp(a->socket, l->endpoint.path) == 0)
			return conf_fail(c, &l->endpoint.path,
					 "the authenticator '%s' has this socket",
					 a->name);
	}
	return 0;
}

static int name_listener(struct conf *c, struct config_listener *l, size_t i)
{
	char name[32];

	if (l->name != NULL)
		return 0;
	snprintf(name, sizeof(name), "listener%zu", i);
	l->name = pool_text(conf_pool(c), slice_str(name));
	return l->name == NULL ? conf_fail_nomem(c) : 0;
}

static int find_authenticator(struct conf *c, const struct config *cfg,
			      struct config_auth *auth)
{
	const char *name = auth->cryptosign.authenticator;

	auth->cryptosign.authenticator_index = -1;
	if (auth->cryptosign.type == -1)
		return 0;
	for (size_t i = 0; i < cfg->n_authenticators; i++) {
		if (strcmp(cfg->authenticators[i].name, name) == 0) {
			auth->cryptosign.authenticator_index = (int)i;
			return 0;
		}
	}
	return conf_fail(c, &auth->cryptosign.authenticator,
			 "there is no authenticator '%s'; 'authenticators' at the top of "
			 "the file must have it, with its socket",
			 log_quote_text(slice_str(name)).text);
}

static bool has_role(const struct config_realm *realm, const char *role)
{
	return config_role_find(realm, slice_str(role)) >= 0;
}

static int find_anonymous(struct conf *c, const struct config *cfg,
			  struct config_auth *auth)
{
	const char *realm = auth->anonymous.realm, *role = auth->anonymous.role;
	bool found = false;

	auth->anonymous.realm_index = -1;
	if (auth->anonymous.type == -1)
		return 0;
	if (realm != NULL) {
		int i = config_realm_find(cfg, slice_str(realm));
		if (i < 0)
			return conf_fail(c, &auth->anonymous.realm,
					 "there is no realm '%s' in 'realms'",
					 log_quote_text(slice_str(realm)).text);
		auth->anonymous.realm_index = i;
		if (!has_role(&cfg->realms[i], role))
			return conf_fail(c, &auth->anonymous.role,
					 "the realm '%s' has no role '%s'",
					 log_quote_text(slice_str(realm)).text,
					 log_quote_text(slice_str(role)).text);
		return 0;
	}
	for (size_t i = 0; i < cfg->n_realms && !found; i++)
		found = has_role(&cfg->realms[i], role);
	if (!found)
		return conf_fail(c, &auth->anonymous.role, "no realm has a role '%s'",
				 log_quote_text(slice_str(role)).text);
	return 0;
}

/* A thread must be able to hold the largest message that a listener lets in. */
static int check_incomplete(struct conf *c, const struct config *cfg)
{
	size_t threads = cfg->threads == 0 ? 1 : (size_t)cfg->threads, largest = 0;

	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (cfg->listeners[i].options.max_message_size > largest)
			largest = cfg->listeners[i].options.max_message_size;
	if (cfg->limits.incomplete_total / threads < largest)
		return conf_fail(c, &cfg->limits.incomplete_total,
				 "'incomplete_total' must be at least %zu bytes: each of "
				 "%zu threads gets its part, and a transport's "
				 "max_message_size is %zu",
				 largest * threads, threads, largest);
	return 0;
}

static int default_node(struct conf *c, struct config *cfg)
{
	char host[256] = "";

	if (cfg->node != NULL)
		return 0;
	/* it goes into messages, so it must be a text */
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0' ||
	    !utf8_valid(slice_str(host)))
		snprintf(host, sizeof(host), "routerd");
	cfg->node = pool_text(conf_pool(c), slice_str(host));
	return cfg->node == NULL ? conf_fail_nomem(c) : 0;
}

/* Whatever may follow from another error is left for the time when that is gone. */
static int check_listeners(struct conf *c, struct config *cfg)
{
	int r = 0;

	for (size_t i = 0; i < cfg->n_listeners; i++) {
		struct config_listener *l = &cfg->listeners[i];

		if (name_listener(c, l, i) != 0)
			return E_NOMEM;
		if (conf_broken(c, l))
			continue;
		for (size_t k = 0; k < i; k++)
			if (!conf_broken(c, &cfg->listeners[k]) &&
			    check_twins(c, l, &cfg->listeners[k]) != 0)
				r = E_SYNTAX;
		if (check_own_socket(c, cfg, l) != 0)
			r = E_SYNTAX;
		if (!conf_broken(c, &cfg->authenticators) &&
		    find_authenticator(c, cfg, &l->auth) != 0)
			r = E_SYNTAX;
		if (!conf_broken(c, &cfg->realms) &&
		    find_anonymous(c, cfg, &l->auth) != 0)
			r = E_SYNTAX;
	}
	return r;
}

static int check_config(struct conf *c, void *map)
{
	struct config *cfg = map;
	int realms = check_realm_names(c, cfg), listeners = check_listeners(c, cfg);
	int incomplete = check_incomplete(c, cfg);

	if (listeners == E_NOMEM)
		return E_NOMEM;
	if (realms != 0 || listeners != 0 || incomplete != 0)
		return E_SYNTAX;
	if (conf_clean(c))
		config_warn(c, cfg);
	return default_node(c, cfg);
}

static const struct conf_key config_keys[] = {
	CONF_KEY("version", INT, struct config, version, .min = 2, .max = 2, .def = 2),
	CONF_KEY("threads", INT, struct config, threads, .min = 1,
		 .max = CONFIG_MAX_THREADS, .text = "auto"),
	CONF_KEY("node", STRING, struct config, node, .text = NULL, .max = 255),
	CONF_ARRAY_KEY("realms", LIST, struct config, realms, n_realms,
		       struct config_realm, .required = true, .min = 1,
		       .max = CONFIG_MAX_REALMS, .table = &config_realm_table),
	CONF_ARRAY_KEY("authenticators", NAMED, struct config, authenticators,
		       n_authenticators, struct config_authenticator,
		       .max = CONFIG_MAX_AUTHENTICATORS, .rule = &config_id_rule,
		       .table = &authenticator_table),
	CONF_ARRAY_KEY("transports", LIST, struct config, listeners, n_listeners,
		       struct config_listener, .required = true, .min = 1,
		       .max = CONFIG_MAX_LISTENERS, .table = &config_listener_table),
	CONF_KEY_OF("limits", MAP, struct config, limits, struct config_limits,
		    .table = &limits_table),
	{.name = "log", .type = CONF_MAP, .at = 0, .table = &log_table},
	{.name = "debug", .type = CONF_MAP, .at = 0, .table = &debug_table},
	{.name = "$schema", .type = CONF_IGNORED},
	/* a node of Crossbar, and its router worker */
	{.name = "workers",
	 .type = CONF_UNSUPPORTED,
	 .text = "are not supported: 'realms' and 'transports' of the worker of type "
		 "router belong at the top of the file; 'threads' says how many serve "
		 "them"},
	{.name = "controller",
	 .type = CONF_UNSUPPORTED,
	 .text = "has no counterpart: leave it out; 'node' is the name that clients see"},
	{.name = "type",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not needed: all is one router; leave it out"},
	{.name = "id",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not needed: 'node' is the name that clients see"},
	{.name = "options",
	 .type = CONF_UNSUPPORTED,
	 .text = "of a worker are not supported: leave them out; a transport has options "
		 "of its own"},
	{.name = "components",
	 .type = CONF_UNSUPPORTED,
	 .text = "are not started by routerd: run them as clients"},
	{.name = "connections", .type = CONF_UNSUPPORTED},
	{.name = "manhole", .type = CONF_UNSUPPORTED},
};
const struct conf_table config_table = {
	.what = "the file",
	.size = sizeof(struct config),
	.keys = config_keys,
	.n_keys = ARRAY_LEN(config_keys),
	.check = check_config,
	.check_anyway = true,
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
