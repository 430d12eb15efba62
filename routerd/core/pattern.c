/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of patterns; the owner's thread. See pattern.h.
 *
 * The nodes of both trees are in one hash table, which finds the child of a node by its
 * key. A walk down a tree compares single bytes of a prefix, or hashes of components. At
 * the end of the walk the whole pattern is compared. The hashes are 64 bits long and
 * keyed, so equal hashes of different texts do not occur; if they did, the later pattern
 * would be refused.
 *
 * The tree of prefixes is compressed: each node except the root ends a prefix or has at
 * least two children.
 */
#include "routerd/core/pattern.h"

#include "common/err.h"
#include "common/table.h"

#include <stdlib.h>

/* The key of an empty component, which matches any component. */
#define KEY_ANY UINT64_C(0)

static uint64_t hash_text(struct slice text)
{
	return hash_bytes(hash_process_key, text);
}

int pattern_index_init(struct pattern_index *x)
{
	*x = (struct pattern_index){.n_loose = 0};
	for (unsigned i = 0; i < MATCH_COUNT; i++)
		TAILQ_INIT(&x->lists[i]);
	if (id_table_init(&x->exact) != 0 || id_table_init(&x->by_id) != 0)
		return E_NOMEM;
	return id_table_init(&x->nodes) != 0 ? E_NOMEM : id_table_init(&x->shapes);
}

void pattern_index_fini(struct pattern_index *x)
{
	id_table_fini(&x->shapes);
	id_table_fini(&x->nodes);
	id_table_fini(&x->by_id);
	id_table_fini(&x->exact);
}

/* --- nodes --- */

static struct pattern_node *child_of(const struct pattern_index *x,
				     const struct pattern_node *parent, uint64_t key)
{
	struct id_node *node = id_table_find(&x->nodes, parent, key);

	return node == NULL ? NULL : container_of(node, struct pattern_node, of_parent);
}

static void attach_node(struct pattern_index *x, struct pattern_node *node,
			struct pattern_node *parent, uint64_t key)
{
	node->of_parent.owner = parent;
	node->of_parent.id = key;
	id_table_add(&x->nodes, &node->of_parent);
	LIST_INSERT_HEAD(&parent->children, node, sibling);
}

static void detach_node(struct pattern_index *x, struct pattern_node *node)
{
	id_table_remove(&x->nodes, &node->of_parent);
	LIST_REMOVE(node, sibling);
}

static struct pattern_node *add_node(struct pattern_index *x, struct pattern_node *parent,
				     uint64_t key)
{
	struct pattern_node *node = calloc(1, sizeof(*node));

	if (node != NULL)
		attach_node(x, node, parent, key);
	return node;
}

/*
 * Frees a node if no pattern needs it, then does the same with its parents. Among the
 * prefixes, a node with a single child is not needed either: the child replaces it.
 * Returns the first node that stays.
 */
static struct pattern_node *free_unneeded(struct pattern_index *x,
					  struct pattern_node *node)
{
	while (node->pattern == NULL && node->of_parent.owner != NULL) {
		struct pattern_node *parent = node->of_parent.owner;
		struct pattern_node *child = LIST_FIRST(&node->children);

		if (child != NULL &&
		    (node->length == 0 || LIST_NEXT(child, sibling) != NULL))
			break;
		detach_node(x, node);
		if (child != NULL) {
			detach_node(x, child);
			attach_node(x, child, parent, node->of_parent.id);
		}
		free(node);
		node = parent;
	}
	return node;
}

/* --- prefixes --- */

/* The node's prefix is the first `length` bytes of text. */
static void set_prefix(struct pattern_node *node, struct slice text, size_t length)
{
	node->text = text.p;
	node->length = (uint16_t)length;
	for (size_t i = 0; i < length; i++) {
		if (text.p[i] != '.')
			continue;
		node->n_dots++;
		node->after_dot = (uint16_t)(i + 1);
	}
}

/*
 * A prefix was removed: finds other texts for this node and those above it, which may
 * refer to its text.
 */
static void replace_text(struct pattern_node *node, const uint8_t *removed)
{
	for (; node->of_parent.owner != NULL; node = node->of_parent.owner)
		if (node->text == removed)
			node->text = node->pattern != NULL
					     ? node->pattern->uri.p
					     : LIST_FIRST(&node->children)->text;
}

