/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the top level of the configuration and checks its cross-references; see config.h.
 * The tables here, in config_realms.c, config_listeners.c and config_auth.c list all
 * keys of a file.
 * One thread reads a file; any thread may call the functions at the end.
 */
#include "routerd/config/config.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/http.h"
#include "routerd/config/config_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#define GIB (INT64_C(1) << 30)

/* --- authenticators, limits, debug --- */

static const char *const features[] = {"revoke", NULL};
static const struct conf_key authenticator_keys[] = {
	CONF_KEY("socket", STRING, struct config_authenticator, socket, .required = true,
		 .max = CONF_MAX_SOCKET),
	CONF_KEY("require_features", FLAGS, struct config_authenticator, require_features,
		 .max = ARRAY_LEN(features) - 1, .names = features),
	CONF_KEY("allow_users", USERS, struct config_authenticator, allow_users, .min = 1,
		 .max = 64),
	CONF_KEY("forward_client_cert", BOOL, struct config_authenticator,
		 forward_client_cert, .def = false),
	CONF_NUMBER(MS, struct config_authenticator, timeout, 10, 60 * 1000, 2000),
};
static const struct conf_table authenticator_table = CONF_TABLE(
	"the authenticator", struct config_authenticator, authenticator_keys, NULL);

static void check_limits(struct conf *c, void *map)
{
	const struct config_limits *l = map;

	if (l->mailbox_low >= l->mailbox_high)
		conf_fail(c, &l->mailbox_low,
			  "'mailbox_low' is %zu bytes, but must be less than "
			  "'mailbox_high', which is %zu",
			  l->mailbox_low, l->mailbox_high);
}

/* A row with the smallest and largest value and the default. */
#define LIMIT(kind, field, least, most, otherwise)                                       \
	CONF_NUMBER(kind, struct config_limits, field, least, most, otherwise)
static const struct conf_key limits_keys[] = {
	LIMIT(SIZE, queue_size, 4096, GIB, 16 * MIB),
	LIMIT(SIZE, queued_total, MIB, 1024 * GIB, GIB),
	LIMIT(SIZE, incomplete_total, MIB, 1024 * GIB, 256 * MIB),
	LIMIT(SIZE, mailbox_high, 4096, GIB, 8 * MIB),
	LIMIT(SIZE, mailbox_low, 1024, GIB, 2 * MIB),
	LIMIT(INT, hold_queue, 1, 1000000, 4096),
	LIMIT(MS, hold_timeout, 100, 60 * 1000, 5000),
	LIMIT(INT, pending_calls, 1, 10000000, 10000),
	LIMIT(INT, session_subscriptions, 1, 10000000, 100000),
	LIMIT(INT, session_registrations, 1, 10000000, 100000),
	LIMIT(INT, session_wildcards, 1, 10000000, 1000),
	LIMIT(INT, handshakes, 1, 1000000, 1024),
	LIMIT(SIZE, history_total, 4096, 1024 * GIB, 256 * MIB),
};
static const struct conf_table limits_table =
	CONF_TABLE("limits", struct config_limits, limits_keys, check_limits);

static const struct conf_key debug_keys[] = {
	CONF_KEY("stall_worker", INT, struct config, debug.stall_worker,
		 .max = CONFIG_MAX_THREADS - 1, .def = -1, .text = "none"),
};
static const struct conf_table debug_table =
	CONF_TABLE("debug", struct config, debug_keys, NULL);

/* --- cross-references --- */

/*
 * Converts an address to IPv6; an IPv4 address becomes a mapped one. NULL gives the
 * unspecified address, which stands for all addresses.
 */
static struct in6_addr address_of(const char *host)
{
	struct in6_addr address = in6addr_any;
	char mapped[64];

	if (host == NULL || inet_pton(AF_INET6, host, &address) == 1)
		return address;
	snprintf(mapped, sizeof(mapped), "::ffff:%s", host);
	(void)inet_pton(AF_INET6, mapped, &address);
	return address;
}

