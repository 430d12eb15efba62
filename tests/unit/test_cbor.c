/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR: the examples of RFC 8949, malformed input, limits, and the writer. */
#include "tests/unit/codec_check.h"
#include "tests/unit/token_values.h"

#include <math.h>

/* RFC 8949, appendix A; d: 32 bits of nanoseconds, 64 of seconds */
static const struct good appendix_a[] = {
	{"00", "0"},
	{"01", "1"},
	{"0a", "10"},
	{"17", "23"},
	{"1818", "24"},
	{"1819", "25"},
	{"1864", "100"},
	{"1903e8", "1000"},
	{"1a000f4240", "1000000"},
	{"1b000000e8d4a51000", "1000000000000"},
	{"1bffffffffffffffff", "18446744073709551615"},
	{"c249010000000000000000", "n18446744073709551616"},
	{"3bffffffffffffffff", "n-18446744073709551616"},
	{"c349010000000000000000", "n-18446744073709551617"},
	{"20", "-1"},
	{"29", "-10"},
	{"3863", "-100"},
	{"3903e7", "-1000"},
	{"f90000", "f0"},
	{"f98000", "f-0"},
	{"f93c00", "f1"},
	{"fb3ff199999999999a", "f1.1000000000000001"},
	{"f93e00", "f1.5"},
	{"f97bff", "f65504"},
	{"fa47c35000", "f100000"},
	{"fa7f7fffff", "f3.4028234663852886e+38"},
	{"fb7e37e43c8800759c", "f1.0000000000000001e+300"},
	{"f90001", "f5.9604644775390625e-08"},
	{"f90400", "f6.103515625e-05"},
	{"f9c400", "f-4"},
	{"fbc010666666666666", "f-4.0999999999999996"},
	{"f97c00", "finf"},
	{"f97e00", "fnan"},
	{"f9fc00", "f-inf"},
	{"fa7f800000", "finf"},
	{"fa7fc00000", "fnan"},
	{"faff800000", "f-inf"},
	{"fb7ff0000000000000", "finf"},
	{"fb7ff8000000000000", "fnan"},
	{"fbfff0000000000000", "f-inf"},
	{"f4", "false"},
	{"f5", "true"},
	{"f6", "null"},
	{"f7", "undefined"},
	{"f0", "opaque"},
	{"f8ff", "opaque"},
	{"c074323031332d30332d32315432303a30343a30305a", "d0000000000000000514b67b0"},
	{"c11a514b67b0", "d0000000000000000514b67b0"},
	{"c1fb41d452d9ec200000", "d1dcd650000000000514b67b0"},
	{"d74401020304", "#h'01020304'"},
	{"d818456449455446", "#h'6449455446'"},
	{"d82076687474703a2f2f7777772e6578616d706c652e636f6d",
	 "#'http://www.example.com'"},
	{"40", "h''"},
	{"4401020304", "h'01020304'"},
	{"60", "''"},
	{"6161", "'a'"},
	{"6449455446", "'IETF'"},
	{"62225c", "'\"\\'"},
	{"62c3bc", "'\xc3\xbc'"},
	{"63e6b0b4", "'\xe6\xb0\xb4'"},
	{"64f0908591", "'\xf0\x90\x85\x91'"},
	{"80", "[]"},
	{"83010203", "[1 2 3]"},
	{"8301820203820405", "[1 [2 3] [4 5]]"},
	{"98190102030405060708090a0b0c0d0e0f101112131415161718181819",
	 "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25]"},
	{"a0", "{}"},
	{"a201020304", "{1 2 3 4}"},
	{"a26161016162820203", "{'a' 1 'b' [2 3]}"},
	{"826161a161626163", "['a' {'b' 'c'}]"},
	{"a56161614161626142616361436164614461656145",
	 "{'a' 'A' 'b' 'B' 'c' 'C' 'd' 'D' 'e' 'E'}"},
	{"5f42010243030405ff", "h'0102030405'"},
	{"7f657374726561646d696e67ff", "'streaming'"},
	{"9fff", "[]"},
	{"9f018202039f0405ffff", "[1 [2 3] [4 5]]"},
	{"9f01820203820405ff", "[1 [2 3] [4 5]]"},
	{"83018202039f0405ff", "[1 [2 3] [4 5]]"},
	{"83019f0203ff820405", "[1 [2 3] [4 5]]"},
	{"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
	 "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25]"},
	{"bf61610161629f0203ffff", "{'a' 1 'b' [2 3]}"},
	{"826161bf61626163ff", "['a' {'b' 'c'}]"},
	{"bf6346756ef563416d7421ff", "{'Fun' true 'Amt' -2}"},
};