/* The next node on the path of a URI. Its prefix may be longer than the URI. */
static struct pattern_node *next_of_prefixes(const struct pattern_index *x,
					     const struct pattern_node *node,
					     struct slice uri)
{
	return node->length < uri.len ? child_of(x, node, uri.p[node->length]) : NULL;
}

static size_t common_length(struct slice a, struct slice b)
{
	size_t n = 0;

	while (n < a.len && n < b.len && a.p[n] == b.p[n])
		n++;
	return n;
}

/*
 * Finds the prefix of a node that has the longest part in common with uri. No node has
 * more in common.
 */
static struct slice nearest_prefix(const struct pattern_index *x, struct slice uri)
{
	const struct pattern_node *node = &x->prefixes, *next;

	while ((next = next_of_prefixes(x, node, uri)) != NULL)
		node = next;
	return slice_of(node->text, node->length);
}

/* Makes the node of a prefix. NULL if out of memory. */
static struct pattern_node *add_prefix(struct pattern_index *x, struct slice uri)
{
	struct slice nearest = nearest_prefix(x, uri);
	size_t common = common_length(nearest, uri);
	struct pattern_node *node = &x->prefixes, *next, *leaf;

	while ((next = next_of_prefixes(x, node, uri)) != NULL && next->length <= common)
		node = next;
	/* the texts differ between node and next: make a node there */
	if (node->length < common) {
		struct pattern_node *fork = calloc(1, sizeof(*fork));

		if (fork == NULL)
			return NULL;
		detach_node(x, next);
		set_prefix(fork, uri, common);
		attach_node(x, fork, node, next->of_parent.id);
		attach_node(x, next, fork, nearest.p[common]);
		node = fork;
	}
	if (node->length == uri.len)
		return node;
	leaf = add_node(x, node, uri.p[node->length]);
	if (leaf == NULL)
		(void)free_unneeded(x, node);
	else
		set_prefix(leaf, uri, uri.len);
	return leaf;
}

static const struct pattern_node *find_prefix(const struct pattern_index *x,
					      struct slice uri)
{
	const struct pattern_node *node = &x->prefixes;

	while (node != NULL && node->length < uri.len)
		node = next_of_prefixes(x, node, uri);
	return node;
}

/* --- wildcards --- */

/*
 * Fills keys with the path of a wildcard or URI through the tree: the number of its
 * components, then the hash of each component, or KEY_ANY for an empty one. Returns the
 * length of the path, or 0 if there are more components than a wildcard may have.
 */
static unsigned wildcard_path(struct slice uri, uint64_t keys[1 + URI_MAX_WILDCARD_PARTS])
{
	for (unsigned n = 1; n <= URI_MAX_WILDCARD_PARTS; n++) {
		size_t len = slice_find(uri, '.');

		keys[n] = len == 0 ? KEY_ANY : hash_text(slice_of(uri.p, len));
		if (len == uri.len) {
			keys[0] = n;
			return n + 1;
		}
		uri = slice_from(uri, len + 1);
	}
	return 0;
}

/* Makes the node of a wildcard. NULL if out of memory. */
static struct pattern_node *add_wildcard(struct pattern_index *x, struct slice uri)
{
	uint64_t keys[1 + URI_MAX_WILDCARD_PARTS];
	unsigned n = wildcard_path(uri, keys);
	struct pattern_node *node = &x->wildcards;

	ASSERT(n > 0);
	for (unsigned i = 0; i < n; i++) {
		struct pattern_node *next = child_of(x, node, keys[i]);

		if (next == NULL)
			next = add_node(x, node, keys[i]);
		if (next == NULL) {
			(void)free_unneeded(x, node);
			return NULL;
		}
		node = next;
	}
	return node;
}

static const struct pattern_node *find_wildcard(const struct pattern_index *x,
						struct slice uri)
{
	uint64_t keys[1 + URI_MAX_WILDCARD_PARTS];
	unsigned n = wildcard_path(uri, keys);
	const struct pattern_node *node = n == 0 ? NULL : &x->wildcards;

	for (unsigned i = 0; i < n && node != NULL; i++)
		node = child_of(x, node, keys[i]);
	return node;
}

/* --- shapes of wildcards --- */

struct pattern_shape {
	struct id_node node; /* owner: NULL, id: see shape_of */
	size_t n_patterns;
};

