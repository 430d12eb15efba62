/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's realms, their roles and their permissions; see config.h. Runs
 * while a file is read; no state.
 */
#include "common/err.h"
#include "proto/wamp.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"
#include "routerd/config/rights.h"

#include <stdlib.h>

enum { MAX_NAME = 255 }; /* bytes, of realms and roles */

/* Names of realms and roles travel in messages as URIs do. */
static bool is_name(const char *text)
{
	return uri_valid(slice_str(text));
}
static const struct conf_rule name_rule = {
	is_name, "a name must be a URI, such as realm1 or com.example.devices: without "
		 "spaces, '#' and empty components"};

/* --- permissions --- */

static const struct conf_key allow_keys[] = {
	CONF_KEY("call", BOOL, struct config_permission, allow.call, .def = false),
	CONF_KEY("register", BOOL, struct config_permission, allow.register_,
		 .def = false),
	CONF_KEY("publish", BOOL, struct config_permission, allow.publish, .def = false),
	CONF_KEY("subscribe", BOOL, struct config_permission, allow.subscribe,
		 .def = false),
};
static const struct conf_table allow_table =
	CONF_TABLE("allow", struct config_permission, allow_keys, NULL);

static const struct conf_key disclose_keys[] = {
	{.name = "caller", .type = CONF_FIXED, .def = false},
	{.name = "publisher", .type = CONF_FIXED, .def = false},
};
static const struct conf_table disclose_table =
	CONF_TABLE("disclose", struct config_permission, disclose_keys, NULL);

