/* SPDX-License-Identifier: Apache-2.0 */
/* MessagePack: every code, malformed input, limits, and the writer. */
#include "tests/unit/codec_check.h"
#include "tests/unit/token_values.h"

#include <math.h>

static const struct good samples[] = {
	/* positive and negative fixint */
	{"00", "0"},
	{"7f", "127"},
	{"e0", "-32"},
	{"ff", "-1"},
	{"c0", "null"},
	{"c2", "false"},
	{"c3", "true"},
	/* bin */
	{"c400", "h''"},
	{"c40201ff", "h'01ff'"},
	{"c5000101", "h'01'"},
	{"c60000000101", "h'01'"},
	/* ext, except wampy.js's undefined */
	{"c70005", "opaque"},
	{"c7010000", "opaque"},
	{"c8000105aa", "opaque"},
	{"c90000000205aabb", "opaque"},
	{"d40000", "undefined"},
	{"d40001", "opaque"},
	{"d40100", "opaque"},
	{"d4ff00", "opaque"},
	{"d5050102", "opaque"},
	{"c700ff", "opaque"},
	{"d5ff0102", "opaque"},
	/* dates; d: 32 bits of nanoseconds, 64 of seconds */
	{"d6ff01020304", "d000000000000000001020304"},
	{"d6ffffffffff", "d0000000000000000ffffffff"},
	{"d7ffee6b27fd01020304", "d3b9ac9ff0000000101020304"},
	{"d7ffee6b280301020304", "opaque"},
	{"c708ffee6b27fd01020304", "d3b9ac9ff0000000101020304"},
	{"c70cff3b9ac9ffffffffffffffffff", "d3b9ac9ffffffffffffffffff"},
	{"c70cff3b9aca00ffffffffffffffff", "opaque"},
	{"d80500010203040506070809101112131415", "opaque"},
	/* float */
	{"ca3fc00000", "f1.5"},
	{"ca7f800000", "finf"},
	{"ca7fc00000", "fnan"},
	{"cb3ff8000000000000", "f1.5"},
	{"cb7fefffffffffffff", "f1.7976931348623157e+308"},
	{"cbfff0000000000000", "f-inf"},
	/* integers, also not in the shortest form */
	{"cc00", "0"},
	{"ccff", "255"},
	{"cdffff", "65535"},
	{"ceffffffff", "4294967295"},
	{"cfffffffffffffffff", "18446744073709551615"},
	{"cf0000000000000001", "1"},
	{"d07f", "127"},
	{"d080", "-128"},
	{"d10000", "0"},
	{"d17fff", "32767"},
	{"d18000", "-32768"},
	{"d27fffffff", "2147483647"},
	{"d280000000", "-2147483648"},
	{"d37fffffffffffffff", "9223372036854775807"},
	{"d38000000000000000", "-9223372036854775808"},
	{"d3ffffffffffffffff", "-1"},
	/* str */
	{"a0", "''"},
	{"a161", "'a'"},
	{"bf61616161616161616161616161616161616161616161616161616161616161",
	 "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"},
	{"d900", "''"},
	{"d90161", "'a'"},
	{"da000161", "'a'"},
	{"db0000000161", "'a'"},
	{"a2c3bc", "'\xc3\xbc'"},
	{"d904f09f9880", "'\xf0\x9f\x98\x80'"},
	{"a122", "'\"'"},
	/* array and map */
	{"90", "[]"},
	{"9301a16190", "[1 'a' []]"},
	{"9f010101010101010101010101010101", "[1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]"},
	{"dc0000", "[]"},
	{"dc000201ff", "[1 -1]"},
	{"dd0000000101", "[1]"},
	{"80", "{}"},
	{"82a16101a16280", "{'a' 1 'b' {}}"},
	{"de000101a162", "{1 'b'}"},
	{"df00000001c0c3", "{null true}"},
	{"df00000000", "{}"},
	/* keys of any kind, and a repeated key */
	{"8290908001", "{[] [] {} 1}"},
	{"82a16101a16102", "{'a' 1 'a' 2}"},
	{"9291808191909191c0", "[[{}] {[[]] [[null]]}]"},
};

