/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the realms of the configuration with their roles and permissions; see config.h.
 * No state; any thread.
 */
#include "common/err.h"
#include "proto/wamp.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

enum { MAX_NAME = 255 }; /* bytes of the name of a realm or role */
#define HISTORY_MAX_AGE (INT64_C(30) * 24 * 3600 * 1000) /* 30 days in ms */

/* The names of realms and roles are sent in messages as URIs. */
static bool is_name(const char *text)
{
	return uri_valid(slice_str(text));
}
static const struct conf_rule name_rule = {
	is_name, "'name' must be a URI, such as realm1 or com.example.devices: no "
		 "spaces, no '#', no empty components"};

/* --- permissions --- */

#define ALLOW(key, action)                                                               \
	CONF_KEY(key, BOOL, struct permission, allow[action], .def = false)
static const struct conf_key allow_keys[] = {
	ALLOW("call", ACTION_CALL),
	ALLOW("register", ACTION_REGISTER),
	ALLOW("publish", ACTION_PUBLISH),
	ALLOW("subscribe", ACTION_SUBSCRIBE),
};
static const struct conf_table allow_table =
	CONF_TABLE("allow", struct permission, allow_keys, NULL);

/* true and false do what they do in Crossbar. */
static const char *const disclosures[] = {
	[DISCLOSURE_ALLOW] = "allow",
	[DISCLOSURE_FORCE] = "true",
	[DISCLOSURE_IGNORE] = "false",
	[DISCLOSURE_REFUSE] = "refuse",
	NULL,
};
#define DISCLOSE(key, action)                                                            \
	CONF_KEY_OF(key, ENUM, struct permission, disclose[action], enum disclosure,     \
		    .names = disclosures)
static const struct conf_key disclose_keys[] = {
	DISCLOSE("caller", ACTION_CALL),
	DISCLOSE("publisher", ACTION_PUBLISH),
};
static const struct conf_table disclose_table =
	CONF_TABLE("disclose", struct permission, disclose_keys, NULL);

/* Is each star a whole component? */
static bool stars_are_components(const char *uri)
{
	for (const char *p = uri; *p != '\0'; p++)
		if (*p == '*' &&
		    ((p > uri && p[-1] != '.') || (p[1] != '.' && p[1] != '\0')))
			return false;
	return true;
}

/* Crossbar's notation: without `match`, stars in the URI define how it matches. */
static void convert_stars(struct conf *c, struct permission *p)
{
	const char *star = strchr(p->uri, '*');
	char plain[WAMP_MAX_URI + 1];
	size_t n = 0;

	p->match = star == NULL      ? MATCH_EXACT
		   : star[1] == '\0' ? MATCH_PREFIX
				     : MATCH_WILDCARD;
	for (const char *from = p->uri; *from != '\0'; from++)
		if (*from != '*')
			plain[n++] = *from;
	plain[n] = '\0';
	p->uri = conf_text(c, plain);
}

/*
 * Can any URI match this pattern? Makes one that does, with "x" for the open parts, and
 * checks whether it is valid.
 */
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

static void check_permission(struct conf *c, void *map)
{
	static const char *const right[] = {
		[MATCH_EXACT] = "expected a URI, such as com.example.procedure; for all "
				"URIs use uri: \"\" and match: prefix; com..created "
				"needs match: wildcard",
		[MATCH_PREFIX] = "expected the beginning of a URI, such as com.example.",
		[MATCH_WILDCARD] = "expected a URI with empty components, such as "
				   "com..created",
	};
	struct permission *p = map;
	const char *star = strchr(p->uri, '*');

	if (p->match == -1 && star != NULL && star[1] != '\0' &&
	    !stars_are_components(p->uri)) {
		conf_fail(c, &p->uri,
			  "'uri': expected each '*' in place of a whole component, as in "
			  "com.*.created, or one '*' at the end, as in com.example.*");
		return;
	}
	if (p->match > MATCH_EXACT && star != NULL) {
		conf_fail(c, &p->uri,
			  "'uri': '*' is for permissions without 'match': leave out "
			  "'match', or write the pattern without '*'");
		return;
	}
	if (p->match == -1)
		convert_stars(c, p);
	if (p->uri != NULL && !pattern_valid((enum match)p->match, p->uri))
		conf_fail(c, &p->uri, "'uri': %s", right[p->match]);
}

