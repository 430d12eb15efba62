/* SPDX-License-Identifier: Apache-2.0 */
/* Suggestions in messages about keys; see conf_int.h. No state; any thread. */
#include "common/conf_int.h"

#include <stdio.h>

enum {
	KEY_SHOWN = 32, /* a longer key is not compared with others */
	NAMES_MAX = 65, /* more than the 63 keys that a table may have */
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
 * The number of letters to change, add, remove or swap with their neighbour to get from a
 * to b (the optimal string alignment distance). SIZE_MAX if either is longer than
 * KEY_SHOWN.
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

/* The key of t that the user probably meant, or NULL. */
static const char *nearest_key(const struct conf_table *t, const char *key)
{
	/* Allow one error in three letters and two at most. A key that differs more is
	 * probably another word. */
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

/* Adds to maps the names of the maps below t that have this key. */
static void find_maps_with_key(const struct conf_table *t, const char *key,
			       const char **maps, size_t *n)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		const struct conf_key *k = &t->keys[i];

		if (k->table == NULL)
			continue;
		if (*n < NAMES_MAX - 1 && has_key(k->table, key))
			maps[(*n)++] = k->name;
		find_maps_with_key(k->table, key, maps, n);
	}
}

struct conf_hint conf_unknown_key(const struct conf_table *root,
				  const struct conf_table *t, const char *key)
{
	const char *maps[NAMES_MAX] = {NULL}, *names[NAMES_MAX] = {NULL};
	const char *nearest = nearest_key(t, key);
	struct conf_hint hint = {{0}};
	size_t n = 0, len = 0;

	find_maps_with_key(t, key, maps, &n);
	if (nearest != NULL)
		len = (size_t)snprintf(hint.text, sizeof(hint.text),
				       " (did you mean '%s'?)", nearest);
	if (n > 0)
		snprintf(hint.text + len, sizeof(hint.text) - len, "%s it belongs in %s",
			 nearest != NULL ? ", or" : ":", conf_names(maps).text);
	if (n > 0 || nearest != NULL)
		return hint;
	/* Search the whole file, and suggest a place only if there is exactly one. */
	find_maps_with_key(root, key, maps, &n);
	for (size_t i = 0; i < t->n_keys; i++)
		names[i] = t->keys[i].name;
	if (has_key(root, key))
		snprintf(hint.text, sizeof(hint.text),
			 ": it belongs at the top of the file; expected here: %s",
			 conf_names(names).text);
	else if (n == 1)
		snprintf(hint.text, sizeof(hint.text),
			 ": it belongs in '%s'; expected here: %s", maps[0],
			 conf_names(names).text);
	else
		snprintf(hint.text, sizeof(hint.text), "%s%s",
			 t->n_keys == 0 ? ": leave it out" : ", expected ",
			 conf_names(names).text);
	return hint;
}