static void test_all_codes(void **state)
{
	(void)state;
	check_good(SERIALIZER_MSGPACK, samples, ARRAY_LEN(samples));
}

static void test_malformed(void **state)
{
	static const struct bad malformed[] = {
		{"", E_TRUNCATED},
		{"c1", E_SYNTAX},
		{"91c1", E_SYNTAX},
		{"a1ff", E_UTF8},
		{"a2c080", E_UTF8},
		{"d903eda080", E_UTF8},
		{"da0002c328", E_UTF8},
		{"81a1ff01", E_UTF8},
		/* the input is shorter than the announced count */
		{"dd10000000", E_TRUNCATED},
		{"ddffffffff0101", E_TRUNCATED},
		{"dfffffffff0101", E_TRUNCATED},
		{"df8000000001", E_TRUNCATED},
		{"c6ffffffff01", E_TRUNCATED},
		{"dbffffffff61", E_TRUNCATED},
		{"c9ffffffff0500", E_TRUNCATED},
		/* each of the two counts is possible, but not both: 3 items in 3 bytes,
		 * then 2 more items */
		{"93920101", E_TRUNCATED},
		{"8281010101", E_TRUNCATED},
	};

	(void)state;
	check_bad(SERIALIZER_MSGPACK, malformed, ARRAY_LEN(malformed));
}

static void test_depth(void **state)
{
	(void)state;
	check_depth(SERIALIZER_MSGPACK, "\x91", "\x01", "");
	check_depth(SERIALIZER_MSGPACK, "\x81\x01", "\x01", "");
	assert_int_equal(nested(SERIALIZER_MSGPACK, "\x91", "\x80", "", 63), 0);
	assert_int_equal(nested(SERIALIZER_MSGPACK, "\x91", "\x80", "", 64), E_DEPTH);
	/* each level announces as many items as the input has room for */
	assert_int_equal(nested(SERIALIZER_MSGPACK, "\x92", "\x01", "\x01", 64), 0);
}

/* token_skip continues where token_next has stopped, at each level. */
static void test_skip_inside(void **state)
{
	static const char message[] = "\x93\x10\x81\xa1k\x92\x01\x02\x90";
	struct token_reader r;
	struct token t;
	struct slice item;

	(void)state;
	token_reader_init(&r, SERIALIZER_MSGPACK, slice_of(message, sizeof(message) - 1));
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.count, 3);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "\x10"));
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_MAP);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "\xa1k"));
	assert_int_equal(token_container(SERIALIZER_MSGPACK, item), TOKEN_OPAQUE);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "\x92\x01\x02"));
	assert_int_equal(token_container(SERIALIZER_MSGPACK, item), TOKEN_ARRAY);
	assert_int_equal(token_skip(&r, &item), E_TYPE);
	assert_int_equal(token_skip(&r, &item), E_TYPE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_end(&r), 0);
	assert_int_equal(token_skip(&r, &item), E_TRUNCATED);
}

static void test_ids(void **state)
{
	static const struct {
		const char *hex;
		int err;
	} ids[] = {
		{"00", E_RANGE},
		{"01", 0},
		{"cf0020000000000000", 0},
		{"cf0020000000000001", E_RANGE},
		{"ff", E_TYPE},
		{"c3", E_TYPE},
		{"c0", E_TYPE},
		{"a131", E_TYPE},
		{"cb3ff0000000000000", 0},       /* 1.0 */
		{"cb3ff8000000000000", E_TYPE},  /* 1.5 */
		{"cb4340000000000000", 0},       /* 2^53 */
		{"cb4340000000000001", E_RANGE}, /* 2^53 + 2 */
		{"cb0000000000000000", E_RANGE},
		{"cbbff0000000000000", E_RANGE},
		{"cb7ff8000000000000", E_RANGE}, /* NaN */
		{"cb7ff0000000000000", E_RANGE},
		{"ca4f800000", 0}, /* 2^32 in single precision */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct slice in = sample_bytes(SERIALIZER_MSGPACK, ids[i].hex);
		struct token_reader r;
		struct token t;
		uint64_t id;

		token_reader_init(&r, SERIALIZER_MSGPACK, in);
		assert_int_equal(token_next(&r, &t), 0);
		if (token_id(&t, &id) != ids[i].err)
			fail_msg("%s: %d", ids[i].hex, token_id(&t, &id));
		free_copy(in);
	}
}