/* Does a listener on address a also listen on address b? */
static bool covers(const struct in6_addr *a, const struct in6_addr *b)
{
	static const struct in6_addr any_v4 = {{{[10] = 0xff, [11] = 0xff}}};

	return IN6_ARE_ADDR_EQUAL(a, b) || IN6_IS_ADDR_UNSPECIFIED(a) ||
	       (IN6_ARE_ADDR_EQUAL(a, &any_v4) && IN6_IS_ADDR_V4MAPPED(b));
}

/* Is it impossible to listen on both endpoints? */
static bool same_address(const struct config_endpoint *a, const struct config_endpoint *b)
{
	struct in6_addr x = address_of(a->host), y = address_of(b->host);

	if (a->type != b->type)
		return false;
	if (a->type == ENDPOINT_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && (covers(&x, &y) || covers(&y, &x));
}

/*
 * Adds errors if an earlier listener has l's name or address, or if an authenticator has
 * l's address.
 */
static void check_conflicts(struct conf *c, const struct config *cfg,
			    const struct config_listener *l)
{
	const struct config_endpoint *endpoint = &l->endpoint;
	const void *address = endpoint->type == ENDPOINT_UNIX
				      ? (const void *)&endpoint->path
				      : &endpoint->port;

	for (const struct config_listener *other = cfg->listeners; other < l; other++) {
		if (conf_broken(c, other))
			continue;
		if (strcmp(l->name, other->name) == 0)
			conf_fail(c, &l->name, "another transport has the id '%s'",
				  l->name);
		if (same_address(&other->endpoint, endpoint))
			conf_fail(c, address,
				  "the transport '%s' already listens on this address",
				  other->name);
	}
	/* The listener would replace the socket file of the authenticator. */
	for (size_t i = 0; endpoint->type == ENDPOINT_UNIX && i < cfg->n_authenticators;
	     i++) {
		const struct config_authenticator *a = &cfg->authenticators[i];

		if (!conf_broken(c, a) && strcmp(a->socket, endpoint->path) == 0)
			conf_fail(c, address, "the authenticator '%s' uses this socket",
				  a->name);
	}
}

static void check_authorizers(struct conf *c, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_realms; i++)
		for (size_t k = 0; k < cfg->realms[i].n_roles; k++) {
			const struct config_role *role = &cfg->realms[i].roles[k];

			if (role->authorizer != NULL)
				(void)config_authenticator_named(c, cfg,
								 &role->authorizer);
		}
}

/*
 * Each thread gets a part of incomplete_total, which must hold the largest message that a
 * listener accepts.
 */
static void check_incomplete(struct conf *c, const struct config *cfg)
{
	size_t threads = cfg->threads == 0 ? 1 : (size_t)cfg->threads, largest = 0;

	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (cfg->listeners[i].options.max_message_size > largest)
			largest = cfg->listeners[i].options.max_message_size;
	if (cfg->limits.incomplete_total / threads < largest)
		conf_fail(c, &cfg->limits.incomplete_total,
			  "'incomplete_total' must be at least %zu bytes: it is divided "
			  "among %zu threads, and a transport's max_message_size is %zu "
			  "bytes",
			  largest * threads, threads, largest);
}

/* Nothing divides history_total at run time: it must hold all histories at once. */
static void check_history_total(struct conf *c, const struct config *cfg)
{
	size_t sum = 0;

	for (size_t i = 0; i < cfg->n_realms; i++)
		for (size_t k = 0; k < cfg->realms[i].n_history; k++)
			sum += cfg->realms[i].history[k].bytes;
	if (sum > cfg->limits.history_total)
		conf_fail(
			c, &cfg->limits.history_total,
			"'history_total' must be at least %zu bytes, the sum of 'bytes' "
			"of all histories, but is %zu",
			sum, cfg->limits.history_total);
}

static void set_default_names(struct conf *c, struct config *cfg)
{
	char name[256] = "";

	for (size_t i = 0; i < cfg->n_listeners; i++) {
		snprintf(name, sizeof(name), "listener%zu", i);
		if (cfg->listeners[i].name == NULL)
			cfg->listeners[i].name = conf_text(c, name);
	}
	if (cfg->node != NULL)
		return;
	/* The node's name is sent in messages, so it must be UTF-8. */
	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0' ||
	    !utf8_valid(slice_str(name)))
		snprintf(name, sizeof(name), "routerd");
	cfg->node = conf_text(c, name);
}

