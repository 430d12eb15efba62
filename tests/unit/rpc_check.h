/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers with bytes for the tests of common/rpc_msg and common/rpc. */
#ifndef TESTS_UNIT_RPC_CHECK_H
#define TESTS_UNIT_RPC_CHECK_H

#include "common/base.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BYTES(s) slice_of(s, sizeof(s) - 1)

static inline void assert_slice(struct slice a, struct slice b)
{
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.p, b.p, a.len);
}

#endif