static const struct good more[] = {
	/* numbers need not be in the shortest form */
	{"1800", "0"},
	{"1b0000000000000001", "1"},
	{"3b7fffffffffffffff", "-9223372036854775808"},
	{"3b8000000000000000", "n-9223372036854775809"},
	{"5803010203", "h'010203'"},
	{"9b000000000000000101", "[1]"},
	/* strings of no chunks, and of empty chunks */
	{"7fff", "''"},
	{"5fff", "h''"},
	{"7f60626162606163ff", "'abc'"},
	/* tags: several, large numbers, on a container, within a container of known
	 * length */
	{"c1c1c100", "#d000000000000000000000000"},
	{"dbffffffffffffffff00", "#0"},
	{"d9d9f7820102", "[1 2]"},
	{"83c101c0616102", "[d000000000000000000000001 opaque 2]"},
	{"c29fff", "#[]"},
	{"c2c14101", "#h'01'"},
	{"c1c24101", "#1"},
	{"bfc16161c101ff", "{#'a' d000000000000000000000001}"},
	{"c19fc101ff", "#[d000000000000000000000001]"},
	{"c1bf0102ff", "#{1 2}"},
	/* self-described CBOR has no meaning */
	{"d9d9f7d9d9f701", "1"},
	{"d9d9f7c24101", "1"},
	{"c2d9d9f74101", "#h'01'"},
	{"d9d9f7d82507", "#7"},
	{"d825d9d9f707", "#7"},
	/* bignums that fit are integers; leading zeros, chunks and long tags */
	{"c240", "0"},
	{"c340", "-1"},
	{"c248ffffffffffffffff", "18446744073709551615"},
	{"c34a00007fffffffffffffff", "-9223372036854775808"},
	{"c3488000000000000000", "n-9223372036854775809"},
	{"d8025f410044000000014405060708ff", "4379248392"},
	{"db00000000000000025f4101410240480000000000000000ff", "n4759259971017064316928"},
	/* dates as text: offsets, fractions, chunks */
	{"c07819323031332d30332d32315432303a30343a30302b30323a3030",
	 "d0000000000000000514b4b90"},
	{"c07f64323031336d2d30332d32315432303a30343a66"
	 "30302e32355aff",
	 "d0ee6b28000000000514b67b0"},
	/* as seconds */
	{"c120", "d00000000ffffffffffffffff"},
	{"c1f93800", "d1dcd65000000000000000000"},
	{"c1f9b800", "d1dcd6500ffffffffffffffff"},
	{"c1f98000", "d000000000000000000000000"},
	{"c1fb3fb999999999999a", "d05f5e1000000000000000000"},
	{"c1f97e00", "opaque"},
	{"c1f97c00", "opaque"},
	{"c1fb3d719799812dea11", "opaque"}, /* 1e-12 */
	{"c11b7fffffffffffffff", "d000000007fffffffffffffff"},
	{"c11b8000000000000000", "opaque"},
	{"c1fb43e0000000000000", "opaque"},
	{"c13b7fffffffffffffff", "d000000008000000000000000"},
	{"c13b8000000000000000", "#n-9223372036854775809"},
	/* keys of any kind, and a repeated key */
	{"a1820102a0", "{[1 2] {}}"},
	{"a2616101616102", "{'a' 1 'a' 2}"},
	{"82a1f4f582a000", "[{false true} [{} 0]]"},
	{"f820", "opaque"},
	{"e0", "opaque"},
};

static void test_rfc_examples(void **state)
{
	(void)state;
	check_good(SERIALIZER_CBOR, appendix_a, ARRAY_LEN(appendix_a));
}

