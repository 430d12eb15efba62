/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader and writer for CBOR (RFC 8949); see token.h. No state; any thread.
 *
 * The reader skips tags, but counts each as a nesting level: the router forwards payloads
 * unchanged, and the decoders of some receivers count tags.
 */
#include "proto/bigint.h"
#include "proto/binary_int.h"
#include "proto/date.h"

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

	TAG_DATE_TEXT = 0,
	TAG_DATE_SECONDS = 1,
	TAG_BIGNUM = 2,
	TAG_NEGATIVE_BIGNUM = 3,
	TAG_OCTETS =
		64, /* an array of octets, which wampy.js sends for bytes (RFC 8746) */
	TAG_SELF_DESCRIBED = 55799, /* says only that the item is CBOR */
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
		out->type = TOKEN_NEGINT;
		if (UNLIKELY(out->u > INT64_MAX)) {
			/* Only the widest form can express it. */
			out->type = TOKEN_BIGINT;
			out->text = slice_of(*pp - 9, 9);
			out->encoded = true;
		}
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

/* Joins the chunks of a string that read_chunks has checked. */
static int join_chunks(const struct token *t, struct buf *scratch, struct slice *out)
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

/*
 * Gets the magnitude of a bignum, without leading zeros. False if it is longer than `to`.
 */
static bool read_magnitude(const struct token *bin, uint8_t to[BIGINT_BYTES], size_t *len)
{
	const uint8_t *p = bin->text.p, *end = p + bin->text.len;

	for (*len = 0; p < end;) {
		uint64_t n = bytes_left(p, end);
		uint8_t code;
		int err = 0;

		/* a chunk */
		if (bin->encoded) {
			code = *p++;
			err = read_argument(&p, end, code, &n);
		}
		ASSERT(err == 0 && n <= bytes_left(p, end));
		for (; n > 0; n--, p++) {
			if (*len == 0 && *p == 0)
				continue;
			if (*len == BIGINT_BYTES)
				return false;
			to[(*len)++] = *p;
		}
	}
	return true;
}

/*
 * Turns the byte string with tag 2 or 3 into an integer if it fits in 64 bits, else into
 * a BIGINT with this text.
 */
static void convert_bignum(bool negative, struct slice text, struct token *out)
{
	uint8_t magnitude[BIGINT_BYTES];
	uint64_t n = 0;
	size_t len;

	bool fits = read_magnitude(out, magnitude, &len) && len <= sizeof(n);
	for (size_t i = 0; fits && i < len; i++)
		n = n << 8 | magnitude[i];
	if (fits && !(negative && n > INT64_MAX)) {
		out->type = negative ? TOKEN_NEGINT : TOKEN_UINT;
		out->u = negative ? ~n : n;
		out->encoded = false;
		return;
	}
	out->type = TOKEN_BIGINT;
	out->text = text;
	out->encoded = true;
}

static bool tag_is_date(uint64_t tag, enum token_type type)
{
	return tag == TAG_DATE_TEXT ? type == TOKEN_STR
				    : tag == TAG_DATE_SECONDS && (type == TOKEN_UINT ||
								  type == TOKEN_NEGINT ||
								  type == TOKEN_DOUBLE);
}

/* Reads the item behind a tag, which begins at `from`. There may be further tags. */
static NOINLINE int read_tagged(struct token_reader *r, const uint8_t *from,
				struct token *out)
{
	uint64_t tag, outermost = TAG_SELF_DESCRIBED;

	do {
		const uint8_t *next = r->pos;

		tag = out->u;
		int err = binary_next(r, out, read_cbor_item);
		if (err != 0)
			return err;
		if (out->type == TOKEN_TAG) {
			from = next;
			if (outermost == TAG_SELF_DESCRIBED)
				outermost = tag;
		}
	} while (out->type == TOKEN_TAG);
	struct slice item = slice_of(from, bytes_left(from, r->pos));
	if (out->type == TOKEN_BIN && (tag == TAG_BIGNUM || tag == TAG_NEGATIVE_BIGNUM)) {
		convert_bignum(tag == TAG_NEGATIVE_BIGNUM, item, out);
	} else if (tag_is_date(tag, out->type)) {
		out->type = TOKEN_DATE;
		out->text = item;
		out->encoded = true;
	} else if (outermost == TAG_SELF_DESCRIBED &&
		   !(tag == TAG_OCTETS && out->type == TOKEN_BIN)) {
		outermost = tag;
	}
	out->tagged = outermost != TAG_SELF_DESCRIBED;
	out->tag = outermost;
	return 0;
}

static int cbor_next(struct token_reader *r, struct token *out)
{
	const uint8_t *from = r->pos;
	int err = binary_next(r, out, read_cbor_item);

	if (UNLIKELY(err == 0 && out->type == TOKEN_TAG))
		return read_tagged(r, from, out);
	return err;
}

