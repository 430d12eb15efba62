/* SPDX-License-Identifier: Apache-2.0 */
/* In place of a connection: what the tests of the two stream readers, ws and rawsocket,
 * write down of what they are told. */
#ifndef TESTS_UNIT_RECORDER_H
#define TESTS_UNIT_RECORDER_H

#include "common/buf.h"

static struct {
	size_t limit;
	int stop_after; /* messages until the connection wants no more; 0: never */
	int messages;
	bool over; /* nothing may follow */
	struct buf log;
} rec;

static struct conn *const conn = (struct conn *)(void *)&rec; /* only passed through */

/* Long payloads by their length and a sum, short ones in full. */
static void put_payload(struct buf *to, struct slice s)
{
	unsigned sum = 0;

	if (s.len <= 40) {
		buf_put_slice(to, s);
		return;
	}
	for (size_t i = 0; i < s.len; i++)
		sum = sum * 31 + s.p[i];
	buf_printf(to, "%zu:%08x", s.len, sum);
}

#endif
