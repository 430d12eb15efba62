/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares an example configuration with the table of keys that it is to explain: it is
 * accepted, it says every key, and what it has commented out shows the default. Include
 * it behind <cmocka.h>.
 */
#ifndef TESTS_UNIT_EXAMPLE_CHECK_H
#define TESTS_UNIT_EXAMPLE_CHECK_H

#include "common/conf.h"
#include "common/conf_tree.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXAMPLE_NODES = 64 };

/* The file, which the caller frees. */
static char *example_read(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, CONF_MAX_FILE + 1);

	assert_non_null(f);
	assert_non_null(text);
	size_t n = fread(text, 1, CONF_MAX_FILE, f);
	assert_int_equal(ferror(f), 0);
	fclose(f);
	text[n] = '\0';
	return text;
}

/* Is this the rest of a line, behind "# ", that is a key rather than prose? */
static bool example_is_key(const char *p)
{
	p += strspn(p, " ");
	size_t word = strspn(p, "abcdefghijklmnopqrstuvwxyz_");
	return word > 0 && p[word] == ':';
}

/* Makes keys of the comments that are keys, in place. */
static void example_uncomment(char *text)
{
	for (char *line = text; *line != '\0';) {
		char *hash = line + strspn(line, " ");

		if (hash[0] == '#' && hash[1] == ' ' && example_is_key(hash + 2))
			memmove(hash, hash + 2, strlen(hash + 2) + 1);
		line += strcspn(line, "\n");
		line += *line == '\n' ? 1 : 0;
	}
}

static void example_parse(const char *text, const struct conf_table *table, void *into,
			  struct pool *pool)
{
	struct conf_error err = {0};

	if (conf_parse(slice_str(text), "example", table, into, pool, &err) != 0)
		fail_msg("%s", err.text);
}

/* --- every key --- */

static const struct conf_node *example_value(const struct conf_node *map, const char *key)
{
	for (const struct conf_node *n = map->first; n != NULL; n = n->next->next)
		if (strcmp(n->text, key) == 0)
			return n->next;
	return NULL;
}

static void example_check_keys(const struct conf_table *table,
			       const struct conf_node *const *maps, size_t n);

/* Below a key whose values, in the several maps that have it, are these. */
static void example_check_below(const struct conf_key *k,
				const struct conf_node *const *values, size_t n)
{
	const struct conf_node *maps[EXAMPLE_NODES];
	size_t n_maps = 0;

	for (size_t i = 0; i < n; i++) {
		const struct conf_node *e =
			k->type == CONF_MAP ? values[i] : values[i]->first;
		while (e != NULL) {
			if (k->type == CONF_NAMED)
				e = e->next;
			assert_in_range(n_maps, 0, EXAMPLE_NODES - 1);
			maps[n_maps++] = e;
			e = k->type == CONF_MAP ? NULL : e->next;
		}
	}
	example_check_keys(k->table, maps, n_maps);
}

/* Every key of the table is in one of the maps. */
static void example_check_keys(const struct conf_table *table,
			       const struct conf_node *const *maps, size_t n)
{
	for (size_t i = 0; i < table->n_keys; i++) {
		const struct conf_key *k = &table->keys[i];
		const struct conf_node *values[EXAMPLE_NODES];
		size_t n_values = 0;

		for (size_t m = 0; m < n; m++) {
			const struct conf_node *value = example_value(maps[m], k->name);
			if (value != NULL)
				values[n_values++] = value;
		}
		if (k->type >= CONF_FIXED)
			continue; /* it is there for those who come from elsewhere */
		if (k->type == CONF_MAP && n_values == 0) {
			/* does it have keys that the example must say? */
			example_check_keys(k->table, NULL, 0);
			continue;
		}
		if (n_values == 0)
			fail_msg("'%s' in %s is not in the example", k->name,
				 table->what);
		if (k->table != NULL)
			example_check_below(k, values, n_values);
	}
}

/* --- defaults --- */

static bool example_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool example_same(const struct conf_table *table, const void *a, const void *b);

static const void *example_field(const void *map, size_t at)
{
	return (const unsigned char *)map + at;
}

static bool example_same_lists(const struct conf_key *k, const void *a, const void *b)
{
	const size_t *n_a = example_field(a, k->count_at);
	const size_t *n_b = example_field(b, k->count_at);
	const void *const *list_a = example_field(a, k->at);
	const void *const *list_b = example_field(b, k->at);

	for (size_t i = 0; i < *n_a && *n_a == *n_b; i++)
		if (!example_same(k->table, example_field(*list_a, i * k->table->size),
				  example_field(*list_b, i * k->table->size)))
			return false;
	return *n_a == *n_b;
}

static bool example_same_field(const struct conf_key *k, const void *a, const void *b)
{
	const void *x = example_field(a, k->at), *y = example_field(b, k->at);

	switch (k->type) {
	case CONF_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case CONF_INT:
	case CONF_ENUM:
	case CONF_FLAGS:
		return memcmp(x, y, sizeof(int)) == 0;
	case CONF_SIZE:
		return *(const size_t *)x == *(const size_t *)y;
	case CONF_MS:
		return *(const uint32_t *)x == *(const uint32_t *)y;
	case CONF_STRING:
	case CONF_TEXT:
		return example_same_text(*(const char *const *)x,
					 *(const char *const *)y);
	case CONF_MAP:
		return example_same(k->table, x, y);
	case CONF_LIST:
	case CONF_NAMED:
		return example_same_lists(k, a, b);
	case CONF_STRINGS: /* no default could be written down */
	case CONF_FIXED:
	case CONF_IGNORED:
	case CONF_UNSUPPORTED:
	case CONF_TYPE_COUNT:
		break;
	}
	return true;
}

static bool example_same(const struct conf_table *table, const void *a, const void *b)
{
	bool same = true;

	for (size_t i = 0; i < table->n_keys; i++) {
		if (example_same_field(&table->keys[i], a, b))
			continue;
		print_error("'%s' in %s is commented out, but is not the default\n",
			    table->keys[i].name, table->what);
		same = false;
	}
	return same;
}

/* --- all of it --- */

/* The text may be changed. */
static void example_check(char *text, const struct conf_table *table)
{
	struct pool pool;
	struct conf_node *root;
	struct conf_error err = {0};
	void *plain = calloc(1, table->size), *whole = calloc(1, table->size);

	pool_init(&pool);
	example_parse(text, table, plain, &pool);
	example_uncomment(text);
	example_parse(text, table, whole, &pool);
	assert_int_equal(conf_tree_read(slice_str(text), "example", &pool, &root, &err),
			 0);
	example_check_keys(table, &(const struct conf_node *){root}, 1);
	assert_true(example_same(table, plain, whole));
	free(plain);
	free(whole);
	pool_fini(&pool);
}

#endif
