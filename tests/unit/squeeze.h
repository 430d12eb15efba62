/* SPDX-License-Identifier: Apache-2.0 */
/* Compresses messages for tests. Include it behind <cmocka.h>. */
#ifndef TESTS_UNIT_SQUEEZE_H
#define TESTS_UNIT_SQUEEZE_H

#include "common/buf.h"

#include <zlib.h>

/* Compresses as RFC 7692, 7.2.1 says. The caller frees *to. */
static void squeeze(struct slice message, struct buf *to)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)message.p,
		      .avail_in = (uInt)message.len};
	size_t room = message.len / 2 + 200;

	buf_init(to, room);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY),
			 Z_OK);
	z.next_out = buf_reserve(to, room);
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	assert_int_not_equal(z.avail_out, 0);
	buf_commit(to, room - z.avail_out - 4);
	deflateEnd(&z);
}

/* Compresses len bytes that are all 'a'. */
static inline void squeeze_same(size_t len, struct buf *to)
{
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	memset(bytes, 'a', len);
	squeeze(slice_of(bytes, len), to);
	free(bytes);
}

#endif
