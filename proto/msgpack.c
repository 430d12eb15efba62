/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack (specification: the "msgpack" repository's spec.md): a reader of our own,
 * msgpack-c's packer for writing. See token.h. Pure code; any thread.
 */
#include "proto/token_int.h"

#include <assert.h>
#include <msgpack/pack.h>

/* --- reading --- */

/* What follows the codes 0xc0 to 0xdf. */
struct form {
	uint8_t type;    /* enum token_type; TOKEN_END: no such code */
	uint8_t width;   /* bytes of a number: the value, or the length or count */
	uint8_t content; /* bytes of content besides the length just read */
};

enum {
	FIRST_STR = 0xa0, /* below are maps and arrays with the count in this byte */
	FORM_FIRST = 0xc0,
	FLOAT_32 = 0xca,
	FIXEXT1 = 0xd4,
	FIRST_LONG = 0xdc, /* from here arrays and maps with the count in 2 or 4 bytes */
};

static const struct form forms[] = {
	[0xc0 - FORM_FIRST] = {TOKEN_NULL, 0, 0},
	[0xc1 - FORM_FIRST] = {TOKEN_END, 0, 0},
	[0xc2 - FORM_FIRST] = {TOKEN_BOOL, 0, 0},
	[0xc3 - FORM_FIRST] = {TOKEN_BOOL, 0, 0},
	[0xc4 - FORM_FIRST] = {TOKEN_BIN, 1, 0},
	[0xc5 - FORM_FIRST] = {TOKEN_BIN, 2, 0},
	[0xc6 - FORM_FIRST] = {TOKEN_BIN, 4, 0},
	/* ext: one byte of type before its data */
	[0xc7 - FORM_FIRST] = {TOKEN_OPAQUE, 1, 1},
	[0xc8 - FORM_FIRST] = {TOKEN_OPAQUE, 2, 1},
	[0xc9 - FORM_FIRST] = {TOKEN_OPAQUE, 4, 1},
	[0xca - FORM_FIRST] = {TOKEN_DOUBLE, 4, 0},
	[0xcb - FORM_FIRST] = {TOKEN_DOUBLE, 8, 0},
	[0xcc - FORM_FIRST] = {TOKEN_UINT, 1, 0},
	[0xcd - FORM_FIRST] = {TOKEN_UINT, 2, 0},
	[0xce - FORM_FIRST] = {TOKEN_UINT, 4, 0},
	[0xcf - FORM_FIRST] = {TOKEN_UINT, 8, 0},
	[0xd0 - FORM_FIRST] = {TOKEN_NEGINT, 1, 0},
	[0xd1 - FORM_FIRST] = {TOKEN_NEGINT, 2, 0},
	[0xd2 - FORM_FIRST] = {TOKEN_NEGINT, 4, 0},
	[0xd3 - FORM_FIRST] = {TOKEN_NEGINT, 8, 0},
	[0xd4 - FORM_FIRST] = {TOKEN_OPAQUE, 0, 1 + 1},
	[0xd5 - FORM_FIRST] = {TOKEN_OPAQUE, 0, 1 + 2},
	[0xd6 - FORM_FIRST] = {TOKEN_OPAQUE, 0, 1 + 4},
	[0xd7 - FORM_FIRST] = {TOKEN_OPAQUE, 0, 1 + 8},
	[0xd8 - FORM_FIRST] = {TOKEN_OPAQUE, 0, 1 + 16},
	[0xd9 - FORM_FIRST] = {TOKEN_STR, 1, 0},
	[0xda - FORM_FIRST] = {TOKEN_STR, 2, 0},
	[0xdb - FORM_FIRST] = {TOKEN_STR, 4, 0},
	[0xdc - FORM_FIRST] = {TOKEN_ARRAY, 2, 0},
	[0xdd - FORM_FIRST] = {TOKEN_ARRAY, 4, 0},
	[0xde - FORM_FIRST] = {TOKEN_MAP, 2, 0},
	[0xdf - FORM_FIRST] = {TOKEN_MAP, 4, 0},
};
static_assert(ARRAY_LEN(forms) == 0xe0 - FORM_FIRST, "a form for each code");

static inline uint64_t get_number(const uint8_t *p, unsigned width)
{
	switch (width) {
	case 1:
		return p[0];
	case 2:
		return get_be16(p);
	case 4:
		return get_be32(p);
	case 8:
		return get_be64(p);
	default:
		return 0;
	}
}

static inline int read_form(const uint8_t **pp, const uint8_t *end,
			    struct binary_item *it)
{
	const struct form *f = &forms[it->code - FORM_FIRST];

	it->type = (enum token_type)f->type;
	if (it->type == TOKEN_END)
		return E_SYNTAX;
	if (f->width > bytes_left(*pp, end))
		return E_TRUNCATED;
	it->n = get_number(*pp, f->width);
	*pp += f->width;
	if (it->type == TOKEN_STR || it->type == TOKEN_BIN || it->type == TOKEN_OPAQUE)
		return binary_content(pp, end, it->n + f->content, it);
	return 0;
}

static ALWAYS_INLINE int read_item(const uint8_t **pp, const uint8_t *end,
				   struct binary_item *it)
{
	if (*pp == end)
		return E_TRUNCATED;
	uint8_t c = *(*pp)++;
	it->code = c;
	if (c < 0x80) {
		it->type = TOKEN_UINT;
		it->n = c;
	} else if (c < 0xa0) {
		it->type = c < 0x90 ? TOKEN_MAP : TOKEN_ARRAY;
		it->n = c & 0x0f;
	} else if (c < 0xc0) {
		it->type = TOKEN_STR;
		return binary_content(pp, end, c & 0x1f, it);
	} else if (c >= 0xe0) {
		it->type = TOKEN_NEGINT;
		it->n = c;
	} else {
		return read_form(pp, end, it);
	}
	return 0;
}

/* The next item, or TOKEN_END, and its place among the open containers. */
static inline int step(struct token_reader *r, struct binary_item *it)
{
	struct token_frame *f = &r->open[r->depth];

	if (f->left == 0) {
		r->depth--;
		it->type = TOKEN_END;
		return 0;
	}
	int err = read_item(&r->pos, r->end, it);
	if (UNLIKELY(err != 0))
		err = token_forgive(r->lenient, err);
	if (err != 0)
		return err;
	frame_count(r, f);
	if (it->type == TOKEN_ARRAY)
		return frame_push(r, TOKEN_ARRAY, it->n);
	if (it->type == TOKEN_MAP)
		return frame_push(r, TOKEN_MAP, 2 * it->n);
	return 0;
}

/* A container whose header was read, up to p, is too deep: as token_pass_deep. */
static NOINLINE int pass_deep(const struct token_reader *r, uint8_t code,
			      const uint8_t **pp)
{
	static const uint8_t header_len[] = {3, 5, 3, 5};

	*pp -= code < FIRST_STR ? 1 : header_len[code - FIRST_LONG];
	return token_pass_deep(SERIALIZER_MSGPACK, &codec_msgpack, r->lenient, pp,
			       r->end);
}

/* step in a loop, with the books in registers: the way that payloads go. */
static int msgpack_skip(struct token_reader *r, struct slice *item_out)
{
	uint64_t around[WAMP_MAX_DEPTH]; /* items left in the containers around */
	uint64_t left = 1, outstanding;
	const uint8_t *p = r->pos, *const end = r->end;
	unsigned depth = 0;
	const unsigned room = WAMP_MAX_DEPTH - r->depth;

	if (r->open[r->depth].left == 0)
		return E_TYPE;
	frame_count(r, &r->open[r->depth]);
	outstanding = r->outstanding + 1;
	while (left > 0) {
		struct binary_item it;
		int err = read_item(&p, end, &it);

		if (UNLIKELY(err != 0))
			err = token_forgive(r->lenient, err);
		if (err != 0)
			return err;
		left--;
		outstanding--;
		if (it.type != TOKEN_ARRAY && it.type != TOKEN_MAP) {
			/* nothing to open */
		} else if (LIKELY(depth < room)) {
			around[depth++] = left;
			left = it.type == TOKEN_MAP ? 2 * it.n : it.n;
			outstanding += left;
			if (outstanding > bytes_left(p, end))
				return E_TRUNCATED;
		} else {
			const uint8_t *at = p; /* so that p need not lie in memory */

			err = pass_deep(r, it.code, &at);
			if (err != 0)
				return err;
			p = at;
		}
		while (left == 0 && depth > 0)
			left = around[--depth];
	}
	if (item_out != NULL)
		*item_out = slice_of(r->pos, bytes_left(r->pos, p));
	r->pos = p;
	return 0;
}

static int64_t sign_extend(const struct binary_item *it)
{
	switch (it->code) {
	case 0xd1:
		return (int16_t)it->n;
	case 0xd2:
		return (int32_t)it->n;
	case 0xd3:
		return (int64_t)it->n;
	default: /* 0xd0 and the codes that are a value themselves */
		return (int8_t)it->n;
	}
}

static int msgpack_next(struct token_reader *r, struct token *out)
{
	struct binary_item it;
	int err = step(r, &it);

	if (err != 0)
		return err;
	out->type = it.type;
	out->encoded = false;
	switch (it.type) {
	case TOKEN_BOOL:
		out->b = it.code == 0xc3;
		break;
	case TOKEN_UINT:
		out->u = it.n;
		break;
	case TOKEN_NEGINT:
		out->i = sign_extend(&it);
		/* the signed codes hold any sign: both members have the same bits then */
		if (out->i >= 0)
			out->type = TOKEN_UINT;
		break;
	case TOKEN_DOUBLE:
		out->d = it.code == FLOAT_32 ? float_bits(it.n) : double_bits(it.n);
		break;
	case TOKEN_STR:
	case TOKEN_BIN:
		out->text = it.content;
		break;
	case TOKEN_ARRAY:
	case TOKEN_MAP:
		out->count = it.n;
		break;
	case TOKEN_OPAQUE:
		/* how wampy.js says undefined: d4 00 00 */
		if (it.code == FIXEXT1 && it.content.p[0] == 0 && it.content.p[1] == 0)
			out->type = TOKEN_UNDEFINED;
		break;
	case TOKEN_NULL:
	case TOKEN_UNDEFINED:
	case TOKEN_END:
		break;
	}
	return 0;
}

static int msgpack_text(const struct token *t, struct buf *scratch, struct slice *out)
{
	(void)scratch; /* nothing here is ever encoded */
	*out = t->text;
	return 0;
}

static enum token_type msgpack_container(struct slice item)
{
	uint8_t c = item.p[0];

	if ((c >= 0x90 && c <= 0x9f) || c == 0xdc || c == 0xdd)
		return TOKEN_ARRAY;
	if ((c >= 0x80 && c <= 0x8f) || c == 0xde || c == 0xdf)
		return TOKEN_MAP;
	return TOKEN_OPAQUE;
}

/* --- writing --- */

static int write_to_buf(void *data, const char *p, size_t len)
{
	buf_put(data, p, len);
	return 0; /* errors stick in the buffer */
}

static inline msgpack_packer packer(struct buf *out)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, write_to_buf);
	return pk;
}

