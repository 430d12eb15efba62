/* SPDX-License-Identifier: Apache-2.0 */
/* Suggestions for messages; see conf_hint.h. */
#include "common/conf_hint.h"

#include <stdio.h>

enum {
	KEY_SHOWN = 32, /* a longer key has no near relative in a table */
	NAMES_MAX = 65, /* a table has 64 keys at most */
};

struct conf_words conf_names(const char *const *names)
{
	struct conf_words t = {{0}};
	size_t n = 0;

	for (size_t i = 0; names[i] != NULL && n < sizeof(t.text); i++) {
		const char *sep = i == 0 ? "" : names[i + 1] == NULL ? " or " : ", ";

		n += (size_t)snprintf(t.text + n, sizeof(t.text) - n, "%s'%s'", sep,
				      names[i]);
	}
	return t;
}

size_t conf_key_index(const struct conf_table *t, const char *key)
{
	size_t i = 0;

	while (i < t->n_keys && strcmp(t->keys[i].name, key) != 0)
		i++;
	return i;
}

static bool has_key(const struct conf_table *t, const char *key)
{
	return conf_key_index(t, key) < t->n_keys;
}

/*
 * How many letters must be changed, added, left out or swapped with their neighbour to
 * get from a to b; SIZE_MAX if either is long.
 */
static size_t edit_distance(const char *a, const char *b)
{
	size_t d[KEY_SHOWN + 1][KEY_SHOWN + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > KEY_SHOWN || m > KEY_SHOWN)
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = min_size(best, d[i - 1][j] + 1);
			best = min_size(best, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				best = min_size(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[n][m];
}

const struct conf_foreign *conf_foreign_key(const struct conf_table *root,
					    const struct conf_table *t, const char *key)
{
	for (const struct conf_foreign *f = root->foreign; f != NULL && f->where != NULL;
	     f++)
		for (size_t i = 0; i < ARRAY_LEN(f->keys) && f->keys[i] != NULL; i++)
			if (strcmp(f->where, t->what) == 0 &&
			    strcmp(f->keys[i], key) == 0)
				return f;
	return NULL;
}

/* The key of t that was meant, if one is near enough, or NULL. */
static const char *nearest_key(const struct conf_table *t, const char *key)
{
	/* one slip in three letters, two at most; further away it is another word */
	size_t distance = min_size(strlen(key) / 3, 2) + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < t->n_keys; i++) {
		size_t d = edit_distance(key, t->keys[i].name);

		if (d < distance) {
			distance = d;
			nearest = t->keys[i].name;
		}
	}
	return nearest;
}

/* Adds the keys below t whose table has this one. */
static void find_homes(const struct conf_table *t, const char *key, const char **homes,
		       size_t *n)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		const struct conf_key *k = &t->keys[i];

		if (k->table == NULL)
			continue;
		if (*n < NAMES_MAX - 1 && has_key(k->table, key))
			homes[(*n)++] = k->name;
		find_homes(k->table, key, homes, n);
	}
}

struct conf_hint conf_unknown_key(const struct conf_table *root,
				  const struct conf_table *t, const char *key)
{
	const char *homes[NAMES_MAX] = {NULL}, *names[NAMES_MAX] = {NULL};
	const char *nearest = nearest_key(t, key);
	struct conf_hint hint = {{0}};
	size_t n = 0, len = 0;

	find_homes(t, key, homes, &n);
	if (nearest != NULL)
		len = (size_t)snprintf(hint.text, sizeof(hint.text),
				       " (did you mean '%s'?)", nearest);
	if (n > 0)
		snprintf(hint.text + len, sizeof(hint.text) - len, "%s it belongs in %s",
			 nearest != NULL ? ", or" : ":", conf_names(homes).text);
	if (n > 0 || nearest != NULL)
		return hint;
	/* elsewhere, if only one place can be meant */
	find_homes(root, key, homes, &n);
	if (has_key(root, key))
		homes[0] = root->what;
	for (size_t i = 0; i < t->n_keys; i++)
		names[i] = t->keys[i].name;
	if (n == 1 || has_key(root, key))
		snprintf(hint.text, sizeof(hint.text),
			 ": it belongs in '%s'; here expected %s", homes[0],
			 conf_names(names).text);
	else
		snprintf(hint.text, sizeof(hint.text), "%s%s",
			 t->n_keys == 0 ? ": leave it out" : ", expected ",
			 conf_names(names).text);
	return hint;
}