static void test_more_examples(void **state)
{
	(void)state;
	check_good(SERIALIZER_CBOR, more, ARRAY_LEN(more));
}

static void test_malformed(void **state)
{
	static const struct bad samples[] = {
		{"", E_TRUNCATED},
		/* reserved additional information */
		{"1c", E_SYNTAX},
		{"3d", E_SYNTAX},
		{"5e", E_SYNTAX},
		{"7c", E_SYNTAX},
		{"9d", E_SYNTAX},
		{"be", E_SYNTAX},
		{"dc00", E_SYNTAX},
		{"fd", E_SYNTAX},
		/* indefinite length is not allowed for these */
		{"1f", E_SYNTAX},
		{"3f", E_SYNTAX},
		{"df00", E_SYNTAX},
		/* a break in a wrong place */
		{"ff", E_SYNTAX},
		{"81ff", E_SYNTAX},
		{"8200ff", E_SYNTAX},
		{"a1ff00", E_SYNTAX},
		{"a100ff", E_SYNTAX},
		{"c1ff", E_SYNTAX},
		{"9fc1ffff", E_SYNTAX},
		{"bf00ff", E_SYNTAX},
		{"bf000000ff", E_SYNTAX},
		{"bf00c1ffff", E_SYNTAX},
		/* chunks: of another type, indefinite themselves, tagged, cut within a
		 * character */
		{"5f00ff", E_SYNTAX},
		{"5f6161ff", E_SYNTAX},
		{"7f4161ff", E_SYNTAX},
		{"5f5f4100ffff", E_SYNTAX},
		{"7f7f6161ffff", E_SYNTAX},
		{"5fc14100ff", E_SYNTAX},
		{"7f61c361bcff", E_UTF8},
		{"5f5c", E_SYNTAX},
		/* simple values below 32 in two bytes */
		{"f800", E_SYNTAX},
		{"f814", E_SYNTAX},
		{"f81f", E_SYNTAX},
		/* malformed text */
		{"61ff", E_UTF8},
		{"62c080", E_UTF8},
		{"63eda080", E_UTF8},
		{"64f4908080", E_UTF8},
		{"a161ff00", E_UTF8},
		/* the input is shorter than the announced count */
		{"9a10000000", E_TRUNCATED},
		{"9bffffffffffffffff", E_TRUNCATED},
		{"9b7fffffffffffffff00", E_TRUNCATED},
		{"bbffffffffffffffff", E_TRUNCATED},
		{"bb800000000000000000", E_TRUNCATED},
		{"bb8000000000000001 0000", E_TRUNCATED},
		{"5bffffffffffffffff00", E_TRUNCATED},
		{"7bffffffffffffffff00", E_TRUNCATED},
		{"9f9bfffffffffffffffe00ff", E_TRUNCATED},
		/* each of the two counts is possible, but not both: 3 items in 3 bytes,
		 * then 2 more items */
		{"83820000", E_TRUNCATED},
		{"83c1820000", E_TRUNCATED},
	};

	(void)state;
	check_bad(SERIALIZER_CBOR, samples, ARRAY_LEN(samples));
}

static void test_trailing(void **state)
{
	struct token_reader r;

	(void)state;
	token_reader_init(&r, SERIALIZER_CBOR, slice_of("\x00\x00", 2));
	assert_int_equal(token_skip(&r, NULL), 0);
	assert_int_equal(token_end(&r), E_TRAILING);
	assert_int_equal(token_skip(&r, NULL), 0);
	assert_int_equal(token_end(&r), 0);
}

static void test_depth(void **state)
{
	(void)state;
	check_depth(SERIALIZER_CBOR, "\x81", "\x01", "");
	check_depth(SERIALIZER_CBOR, "\xa1\x01", "\x01", "");
	check_depth(SERIALIZER_CBOR, "\x9f", "\x01", "\xff");
	check_depth(SERIALIZER_CBOR, "\xbf\x01", "\x01", "\xff");
	/* a tag counts as a level, because the receivers' decoders recurse for tags */
	check_depth(SERIALIZER_CBOR, "\xc1", "\x01", "");
	assert_int_equal(nested(SERIALIZER_CBOR, "\xc1\x81", "\x01", "", 32), 0);
	assert_int_equal(nested(SERIALIZER_CBOR, "\xc1\x81", "\x01", "", 33), E_DEPTH);
	/* with an empty innermost container */
	assert_int_equal(nested(SERIALIZER_CBOR, "\x81", "\x80", "", 63), 0);
	assert_int_equal(nested(SERIALIZER_CBOR, "\x81", "\x80", "", 64), E_DEPTH);
}

