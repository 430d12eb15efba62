/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object's counters by a table: what each is called, and where it is in the object's
 * struct. The thread that owns the object.
 */
#ifndef COMMON_COUNTERS_H
#define COMMON_COUNTERS_H

#include "common/base.h"

struct counter_def {
	const char *name;
	size_t offset; /* of a uint64_t in the object */
};

/* Logs n counters of object on one line, " name=value" each, behind head: "counters
 * realm=r". */
void counters_log(const char *prefix, const char *head, const struct counter_def *defs,
		  size_t n, const void *object);

#endif
