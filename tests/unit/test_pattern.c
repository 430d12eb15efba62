/* SPDX-License-Identifier: Apache-2.0 */
/* The index of patterns: the specification's example in every order, random patterns
 * against a slow matcher, the nodes that a match visits, and memory that runs out. The
 * sources are included in this program, so that it can count look-ups and replace malloc.
 * One thread. */
#include "tests/unit/failing_malloc.h"

#include "common/id_table.c"
#include "common/table.h"

static bool weak; /* hashes have one bit */

static uint64_t weak_hash(const struct hash_key *key, struct slice bytes)
{
	uint64_t hash = hash_bytes(key, bytes);

	return weak ? 1 + hash % 2 : hash;
}

static size_t visits; /* look-ups in a tree that have found a node */

static struct id_node *counted_find(const struct id_table *t, const void *owner,
				    uint64_t id)
{
	struct id_node *node = id_table_find(t, owner, id);

	visits += node != NULL && owner != NULL;
	return node;
}

#define id_table_find counted_find
#define hash_bytes    weak_hash
#include "routerd/core/pattern.c"
#undef hash_bytes
#undef id_table_find
#undef malloc
#undef calloc
#undef realloc
#undef free

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct test {
	struct pattern_index index;
	uint64_t last_id;
};

static int setup(void **state)
{
	static struct test t;

	allocations = fail_at = 0;
	t.last_id = 0;
	assert_int_equal(pattern_index_init(&t.index), 0);
	*state = &t;
	return 0;
}

/* A test must have removed its patterns. Then no node is left. */
static int teardown(void **state)
{
	struct test *t = *state;

	assert_int_equal(pattern_index_count(&t->index), 0);
	assert_int_equal(t->index.n_loose, 0);
	assert_int_equal(t->index.exact.count, 0);
	assert_int_equal(t->index.nodes.count, 0);
	assert_null(t->index.prefixes.pattern);
	pattern_index_fini(&t->index);
	assert_int_equal(not_freed, 0);
	return 0;
}

#define pattern_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Makes and adds a pattern with a copy of the text. NULL if out of memory. */
static struct pattern *try_add(struct test *t, enum match how, const char *uri)
{
	struct pattern *p = malloc(sizeof(*p));

	assert_non_null(p);
	*p = (struct pattern){
		.by_id.id = ++t->last_id,
		.uri = slice_str(strdup(uri)),
		.match = (uint8_t)how,
	};
	assert_non_null(p->uri.p);
	if (pattern_add(&t->index, p) == 0)
		return p;
	free((uint8_t *)(uintptr_t)p->uri.p);
	free(p);
	return NULL;
}

static struct pattern *add(struct test *t, enum match how, const char *uri)
{
	struct pattern *p = try_add(t, how, uri);

	assert_non_null(p);
	return p;
}

static void drop(struct test *t, struct pattern *p)
{
	pattern_remove(&t->index, p);
	/* a use after this is an error that sanitizers see */
	free((uint8_t *)(uintptr_t)p->uri.p);
	free(p);
}

static void drop_all(struct test *t)
{
	struct pattern *p;

	for (unsigned how = 0; how < MATCH_COUNT; how++)
		while ((p = TAILQ_FIRST(&t->index.lists[how])) != NULL)
			drop(t, p);
}

static uint64_t best(struct test *t, const char *uri)
{
	struct pattern *p = pattern_best(&t->index, slice_str(uri));

	return p == NULL ? 0 : p->by_id.id;
}

/* --- the specification's example --- */

static const struct {
	enum match how;
	const char *uri;
} seven[] = {
	{MATCH_EXACT, "a1.b2.c3.d4.e55"},     {MATCH_PREFIX, "a1.b2.c3"},
	{MATCH_PREFIX, "a1.b2.c3.d4"},        {MATCH_WILDCARD, "a1.b2..d4.e5"},
	{MATCH_WILDCARD, "a1.b2.c33..e5"},    {MATCH_WILDCARD, "a1.b2..d4.e5..g7"},
	{MATCH_WILDCARD, "a1.b2..d4..f6.g7"},
};

/* The registration that the specification chooses; 0: none. */
static const struct {
	const char *uri;
	unsigned number;
} example_calls[] = {
	{"a1.b2.c3.d4.e55", 1},
	{"a1.b2.c3.d98.e74", 2},
	{"a1.b2.c3.d4.e325", 3},
	{"a1.b2.c55.d4.e5", 4},
	/* The specification says 5, but 2 matches, too: a prefix is compared as text. */
	{"a1.b2.c33.d4.e5", 2},
	{"a1.b2.c88.d4.e5.f6.g7", 6},
	{"a1.b2.c88.d4.e7.f6.g7", 7},
	{"a2.b2.c2.d2.e2", 0},
};