/* Does each star have a component for itself? */
static bool stars_are_components(const char *uri)
{
	for (const char *p = uri; *p != '\0'; p++)
		if (*p == '*' &&
		    ((p > uri && p[-1] != '.') || (p[1] != '.' && p[1] != '\0')))
			return false;
	return true;
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
	p->match = star[1] == '\0' ? MATCH_PREFIX : MATCH_WILDCARD;
	if (p->match == MATCH_WILDCARD && !stars_are_components(p->uri))
		return conf_fail(c, &p->uri,
				 "'uri': a star stands for a whole component, as in "
				 "com.*.created, or for any end, as in com.example.*");
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

/* Can any URI match this? Asked of one that does, with "x" where the pattern is open. */
static bool pattern_valid(enum match match, const char *pattern)
{
	char uri[2 * WAMP_MAX_URI + 2];
	size_t n = 0;

	for (const char *p = pattern; *p != '\0'; p++) {
		if (match == MATCH_WILDCARD && *p == '.' && (n == 0 || uri[n - 1] == '.'))
			uri[n++] = 'x';
		uri[n++] = *p;
	}
	if (match == MATCH_PREFIX ||
	    (match == MATCH_WILDCARD && (n == 0 || uri[n - 1] == '.')))
		uri[n++] = 'x';
	return uri_valid(slice_of(uri, n));
}

static int check_permission(struct conf *c, void *map)
{
	static const char *const right[] = {
		[MATCH_EXACT] = "expected a URI, such as com.example.procedure; for all "
				"URIs say uri: \"\" and match: prefix",
		[MATCH_PREFIX] = "expected how URIs begin, such as com.example.",
		[MATCH_WILDCARD] = "expected a URI with empty components, such as "
				   "com..created",
	};
	struct config_permission *p = map;

	if (p->match == -1) {
		int r = convert_stars(c, p);
		if (r != 0)
			return r;
	} else if (p->match != MATCH_EXACT && strchr(p->uri, '*') != NULL) {
		return conf_fail(
			c, &p->uri,
			"'uri': stars are for permissions without 'match'; leave "
			"out one of the two");
	}
	if (!pattern_valid((enum match)p->match, p->uri))
		return conf_fail(c, &p->uri, "'uri': %s", right[p->match]);
	return 0;
}

static const char *const matches[] = {
	[MATCH_EXACT] = "exact",
	[MATCH_PREFIX] = "prefix",
	[MATCH_WILDCARD] = "wildcard",
	[MATCH_COUNT] = NULL,
};
static const struct conf_key permission_keys[] = {
	CONF_KEY("uri", TEXT, struct config_permission, uri, .required = true,
		 .max = WAMP_MAX_URI),
	CONF_KEY_OF("match", ENUM, struct config_permission, match, int, .names = matches,
		    .def = -1),
	/* the four answers lie in the permission itself */
	{.name = "allow", .type = CONF_MAP, .at = 0, .table = &allow_table},
	{.name = "disclose", .type = CONF_MAP, .at = 0, .table = &disclose_table},
	/* Crossbar keeps its decisions; here they are compiled */
	{.name = "cache", .type = CONF_IGNORED},
	{.name = "validate", .type = CONF_UNSUPPORTED},
};
static const struct conf_table permission_table = CONF_TABLE(
	"the permission", struct config_permission, permission_keys, check_permission);

/* --- roles --- */

static struct permission rights_of(const struct config_permission *p)
{
	return (struct permission){
		.uri = slice_str(p->uri),
		.match = (enum match)p->match,
		.allow = {[ACTION_CALL] = p->allow.call,
			  [ACTION_REGISTER] = p->allow.register_,
			  [ACTION_PUBLISH] = p->allow.publish,
			  [ACTION_SUBSCRIBE] = p->allow.subscribe},
	};
}

static int compile_rights(struct conf *c, struct config_role *role)
{
	size_t n = role->n_permissions, duplicate;
	struct permission *list = calloc(n + 1, sizeof(*list));
	struct rights *rights;

	if (list == NULL)
		return conf_fail_nomem(c);
	for (size_t i = 0; i < n; i++)
		list[i] = rights_of(&role->permissions[i]);
	int r = rights_new(conf_pool(c), list, n, &rights, &duplicate);
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

static int check_role(struct conf *c, void *map)
{
	return compile_rights(c, map);
}

static const struct conf_key role_keys[] = {
	CONF_KEY("name", STRING, struct config_role, name, .required = true,
		 .max = MAX_NAME, .rule = &name_rule),
	CONF_ARRAY_KEY("permissions", LIST, struct config_role, permissions,
		       n_permissions, struct config_permission,
		       .max = CONFIG_MAX_PERMISSIONS, .table = &permission_table),
	{.name = "authorizer",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not supported yet: list 'permissions' instead"},
	{.name = "allow-by-default",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not supported: a permission with uri: \"\" and match: prefix "
		 "speaks of everything"},
};
static const struct conf_table role_table =
	CONF_TABLE("the role", struct config_role, role_keys, check_role);

/* --- realms --- */

static const struct conf_key realm_options_keys[] = {
	{.name = "event_dispatching_chunk_size", .type = CONF_IGNORED},
	{.name = "uri_check",
	 .type = CONF_UNSUPPORTED,
	 .text = "is not supported: URIs are checked by the loose rule; leave it out"},
	{.name = "enable_meta_api", .type = CONF_FIXED, .def = false},
	{.name = "bridge_meta_api", .type = CONF_FIXED, .def = false},
};
static const struct conf_table realm_options_table =
	CONF_TABLE("options", struct config_realm, realm_options_keys, NULL);

static int check_realm(struct conf *c, void *map)
{
	const struct config_realm *realm = map;
	int r = 0;

	for (size_t i = 0; i < realm->n_roles; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(realm->roles[i].name, realm->roles[k].name) == 0)
				r = conf_fail(
					c, &realm->roles[i].name,
					"this realm has a role '%s' already",
					log_quote_text(slice_str(realm->roles[i].name))
						.text);
	return r;
}

static const struct conf_key realm_keys[] = {
	CONF_KEY("name", STRING, struct config_realm, name, .required = true,
		 .max = MAX_NAME, .rule = &name_rule),
	CONF_ARRAY_KEY("roles", LIST, struct config_realm, roles, n_roles,
		       struct config_role, .required = true, .min = 1,
		       .max = CONFIG_MAX_ROLES, .table = &role_table),
	{.name = "options", .type = CONF_MAP, .at = 0, .table = &realm_options_table},
	{.name = "store", .type = CONF_UNSUPPORTED},
	{.name = "rlinks", .type = CONF_UNSUPPORTED},
};
const struct conf_table config_realm_table =
	CONF_TABLE("the realm", struct config_realm, realm_keys, check_realm);
