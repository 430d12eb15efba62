/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs the counters of an object. A table names each counter and its place in the
 * object's struct. Called by the thread that owns the object.
 */
#ifndef COMMON_COUNTERS_H
#define COMMON_COUNTERS_H

#include "common/base.h"

struct counter_def {
	const char *name;
	size_t offset; /* of the uint64_t in the struct */
};

/*
 * Logs one line: head, such as "counters realm=r", then " name=value" for each of the n
 * counters.
 */
void counters_log(const char *prefix, const char *head, const struct counter_def *defs,
		  size_t n, const void *object);

#endif
