/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: values, strings, binaries, numbers, malformed input, and the writer. */
#include "tests/unit/codec_check.h"
#include "tests/unit/token_values.h"

#include <math.h>
#include <stdio.h>

/* no number stands alone, because every shorter piece must be E_TRUNCATED */
static const struct good samples[] = {
	{"[]", "[]"},
	{"{}", "{}"},
	{"null", "null"},
	{"true", "true"},
	{"false", "false"},
	{"\"\"", "''"},
	{" \t\r\n[ \t\r\n]", "[]"},
	{"{ \"a\" : 1 , \"b\" : [ 2 , 3 ] }", "{'a' 1 'b' [2 3]}"},
	{"[null,true,false,[],{},[[]],{\"a\":{}}]",
	 "[null true false [] {} [[]] {'a' {}}]"},
	{"{\"a\":1,\"a\":2,\"\":3}", "{'a' 1 'a' 2 '' 3}"},
	/* integers */
	{"[0,-0,1,-1,10,123456789]", "[0 0 1 -1 10 123456789]"},
	{"[9223372036854775807,9223372036854775808,18446744073709551615]",
	 "[9223372036854775807 9223372036854775808 18446744073709551615]"},
	{"[-9223372036854775807,-9223372036854775808]",
	 "[-9223372036854775807 -9223372036854775808]"},
	/* integers beyond 64 bits */
	{"[18446744073709551616,-9223372036854775809,100000000000000000000]",
	 "[n18446744073709551616 n-9223372036854775809 n100000000000000000000]"},
	/* doubles */
	{"[1.5,-1.5,1e3,1E3,1e+3,1e-3,1.0,0.1,-0.0,0e0,0E-9]",
	 "[f1.5 f-1.5 f1000 f1000 f1000 f0.001 f1 f0.10000000000000001 f-0 f0 f0]"},
	{"[1.7976931348623157e308,4.9e-324,1e-400]",
	 "[f1.7976931348623157e+308 f4.9406564584124654e-324 f0]"},
	/* valid JSON, but other encodings cannot represent them */
	{"[1e400,-1e400,1e99999999999999999999]", "[opaque opaque opaque]"},
	/* escapes */
	{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "'\"\\/\b\f\n\r\t'"},
	{"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"",
	 "'A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'"},
	{"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\"",
	 "'\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"
	 "'"},
	{"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
	 "'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f'"},
	{"[\"0123456789abcdef0123456789abcdef\\n\xc3\xa9\"]",
	 "['0123456789abcdef0123456789abcdef\n\xc3\xa9']"},
	/* binaries */
	{"\"\\u0000\"", "h''"},
	{"\"\\u0000AA==\"", "h'00'"},
	{"\"\\u0000AQI=\"", "h'0102'"},
	{"\"\\u0000AQID\"", "h'010203'"},
	{"\"\\u0000AQIDBA==\"", "h'01020304'"},
	{"\"\\u0000+/+/\"", "h'fbffbf'"},
	{"\"\\u0000+\\/\\u002b/\"", "h'fbffbf'"}, /* PHP escapes slashes */
	{"\"\\u0000\\u0041Q==\"", "h'01'"},
	{"\"\\u0000AR==\"", "h'01'"}, /* unused bits are not checked */
	/* keys are never binaries */
	{"{\"\\u0041\":\"\\u0000AQ==\"}", "{'A' h'01'}"},
};

static void test_samples(void **state)
{
	(void)state;
	check_good(SERIALIZER_JSON, samples, ARRAY_LEN(samples));
}