static int date_text(uint64_t tag, const struct token *t, struct buf *scratch,
		     struct slice *out)
{
	struct slice text = t->text;
	uint8_t bytes[DATE_BYTES];
	struct date d = {0, 0};
	int err = 0;

	/* no chunks: the scratch buffer may have no memory to point to */
	if (tag == TAG_DATE_TEXT && t->encoded && text.len > 0)
		err = join_chunks(t, scratch, &text);
	if (err == 0 && tag == TAG_DATE_TEXT)
		err = date_from_text(text, &d);
	else if (t->type == TOKEN_DOUBLE)
		err = date_from_double(t->d, &d);
	else if (t->type == TOKEN_UINT && t->u > INT64_MAX)
		err = E_UNSUPPORTED;
	else
		d.seconds = t->i;
	if (err != 0)
		return err;
	date_pack(&d, bytes);
	buf_put(scratch, bytes, sizeof(bytes));
	*out = slice_of(scratch->data + scratch->len - sizeof(bytes), sizeof(bytes));
	return scratch->err;
}

static int bigint_text(bool negative, struct slice magnitude, struct buf *scratch,
		       struct slice *out)
{
	uint8_t *to = buf_reserve(scratch, BIGINT_DECIMAL);

	if (to == NULL)
		return scratch->err;
	*out = slice_of(to, bigint_to_decimal(magnitude, negative, (char *)to));
	buf_commit(scratch, out->len);
	return 0;
}

static int cbor_text(const struct token *t, struct buf *scratch, struct slice *out)
{
	const uint8_t *p = t->text.p, *end = p + t->text.len;
	struct token tag = {.type = TOKEN_NULL}, item = {.type = TOKEN_NULL};
	uint8_t magnitude[BIGINT_BYTES];
	size_t len;

	if (t->type == TOKEN_STR || t->type == TOKEN_BIN)
		return join_chunks(t, scratch, out);
	/* The reader has checked these items. */
	int err = read_cbor_item(&p, end, &tag);
	ASSERT(err == 0);
	if (tag.type != TOKEN_TAG)
		return bigint_text(true, slice_from(t->text, 1), scratch, out);
	err = read_cbor_item(&p, end, &item);
	ASSERT(err == 0);
	if (t->type == TOKEN_DATE)
		return date_text(tag.u, &item, scratch, out);
	if (!read_magnitude(&item, magnitude, &len))
		return E_UNSUPPORTED;
	return bigint_text(tag.u == TAG_NEGATIVE_BIGNUM, slice_of(magnitude, len),
			   scratch, out);
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

/*
 * Writes a date: whole seconds with tag 1; others as text with tag 0, because a double
 * cannot express most fractions exactly.
 */
static void put_date(struct token_writer *w, struct slice s)
{
	char text[DATE_TEXT];
	struct date d;
	size_t len;

	date_unpack(s.p, &d);
	if (d.ns == 0) {
		buf_put_u8(w->out, MAJOR_TAG << 5 | TAG_DATE_SECONDS);
		cbor_put(w, d.seconds < 0 ? TOKEN_NEGINT : TOKEN_UINT,
			 (uint64_t)d.seconds);
		return;
	}
	len = date_to_text(&d, text);
	if (len == 0)
		buf_fail(w->out, E_UNSUPPORTED);
	buf_put_u8(w->out, MAJOR_TAG << 5 | TAG_DATE_TEXT);
	cbor_put_content(w, TOKEN_STR, slice_of(text, len));
}

static void put_bigint(struct token_writer *w, struct slice s)
{
	uint8_t magnitude[BIGINT_BYTES];
	size_t len = bigint_from_decimal(s, magnitude);
	bool negative = s.p[0] == '-';

	if (len == 0) {
		buf_fail(w->out, E_UNSUPPORTED);
	} else if (len <= 8) {
		/* below -2^63: the reader accepts it, but NEGINT has no room for it */
		buf_put_u8(w->out, MAJOR_NEGINT << 5 | INFO_64);
		buf_put(w->out, magnitude, len);
	} else {
		buf_put_u8(w->out, (uint8_t)(MAJOR_TAG << 5 | (TAG_BIGNUM + negative)));
		cbor_put_content(w, TOKEN_BIN, slice_of(magnitude, len));
	}
}

static void cbor_put_special(struct token_writer *w, enum token_type type, struct slice s)
{
	if (type == TOKEN_DATE)
		put_date(w, s);
	else
		put_bigint(w, s);
}

const struct token_codec codec_cbor = {
	.next = cbor_next,
	.skip = cbor_skip,
	.text = cbor_text,
	.container = cbor_container,
	.put = cbor_put,
	.put_content = cbor_put_content,
	.put_special = cbor_put_special,
};