static void msgpack_put_null(struct token_writer *w)
{
	msgpack_packer pk = packer(w->out);

	msgpack_pack_nil(&pk);
}

static void msgpack_put_bool(struct token_writer *w, bool v)
{
	msgpack_packer pk = packer(w->out);

	if (v)
		msgpack_pack_true(&pk);
	else
		msgpack_pack_false(&pk);
}

static void msgpack_put_uint(struct token_writer *w, uint64_t v)
{
	msgpack_packer pk = packer(w->out);

	msgpack_pack_uint64(&pk, v);
}

static void msgpack_put_negint(struct token_writer *w, int64_t v)
{
	msgpack_packer pk = packer(w->out);

	msgpack_pack_int64(&pk, v);
}

static void msgpack_put_double(struct token_writer *w, double v)
{
	msgpack_packer pk = packer(w->out);

	msgpack_pack_double(&pk, v);
}

static void msgpack_put_str(struct token_writer *w, struct slice s)
{
	msgpack_packer pk = packer(w->out);

	if (s.len > UINT32_MAX) {
		buf_fail(w->out, E_LIMIT);
		return;
	}
	msgpack_pack_str(&pk, s.len);
	msgpack_pack_str_body(&pk, s.p, s.len);
}

static void msgpack_put_bin(struct token_writer *w, struct slice s)
{
	msgpack_packer pk = packer(w->out);

	if (s.len > UINT32_MAX) {
		buf_fail(w->out, E_LIMIT);
		return;
	}
	msgpack_pack_bin(&pk, s.len);
	msgpack_pack_bin_body(&pk, s.p, s.len);
}

