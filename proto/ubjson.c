/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader and writer for UBJSON (Universal Binary JSON, Draft 12); see token.h. No state;
 * any thread.
 *
 * A typed container ('$') gives the type of its values once, so its values have no marker
 * of their own. Keys never have one. Such an item means nothing outside its container, so
 * token_skip does not return its bytes.
 */
#include "proto/binary_int.h"
#include "proto/decimal.h"

/* --- reading --- */

/* Does the container hold the key of a pair next? */
static bool is_key(const struct token_frame *f)
{
	return f->kind == TOKEN_MAP && f->seen % 2 == 0;
}

/* Is this an array whose head implies its items, so that they take no bytes? */
static bool is_implied(enum token_type kind, uint8_t marker)
{
	return kind == TOKEN_ARRAY && (marker == 'Z' || marker == 'T' || marker == 'F');
}

/* Skips no-ops. Does the innermost container end here? */
static bool at_end(struct token_reader *r)
{
	const struct token_frame *f = &r->open[r->depth];

	if (f->left == 0)
		return true;
	if (f->kind == TOKEN_MAP ? !is_key(f) : f->marker != 0)
		return false;
	while (r->pos < r->end && *r->pos == 'N')
		r->pos++;
	return f->left == TOKEN_COUNT_UNKNOWN && r->depth > 0 && r->pos < r->end &&
	       *r->pos == (f->kind == TOKEN_MAP ? '}' : ']');
}

static int read_byte(struct token_reader *r, uint8_t *out)
{
	if (r->pos == r->end)
		return E_TRUNCATED;
	*out = *r->pos++;
	return 0;
}

static int read_integer(struct token_reader *r, uint8_t marker, int64_t *out)
{
	unsigned width = marker == 'L' ? 8 : marker == 'l' ? 4 : marker == 'I' ? 2 : 1;
	unsigned unused = marker == 'U' ? 0 : 64 - 8 * width; /* bits above the sign */

	if (width > bytes_left(r->pos, r->end))
		return E_TRUNCATED;
	*out = (int64_t)(binary_number(r->pos, width) << unused) >> unused;
	r->pos += width;
	return 0;
}

/* Reads a length or count: any integer with its marker. */
static int read_length(struct token_reader *r, uint64_t *out)
{
	uint8_t marker;
	int64_t n;
	int err = read_byte(r, &marker);

	if (err == 0 && memchr("iUIlL", marker, 5) == NULL)
		err = E_SYNTAX;
	if (err == 0)
		err = read_integer(r, marker, &n);
	if (err != 0)
		return err;
	*out = (uint64_t)n;
	return n < 0 ? E_SYNTAX : 0;
}

/* Reads a length and the content that follows it. */
static int read_content(struct token_reader *r, enum token_type type, struct token *out)
{
	uint64_t len;
	int err = read_length(r, &len);

	out->type = type;
	if (err == 0)
		err = binary_content(&r->pos, r->end, len, out);
	return err == 0 ? 0 : token_tolerate(r->lenient, err);
}

/*
 * Reads a number in decimal, which must be as in JSON. Only an integer is converted: with
 * a fraction or an exponent, the nearest double might be another number.
 */
static int read_high_precision(struct token_reader *r, struct token *out)
{
	struct token_reader json;
	int err = read_content(r, TOKEN_OPAQUE, out);

	if (err != 0)
		return err;
	struct slice text = out->text;
	/* Refuse what is no number, and the white space that JSON allows. */
	if (text.len == 0 || (text.p[0] != '-' && (text.p[0] < '0' || text.p[0] > '9')) ||
	    text.p[text.len - 1] < '0' || text.p[text.len - 1] > '9')
		return E_SYNTAX;
	token_reader_init(&json, SERIALIZER_JSON, text);
	if (codec_json.next(&json, out) != 0 || json.pos != json.end)
		return E_SYNTAX;
	if (out->type == TOKEN_DOUBLE)
		out->type = TOKEN_OPAQUE;
	return 0;
}

/* Opens a container whose head was read. marker as in struct token_frame. */
static int open_container(struct token_reader *r, uint8_t marker, struct token *out)
{
	uint64_t items = out->count;
	bool implied = is_implied(out->type, marker);

	if (implied) {
		if (items > TOKEN_MAX_IMPLIED - r->implied)
			return E_LIMIT;
		r->implied += (unsigned)items;
	} else if (items != TOKEN_COUNT_UNKNOWN) {
		/* Bound the count, so that the sum in frame_push does not overflow. */
		if (items > bytes_left(r->pos, r->end))
			return E_TRUNCATED;
		items *= out->type == TOKEN_MAP ? 2 : 1;
	}
	int err = frame_push(r, out->type, implied ? 0 : items);
	if (err != 0)
		return err;
	r->open[r->depth].left = items;
	r->open[r->depth].marker = marker;
	return 0;
}