/*
 * Skips each check that depends on a value with an error: the check might report an error
 * that only follows from the first one.
 */
static void check_config(struct conf *c, void *map)
{
	struct config *cfg = map;

	set_default_names(c, cfg);
	config_node_key_read(c, cfg);
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		struct config_listener *l = &cfg->listeners[i];

		if (conf_broken(c, l) || l->name == NULL)
			continue;
		check_conflicts(c, cfg, l);
		config_auth_resolve(c, cfg, &l->auth);
	}
	if (!conf_broken(c, &cfg->authenticators) && !conf_broken(c, &cfg->realms))
		check_authorizers(c, cfg);
	check_incomplete(c, cfg);
	if (!conf_broken(c, &cfg->realms))
		check_history_total(c, cfg);
	if (!conf_broken(c, NULL))
		config_warn(c, cfg);
}

static const struct conf_key config_keys[] = {
	CONF_NUMBER(INT, struct config, version, 2, 2, 2),
	CONF_KEY("threads", INT, struct config, threads, .min = 1,
		 .max = CONFIG_MAX_THREADS, .text = "auto"),
	CONF_KEY("node", STRING, struct config, node, .max = 255),
	CONF_KEY("node_key_file", STRING, struct config, node_key_file, .text = NULL),
	CONF_ARRAY_KEY("realms", LIST, struct config, realms, n_realms,
		       struct config_realm, .required = true, .names_differ = true,
		       .reloads = true, .min = 1, .max = CONFIG_MAX_REALMS,
		       .table = &config_realm_table),
	CONF_ARRAY_KEY("authenticators", NAMED, struct config, authenticators,
		       n_authenticators, struct config_authenticator,
		       .max = CONFIG_MAX_AUTHENTICATORS, .rule = &config_id_rule,
		       .table = &authenticator_table),
	CONF_ARRAY_KEY("transports", LIST, struct config, listeners, n_listeners,
		       struct config_listener, .required = true, .min = 1,
		       .max = CONFIG_MAX_LISTENERS, .table = &config_listener_table),
	CONF_KEY_OF("limits", MAP, struct config, limits, struct config_limits,
		    .table = &limits_table),
	CONF_KEY_OF("log", MAP, struct config, log, struct conf_log,
		    .table = &conf_log_table),
	{.name = "debug", .type = CONF_MAP, .at = 0, .table = &debug_table},
};
const struct conf_table config_table = {
	.what = "the file",
	.size = sizeof(struct config),
	.keys = config_keys,
	.n_keys = ARRAY_LEN(config_keys),
	.check = check_config,
	.check_anyway = true,
	.foreign = config_foreign,
};

/* --- public functions --- */

int config_parse(struct slice text, const char *name, struct config **out,
		 struct conf_error *errors_out)
{
	struct pool pool;
	void *map;
	int err = conf_parse(text, name, &config_table, &map, &pool, errors_out);

	if (err != 0)
		return err;
	*out = map;
	(*out)->pool = pool;
	return 0;
}

int config_load(const char *path, struct config **out, struct conf_error *errors_out)
{
	struct buf text;
	int err = conf_read(path, &text, errors_out);

	if (err == 0)
		err = config_parse(buf_slice(&text), path, out, errors_out);
	buf_fini(&text);
	return err;
}

void config_free(struct config **cp)
{
	struct config *cfg = *cp;

	*cp = NULL;
	if (cfg == NULL)
		return;
	struct pool pool = cfg->pool; /* cfg itself is allocated from it */
	pool_fini(&pool);
}

bool config_origin_allowed(const struct config_listener *l, struct slice origin)
{
	const struct conf_strings *patterns = &l->options.allowed_origins;

	if (patterns->count == 0 ||
	    http_origin_allowed(origin, patterns->items, patterns->count))
		return true;
	return l->options.allow_null_origin && slice_eq_str(origin, "null");
}
