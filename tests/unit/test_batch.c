/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of messages: splitting and joining them. */
#include "proto/msg.h"
#include "tests/unit/codec_check.h"

/* Shows the messages, joined by '|'; then the error, or nothing at the end; then the
 * separators. */
static void split(enum serializer s, struct slice in, struct buf *shown)
{
	struct slice copy = copy_exact(in), rest = copy, msg;
	struct buf separators;
	int err = 0;

	buf_init(&separators, 100);
	buf_clear(shown);
	do {
		uint8_t separator = '-';

		err = batch_next(s, &rest, &msg, &separator);
		if (err != 0)
			break;
		buf_put_slice(shown, msg);
		buf_put_u8(shown, '|');
		buf_put_u8(&separators, separator == 0x18   ? 'a'
					: separator == 0x1e ? 's'
							    : separator);
	} while (rest.len > 0);
	buf_printf(shown, "%s %.*s", err == 0 ? "" : err_str(err), (int)separators.len,
		   (const char *)separators.data);
	buf_put_u8(shown, '\0');
	buf_fini(&separators);
	free_copy(copy);
}

static void check(enum serializer s, const void *in, size_t len, const char *expected)
{
	struct buf shown;

	buf_init(&shown, 10000);
	split(s, slice_of(in, len), &shown);
	assert_string_equal((char *)shown.data, expected);
	buf_fini(&shown);
}

#define CHECK(s, in, expected) check(s, in, sizeof(in) - 1, expected)

static void test_json(void **state)
{
	(void)state;
	CHECK(SERIALIZER_JSON, "[1]\x1e", "[1]| s");
	CHECK(SERIALIZER_JSON, "[1]\x18", "[1]| a");
	CHECK(SERIALIZER_JSON, "[1]\x1e[2]\x1e[3]\x1e", "[1]|[2]|[3]| sss");
	CHECK(SERIALIZER_JSON, "[1]\x18[2]\x18", "[1]|[2]| aa");
	CHECK(SERIALIZER_JSON, "[1]\x18[2]\x1e", "[1]|[2]| as");
	CHECK(SERIALIZER_JSON, "[1]\x1e[2]\x18", "[1]|[2]| sa");
	/* the last message may lack the separator */
	CHECK(SERIALIZER_JSON, "[1]", "[1]| -");
	CHECK(SERIALIZER_JSON, "[1]\x1e[2]", "[1]|[2]| s-");
	/* empty messages are found here; msg_read refuses them */
	CHECK(SERIALIZER_JSON, "\x1e\x1e", "|| ss");
	CHECK(SERIALIZER_JSON, "", "ends too early ");
}

static void test_binary(void **state)
{
	(void)state;
	for (unsigned i = SERIALIZER_MSGPACK; i < SERIALIZER_COUNT; i++) {
		enum serializer s = (enum serializer)i;

		CHECK(s,
		      "\0\0\0\x03"
		      "abc",
		      "abc| -");
		CHECK(s,
		      "\0\0\0\x03"
		      "abc\0\0\0\x01x",
		      "abc|x| --");
		CHECK(s, "\0\0\0\0\0\0\0\x01x", "|x| --");
		CHECK(s, "", "ends too early ");
		CHECK(s, "\0\0\0", "ends too early ");
		CHECK(s, "\0\0\0\x01", "ends too early ");
		CHECK(s,
		      "\0\0\0\x04"
		      "abc",
		      "ends too early ");
		CHECK(s,
		      "\xff\xff\xff\xff"
		      "abc",
		      "ends too early ");
		CHECK(s,
		      "\0\0\0\x03"
		      "abc\0",
		      "abc|ends too early -");
	}
}

/* Separators at every place, because the search advances in strides. */
static void test_long(void **state)
{
	static uint8_t in[1700];

	(void)state;
	for (size_t at = 0; at < sizeof(in); at++) {
		struct slice rest = slice_of(in, sizeof(in)), msg;
		uint8_t separator = 0;

		memset(in, 'a', sizeof(in));
		in[at] = at % 2 == 0 ? 0x18 : 0x1e;
		if (at + 1 < sizeof(in))
			in[at + 1] = at % 2 == 0 ? 0x1e : 0x18;
		assert_int_equal(batch_next(SERIALIZER_JSON, &rest, &msg, &separator), 0);
		assert_int_equal(msg.len, at);
		assert_int_equal(separator, in[at]);
		assert_int_equal(rest.len, sizeof(in) - at - 1);
	}
}

static void test_put_together(void **state)
{
	static const char *const expected[] = {"[1]\x18[22]\x18",
					       "\0\0\0\3[1]\0\0\0\4[22]"};
	static const size_t lengths[] = {9, 15};

	(void)state;
	for (unsigned i = 0; i < SERIALIZER_COUNT; i++) {
		enum serializer s = (enum serializer)i;
		struct buf out;

		buf_init(&out, 100);
		size_t begin = batch_begin(&out, s);
		buf_put_str(&out, "[1]");
		batch_end(&out, s, begin, 0x18);
		begin = batch_begin(&out, s);
		buf_put_str(&out, "[22]");
		batch_end(&out, s, begin, 0x18);
		assert_int_equal(out.err, 0);
		assert_true(slice_eq(buf_slice(&out),
				     slice_of(expected[i > 0], lengths[i > 0])));
		buf_fini(&out);

		/* if it does not fit, the buffer has an error */
		buf_init(&out, 3);
		begin = batch_begin(&out, s);
		buf_put_str(&out, "[1]");
		batch_end(&out, s, begin, 0x18);
		assert_int_equal(out.err, E_LIMIT);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_put_together),
	};
	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