/* Says how many components a wildcard has, and, in the lower half, which are empty. */
static uint64_t shape_of(struct slice uri)
{
	uint64_t empty = 0;

	for (unsigned i = 0;; i++) {
		size_t len = slice_find(uri, '.');

		if (len == 0)
			empty |= UINT64_C(1) << i;
		if (len == uri.len)
			return (i + UINT64_C(1)) << 32 | empty;
		uri = slice_from(uri, len + 1);
	}
}

static struct pattern_shape *find_shape(const struct pattern_index *x, uint64_t shape)
{
	struct id_node *node = id_table_find(&x->shapes, NULL, shape);

	return node == NULL ? NULL : container_of(node, struct pattern_shape, node);
}

bool pattern_shapes_full(const struct pattern_index *x, struct slice wildcard)
{
	uint64_t shape = shape_of(wildcard), n = shape >> 32;

	return (x->n_shapes[n] + 1) * n > PATTERN_VISITS_MAX &&
	       find_shape(x, shape) == NULL;
}

/* Adds a wildcard to its shape. False if out of memory. */
static bool add_to_shape(struct pattern_index *x, struct slice uri)
{
	uint64_t id = shape_of(uri);
	struct pattern_shape *shape = find_shape(x, id);

	if (shape == NULL) {
		shape = calloc(1, sizeof(*shape));
		if (shape == NULL)
			return false;
		shape->node.id = id;
		id_table_add(&x->shapes, &shape->node);
		x->n_shapes[id >> 32]++;
	}
	shape->n_patterns++;
	return true;
}

static void remove_from_shape(struct pattern_index *x, struct slice uri)
{
	uint64_t id = shape_of(uri);
	struct pattern_shape *shape = find_shape(x, id);

	ASSERT(shape != NULL);
	if (--shape->n_patterns > 0)
		return;
	id_table_remove(&x->shapes, &shape->node);
	x->n_shapes[id >> 32]--;
	free(shape);
}

/* --- adding and removing --- */

struct pattern *pattern_exact(const struct pattern_index *x, struct slice uri)
{
	struct id_node *node = id_table_find(&x->exact, NULL, hash_text(uri));

	if (node == NULL)
		return NULL;
	struct pattern *p = container_of(node, struct pattern, by_uri);
	return slice_eq(p->uri, uri) ? p : NULL;
}

/* Adds p to the structure for its kind of match. */
static bool add_by_uri(struct pattern_index *x, struct pattern *p)
{
	if (p->match == MATCH_EXACT) {
		p->by_uri = (struct id_node){.id = hash_text(p->uri)};
		if (id_table_find(&x->exact, NULL, p->by_uri.id) != NULL)
			return false;
		id_table_add(&x->exact, &p->by_uri);
		return true;
	}
	p->node = p->match == MATCH_PREFIX ? add_prefix(x, p->uri)
					   : add_wildcard(x, p->uri);
	if (p->node == NULL || p->node->pattern != NULL)
		return false;
	if (p->match == MATCH_WILDCARD && !add_to_shape(x, p->uri)) {
		(void)free_unneeded(x, p->node);
		return false;
	}
	p->node->pattern = p;
	x->n_loose++;
	return true;
}

int pattern_add(struct pattern_index *x, struct pattern *p)
{
	DEBUG_ASSERT(uri_fault(p->match, p->uri) == NULL &&
		     pattern_find(x, p->match, p->uri) == NULL);
	if (!add_by_uri(x, p))
		return E_NOMEM;
	p->by_id.owner = NULL;
	id_table_add(&x->by_id, &p->by_id);
	TAILQ_INSERT_TAIL(&x->lists[p->match], p, link);
	return 0;
}

void pattern_remove(struct pattern_index *x, struct pattern *p)
{
	TAILQ_REMOVE(&x->lists[p->match], p, link);
	id_table_remove(&x->by_id, &p->by_id);
	if (p->match == MATCH_EXACT) {
		id_table_remove(&x->exact, &p->by_uri);
		return;
	}
	if (p->match == MATCH_WILDCARD)
		remove_from_shape(x, p->uri);
	x->n_loose--;
	p->node->pattern = NULL;
	struct pattern_node *node = free_unneeded(x, p->node);
	if (p->match == MATCH_PREFIX)
		replace_text(node, p->uri.p);
}