static const struct bad malformed[] = {
	{"", E_TRUNCATED},
	{" ", E_TRUNCATED},
	{"]", E_SYNTAX},
	{"}", E_SYNTAX},
	{",", E_SYNTAX},
	{":", E_SYNTAX},
	{"[,]", E_SYNTAX},
	{"[1,]", E_SYNTAX},
	{"[1,,2]", E_SYNTAX},
	{"[1 2]", E_SYNTAX},
	{"[1:2]", E_SYNTAX},
	{"[1}", E_SYNTAX},
	{"{]", E_SYNTAX},
	{"{\"a\"}", E_SYNTAX},
	{"{\"a\",1}", E_SYNTAX},
	{"{\"a\":}", E_SYNTAX},
	{"{\"a\":1,}", E_SYNTAX},
	{"{\"a\":1 \"b\":2}", E_SYNTAX},
	{"{\"a\"::1}", E_SYNTAX},
	{"{1:2}", E_SYNTAX},
	{"{[]:2}", E_SYNTAX},
	{"{\"a\":1,null:2}", E_SYNTAX},
	{"{,}", E_SYNTAX},
	{"nul]", E_SYNTAX},
	{"[truf]", E_SYNTAX},
	{"[nulll]", E_SYNTAX},
	{"[TRUE]", E_SYNTAX},
	{"[NaN]", E_NAN},
	{"[Infinity]", E_NAN},
	{"[-Infinity]", E_NAN},
	{"{\"a\":NaN}", E_NAN},
	{"[1,Na N", E_SYNTAX},
	{"[-NaN]", E_SYNTAX},
	{"[+Infinity]", E_SYNTAX},
	{"[1Infinity]", E_SYNTAX},
	{"[1.Infinity]", E_SYNTAX},
	{"[nan]", E_SYNTAX},
	{"[Nan]", E_SYNTAX},
	{"[Infinite]", E_SYNTAX},
	{"[Na", E_TRUNCATED},
	{"[-Infinit", E_TRUNCATED},
	{"{NaN:1}", E_SYNTAX},
	{"['a']", E_SYNTAX},
	{"[//\n1]", E_SYNTAX},
	{"\xef\xbb\xbf[]", E_SYNTAX}, /* no byte order mark (RFC 8259, section 8.1) */
	{"[\v]", E_SYNTAX},
	{"[\f1]", E_SYNTAX},
	/* numbers */
	{"[01]", E_SYNTAX},
	{"[-01]", E_SYNTAX},
	{"[00]", E_SYNTAX},
	{"[+1]", E_SYNTAX},
	{"[-]", E_SYNTAX},
	{"[--1]", E_SYNTAX},
	{"[.5]", E_SYNTAX},
	{"[1.]", E_SYNTAX},
	{"[1.e5]", E_SYNTAX},
	{"[1e]", E_SYNTAX},
	{"[1e+]", E_SYNTAX},
	{"[1e1.5]", E_SYNTAX},
	{"[1.5.5]", E_SYNTAX},
	{"[0x10]", E_SYNTAX},
	{"[1a]", E_SYNTAX},
	{"[1_000]", E_SYNTAX},
	/* strings */
	{"\"\n\"", E_SYNTAX},
	{"\"\x1f\"", E_SYNTAX},
	{"\"0123456789abcdef\x01\"", E_SYNTAX},
	{"\"\\x41\"", E_SYNTAX},
	{"\"\\'\"", E_SYNTAX},
	{"\"\\U0041\"", E_SYNTAX},
	{"\"\\u004\"", E_SYNTAX},
	{"\"\\u00g1\"", E_SYNTAX},
	{"\"\\u 041\"", E_SYNTAX},
	{"\"\\u-041\"", E_SYNTAX},
	{"\"\xff\"", E_UTF8},
	{"\"\xc3\"", E_UTF8},
	{"\"\xc0\x80\"", E_UTF8},
	{"\"\xed\xa0\x80\"", E_UTF8},
	{"\"0123456789abcdef0123456789abcdef\x80\"", E_UTF8},
	{"{\"\xff\":1}", E_UTF8},
	/* half a surrogate pair */
	{"\"\\ud800\"", E_SURROGATE},
	{"\"\\udc00\"", E_SURROGATE},
	{"\"\\ud800x\"", E_SURROGATE},
	{"\"\\ud800\\n\"", E_SURROGATE},
	{"\"\\ud800\\u0041\"", E_SURROGATE},
	{"\"\\ud800\\ud800\"", E_SURROGATE},
	{"\"\\udc00\\ud800\"", E_SURROGATE},
	{"{\"\\ud800\":1}", E_SURROGATE},
	/* what follows must be valid, too */
	{"\"\\ud800", E_TRUNCATED},
	{"\"\\ud800\\x\"", E_SYNTAX},
	{"\"\\ud800\n\"", E_SYNTAX},
	/* binaries */
	{"\"\\u0000A\"", E_BASE64},
	{"\"\\u0000AA\"", E_BASE64},
	{"\"\\u0000AAA\"", E_BASE64},
	{"\"\\u0000AA=\"", E_BASE64},
	{"\"\\u0000A===\"", E_BASE64},
	{"\"\\u0000====\"", E_BASE64},
	{"\"\\u0000=\"", E_BASE64},
	{"\"\\u0000AA==AA==\"", E_BASE64},
	{"\"\\u0000AA=A\"", E_BASE64},
	{"\"\\u0000AAA=\\u0000\"", E_BASE64},
	{"\"\\u0000AA==\\n\"", E_BASE64},
	{"\"\\u0000AA -\"", E_BASE64},
	{"\"\\u0000_-_-\"", E_BASE64},
	{"\"\\u0000\xc3\xa9"
	 "AA\"",
	 E_BASE64},
	{"{\"a\":\"\\u0000!\"}", E_BASE64},
};

