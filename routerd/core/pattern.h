/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the subscriptions or registrations that match a URI (specification:
 * "Pattern-based Subscriptions", "Pattern-based Registrations"). A subscription and a
 * registration each embed a pattern: a URI or a part of one, and how it matches. One
 * index holds the patterns of the broker, and another one those of the dealer.
 *
 * The cost of a match depends on the URI, not on the number of patterns. An exact match
 * is one look-up in a hash table. The prefixes are in a tree; a match walks down one path
 * of at most as many nodes as the URI has bytes. The wildcards are in a tree with a level
 * for each component; a match visits only nodes of wildcards whose first components match
 * the URI. The trees cost nothing while they are empty.
 *
 * The shape of a wildcard says which of its components are empty. A match visits at most
 * one node for each component of each shape, so the shapes are limited
 * (pattern_shapes_full). 100,000 wildcards of one shape cost no more than one.
 *
 * Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_PATTERN_H
#define ROUTERD_CORE_PATTERN_H

#include "common/base.h"
#include "common/id_table.h"
#include "proto/uri.h"

#include <sys/queue.h>

struct pattern_node;
LIST_HEAD(pattern_nodes, pattern_node);

/* Before it is added, by_id.id, uri, match and created_ms must be set. */
struct pattern {
	struct id_node by_id; /* owner: NULL, id: the subscription's or registration's */
	/* in pattern_index.lists: the patterns that match in the same way, in the order
	 * in which they were added */
	TAILQ_ENTRY(pattern) link;
	struct slice uri;    /* lent; stored by whoever embeds the pattern */
	uint64_t created_ms; /* Unix time */
	uint8_t match;       /* enum match */
	union {
		struct id_node by_uri; /* MATCH_EXACT; owner: NULL, id: the URI's hash */
		struct pattern_node *node; /* other patterns */
	};
};

TAILQ_HEAD(pattern_list, pattern);

/* A node of a tree. For pattern.c only. */
struct pattern_node {
	/*
	 * owner: the parent; NULL in a root. id: among the prefixes, the byte that
	 * follows the parent's prefix; among the wildcards, the hash of the component, or
	 * the number of components if the parent is the root.
	 */
	struct id_node of_parent;
	struct pattern_nodes children;
	LIST_ENTRY(pattern_node) sibling;
	struct pattern *pattern; /* the pattern that ends here, or NULL */
	/* The rest is for prefixes only. The node's own prefix is the first `length`
	 * bytes of text, which belongs to some pattern at or below the node. */
	const uint8_t *text;
	uint16_t length;
	uint16_t n_dots;    /* how many dots the prefix contains */
	uint16_t after_dot; /* where its last component begins */
};

/* Nodes of wildcards that a match may visit; takes about 1 ms. */
enum { PATTERN_VISITS_MAX = 8192 };

/* Must not move: the nodes point to the roots of the trees, which are in the struct. */
struct pattern_index {
	struct pattern_list lists[MATCH_COUNT]; /* all patterns, by enum match */
	size_t n_loose;                         /* prefixes and wildcards */
	struct id_table exact;                  /* pattern.by_uri */
	struct id_table by_id;                  /* pattern.by_id */
	struct id_table nodes;                  /* pattern_node.of_parent */
	struct pattern_node prefixes, wildcards;
	struct id_table shapes; /* of the wildcards; for pattern.c only */
	/* how many shapes have this number of components */
	uint32_t n_shapes[1 + URI_MAX_WILDCARD_PARTS];
};

int pattern_index_init(struct pattern_index *x) MUSTCHECK; /* 0 or E_NOMEM */
/* The index must be empty. Also frees a zeroed struct, or one whose init failed. */
void pattern_index_fini(struct pattern_index *x);

/*
 * Adds a pattern, which must be valid (uri_fault), and which pattern_find must not find.
 * E_NOMEM.
 */
int pattern_add(struct pattern_index *x, struct pattern *p) MUSTCHECK;
void pattern_remove(struct pattern_index *x, struct pattern *p);
/*
 * Gives a pattern another id and another time, as if it had been removed and added again.
 */
void pattern_renew(struct pattern_index *x, struct pattern *p, uint64_t id,
		   uint64_t created_ms);

/*
 * True if a wildcard of this shape must not be added, because matches of URIs with as
 * many components could visit more than PATTERN_VISITS_MAX nodes.
 */
bool pattern_shapes_full(const struct pattern_index *x, struct slice wildcard);

/* The pattern with this text that matches in this way. NULL if there is none. */
struct pattern *pattern_find(const struct pattern_index *x, enum match how,
			     struct slice uri);
/* The same for MATCH_EXACT. */
struct pattern *pattern_exact(const struct pattern_index *x, struct slice uri);
/* NULL if there is none. */
struct pattern *pattern_by_id(const struct pattern_index *x, uint64_t id);

/*
 * The pattern that the specification prefers for a call of this URI (section "Best
 * Matching"): the exact one; else the longest prefix; else the wildcard whose first empty
 * component comes last. If several wildcards are equal in this, their second empty
 * components are compared, and so on. NULL if none matches.
 */
struct pattern *pattern_best(const struct pattern_index *x, struct slice uri);

/*
 * Finds all patterns that match a URI: call pattern_walk_begin, then pattern_walk_next
 * until it returns NULL. Their order is: the exact one; the prefixes, shorter ones first;
 * the wildcards, better ones first. The index must not change in between.
 */
struct pattern_walk {
	const struct pattern_index *index;
	struct slice uri;
	uint8_t next;                    /* enum match of the next pattern to find */
	const struct pattern_node *node; /* the last one visited */
	/* The URI's path through the tree of wildcards, its length, and node's depth. */
	unsigned depth, n_keys;
	uint64_t keys[1 + URI_MAX_WILDCARD_PARTS];
};
void pattern_walk_begin(struct pattern_walk *w, const struct pattern_index *x,
			struct slice uri);
struct pattern *pattern_walk_next(struct pattern_walk *w);

/*
 * The reverse of a match: finds the prefixes in the index that, taken as URIs, match a
 * given prefix or wildcard. Call pattern_search_begin, then pattern_search_next until it
 * returns NULL. Their order is arbitrary. The index must not change in between.
 *
 * The search visits only nodes below which there may be a result. For a prefix that is at
 * most two nodes for each result.
 */
struct pattern_search {
	const struct pattern_index *index;
	const struct pattern_node *top;  /* all results are at or below this node */
	const struct pattern_node *node; /* the next one to visit */
	/* The components of the wildcard; n_parts is 0 for a prefix. */
	unsigned n_parts;
	struct slice parts[URI_MAX_WILDCARD_PARTS];
};
void pattern_search_begin(struct pattern_search *s, const struct pattern_index *x,
			  enum match how, struct slice text);
struct pattern *pattern_search_next(struct pattern_search *s);

static inline size_t pattern_index_count(const struct pattern_index *x)
{
	return x->by_id.count;
}

#endif
