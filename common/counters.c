/* SPDX-License-Identifier: Apache-2.0 */
/* Logs counters by their tables; see counters.h. Any thread. */
#include "common/counters.h"

#include "common/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	/* Leaves room for the time, the level and the prefix in a line of the log. */
	COUNTERS_LINE = LOG_LINE_MAX - 128,
	COUNTER_TEXT = 96, /* " name=value" */
};
static_assert(COUNTERS_HEAD_MAX + COUNTER_TEXT < COUNTERS_LINE,
	      "a line has room for its head and a counter");

static uint64_t counter_value(const struct counter_set *set, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)set->values + set->table->defs[i].offset,
	       sizeof(value));
	return value;
}

void counters_log(const char *prefix, const char *head, const struct counter_set *sets,
		  size_t n)
{
	char line[COUNTERS_LINE];
	size_t head_len = strlen(head), len = head_len;

	ASSERT(head_len < COUNTERS_HEAD_MAX);
	memcpy(line, head, head_len);
	for (const struct counter_set *set = sets; set < sets + n; set++) {
		for (size_t i = 0; i < set->table->n; i++) {
			if (len + COUNTER_TEXT > sizeof(line)) {
				log_info(prefix, "%.*s", (int)len, line);
				len = head_len;
			}
			int text_len =
				snprintf(line + len, COUNTER_TEXT, " %s=%" PRIu64,
					 set->table->defs[i].name, counter_value(set, i));
			ASSERT(text_len < COUNTER_TEXT);
			len += (size_t)text_len;
		}
	}
	log_info(prefix, "%.*s", (int)len, line);
}
