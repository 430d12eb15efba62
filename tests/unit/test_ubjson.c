/* SPDX-License-Identifier: Apache-2.0 */
/* UBJSON: messages as py-ubjson writes them, values of each type, malformed input,
 * limits, and the writer. In the samples %xx is a byte in hex. */
#include "proto/transcode.h"
#include "tests/unit/codec_check.h"
#include "tests/unit/token_values.h"

#include <math.h>

/* Messages of wamp-proto's test suite, which py-ubjson has written. */
static const struct {
	const char *json, *ubjson;
} vectors[] = {
	{"[3,{},\"wamp.error.system_shutdown\"]",
	 "[U%03{}SU%1awamp.error.system_shutdown]"},
	{"[4,\"wampcra\",{}]", "[U%04SU%07wampcra{}]"},
	{"[8,48,7814135,{},\"com.myapp.error\"]",
	 "[U%08U0l%00w;%f7{}SU%0fcom.myapp.error]"},
	{"[16,239714735,{\"exclude_me\":false},\"com.myapp.mytopic1\",[\"Hello, "
	 "world!\"]]",
	 "[U%10l%0eI%c1%af{U%0aexclude_meF}SU%12com.myapp.mytopic1[SU%0dHello, world!]]"},
	{"[36,9823526,112233445566,{},[\"Hello, event!\"]]",
	 "[U$l%00%95%e5&L%00%00%00%1a!%a2x%be{}[SU%0dHello, event!]]"},
	{"[49,7814135,{}]", "[U1l%00w;%f7{}]"},
	{"[69,6131533,{}]", "[UEl%00]%8fM{}]"},
	{"[337,5512315355]", "[I%01QL%00%00%00%01H%8fA%db]"},
};

static void check_transcoded(enum serializer from, const char *in, enum serializer to,
			     const char *expected)
{
	struct slice bytes = sample_bytes(from, in);
	struct buf out;

	buf_init(&out, 10000);
	assert_int_equal(transcode(from, bytes, 1, to, &out), 0);
	check_written(to, &out, expected);
	buf_fini(&out);
	free_copy(bytes);
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		check_transcoded(SERIALIZER_JSON, vectors[i].json, SERIALIZER_UBJSON,
				 vectors[i].ubjson);
		check_transcoded(SERIALIZER_UBJSON, vectors[i].ubjson, SERIALIZER_JSON,
				 vectors[i].json);
	}
}

/* Between serializers: integers beyond 64 bits and what UBJSON cannot express. */
static void test_special(void **state)
{
	static const struct {
		enum serializer from, to;
		const char *in;
	} unsupported[] = {
		/* a date, a number with a fraction, one with more than 64 bits */
		{SERIALIZER_CBOR, SERIALIZER_UBJSON, "c100"},
		{SERIALIZER_UBJSON, SERIALIZER_JSON, "HU%031.5"},
		{SERIALIZER_UBJSON, SERIALIZER_MSGPACK, "HU%1418446744073709551616"},
		/* keys that are no strings */
		{SERIALIZER_CBOR, SERIALIZER_UBJSON, "a10102"},
		{SERIALIZER_CBOR, SERIALIZER_UBJSON, "a1c24901000000000000000002"},
	};
	struct buf out;

	(void)state;
	check_transcoded(SERIALIZER_JSON, "-18446744073709551616", SERIALIZER_UBJSON,
			 "HU%15-18446744073709551616");
	check_transcoded(SERIALIZER_CBOR, "c249010000000000000000", SERIALIZER_UBJSON,
			 "HU%1418446744073709551616");
	check_transcoded(SERIALIZER_UBJSON, "HU%1418446744073709551616", SERIALIZER_CBOR,
			 "c249010000000000000000");
	check_transcoded(SERIALIZER_UBJSON, "HU%1418446744073709551616", SERIALIZER_JSON,
			 "18446744073709551616");
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_LEN(unsupported); i++) {
		struct slice in = sample_bytes(unsupported[i].from, unsupported[i].in);

		buf_clear(&out);
		assert_int_equal(
			transcode(unsupported[i].from, in, 1, unsupported[i].to, &out),
			E_UNSUPPORTED);
		free_copy(in);
	}
	buf_fini(&out);
}

