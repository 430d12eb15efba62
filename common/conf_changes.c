/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares two structs that were read from files by the same table; see conf.h. No state;
 * any thread.
 */
#include "common/conf.h"

static bool same_map(const struct conf_table *t, const void *a, const void *b);

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_texts(const struct conf_strings *a, const struct conf_strings *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; i < a->count && same; i++)
		same = same_text(a->items[i], b->items[i]);
	return same;
}

static bool same_users(const struct conf_users *a, const struct conf_users *b)
{
	return a->count == b->count &&
	       (a->count == 0 ||
		memcmp(a->uids, b->uids, a->count * sizeof(*a->uids)) == 0);
}

/* Compares two arrays of n elements, of a LIST or a NAMED. */
static bool same_elements(const struct conf_key *k, const unsigned char *a,
			  const unsigned char *b, size_t n)
{
	for (size_t i = 0; i < n; i++, a += k->table->size, b += k->table->size) {
		if (k->type == CONF_NAMED &&
		    !same_text(*(const char *const *)(const void *)a,
			       *(const char *const *)(const void *)b))
			return false;
		if (!same_map(k->table, a, b))
			return false;
	}
	return true;
}

/* Is the value of a key the same in both structs? */
static bool same_value(const struct conf_key *k, const void *map_a, const void *map_b)
{
	/* set_number stores the other types as unsigned. */
	size_t size = k->type == CONF_BOOL   ? sizeof(bool)
		      : k->type == CONF_SIZE ? sizeof(size_t)
					     : sizeof(unsigned);
	const unsigned char *a = map_a, *b = map_b;
	const void *x = a + k->at, *y = b + k->at;

	switch (k->type) {
	case CONF_STRING:
		return same_text(*(const char *const *)x, *(const char *const *)y);
	case CONF_STRINGS:
		return same_texts(x, y);
	case CONF_USERS:
		return same_users(x, y);
	case CONF_MAP:
		return same_map(k->table, x, y);
	case CONF_LIST:
	case CONF_NAMED: {
		size_t n, m;

		memcpy(&n, a + k->count_at, sizeof(n));
		memcpy(&m, b + k->count_at, sizeof(m));
		return n == m && same_elements(k, *(const unsigned char *const *)x,
					       *(const unsigned char *const *)y, n);
	}
	default:
		return memcmp(x, y, size) == 0;
	}
}

static bool same_map(const struct conf_table *t, const void *a, const void *b)
{
	for (size_t i = 0; i < t->n_keys; i++)
		if (!same_value(&t->keys[i], a, b))
			return false;
	return true;
}

void conf_changes(const struct conf_table *t, const void *a, const void *b,
		  struct buf *out)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		const struct conf_key *k = &t->keys[i];

		if (!k->reloads && !same_value(k, a, b))
			buf_printf(out, "%s%s", out->len > 0 ? ", " : "", k->name);
	}
}