static void test_malformed(void **state)
{
	(void)state;
	check_bad(SERIALIZER_JSON, malformed, ARRAY_LEN(malformed));
}

/* A NUL byte is no white space, and does not end the input. */
static void test_nul(void **state)
{
	(void)state;
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_of("[1]\0", 4), NULL),
			 E_TRAILING);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_of("[\0]", 3), NULL),
			 E_SYNTAX);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_of("\"\0\"", 3), NULL),
			 E_SYNTAX);
}

static void test_trailing(void **state)
{
	(void)state;
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_str("[1] \r\n\t"), NULL), 0);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_str("[1] x"), NULL),
			 E_TRAILING);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_str("[1],"), NULL),
			 E_TRAILING);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_str("[1]]"), NULL),
			 E_TRAILING);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_str("1"), NULL), 0);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_str("-1.5e3"), NULL), 0);
	assert_int_equal(read_whole(SERIALIZER_JSON, slice_str("1.5.3"), NULL),
			 E_TRAILING);
}

static void test_depth(void **state)
{
	(void)state;
	check_depth(SERIALIZER_JSON, "[", "1", "]");
	check_depth(SERIALIZER_JSON, "{\"a\":", "1", "}");
	check_depth(SERIALIZER_JSON, "[1,", "1", ",2]");
	assert_int_equal(nested(SERIALIZER_JSON, "[", "{}", "]", 63), 0);
	assert_int_equal(nested(SERIALIZER_JSON, "[", "{}", "]", 64), E_DEPTH);
	assert_int_equal(nested(SERIALIZER_JSON, "[", "", "]", 64), 0);
	assert_int_equal(nested(SERIALIZER_JSON, "[", "", "", 64), E_TRUNCATED);
	assert_int_equal(nested(SERIALIZER_JSON, "[", "", "", 100000), E_DEPTH);
}

/* A sequence of items at the top level, like the payload of a message. */
static void test_sequence(void **state)
{
	struct token_reader r;
	struct token t;
	struct slice item;

	(void)state;
	token_reader_init(&r, SERIALIZER_JSON, slice_str(" [1 , 2] ,\n{\"a\":[]} "));
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "[1 , 2]"));
	assert_int_equal(token_container(SERIALIZER_JSON, item), TOKEN_ARRAY);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_MAP);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "\"a\""));
	assert_int_equal(token_container(SERIALIZER_JSON, item), TOKEN_OPAQUE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(token_skip(&r, &item), E_TYPE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_skip(&r, &item), E_TYPE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_end(&r), 0);

	token_reader_init(&r, SERIALIZER_JSON, slice_str("[] []"));
	assert_int_equal(token_skip(&r, &item), 0);
	assert_int_equal(token_skip(&r, &item), E_SYNTAX);
}

/* An integer of any length keeps its digits; its double is the nearest one. */
static void test_long_numbers(void **state)
{
	char text[1000];
	struct token_reader r;
	struct token t;

	(void)state;
	for (int zeros = 0; zeros < 500; zeros++) {
		int len = snprintf(text, sizeof(text), "1%0*d", zeros, 0);

		if (zeros == 0)
			len = snprintf(text, sizeof(text), "1");
		token_reader_init(&r, SERIALIZER_JSON, slice_of(text, (size_t)len));
		assert_int_equal(token_next(&r, &t), 0);
		if (zeros < 20) {
			assert_int_equal(t.type, TOKEN_UINT);
		} else {
			assert_int_equal(t.type, TOKEN_BIGINT);
			assert_true(t.d == strtod(text, NULL));
			assert_true(slice_eq(t.text, slice_of(text, (size_t)len)));
		}
	}
}