static const struct conf_key permission_keys[] = {
	CONF_KEY("uri", STRING, struct permission, uri, .required = true,
		 .may_be_empty = true, .max = WAMP_MAX_URI),
	CONF_KEY_OF("match", ENUM, struct permission, match, int, .names = match_names,
		    .def = -1),
	/* The fields of these maps are in struct permission itself. */
	{.name = "allow", .type = CONF_MAP, .at = 0, .table = &allow_table},
	{.name = "disclose", .type = CONF_MAP, .at = 0, .table = &disclose_table},
	CONF_KEY("trust_level", INT, struct permission, trust_level,
		 .max = RIGHTS_MAX_TRUST_LEVEL, .text = "none", .def = -1),
};
static const struct conf_table permission_table = CONF_TABLE(
	"the permission", struct permission, permission_keys, check_permission);

/* --- roles and realms --- */

static void check_role(struct conf *c, void *map)
{
	struct config_role *role = map;
	struct rights *rights;
	size_t duplicate;

	if (role->authorizer != NULL && conf_given(c, &role->permissions))
		conf_fail(c, &role->authorizer,
			  "a role must not have both 'permissions' and 'authorizer': "
			  "leave out one of the two");
	int err = rights_new(role->permissions, role->n_permissions, &rights, &duplicate);

	/* Only check here: policy_new compiles the permissions again for use. */
	rights_unref(&rights);
	if (err == E_EXISTS)
		conf_fail(c, &role->permissions[duplicate].uri,
			  "another permission has the same uri and match: merge the two");
	else if (err != 0)
		conf_nomem(c);
}

static const struct conf_key role_keys[] = {
	CONF_KEY("name", STRING, struct config_role, name, .required = true,
		 .max = MAX_NAME, .rule = &name_rule),
	CONF_ARRAY_KEY("permissions", LIST, struct config_role, permissions,
		       n_permissions, struct permission, .max = CONFIG_MAX_PERMISSIONS,
		       .table = &permission_table),
	CONF_KEY("authorizer", STRING, struct config_role, authorizer, .rule = NULL),
};
static const struct conf_table role_table =
	CONF_TABLE("the role", struct config_role, role_keys, check_role);

/* --- histories --- */

static void check_history(struct conf *c, void *map)
{
	static const char *const right[] = {
		[MATCH_EXACT] = "expected a URI, such as com.example.topic; a pattern "
				"needs 'match'",
		[MATCH_PREFIX] = "expected the beginning of a URI, such as com.example.",
		[MATCH_WILDCARD] = "expected a URI with empty components, such as "
				   "com..created, and at most 32 components",
	};
	struct config_history *h = map;

	if (uri_fault(h->match, slice_str(h->uri)) != NULL)
		conf_fail(c, &h->uri, "'uri': %s", right[h->match]);
	else if (strchr(h->uri, '*') != NULL &&
		 (h->match != MATCH_EXACT || !conf_given(c, &h->match)))
		/* In a permission the star makes a pattern; here it would match nothing.
		 */
		conf_fail(c, &h->uri,
			  "'uri': '*' means nothing special here: for a pattern write "
			  "match: prefix and uri: com.example., or match: wildcard and "
			  "uri: com..created");
}

static const struct conf_key history_keys[] = {
	CONF_KEY("uri", STRING, struct config_history, uri, .required = true,
		 .may_be_empty = true, .max = WAMP_MAX_URI),
	CONF_KEY_OF("match", ENUM, struct config_history, match, enum match,
		    .names = match_names),
	CONF_NUMBER(INT, struct config_history, limit, 1, 100000, 1000),
	CONF_NUMBER(SIZE, struct config_history, bytes, 4096, INT64_C(1) << 40, MIB),
	CONF_KEY("age", MS, struct config_history, age, .max = HISTORY_MAX_AGE, .def = 0,
		 .text = "none"),
};
static const struct conf_table history_table =
	CONF_TABLE("the history", struct config_history, history_keys, check_history);