static const struct good samples[] = {
	{"Z", "null"},
	{"T", "true"},
	{"F", "false"},
	{"i%00", "0"},
	{"i%7f", "127"},
	{"i%80", "-128"},
	{"U%ff", "255"},
	{"I%80%00", "-32768"},
	{"I%7f%ff", "32767"},
	{"l%80%00%00%00", "-2147483648"},
	{"l%7f%ff%ff%ff", "2147483647"},
	{"L%80%00%00%00%00%00%00%00", "-9223372036854775808"},
	{"L%7f%ff%ff%ff%ff%ff%ff%ff", "9223372036854775807"},
	/* numbers need not be in the shortest form */
	{"L%00%00%00%00%00%00%00%01", "1"},
	{"d%3f%c0%00%00", "f1.5"},
	{"D%bf%f8%00%00%00%00%00%00", "f-1.5"},
	{"D%7f%f0%00%00%00%00%00%00", "finf"},
	{"d%7f%c0%00%00", "fnan"},
	{"Hi%012", "2"},
	{"HU%1418446744073709551615", "18446744073709551615"},
	{"HU%14-9223372036854775808", "-9223372036854775808"},
	{"HU%1418446744073709551616", "n18446744073709551616"},
	{"HU%041.50", "opaque"},
	{"HU%05-1E+2", "opaque"},
	{"HU%061e-400", "opaque"},
	{"Ca", "'a'"},
	{"SU%00", "''"},
	{"Si%02%c3%bc", "'\xc3\xbc'"},
	{"SL%00%00%00%00%00%00%00%01a", "'a'"},
	{"[$U#U%00", "h''"},
	{"[$U#I%00%02%00%ff", "h'00ff'"},
	{"[]", "[]"},
	{"{}", "{}"},
	{"[#U%00", "[]"},
	{"{#U%00", "{}"},
	{"[Z[T]{U%01aF}]", "[null [true] {'a' false}]"},
	{"[#U%02Z[#U%01T", "[null [true]]"},
	{"{U%01a[]i%00{}}", "{'a' [] '' {}}"},
	{"{#U%02U%01aZU%01aT", "{'a' null 'a' true}"},
	/* no-ops, which are no items */
	{"[NNZN[N]NN]", "[null []]"},
	{"[#U%02NZNT", "[null true]"},
	{"{NU%01aTNNU%01bFN}", "{'a' true 'b' false}"},
	{"{$U#U%02NU%01a%01NU%01b%02", "{'a' 1 'b' 2}"},
	/* typed containers */
	{"[$i#U%02%ff%01", "[-1 1]"},
	{"[$D#U%01%3f%f8%00%00%00%00%00%00", "[f1.5]"},
	{"[$C#U%02ab", "['a' 'b']"},
	{"[$S#U%02U%01ai%00", "['a' '']"},
	{"[$H#U%01U%0217", "[17]"},
	{"[$[#U%03]#U%01T$U#U%02ab", "[[] [true] h'6162']"},
	{"[${#U%02}$T#U%01U%01a", "[{} {'a' true}]"},
	{"{$[#U%01U%01a$[#U%01]", "{'a' [[]]}"},
	{"{$C#U%01U%01aN", "{'a' 'N'}"},
	/* those whose items take no bytes */
	{"[$Z#U%03", "[null null null]"},
	{"[$T#U%00", "[]"},
	{"[[$F#U%02Z]", "[[false false] null]"},
	{"[$[#U%02$T#U%02$F#U%01", "[[true true] [false]]"},
	{"{$Z#U%02U%01aU%00", "{'a' null '' null}"},
};

static void test_samples(void **state)
{
	(void)state;
	check_good(SERIALIZER_UBJSON, samples, ARRAY_LEN(samples));
}