static void check_example(struct test *t, const unsigned order[7])
{
	uint64_t ids[1 + ARRAY_LEN(seven)] = {0};

	for (size_t i = 0; i < ARRAY_LEN(seven); i++) {
		unsigned n = order[i];
		ids[n + 1] = add(t, seven[n].how, seven[n].uri)->by_id.id;
	}
	for (size_t i = 0; i < ARRAY_LEN(example_calls); i++)
		assert_int_equal(best(t, example_calls[i].uri),
				 ids[example_calls[i].number]);
	drop_all(t);
}

static void check_orders(struct test *t, unsigned order[7], size_t from)
{
	if (from == ARRAY_LEN(seven))
		check_example(t, order);
	for (size_t i = from; i < ARRAY_LEN(seven); i++) {
		unsigned first = order[from];

		order[from] = order[i];
		order[i] = first;
		check_orders(t, order, from + 1);
		order[i] = order[from];
		order[from] = first;
	}
}

static void the_example_in_every_order(void **state)
{
	unsigned order[] = {0, 1, 2, 3, 4, 5, 6};

	check_orders(*state, order, 0);
}

/* --- against a slow matcher --- */

enum { PATTERNS = 400, URIS = 10000, CHANGES = 4 };

static uint64_t rng = 12345;

/* xorshift64* */
static unsigned below(unsigned n)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (unsigned)((rng * UINT64_C(2685821657736338717) >> 33) % n);
}

/* A URI of up to five components of few letters, some of them empty if asked for. */
static void random_uri(char to[32], bool empties)
{
	unsigned parts = 1 + below(5);

	to[0] = '\0';
	for (unsigned i = 0; i < parts; i++) {
		unsigned letters = empties ? below(3) : 1 + below(2);

		for (unsigned k = 0; k < letters; k++)
			strcat(to, below(3) == 0 ? "b" : "a");
		if (i + 1 < parts)
			strcat(to, ".");
	}
}

static void random_pattern(enum match how, char to[32])
{
	random_uri(to, how == MATCH_WILDCARD);
	/* a prefix may end anywhere, also at 0 */
	if (how == MATCH_PREFIX)
		to[below((unsigned)strlen(to) + 1)] = '\0';
}

static bool is_empty_part(const char *uri, size_t part)
{
	while (part-- > 0)
		uri = strchr(uri, '.') + 1;
	return *uri == '.' || *uri == '\0';
}

/* Which of two patterns that match the same URI comes first: below 0 for a. */
static int compare_matches(const struct pattern *a, const struct pattern *b)
{
	if (a->match != b->match)
		return a->match < b->match ? -1 : 1;
	if (a->match == MATCH_PREFIX)
		return a->uri.len < b->uri.len ? -1 : 1;
	assert_int_equal(a->match, MATCH_WILDCARD);
	for (size_t part = 0;; part++) {
		bool a_empty = is_empty_part((const char *)a->uri.p, part);
		bool b_empty = is_empty_part((const char *)b->uri.p, part);

		if (a_empty != b_empty)
			return a_empty ? 1 : -1;
	}
}

/* The pattern that the specification chooses, from the first and last match. */
static bool is_better(const struct pattern *a, const struct pattern *b)
{
	if (a->match == MATCH_PREFIX && b->match == MATCH_PREFIX)
		return a->uri.len > b->uri.len;
	return compare_matches(a, b) < 0;
}

static void check_uri(struct test *t, struct pattern *const patterns[], const char *text)
{
	struct slice uri = slice_str(text);
	const struct pattern *winner = NULL, *last = NULL, *p;
	struct pattern_walk w;
	size_t n = 0;

	for (size_t i = 0; i < PATTERNS; i++) {
		p = patterns[i];
		if (p == NULL || !uri_matches(p->match, p->uri, uri))
			continue;
		n++;
		if (winner == NULL || is_better(p, winner))
			winner = p;
	}
	assert_ptr_equal(pattern_best(&t->index, uri), winner);
	pattern_walk_begin(&w, &t->index, uri);
	while ((p = pattern_walk_next(&w)) != NULL) {
		assert_true(uri_matches(p->match, p->uri, uri));
		assert_true(last == NULL || compare_matches(last, p) < 0);
		last = p;
		n--;
	}
	assert_int_equal(n, 0);
	assert_null(pattern_walk_next(&w));
}