void pattern_renew(struct pattern_index *x, struct pattern *p, uint64_t id,
		   uint64_t created_ms)
{
	id_table_remove(&x->by_id, &p->by_id);
	p->by_id.id = id;
	id_table_add(&x->by_id, &p->by_id);
	TAILQ_REMOVE(&x->lists[p->match], p, link);
	TAILQ_INSERT_TAIL(&x->lists[p->match], p, link);
	p->created_ms = created_ms;
}

/* --- finding --- */

struct pattern *pattern_find(const struct pattern_index *x, enum match how,
			     struct slice uri)
{
	if (how == MATCH_EXACT)
		return pattern_exact(x, uri);
	const struct pattern_node *node =
		how == MATCH_PREFIX ? find_prefix(x, uri) : find_wildcard(x, uri);
	struct pattern *p = node == NULL ? NULL : node->pattern;
	return p != NULL && slice_eq(p->uri, uri) ? p : NULL;
}

struct pattern *pattern_by_id(const struct pattern_index *x, uint64_t id)
{
	struct id_node *node = id_table_find(&x->by_id, NULL, id);

	return node == NULL ? NULL : container_of(node, struct pattern, by_id);
}

static struct pattern *walk_prefixes(struct pattern_walk *w)
{
	while (w->node != NULL) {
		struct pattern *p = w->node->pattern;

		w->node = next_of_prefixes(w->index, w->node, w->uri);
		if (p != NULL && uri_matches(MATCH_PREFIX, p->uri, w->uri))
			return p;
	}
	return NULL;
}

static void walk_to_wildcards(struct pattern_walk *w)
{
	w->next = MATCH_WILDCARD;
	w->node = NULL;
	w->depth = 0;
	if (TAILQ_EMPTY(&w->index->lists[MATCH_WILDCARD]))
		return;
	w->n_keys = wildcard_path(w->uri, w->keys);
	if (w->n_keys > 0)
		w->node = &w->index->wildcards;
}

/*
 * The next node on any of the paths to wildcards that match the URI. NULL if all were
 * visited.
 */
static const struct pattern_node *next_of_wildcards(struct pattern_walk *w)
{
	const struct pattern_node *node = w->node, *next = NULL;

	/* Try the child for the URI's component first: then better matches come first. */
	if (w->depth < w->n_keys)
		next = child_of(w->index, node, w->keys[w->depth]);
	if (next == NULL && w->depth < w->n_keys)
		next = child_of(w->index, node, KEY_ANY);
	if (next != NULL) {
		w->depth++;
		return next;
	}
	/* Go up, to a node whose child for any component was not visited. */
	while (node->of_parent.owner != NULL) {
		const struct pattern_node *parent = node->of_parent.owner;

		if (node->of_parent.id != KEY_ANY)
			next = child_of(w->index, parent, KEY_ANY);
		if (next != NULL)
			return next;
		node = parent;
		w->depth--;
	}
	return NULL;
}

static struct pattern *walk_wildcards(struct pattern_walk *w)
{
	while (w->node != NULL) {
		w->node = next_of_wildcards(w);
		struct pattern *p = w->node == NULL ? NULL : w->node->pattern;
		if (p != NULL && uri_matches(MATCH_WILDCARD, p->uri, w->uri))
			return p;
	}
	return NULL;
}

void pattern_walk_begin(struct pattern_walk *w, const struct pattern_index *x,
			struct slice uri)
{
	w->index = x;
	w->uri = uri;
	w->next = MATCH_EXACT;
	w->node = &x->prefixes;
}

struct pattern *pattern_walk_next(struct pattern_walk *w)
{
	struct pattern *p = NULL;

	if (w->next == MATCH_EXACT) {
		w->next = MATCH_PREFIX;
		p = pattern_exact(w->index, w->uri);
	}
	if (p == NULL && w->next == MATCH_PREFIX) {
		p = walk_prefixes(w);
		if (p == NULL)
			walk_to_wildcards(w);
	}
	return p == NULL ? walk_wildcards(w) : p;
}

/* Finds the best prefix or wildcard. */
static NOINLINE struct pattern *best_loose(const struct pattern_index *x,
					   struct slice uri)
{
	struct pattern *p, *best = NULL;
	struct pattern_walk w;

	pattern_walk_begin(&w, x, uri);
	while ((p = walk_prefixes(&w)) != NULL)
		best = p;
	if (best != NULL)
		return best;
	walk_to_wildcards(&w);
	return walk_wildcards(&w);
}

