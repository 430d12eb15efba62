/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warns about settings that have no effect, or that allow more than the user probably
 * wants; see config.h. Runs after a file was read without errors. No state; any thread.
 */
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <sys/resource.h>

/* --- transports --- */

static bool has_origin(const struct config_options *o, const char *origin)
{
	for (size_t i = 0; i < o->allowed_origins.count; i++)
		if (strcmp(o->allowed_origins.items[i], origin) == 0)
			return true;
	return false;
}

static void warn_of_origins(struct conf *c, const struct config_listener *l)
{
	const struct config_options *o = &l->options;
	bool all = has_origin(o, "*"), none = o->allowed_origins.count == 0;

	if (l->auth.anonymous.type != -1 && l->type != LISTENER_RAWSOCKET &&
	    l->endpoint.type == ENDPOINT_TCP && none)
		conf_warn(c, &l->auth.anonymous.role,
			  "any web page can connect to this transport as an anonymous "
			  "client: list the origins that may connect in "
			  "'allowed_origins' of 'options'");
	if (l->auth.methods[METHOD_COOKIE].type != -1 && (none || all))
		conf_warn(
			c, &l->auth.methods[METHOD_COOKIE].type,
			"any web page can log in with the cookies of its visitors: list "
			"the site's own pages in 'allowed_origins' of 'options'");
	if (all && o->allowed_origins.count > 1)
		conf_warn(c, &o->allowed_origins,
			  "'allowed_origins': \"*\" allows all origins, so the others "
			  "have no effect");
	if (o->allow_null_origin && (all || none || has_origin(o, "null")))
		conf_warn(c, &o->allow_null_origin,
			  "'allow_null_origin' has no effect: 'allowed_origins' allows "
			  "null anyway");
}

static void warn_of_options(struct conf *c, const struct config_options *o)
{
	bool pings = o->auto_ping_interval != 0;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && conf_given(c, &o->max_connections) &&
	    (rlim_t)o->max_connections > files.rlim_max)
		conf_warn(c, &o->max_connections,
			  "'max_connections' is %d, but the system allows this process "
			  "only %llu descriptors: raise LimitNOFILE in the unit, or "
			  "ulimit -n",
			  o->max_connections, (unsigned long long)files.rlim_max);
	if (!pings && conf_given(c, &o->auto_ping_timeout))
		conf_warn(c, &o->auto_ping_timeout,
			  "'auto_ping_timeout' has no effect: auto_ping_interval is 0");
	if (!pings && o->rawsocket_ping)
		conf_warn(c, &o->rawsocket_ping,
			  "'rawsocket_ping' has no effect: auto_ping_interval is 0");
}

/*
 * An unknown principal gets parameters like those of the first one with the same variant
 * of SCRAM.
 */
static void warn_of_parameters(struct conf *c, const struct config_method *m)
{
	for (size_t i = 0; i < m->n_principals; i++) {
		const struct config_principal *who = &m->principals[i];
		unsigned variant = who->kdf == CONFIG_KDF_AUTOBAHN
					   ? 1u << CONFIG_KDF_AUTOBAHN
					   : ~(1u << CONFIG_KDF_AUTOBAHN);
		const struct config_principal *first =
			config_principal_of_kdfs(m, variant);

		if (first == NULL ||
		    (who->kdf == first->kdf && who->iterations == first->iterations &&
		     who->memory == first->memory &&
		     who->scram_salt_len == first->scram_salt_len))
			continue;
		conf_warn(c, &who->authid,
			  "clients can find out that this principal exists: its kdf, "
			  "iterations, memory or length of salt differ from those of "
			  "'%s': give all the same",
			  conf_quote(first->authid).text);
		break;
	}
}

/*
 * An unknown user gets a salt if the first user has one. If others differ, clients find
 * out that they exist.
 */