static void test_malformed(void **state)
{
	static const struct bad bad[] = {
		{"", E_TRUNCATED},
		{"N", E_TRUNCATED},
		{"x", E_SYNTAX},
		{"%00", E_SYNTAX},
		{"B%01", E_SYNTAX},
		{"]", E_SYNTAX},
		{"[}", E_SYNTAX},
		{"{]", E_SYNTAX},
		{"[#U%01]", E_SYNTAX},
		/* keys: with a marker, a no-op before the value, no value */
		{"{SU%01aZ}", E_SYNTAX},
		{"{Ca}", E_SYNTAX},
		{"{U%01aNZ}", E_SYNTAX},
		{"{U%01a}", E_SYNTAX},
		/* lengths and counts: no integer, negative */
		{"SCa", E_SYNTAX},
		{"Sd%00%00%00%00", E_SYNTAX},
		{"Si%ff", E_SYNTAX},
		{"SL%80%00%00%00%00%00%00%01a", E_SYNTAX},
		{"[#i%80", E_SYNTAX},
		{"{#I%ff%ff", E_SYNTAX},
		{"[$U#l%ff%ff%ff%ff", E_SYNTAX},
		{"[$Z#i%ff", E_SYNTAX},
		{"[#HU%012", E_SYNTAX},
		/* types: a no-op, no type, without a count, after the count */
		{"[$N#U%01", E_SYNTAX},
		{"{$N#U%01U%01a", E_SYNTAX},
		{"[$]#U%01", E_SYNTAX},
		{"[$%00#U%01", E_SYNTAX},
		{"[$$#U%01", E_SYNTAX},
		{"[$UU%01a", E_SYNTAX},
		{"[#U%01$Ua", E_SYNTAX},
		/* numbers in decimal */
		{"HU%00", E_SYNTAX},
		{"HU%01-", E_SYNTAX},
		{"HU%0207", E_SYNTAX},
		{"HU%02+1", E_SYNTAX},
		{"HU%02.5", E_SYNTAX},
		{"HU%021.", E_SYNTAX},
		{"HU%02 1", E_SYNTAX},
		{"HU%021 ", E_SYNTAX},
		{"HU%03NaN", E_SYNTAX},
		{"HU%031,2", E_SYNTAX},
		{"HU%041_00", E_SYNTAX},
		/* text that is not UTF-8 */
		{"C%80", E_UTF8},
		{"SU%02%c0%80", E_UTF8},
		{"{U%01%ffZ}", E_UTF8},
		{"[$C#U%01%ff", E_UTF8},
		/* the input is shorter than the announced count */
		{"[#l%7f%ff%ff%ffZ", E_TRUNCATED},
		{"[#L%7f%ff%ff%ff%ff%ff%ff%ffZ", E_TRUNCATED},
		{"{#L%7f%ff%ff%ff%ff%ff%ff%ffU%00Z", E_TRUNCATED},
		{"{#L%40%00%00%00%00%00%00%01U%00Z", E_TRUNCATED},
		{"[$U#L%7f%ff%ff%ff%ff%ff%ff%ffa", E_TRUNCATED},
		{"[$S#L%7f%ff%ff%ff%ff%ff%ff%ffU%00", E_TRUNCATED},
		{"[$[#l%7f%ff%ff%ff]", E_TRUNCATED},
		{"{$Z#l%7f%ff%ff%ffU%01a", E_TRUNCATED},
		{"{$Z#U%02U%01a", E_TRUNCATED},
		{"SL%7f%ff%ff%ff%ff%ff%ff%ffa", E_TRUNCATED},
		/* each of the two counts is possible, but not both */
		{"[#U%04[#U%02ZZ", E_TRUNCATED},
		/* items that take no bytes */
		{"[$Z#l%7f%ff%ff%ff", E_LIMIT},
		{"[$T#L%7f%ff%ff%ff%ff%ff%ff%ff", E_LIMIT},
		{"[$F#U%41", E_LIMIT},
		{"[[$F#U%40Z[$Z#U%01]", E_LIMIT},
		{"[$[#U%02$T#U%20$F#U%21", E_LIMIT},
		{"{U%01a[$F#U%40U%01b[$Z#U%01}", E_LIMIT},
	};

	(void)state;
	check_bad(SERIALIZER_UBJSON, bad, ARRAY_LEN(bad));
}

/* A count is refused with its head, also if the sum of all counts would overflow. */
static void test_sum_of_counts(void **state)
{
	struct slice in = sample_bytes(SERIALIZER_UBJSON,
				       "[#U%04{#L%7f%ff%ff%ff%ff%ff%ff%ffU%00ZU%00Z");
	struct token_reader r;
	struct token t;

	(void)state;
	token_reader_init(&r, SERIALIZER_UBJSON, in);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(token_next(&r, &t), E_TRUNCATED);
	free_copy(in);
}

