/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles permissions and looks them up; see rights.h. Any thread.
 *
 * Exact permissions and prefixes are nodes of one array, sorted by text. The `up` link of
 * a node leads to the longest prefix of its text among the other nodes.
 *
 * To find the longest prefix of a URI, search for the last node that does not sort after
 * the URI, then follow the `up` links to the first prefix of the URI. This finds it
 * because every text that sorts between a prefix and the URI begins with that prefix.
 */
#include "routerd/config/rights.h"

#include "common/err.h"
#include "common/pool.h"

#include <assert.h>
#include <stdlib.h>

#define NO_NODE UINT32_MAX

static_assert(ACTION_COUNT <= 8, "struct rule has a bit for each action");
static_assert(RIGHTS_MAX_TRUST_LEVEL < UINT8_MAX,
	      "trust levels are stored plus 1, since 0 means none");

struct node {
	struct slice text;
	bool is_exact, is_prefix; /* at least one is set */
	struct rule exact, prefix;
	uint32_t up; /* the longest other prefix of text, or NO_NODE */
};

struct wildcard {
	struct slice pattern;
	size_t head; /* bytes before the first empty component */
	struct rule rule;
};

struct rights {
	_Atomic uint32_t refs;
	struct pool pool; /* memory of the arrays and texts */
	struct node *nodes;
	uint32_t n_nodes;
	struct wildcard *wildcards; /* most specific first */
	size_t n_wildcards;
	const char *authorizer; /* NULL: none */
};

/* --- patterns --- */