struct pattern *pattern_best(const struct pattern_index *x, struct slice uri)
{
	struct pattern *p = pattern_exact(x, uri);

	return LIKELY(p != NULL || x->n_loose == 0) ? p : best_loose(x, uri);
}

/* --- the reverse --- */

void pattern_search_begin(struct pattern_search *s, const struct pattern_index *x,
			  enum match how, struct slice text)
{
	*s = (struct pattern_search){.index = x};
	if (how == MATCH_WILDCARD) {
		struct slice rest = text;
		text.len = uri_wildcard_head(text);
		for (;;) {
			size_t len = slice_find(rest, '.');

			ASSERT(s->n_parts < URI_MAX_WILDCARD_PARTS);
			s->parts[s->n_parts++] = slice_of(rest.p, len);
			if (len == rest.len)
				break;
			rest = slice_from(rest, len + 1);
		}
	}
	s->top = find_prefix(x, text);
	/* the walk has compared single bytes */
	if (s->top != NULL && text.len > 0 && memcmp(s->top->text, text.p, text.len) != 0)
		s->top = NULL;
	s->node = s->top;
}

/*
 * Given that the wildcard fits the prefix of node's parent: may a URI that begins with
 * node's prefix match the wildcard?
 */
static bool may_match(const struct pattern_search *s, const struct pattern_node *node)
{
	const struct pattern_node *parent = node->of_parent.owner;
	size_t at = parent == NULL ? 0 : parent->after_dot;
	unsigned i = parent == NULL ? 0 : parent->n_dots;
	struct slice rest;

	if (node->length == 0)
		return true; /* and text may be NULL */
	rest = slice_of(node->text + at, node->length - at);
	if (node->n_dots >= s->n_parts)
		return false;
	for (; i < node->n_dots; i++) {
		size_t len = slice_find(rest, '.');

		if (s->parts[i].len > 0 && !slice_eq(s->parts[i], slice_of(rest.p, len)))
			return false;
		rest = slice_from(rest, len + 1);
	}
	/* the last component may go on below the node */
	return s->parts[i].len == 0 || (rest.len <= s->parts[i].len &&
					common_length(s->parts[i], rest) == rest.len);
}

/*
 * If all results below a node begin with the same byte after its prefix, because the
 * wildcard gives it, returns true and sets *byte_out.
 */
static bool next_byte(const struct pattern_search *s, const struct pattern_node *node,
		      uint8_t *byte_out)
{
	struct slice part =
		node->n_dots < s->n_parts ? s->parts[node->n_dots] : slice_of(NULL, 0);
	size_t len = node->length - node->after_dot;

	*byte_out = len < part.len ? part.p[len] : '.';
	return part.len > 0;
}

/* The node that follows in the search, below `node` or else beside or above it. */
static const struct pattern_node *next_of_search(const struct pattern_search *s,
						 const struct pattern_node *node,
						 bool below)
{
	const struct pattern_node *next = NULL;
	uint8_t byte;

	if (below)
		next = next_byte(s, node, &byte) ? child_of(s->index, node, byte)
						 : LIST_FIRST(&node->children);
	while (next == NULL && node != s->top) {
		const struct pattern_node *parent = node->of_parent.owner;

		/* if the byte is given, the node was the only child to visit */
		if (!next_byte(s, parent, &byte))
			next = LIST_NEXT(node, sibling);
		node = parent;
	}
	return next;
}

/* Given that may_match is true: does the node's prefix match the wildcard? */
static bool is_match(const struct pattern_search *s, const struct pattern_node *node)
{
	struct slice part = s->parts[node->n_dots];

	return node->n_dots + 1u == s->n_parts &&
	       (part.len == 0 || part.len == (size_t)(node->length - node->after_dot));
}

/* Visits one node. Returns its pattern if that is a result, else NULL. */
static struct pattern *visit_node(struct pattern_search *s)
{
	const struct pattern_node *node = s->node;
	bool prefix = s->n_parts == 0, fits = prefix || may_match(s, node);

	s->node = next_of_search(s, node, fits);
	return fits && (prefix || is_match(s, node)) ? node->pattern : NULL;
}

struct pattern *pattern_search_next(struct pattern_search *s)
{
	struct pattern *p = NULL;

	while (p == NULL && s->node != NULL)
		p = visit_node(s);
	return p;
}