static void test_write_numbers(void **state)
{
	static const struct {
		int64_t v;
		const char *hex;
	} ints[] = {
		{0, "00"},
		{127, "7f"},
		{128, "cc80"},
		{255, "ccff"},
		{256, "cd0100"},
		{65535, "cdffff"},
		{65536, "ce00010000"},
		{4294967295, "ceffffffff"},
		{4294967296, "cf0000000100000000"},
		{INT64_MAX, "cf7fffffffffffffff"},
		{-1, "ff"},
		{-32, "e0"},
		{-33, "d0df"},
		{-128, "d080"},
		{-129, "d1ff7f"},
		{-32768, "d18000"},
		{-32769, "d2ffff7fff"},
		{-2147483648, "d280000000"},
		{-2147483649, "d3ffffffff7fffffff"},
		{INT64_MIN, "d38000000000000000"},
	};
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		token_writer_init(&w, SERIALIZER_MSGPACK, &b);
		token_put_int(&w, ints[i].v);
		check_written(SERIALIZER_MSGPACK, &b, ints[i].hex);
	}
	token_writer_init(&w, SERIALIZER_MSGPACK, &b);
	token_put_uint(&w, UINT64_MAX);
	token_put_double(&w, 1.5);
	token_put_double(&w, INFINITY);
	token_put_null(&w);
	token_put_bool(&w, true);
	token_put_bool(&w, false);
	check_written(SERIALIZER_MSGPACK, &b,
		      "cfffffffffffffffff cb3ff8000000000000 cb7ff0000000000000 c0c3c2");
	buf_fini(&b);
}

static void test_write_strings(void **state)
{
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	token_writer_init(&w, SERIALIZER_MSGPACK, &b);
	token_put_map(&w, 2);
	token_put_text(&w, "k");
	token_put_bin(&w, slice_of("\x01\xff", 2));
	token_put_uint(&w, 1); /* outside JSON any key type is allowed */
	token_put_str(&w, slice_of(NULL, 0));
	token_put_end(&w);
	check_written(SERIALIZER_MSGPACK, &b, "82a16bc40201ff01a0");
	token_writer_init(&w, SERIALIZER_MSGPACK, &b);
	token_put_array(&w, 3);
	token_put_raw(&w, slice_of("\x01\x02", 2), 2);
	token_put_raw(&w, slice_of(NULL, 0), 0);
	token_put_str(&w, slice_str("12345678901234567890123456789012"));
	token_put_end(&w);
	check_written(SERIALIZER_MSGPACK, &b,
		      "930102d920 3132333435363738393031323334353637383930"
		      "313233343536373839303132");
	buf_fini(&b);
}

static void test_write_unknown_counts(void **state)
{
	static const size_t counts[] = {0, 1, 15, 16, 65535, 65536};

	(void)state;
	check_unknown_counts(SERIALIZER_MSGPACK, counts, ARRAY_LEN(counts));
	check_writer_limits(SERIALIZER_MSGPACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_codes),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_skip_inside),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_write_numbers),
		cmocka_unit_test(test_write_strings),
		cmocka_unit_test(test_write_unknown_counts),
	};
	return cmocka_run_group_tests_name("msgpack", tests, NULL, NULL);
}
