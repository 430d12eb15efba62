/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR (RFC 8949), reader and writer. See token.h. Pure code; any thread.
 *
 * Tags are passed over, but each counts as a level of nesting, since it is one in the
 * decoders of those who get the bytes passed on.
 */
#include "proto/token_int.h"

#include <math.h>

enum major {
	MAJOR_UINT = 0,
	MAJOR_NEGINT = 1,
	MAJOR_BIN = 2,
	MAJOR_STR = 3,
	MAJOR_ARRAY = 4,
	MAJOR_MAP = 5,
	MAJOR_TAG = 6,
	MAJOR_SIMPLE = 7,
};

enum {
	INFO_8 = 24, /* from here to INFO_64 a number of 1, 2, 4 or 8 bytes follows */
	INFO_64 = 27,
	INFO_INDEFINITE = 31,

	SIMPLE_FALSE = 0xf4,
	SIMPLE_TRUE = 0xf5,
	SIMPLE_NULL = 0xf6,
	SIMPLE_UNDEFINED = 0xf7,
	SIMPLE_8 = 0xf8, /* a simple value in the byte that follows */
	FLOAT_16 = 0xf9,
	FLOAT_32 = 0xfa,
	FLOAT_64 = 0xfb,
	BREAK = 0xff,

	TAG_BIGNUM = 2,
	TAG_NEGATIVE_BIGNUM = 3,
};

/* --- reading --- */

/* The number in or behind the first byte. */
static inline int read_number(const uint8_t **pp, const uint8_t *end, uint8_t code,
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
	switch (info) {
	case INFO_8:
		*out = **pp;
		break;
	case INFO_8 + 1:
		*out = get_be16(*pp);
		break;
	case INFO_8 + 2:
		*out = get_be32(*pp);
		break;
	default:
		*out = get_be64(*pp);
	}
	*pp += width;
	return 0;
}

/* A string of indefinite length: chunks of definite length, each valid by itself. */
static int read_chunks(const uint8_t **pp, const uint8_t *end, struct binary_item *it)
{
	const uint8_t *from = *pp;
	struct binary_item chunk = {.type = it->type};
	uint64_t len;
	int bad = 0;

	for (;;) {
		if (*pp == end)
			return E_TRUNCATED;
		uint8_t code = *(*pp)++;
		if (code == BREAK)
			break;
		if (code >> 5 != it->code >> 5)
			return E_SYNTAX;
		int err = read_number(pp, end, code, &len);
		if (err == 0)
			err = binary_content(pp, end, len, &chunk);
		if (err == E_UTF8)
			bad = err;
		else if (err != 0)
			return err;
	}
	it->content = slice_of(from, bytes_left(from, *pp) - 1);
	it->encoded = true;
	return bad;
}

static int read_indefinite(const uint8_t **pp, const uint8_t *end, struct binary_item *it)
{
	it->n = TOKEN_COUNT_UNKNOWN;
	switch ((enum major)(it->code >> 5)) {
	case MAJOR_BIN:
		it->type = TOKEN_BIN;
		return read_chunks(pp, end, it);
	case MAJOR_STR:
		it->type = TOKEN_STR;
		return read_chunks(pp, end, it);
	case MAJOR_ARRAY:
		it->type = TOKEN_ARRAY;
		return 0;
	case MAJOR_MAP:
		it->type = TOKEN_MAP;
		return 0;
	case MAJOR_SIMPLE:
		it->type = TOKEN_END;
		return 0;
	case MAJOR_UINT:
	case MAJOR_NEGINT:
	case MAJOR_TAG:
		break;
	}
	return E_SYNTAX;
}

static inline int read_simple(struct binary_item *it)
{
	switch (it->code) {
	case SIMPLE_FALSE:
	case SIMPLE_TRUE:
		it->type = TOKEN_BOOL;
		return 0;
	case SIMPLE_NULL:
		it->type = TOKEN_NULL;
		return 0;
	case SIMPLE_UNDEFINED:
		it->type = TOKEN_UNDEFINED;
		return 0;
	case FLOAT_16:
	case FLOAT_32:
	case FLOAT_64:
		it->type = TOKEN_DOUBLE;
		return 0;
	default:
		it->type = TOKEN_OPAQUE;
		/* section 3.3: those below 32 have no two-byte form */
		return it->code == SIMPLE_8 && it->n < 32 ? E_SYNTAX : 0;
	}
}

