/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader and writer for CBOR (RFC 8949); see token.h. No state; any thread.
 *
 * The reader skips tags, but counts each as a nesting level: the router forwards payloads
 * unchanged, and the decoders of some receivers count tags.
 */
#include "proto/binary_int.h"

#include <math.h>

/* The major type: the three high bits of the first byte. */
enum major {
	MAJOR_UINT = 0,
	MAJOR_NEGINT = 1,
	MAJOR_BIN = 2,
	MAJOR_STR = 3,
	MAJOR_ARRAY = 4,
	MAJOR_MAP = 5,
	MAJOR_TAG = 6,
	MAJOR_SIMPLE = 7, /* simple values, floats, break */
};

enum {
	INFO_8 = 24, /* INFO_8 to INFO_64: a number of 1, 2, 4 or 8 bytes follows */
	INFO_64 = 27,
	INFO_INDEFINITE = 31,

	SIMPLE_FALSE = 0xf4,
	SIMPLE_TRUE = 0xf5,
	SIMPLE_NULL = 0xf6,
	SIMPLE_UNDEFINED = 0xf7,
	SIMPLE_8 = 0xf8, /* the next byte is the simple value */
	FLOAT_16 = 0xf9,
	FLOAT_32 = 0xfa,
	FLOAT_64 = 0xfb,
	BREAK = 0xff,

	TAG_BIGNUM = 2,
	TAG_NEGATIVE_BIGNUM = 3,
};

/* --- reading --- */

/* Reads the number in the first byte, or in the bytes that follow it. */
static inline int read_argument(const uint8_t **pp, const uint8_t *end, uint8_t code,
				uint64_t *out)
{
	unsigned info = code & 0x1f;

	if (info < INFO_8) {
		*out = info;
		return 0;
	}
	if (info > INFO_64)
		return E_SYNTAX;
	size_t width = (size_t)1 << (info - INFO_8);
	if (width > bytes_left(*pp, end))
		return E_TRUNCATED;
	*out = binary_number(*pp, (unsigned)width);
	*pp += width;
	return 0;
}

/*
 * Reads a string of indefinite length. It consists of chunks of definite length, each of
 * which must be valid UTF-8.
 */
static int read_chunks(const uint8_t **pp, const uint8_t *end, enum major major,
		       struct token *out)
{
	const uint8_t *from = *pp;
	struct token chunk = {.type = out->type};
	uint64_t len;
	int value_err = 0;

	for (;;) {
		if (*pp == end)
			return E_TRUNCATED;
		uint8_t code = *(*pp)++;
		if (code == BREAK)
			break;
		if (code >> 5 != major)
			return E_SYNTAX;
		int err = read_argument(pp, end, code, &len);
		if (err == 0)
			err = binary_content(pp, end, len, &chunk);
		if (err == E_UTF8)
			value_err = err;
		else if (err != 0)
			return err;
	}
	out->text = slice_of(from, bytes_left(from, *pp) - 1);
	out->encoded = true;
	return value_err;
}

static int read_indefinite(const uint8_t **pp, const uint8_t *end, enum major major,
			   struct token *out)
{
	out->count = TOKEN_COUNT_UNKNOWN;
	if (major == MAJOR_STR || major == MAJOR_BIN) {
		out->type = major == MAJOR_STR ? TOKEN_STR : TOKEN_BIN;
		return read_chunks(pp, end, major, out);
	}
	out->type = major == MAJOR_MAP     ? TOKEN_MAP
		    : major == MAJOR_ARRAY ? TOKEN_ARRAY
					   : TOKEN_END; /* a break */
	return major >= MAJOR_ARRAY && major != MAJOR_TAG ? 0 : E_SYNTAX;
}

/* RFC 8949, appendix D. */
static inline double half_to_double(uint64_t half)
{
	unsigned exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
	double d = mantissa * 0x1p-24;

	if (exponent == 31)
		d = mantissa == 0 ? INFINITY : NAN;
	else if (exponent > 0)
		d = (mantissa + 1024) * 0x1p-25 * (1u << exponent);
	return (half & 0x8000) != 0 ? -d : d;
}

static inline int read_simple(uint8_t code, struct token *out)
{
	switch (code) {
	case SIMPLE_FALSE:
	case SIMPLE_TRUE:
		out->type = TOKEN_BOOL;
		out->b = code == SIMPLE_TRUE;
		return 0;
	case SIMPLE_NULL:
		out->type = TOKEN_NULL;
		return 0;
	case SIMPLE_UNDEFINED:
		out->type = TOKEN_UNDEFINED;
		return 0;
	case FLOAT_16:
		out->d = half_to_double(out->u);
		break;
	case FLOAT_32:
		out->d = float_bits(out->u);
		break;
	case FLOAT_64:
		/* out->u already has the bits of the double. */
		break;
	default:
		out->type = TOKEN_OPAQUE;
		/* Section 3.3: values below 32 must not use the two-byte form. */
		return code == SIMPLE_8 && out->u < 32 ? E_SYNTAX : 0;
	}
	out->type = TOKEN_DOUBLE;
	return 0;
}

