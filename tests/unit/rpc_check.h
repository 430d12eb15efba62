/* SPDX-License-Identifier: Apache-2.0 */
/* A check of MessagePack objects, for the tests of common/rpc_msg and common/rpc. */
#ifndef TESTS_UNIT_RPC_CHECK_H
#define TESTS_UNIT_RPC_CHECK_H

#include "common/base.h"
#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/*
 * A check of the test's own, so that common/ is tested without proto/: lengths and depth
 * of MessagePack, nothing else. Returns what is left behind the first object.
 */
static inline int pass_over(struct slice in, unsigned depth, struct slice *rest_out)
{
	static const struct {
		uint8_t head, len_bytes, fixed, per_item;
	} forms[] = {
		{0xc4, 1, 0, 0}, {0xc5, 2, 0, 0}, {0xc6, 4, 0, 0}, {0xca, 0, 4, 0},
		{0xcb, 0, 8, 0}, {0xcc, 0, 1, 0}, {0xcd, 0, 2, 0}, {0xce, 0, 4, 0},
		{0xcf, 0, 8, 0}, {0xd0, 0, 1, 0}, {0xd1, 0, 2, 0}, {0xd2, 0, 4, 0},
		{0xd3, 0, 8, 0}, {0xd9, 1, 0, 0}, {0xda, 2, 0, 0}, {0xdb, 4, 0, 0},
		{0xdc, 2, 0, 1}, {0xdd, 4, 0, 1}, {0xde, 2, 0, 2}, {0xdf, 4, 0, 2},
	};
	uint64_t bytes = 0, items = 0;

	if (in.len == 0)
		return E_TRUNCATED;
	uint8_t h = in.p[0];
	in = slice_of(in.p + 1, in.len - 1);
	if (depth > 16 || h == 0xc1 || (h >= 0xc7 && h <= 0xc9) ||
	    (h >= 0xd4 && h <= 0xd8))
		return depth > 16 ? E_DEPTH : E_SYNTAX;
	if (h >= 0x80 && h < 0xa0)
		items = (h & 0x0f) * (h < 0x90 ? 2u : 1u);
	else if (h >= 0xa0 && h < 0xc0)
		bytes = h & 0x1f;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (forms[i].head != h)
			continue;
		uint64_t n = 0;
		if (in.len < forms[i].len_bytes)
			return E_TRUNCATED;
		for (size_t k = 0; k < forms[i].len_bytes; k++)
			n = n << 8 | in.p[k];
		in = slice_of(in.p + forms[i].len_bytes, in.len - forms[i].len_bytes);
		items = n * forms[i].per_item;
		bytes = forms[i].fixed + (forms[i].per_item == 0 ? n : 0);
	}
	if (in.len < bytes)
		return E_TRUNCATED;
	in = slice_of(in.p + bytes, in.len - bytes);
	for (; items > 0; items--) {
		int r = pass_over(in, depth + 1, &in);
		if (r != 0)
			return r;
	}
	*rest_out = in;
	return 0;
}

static inline int check(struct slice in, size_t *len_out)
{
	struct slice rest;
	int r = pass_over(in, 1, &rest);

	if (r == 0)
		*len_out = in.len - rest.len;
	return r;
}

#define BYTES(s) slice_of(s, sizeof(s) - 1)

static inline void assert_slice(struct slice a, struct slice b)
{
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.p, b.p, a.len);
}

#endif