static ALWAYS_INLINE int read_item(const uint8_t **pp, const uint8_t *end,
				   struct binary_item *it)
{
	if (*pp == end)
		return E_TRUNCATED;
	it->code = *(*pp)++;
	it->encoded = false;
	if ((it->code & 0x1f) == INFO_INDEFINITE)
		return read_indefinite(pp, end, it);
	int err = read_number(pp, end, it->code, &it->n);
	if (err != 0)
		return err;
	switch ((enum major)(it->code >> 5)) {
	case MAJOR_UINT:
		it->type = TOKEN_UINT;
		break;
	case MAJOR_NEGINT:
		it->type = it->n <= INT64_MAX ? TOKEN_NEGINT : TOKEN_OPAQUE;
		break;
	case MAJOR_BIN:
		it->type = TOKEN_BIN;
		return binary_content(pp, end, it->n, it);
	case MAJOR_STR:
		it->type = TOKEN_STR;
		return binary_content(pp, end, it->n, it);
	case MAJOR_ARRAY:
	case MAJOR_MAP:
		it->type = it->code >> 5 == MAJOR_MAP ? TOKEN_MAP : TOKEN_ARRAY;
		/* so that counts can be doubled, and added up, without overflow */
		return it->n > bytes_left(*pp, end) ? E_TRUNCATED : 0;
	case MAJOR_TAG:
		it->type = TOKEN_OPAQUE;
		break;
	case MAJOR_SIMPLE:
		return read_simple(it);
	}
	return 0;
}

static inline bool is_tag(const struct binary_item *it)
{
	return it->code >> 5 == MAJOR_TAG;
}

/* An item is complete, and with it the tags before it. */
static inline void pop_tags(struct token_reader *r)
{
	while (r->open[r->depth].kind == TOKEN_OPAQUE)
		r->depth--;
}

/* May a break stand here? */
static inline bool break_fits(const struct token_reader *r)
{
	const struct token_frame *f = &r->open[r->depth];

	return r->depth > 0 && f->left == TOKEN_COUNT_UNKNOWN &&
	       (f->kind == TOKEN_ARRAY || (f->kind == TOKEN_MAP && f->seen % 2 == 0));
}

/* The next item, tag or TOKEN_END, and its place among the open containers. */
static inline int step(struct token_reader *r, struct binary_item *it)
{
	struct token_frame *f = &r->open[r->depth];
	int err = 0;

	it->type = TOKEN_END;
	it->code = BREAK;
	it->encoded = false;
	if (f->left != 0)
		err = read_item(&r->pos, r->end, it);
	if (UNLIKELY(err != 0))
		err = token_forgive(r->lenient, err);
	if (err != 0)
		return err;
	if (it->type == TOKEN_END) {
		if (f->left != 0 && !break_fits(r))
			return E_SYNTAX;
		r->depth--;
		pop_tags(r);
		return 0;
	}
	frame_count(r, f);
	if (it->type == TOKEN_ARRAY)
		return frame_push(r, TOKEN_ARRAY, it->n);
	if (it->type == TOKEN_MAP)
		return frame_push(r, TOKEN_MAP,
				  it->n == TOKEN_COUNT_UNKNOWN ? it->n : 2 * it->n);
	if (is_tag(it))
		return frame_push(r, TOKEN_OPAQUE, 1);
	pop_tags(r);
	return 0;
}

/* The containers, and tags, that cbor_skip has open. */
struct nesting {
	uint64_t left;                   /* items left in the innermost, see below */
	uint64_t maps;                   /* one bit each, innermost lowest: a map? */
	uint64_t outstanding;            /* as in struct token_reader */
	uint64_t around[WAMP_MAX_DEPTH]; /* left of those around it */
	unsigned depth, room;
};

/* Where the length is indefinite, items are counted down from TOKEN_COUNT_UNKNOWN. */
static inline bool is_indefinite(uint64_t left)
{
	return left > TOKEN_COUNT_UNKNOWN / 2;
}

static inline int nest(struct nesting *n, const struct binary_item *it, size_t bytes)
{
	n->around[n->depth++] = n->left;
	n->maps = n->maps << 1 | (it->type == TOKEN_MAP);
	if (is_tag(it))
		n->left = 1;
	else if (it->type == TOKEN_MAP && it->n != TOKEN_COUNT_UNKNOWN)
		n->left = 2 * it->n;
	else
		n->left = it->n;
	if (!is_indefinite(n->left))
		n->outstanding += n->left;
	return n->outstanding > bytes ? E_TRUNCATED : 0;
}

