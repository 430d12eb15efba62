/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of counters. Each type of object that has counters has one table, written next
 * to the struct that holds the values: name, help, type and place of each counter. The
 * log prints counters by these tables, and etc/doc/counters.md lists them.
 *
 * Constant data and functions without state; any thread.
 */
#ifndef COMMON_COUNTERS_H
#define COMMON_COUNTERS_H

#include "common/base.h"

enum counter_type {
	COUNTER = 0, /* counts events since the start */
	GAUGE = 1,   /* a current value, which rises and falls */
};

struct counter_def {
	const char *name;
	const char *help; /* a phrase without a full stop */
	enum counter_type type;
	size_t offset; /* of the uint64_t in the struct */
};

struct counter_table {
	const struct counter_def *defs;
	size_t n;
	size_t size; /* of the struct, in bytes */
};

/*
 * Initialises a counter_table. The values are in a struct of this type; each of the other
 * arguments initialises a struct counter_def.
 */
#define COUNTER_TABLE(type, ...)                                                         \
	{                                                                                \
		.defs = (const struct counter_def[]){__VA_ARGS__},                       \
		.n = ARRAY_LEN(((const struct counter_def[]){__VA_ARGS__})),             \
		.size = sizeof(type),                                                    \
	}
/* Declares the field of a counter whose row has these values. */
#define COUNTER_FIELD(name, type, help) uint64_t name;

/* The counters of one object: its table, and the struct that the table describes. */
struct counter_set {
	const struct counter_table *table;
	const void *values;
};

enum { COUNTERS_HEAD_MAX = 1100 }; /* bytes of counters_log's head, with its terminator */

/*
 * Logs a line: head, such as "counters realm=r", then " name=value" for each counter of n
 * sets. If the line gets too long, the rest follows in further lines, which begin with
 * head, too. prefix as in log_write.
 */
void counters_log(const char *prefix, const char *head, const struct counter_set *sets,
		  size_t n);

#endif
