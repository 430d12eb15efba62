/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first half of common/conf.h: from YAML to a tree of nodes that know their place.
 * For conf.c alone. No state; any thread.
 */
#ifndef COMMON_CONF_TREE_H
#define COMMON_CONF_TREE_H

#include "common/base.h"
#include "common/conf.h"
#include "common/pool.h"

#include <stdarg.h>

struct conf_place {
	unsigned line, column; /* from 1 */
};

enum conf_node_kind {
	CONF_NODE_SCALAR = 0,
	CONF_NODE_LIST = 1,
	CONF_NODE_MAP = 2,
};

struct conf_node {
	enum conf_node_kind kind;
	bool plain; /* SCALAR: not quoted, so it may be a number or true */
	struct conf_place place;
	const char *text;        /* SCALAR: valid UTF-8, without NUL inside */
	size_t count;            /* LIST: elements; MAP: pairs */
	struct conf_node *first; /* LIST: elements; MAP: key, value, key, value, ... */
	struct conf_node *next;  /* in the list or map that this node is in */
};

/*
 * Reads the one document of a text. Keys of maps are scalars; apart from that nothing is
 * known about them here. The nodes belong to pool. 0, E_SYNTAX or E_NOMEM, and then
 * *err_out says what.
 */
int conf_tree_read(struct slice text, const char *name, struct pool *pool,
		   struct conf_node **root_out, struct conf_error *err_out) MUSTCHECK;

/* Adds a line "name:line:column: message"; a very long name loses its beginning. */
void conf_error_put(struct conf_error *err, const char *name, struct conf_place at,
		    const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

#endif