/* A container or tag whose header was read, up to *pp, is too deep: as token_pass_deep.
 */
static NOINLINE int pass_deep(unsigned *lenient, uint8_t code, const uint8_t **pp,
			      const uint8_t *end)
{
	unsigned info = code & 0x1f;

	*pp -= info < INFO_8 || info == INFO_INDEFINITE ? 1 : 1 + (1 << (info - INFO_8));
	return token_pass_deep(SERIALIZER_CBOR, &codec_cbor, lenient, pp, end);
}

/* step in a loop, with the books at hand: the way that payloads go. */
static inline int skip_value(const uint8_t **pp, const uint8_t *end, struct nesting *n,
			     unsigned *lenient)
{
	while (n->left > 0) {
		struct binary_item it;
		int err = read_item(pp, end, &it);

		if (UNLIKELY(err != 0))
			err = token_forgive(lenient, err);
		if (err != 0)
			return err;
		if (it.type == TOKEN_END) {
			/* TOKEN_COUNT_UNKNOWN is odd: so is left after whole pairs */
			if (!is_indefinite(n->left) ||
			    ((n->maps & 1) && n->left % 2 == 0))
				return E_SYNTAX;
			n->left = 0;
		} else {
			n->outstanding -= !is_indefinite(n->left);
			n->left--;
			if (it.type != TOKEN_ARRAY && it.type != TOKEN_MAP &&
			    !is_tag(&it)) {
				/* nothing to open */
			} else if (LIKELY(n->depth < n->room)) {
				err = nest(n, &it, bytes_left(*pp, end));
			} else {
				const uint8_t *at = *pp; /* *pp need not lie in memory */

				err = pass_deep(lenient, it.code, &at, end);
				*pp = at;
			}
			if (err != 0)
				return err;
		}
		while (n->left == 0 && n->depth > 0) {
			n->left = n->around[--n->depth];
			n->maps >>= 1;
		}
	}
	return 0;
}

static int cbor_skip(struct token_reader *r, struct slice *item_out)
{
	struct nesting n;
	const uint8_t *p = r->pos;

	if (r->open[r->depth].left == 0 || (break_fits(r) && p < r->end && *p == BREAK))
		return E_TYPE;
	frame_count(r, &r->open[r->depth]);
	n.left = 1;
	n.maps = 0;
	n.outstanding = r->outstanding + 1;
	n.depth = 0;
	n.room = WAMP_MAX_DEPTH - r->depth;
	int err = skip_value(&p, r->end, &n, r->lenient);
	if (err != 0)
		return err;
	if (item_out != NULL)
		*item_out = slice_of(r->pos, bytes_left(r->pos, p));
	r->pos = p;
	return 0;
}

/* RFC 8949, appendix D */
static double half_to_double(unsigned half)
{
	unsigned exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
	double d;

	if (exponent == 0)
		d = ldexp(mantissa, -24);
	else if (exponent != 31)
		d = ldexp(mantissa + 1024, (int)exponent - 25);
	else
		d = mantissa == 0 ? INFINITY : NAN;
	return (half & 0x8000) != 0 ? -d : d;
}

static double get_double(const struct binary_item *it)
{
	if (it->code == FLOAT_16)
		return half_to_double((unsigned)it->n);
	return it->code == FLOAT_32 ? float_bits(it->n) : double_bits(it->n);
}

static int cbor_next(struct token_reader *r, struct token *out)
{
	struct binary_item it;
	bool bignum = false;

	for (;;) {
		int err = step(r, &it);
		if (err != 0)
			return err;
		if (!is_tag(&it))
			break;
		bignum = it.n == TAG_BIGNUM || it.n == TAG_NEGATIVE_BIGNUM;
	}
	out->type = it.type;
	out->encoded = it.encoded;
	switch (it.type) {
	case TOKEN_BOOL:
		out->b = it.code == SIMPLE_TRUE;
		break;
	case TOKEN_UINT:
		out->u = it.n;
		break;
	case TOKEN_NEGINT:
		out->i = -1 - (int64_t)it.n;
		break;
	case TOKEN_DOUBLE:
		out->d = get_double(&it);
		break;
	case TOKEN_BIN:
		if (bignum)
			out->type = TOKEN_OPAQUE;
		out->text = it.content;
		break;
	case TOKEN_STR:
		out->text = it.content;
		break;
	case TOKEN_ARRAY:
	case TOKEN_MAP:
		out->count = it.n;
		break;
	case TOKEN_NULL:
	case TOKEN_UNDEFINED:
	case TOKEN_OPAQUE:
	case TOKEN_END:
		break;
	}
	return 0;
}

