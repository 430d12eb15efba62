/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of RPC messages, written by common/rpc_msg and read by proto/auth_api:
 * whole, cut and damaged. */
#include "common/err.h"
#include "common/rpc_msg.h"
#include "proto/auth_api.h"
#include "tests/unit/rpc_check.h"

#include <stdlib.h>

/* --- messages --- */

static const struct {
	struct slice bytes;
	struct rpc_msg msg;
	bool canonical; /* our writer gives the same bytes */
} samples[] = {
	{{(const uint8_t *)"\x94\x00\x01\xa4ping\x90", 9},
	 {.type = RPC_REQUEST,
	  .id = 1,
	  .method = {(const uint8_t *)"ping", 4},
	  .params = {(const uint8_t *)"\x90", 1}},
	 true},
	{{(const uint8_t *)"\x94\x01\xcd\x01\x00\xc0\x81\xa1"
			   "a\xc3",
	  10},
	 {.type = RPC_RESPONSE,
	  .id = 256,
	  .result = {(const uint8_t *)"\x81\xa1"
				      "a\xc3",
		     4}},
	 true},
	{{(const uint8_t *)"\x94\x01\x07\xa3no!\xc0", 8},
	 {.type = RPC_RESPONSE,
	  .id = 7,
	  .error = {(const uint8_t *)"\xa3no!", 4},
	  .result = {(const uint8_t *)"\xc0", 1}},
	 true},
	{{(const uint8_t *)"\x93\x02\xa6"
			   "cancel\x91\x2a",
	  11},
	 {.type = RPC_NOTIFICATION,
	  .method = {(const uint8_t *)"cancel", 6},
	  .params = {(const uint8_t *)"\x91\x2a", 2}},
	 true},
	/* every header in a longer form than necessary */
	{{(const uint8_t *)"\xdc\x00\x04\xcc\x00\xcf\x00\x00\x00\x00\x00\x00\x00\x02"
			   "\xda\x00\x01m\xdd\x00\x00\x00\x00",
	  23},
	 {.type = RPC_REQUEST,
	  .id = 2,
	  .method = {(const uint8_t *)"m", 1},
	  .params = {(const uint8_t *)"\xdd\x00\x00\x00\x00", 5}},
	 false},
};

static void test_msg_samples(void **state)
{
	struct buf out;
	struct rpc_msg m;
	size_t len;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct slice in = samples[i].bytes;
		assert_int_equal(auth_msg_read(in, true, &m, &len), 0);
		assert_int_equal(len, in.len);
		assert_int_equal(m.type, samples[i].msg.type);
		assert_int_equal(m.id, samples[i].msg.id);
		assert_slice(m.method, samples[i].msg.method);
		assert_slice(m.params, samples[i].msg.params);
		assert_slice(m.error, samples[i].msg.error);
		assert_slice(m.result, samples[i].msg.result);
		buf_clear(&out);
		rpc_msg_write(&out, &m);
		if (samples[i].canonical)
			assert_slice(buf_slice(&out), in);
		/* cut anywhere, it is E_TRUNCATED */
		for (size_t cut = 0; cut < in.len; cut++)
			assert_int_equal(
				auth_msg_read(slice_of(in.p, cut), true, &m, &len),
				E_TRUNCATED);
	}
	buf_fini(&out);
}

static void test_msg_damaged(void **state)
{
	struct rpc_msg m;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct slice in = samples[i].bytes;
		for (size_t at = 0; at < in.len * 8; at++) {
			uint8_t *copy = malloc(in.len);
			memcpy(copy, in.p, in.len);
			copy[at / 8] ^= (uint8_t)(1u << at % 8);
			int r = auth_msg_read(slice_of(copy, in.len), true, &m, &len);
			if (r == 0)
				assert_true(len <= in.len && m.type <= RPC_NOTIFICATION);
			free(copy);
		}
	}
}