/* The reverse: finds the prefixes that, taken as URIs, match this prefix or wildcard. */
static void check_search(struct test *t, struct pattern *const patterns[], enum match how,
			 const char *text)
{
	struct slice sought = slice_str(text);
	struct pattern_search s;
	struct pattern *p;
	size_t n = 0;

	for (size_t i = 0; i < PATTERNS; i++) {
		p = patterns[i];
		n += p != NULL && p->match == MATCH_PREFIX &&
		     uri_matches(how, sought, p->uri);
	}
	pattern_search_begin(&s, &t->index, how, sought);
	while ((p = pattern_search_next(&s)) != NULL) {
		assert_int_equal(p->match, MATCH_PREFIX);
		assert_true(uri_matches(how, sought, p->uri));
		/* found once: the mark is undone below */
		assert_int_equal(p->created_ms, 0);
		p->created_ms = 1;
		n--;
	}
	assert_int_equal(n, 0);
	assert_null(pattern_search_next(&s));
	for (size_t i = 0; i < PATTERNS; i++)
		if (patterns[i] != NULL)
			patterns[i]->created_ms = 0;
}

/* Each node of the prefixes ends a prefix or has at least two children, and refers to a
 * text of a pattern at or below it. */
static void check_compressed(const struct pattern_node *node)
{
	const struct pattern_node *child;
	size_t n = 0, dots = 0;

	LIST_FOREACH (child, &node->children, sibling) {
		assert_true(child->length > node->length);
		assert_int_equal(child->of_parent.id, child->text[node->length]);
		if (node->length > 0)
			assert_memory_equal(child->text, node->text, node->length);
		check_compressed(child);
		n++;
	}
	for (size_t i = 0; i < node->length; i++)
		dots += node->text[i] == '.';
	assert_int_equal(node->n_dots, dots);
	assert_true(node->of_parent.owner == NULL || node->pattern != NULL || n > 1);
}

/* Removes a random pattern, or adds one. */
static void change_one(struct test *t, struct pattern *patterns[])
{
	size_t i = below(PATTERNS);
	enum match how = (enum match)below(MATCH_COUNT);
	char uri[32];

	if (patterns[i] != NULL) {
		drop(t, patterns[i]);
		patterns[i] = NULL;
		return;
	}
	random_pattern(how, uri);
	struct pattern *found = pattern_find(&t->index, how, slice_str(uri));
	for (size_t k = 0; k < PATTERNS; k++)
		if (patterns[k] != NULL && patterns[k]->match == how &&
		    slice_eq_str(patterns[k]->uri, uri)) {
			assert_ptr_equal(patterns[k], found);
			return;
		}
	assert_null(found);
	if (uri_fault(how, slice_str(uri)) == NULL)
		patterns[i] = add(t, how, uri);
}

static void random_patterns(void **state)
{
	static struct pattern *patterns[PATTERNS];
	struct test *t = *state;
	char uri[32];

	for (unsigned i = 0; i < URIS; i++) {
		for (unsigned k = 0; k < CHANGES; k++)
			change_one(t, patterns);
		random_uri(uri, false);
		check_uri(t, patterns, uri);
		for (enum match how = MATCH_PREFIX; how < MATCH_COUNT; how++) {
			random_pattern(how, uri);
			check_search(t, patterns, how, uri);
		}
		if (i % 100 == 0)
			check_compressed(&t->index.prefixes);
	}
	for (size_t i = 0; i < PATTERNS; i++) {
		if (patterns[i] == NULL)
			continue;
		assert_ptr_equal(pattern_by_id(&t->index, patterns[i]->by_id.id),
				 patterns[i]);
		drop(t, patterns[i]);
		patterns[i] = NULL;
		check_compressed(&t->index.prefixes);
	}
	assert_null(pattern_by_id(&t->index, 1));
}

/* --- the cost of a match --- */

static size_t visits_of(struct test *t, const char *uri, size_t matches)
{
	struct pattern_walk w;

	visits = 0;
	pattern_walk_begin(&w, &t->index, slice_str(uri));
	while (pattern_walk_next(&w) != NULL)
		matches--;
	assert_int_equal(matches, 0);
	return visits;
}

