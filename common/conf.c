/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: from the tree of nodes into structs, as the tables say; see
 * conf.h. One file is one struct conf, on the caller's stack.
 */
#include "common/conf.h"

#include "common/buf.h"
#include "common/conf_hint.h"
#include "common/conf_tree.h"
#include "common/err.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* Where in the file a field came from. */
struct field_place {
	const struct field_place *next;
	const void *field;
	struct conf_place at;
	bool broken; /* something in it is wrong */
};

struct conf {
	const char *name;
	const struct conf_table *root;    /* of the file */
	struct pool *pool;                /* the caller's: what the structs point to */
	struct pool scratch;              /* nodes and places, until the file is done */
	const struct field_place *places; /* newest first */
	struct conf_place map;            /* of the map that is being read or checked */
	struct conf_error *err;
};

struct pool *conf_pool(struct conf *c)
{
	return c->pool;
}

PRINTF_LIKE(3, 4)
static int fail_at(struct conf *c, struct conf_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_error_put(c->err, c->name, at, fmt, ap);
	va_end(ap);
	return E_SYNTAX;
}

/* NULL: the file did not give it. */
static const struct field_place *find_place(const struct conf *c, const void *field)
{
	const struct field_place *p = c->places;

	while (p != NULL && (field == NULL || p->field != field))
		p = p->next;
	return p;
}

bool conf_given(const struct conf *c, const void *field)
{
	return find_place(c, field) != NULL;
}

bool conf_broken(const struct conf *c, const void *field)
{
	const struct field_place *p = c->places;

	while (p != NULL && (p->field != field || !p->broken))
		p = p->next;
	return p != NULL;
}

bool conf_clean(const struct conf *c)
{
	return c->err->len == 0;
}

static struct conf_place place_of(const struct conf *c, const void *field)
{
	const struct field_place *p = find_place(c, field);

	return p != NULL ? p->at : c->map;
}

int conf_fail(struct conf *c, const void *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_error_put(c->err, c->name, place_of(c, field), fmt, ap);
	va_end(ap);
	return E_SYNTAX;
}

void conf_warn(struct conf *c, const void *field, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->err->warnings++;
	(void)!fail_at(c, place_of(c, field), "warning: %s", text);
}

void conf_log_warnings(const struct conf_error *err)
{
	for (const char *line = err->text; err->warnings > 0 && *line != '\0';) {
		int len = (int)strcspn(line, "\n");

		log_warn(NULL, "%.*s", len, line);
		line += len + (line[len] == '\n');
	}
}

int conf_fail_nomem(struct conf *c)
{
	snprintf(c->err->text, sizeof(c->err->text), "%s: %s", c->name, err_str(E_NOMEM));
	return E_NOMEM;
}

/* NULL: no memory, which was said. */
static struct field_place *add_place(struct conf *c, const void *field,
				     const struct conf_node *n)
{
	struct field_place *p = pool_alloc(&c->scratch, sizeof(*p));

	if (p == NULL) {
		(void)!conf_fail_nomem(c);
		return NULL;
	}
	*p = (struct field_place){.next = c->places, .field = field, .at = n->place};
	c->places = p;
	return p;
}

/* Of two results the one that matters: after an error of the file, reading goes on. */
static int worse(int a, int b)
{
	return a == 0 || b == E_NOMEM ? b : a;
}

/* ---- scalars ---- */

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {
	{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};
static const struct unit ms_units[] = {
	{"", 1}, {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {NULL, 0}};

/* Digits, spaces, one of the units. E_SYNTAX, or E_RANGE if it does not fit in *out. */
MUSTCHECK
static int parse_number(const char *text, const struct unit *units, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits + strspn(text + digits, " ");
	int64_t n = 0;

	if (digits == 0)
		return E_SYNTAX;
	while (units->name != NULL && strcmp(units->name, unit) != 0)
		units++;
	if (units->name == NULL)
		return E_SYNTAX;
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, text[i] - '0', &n))
			return E_RANGE;
	if (__builtin_mul_overflow(n, units->factor, &n))
		return E_RANGE;
	*out = n;
	return 0;
}

/* In the largest unit in which it is a whole number: "1 MiB". */
struct number_text {
	char text[32];
};
static struct number_text number_text(int64_t n, const struct unit *units)
{
	struct number_text t;
	const struct unit *best = units;