static void warn_of_salts(struct conf *c, const struct config_method *m)
{
	const struct config_principal *first = m->principals;

	for (size_t i = 1; i < m->n_principals; i++) {
		const struct config_principal *who = &m->principals[i];

		if ((who->salt != NULL) == (first->salt != NULL) &&
		    who->iterations == first->iterations &&
		    who->keylen == first->keylen &&
		    (who->salt == NULL || strlen(who->salt) == strlen(first->salt)))
			continue;
		conf_warn(c, &who->authid,
			  "clients can find out that this user exists: its iterations, "
			  "keylen or length of salt differ from those of '%s': give "
			  "all the same",
			  conf_quote(first->authid).text);
		break;
	}
}

/* --- authenticators --- */

/*
 * The longest time in ms that a client may wait at a transport with this authenticator,
 * or with any authenticator (-1). 0: there is no such transport.
 */
static uint32_t longest_login(const struct config *cfg, int authenticator)
{
	uint32_t ms = 0;

	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct config_listener *l = &cfg->listeners[i];

		if (config_auth_asks(&l->auth, authenticator) &&
		    l->options.open_handshake_timeout > ms)
			ms = l->options.open_handshake_timeout;
	}
	return ms;
}

static void warn_of_timeout(struct conf *c, const char *key, const uint32_t *timeout,
			    uint32_t login)
{
	if (conf_given(c, timeout) && login > 0 && *timeout > login)
		conf_warn(c, timeout,
			  "'%s' has no effect: open_handshake_timeout ends each login "
			  "after %u ms",
			  key, login);
}

/* Does a transport that asks for client certificates ask this authenticator? */
static bool sees_certificates(const struct config *cfg, int authenticator)
{
	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (config_auth_asks(&cfg->listeners[i].auth, authenticator) &&
		    cfg->listeners[i].endpoint.tls.clients > CONFIG_CLIENTS_OFF)
			return true;
	return false;
}

static void warn_of_authenticator(struct conf *c, const struct config *cfg, size_t i)
{
	const struct config_authenticator *a = &cfg->authenticators[i];
	uint32_t login = longest_login(cfg, (int)i);

	if (a->forward_client_cert && !sees_certificates(cfg, (int)i))
		conf_warn(c, &a->forward_client_cert,
			  "'forward_client_cert' has no effect: no transport with this "
			  "authenticator asks for client certificates");
	if (config_is_authorizer(cfg, a->name))
		/* Its timeout also applies to requests of sessions, so it has an effect.
		 */
		return;
	if (login == 0)
		conf_warn(c, &a->name,
			  "this authenticator has no effect: no transport and no role "
			  "names it");
	warn_of_timeout(c, "timeout", &a->timeout, login);
}

/* --- realms --- */

/* Does some static method have a principal with this role in this realm? */
static bool has_principal(const struct config *cfg, const struct config_auth *auth,
			  size_t realm, const char *role)
{
	const char *realm_name = cfg->realms[realm].name;

	for (size_t m = 0; m < METHOD_COUNT; m++)
		for (size_t i = 0; i < auth->methods[m].n_principals; i++) {
			const struct config_principal *who =
				&auth->methods[m].principals[i];

			if ((who->realm == NULL || strcmp(who->realm, realm_name) == 0) &&
			    strcmp(who->role, role) == 0)
				return true;
		}
	return false;
}

static bool may_get(const struct config *cfg, size_t realm, const char *role)
{
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct config_auth *auth = &cfg->listeners[i].auth;
		int its = auth->anonymous.realm_index;

		/* An authenticator may assign any role in any realm. */
		if (config_auth_asks(auth, -1) || has_principal(cfg, auth, realm, role) ||
		    (auth->anonymous.type != -1 && (its == -1 || its == (int)realm) &&
		     strcmp(auth->anonymous.role, role) == 0))
			return true;
	}
	return false;
}

static void warn_of_reserved(struct conf *c, const struct permission *p)
{
	bool wamp_itself = strcmp(p->uri, "wamp") == 0 && p->match != MATCH_PREFIX;

	/* the prefix "wamp" also matches "wampum", which is not reserved */
	if (!wamp_itself && strncmp(p->uri, "wamp.", 5) != 0)
		return;
	if (p->allow[ACTION_PUBLISH])
		conf_warn(c, &p->uri,
			  "'publish' has no effect here: clients cannot publish to URIs "
			  "whose first component is \"wamp\"");
	/* Without it, rights_pattern_rule would forbid such patterns. */
	if (p->allow[ACTION_REGISTER])
		conf_warn(
			c, &p->uri,
			"'register' matters here only for patterns that also match other "
			"URIs: URIs whose first component is \"wamp\" are reserved");
}