static void many_patterns_cost_no_more(void **state)
{
	struct test *t = *state;
	char uri[64];

	for (unsigned i = 0; i < 100000; i++) {
		snprintf(uri, sizeof(uri), "com.example.device%u..state", i);
		add(t, MATCH_WILDCARD, uri);
		snprintf(uri, sizeof(uri), "com.example.device%u.", i);
		add(t, MATCH_PREFIX, uri);
		snprintf(uri, sizeof(uri), "com.example.device%u.engine.state", i);
		add(t, MATCH_EXACT, uri);
	}
	/* 6 nodes on the path to the wildcard; one for each byte in which prefixes
	 * differ */
	assert_in_range(visits_of(t, "com.example.device77777.engine.state", 3), 6, 14);
	assert_in_range(visits_of(t, "com.example.device.engine.state", 0), 3, 4);
	assert_int_equal(visits_of(t, "org.example", 0), 0);
	drop_all(t);
}

/* All shapes of nine components, with a last one that no URI has. */
static void all_shapes_of_one_uri(void **state)
{
	struct test *t = *state;
	char uri[32];

	for (unsigned shape = 0; shape < 512; shape++) {
		uri[0] = '\0';
		for (unsigned i = 0; i < 9; i++)
			strcat(uri, (shape >> i & 1) != 0 ? "a." : ".");
		strcat(uri, "b");
		add(t, MATCH_WILDCARD, uri);
	}
	assert_in_range(visits_of(t, "a.a.a.a.a.a.a.a.a.a", 0), 1000, 1024);
	assert_in_range(visits_of(t, "a.a.a.a.a.a.a.a.a.b", 512), 1500, 1536);
	drop_all(t);
}

/* Writes a wildcard: component i of n is empty if bit i is set, else the text. */
static void write_shape(char to[], unsigned n, unsigned empty, const char *text)
{
	to[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		strcat(to, i == 0 ? "" : ".");
		strcat(to, (empty >> i & 1) != 0 ? "" : text);
	}
}

/* As many shapes as may be added; those with other numbers of components do not count. */
static void shapes_are_limited(void **state)
{
	enum { N = 32, SHAPES = PATTERN_VISITS_MAX / N };
	struct test *t = *state;
	struct pattern *first = NULL;
	char uri[100];

	for (unsigned i = 0; i < SHAPES; i++) {
		write_shape(uri, N, i << 16, "a");
		assert_false(pattern_shapes_full(&t->index, slice_str(uri)));
		struct pattern *p = add(t, MATCH_WILDCARD, uri);
		first = first == NULL ? p : first;
	}
	write_shape(uri, N, UINT32_MAX, "a");
	assert_true(pattern_shapes_full(&t->index, slice_str(uri)));
	assert_false(pattern_shapes_full(&t->index, slice_str("a..b")));
	write_shape(uri, N, 7 << 16, "b");
	assert_false(pattern_shapes_full(&t->index, slice_str(uri)));
	struct pattern *same_shape = add(t, MATCH_WILDCARD, uri);
	write_shape(uri, N, 0, "a");
	assert_in_range(visits_of(t, uri, SHAPES), SHAPES, PATTERN_VISITS_MAX);
	drop(t, same_shape);
	write_shape(uri, N, UINT32_MAX, "a");
	assert_true(pattern_shapes_full(&t->index, slice_str(uri)));
	drop(t, first);
	assert_false(pattern_shapes_full(&t->index, slice_str(uri)));
	drop_all(t);
}

/* A prefix that ends at each byte of a URI. */
static void prefixes_of_each_length(void **state)
{
	struct test *t = *state;
	char uri[1025], end;

	memset(uri, 'a', 1024);
	uri[1024] = '\0';
	/* the even ones upwards, then the others downwards */
	for (int i = 0; i <= 1024; i++) {
		int len = i <= 512 ? 2 * i : 1023 - 2 * (i - 513);
		end = uri[len];
		uri[len] = '\0';
		add(t, MATCH_PREFIX, uri);
		uri[len] = end;
	}
	assert_int_equal(visits_of(t, uri, 1025), 1024);
	assert_int_equal(best(t, uri), 513);
	assert_int_equal(visits_of(t, "b", 1), 0);
	drop_all(t);
}

/* The nodes that a search visits. */
static size_t search_visits(struct test *t, enum match how, const char *text,
			    size_t results)
{
	struct pattern_search s;
	size_t n = 0;

	pattern_search_begin(&s, &t->index, how, slice_str(text));
	for (; s.node != NULL; n++)
		results -= visit_node(&s) != NULL;
	assert_int_equal(results, 0);
	return n;
}

