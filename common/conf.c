/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads configuration files: turns libyaml's document into structs, as the tables of keys
 * describe; see conf.h. No state; any thread. One file is one struct conf on the caller's
 * stack.
 *
 * A function that finds an error adds it to the list and goes on, so that one run reports
 * all errors. To find out whether a value has an error, callers compare the number of
 * errors before and after they read it.
 */
#include "common/conf.h"

#include "common/conf_int.h"
#include "common/err.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* The place in the file where a field's value stands. */
struct field_place {
	const struct field_place *next;
	const void *field;
	yaml_mark_t at;
	bool broken; /* there is an error in this value */
};

struct conf {
	const char *name;
	const struct conf_table *root; /* the file's table */
	yaml_document_t document;
	struct pool *pool;                /* memory of the structs, kept after success */
	struct pool scratch;              /* memory of the places, freed at the end */
	const struct field_place *places; /* newest first */
	struct field_place no_place; /* returned when there is no memory for another */
	yaml_mark_t map;             /* start of the map that is being read or checked */
	size_t wrong;                /* errors so far */
	bool no_memory;
	struct conf_error *errors;
	uint64_t warned; /* a bit for each row of foreign keys */
};

/* --- errors and warnings --- */

/* Adds one line about a place in the file, as an error or a warning. */
static void say(struct conf *c, yaml_mark_t at, bool warning, const char *fmt, va_list ap)
{
	char text[700];
	int n = snprintf(text, sizeof(text), "%s", warning ? "warning: " : "");

	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	conf_error_add(c->errors, c->name, at, text);
	*(warning ? &c->errors->warnings : &c->wrong) += 1;
}

/* Adds an error about a node. */
PRINTF_LIKE(3, 4)
static void fail(struct conf *c, const yaml_node_t *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, n->start_mark, false, fmt, ap);
	va_end(ap);
}

/* Adds a warning about a node. */
PRINTF_LIKE(3, 4)
static void warn(struct conf *c, const yaml_node_t *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, n->start_mark, true, fmt, ap);
	va_end(ap);
}

/*
 * The place of a field, or NULL if the file does not give the field. With broken: only a
 * place that has an error.
 */
static const struct field_place *find_place(const struct conf *c, const void *field,
					    bool broken)
{
	const struct field_place *p = c->places;

	while (p != NULL && (p->field != field || (broken && !p->broken)))
		p = p->next;
	return p;
}

void conf_say(struct conf *c, const void *field, bool warning, const char *fmt, ...)
{
	const struct field_place *p = find_place(c, field, false);
	va_list ap;

	va_start(ap, fmt);
	say(c, p != NULL ? p->at : c->map, warning, fmt, ap);
	va_end(ap);
}

unsigned conf_line(const struct conf *c, const void *field)
{
	const struct field_place *p = find_place(c, field, false);

	return (unsigned)(p != NULL ? p->at : c->map).line + 1;
}

bool conf_given(const struct conf *c, const void *field)
{
	return find_place(c, field, false) != NULL;
}

bool conf_broken(const struct conf *c, const void *field)
{
	return field == NULL ? c->wrong > 0 : find_place(c, field, true) != NULL;
}

/* --- memory --- */

void conf_nomem(struct conf *c)
{
	c->no_memory = true;
	c->wrong++;
}

static void *allocate(struct conf *c, struct pool *pool, size_t count, size_t size)
{
	void *p = pool_alloc(pool, count, size);

	if (p == NULL)
		conf_nomem(c);
	return p;
}

const char *conf_text(struct conf *c, const char *text)
{
	char *copy = pool_text(c->pool, text);

	if (copy == NULL)
		conf_nomem(c);
	return copy;
}

static struct field_place *add_place(struct conf *c, const void *field,
				     const yaml_node_t *n)
{
	struct field_place *p = allocate(c, &c->scratch, 1, sizeof(*p));

	if (p == NULL)
		/* Callers set `broken` in the result, so it must not be NULL. */
		return &c->no_place;
	*p = (struct field_place){c->places, field, n->start_mark, false};
	c->places = p;
	return p;
}

/* --- nodes --- */

static const yaml_node_t *node_at(struct conf *c, int index)
{
	return yaml_document_get_node(&c->document, index);
}