static void msgpack_put_raw(struct token_writer *w, struct slice encoded)
{
	buf_put_slice(w->out, encoded);
}

static void pack_header(struct buf *out, bool is_map, uint64_t count)
{
	msgpack_packer pk = packer(out);

	if (count > UINT32_MAX)
		buf_fail(out, E_LIMIT);
	else if (is_map)
		msgpack_pack_map(&pk, count);
	else
		msgpack_pack_array(&pk, count);
}

static void msgpack_open(struct token_writer *w, bool is_map, uint64_t count)
{
	/* a place for the header: one byte will do for up to 15 */
	pack_header(w->out, is_map, count == TOKEN_COUNT_UNKNOWN ? 0 : count);
}

static void msgpack_close(struct token_writer *w, const struct token_writer_frame *f)
{
	uint8_t bytes[8];
	struct buf header = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};

	if (f->announced != TOKEN_COUNT_UNKNOWN)
		return;
	pack_header(&header, f->is_map, f->is_map ? f->items / 2 : f->items);
	if (header.err != 0)
		buf_fail(w->out, header.err);
	else
		fill_header(w->out, f->header, buf_slice(&header));
}

const struct token_codec codec_msgpack = {
	.next = msgpack_next,
	.skip = msgpack_skip,
	.text = msgpack_text,
	.container = msgpack_container,
	.put_null = msgpack_put_null,
	.put_bool = msgpack_put_bool,
	.put_uint = msgpack_put_uint,
	.put_negint = msgpack_put_negint,
	.put_double = msgpack_put_double,
	.put_str = msgpack_put_str,
	.put_bin = msgpack_put_bin,
	.put_raw = msgpack_put_raw,
	.open = msgpack_open,
	.close = msgpack_close,
};