static void a_search_visits_little(void **state)
{
	struct test *t = *state;
	char uri[64];

	for (unsigned i = 0; i < 10000; i++) {
		snprintf(uri, sizeof(uri), "com.device%05u.state%u", i, i % 10);
		add(t, MATCH_PREFIX, uri);
		snprintf(uri, sizeof(uri), "com.log.entry%05u", i);
		add(t, MATCH_PREFIX, uri);
	}
	assert_in_range(search_visits(t, MATCH_PREFIX, "", 20000), 20000, 40000);
	assert_in_range(search_visits(t, MATCH_PREFIX, "com.device0123", 10), 10, 20);
	assert_in_range(search_visits(t, MATCH_PREFIX, "com.device01234.state4", 1), 1,
			1);
	assert_int_equal(search_visits(t, MATCH_PREFIX, "com.x", 0), 0);
	assert_int_equal(search_visits(t, MATCH_PREFIX, "dom", 0), 0);
	/* what follows the empty component is given */
	assert_in_range(search_visits(t, MATCH_WILDCARD, "com.device01234.", 1), 1, 1);
	assert_in_range(search_visits(t, MATCH_WILDCARD, "..state4", 1000), 1000, 32000);
	assert_in_range(search_visits(t, MATCH_WILDCARD, ".log.entry01234", 1), 1, 20);
	assert_in_range(search_visits(t, MATCH_WILDCARD, ".log.entry0123x", 0), 1, 20);
	assert_in_range(search_visits(t, MATCH_WILDCARD, "...", 0), 0, 40000);
	drop_all(t);
}

static void at_most_32_components(void **state)
{
	struct test *t = *state;
	char uri[80] = "a";

	for (unsigned i = 1; i < 32; i++)
		strcat(uri, ".a");
	add(t, MATCH_WILDCARD, uri);
	add(t, MATCH_WILDCARD, "...............................");
	visits_of(t, uri, 2);
	strcat(uri, ".a");
	assert_int_equal(visits_of(t, uri, 0), 0);
	assert_null(pattern_find(&t->index, MATCH_WILDCARD, slice_str(uri)));
	drop_all(t);
}

/* --- memory --- */

static void memory_runs_out(void **state)
{
	struct test *t = *state;
	static const struct {
		enum match how;
		const char *uri;
		size_t nodes; /* that it needs */
	} more[] = {
		{MATCH_PREFIX, "com.example.ab", 2}, /* a fork, and its own */
		{MATCH_PREFIX, "com.ex", 1},
		{MATCH_WILDCARD, "com..b", 1},
		{MATCH_WILDCARD, "com..b.c", 6}, /* and its shape */
	};

	add(t, MATCH_PREFIX, "com.example.aa");
	add(t, MATCH_WILDCARD, "com..a");
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		size_t nodes = t->index.nodes.count;

		for (size_t n = 1; n <= more[i].nodes; n++) {
			fail_at = allocations + n;
			assert_null(try_add(t, more[i].how, more[i].uri));
			assert_int_equal(t->index.nodes.count, nodes);
			check_compressed(&t->index.prefixes);
		}
		fail_at = 0;
		drop(t, add(t, more[i].how, more[i].uri));
		assert_int_equal(t->index.nodes.count, nodes);
	}
	drop_all(t);
}

/* Of texts with the same hash, the first one is added. It is not mixed up with others. */
static void equal_hashes(void **state)
{
	static const char *const texts[] = {"a", "b", "c", "d", "e"};
	struct test *t = *state;

	weak = true;
	for (unsigned how = 0; how < MATCH_COUNT; how += MATCH_WILDCARD) {
		unsigned added = 0, found = 0;

		for (size_t i = 0; i < ARRAY_LEN(texts); i++)
			added += try_add(t, (enum match)how, texts[i]) != NULL;
		assert_in_range(added, 1, 2);
		for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
			struct slice uri = slice_str(texts[i]);
			struct pattern *p = pattern_best(&t->index, uri);

			assert_ptr_equal(p,
					 pattern_find(&t->index, (enum match)how, uri));
			assert_true(p == NULL || slice_eq(p->uri, uri));
			found += p != NULL;
		}
		assert_int_equal(found, added);
		drop_all(t);
	}
	weak = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pattern_test(the_example_in_every_order),
		pattern_test(random_patterns),
		pattern_test(many_patterns_cost_no_more),
		pattern_test(all_shapes_of_one_uri),
		pattern_test(shapes_are_limited),
		pattern_test(prefixes_of_each_length),
		pattern_test(a_search_visits_little),
		pattern_test(at_most_32_components),
		pattern_test(memory_runs_out),
		pattern_test(equal_hashes),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
