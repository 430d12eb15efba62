/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warns where Crossbar.io would decide differently about a URI, with the same
 * permissions; see config.h. Sites bring their permissions along, and overlaps are where
 * the two rules differ. No state; any thread.
 *
 * Crossbar.io keeps all permissions whose URI has no ".." in one map, and the others in
 * another map, by the text before the first "..". In both maps a later permission
 * replaces an earlier one with the same key. To decide about a URI, it takes the longest
 * key of the first map that the URI begins with. If that permission is a prefix, or its
 * URI is equal, it applies, otherwise none. Unless it is `exact` and applies, Crossbar.io
 * then takes the longest such key of the second map, and if that pattern matches the URI,
 * this permission applies instead. If none applies, the request is denied.
 *
 * Which permissions apply depends on the longest key that the URI begins with, and on at
 * most one pattern for each of the two rules. So it is enough to try, for each key and
 * each pair of patterns, the most general URIs that begin with the key and match the
 * patterns: their other parts are a text that occurs in no permission.
 */
#include "proto/wamp.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	/* Work for one role: permissions looked at, or components if these are more. A
	 * role with hundreds of patterns takes more; then not everything is tried. */
	WORK_MAX = 4 << 20,
	WARNINGS_MAX = 20, /* for one role */
};

static_assert(CONFIG_MAX_PERMISSIONS < RULE_NO_PERMISSION,
	      "a rule has the index of each permission");

/* A map of Crossbar.io. */
struct crossbar_key {
	struct slice text;
	const struct permission *permission;
	size_t up; /* index of the longest other key that this one begins with; or NONE */
};
struct crossbar_map {
	struct crossbar_key *keys; /* sorted */
	size_t n;
};
#define NONE SIZE_MAX

/* A pair that a warning was written about. */
struct reported_pair {
	const struct permission *ours, *theirs;
};

struct comparison {
	struct conf *conf;
	const struct config_role *role;
	struct rights *rights;
	struct crossbar_map plain, patterns;
	const struct permission **wildcards;
	size_t n_wildcards, parts_max;
	char fresh[2]; /* a text that occurs in no permission */
	size_t work;
	struct reported_pair reported[WARNINGS_MAX];
	size_t n_reported;
	bool unreported; /* there are more pairs */
};

/* --- Crossbar.io's rule --- */

