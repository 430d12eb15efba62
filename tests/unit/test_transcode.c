/* SPDX-License-Identifier: Apache-2.0 */
/* Transcoding: there and back gives the same for all pairs; and values that the target
 * encoding cannot represent. */
#include "proto/transcode.h"
#include "tests/unit/codec_check.h"
#include "tests/unit/random_items.h"

static struct slice shown(enum serializer s, struct slice in, unsigned items,
			  struct buf *to)
{
	struct token_reader r;

	buf_clear(to);
	token_reader_init(&r, s, in);
	for (unsigned i = 0; i < items; i++)
		assert_int_equal(walk(&r, to), 0);
	assert_int_equal(token_end(&r), 0);
	return buf_slice(to);
}

static void check_pair(enum serializer from, struct slice in, unsigned items,
		       enum serializer to)
{
	struct buf there, back, before, after;

	buf_init(&there, SIZE_MAX / 4);
	buf_init(&back, SIZE_MAX / 4);
	buf_init(&before, SIZE_MAX / 4);
	buf_init(&after, SIZE_MAX / 4);
	assert_int_equal(transcode(from, in, items, to, &there), 0);
	assert_int_equal(transcode(to, buf_slice(&there), items, from, &back), 0);
	shown(from, in, items, &before);
	assert_true(slice_eq(buf_slice(&before),
			     shown(to, buf_slice(&there), items, &after)));
	assert_true(slice_eq(buf_slice(&before),
			     shown(from, buf_slice(&back), items, &after)));
	buf_fini(&there);
	buf_fini(&back);
	buf_fini(&before);
	buf_fini(&after);
}

static void test_there_and_back(void **state)
{
	uint64_t rng = 20240229;
	struct buf in;

	(void)state;
	buf_init(&in, SIZE_MAX / 4);
	for (unsigned i = 0; i < 6000; i++) {
		enum serializer from = (enum serializer)(i % SERIALIZER_COUNT);
		unsigned items = i / SERIALIZER_COUNT % 4;
		struct token_writer w;

		buf_clear(&in);
		token_writer_init(&w, from, &in);
		for (unsigned k = 0; k < items; k++)
			random_item(&rng, &w, rng_below(&rng, 40));
		assert_int_equal(in.err, 0);
		for (unsigned to = 0; to < SERIALIZER_COUNT; to++)
			check_pair(from, buf_slice(&in), items, (enum serializer)to);
	}
	buf_fini(&in);
}