static int compare_text(struct slice a, struct slice b)
{
	size_t common = min_size(a.len, b.len);
	int order = common == 0 ? 0 : memcmp(a.p, b.p, common);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Is the component at i empty? */
static bool is_empty_at(struct slice pattern, size_t i)
{
	return i == pattern.len || pattern.p[i] == '.';
}

/* The end of the component at i: a dot or the end of the pattern. */
static size_t component_end(struct slice pattern, size_t i)
{
	while (!is_empty_at(pattern, i))
		i++;
	return i;
}

/*
 * Sorts wildcards in the order in which they are tried, the most specific first. At the
 * first component that is empty in only one of them, the other one is more specific. If
 * there is no such component, no URI matches both, and any order is right.
 */
static int compare_wildcards(struct slice a, struct slice b)
{
	size_t i = 0, j = 0;

	for (;; i++, j++) {
		bool a_empty = is_empty_at(a, i), b_empty = is_empty_at(b, j);

		if (a_empty != b_empty)
			return a_empty ? 1 : -1;
		i = component_end(a, i);
		j = component_end(b, j);
		if (i == a.len || j == b.len)
			break;
	}
	if ((i == a.len) != (j == b.len))
		return i == a.len ? -1 : 1;
	return compare_text(a, b);
}

/* --- compiling --- */

/* Sorts nodes by text, exact before prefix, then wildcards in the order of trying. */
static int compare_permissions(const void *x, const void *y)
{
	const struct permission *a = *(const struct permission *const *)x;
	const struct permission *b = *(const struct permission *const *)y;
	bool a_wild = a->match == MATCH_WILDCARD, b_wild = b->match == MATCH_WILDCARD;
	int order;

	if (a_wild != b_wild)
		return a_wild ? 1 : -1;
	order = a_wild ? compare_wildcards(slice_str(a->uri), slice_str(b->uri))
		       : compare_text(slice_str(a->uri), slice_str(b->uri));
	if (order == 0)
		order = (int)a->match - (int)b->match;
	/* Sort duplicates by position, so that the later one is reported. */
	return order != 0 ? order : (a > b) - (a < b);
}

static struct rule rule_of(const struct permission *p, uint16_t index)
{
	struct rule rule = {
		.trust = (uint8_t)(p->trust_level + 1),
		.permission = index,
	};

	for (unsigned i = 0; i < ACTION_COUNT; i++) {
		rule.allowed = (uint8_t)(rule.allowed | p->allow[i] << i);
		rule.disclose[i] = (uint8_t)p->disclose[i];
	}
	return rule;
}

/* Follows `up` from a node to the first one that is a prefix of text. */
static uint32_t prefix_from(const struct rights *rights, uint32_t node, struct slice text)
{
	while (node != NO_NODE &&
	       !(rights->nodes[node].is_prefix &&
		 uri_matches(MATCH_PREFIX, rights->nodes[node].text, text)))
		node = rights->nodes[node].up;
	return node;
}

/* Adds a permission; a copy of its URI is appended to the texts. */
static void add_permission(struct rights *rights, const struct permission *p,
			   uint16_t index, uint8_t **texts)
{
	struct slice uri = slice_store(texts, slice_str(p->uri));

	if (p->match == MATCH_WILDCARD) {
		rights->wildcards[rights->n_wildcards++] =
			(struct wildcard){.pattern = uri,
					  .head = uri_wildcard_head(uri),
					  .rule = rule_of(p, index)};
		return;
	}
	uint32_t last = rights->n_nodes == 0 ? NO_NODE : rights->n_nodes - 1;
	if (last == NO_NODE || !slice_eq(rights->nodes[last].text, uri))
		rights->nodes[rights->n_nodes++] =
			(struct node){.text = uri, .up = prefix_from(rights, last, uri)};
	struct node *node = &rights->nodes[rights->n_nodes - 1];
	if (p->match == MATCH_EXACT) {
		node->is_exact = true;
		node->exact = rule_of(p, index);
	} else {
		node->is_prefix = true;
		node->prefix = rule_of(p, index);
	}
}

static int compile_permissions(struct rights *rights,
			       const struct permission *permissions, size_t n,
			       const struct permission **sorted, size_t *duplicate_out)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		sorted[i] = &permissions[i];
		bytes += strlen(permissions[i].uri);
	}
	rights->nodes = pool_alloc(&rights->pool, n, sizeof(*rights->nodes));
	rights->wildcards = pool_alloc(&rights->pool, n, sizeof(*rights->wildcards));
	uint8_t *texts = pool_alloc(&rights->pool, bytes, 1);
	if (rights->nodes == NULL || rights->wildcards == NULL || texts == NULL)
		return E_NOMEM;
	qsort(sorted, n, sizeof(const struct permission *), compare_permissions);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && sorted[i - 1]->match == sorted[i]->match &&
		    strcmp(sorted[i - 1]->uri, sorted[i]->uri) == 0) {
			*duplicate_out = (size_t)(sorted[i] - permissions);
			return E_EXISTS;
		}
		add_permission(rights, sorted[i], (uint16_t)(sorted[i] - permissions),
			       &texts);
	}
	return 0;
}

int rights_new(const struct permission *permissions, size_t n, struct rights **out,
	       size_t *duplicate_out)
{
	struct rights *rights = calloc(1, sizeof(*rights));
	const struct permission **sorted =
		calloc(n + 1, sizeof(const struct permission *));
	int err = E_NOMEM;

	ASSERT(n < NO_NODE);
	if (rights != NULL) {
		atomic_init(&rights->refs, 1);
		pool_init(&rights->pool);
	}
	if (rights != NULL && sorted != NULL)
		err = compile_permissions(rights, permissions, n, sorted, duplicate_out);
	if (err != 0)
		rights_unref(&rights);
	free(sorted);
	*out = rights;
	return err;
}

int rights_set_authorizer(struct rights *rights, const char *name)
{
	rights->authorizer = pool_text(&rights->pool, name);
	return rights->authorizer == NULL ? E_NOMEM : 0;
}

const char *rights_authorizer(const struct rights *rights)
{
	return rights->authorizer;
}

void rights_unref(struct rights **rights_io)
{
	struct rights *rights = refs_drop(rights_io);

	if (rights == NULL)
		return;
	pool_fini(&rights->pool);
	free(rights);
}

/* --- lookups --- */

/* The last node that sorts at or before uri, or NO_NODE. */
static uint32_t last_not_behind(const struct rights *rights, struct slice uri)
{
	uint32_t low = 0, high = rights->n_nodes;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_text(rights->nodes[middle].text, uri) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? NO_NODE : low - 1;
}