static ALWAYS_INLINE int read_cbor_item(const uint8_t **pp, const uint8_t *end,
					struct token *out)
{
	if (*pp == end)
		return E_TRUNCATED;
	uint8_t code = *(*pp)++;
	enum major major = (enum major)(code >> 5);
	if ((code & 0x1f) == INFO_INDEFINITE) {
		/* A copy, so that *pp can stay in a register. */
		const uint8_t *p = *pp;
		int err = read_indefinite(&p, end, major, out);

		*pp = p;
		return err;
	}
	int err = read_argument(pp, end, code, &out->u);
	if (err != 0)
		return err;
	switch (major) {
	case MAJOR_UINT:
		out->type = TOKEN_UINT;
		break;
	case MAJOR_NEGINT:
		out->type = out->u <= INT64_MAX ? TOKEN_NEGINT : TOKEN_OPAQUE;
		/* CBOR encodes the value -1 - u; in two's complement this is ~u. */
		out->u = ~out->u;
		break;
	case MAJOR_BIN:
		out->type = TOKEN_BIN;
		return binary_content(pp, end, out->u, out);
	case MAJOR_STR:
		out->type = TOKEN_STR;
		return binary_content(pp, end, out->u, out);
	case MAJOR_ARRAY:
	case MAJOR_MAP:
		out->type = major == MAJOR_MAP ? TOKEN_MAP : TOKEN_ARRAY;
		/* Bound the count, so that sums and doubled counts do not overflow. */
		return out->count > bytes_left(*pp, end) ? E_TRUNCATED : 0;
	case MAJOR_TAG:
		out->type = TOKEN_TAG;
		break;
	case MAJOR_SIMPLE:
		return read_simple(code, out);
	}
	return 0;
}

static int cbor_skip(struct token_reader *r, struct slice *item_out)
{
	/* A break that ends the container is not an item. */
	if (r->pos < r->end && *r->pos == BREAK && break_fits(r))
		return E_TYPE;
	return binary_skip(r, item_out, read_cbor_item, SERIALIZER_CBOR);
}

static int cbor_next(struct token_reader *r, struct token *out)
{
	bool bignum = false;

	for (;;) {
		int err = binary_next(r, out, read_cbor_item);
		if (err != 0)
			return err;
		if (out->type != TOKEN_TAG)
			break;
		bignum = out->u == TAG_BIGNUM || out->u == TAG_NEGATIVE_BIGNUM;
	}
	if (bignum && out->type == TOKEN_BIN)
		out->type = TOKEN_OPAQUE;
	return 0;
}

/* Joins the chunks of a string that read_chunks has checked. */
static int cbor_text(const struct token *t, struct buf *scratch, struct slice *out)
{
	const uint8_t *p = t->text.p, *end = p + t->text.len;
	uint8_t *to = buf_reserve(scratch, t->text.len);

	if (to == NULL)
		return scratch->err;
	uint8_t *from = to;
	while (p < end) {
		uint8_t code = *p++;
		uint64_t len = 0;
		int err = read_argument(&p, end, code, &len);

		ASSERT(err == 0 && len <= bytes_left(p, end));
		memcpy(to, p, len);
		to += len;
		p += len;
	}
	*out = slice_of(from, bytes_left(from, to));
	buf_commit(scratch, out->len);
	return 0;
}

static enum token_type cbor_container(struct slice item)
{
	const uint8_t *p = item.p, *end = p + item.len;
	uint64_t n;

	while (p < end) {
		uint8_t code = *p++;

		if (code >> 5 == MAJOR_ARRAY)
			return TOKEN_ARRAY;
		if (code >> 5 == MAJOR_MAP)
			return TOKEN_MAP;
		if (code >> 5 != MAJOR_TAG || read_argument(&p, end, code, &n) != 0)
			break;
	}
	return TOKEN_OPAQUE;
}

/* --- writing --- */

/* Writes the shortest form, except that a double is never shortened. */
static void cbor_put(struct token_writer *w, enum token_type type, uint64_t bits)
{
	/* The first byte of each type. The number, or its width, is added to it. */
	static const uint8_t codes[] = {
		[TOKEN_NULL] = SIMPLE_NULL, [TOKEN_BOOL] = SIMPLE_FALSE,
		[TOKEN_UINT] = 0x00,        [TOKEN_NEGINT] = 0x20,
		[TOKEN_DOUBLE] = 0xe0,      [TOKEN_STR] = 0x60,
		[TOKEN_BIN] = 0x40,         [TOKEN_ARRAY] = 0x80,
		[TOKEN_MAP] = 0xa0,
	};
	uint64_t n = type == TOKEN_NEGINT ? ~bits : bits;
	struct buf *out = w->out;
	uint8_t head[9];

	head[0] = codes[type];
	if (type == TOKEN_DOUBLE || n > UINT32_MAX) {
		head[0] |= INFO_64;
		put_be64(head + 1, n);
		buf_put(out, head, 9);
	} else if (n < INFO_8) {
		buf_put_u8(out, (uint8_t)(head[0] + n));
	} else if (n <= UINT8_MAX) {
		head[0] |= INFO_8;
		head[1] = (uint8_t)n;
		buf_put(out, head, 2);
	} else if (n <= UINT16_MAX) {
		head[0] |= INFO_8 + 1;
		put_be16(head + 1, (uint16_t)n);
		buf_put(out, head, 3);
	} else {
		head[0] |= INFO_8 + 2;
		put_be32(head + 1, (uint32_t)n);
		buf_put(out, head, 5);
	}
}

static void cbor_put_content(struct token_writer *w, enum token_type type, struct slice s)
{
	cbor_put(w, type, s.len);
	buf_put_slice(w->out, s);
}

const struct token_codec codec_cbor = {
	.next = cbor_next,
	.skip = cbor_skip,
	.text = cbor_text,
	.container = cbor_container,
	.put = cbor_put,
	.put_content = cbor_put_content,
};