static int compare_slices(struct slice a, struct slice b)
{
	size_t common = min_size(a.len, b.len);
	int order = common == 0 ? 0 : memcmp(a.p, b.p, common);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* By text, then in the order of the file. */
static int compare_keys(const void *x, const void *y)
{
	const struct crossbar_key *a = x, *b = y;
	int order = compare_slices(a->text, b->text);

	return order != 0 ? order
			  : (a->permission > b->permission) -
				    (a->permission < b->permission);
}

/* Follows `up` from a key to the first one that uri begins with. */
static size_t key_from(const struct crossbar_map *map, size_t i, struct slice uri)
{
	while (i != NONE && !uri_matches(MATCH_PREFIX, map->keys[i].text, uri))
		i = map->keys[i].up;
	return i;
}

static void sort_keys(struct crossbar_map *map)
{
	size_t n = 0;

	qsort(map->keys, map->n, sizeof(*map->keys), compare_keys);
	for (size_t i = 0; i < map->n; i++) {
		if (n > 0 && slice_eq(map->keys[n - 1].text, map->keys[i].text))
			n--; /* the later one replaces it */
		map->keys[n] = map->keys[i];
		map->keys[n].up = n == 0 ? NONE : key_from(map, n - 1, map->keys[n].text);
		n++;
	}
	map->n = n;
}

/* The longest key that uri begins with. NULL: there is none. */
static const struct crossbar_key *longest_key(const struct crossbar_map *map,
					      struct slice uri)
{
	size_t low = 0, high = map->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_slices(map->keys[middle].text, uri) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	size_t found = key_from(map, low == 0 ? NONE : low - 1, uri);
	return found == NONE ? NULL : &map->keys[found];
}

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/*
 * Crossbar.io ignores a pattern with a component that has other characters than these, or
 * that begins with '-' or '_'.
 */
static bool crossbar_reads(const char *pattern)
{
	for (const char *p = pattern; *p != '\0'; p++) {
		bool first = p == pattern || p[-1] == '.';

		if (*p != '.' && !is_lower_or_digit(*p) &&
		    (first || (*p != '_' && *p != '-')))
			return false;
	}
	return true;
}

struct crossbar_verdict {
	const struct permission *applies; /* NULL: none, so the request is denied */
	const struct permission *blame;   /* the one that the warning names */
};

static struct crossbar_verdict crossbar_decides(const struct comparison *cmp,
						struct slice uri)
{
	const struct crossbar_key *key = longest_key(&cmp->plain, uri);
	struct crossbar_verdict v = {0};

	if (key != NULL) {
		v.blame = key->permission;
		if (key->permission->match == MATCH_PREFIX || slice_eq(key->text, uri))
			v.applies = v.blame;
	}
	if (v.applies != NULL && v.applies->match == MATCH_EXACT)
		return v;
	key = longest_key(&cmp->patterns, uri);
	if (key == NULL)
		return v;
	if (crossbar_reads(key->permission->uri) &&
	    uri_matches(MATCH_WILDCARD, slice_str(key->permission->uri), uri))
		v.applies = v.blame = key->permission;
	else if (v.blame == NULL)
		v.blame = key->permission;
	return v;
}

/* --- the warning --- */

static bool allows_same(const struct permission *a, const struct permission *b)
{
	static const bool nothing[ACTION_COUNT];

	return memcmp(a == NULL ? nothing : a->allow, b == NULL ? nothing : b->allow,
		      sizeof(nothing)) == 0;
}

/* Writes "call, publish", or "nothing". */
static const char *allowed_text(const struct permission *p, char text[60])
{
	static const char *const names[] = {
		[ACTION_CALL] = "call",
		[ACTION_REGISTER] = "register",
		[ACTION_PUBLISH] = "publish",
		[ACTION_SUBSCRIBE] = "subscribe",
	};
	size_t n = 0;

	for (unsigned i = 0; i < ACTION_COUNT && p != NULL; i++)
		if (p->allow[i])
			n += (size_t)snprintf(text + n, 60 - n, "%s%s", n > 0 ? ", " : "",
					      names[i]);
	return n == 0 ? "nothing" : text;
}

/* Adds the pair to those reported. False if it is not new, or if there is no room. */
static bool is_new_pair(struct comparison *cmp, const struct permission *ours,
			const struct permission *theirs)
{
	for (size_t i = 0; i < cmp->n_reported; i++)
		if (cmp->reported[i].ours == ours && cmp->reported[i].theirs == theirs)
			return false;
	if (cmp->n_reported == WARNINGS_MAX) {
		cmp->unreported = true;
		return false;
	}
	cmp->reported[cmp->n_reported++] = (struct reported_pair){ours, theirs};
	return true;
}

static void compare_at(struct comparison *cmp, struct slice uri)
{
	const struct permission *all = cmp->role->permissions;
	char here[60], there[60], why[300];

	cmp->work += (1 + cmp->n_wildcards) * (1 + uri.len / 64);
	if (!uri_valid(uri))
		return;
	uint16_t i = rights_rule(cmp->rights, uri)->permission;
	struct crossbar_verdict v = crossbar_decides(cmp, uri);
	const struct permission *ours = i == RULE_NO_PERMISSION ? NULL : &all[i];

	if (ours == NULL || allows_same(ours, v.applies))
		return;
	/* Crossbar.io never applies it, so no other permission is to blame. */
	if (v.applies == NULL && ours->match == MATCH_WILDCARD &&
	    (strstr(ours->uri, "..") == NULL || !crossbar_reads(ours->uri)))
		v.blame = ours;
	if (!is_new_pair(cmp, ours, v.blame))
		return;
	if (v.blame == NULL || v.blame == ours)
		snprintf(why, sizeof(why), "ignore it");
	else
		snprintf(why, sizeof(why),
			 "%s the one in line %u (uri '%.200s', match %s)",
			 v.applies == NULL ? "apply none, because of" : "apply",
			 conf_line(cmp->conf, &v.blame->uri),
			 conf_quote(v.blame->uri).text, match_names[v.blame->match]);
	conf_warn(cmp->conf, &ours->uri,
		  "this permission decides about '%.200s', and allows %s. Crossbar.io "
		  "would %s, and allow %s",
		  log_quote_text(uri).text, allowed_text(ours, here), why,
		  allowed_text(v.applies, there));
}

/* --- the URIs to try --- */

/* A URI that is being made. */
struct trial {
	char text[2 * WAMP_MAX_URI];
	size_t len;
	bool ok; /* so far it fits, and all constraints can be met */
};

static void put(struct trial *t, const char *text, size_t len)
{
	t->ok = t->ok && t->len + len <= sizeof(t->text);
	if (t->ok && len > 0) {
		memcpy(t->text + t->len, text, len);
		t->len += len;
	}
}

static void try_it(struct comparison *cmp, const struct trial *t)
{
	if (t->ok)
		compare_at(cmp, slice_of(t->text, t->len));
}

/* Tries URIs that begin with key and that no pattern needs to match. */
static void try_key(struct comparison *cmp, struct slice key)
{
	struct trial t = {.ok = true};

	put(&t, (const char *)key.p, key.len);
	try_it(cmp, &t);
	put(&t, cmp->fresh, strlen(cmp->fresh));
	try_it(cmp, &t);
	/* more components than any pattern has */
	for (size_t i = 0; i < cmp->parts_max; i++) {
		put(&t, ".", 1);
		put(&t, cmp->fresh, strlen(cmp->fresh));
	}
	try_it(cmp, &t);
}

/* Takes the next component of *rest. False if there is none. */
static bool next_part(const char **rest, struct slice *part)
{
	if (*rest == NULL)
		return false;
	const char *end = strchrnul(*rest, '.');
	*part = slice_of(*rest, (size_t)(end - *rest));
	*rest = *end == '\0' ? NULL : end + 1;
	return true;
}

/*
 * Tries the most general URI that begins with key and matches a and, if it is not NULL,
 * b. If longer is set and key ends inside a component that no pattern fixes, the
 * component goes on after it. False if there is no such URI.
 */
static bool try_patterns(struct comparison *cmp, struct slice key, const char *a,
			 const char *b, bool longer)
{
	struct trial t = {.ok = true};
	struct slice of_a, of_b = slice_of(NULL, 0);
	bool first = true, both = b != NULL;

	while (t.ok && next_part(&a, &of_a)) {
		cmp->work++;
		if (both && !next_part(&b, &of_b))
			return false;
		if (of_a.len > 0 && of_b.len > 0 && !slice_eq(of_a, of_b))
			return false;
		put(&t, ".", first ? 0 : 1);
		first = false;
		struct slice fixed = of_a.len > 0 ? of_a : of_b;
		/* what the key says about this component */
		size_t from = min_size(t.len, key.len), n = from;

		while (n < key.len && key.p[n] != '.')
			n++;
		if (fixed.len > 0)
			put(&t, (const char *)fixed.p, fixed.len);
		else
			put(&t, (const char *)key.p + from, n - from);
		if (fixed.len == 0 && (n == from || (n == key.len && longer)))
			put(&t, cmp->fresh, strlen(cmp->fresh));
	}
	if (b != NULL || !t.ok ||
	    !uri_matches(MATCH_PREFIX, key, slice_of(t.text, t.len)))
		return false;
	try_it(cmp, &t);
	return true;
}

static void try_with_patterns(struct comparison *cmp, struct slice key)
{
	for (size_t i = 0; i < cmp->n_wildcards && cmp->work < WORK_MAX; i++) {
		const char *a = cmp->wildcards[i]->uri;

		if (!try_patterns(cmp, key, a, NULL, true))
			continue;
		try_patterns(cmp, key, a, NULL, false);
		for (size_t j = i + 1; j < cmp->n_wildcards; j++)
			if (try_patterns(cmp, key, a, cmp->wildcards[j]->uri, true))
				try_patterns(cmp, key, a, cmp->wildcards[j]->uri, false);
	}
}

static void try_all(struct comparison *cmp)
{
	const struct crossbar_map *maps[] = {&cmp->plain, &cmp->patterns};

	try_with_patterns(cmp, slice_of(NULL, 0));
	for (size_t m = 0; m < ARRAY_LEN(maps); m++)
		for (size_t i = 0; i < maps[m]->n && cmp->work < WORK_MAX; i++) {
			try_key(cmp, maps[m]->keys[i].text);
			try_with_patterns(cmp, maps[m]->keys[i].text);
		}
	if (cmp->unreported)
		conf_warn(cmp->conf, &cmp->role->name,
			  "Crossbar.io would decide differently for more than %d pairs "
			  "of this role's permissions: change those above, and check "
			  "again",
			  WARNINGS_MAX);
	else if (cmp->work >= WORK_MAX)
		conf_warn(cmp->conf, &cmp->role->name,
			  "this role has too many wildcards to compare all: Crossbar.io "
			  "may decide differently in other cases, too");
}

/* --- start --- */

/*
 * Finds a character that occurs in no permission of the role. False if each of those that
 * are tried occurs.
 */
static bool find_fresh(struct comparison *cmp)
{
	static const char order[] = "xyzwvutsrqponmlkjihgfedcba0123456789_-~";
	const struct config_role *role = cmp->role;

	for (const char *p = order; *p != '\0'; p++) {
		size_t i = 0;

		while (i < role->n_permissions &&
		       strchr(role->permissions[i].uri, *p) == NULL)
			i++;
		if (i == role->n_permissions) {
			cmp->fresh[0] = *p;
			return true;
		}
	}
	return false;
}

static size_t count_parts(const char *uri)
{
	size_t n = 1;

	for (; *uri != '\0'; uri++)
		n += *uri == '.';
	return n;
}

static void sort_permissions(struct comparison *cmp)
{
	for (size_t i = 0; i < cmp->role->n_permissions; i++) {
		const struct permission *p = &cmp->role->permissions[i];
		const char *dots = strstr(p->uri, "..");
		struct crossbar_map *map = dots == NULL ? &cmp->plain : &cmp->patterns;

		map->keys[map->n++] = (struct crossbar_key){
			.text = dots == NULL ? slice_str(p->uri)
					     : slice_of(p->uri, (size_t)(dots - p->uri)),
			.permission = p,
		};
		if (p->match != MATCH_WILDCARD)
			continue;
		cmp->wildcards[cmp->n_wildcards++] = p;
		if (count_parts(p->uri) > cmp->parts_max)
			cmp->parts_max = count_parts(p->uri);
	}
	sort_keys(&cmp->plain);
	sort_keys(&cmp->patterns);
}

void config_warn_of_crossbar(struct conf *c, const struct config_role *role)
{
	size_t n = role->n_permissions, duplicate;
	struct comparison cmp = {
		.conf = c,
		.role = role,
		.plain.keys = calloc(n + 1, sizeof(struct crossbar_key)),
		.patterns.keys = calloc(n + 1, sizeof(struct crossbar_key)),
		.wildcards = calloc(n + 1, sizeof(*cmp.wildcards)),
	};

	if (cmp.plain.keys == NULL || cmp.patterns.keys == NULL ||
	    cmp.wildcards == NULL ||
	    rights_new(role->permissions, n, &cmp.rights, &duplicate) != 0) {
		conf_nomem(c);
	} else if (find_fresh(&cmp)) {
		sort_permissions(&cmp);
		try_all(&cmp);
	} else {
		conf_warn(c, &role->name,
			  "this role's permissions were not compared with Crossbar.io's "
			  "rules, because together they contain all letters and digits");
	}
	rights_unref(&cmp.rights);
	free(cmp.plain.keys);
	free(cmp.patterns.keys);
	free(cmp.wildcards);
}