static const char *const call_timeout_units[] = {
	[CALL_TIMEOUT_IN_MS] = "ms",
	[CALL_TIMEOUT_IN_S] = "s",
	NULL,
};
static const char *const goodbye_reasons[] = {
	[GOODBYE_AND_OUT] = WAMP_CLOSE_GOODBYE_AND_OUT,
	[GOODBYE_NORMAL] = WAMP_CLOSE_NORMAL,
	NULL,
};
#define HISTORY_KEY                                                                      \
	CONF_ARRAY_KEY("history", LIST, struct config_realm, history, n_history,         \
		       struct config_history, .max = CONFIG_MAX_HISTORY,                 \
		       .table = &history_table)
static const struct conf_key realm_option_keys[] = {
	CONF_KEY_OF("call_timeout_unit", ENUM, struct config_realm,
		    options.call_timeout_unit, enum call_timeout_unit,
		    .names = call_timeout_units),
	CONF_KEY_OF("goodbye_reason", ENUM, struct config_realm, options.goodbye_reason,
		    enum goodbye_reason, .names = goodbye_reasons),
	CONF_KEY("call_queue", INT, struct config_realm, options.call_queue,
		 .max = 1000000, .def = 0),
	CONF_KEY("call_queue_size", SIZE, struct config_realm, options.call_queue_size,
		 .min = 1024, .max = 1 << 30, .def = 1 << 20),
	CONF_KEY("call_queue_total", SIZE, struct config_realm, options.call_queue_total,
		 .min = 1024, .max = INT64_C(1) << 40, .def = 64 << 20),
	CONF_KEY("retained_topics", INT, struct config_realm, options.retained_topics,
		 .max = 10000, .def = 10000),
	CONF_KEY("retained_size", SIZE, struct config_realm, options.retained_size,
		 .min = 1024, .max = INT64_C(1) << 40, .def = 64 << 20),
	CONF_KEY("retained_age", MS, struct config_realm, options.retained_age,
		 .max = INT64_C(30) * 24 * 3600 * 1000, .def = 0, .text = "none"),
	HISTORY_KEY,
};
/* Two histories of one topic or pattern would be two subscriptions to it. */
static void check_histories(struct conf *c, const struct config_realm *realm)
{
	for (size_t i = 0; i < realm->n_history; i++)
		for (size_t k = 0; k < i; k++)
			if (realm->history[i].match == realm->history[k].match &&
			    strcmp(realm->history[i].uri, realm->history[k].uri) == 0)
				conf_fail(c, &realm->history[i].uri,
					  "another history has this uri and match: leave "
					  "out one of the two");
}

static void check_realm_options(struct conf *c, void *map)
{
	const struct config_realm *realm = map;
	const struct realm_options *o = &realm->options;

	if (o->call_queue_size > o->call_queue_total)
		conf_fail(c, &o->call_queue_size,
			  "'call_queue_size' is %zu bytes, but must be at most "
			  "'call_queue_total', which is %zu",
			  o->call_queue_size, o->call_queue_total);
	check_histories(c, realm);
}

static const struct conf_table realm_options_table =
	CONF_TABLE("the realm's options", struct config_realm, realm_option_keys,
		   check_realm_options);
static const struct conf_key realm_keys[] = {
	CONF_KEY("name", STRING, struct config_realm, name, .required = true,
		 .max = MAX_NAME, .rule = &name_rule),
	CONF_ARRAY_KEY("roles", LIST, struct config_realm, roles, n_roles,
		       struct config_role, .required = true, .names_differ = true,
		       .min = 1, .max = CONFIG_MAX_ROLES, .table = &role_table),
	/* The table of the options says where in struct config_realm they are. */
	{.name = "options", .type = CONF_MAP, .at = 0, .table = &realm_options_table},
};
const struct conf_table config_realm_table =
	CONF_TABLE("the realm", struct config_realm, realm_keys, NULL);

bool config_history_differs(const struct config_realm *a, const struct config_realm *b)
{
	static const struct conf_key keys[] = {HISTORY_KEY};
	static const struct conf_table table =
		CONF_TABLE("the realm", struct config_realm, keys, NULL);
	struct buf names;

	buf_init(&names, sizeof("history"));
	conf_changes(&table, a, b, &names);
	bool differs = names.len > 0 || names.err != 0;
	buf_fini(&names);
	return differs;
}
