/* SPDX-License-Identifier: Apache-2.0 */
/* Compares an example configuration with the table of its keys: it is accepted, it
 * mentions every key, and commented-out keys show their defaults. Include it behind
 * <cmocka.h>. */
#ifndef TESTS_UNIT_EXAMPLE_CHECK_H
#define TESTS_UNIT_EXAMPLE_CHECK_H

#include "common/conf.h"
#include "common/conf_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXAMPLE_NODES = 64 };

/* Reads a file. The caller frees the text. */
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

/* Whether a key names another file, which need not exist, or is about what such a file
 * contains. Such keys stay commented out. */
static bool example_is_file(struct slice key)
{
	static const char *const ends[] = {"_file", "_credential"};
	static const char *const of_tls[] = {
		"tls",    "certificate", "key", "chain_certificates", "more_certificates",
		"ciphers", "groups", "client_certificates", "ca_certificates",
		"certificate-sha256",
	};

	for (size_t i = 0; i < ARRAY_LEN(of_tls); i++)
		if (slice_eq_str(key, of_tls[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (key.len > strlen(ends[i]) &&
		    slice_eq_str(slice_from(key, key.len - strlen(ends[i])), ends[i]))
			return true;
	return false;
}

/* Whether the rest of a line, after "# ", is a key and not prose. */
static bool example_is_key(const char *p)
{
	p += strspn(p, " ");
	size_t word = strspn(p, "abcdefghijklmnopqrstuvwxyz_");
	return word > 0 && p[word] == ':' && !example_is_file(slice_of(p, word));
}

/* Whether the text has this key, commented out. */
static bool example_mentions(const char *text, const char *key)
{
	char word[100];

	(void)snprintf(word, sizeof(word), " %s:", key);
	for (const char *p = strstr(text, word); p != NULL; p = strstr(p + 1, word)) {
		const char *before = p;

		while (before > text && (before[-1] == ' ' || before[-1] == '#'))
			before--;
		if (before > text && before[-1] == '\n' && memchr(before, '#', p - before + 1) != NULL)
			return true;
	}
	return false;
}

/* Uncomments the keys, in place, but not what is below the key tls. */
static void example_uncomment(char *text)
{
	size_t tls = SIZE_MAX; /* the indentation of a commented-out tls */

	for (char *line = text; *line != '\0';) {
		char *hash = line + strspn(line, " ");
		size_t indent =
			hash[0] == '#' ? strspn(hash + 1, " ") : 0;

		if (indent <= tls || hash[0] != '#')
			tls = strncmp(hash + 1 + indent, "tls:", 4) == 0 ? indent
									 : SIZE_MAX;
		if (hash[0] == '#' && hash[1] == ' ' && tls == SIZE_MAX &&
		    example_is_key(hash + 2))
			memmove(hash, hash + 2, strlen(hash + 2) + 1);
		line += strcspn(line, "\n");
		line += *line == '\n' ? 1 : 0;
	}
}

/* Parses a text into the struct of this table. */
static const void *example_parse(const char *text, const struct conf_table *table,
				 struct pool *pool)
{
	struct conf_error err = {0};
	void *map = NULL;

	if (conf_parse(slice_str(text), "example", table, &map, pool, &err) != 0)
		fail_msg("%s", err.text);
	return map;
}

/* --- every key --- */

struct example_nodes {
	const yaml_node_t *nodes[EXAMPLE_NODES];
	size_t n;
};

static void example_add(struct example_nodes *list, yaml_document_t *doc, int index)
{
	assert_in_range(list->n, 0, EXAMPLE_NODES - 1);
	list->nodes[list->n++] = yaml_document_get_node(doc, index);
}

/* Adds the values of this key in a map (NULL: of all keys), or the elements of a list. */
static void example_add_values(struct example_nodes *list, yaml_document_t *doc,
			       const yaml_node_t *n, const char *key)
{
	if (n->type == YAML_SEQUENCE_NODE) {
		for (const int *i = n->data.sequence.items.start;
		     i < n->data.sequence.items.top; i++)
			example_add(list, doc, *i);
		return;
	}
	assert_int_equal(n->type, YAML_MAPPING_NODE);
	for (const yaml_node_pair_t *pair = n->data.mapping.pairs.start;
	     pair < n->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = yaml_document_get_node(doc, pair->key);

		if (key == NULL || strcmp((char *)name->data.scalar.value, key) == 0)
			example_add(list, doc, pair->value);
	}
}

/* Every key of the table must be in one of the maps. text is the whole file. */
static void example_check_keys(const char *text, const struct conf_table *table,
			       yaml_document_t *doc, const struct example_nodes *maps)
{
	for (size_t i = 0; i < table->n_keys; i++) {
		const struct conf_key *k = &table->keys[i];
		struct example_nodes values = {.n = 0}, elements = {.n = 0};

		for (size_t m = 0; m < maps->n; m++)
			example_add_values(&values, doc, maps->nodes[m], k->name);
		/* a map that is commented out shows its keys in the comment */
		if (values.n == 0 && k->type != CONF_MAP &&
		    !((maps->n == 0 || example_is_file(slice_str(k->name))) &&
		      example_mentions(text, k->name)))
			fail_msg("'%s' in %s is not in the example", k->name,
				 table->what);
		for (size_t v = 0; k->table != NULL && v < values.n; v++)
			if (k->type != CONF_MAP)
				example_add_values(&elements, doc, values.nodes[v], NULL);
		if (k->table != NULL)
			example_check_keys(text, k->table, doc,
					   k->type == CONF_MAP ? &values : &elements);
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
	case CONF_MODE:
		return memcmp(x, y, sizeof(int)) == 0;
	case CONF_SIZE:
		return *(const size_t *)x == *(const size_t *)y;
	case CONF_MS:
		return *(const uint32_t *)x == *(const uint32_t *)y;
	case CONF_STRING:
		return example_same_text(*(const char *const *)x,
					 *(const char *const *)y);
	case CONF_MAP:
		return example_same(k->table, x, y);
	case CONF_LIST:
	case CONF_NAMED:
		return example_same_lists(k, a, b);
	case CONF_STRINGS: /* a list has no default that could be written */
	case CONF_USERS:
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

/* Checks the example. Changes the text. */
static void example_check(char *text, const struct conf_table *table)
{
	struct pool pool_plain, pool_whole;
	yaml_document_t doc;
	struct conf_error err = {0};
	struct example_nodes root = {.n = 0};

	const void *plain = example_parse(text, table, &pool_plain);
	example_uncomment(text);
	const void *whole = example_parse(text, table, &pool_whole);
	assert_int_equal(conf_yaml_load(slice_str(text), "example", &doc, &err), 0);
	example_add(&root, &doc, 1);
	example_check_keys(text, table, &doc, &root);
	assert_true(example_same(table, plain, whole));
	yaml_document_delete(&doc);
	pool_fini(&pool_plain);
	pool_fini(&pool_whole);
}

#endif