/* 64 items that take no bytes are allowed, in one array or in several. */
static void test_implied_items(void **state)
{
	static const char *const all[] = {"[$Z#U%40", "[[$T#U%20Z[$F#U%20]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct slice in = sample_bytes(SERIALIZER_UBJSON, all[i]);

		assert_int_equal(read_whole(SERIALIZER_UBJSON, in, NULL), 0);
		free_copy(in);
	}
}

static void test_depth(void **state)
{
	(void)state;
	check_depth(SERIALIZER_UBJSON, "[", "Z", "]");
	check_depth(SERIALIZER_UBJSON, "{U\x01k", "Z", "}");
	check_depth(SERIALIZER_UBJSON, "[#U\x01", "Z", "");
	/* each of these is two levels */
	assert_int_equal(nested(SERIALIZER_UBJSON, "[$[#U\x01", "Z", "]", 32), 0);
	assert_int_equal(nested(SERIALIZER_UBJSON, "[$[#U\x01", "Z", "]", 33), E_DEPTH);
	assert_int_equal(nested(SERIALIZER_UBJSON, "[", "[$Z#U\x03", "]", 63), 0);
	assert_int_equal(nested(SERIALIZER_UBJSON, "[", "[$Z#U\x03", "]", 64), E_DEPTH);
	/* a binary is no level */
	assert_int_equal(nested(SERIALIZER_UBJSON, "[", "[$U#U\x01z", "]", 64), 0);
}

/* A lenient reader skips wrong values. */
static void test_lenient(void **state)
{
	static const char *const wrong[] = {"C%80", "SU%01%ff", "{U%01%ffZ}",
					    "[$C#U%01%ff"};
	struct token_reader r;
	struct buf deep;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct slice in = sample_bytes(SERIALIZER_UBJSON, wrong[i]);
		unsigned lenient = 0;

		token_reader_init(&r, SERIALIZER_UBJSON, in);
		r.lenient = &lenient;
		assert_int_equal(token_skip(&r, NULL), 0);
		assert_int_equal(token_end(&r), 0);
		free_copy(in);
	}
	buf_init(&deep, 10000);
	for (size_t levels = 300; levels <= 3000; levels += 2700) {
		unsigned lenient = 0;

		buf_clear(&deep);
		for (size_t i = 0; i < levels; i++)
			buf_put_str(&deep, "[N");
		for (size_t i = 0; i < levels; i++)
			buf_put_str(&deep, "]");
		token_reader_init(&r, SERIALIZER_UBJSON, buf_slice(&deep));
		r.lenient = &lenient;
		assert_int_equal(token_skip(&r, NULL), levels == 300 ? 0 : E_DEPTH);
	}
	buf_fini(&deep);
}

/* token_skip in the middle of a container: it does not return bytes that mean nothing
 * outside the container. */
static void test_skip_inside(void **state)
{
	static const char message[] = "[NU\x01N[$U#U\x01z{U\x01kN}{U\x01k[]}[$[#U\x02]]"
				      "[$Z#U\x02]";
	struct token_reader r;
	struct token t;
	struct slice item;

	(void)state;
	token_reader_init(&r, SERIALIZER_UBJSON, slice_of(message, sizeof(message) - 1));
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.count, TOKEN_COUNT_UNKNOWN);
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "U\x01"));
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "[$U#U\x01z"));
	assert_int_equal(token_container(SERIALIZER_UBJSON, item), TOKEN_OPAQUE);
	/* a map with a malformed value */
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_MAP);
	assert_int_equal(token_skip(&r, &item), E_UNSUPPORTED);
	assert_int_equal(token_skip(&r, NULL), 0);
	assert_int_equal(token_skip(&r, &item), E_SYNTAX);

	token_reader_init(&r, SERIALIZER_UBJSON,
			  slice_of(message + 18, sizeof(message) - 1 - 18));
	assert_int_equal(token_skip(&r, &item), 0);
	assert_true(slice_eq_str(item, "{U\x01k[]}"));
	assert_int_equal(token_container(SERIALIZER_UBJSON, item), TOKEN_MAP);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.count, 2);
	assert_true(token_in_typed(&r));
	assert_int_equal(token_skip(&r, &item), E_UNSUPPORTED);
	assert_int_equal(token_skip(&r, NULL), 0);
	assert_int_equal(token_skip(&r, NULL), 0);
	assert_int_equal(token_skip(&r, &item), E_TYPE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_false(token_in_typed(&r));
	/* one by one */
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(token_skip(&r, NULL), 0);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_NULL);
	assert_int_equal(token_skip(&r, NULL), E_TYPE);
	assert_int_equal(token_next(&r, &t), 0);
	assert_int_equal(t.type, TOKEN_END);
	assert_int_equal(token_end(&r), E_TRAILING);
}