static void warn_of_role(struct conf *c, const struct config_role *role)
{
	static const bool nothing[ACTION_COUNT];
	bool any = role->authorizer != NULL;

	for (size_t i = 0; i < role->n_permissions; i++) {
		const struct permission *p = &role->permissions[i];

		any = any || memcmp(p->allow, nothing, sizeof(nothing)) != 0;
		warn_of_reserved(c, p);
	}
	if (!any)
		conf_warn(c, &role->name,
			  "this role allows nothing: give it a permission that allows an "
			  "action");
}

static void warn_of_realm(struct conf *c, const struct config *cfg, size_t i)
{
	const struct config_realm *realm = &cfg->realms[i];
	size_t reached = 0;

	for (size_t k = 0; k < realm->n_roles; k++)
		reached += may_get(cfg, i, realm->roles[k].name);
	if (reached == 0)
		conf_warn(c, &realm->name,
			  "no client can join this realm: no transport assigns any of "
			  "its roles");
	for (size_t k = 0; k < realm->n_roles && reached > 0; k++)
		if (may_get(cfg, i, realm->roles[k].name))
			warn_of_role(c, &realm->roles[k]);
		else
			conf_warn(c, &realm->roles[k].name,
				  "no client can get this role: no transport assigns it");
}

/*
 * hold_timeout applies to logins, and to requests that wait for an authorizer. The latter
 * wait no longer than the authorizer's own timeout.
 */
static void warn_of_hold_timeout(struct conf *c, const struct config *cfg)
{
	const uint32_t *hold = &cfg->limits.hold_timeout;
	uint32_t login = longest_login(cfg, -1), authorizer = 0;

	for (size_t i = 0; i < cfg->n_authenticators; i++) {
		const struct config_authenticator *a = &cfg->authenticators[i];

		if (config_is_authorizer(cfg, a->name) && a->timeout > authorizer)
			authorizer = a->timeout;
	}
	if (authorizer == 0)
		warn_of_timeout(c, "hold_timeout", hold, login);
	else if (conf_given(c, hold) && *hold > login && *hold > authorizer)
		conf_warn(c, hold,
			  "'hold_timeout' has no effect: requests wait for an authorizer "
			  "for at most %u ms, its timeout, and open_handshake_timeout "
			  "ends each login after %u ms",
			  authorizer, login);
}

void config_warn(struct conf *c, const struct config *cfg)
{
	const struct config_limits *l = &cfg->limits;
	size_t threads = cfg->threads == 0 ? 1 : (size_t)cfg->threads;

	for (size_t i = 0; i < cfg->n_realms; i++)
		warn_of_realm(c, cfg, i);
	for (size_t i = 0; i < cfg->n_authenticators; i++)
		warn_of_authenticator(c, cfg, i);
	warn_of_hold_timeout(c, cfg);
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		warn_of_origins(c, &cfg->listeners[i]);
		warn_of_options(c, &cfg->listeners[i].options);
		warn_of_salts(c, &cfg->listeners[i].auth.methods[METHOD_WAMPCRA]);
		warn_of_parameters(c, &cfg->listeners[i].auth.methods[METHOD_SCRAM]);
	}
	if (conf_given(c, &l->queue_size) && l->queue_size > l->queued_total / threads)
		conf_warn(c, &l->queue_size,
			  "'queue_size' has no effect: queued_total limits all queues of "
			  "a thread together to %zu bytes",
			  l->queued_total / threads);
	/* last, because these may be so many that others would find no room */
	for (size_t i = 0; i < cfg->n_realms; i++)
		for (size_t k = 0; k < cfg->realms[i].n_roles; k++)
			config_warn_of_crossbar(c, &cfg->realms[i].roles[k]);
}