static void test_msg_wrong(void **state)
{
	static const struct {
		struct slice in;
		int err;
	} wrong[] = {
		{{(const uint8_t *)"\x90", 1}, E_TYPE},
		{{(const uint8_t *)"\x80", 1}, E_TYPE},
		{{(const uint8_t *)"\xa1x", 2}, E_TYPE},
		{{(const uint8_t *)"\x95\x00\x01\xa1m\x90\x90", 7}, E_TYPE},
		{{(const uint8_t *)"\x93\x00\x01\xa1m", 5}, E_TYPE},
		{{(const uint8_t *)"\x94\x02\xa1m\x90\x90", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\x03\x01\xa1m\x90", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\xff\x01\xa1m\x90", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\x00\xff\xa1m\x90", 6}, E_TYPE},
		{{(const uint8_t
			   *)"\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1m\x90",
		  14},
		 E_RANGE},
		{{(const uint8_t *)"\x94\x00\x01\x01\x90", 5}, E_TYPE},
		{{(const uint8_t *)"\x94\x00\x01\xa1m\x80", 6}, E_TYPE},
		{{(const uint8_t *)"\x94\x00\x01\xa1m\x91\xc1", 7}, E_SYNTAX},
		{{(const uint8_t *)"\x94\x01\x01\xc1\xc0", 5}, E_SYNTAX},
	};
	struct rpc_msg m;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(auth_msg_read(wrong[i].in, true, &m, &len),
				 wrong[i].err);
}

/* Over a limit: type and id are known, and without limits also the end. */
static void test_msg_limits(void **state)
{
	enum { HEAD = 4 };
	static uint8_t in[HEAD + 3 + AUTH_MAX_STRING + 1] =
		"\x94\x01\x07\xc0\xda\x40\x01";
	struct rpc_msg m;
	size_t len;

	(void)state;
	for (unsigned depth = 1; depth < 50; depth++) {
		uint8_t deep[HEAD + 50];
		memset(deep, 0x91, sizeof(deep));
		memcpy(deep, in, HEAD);
		deep[HEAD + depth] = 0xc0;
		struct slice s = slice_of(deep, HEAD + depth + 1);
		assert_int_equal(auth_msg_read(s, true, &m, &len),
				 depth < AUTH_MAX_DEPTH ? 0 : E_DEPTH);
		assert_int_equal(m.type, RPC_RESPONSE);
		assert_int_equal(m.id, 7);
		assert_int_equal(auth_msg_read(s, false, &m, &len), 0);
		assert_int_equal(len, s.len);
		assert_int_equal(m.result.len, depth + 1);
	}
	assert_int_equal(auth_msg_read(slice_of(in, sizeof(in)), true, &m, &len),
			 E_LIMIT);
	assert_int_equal(m.id, 7);
	assert_int_equal(auth_msg_read(slice_of(in, sizeof(in)), false, &m, &len), 0);
	assert_int_equal(len, sizeof(in));
	assert_int_equal(auth_msg_read(BYTES("\x94\x01\xa1x\xc0\xc0"), true, &m, &len),
			 E_TYPE);
	assert_int_equal(m.type, RPC_UNKNOWN);
}

/* A message without params, error or result. */
static void test_msg_empty(void **state)
{
	struct rpc_msg m = {.type = RPC_RESPONSE, .id = 1};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	rpc_msg_write(&out, &m);
	assert_slice(buf_slice(&out), BYTES("\x94\x01\x01\xc0\xc0"));
	buf_clear(&out);
	m = (struct rpc_msg){.type = RPC_NOTIFICATION, .method = slice_str("m")};
	rpc_msg_write(&out, &m);
	assert_slice(buf_slice(&out), BYTES("\x93\x02\xa1m\x90"));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_msg_samples), cmocka_unit_test(test_msg_damaged),
		cmocka_unit_test(test_msg_wrong),   cmocka_unit_test(test_msg_limits),
		cmocka_unit_test(test_msg_empty),
	};

	return cmocka_run_group_tests_name("rpc_msg", tests, NULL, NULL);
}