/* Joins the chunks of a string, which read_chunks has checked. */
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
		int err = read_number(&p, end, code, &len);

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
		if (code >> 5 != MAJOR_TAG || read_number(&p, end, code, &n) != 0)
			break;
	}
	return TOKEN_OPAQUE;
}

/* --- writing --- */

/* The shortest form of a header; 9 bytes at most. */
static size_t make_header(uint8_t *to, enum major major, uint64_t n)
{
	uint8_t code = (uint8_t)(major << 5);

	if (n < INFO_8) {
		to[0] = (uint8_t)(code | n);
		return 1;
	}
	if (n <= UINT8_MAX) {
		to[0] = code | INFO_8;
		to[1] = (uint8_t)n;
		return 2;
	}
	if (n <= UINT16_MAX) {
		to[0] = code | (INFO_8 + 1);
		put_be16(to + 1, (uint16_t)n);
		return 3;
	}
	if (n <= UINT32_MAX) {
		to[0] = code | (INFO_8 + 2);
		put_be32(to + 1, (uint32_t)n);
		return 5;
	}
	to[0] = code | INFO_64;
	put_be64(to + 1, n);
	return 9;
}

static void put_header(struct token_writer *w, enum major major, uint64_t n)
{
	uint8_t header[9];

	buf_put(w->out, header, make_header(header, major, n));
}

static void cbor_put_null(struct token_writer *w)
{
	buf_put_u8(w->out, SIMPLE_NULL);
}

static void cbor_put_bool(struct token_writer *w, bool v)
{
	buf_put_u8(w->out, v ? SIMPLE_TRUE : SIMPLE_FALSE);
}

static void cbor_put_uint(struct token_writer *w, uint64_t v)
{
	put_header(w, MAJOR_UINT, v);
}

static void cbor_put_negint(struct token_writer *w, int64_t v)
{
	put_header(w, MAJOR_NEGINT, ~(uint64_t)v);
}

static void cbor_put_double(struct token_writer *w, double v)
{
	uint8_t bytes[9] = {FLOAT_64};
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put_be64(bytes + 1, bits);
	buf_put(w->out, bytes, sizeof(bytes));
}

static void cbor_put_str(struct token_writer *w, struct slice s)
{
	put_header(w, MAJOR_STR, s.len);
	buf_put_slice(w->out, s);
}

static void cbor_put_bin(struct token_writer *w, struct slice s)
{
	put_header(w, MAJOR_BIN, s.len);
	buf_put_slice(w->out, s);
}

static void cbor_put_raw(struct token_writer *w, struct slice encoded)
{
	buf_put_slice(w->out, encoded);
}

static void cbor_open(struct token_writer *w, bool is_map, uint64_t count)
{
	/* a place for the header: one byte will do for up to 23 */
	put_header(w, is_map ? MAJOR_MAP : MAJOR_ARRAY,
		   count == TOKEN_COUNT_UNKNOWN ? 0 : count);
}

static void cbor_close(struct token_writer *w, const struct token_writer_frame *f)
{
	uint8_t header[9];

	if (f->announced != TOKEN_COUNT_UNKNOWN)
		return;
	size_t len = f->is_map ? make_header(header, MAJOR_MAP, f->items / 2)
			       : make_header(header, MAJOR_ARRAY, f->items);
	fill_header(w->out, f->header, slice_of(header, len));
}

const struct token_codec codec_cbor = {
	.next = cbor_next,
	.skip = cbor_skip,
	.text = cbor_text,
	.container = cbor_container,
	.put_null = cbor_put_null,
	.put_bool = cbor_put_bool,
	.put_uint = cbor_put_uint,
	.put_negint = cbor_put_negint,
	.put_double = cbor_put_double,
	.put_str = cbor_put_str,
	.put_bin = cbor_put_bin,
	.put_raw = cbor_put_raw,
	.open = cbor_open,
	.close = cbor_close,
};