/* The text of a scalar, or NULL if the node is not a scalar. */
static const char *scalar(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

/*
 * The text of a scalar without quotes, which may be a number or a boolean. NULL if the
 * node is something else.
 */
static const char *plain(const yaml_node_t *n)
{
	bool bare = scalar(n) && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	return bare ? scalar(n) : NULL;
}

static bool is_plain(const yaml_node_t *n, const char *text)
{
	return plain(n) != NULL && strcmp(plain(n), text) == 0;
}

/* Describes the node that was found, for "expected ..., not ...". */
static struct conf_words found(const yaml_node_t *n)
{
	struct conf_words f;
	const char *text = scalar(n),
		   *what = plain(n) != NULL ? "nothing" : "an empty string";

	if (text == NULL)
		what = n->type == YAML_MAPPING_NODE ? "a map" : "a list";
	if (text == NULL || text[0] == '\0')
		snprintf(f.text, sizeof(f.text), "%s", what);
	else
		snprintf(f.text, sizeof(f.text), "%s'%s'",
			 plain(n) != NULL ? "" : "the string ", conf_quote(text).text);
	return f;
}

/* --- scalars --- */

/* Stores a number or a boolean in a field of the type that the row names. */
static void set_number(const struct conf_key *k, void *field, int64_t value)
{
	if (k->type == CONF_BOOL)
		*(bool *)field = value != 0;
	else if (k->type == CONF_SIZE)
		*(size_t *)field = (size_t)value;
	else if (k->type <= CONF_FLAGS)
		/* All other types up to FLAGS have the size of unsigned. */
		*(unsigned *)field = (unsigned)value;
}

static void read_bool(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		      void *field)
{
	if (is_plain(n, "true") || is_plain(n, "false"))
		*(bool *)field = is_plain(n, "true");
	else
		fail(c, n, "'%s': expected true or false, not %s%s", k->name,
		     found(n).text, k->text == NULL ? "" : k->text);
}

/* The units that may follow a number of a type, and the type's name in messages. */
static const struct number_kind {
	struct conf_unit units[6];
	const char *name, *hint;
} number_kinds[] = {
	[CONF_INT] = {{{"", 1}}, "an integer", ""},
	[CONF_SIZE] = {{{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}},
		       "a size",
		       ", in bytes or with a unit (KiB, MiB, GiB)"},
	[CONF_MS] = {{{"", 1}, {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}},
		     "a time",
		     ", in milliseconds or with a unit (ms, s, min)"},
};

/* Reads a number within the row's bounds, or the word that stands for the default. */
static void read_number(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
			void *field)
{
	const struct number_kind *kind = &number_kinds[k->type];
	const char *text = plain(n), *word = k->text;
	int64_t value = k->def;

	if ((word != NULL && is_plain(n, word)) ||
	    (text != NULL && conf_number(text, kind->units, &value) && value >= k->min &&
	     value <= k->max))
		set_number(k, field, value);
	else
		fail(c, n, "'%s': expected %s from %s to %s%s%s%s%s, not %s", k->name,
		     kind->name, conf_number_text(k->min, kind->units).text,
		     conf_number_text(k->max, kind->units).text, kind->hint,
		     word != NULL ? " or '" : "", word != NULL ? word : "",
		     word != NULL ? "'" : "", found(n).text);
}

static void read_mode(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		      void *field)
{
	const char *text = scalar(n);
	mode_t mode;

	if (text != NULL && conf_mode(text, &mode))
		set_number(k, field, mode);
	else
		fail(c, n,
		     "'%s': expected an octal mode that lets someone write, such as "
		     "\"0660\": clients need that to connect",
		     k->name);
}

static void read_string(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
			void *field)
{
	const char *text = scalar(n);
	bool is_null = is_plain(n, "") || is_plain(n, "~") || is_plain(n, "null");

	if (text == NULL || is_null || (text[0] == '\0' && !k->may_be_empty))
		fail(c, n, "'%s': expected a string, not %s", k->name, found(n).text);
	else if (k->type == CONF_STRING && k->max > 0 && strlen(text) > (size_t)k->max)
		fail(c, n, "'%s': expected at most %" PRId64 " bytes", k->name, k->max);
	else if (k->rule != NULL && !k->rule->ok(text))
		fail(c, n, "%s", k->rule->otherwise);
	else
		*(const char **)field = conf_text(c, text);
}

static int index_of(const char *const *names, const char *name)
{
	for (int i = 0; names != NULL && name != NULL && names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return E_NOTFOUND;
}

static void read_enum(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		      void *field)
{
	int i = index_of(k->names, scalar(n));

	if (i >= 0)
		*(int *)field = i;
	else if (index_of(k->later, scalar(n)) >= 0)
		fail(c, n, "'%s': '%s' is not supported yet; expected %s", k->name,
		     scalar(n), conf_names(k->names).text);
	else
		fail(c, n, "'%s': expected %s, not %s", k->name,
		     conf_names(k->names).text, found(n).text);
}

/* --- lists --- */

static size_t count_of(const yaml_node_t *n)
{
	if (n->type == YAML_MAPPING_NODE)
		return (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
	return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
}

/* The i-th pair of a map. For a list, key and value are both the i-th element. */
static yaml_node_pair_t pair_at(const yaml_node_t *n, size_t i)
{
	if (n->type == YAML_MAPPING_NODE)
		return n->data.mapping.pairs.start[i];
	return (yaml_node_pair_t){.key = n->data.sequence.items.start[i],
				  .value = n->data.sequence.items.start[i]};
}

/*
 * Checks that the node is a list, or a map of names, with as many elements as the row
 * allows.
 */
static bool check_list(struct conf *c, const struct conf_key *k, const yaml_node_t *n)
{
	bool named = k->type == CONF_NAMED;

	if (n->type != (named ? YAML_MAPPING_NODE : YAML_SEQUENCE_NODE))
		fail(c, n, "'%s': expected a %s, not %s", k->name,
		     named ? "map of names" : "list", found(n).text);
	else if (count_of(n) < (size_t)k->min || count_of(n) > (size_t)k->max)
		fail(c, n, "'%s': expected %" PRId64 " to %" PRId64 " elements, not %zu",
		     k->name, k->min, k->max, count_of(n));
	else
		return true;
	return false;
}

static void read_flags(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		       void *field)
{
	unsigned *flags = field;

	if (!check_list(c, k, n))
		return;
	*flags = 0;
	for (size_t i = 0; i < count_of(n); i++) {
		const yaml_node_t *element = node_at(c, pair_at(n, i).value);
		int bit = -1;

		read_enum(c, k, element, &bit);
		if (bit >= 0 && (*flags & 1u << bit) != 0)
			fail(c, element, "'%s': %s is given twice", k->name,
			     found(element).text);
		else if (bit >= 0)
			*flags |= 1u << bit;
	}
}

static void read_strings(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
			 void *field)
{
	struct conf_strings *s = field;

	if (!check_list(c, k, n))
		return;
	s->items = allocate(c, c->pool, count_of(n), sizeof(*s->items));
	for (size_t i = 0; s->items != NULL && i < count_of(n); i++) {
		const yaml_node_t *element = node_at(c, pair_at(n, i).value);
		const char **item = &s->items[s->count];

		*item = NULL;
		read_string(c, k, element, item);
		/* read_string has added an error. */
		if (*item == NULL)
			continue;
		/* read_users reports an unknown user at this place. */
		add_place(c, item, element);
		if (index_of(s->items, *item) < (int)s->count)
			fail(c, element, "'%s': %s is given twice", k->name,
			     found(element).text);
		else
			s->count++;
	}
}

static void read_users(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		       void *field)
{
	struct conf_strings names = {0};
	struct conf_users *users = field;

	read_strings(c, k, n, &names);
	users->uids = allocate(c, c->pool, names.count, sizeof(*users->uids));
	if (users->uids == NULL)
		return;
	users->count = names.count;
	for (size_t i = 0; i < names.count; i++)
		if (!conf_user(names.items[i], &users->uids[i]))
			conf_fail(c, &names.items[i],
				  "'%s': there is no user '%s' on this system", k->name,
				  conf_quote(names.items[i]).text);
}

/* --- maps --- */

static void read_keys(struct conf *c, const struct conf_table *t, const yaml_node_t *n,
		      void *map);

static void *field_of(void *map, size_t at)
{
	return (unsigned char *)map + at;
}

/*
 * Sets each field to its default. The caller has zeroed the struct, so lists are empty
 * already.
 */
static void set_defaults(const struct conf_table *t, void *map)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		const struct conf_key *k = &t->keys[i];
		void *field = field_of(map, k->at);

		if (k->type == CONF_MAP)
			set_defaults(k->table, field);
		else if (k->type == CONF_STRING)
			*(const char **)field = k->text;
		else
			set_number(k, field, k->def);
	}
}

static void read_map(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		     void *field)
{
	if (n->type == YAML_MAPPING_NODE)
		read_keys(c, k->table, n, field);
	else
		fail(c, n, "'%s': expected a map, not %s%s", k->name, found(n).text,
		     k->text == NULL ? "" : k->text);
}

/*
 * Adds an error if the name of the last of n elements equals an earlier one. The name is
 * an element's first field.
 */
static void check_name(struct conf *c, const struct conf_key *k, void *array, size_t n)
{
	const char **name = field_of(array, (n - 1) * k->table->size);

	for (size_t i = 0; *name != NULL && i < n - 1; i++) {
		const char **other = field_of(array, i * k->table->size);

		if (*other == NULL || strcmp(*other, *name) != 0)
			continue;
		conf_fail(c, name, "'%s' is given twice in '%s'", conf_quote(*name).text,
			  k->name);
		break;
	}
}

/* Reads a LIST or a NAMED. */
static void read_array(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		       void *map)
{
	size_t *count = field_of(map, k->count_at);
	void *array;

	if (!check_list(c, k, n))
		return;
	array = allocate(c, c->pool, count_of(n), k->table->size);
	*(void **)field_of(map, k->at) = array;
	while (array != NULL && *count < count_of(n)) {
		void *element = field_of(array, *count * k->table->size);
		yaml_node_pair_t pair = pair_at(n, *count);
		struct field_place *place = add_place(c, element, node_at(c, pair.key));
		size_t wrong = c->wrong;

		++*count;
		set_defaults(k->table, element);
		if (k->type == CONF_NAMED)
			read_string(c, k, node_at(c, pair.key), element);
		read_map(c, k, node_at(c, pair.value), element);
		if (k->type == CONF_NAMED || k->names_differ)
			check_name(c, k, array, *count);
		place->broken = c->wrong > wrong;
	}
}

typedef void conf_reader(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
			 void *field);

static void read_value(struct conf *c, const struct conf_key *k, const yaml_node_t *n,
		       void *map)
{
	static conf_reader *const readers[] = {
		[CONF_BOOL] = read_bool,       [CONF_INT] = read_number,
		[CONF_SIZE] = read_number,     [CONF_MS] = read_number,
		[CONF_MODE] = read_mode,       [CONF_ENUM] = read_enum,
		[CONF_FLAGS] = read_flags,     [CONF_STRING] = read_string,
		[CONF_STRINGS] = read_strings, [CONF_USERS] = read_users,
		[CONF_MAP] = read_map,         [CONF_LIST] = read_array,
		[CONF_NAMED] = read_array,
	};
	void *field = field_of(map, k->at);
	size_t wrong = c->wrong;

	/* A MAP gets no place of its own: its address equals that of its first field, and
	 * the table's check needs the place of that field. */
	if (k->type == CONF_MAP) {
		read_map(c, k, n, field);
		return;
	}
	struct field_place *place = add_place(c, field, n);
	readers[k->type](c, k, n, k->count_at != 0 ? map : field);
	place->broken = c->wrong > wrong;
}

static void read_foreign(struct conf *c, const struct conf_foreign *f, const char *key,
			 const yaml_node_t *n)
{
	const char *only = f->accepted, *instead = f->instead;
	const char *text = scalar(n) != NULL ? scalar(n) : "...";

	if (only != NULL && only[0] == '\0') {
		/* a file may have the key in each of many maps */
		uint64_t bit = UINT64_C(1) << (f - c->root->foreign);
		if (instead == NULL && (c->warned & bit) == 0)
			warn(c, n, "'%s' has no effect", key);
		c->warned |= bit;
		return;
	}
	if (only != NULL && is_plain(n, only))
		return;
	if (only == NULL)
		fail(c, n, "'%s' %s", key,
		     instead != NULL ? instead : "is not supported yet: leave it out");
	else if (instead != NULL)
		fail(c, n, "'%s: %s' %s", key, conf_quote(text).text, instead);
	else
		fail(c, n, "'%s: %s' is not supported yet: use %s or leave it out", key,
		     conf_quote(text).text, only);
}

/*
 * Reads the pairs of a map into a struct whose defaults are set. Sets a bit of *seen_out
 * for each row whose key it finds.
 */
static void read_pairs(struct conf *c, const struct conf_table *t, const yaml_node_t *n,
		       void *map, uint64_t *seen_out)
{
	for (size_t p = 0; p < count_of(n); p++) {
		const yaml_node_t *key = node_at(c, pair_at(n, p).key);
		const yaml_node_t *value = node_at(c, pair_at(n, p).value);
		const char *name = scalar(key) != NULL ? scalar(key) : "";
		const struct conf_foreign *foreign = conf_foreign_key(c->root, t, name);
		size_t i = conf_key_index(t, name);
		uint64_t bit = UINT64_C(1) << i;

		if (scalar(key) == NULL)
			fail(c, key, "expected a key, not %s", found(key).text);
		else if (foreign != NULL)
			read_foreign(c, foreign, name, value);
		else if (i == t->n_keys)
			fail(c, key, "unknown key '%s' in %s%s", conf_quote(name).text,
			     t->what, conf_unknown_key(c->root, t, name).text);
		else if ((*seen_out & bit) != 0)
			fail(c, key, "'%s' is given twice in %s", name, t->what);
		else
			read_value(c, &t->keys[i], value, map);
		/* A key with an error counts as seen, too: it must not be reported as
		 * missing. */
		*seen_out |= bit;
	}
}

static void read_keys(struct conf *c, const struct conf_table *t, const yaml_node_t *n,
		      void *map)
{
	yaml_mark_t outer = c->map;
	size_t wrong = c->wrong;
	uint64_t seen = 0;

	/* seen has a bit for each row, and bit n_keys for unknown keys. */
	ASSERT(t->n_keys < 64);
	/* conf_fail without a field names this map. Maps nest, so restore c->map at the
	 * end. */
	c->map = n->start_mark;
	read_pairs(c, t, n, map, &seen);
	for (size_t i = 0; i < t->n_keys; i++) {
		const struct conf_key *k = &t->keys[i];

		if (!k->required || (seen & UINT64_C(1) << i) != 0)
			continue;
		add_place(c, field_of(map, k->at), n)->broken = true;
		fail(c, n, "%s needs the key '%s'", t->what, k->name);
	}
	if (t->check != NULL && (c->wrong == wrong || t->check_anyway))
		t->check(c, map);
	c->map = outer;
}

/* --- files --- */

/* Reads the file's root into map, which is NULL if it could not be allocated. */
static void read_root(struct conf *c, void *map)
{
	const yaml_node_t *root = yaml_document_get_root_node(&c->document);

	if (map == NULL)
		return;
	set_defaults(c->root, map);
	if (root->type == YAML_MAPPING_NODE)
		read_keys(c, c->root, root, map);
	else
		fail(c, root, "expected a map of keys, not %s", found(root).text);
}

int conf_parse(struct slice text, const char *name, const struct conf_table *table,
	       void **out, struct pool *pool_out, struct conf_error *errors_out)
{
	struct conf c = {
		.name = name, .root = table, .pool = pool_out, .errors = errors_out};
	int err;

	*errors_out = (struct conf_error){0};
	err = conf_yaml_load(text, name, &c.document, errors_out);
	if (err != 0)
		return err;
	pool_init(&c.scratch);
	pool_init(pool_out);
	void *map = allocate(&c, pool_out, 1, table->size);
	read_root(&c, map);
	if (c.no_memory)
		err = conf_error_nomem(errors_out, name);
	else if (c.wrong > 0)
		err = E_SYNTAX;
	else
		*out = map;
	if (err != 0)
		pool_fini(pool_out);
	pool_fini(&c.scratch);
	yaml_document_delete(&c.document);
	return err;
}