/* Reads the rest of a container's head, and opens it; or reads a binary. */
static int read_container(struct token_reader *r, enum token_type type, struct token *out)
{
	static const char types[] = "ZTFiUIlLdDHCS[{";
	uint8_t marker = 0, counted = 0;
	int err = 0;

	out->type = type;
	out->count = TOKEN_COUNT_UNKNOWN;
	if (r->pos < r->end && *r->pos == '$') {
		r->pos++;
		err = read_byte(r, &marker);
		if (err == 0 && memchr(types, marker, sizeof(types) - 1) == NULL)
			err = E_SYNTAX;
		if (err == 0)
			err = read_byte(r, &counted);
		if (err == 0 && counted != '#')
			err = E_SYNTAX;
		/* Other implementations read and write binaries in this form. */
		if (err == 0 && type == TOKEN_ARRAY && marker == 'U')
			return read_content(r, TOKEN_BIN, out);
	} else if (r->pos < r->end && *r->pos == '#') {
		counted = *r->pos++;
	}
	if (err == 0 && counted != 0)
		err = read_length(r, &out->count);
	return err != 0 ? err : open_container(r, marker, out);
}

static int read_float(struct token_reader *r, unsigned width, struct token *out)
{
	if (width > bytes_left(r->pos, r->end))
		return E_TRUNCATED;
	out->type = TOKEN_DOUBLE;
	out->u = binary_number(r->pos, width);
	if (width == 4)
		out->d = float_bits(out->u);
	r->pos += width;
	return 0;
}

static int read_marked(struct token_reader *r, uint8_t marker, struct token *out)
{
	int err;

	switch (marker) {
	case 'Z':
		out->type = TOKEN_NULL;
		return 0;
	case 'T':
	case 'F':
		out->type = TOKEN_BOOL;
		out->b = marker == 'T';
		return 0;
	case 'i':
	case 'U':
	case 'I':
	case 'l':
	case 'L':
		err = read_integer(r, marker, &out->i);
		out->type = err == 0 && out->i < 0 ? TOKEN_NEGINT : TOKEN_UINT;
		return err;
	case 'd':
		return read_float(r, 4, out);
	case 'D':
		return read_float(r, 8, out);
	case 'H':
		return read_high_precision(r, out);
	case 'C':
		out->type = TOKEN_STR;
		err = binary_content(&r->pos, r->end, 1, out);
		return err == 0 ? 0 : token_tolerate(r->lenient, err);
	case 'S':
		return read_content(r, TOKEN_STR, out);
	case '[':
		return read_container(r, TOKEN_ARRAY, out);
	case '{':
		return read_container(r, TOKEN_MAP, out);
	default:
		return E_SYNTAX;
	}
}

static int ubjson_next(struct token_reader *r, struct token *out)
{
	struct token_frame *f = &r->open[r->depth];
	uint8_t marker = f->marker;
	bool key = is_key(f);
	int err = 0;

	out->encoded = false;
	out->tagged = false;
	if (at_end(r)) {
		r->pos += f->left != 0;
		r->depth--;
		out->type = TOKEN_END;
		return 0;
	}
	if (!key && marker == 0)
		err = read_byte(r, &marker);
	f->seen++;
	if (f->left != TOKEN_COUNT_UNKNOWN) {
		f->left--;
		r->outstanding -= !is_implied((enum token_type)f->kind, f->marker);
	}
	if (err != 0)
		return err;
	return key ? read_content(r, TOKEN_STR, out) : read_marked(r, marker, out);
}

static int ubjson_skip(struct token_reader *r, struct slice *item_out)
{
	if (at_end(r))
		return E_TYPE;
	const unsigned depth = r->depth;
	const struct token_frame *f = &r->open[depth];
	const uint8_t *start = r->pos;
	struct token t;

	if (item_out != NULL && (f->marker != 0 || is_key(f)))
		return E_UNSUPPORTED;
	do {
		const uint8_t *from = r->pos;
		bool typed = r->open[r->depth].marker != 0;
		int err = ubjson_next(r, &t);

		if (err == E_DEPTH && !typed) {
			err = token_pass_deep(SERIALIZER_UBJSON, &codec_ubjson,
					      r->lenient, &from, r->end);
			r->pos = from;
		}
		if (err != 0)
			return err;
		struct token_frame *inner = &r->open[r->depth];
		/* There is nothing to check in implied items. */
		if (r->depth > depth &&
		    is_implied((enum token_type)inner->kind, inner->marker))
			inner->left = 0;
	} while (r->depth > depth);
	if (item_out != NULL)
		*item_out = slice_of(start, bytes_left(start, r->pos));
	return 0;
}

static enum token_type ubjson_container(struct slice item)
{
	if (item.p[0] == '{')
		return TOKEN_MAP;
	/* A binary is no array. */
	return item.p[0] == '[' && memcmp(item.p, "[$U", min_size(item.len, 3)) != 0
		       ? TOKEN_ARRAY
		       : TOKEN_OPAQUE;
}

