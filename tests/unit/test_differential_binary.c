/* SPDX-License-Identifier: Apache-2.0 */
/* MessagePack and CBOR, compared with msgpack-c and libcbor; see differential.h. */
#include "common/timestamp.h"
#include "tests/unit/differential.h"

#include <cbor.h>
#include <math.h>
#include <msgpack.h>
#include <msgpack/timestamp.h>

/* --- msgpack-c --- */

enum {
	MSGPACK_DEPTH = 1,
	MSGPACK_UTF8,
	MSGPACK_ALLOCATION,
};

static void show_date(int64_t seconds, uint32_t ns, struct buf *out)
{
	buf_printf(out, "d%08x%016" PRIx64, ns, (uint64_t)seconds);
}

static void show_ext(const msgpack_object *o, struct buf *out)
{
	msgpack_timestamp t;

	if (o->via.ext.type == 0 && o->via.ext.size == 1 && o->via.ext.ptr[0] == 0 &&
	    o->via.ext.ptr[-2] == (char)0xd4)
		buf_put_str(out, "undefined");
	else if (msgpack_object_to_timestamp(o, &t) && t.tv_nsec < 1000000000)
		show_date(t.tv_sec, t.tv_nsec, out);
	else
		buf_put_str(out, "opaque");
}

static void show_msgpack(const msgpack_object *o, struct buf *out)
{
	switch (o->type) {
	case MSGPACK_OBJECT_NIL:
		put_blank(out);
		buf_put_str(out, "null");
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		put_blank(out);
		buf_put_str(out, o->via.boolean ? "true" : "false");
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		put_blank(out);
		buf_printf(out, "%" PRIu64, o->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		put_blank(out);
		buf_printf(out, "%" PRId64, o->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		put_double(out, o->via.f64);
		break;
	case MSGPACK_OBJECT_STR:
		put_bytes(out, TOKEN_STR, o->via.str.ptr, o->via.str.size);
		break;
	case MSGPACK_OBJECT_BIN:
		put_bytes(out, TOKEN_BIN, o->via.bin.ptr, o->via.bin.size);
		break;
	case MSGPACK_OBJECT_EXT:
		put_blank(out);
		show_ext(o, out);
		break;
	case MSGPACK_OBJECT_ARRAY:
		put_blank(out);
		buf_put_u8(out, '[');
		for (uint32_t i = 0; i < o->via.array.size; i++)
			show_msgpack(&o->via.array.ptr[i], out);
		buf_put_u8(out, ']');
		break;
	case MSGPACK_OBJECT_MAP:
		put_blank(out);
		buf_put_u8(out, '{');
		for (uint32_t i = 0; i < o->via.map.size; i++) {
			show_msgpack(&o->via.map.ptr[i].key, out);
			show_msgpack(&o->via.map.ptr[i].val, out);
		}
		buf_put_u8(out, '}');
		break;
	}
}

/* The depth of an input that we accept. */
static unsigned deepest(enum serializer s, struct slice in)
{
	struct token_reader r;
	struct token t;
	unsigned deepest = 0;

	token_reader_init(&r, s, in);
	do {
		assert_int_equal(token_next(&r, &t), 0);
		if (r.depth > deepest)
			deepest = r.depth;
	} while (r.depth > 0);
	return deepest;
}

/* Whether any array or map announces more than 1,000 items. The two codes begin one with
 * a count of width bytes. */
static bool announces_much(struct slice in, uint8_t array, uint8_t map, size_t width)
{
	for (size_t i = 0; i + 1 + width <= in.len; i++) {
		const uint8_t *p = in.p + i;

		if ((*p == array || *p == map) && (width == 2   ? get_be16(p + 1)
						   : width == 4 ? get_be32(p + 1)
								: get_be64(p + 1)) > 1000)
			return true;
	}
	return false;
}

static int judge_msgpack(const struct ours *ours, size_t *used_out, struct buf *shown_out)
{
	if (ours->err != 0 && (announces_much(ours->in, 0xdc, 0xde, 2) ||
			       announces_much(ours->in, 0xdd, 0xdf, 4)))
		return VERDICT_EXCLUDED + MSGPACK_ALLOCATION;

	msgpack_unpacked result;
	size_t used = 0;

	msgpack_unpacked_init(&result);
	msgpack_unpack_return ret = msgpack_unpack_next(&result, (const char *)ours->in.p,
							ours->in.len, &used);
	int verdict = VERDICT_REFUSE;
	if (ret == MSGPACK_UNPACK_SUCCESS || ret == MSGPACK_UNPACK_EXTRA_BYTES) {
		verdict = VERDICT_ACCEPT;
		*used_out = used;
		show_msgpack(&result.data, shown_out);
		if (ours->err == E_UTF8)
			verdict = VERDICT_EXCLUDED + MSGPACK_UTF8;
	} else if (ret == MSGPACK_UNPACK_NOMEM_ERROR && ours->err == 0 &&
		   deepest(SERIALIZER_MSGPACK, ours->in) > 32) {
		verdict = VERDICT_EXCLUDED + MSGPACK_DEPTH;
	}
	msgpack_unpacked_destroy(&result);
	return verdict;
}

static const char *const msgpack_seeds[] = {
	"9610ce0e49c7af80b0636f6d2e6d796170702e746f7069639181a26964cd04d281a16101",
	"93c70005c8000105aac90000000205aabb",
	"93d40000d5050102d6ff01020304",
	"92d7ff0102030405060708d80500010203040506070809101112131415",
	"94ca3fc00000cb3ff8000000000000ccffd080",
	"dc0003cdffffceffffffffcfffffffffffffffff",
	"dd00000003d18000d280000000d38000000000000000",
	"de0001d90161da0001b1",
	"df00000001db0000000161c6000000020102",
	"9191919191919191919191919191919191919191919191919191919191919191c0",
	"919191919191919191919191919191919191919191919191919191919191919191c0",
	"92c50002ffffc401aa",
	"94d6ff01020304d7ffee6b27fd01020304c70cff3b9ac9ffffffffffffffffffd6ff00000000",
};

static const struct library msgpack_c = {
	"msgpack",
	SERIALIZER_MSGPACK,
	msgpack_seeds,
	ARRAY_LEN(msgpack_seeds),
	"\x91",
	"",
	judge_msgpack,
	{[MSGPACK_DEPTH] = "msgpack-c nests 32 deep, we 64",
	 [MSGPACK_UTF8] = "msgpack-c does not look at UTF-8",
	 [MSGPACK_ALLOCATION] = "refused, but msgpack-c would allocate what is "
				"announced first"}};

static void test_msgpack(void **state)
{
	(void)state;
	run(&msgpack_c);
}

/* --- libcbor --- */

enum {
	CBOR_DEPTH = 1,
	CBOR_UTF8,
	CBOR_HEADS,
	CBOR_ALLOCATION,
};

static void show_cbor(const cbor_item_t *item, struct buf *out);

static void show_cbor_list(cbor_item_t *item, struct buf *out)
{
	put_blank(out);
	if (cbor_isa_map(item)) {
		buf_put_u8(out, '{');
		for (size_t i = 0; i < cbor_map_size(item); i++) {
			show_cbor(cbor_map_handle(item)[i].key, out);
			show_cbor(cbor_map_handle(item)[i].value, out);
		}
		buf_put_u8(out, '}');
		return;
	}
	buf_put_u8(out, '[');
	for (size_t i = 0; i < cbor_array_size(item); i++)
		show_cbor(cbor_array_handle(item)[i], out);
	buf_put_u8(out, ']');
}

/* Appends the content of a string, or of its chunks. */
static void put_cbor_string(const cbor_item_t *item, bool text, struct buf *out)
{
	bool definite =
		text ? cbor_string_is_definite(item) : cbor_bytestring_is_definite(item);

	if (definite && text)
		buf_put(out, cbor_string_handle(item), cbor_string_length(item));
	else if (definite)
		buf_put(out, cbor_bytestring_handle(item), cbor_bytestring_length(item));
	else if (text)
		for (size_t i = 0; i < cbor_string_chunk_count(item); i++)
			put_cbor_string(cbor_string_chunks_handle(item)[i], true, out);
	else
		for (size_t i = 0; i < cbor_bytestring_chunk_count(item); i++)
			put_cbor_string(cbor_bytestring_chunks_handle(item)[i], false,
					out);
}

static void show_cbor_string(const cbor_item_t *item, enum token_type type,
			     struct buf *out)
{
	struct buf whole;

	buf_init(&whole, SIZE_MAX / 4);
	put_cbor_string(item, type == TOKEN_STR, &whole);
	put_bytes(out, type, whole.data, whole.len);
	buf_fini(&whole);
}

static void show_cbor_simple(const cbor_item_t *item, struct buf *out)
{
	if (cbor_is_float(item)) {
		put_double(out, cbor_float_get_float(item));
		return;
	}
	put_blank(out);
	if (cbor_is_bool(item))
		buf_put_str(out, cbor_get_bool(item) ? "true" : "false");
	else if (cbor_is_null(item))
		buf_put_str(out, "null");
	else
		buf_put_str(out, cbor_is_undef(item) ? "undefined" : "opaque");
}

/* Shows an integer, digit by digit. */
static void show_bignum(const uint8_t *p, size_t len, bool negative, struct buf *out)
{
	uint8_t digits[160] = {0}; /* of decimal; the lowest one first */
	size_t n = 1;

	for (; len > 0 && *p == 0; len--)
		p++;
	if (len > 64) {
		buf_put_str(out, "opaque");
		return;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned carry = p[i];

		for (size_t k = 0; k < sizeof(digits); k++) {
			carry += digits[k] * 256u;
			digits[k] = (uint8_t)(carry % 10);
			carry /= 10;
		}
	}
	for (size_t k = 0, carry = negative; carry > 0; k++) {
		carry = digits[k] == 9;
		digits[k] = carry ? 0 : digits[k] + 1;
	}
	for (size_t k = 0; k < sizeof(digits); k++)
		if (digits[k] != 0)
			n = k + 1;
	bool fits = len < 8 || (len == 8 && (!negative || p[0] < 0x80));
	buf_put_str(out, fits ? "" : "n");
	buf_put_str(out, negative ? "-" : "");
	while (n > 0)
		buf_put_u8(out, '0' + digits[--n]);
}

/* The fewest decimals that read back as the same double. */
static void show_seconds(double d, struct buf *out)
{
	char text[400], ns[10] = "000000000";
	int places = -1;

	if (!(fabs(d) < 0x1p63)) {
		buf_put_str(out, "opaque");
		return;
	}
	do
		snprintf(text, sizeof(text), "%.*f", ++places, fabs(d));
	while (places < 10 && strtod(text, NULL) != fabs(d));
	if (places == 10) {
		buf_put_str(out, "opaque");
		return;
	}
	char *point = strchr(text, '.');
	if (point != NULL)
		memcpy(ns, point + 1, (size_t)places);
	int64_t seconds = (int64_t)strtoull(text, NULL, 10);
	uint32_t more = (uint32_t)strtoul(ns, NULL, 10);
	if (d < 0 && more > 0)
		show_date(-seconds - 1, 1000000000 - more, out);
	else
		show_date(d < 0 ? -seconds : seconds, more, out);
}

/* False if the tag gives this item no meaning that other encodings know. */
static bool show_cbor_special(const cbor_item_t *item, uint64_t tag, struct buf *out)
{
	struct buf s;

	if ((tag == 2 || tag == 3) && cbor_isa_bytestring(item)) {
		buf_init(&s, SIZE_MAX / 4);
		put_cbor_string(item, false, &s);
		put_blank(out);
		show_bignum(s.data, s.len, tag == 3, out);
		buf_fini(&s);
	} else if (tag == 0 && cbor_isa_string(item)) {
		/* test_timestamp.c has dates; these are only mutants of one */
		struct timestamp t;

		buf_init(&s, SIZE_MAX / 4);
		put_cbor_string(item, true, &s);
		put_blank(out);
		if (timestamp_parse(buf_slice(&s), &t) != 0 || t.between || t.leap)
			buf_put_str(out, "opaque");
		else
			show_date(t.seconds, t.ns, out);
		buf_fini(&s);
	} else if (tag == 1 && cbor_isa_uint(item)) {
		put_blank(out);
		if (cbor_get_int(item) > INT64_MAX)
			buf_put_str(out, "opaque");
		else
			show_date((int64_t)cbor_get_int(item), 0, out);
	} else if (tag == 1 && cbor_isa_negint(item) && cbor_get_int(item) <= INT64_MAX) {
		put_blank(out);
		show_date(-1 - (int64_t)cbor_get_int(item), 0, out);
	} else if (tag == 1 && cbor_is_float(item)) {
		put_blank(out);
		show_seconds(cbor_float_get_float(item), out);
	} else {
		return false;
	}
	return true;
}

/* Shows the item behind one or more tags. */
static void show_cbor_tagged(const cbor_item_t *item, struct buf *out)
{
	bool tagged = false;
	uint64_t tag;
	struct buf shown;

	do {
		tag = cbor_tag_value(item);
		item = cbor_move(cbor_tag_item(item));
		tagged |= cbor_isa_tag(item) && tag != 55799;
	} while (cbor_isa_tag(item));
	buf_init(&shown, SIZE_MAX / 4);
	if (!show_cbor_special(item, tag, &shown)) {
		tagged |= tag != 55799;
		show_cbor(item, &shown);
	}
	put_blank(out);
	if (tagged)
		buf_put_u8(out, '#');
	buf_put_slice(out, buf_slice(&shown));
	buf_fini(&shown);
}

static void show_cbor(const cbor_item_t *item, struct buf *out)
{
	switch (cbor_typeof(item)) {
	case CBOR_TYPE_UINT:
		put_blank(out);
		buf_printf(out, "%" PRIu64, cbor_get_int(item));
		break;
	case CBOR_TYPE_NEGINT:
		put_blank(out);
		uint8_t n[8];
		put_be64(n, cbor_get_int(item));
		show_bignum(n, sizeof(n), true, out);
		break;
	case CBOR_TYPE_BYTESTRING:
		show_cbor_string(item, TOKEN_BIN, out);
		break;
	case CBOR_TYPE_STRING:
		show_cbor_string(item, TOKEN_STR, out);
		break;
	case CBOR_TYPE_ARRAY:
	case CBOR_TYPE_MAP:
		show_cbor_list((cbor_item_t *)(uintptr_t)item, out);
		break;
	case CBOR_TYPE_TAG:
		show_cbor_tagged(item, out);
		break;
	case CBOR_TYPE_FLOAT_CTRL:
		show_cbor_simple(item, out);
		break;
	}
}

/* Whether an input that we accept has a head that libcbor 0.8 does not support: tags 6 to
 * 20, or simple values other than false, true, null and undefined. Walks from head to
 * head. */
static bool has_unknown_head(struct slice in, size_t used)
{
	for (size_t i = 0; i < used;) {
		uint8_t c = in.p[i++];
		unsigned info = c & 0x1f;
		uint64_t n = info;

		if ((c >= 0xc6 && c <= 0xd4) || (c >= 0xe0 && c <= 0xf3) || c == 0xf8)
			return true;
		for (size_t k = 0; info >= 24 && info < 28 && k < 1u << (info - 24); k++)
			n = (k == 0 ? 0 : n << 8) | in.p[i++];
		if ((c >> 5 == 2 || c >> 5 == 3) && info < 28)
			i += n;
	}
	return false;
}

static int judge_cbor(const struct ours *ours, size_t *used_out, struct buf *shown_out)
{
	struct cbor_load_result result;

	if (ours->err != 0 && (announces_much(ours->in, 0x99, 0xb9, 2) ||
			       announces_much(ours->in, 0x9a, 0xba, 4) ||
			       announces_much(ours->in, 0x9b, 0xbb, 8)))
		return VERDICT_EXCLUDED + CBOR_ALLOCATION;
	cbor_item_t *item = cbor_load(ours->in.p, ours->in.len, &result);
	int verdict = VERDICT_ACCEPT;

	if (item == NULL) {
		if (ours->err == 0 && has_unknown_head(ours->in, ours->used))
			return VERDICT_EXCLUDED + CBOR_HEADS;
		return VERDICT_REFUSE;
	}
	*used_out = result.read;
	show_cbor(item, shown_out);
	if (ours->err == E_UTF8)
		verdict = VERDICT_EXCLUDED + CBOR_UTF8;
	else if (ours->err == E_DEPTH)
		verdict = VERDICT_EXCLUDED + CBOR_DEPTH;
	cbor_decref(&item);
	return verdict;
}

static const char *const cbor_seeds[] = {
	"86101a0e49c7afa070636f6d2e6d796170702e746f70696381a16269641904d2a1616101",
	"9f018202039f0405ffff",
	"bf6346756ef563416d7421ff",
	"5f42010243030405ff",
	"7f657374726561646d696e67ff",
	"83c249010000000000000000c34101c11a514b67b0",
	"84c074323031332d30332d32315432303a30343a30305ac1fb41d452d9ec200000c120c1c100",
	"83c25f4201024800000000000000ffffc248ffffffffffffffffc3487fffffffffffffff",
	"83c1fb3fb999999999999ac1f9b800c074313936392d31322d33315432333a35393a35395a",
	"85f93c00fa47c35000fb7e37e43c8800759cf97c00f97e00",
	"84d9d9f780d818456449455446c6003bffffffffffffffff",
	"86f4f5f6f7f0f8ff",
	"9b0000000000000002bb0000000000000001000158027879",
	"9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f00ffffffffffffffffffffffffffffffff",
	"a2182a1901001a00010000781861616161616161616161616161616161616161616161616161",
};

static const struct library libcbor = {
	"cbor",
	SERIALIZER_CBOR,
	cbor_seeds,
	ARRAY_LEN(cbor_seeds),
	"\x9f",
	"\xff",
	judge_cbor,
	{[CBOR_DEPTH] = "libcbor nests 2048 deep, we 64",
	 [CBOR_UTF8] = "libcbor does not look at UTF-8 in some versions",
	 [CBOR_HEADS] = "libcbor 0.8 does not know tags 6 to 20 and unassigned simple "
			"values",
	 [CBOR_ALLOCATION] = "refused, but libcbor would allocate what is announced "
			     "first"}};

static void test_cbor(void **state)
{
	(void)state;
	run(&libcbor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_msgpack),
		cmocka_unit_test(test_cbor),
	};

	return cmocka_run_group_tests_name("differential_binary", tests, NULL, NULL);
}