	for (const struct unit *u = units; n != 0 && u->name != NULL; u++)
		if (n % u->factor == 0)
			best = u;
	snprintf(t.text, sizeof(t.text), "%" PRId64 "%s%s", n / best->factor,
		 best->name[0] == '\0' ? "" : " ", best->name);
	return t;
}

/* What stands there instead, for messages. */
struct found {
	char text[LOG_QUOTE_MAX + 16];
};
static struct found found(const struct conf_node *n)
{
	struct found f = {{0}};

	if (n->kind == CONF_NODE_LIST)
		snprintf(f.text, sizeof(f.text), "a list");
	else if (n->kind == CONF_NODE_MAP)
		snprintf(f.text, sizeof(f.text), "a map");
	else if (n->text[0] == '\0')
		snprintf(f.text, sizeof(f.text), n->plain ? "nothing" : "an empty text");
	else
		snprintf(f.text, sizeof(f.text), "%s'%s'", n->plain ? "" : "the text ",
			 log_quote_text(slice_str(n->text)).text);
	return f;
}

static bool is_plain(const struct conf_node *n, const char *text)
{
	return n->kind == CONF_NODE_SCALAR && n->plain && strcmp(n->text, text) == 0;
}

/* YAML's ways to say that there is no value. */
static bool is_null(const struct conf_node *n)
{
	return is_plain(n, "") || is_plain(n, "~") || is_plain(n, "null");
}

/* A number, of which a bool is one, into a field of the type that its row says. */
static void store(const struct conf_key *k, void *field, int64_t value)
{
	switch (k->type) {
	case CONF_BOOL:
		*(bool *)field = value != 0;
		break;
	case CONF_INT:
	case CONF_ENUM:
		*(int *)field = (int)value;
		break;
	case CONF_SIZE:
		*(size_t *)field = (size_t)value;
		break;
	case CONF_MS:
		*(uint32_t *)field = (uint32_t)value;
		break;
	case CONF_FLAGS:
		*(unsigned *)field = (unsigned)value;
		break;
	case CONF_STRING:
	case CONF_TEXT:
	case CONF_STRINGS:
	case CONF_MAP:
	case CONF_LIST:
	case CONF_NAMED:
	case CONF_FIXED:
	case CONF_IGNORED:
	case CONF_UNSUPPORTED:
	case CONF_TYPE_COUNT:
		break;
	}
}

static int read_bool(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		     void *field)
{
	bool *out = field;

	*out = is_plain(n, "true");
	if (!*out && !is_plain(n, "false"))
		return fail_at(c, n->place, "'%s': expected true or false, not %s",
			       k->name, found(n).text);
	return 0;
}

static int read_fixed(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		      void *field)
{
	bool value;
	int rc = read_bool(c, k, n, &value);

	(void)field;
	if (rc == 0 && value != (k->def != 0))
		return fail_at(
			c, n->place, "'%s: %s' %s", k->name, value ? "true" : "false",
			k->text != NULL ? k->text
			: value ? "is not supported yet: say false or leave it out"
				: "is not supported yet: say true or leave it out");
	return rc;
}

/* What numbers of a type may be followed by, and how messages speak of them. */
static const struct number_kind {
	const struct unit *units;
	const char *name, *hint;
} number_kinds[] = {
	[CONF_INT] = {no_units, "an integer", ""},
	[CONF_SIZE] = {size_units, "a number of bytes", " (or with KiB, MiB, GiB)"},
	[CONF_MS] = {ms_units, "milliseconds", " (or with ms, s, min)"},
};

/* A number within the row's bounds, or the word that stands for its default. */
static int read_number(struct conf *c, const struct conf_key *k,
		       const struct conf_node *n, void *field)
{
	const struct number_kind *kind = &number_kinds[k->type];
	bool is_word = k->text != NULL && is_plain(n, k->text);
	int64_t value = k->def;
	int rc = is_word ? 0 : E_TYPE;

	if (!is_word && n->kind == CONF_NODE_SCALAR && n->plain)
		rc = parse_number(n->text, kind->units, &value);
	if (rc != 0 || (!is_word && (value < k->min || value > k->max)))
		return fail_at(
			c, n->place, "'%s': expected %s from %s to %s%s%s%s%s, not %s",
			k->name, kind->name, number_text(k->min, kind->units).text,
			number_text(k->max, kind->units).text, kind->hint,
			k->text != NULL ? " or '" : "", k->text != NULL ? k->text : "",
			k->text != NULL ? "'" : "", found(n).text);
	store(k, field, value);
	return 0;
}