/* Strings of each length, with a special character at each position. */
static void test_string_places(void **state)
{
	static const char *const special[] = {"\"", "\\n", "\x01", "\xc3\xa9", "\xff"};
	static const int verdicts[] = {E_TRAILING, 0, E_SYNTAX, 0, E_UTF8};

	(void)state;
	for (size_t len = 0; len < 40; len++) {
		for (size_t i = 0; i < len * ARRAY_LEN(special); i++) {
			const char *c = special[i % ARRAY_LEN(special)];
			struct buf b;

			buf_init(&b, 1000);
			buf_printf(&b, "\"%.*s%s%.*s\"", (int)(i / ARRAY_LEN(special)),
				   "0123456789012345678901234567890123456789", c,
				   (int)(len - i / ARRAY_LEN(special)),
				   "0123456789012345678901234567890123456789");
			struct slice in = copy_exact(buf_slice(&b));
			assert_int_equal(read_whole(SERIALIZER_JSON, in, NULL),
					 verdicts[i % ARRAY_LEN(special)]);
			free_copy(in);
			buf_fini(&b);
		}
	}
}

static void test_write_numbers(void **state)
{
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	token_writer_init(&w, SERIALIZER_JSON, &b);
	token_put_double(&w, -0.0);
	token_put_double(&w, 1e15);
	token_put_int(&w, INT64_MIN);
	token_put_int(&w, -1);
	token_put_int(&w, 0);
	token_put_uint(&w, UINT64_MAX);
	token_put_null(&w);
	token_put_bool(&w, true);
	token_put_bool(&w, false);
	check_written(SERIALIZER_JSON, &b,
		      "-0.0,1000000000000000.0,-9223372036854775808,-1,0,"
		      "18446744073709551615,null,true,false");
	buf_fini(&b);
}

static void test_write_structure(void **state)
{
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	token_writer_init(&w, SERIALIZER_JSON, &b);
	token_put_array(&w, 4);
	token_put_map(&w, TOKEN_COUNT_UNKNOWN);
	token_put_text(&w, "k\"\\\n\x01\x7f\xc3\xa9");
	token_put_array(&w, 0);
	token_put_end(&w);
	token_put_str(&w, slice_of("\0key", 4)); /* a key may begin with U+0000 */
	token_put_bin(&w, slice_of("\x01", 1));
	token_put_end(&w);
	token_put_bin(&w, slice_of("\x01\x02\xff", 3));
	token_put_raw(&w, slice_str("[],{}"), 2);
	token_put_end(&w);
	token_put_str(&w, slice_of(NULL, 0));
	check_written(SERIALIZER_JSON, &b,
		      "[{\"k\\\"\\\\\\n\\u0001\x7f\xc3\xa9\":[],"
		      "\"\\u0000key\":\"\\u0000AQ==\"},\"\\u0000AQL/\",[],{}],\"\"");
	buf_fini(&b);
	check_writer_limits(SERIALIZER_JSON);
}

/* Values that JSON cannot represent. */
static void test_write_unsupported(void **state)
{
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (int i = 0; i < 8; i++) {
		buf_clear(&b);
		token_writer_init(&w, SERIALIZER_JSON, &b);
		token_put_map(&w, TOKEN_COUNT_UNKNOWN);
		if (i < 3)
			token_put_text(&w, "key");
		if (i == 0)
			token_put_double(&w, NAN);
		else if (i == 1)
			token_put_double(&w, -INFINITY);
		else if (i == 2)
			token_put_str(&w, slice_of("\0a", 2));
		else if (i == 3)
			token_put_uint(&w, 1);
		else if (i == 4)
			token_put_null(&w);
		else if (i == 5)
			token_put_bin(&w, slice_of("a", 1));
		else if (i == 6)
			token_put_array(&w, 0);
		else
			token_put_double(&w, 1.5);
		assert_int_equal(b.err, E_UNSUPPORTED);
	}
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_trailing),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_long_numbers),
		cmocka_unit_test(test_string_places),
		cmocka_unit_test(test_write_numbers),
		cmocka_unit_test(test_write_structure),
		cmocka_unit_test(test_write_unsupported),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