static void test_known_pairs(void **state)
{
	static const struct {
		enum serializer from;
		const char *in;
		unsigned items;
		enum serializer to;
		const char *out;
	} known[] = {
		{SERIALIZER_JSON, "[1,\"a\"] , {\"k\":null}", 2, SERIALIZER_MSGPACK,
		 "9201a161 81a16bc0"},
		{SERIALIZER_JSON, "[1,\"a\"] , {\"k\":null}", 2, SERIALIZER_CBOR,
		 "82016161 a1616bf6"},
		{SERIALIZER_JSON, " [1] , {} ", 2, SERIALIZER_JSON, "[1] , {}"},
		{SERIALIZER_MSGPACK, "9201a161 81a16bc0", 2, SERIALIZER_JSON,
		 "[1,\"a\"],{\"k\":null}"},
		{SERIALIZER_CBOR, "9fd9d9f7 7f61616162ff ff a0", 2, SERIALIZER_JSON,
		 "[\"ab\"],{}"},
		{SERIALIZER_CBOR, "9f5f41014102ffff", 1, SERIALIZER_MSGPACK,
		 "91c4020102"},
		/* within one encoding the bytes are copied */
		{SERIALIZER_CBOR, "9fc17f61616162ffff", 1, SERIALIZER_CBOR,
		 "9fc17f61616162ffff"},
		{SERIALIZER_MSGPACK, "92d40000c7010500", 1, SERIALIZER_MSGPACK,
		 "92d40000c7010500"},
		/* undefined becomes null */
		{SERIALIZER_MSGPACK, "91d40000", 1, SERIALIZER_CBOR, "81f6"},
		{SERIALIZER_CBOR, "81f7", 1, SERIALIZER_MSGPACK, "91c0"},
		{SERIALIZER_CBOR, "81f7", 1, SERIALIZER_JSON, "[null]"},
		/* numbers keep their value and kind */
		{SERIALIZER_MSGPACK, "92cb3ff0000000000000d3ffffffffffffffff", 1,
		 SERIALIZER_JSON, "[1.0,-1]"},
		{SERIALIZER_JSON, "[1.0,1e3,18446744073709551615]", 1, SERIALIZER_CBOR,
		 "83fb3ff0000000000000fb408f4000000000001bffffffffffffffff"},
		{SERIALIZER_CBOR, "81f93c00", 1, SERIALIZER_MSGPACK,
		 "91cb3ff0000000000000"},
		/* big integers */
		{SERIALIZER_CBOR, "82c24101c34101", 1, SERIALIZER_MSGPACK, "9201fe"},
		{SERIALIZER_JSON, "[100000000000000000000,18446744073709551617]", 1,
		 SERIALIZER_CBOR, "82c249056bc75e2d63100000c249010000000000000001"},
		{SERIALIZER_JSON,
		 "[-9223372036854775809,-18446744073709551616,-18446744073709551617]", 1,
		 SERIALIZER_CBOR,
		 "833b80000000000000003bffffffffffffffffc349010000000000000000"},
		{SERIALIZER_CBOR, "83c2490100000000000000003bffffffffffffffffc340", 1,
		 SERIALIZER_JSON, "[18446744073709551616,-18446744073709551616,-1]"},
		/* JavaScript writes doubles like this */
		{SERIALIZER_JSON, "[100000000000000000000,-18446744073709551616]", 1,
		 SERIALIZER_MSGPACK, "92cb4415af1d78b58c40cbc3f0000000000000"},
		/* dates */
		{SERIALIZER_CBOR, "84c100c11affffffffc11b0000000100000000c120", 1,
		 SERIALIZER_MSGPACK,
		 "94d6ff00000000d6ffffffffffd7ff0000000100000000"
		 "c70cff00000000ffffffffffffffff"},
		{SERIALIZER_MSGPACK,
		 "94d6ff00000000d6ffffffffffd7ff0000000100000000"
		 "c70cff00000000ffffffffffffffff",
		 1, SERIALIZER_CBOR, "84c100c11affffffffc11b0000000100000000c120"},
		{SERIALIZER_MSGPACK, "91d7ff00000004514b67b0", 1, SERIALIZER_CBOR,
		 "81c0781e323031332d30332d32315432303a30343a30302e3030303030303030315a"},
		{SERIALIZER_CBOR, "81c1fb41d452d9ec200000", 1, SERIALIZER_MSGPACK,
		 "91d7ff77359400514b67b0"},
		{SERIALIZER_MSGPACK, "91c70cff0000000affffffffffffffff", 1,
		 SERIALIZER_CBOR,
		 "81c0781d313936392d31322d33315432333a35393a35392e30303030303030315a"},
		/* what only JSON lacks passes between the other two */
		{SERIALIZER_MSGPACK, "8101cb7ff8000000000000", 1, SERIALIZER_CBOR,
		 "a101fb7ff8000000000000"},
		{SERIALIZER_MSGPACK, "91a100", 1, SERIALIZER_CBOR, "816100"},
		/* binary */
		{SERIALIZER_JSON, "[\"\\u0000AQL\\/\"]", 1, SERIALIZER_MSGPACK,
		 "91c4030102ff"},
		{SERIALIZER_MSGPACK, "91c4030102ff", 1, SERIALIZER_JSON,
		 "[\"\\u0000AQL/\"]"},
		{SERIALIZER_JSON, "", 0, SERIALIZER_CBOR, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct slice in = sample_bytes(known[i].from, known[i].in);
		struct buf out;

		buf_init(&out, 1000);
		assert_int_equal(
			transcode(known[i].from, in, known[i].items, known[i].to, &out),
			0);
		check_written(known[i].to, &out, known[i].out);
		buf_fini(&out);
		free_copy(in);
	}
}

static void test_unsupported(void **state)
{
	static const struct {
		enum serializer from;
		const char *in;
		enum serializer to;
		int err;
	} refused[] = {
		{SERIALIZER_MSGPACK, "91cb7ff8000000000000", SERIALIZER_JSON,
		 E_UNSUPPORTED}, /* NaN */
		{SERIALIZER_MSGPACK, "91ca7f800000", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "81f9fc00", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_MSGPACK, "810101", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_MSGPACK, "81c001", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_MSGPACK, "819001", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "a1410101", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "816100", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_MSGPACK, "91c7010500", SERIALIZER_CBOR, E_UNSUPPORTED},
		{SERIALIZER_MSGPACK, "91d60500000000", SERIALIZER_CBOR, E_UNSUPPORTED},
		/* a tag with a meaning, and a date where there are none */
		{SERIALIZER_CBOR, "81d82501", SERIALIZER_MSGPACK, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "d82580", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "a1d825616101", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "81c100", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_MSGPACK, "91d6ff00000000", SERIALIZER_JSON, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "81c06161", SERIALIZER_MSGPACK, E_UNSUPPORTED},
		{SERIALIZER_CBOR, "81c249010000000000000000", SERIALIZER_MSGPACK,
		 E_UNSUPPORTED},
		/* no double is this integer */
		{SERIALIZER_JSON, "[18446744073709551617]", SERIALIZER_MSGPACK,
		 E_UNSUPPORTED},
		{SERIALIZER_CBOR, "813bffffffffffffffff", SERIALIZER_MSGPACK,
		 E_UNSUPPORTED},
		{SERIALIZER_CBOR, "81f0", SERIALIZER_MSGPACK, E_UNSUPPORTED},
		{SERIALIZER_JSON, "[1e400]", SERIALIZER_MSGPACK, E_UNSUPPORTED},
		{SERIALIZER_JSON, "[-1e400]", SERIALIZER_CBOR, E_UNSUPPORTED},
		/* the input is checked again */
		{SERIALIZER_JSON, "[1", SERIALIZER_CBOR, E_TRUNCATED},
		{SERIALIZER_JSON, "[1] 2", SERIALIZER_CBOR, E_TRAILING},
		{SERIALIZER_JSON, "[1] 2", SERIALIZER_JSON, E_TRAILING},
		{SERIALIZER_MSGPACK, "9101 01", SERIALIZER_MSGPACK, E_TRAILING},
		{SERIALIZER_MSGPACK, "92c1", SERIALIZER_JSON, E_TRUNCATED},
		{SERIALIZER_MSGPACK, "", SERIALIZER_JSON, E_TRUNCATED},
		{SERIALIZER_MSGPACK, "", SERIALIZER_MSGPACK, E_TRUNCATED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct slice in = sample_bytes(refused[i].from, refused[i].in);
		struct buf out;

		buf_init(&out, 1000);
		int err = transcode(refused[i].from, in, 1, refused[i].to, &out);
		if (err != refused[i].err)
			fail_msg("%s: %s", refused[i].in, err_str(err));
		buf_fini(&out);
		free_copy(in);
	}
}

/* What is refused, and where. */
static void test_faults(void **state)
{
	static const struct {
		enum serializer from;
		const char *in;
		unsigned items;
		enum serializer to;
		const char *text;
	} faults[] = {
		{SERIALIZER_CBOR, "8301 820204 8203c100", 1, SERIALIZER_JSON,
		 "Arguments[2]: a date cannot be expressed in JSON"},
		{SERIALIZER_CBOR, "d9d9f78201d82580", 1, SERIALIZER_JSON,
		 "Arguments: CBOR's tag 37 cannot be expressed in JSON"},
		{SERIALIZER_CBOR, "dbffffffffffffffff80", 1, SERIALIZER_MSGPACK,
		 "Arguments: CBOR's tag 18446744073709551615 cannot be expressed in "
		 "MessagePack"},
		{SERIALIZER_CBOR, "80 bf 6161 01 6162 81 a1 616b f0 ff", 2,
		 SERIALIZER_MSGPACK,
		 "ArgumentsKw.b: an unassigned simple value cannot be expressed in "
		 "MessagePack"},
		/* keys that would need escapes in a log line */
		{SERIALIZER_CBOR, "80 a1 6122 f0", 2, SERIALIZER_JSON,
		 "ArgumentsKw: an unassigned simple value cannot be expressed in JSON"},
		{SERIALIZER_MSGPACK, "90 81 01 02", 2, SERIALIZER_JSON,
		 "ArgumentsKw: a key that is not a string cannot be expressed in JSON"},
		{SERIALIZER_MSGPACK, "91 81 90 02", 1, SERIALIZER_JSON,
		 "Arguments[0]: a key that is not a string cannot be expressed in JSON"},
		{SERIALIZER_MSGPACK, "93 81a2006101 a0 a100", 1, SERIALIZER_JSON,
		 "Arguments[2]: a string that begins with U+0000 cannot be expressed in "
		 "JSON"},
		{SERIALIZER_JSON, "[],{\"a\":1,\"b\":[1e400]}", 2, SERIALIZER_CBOR,
		 "ArgumentsKw.b: a number that overflows a double cannot be expressed in "
		 "CBOR"},
	};
	char text[TRANSCODE_FAULT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct slice in = sample_bytes(faults[i].from, faults[i].in);

		assert_true(transcode_fault(faults[i].from, in, faults[i].items,
					    faults[i].to, text));
		assert_string_equal(text, faults[i].text);
		free_copy(in);
	}
}

/*
 * A conversion whose cost is quadratic has a bound: without it, these integers of a
 * million bytes would take minutes.
 */
static void test_long_integers(void **state)
{
	enum { SIZE = 1 << 20 };
	struct buf in, out;

	(void)state;
	buf_init(&in, 2 * SIZE);
	buf_init(&out, 4 * SIZE);
	for (unsigned len = 64; len <= SIZE; len = len == 64 ? 65 : SIZE) {
		uint8_t head[] = {
			0xc2,        0x5a, 0, (uint8_t)(len >> 16), (uint8_t)(len >> 8),
			(uint8_t)len};

		buf_clear(&in);
		buf_put(&in, head, sizeof(head));
		memset(buf_reserve(&in, len), 0xff, len);
		buf_commit(&in, len);
		buf_clear(&out);
		assert_int_equal(transcode(SERIALIZER_CBOR, buf_slice(&in), 1,
					   SERIALIZER_JSON, &out),
				 len == 64 ? 0 : E_UNSUPPORTED);
		if (len == SIZE)
			break;
	}
	for (size_t digits = 154; digits <= SIZE; digits = digits == 154 ? 156 : SIZE) {
		buf_clear(&in);
		memset(buf_reserve(&in, digits), '9', digits);
		buf_commit(&in, digits);
		for (enum serializer to = SERIALIZER_MSGPACK; to <= SERIALIZER_CBOR;
		     to++) {
			bool fits = to == SERIALIZER_CBOR && digits == 154;

			buf_clear(&out);
			assert_int_equal(
				transcode(SERIALIZER_JSON, buf_slice(&in), 1, to, &out),
				fits ? 0 : E_UNSUPPORTED);
		}
		if (digits == SIZE)
			break;
	}
	buf_fini(&in);
	buf_fini(&out);
}

/* If the output has no room, transcoding ends at once. */
static void test_limit(void **state)
{
	struct buf in, out;
	struct token_writer w;

	(void)state;
	buf_init(&in, 1000000);
	token_writer_init(&w, SERIALIZER_CBOR, &in);
	token_put_array(&w, 10000);
	for (unsigned i = 0; i < 10000; i++)
		token_put_text(&w, "text");
	token_put_end(&w);
	for (size_t max = 0; max <= 70000; max = max * 3 + 1) {
		buf_init(&out, max);
		assert_int_equal(transcode(SERIALIZER_CBOR, buf_slice(&in), 1,
					   SERIALIZER_JSON, &out),
				 E_LIMIT);
		assert_true(out.len <= max);
		buf_fini(&out);
	}
	buf_init(&out, 70001);
	assert_int_equal(
		transcode(SERIALIZER_CBOR, buf_slice(&in), 1, SERIALIZER_JSON, &out), 0);
	assert_int_equal(out.len, 70001);
	buf_fini(&out);
	buf_fini(&in);
}

/* Seven bytes may announce many items that take no bytes, and JSON writes them all. */
static void test_few_bytes_stay_few(void **state)
{
	uint8_t in[] = {'[', '$', 'F', '#', 'I', 0, 0};
	struct buf out;

	(void)state;
	for (uint16_t n = 0; n < INT16_MAX; n++) {
		buf_init(&out, SIZE_MAX / 4);
		put_be16(in + 5, n);
		if (transcode(SERIALIZER_UBJSON, slice_of(in, sizeof(in)), 1,
			      SERIALIZER_JSON, &out) == 0)
			assert_in_range(out.len, 2, 400);
		else
			assert_true(n > 16);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_known_pairs),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_long_integers),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_few_bytes_stay_few),
	};
	return cmocka_run_group_tests_name("transcode", tests, NULL, NULL);
}