static const struct rule nothing_allowed = {.permission = RULE_NO_PERMISSION};

const struct rule *rights_rule(const struct rights *rights, struct slice uri)
{
	uint32_t near = last_not_behind(rights, uri);
	const struct rule *rule = &nothing_allowed;
	size_t prefix_len = 0; /* of the longest prefix that matches */

	if (near != NO_NODE && rights->nodes[near].is_exact &&
	    slice_eq(rights->nodes[near].text, uri))
		return &rights->nodes[near].exact;
	uint32_t prefix = prefix_from(rights, near, uri);
	if (prefix != NO_NODE) {
		rule = &rights->nodes[prefix].prefix;
		prefix_len = rights->nodes[prefix].text.len;
	}
	/* Wildcards are sorted, so the first match is the most specific one. It wins
	 * if the part before its first empty component is at least as long as the
	 * prefix. */
	for (size_t i = 0; i < rights->n_wildcards; i++) {
		const struct wildcard *w = &rights->wildcards[i];

		if (w->head >= prefix_len && uri_matches(MATCH_WILDCARD, w->pattern, uri))
			return &w->rule;
	}
	return rule;
}

/* --- patterns of clients --- */

/* A compiled permission. Each node contains up to two. */
struct compiled {
	enum match match;
	struct slice text;
	const struct rule *rule;
};

static size_t count_compiled(const struct rights *rights)
{
	return 2 * (size_t)rights->n_nodes + rights->n_wildcards;
}

size_t rights_judge_cost(const struct rights *rights, enum match how)
{
	return how == MATCH_EXACT ? rights->n_wildcards : 2 * count_compiled(rights);
}

/* Reads permission i, of count_compiled. False if the node does not contain it. */
static bool compiled_at(const struct rights *rights, size_t i, struct compiled *out)
{
	size_t of_nodes = 2 * (size_t)rights->n_nodes;

	if (i >= of_nodes) {
		const struct wildcard *w = &rights->wildcards[i - of_nodes];
		*out = (struct compiled){MATCH_WILDCARD, w->pattern, &w->rule};
		return true;
	}
	const struct node *node = &rights->nodes[i / 2];
	*out = i % 2 == 0 ? (struct compiled){MATCH_EXACT, node->text, &node->exact}
			  : (struct compiled){MATCH_PREFIX, node->text, &node->prefix};
	return i % 2 == 0 ? node->is_exact : node->is_prefix;
}

/* Of two permissions that match the same URI, does a decide? */
static bool decides_over(const struct compiled *a, const struct compiled *b)
{
	if (a->match == MATCH_EXACT || b->match == MATCH_EXACT)
		return a->match == MATCH_EXACT;
	if (a->match == MATCH_WILDCARD && b->match == MATCH_WILDCARD)
		return compare_wildcards(a->text, b->text) < 0;
	if (a->match == MATCH_WILDCARD)
		return uri_wildcard_head(a->text) >= b->text.len;
	return a->text.len >
	       (b->match == MATCH_WILDCARD ? uri_wildcard_head(b->text) : b->text.len);
}

const struct rule *rights_pattern_rule(const struct rights *rights, enum action action,
				       enum match how, struct slice pattern)
{
	struct compiled found = {.match = MATCH_COUNT}, c;

	for (size_t i = 0; i < count_compiled(rights); i++)
		if (compiled_at(rights, i, &c) &&
		    uri_covers(c.match, c.text, how, pattern) &&
		    (found.match == MATCH_COUNT || decides_over(&c, &found)))
			found = c;
	if (found.match == MATCH_COUNT)
		return &nothing_allowed;
	for (size_t i = 0; i < count_compiled(rights); i++)
		if (compiled_at(rights, i, &c) && !rule_allows(c.rule, action) &&
		    decides_over(&c, &found) &&
		    uri_intersects(c.match, c.text, how, pattern))
			return &nothing_allowed;
	return found.rule;
}