static int read_text(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		     void *field)
{
	const char **out = field;

	if (n->kind != CONF_NODE_SCALAR || is_null(n) ||
	    (k->type != CONF_TEXT && n->text[0] == '\0'))
		return fail_at(c, n->place, "'%s': expected a text, not %s", k->name,
			       found(n).text);
	if (k->max > 0 && k->type != CONF_STRINGS && k->type != CONF_NAMED &&
	    strlen(n->text) > (size_t)k->max)
		return fail_at(c, n->place, "'%s': expected at most %" PRId64 " bytes",
			       k->name, k->max);
	if (k->rule != NULL && !k->rule->ok(n->text))
		return fail_at(c, n->place, "%s", k->rule->otherwise);
	*out = pool_text(c->pool, slice_str(n->text));
	return *out != NULL ? 0 : conf_fail_nomem(c);
}

static int index_of(const char *const *names, const char *name)
{
	for (int i = 0; names != NULL && names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return E_NOTFOUND;
}

static int read_name(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		     void *field)
{
	bool is_text = n->kind == CONF_NODE_SCALAR;
	int i = is_text ? index_of(k->names, n->text) : E_NOTFOUND;

	if (i < 0 && is_text && index_of(k->later, n->text) >= 0)
		return fail_at(c, n->place,
			       "'%s': '%s' is not supported yet; expected %s", k->name,
			       n->text, conf_names(k->names).text);
	if (i < 0)
		return fail_at(c, n->place, "'%s': expected %s, not %s", k->name,
			       conf_names(k->names).text, found(n).text);
	*(int *)field = i;
	return 0;
}

/* ---- lists ---- */

static int check_list(struct conf *c, const struct conf_key *k, const struct conf_node *n)
{
	bool named = k->type == CONF_NAMED;

	if (n->kind != (named ? CONF_NODE_MAP : CONF_NODE_LIST))
		return fail_at(c, n->place, "'%s': expected a %s, not %s", k->name,
			       named ? "map of names" : "list", found(n).text);
	if (n->count < (size_t)k->min || n->count > (size_t)k->max)
		return fail_at(c, n->place,
			       "'%s': expected %" PRId64 " to %" PRId64
			       " elements, not %zu",
			       k->name, k->min, k->max, n->count);
	return 0;
}

static int fail_twice(struct conf *c, const struct conf_key *k, const struct conf_node *n)
{
	return fail_at(c, n->place, "'%s': %s is there twice", k->name, found(n).text);
}

static int read_flags(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		      void *field)
{
	unsigned flags = 0;
	int rc = check_list(c, k, n);

	for (const struct conf_node *e = rc == 0 ? n->first : NULL; e != NULL;
	     e = e->next) {
		int i = 0, r = read_name(c, k, e, &i);

		if (r == 0 && (flags & 1u << i) != 0)
			r = fail_twice(c, k, e);
		if (r == 0)
			flags |= 1u << i;
		rc = worse(rc, r);
	}
	if (rc == 0)
		*(unsigned *)field = flags;
	return rc;
}

static int read_strings(struct conf *c, const struct conf_key *k,
			const struct conf_node *n, void *field)
{
	struct conf_strings *s = field;
	int rc = check_list(c, k, n);

	if (rc != 0)
		return rc;
	s->items = pool_array(c->pool, n->count, sizeof(*s->items));
	if (s->items == NULL)
		return conf_fail_nomem(c);
	for (const struct conf_node *e = n->first; rc != E_NOMEM && e != NULL;
	     e = e->next) {
		const char **item = &s->items[s->count];
		int r = read_text(c, k, e, item);

		for (size_t i = 0; r == 0 && i < s->count; i++)
			if (strcmp(s->items[i], *item) == 0)
				r = fail_twice(c, k, e);
		if (r == 0 && add_place(c, item, e) == NULL)
			r = E_NOMEM;
		if (r == 0)
			s->count++;
		rc = worse(rc, r);
	}
	return rc;
}

/* ---- maps ---- */

static int read_map(struct conf *c, const struct conf_table *t, const struct conf_node *n,
		    void *map);
static void set_defaults(const struct conf_table *t, void *map);

static int read_submap(struct conf *c, const struct conf_key *k,
		       const struct conf_node *n, void *field)
{
	if (n->kind != CONF_NODE_MAP)
		return fail_at(c, n->place, "'%s': expected a map, not %s", k->name,
			       found(n).text);
	return read_map(c, k->table, n, field);
}

/* A map's name, for the first field of the element at that index. */
static int read_element_name(struct conf *c, const struct conf_key *k,
			     const struct conf_node *n, unsigned char *array,
			     size_t index)
{
	const char **name = (void *)(array + index * k->table->size);
	int rc = read_text(c, k, n, name);

	for (size_t i = 0; rc == 0 && i < index; i++) {
		const char **other = (void *)(array + i * k->table->size);

		if (*other != NULL && strcmp(*other, *name) == 0)
			return fail_at(c, n->place, "'%s' is there twice in '%s'",
				       log_quote_text(slice_str(*name)).text, k->name);
	}
	return rc != 0 || add_place(c, name, n) != NULL ? rc : E_NOMEM;
}

/* LIST and NAMED. */
static int read_array(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		      void *field, size_t *count)
{
	int rc = check_list(c, k, n);

	if (rc != 0)
		return rc;
	unsigned char *array = pool_array(c->pool, n->count, k->table->size);
	if (array == NULL)
		return conf_fail_nomem(c);
	memcpy(field, &(void *){array}, sizeof(void *));
	for (const struct conf_node *e = n->first; e != NULL && rc != E_NOMEM;
	     e = e->next) {
		void *element = array + *count * k->table->size;
		struct field_place *place = add_place(c, element, e);
		int r = place == NULL ? E_NOMEM : 0;

		set_defaults(k->table, element);
		if (r == 0 && k->type == CONF_NAMED) {
			r = read_element_name(c, k, e, array, *count);
			e = e->next;
		}
		if (r != E_NOMEM)
			r = worse(r, read_submap(c, k, e, element));
		if (place != NULL)
			place->broken = r != 0;
		rc = worse(rc, r);
		++*count;
	}
	return rc;
}

static int read_nothing(struct conf *c, const struct conf_key *k,
			const struct conf_node *n, void *field)
{
	(void)c;
	(void)k;
	(void)n;
	(void)field;
	return 0;
}

static int refuse(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		  void *field)
{
	(void)field;
	return fail_at(c, n->place, "'%s' %s", k->name,
		       k->text != NULL ? k->text : "is not supported yet: leave it out");
}

typedef int conf_reader(struct conf *c, const struct conf_key *k,
			const struct conf_node *n, void *field);
static conf_reader *const readers[] = {
	[CONF_BOOL] = read_bool,
	[CONF_INT] = read_number,
	[CONF_SIZE] = read_number,
	[CONF_MS] = read_number,
	[CONF_STRING] = read_text,
	[CONF_TEXT] = read_text,
	[CONF_ENUM] = read_name,
	[CONF_FLAGS] = read_flags,
	[CONF_STRINGS] = read_strings,
	[CONF_MAP] = read_submap,
	[CONF_LIST] = NULL,
	[CONF_NAMED] = NULL,
	[CONF_FIXED] = read_fixed,
	[CONF_IGNORED] = read_nothing,
	[CONF_UNSUPPORTED] = refuse,
};
static_assert(ARRAY_LEN(readers) == CONF_TYPE_COUNT, "a reader for each type");

static void *field_of(void *map, size_t at)
{
	return (unsigned char *)map + at;
}

static int read_value(struct conf *c, const struct conf_key *k, const struct conf_node *n,
		      void *map)
{
	void *field = field_of(map, k->at);
	int rc;

	/* a map is where its first field is, which is what would be meant; the last types
	 * have no field */
	if (k->type >= CONF_FIXED || k->type == CONF_MAP)
		return readers[k->type](c, k, n, field);
	struct field_place *place = add_place(c, field, n);
	if (place == NULL)
		return E_NOMEM;
	if (k->type == CONF_LIST || k->type == CONF_NAMED)
		rc = read_array(c, k, n, field, field_of(map, k->count_at));
	else
		rc = readers[k->type](c, k, n, field);
	place->broken = rc != 0;
	return rc;
}

/* The struct was zeroed: what has no default is an empty list, or no field. */
static void set_defaults(const struct conf_table *t, void *map)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		const struct conf_key *k = &t->keys[i];
		void *field = field_of(map, k->at);

		if (k->type == CONF_MAP)
			set_defaults(k->table, field);
		else if (k->type == CONF_STRING || k->type == CONF_TEXT)
			*(const char **)field = k->text;
		else
			store(k, field, k->def);
	}
}