/* token_skip in the middle of a container, also an empty or indefinite one. */
static void test_skip_inside(void **state)
{
	static const char message[] = "\x9f\x82\x01\x02\xa0\xc1\xbf\x00\x01\xff\xff";
	struct token_reader r;
	struct token t;
	struct slice item;

	(void)state;
	token_reader_init(&r, SERIALIZER_CBOR, slice_of(message, sizeof(message) - 1));
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.count, TOKEN_COUNT_UNKNOWN);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.count, 2);
	assert_int_equal(token_skip(&r, NULL), 0);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "\x02"));
	assert_int_equal(token_skip(&r, &item), E_TYPE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_int_equal(token_container(SERIALIZER_CBOR, item), TOKEN_MAP);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_int_equal(item.len, 5); /* includes the tag */
	assert_int_equal(token_container(SERIALIZER_CBOR, item), TOKEN_MAP);
	assert_int_equal(token_skip(&r, &item), E_TYPE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_end(&r), 0);
	assert_int_equal(token_skip(&r, &item), E_TRUNCATED);
}

static void test_write_numbers(void **state)
{
	static const struct {
		int64_t v;
		const char *hex;
	} ints[] = {
		{0, "00"},
		{23, "17"},
		{24, "1818"},
		{255, "18ff"},
		{256, "190100"},
		{65535, "19ffff"},
		{65536, "1a00010000"},
		{4294967295, "1affffffff"},
		{4294967296, "1b0000000100000000"},
		{INT64_MAX, "1b7fffffffffffffff"},
		{-1, "20"},
		{-24, "37"},
		{-25, "3818"},
		{-256, "38ff"},
		{-257, "390100"},
		{-4294967296, "3affffffff"},
		{-4294967297, "3b0000000100000000"},
		{INT64_MIN, "3b7fffffffffffffff"},
	};
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		token_writer_init(&w, SERIALIZER_CBOR, &b);
		token_put_int(&w, ints[i].v);
		check_written(SERIALIZER_CBOR, &b, ints[i].hex);
	}
	token_writer_init(&w, SERIALIZER_CBOR, &b);
	token_put_uint(&w, UINT64_MAX);
	check_written(SERIALIZER_CBOR, &b, "1bffffffffffffffff");
	token_put_double(&w, 1.5);
	token_put_double(&w, INFINITY);
	token_put_null(&w);
	token_put_bool(&w, true);
	token_put_bool(&w, false);
	check_written(SERIALIZER_CBOR, &b, "fb3ff8000000000000fb7ff0000000000000f6f5f4");
	buf_fini(&b);
}

static void test_write_unknown_counts(void **state)
{
	static const size_t counts[] = {0, 1, 23, 24, 255, 256, 65535, 65536};

	(void)state;
	check_unknown_counts(SERIALIZER_CBOR, counts, ARRAY_LEN(counts));
	check_writer_limits(SERIALIZER_CBOR);
}

static void test_write_strings(void **state)
{
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	token_writer_init(&w, SERIALIZER_CBOR, &b);
	token_put_map(&w, 2);
	token_put_text(&w, "k");
	token_put_bin(&w, slice_of("\x01\xff", 2));
	token_put_uint(&w, 1); /* outside JSON any key type is allowed */
	token_put_str(&w, slice_of(NULL, 0));
	token_put_end(&w);
	check_written(SERIALIZER_CBOR, &b, "a2616b4201ff0160");
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc_examples),
		cmocka_unit_test(test_more_examples),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_trailing),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_skip_inside),
		cmocka_unit_test(test_write_numbers),
		cmocka_unit_test(test_write_unknown_counts),
		cmocka_unit_test(test_write_strings),
	};
	return cmocka_run_group_tests_name("cbor", tests, NULL, NULL);
}