static void test_write_numbers(void **state)
{
	static const struct {
		int64_t v;
		const char *bytes;
	} ints[] = {
		{0, "U%00"},
		{255, "U%ff"},
		{256, "I%01%00"},
		{32767, "I%7f%ff"},
		{32768, "l%00%00%80%00"},
		{INT32_MAX, "l%7f%ff%ff%ff"},
		{INT32_MAX + INT64_C(1), "L%00%00%00%00%80%00%00%00"},
		{INT64_MAX, "L%7f%ff%ff%ff%ff%ff%ff%ff"},
		{-1, "i%ff"},
		{-128, "i%80"},
		{-129, "I%ff%7f"},
		{-32768, "I%80%00"},
		{-32769, "l%ff%ff%7f%ff"},
		{INT32_MIN, "l%80%00%00%00"},
		{INT32_MIN - INT64_C(1), "L%ff%ff%ff%ff%7f%ff%ff%ff"},
		{INT64_MIN, "L%80%00%00%00%00%00%00%00"},
	};
	struct token_writer w;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	token_writer_init(&w, SERIALIZER_UBJSON, &b);
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		token_put_int(&w, ints[i].v);
		check_written(SERIALIZER_UBJSON, &b, ints[i].bytes);
	}
	token_put_uint(&w, INT64_MAX + UINT64_C(1));
	check_written(SERIALIZER_UBJSON, &b, "HU%139223372036854775808");
	token_put_uint(&w, UINT64_MAX);
	check_written(SERIALIZER_UBJSON, &b, "HU%1418446744073709551615");
	token_put_double(&w, 1.5);
	token_put_double(&w, -INFINITY);
	token_put_null(&w);
	token_put_bool(&w, true);
	token_put_bool(&w, false);
	check_written(SERIALIZER_UBJSON, &b,
		      "D%3f%f8%00%00%00%00%00%00D%ff%f0%00%00%00%00%00%00ZTF");
	buf_fini(&b);
}

static void test_write_containers(void **state)
{
	static const size_t counts[] = {0, 1, 255, 256};
	struct token_writer w;
	struct buf b;

	(void)state;
	check_unknown_counts(SERIALIZER_UBJSON, counts, ARRAY_LEN(counts));
	check_writer_limits(SERIALIZER_UBJSON);
	buf_init(&b, 1000);
	token_writer_init(&w, SERIALIZER_UBJSON, &b);
	token_put_map(&w, 2);
	token_put_text(&w, "k");
	token_put_bin(&w, slice_of("\x01\xff", 2));
	token_put_str(&w, slice_of(NULL, 0));
	token_put_text(&w, "v");
	token_put_end(&w);
	check_written(SERIALIZER_UBJSON, &b, "{U%01k[$U#U%02%01%ffU%00SU%01v}");
	/* keys are strings */
	for (unsigned i = 0; i < 3; i++) {
		buf_clear(&b);
		token_writer_init(&w, SERIALIZER_UBJSON, &b);
		token_put_map(&w, TOKEN_COUNT_UNKNOWN);
		if (i == 0)
			token_put_uint(&w, 1);
		else if (i == 1)
			token_put_bin(&w, slice_of("k", 1));
		else
			token_put_array(&w, 0);
		assert_int_equal(b.err, E_UNSUPPORTED);
	}
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_special),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_sum_of_counts),
		cmocka_unit_test(test_implied_items),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_skip_inside),
		cmocka_unit_test(test_write_numbers),
		cmocka_unit_test(test_write_containers),
	};
	return cmocka_run_group_tests_name("ubjson", tests, NULL, NULL);
}