/* The pairs of a map whose defaults are set. */
static int read_pairs(struct conf *c, const struct conf_table *t,
		      const struct conf_node *n, void *map, uint64_t *seen_out)
{
	uint64_t seen = 0;
	int rc = 0;

	for (const struct conf_node *key = n->first; key != NULL && rc != E_NOMEM;
	     key = key->next->next) {
		size_t i = 0;
		int r;

		while (i < t->n_keys && strcmp(t->keys[i].name, key->text) != 0)
			i++;
		if (i == t->n_keys)
			r = fail_at(c, key->place, "unknown key '%s' in %s%s",
				    log_quote_text(slice_str(key->text)).text, t->what,
				    conf_unknown_key(c->root, t, key->text).text);
		else if ((seen & UINT64_C(1) << i) != 0)
			r = fail_at(c, key->place, "'%s' is there twice in %s", key->text,
				    t->what);
		else
			r = read_value(c, &t->keys[i], key->next, map);
		if (i < t->n_keys)
			seen |= UINT64_C(1) << i;
		rc = worse(rc, r);
	}
	*seen_out = seen;
	return rc;
}

/* What t needs but the file does not say counts as broken. */
static int need_key(struct conf *c, const struct conf_table *t, const struct conf_node *n,
		    const struct conf_key *k, void *map)
{
	struct field_place *place = add_place(c, field_of(map, k->at), n);

	if (place == NULL)
		return E_NOMEM;
	place->broken = true;
	return fail_at(c, n->place, "%s needs the key '%s'", t->what, k->name);
}

