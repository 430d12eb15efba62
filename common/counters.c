/* SPDX-License-Identifier: Apache-2.0 */
/* Logs an object's counters; see counters.h. The object's thread. */
#include "common/counters.h"

#include "common/buf.h"
#include "common/log.h"

#include <inttypes.h>

enum { COUNTERS_MAX_BYTES = 8192 }; /* longer than a log line may be */

void counters_log(const char *prefix, const char *head, const struct counter_def *defs,
		  size_t n, const void *object)
{
	struct buf b;

	buf_init(&b, COUNTERS_MAX_BYTES);
	buf_reserve_exactly(&b, COUNTERS_MAX_BYTES / 4);
	buf_put_str(&b, head);
	for (size_t i = 0; i < n; i++) {
		uint64_t value;
		memcpy(&value, (const char *)object + defs[i].offset, sizeof(value));
		buf_printf(&b, " %s=%" PRIu64, defs[i].name, value);
	}
	if (b.err == 0)
		log_info(prefix, "%.*s", (int)b.len, (const char *)b.data);
	buf_fini(&b);
}