/* --- writing --- */

/* Writes an integer from 0 to INT64_MAX in the shortest form. */
static void put_uint(struct buf *out, uint64_t v)
{
	uint8_t bytes[9];

	if (v <= UINT8_MAX) {
		bytes[0] = 'U';
		bytes[1] = (uint8_t)v;
		buf_put(out, bytes, 2);
	} else if (v <= INT16_MAX) {
		bytes[0] = 'I';
		put_be16(bytes + 1, (uint16_t)v);
		buf_put(out, bytes, 3);
	} else if (v <= INT32_MAX) {
		bytes[0] = 'l';
		put_be32(bytes + 1, (uint32_t)v);
		buf_put(out, bytes, 5);
	} else {
		bytes[0] = 'L';
		put_be64(bytes + 1, v);
		buf_put(out, bytes, 9);
	}
}

static void put_high_precision(struct buf *out, struct slice digits)
{
	buf_put_u8(out, 'H');
	put_uint(out, digits.len);
	buf_put_slice(out, digits);
}

/* Writes an integer above INT64_MAX, for which no integer type has room. */
static void put_long(struct buf *out, uint64_t v)
{
	char digits[20], *end = digits + sizeof(digits);
	char *from = decimal_digits(end, v);

	put_high_precision(out, slice_of(from, (size_t)(end - from)));
}

static void put_negative(struct buf *out, int64_t v)
{
	uint8_t bytes[9];

	if (v >= INT8_MIN) {
		bytes[0] = 'i';
		bytes[1] = (uint8_t)v;
		buf_put(out, bytes, 2);
	} else if (v >= INT16_MIN) {
		bytes[0] = 'I';
		put_be16(bytes + 1, (uint16_t)v);
		buf_put(out, bytes, 3);
	} else if (v >= INT32_MIN) {
		bytes[0] = 'l';
		put_be32(bytes + 1, (uint32_t)v);
		buf_put(out, bytes, 5);
	} else {
		bytes[0] = 'L';
		put_be64(bytes + 1, (uint64_t)v);
		buf_put(out, bytes, 9);
	}
}

/* Is the item that token.c has just counted a key? */
static bool puts_key(const struct token_writer *w)
{
	const struct token_writer_frame *f = &w->open[w->depth];

	return f->kind == TOKEN_MAP && f->items % 2 == 1;
}

/*
 * NaN and infinities are written as doubles, although the specification has null in their
 * place: readers get the value that was sent.
 */
static void ubjson_put(struct token_writer *w, enum token_type type, uint64_t bits)
{
	struct buf *out = w->out;
	uint8_t bytes[9] = {'D'};

	if (puts_key(w)) {
		buf_fail(out, E_UNSUPPORTED);
		return;
	}
	switch (type) {
	case TOKEN_NULL:
		buf_put_u8(out, 'Z');
		break;
	case TOKEN_BOOL:
		buf_put_u8(out, bits != 0 ? 'T' : 'F');
		break;
	case TOKEN_UINT:
		if (bits <= INT64_MAX)
			put_uint(out, bits);
		else
			put_long(out, bits);
		break;
	case TOKEN_NEGINT:
		put_negative(out, (int64_t)bits);
		break;
	case TOKEN_DOUBLE:
		put_be64(bytes + 1, bits);
		buf_put(out, bytes, sizeof(bytes));
		break;
	case TOKEN_ARRAY:
		buf_put_u8(out, '[');
		break;
	case TOKEN_MAP:
		buf_put_u8(out, '{');
		break;
	case TOKEN_STR:
	case TOKEN_BIN:
	case TOKEN_UNDEFINED:
	case TOKEN_END:
	case TOKEN_OPAQUE:
	case TOKEN_TAG:
	case TOKEN_BIGINT:
	case TOKEN_DATE:
		/* Other functions write strings and integers beyond 64 bits; the rest is
		 * never written. */
		break;
	}
}

static void ubjson_put_content(struct token_writer *w, enum token_type type,
			       struct slice s)
{
	bool key = puts_key(w);

	if (key && type != TOKEN_STR) {
		buf_fail(w->out, E_UNSUPPORTED);
		return;
	}
	if (!key)
		buf_put_str(w->out, type == TOKEN_STR ? "S" : "[$U#");
	put_uint(w->out, s.len);
	buf_put_slice(w->out, s);
}

static void ubjson_put_special(struct token_writer *w, enum token_type type,
			       struct slice s)
{
	/* UBJSON has no dates. */
	if (type == TOKEN_DATE || puts_key(w))
		buf_fail(w->out, E_UNSUPPORTED);
	else
		put_high_precision(w->out, s);
}

const struct token_codec codec_ubjson = {
	.next = ubjson_next,
	.skip = ubjson_skip,
	.container = ubjson_container,
	.put = ubjson_put,
	.put_content = ubjson_put_content,
	.put_special = ubjson_put_special,
};