static int read_map(struct conf *c, const struct conf_table *t, const struct conf_node *n,
		    void *map)
{
	struct conf_place outer = c->map;
	uint64_t seen = 0;

	ASSERT(t->n_keys <= 64);
	c->map = n->place;
	int rc = read_pairs(c, t, n, map, &seen);
	for (size_t i = 0; rc != E_NOMEM && i < t->n_keys; i++)
		if (t->keys[i].required && (seen & UINT64_C(1) << i) == 0)
			rc = worse(rc, need_key(c, t, n, &t->keys[i], map));
	if ((rc == 0 || (rc != E_NOMEM && t->check_anyway)) && t->check != NULL)
		rc = worse(rc, t->check(c, map));
	c->map = outer;
	return rc;
}

/* ---- files ---- */

int conf_parse(struct slice text, const char *name, const struct conf_table *table,
	       void *into, struct pool *pool, struct conf_error *err_out)
{
	struct conf c = {
		.name = name, .root = table, .pool = pool, .map = {1, 1}, .err = err_out};
	struct conf_node *root;

	*err_out = (struct conf_error){0};
	pool_init(&c.scratch);
	set_defaults(table, into);
	int rc = conf_tree_read(text, name, &c.scratch, &root, err_out);
	if (rc == 0 && root->kind != CONF_NODE_MAP)
		rc = fail_at(&c, root->place, "expected a map of keys, not %s",
			     found(root).text);
	if (rc == 0)
		rc = read_map(&c, table, root, into);
	pool_fini(&c.scratch);
	return rc;
}

/* The content of a file, up to one byte more than it may have. */
static int read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd == -1)
		return E_SYS;
	do {
		uint8_t *to = buf_reserve(out, out->max - out->len);

		if (to == NULL) {
			close(fd);
			return out->err;
		}
		n = read(fd, to, out->max - out->len);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while ((n > 0 && out->len < out->max) || (n == -1 && errno == EINTR));
	int saved = errno;
	close(fd);
	errno = saved;
	return n == -1 ? E_SYS : 0;
}

int conf_load(const char *path, const struct conf_table *table, void *into,
	      struct pool *pool, struct conf_error *err_out)
{
	struct buf text;

	buf_init(&text, CONF_MAX_FILE + 1);
	int rc = read_file(path, &text);
	if (rc == 0)
		rc = conf_parse(buf_slice(&text), path, table, into, pool, err_out);
	else
		snprintf(err_out->text, sizeof(err_out->text), "%s: %s", path,
			 err_str(rc));
	buf_fini(&text);
	return rc;
}
