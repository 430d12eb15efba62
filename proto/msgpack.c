/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack (the "msgpack" repository's spec.md), read by code of our own and written
 * by msgpack-c's packer; see token.h. No state; any thread.
 */
#include "proto/binary_int.h"

#include <assert.h>
#include <msgpack/pack.h>

/* --- reading --- */

/* What follows each of the codes 0xc0 to 0xdf. */
struct form {
	uint8_t type;    /* enum token_type; TOKEN_END: the code is invalid */
	uint8_t width;   /* bytes of the number that follows: a value, length or count */
	uint8_t content; /* bytes of content in addition to the length */
};

enum { FORM_FIRST = 0xc0 };

static const struct form forms[] = {
	[0xc0 - FORM_FIRST] = {TOKEN_NULL, 0, 0},
	[0xc1 - FORM_FIRST] = {TOKEN_END, 0, 0},
	[0xc2 - FORM_FIRST] = {TOKEN_BOOL, 0, 0},
	[0xc3 - FORM_FIRST] = {TOKEN_BOOL, 0, 0},
	[0xc4 - FORM_FIRST] = {TOKEN_BIN, 1, 0},
	[0xc5 - FORM_FIRST] = {TOKEN_BIN, 2, 0},
	[0xc6 - FORM_FIRST] = {TOKEN_BIN, 4, 0},
	/* An ext type has a byte for its type before its data. */
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
static_assert(ARRAY_LEN(forms) == 0xe0 - FORM_FIRST,
	      "forms has a row for each first byte from FORM_FIRST to 0xdf");

static ALWAYS_INLINE int read_form(const uint8_t **pp, const uint8_t *end, uint8_t code,
				   struct token *out)
{
	const struct form *f = &forms[code - FORM_FIRST];

	out->type = (enum token_type)f->type;
	if (out->type == TOKEN_END)
		return E_SYNTAX;
	if (f->width > bytes_left(*pp, end))
		return E_TRUNCATED;
	out->u = binary_number(*pp, f->width);
	*pp += f->width;
	if (out->type == TOKEN_STR || out->type == TOKEN_BIN)
		return binary_content(pp, end, out->u, out);
	if (out->type == TOKEN_BOOL) {
		out->b = code == 0xc3;
	} else if (out->type == TOKEN_NEGINT) {
		unsigned shift = 64 - 8 * f->width;

		out->i = (int64_t)(out->u << shift) >> shift;
		/* The codes for signed integers may hold positive integers. Then u and i
		 * have the same bits. */
		if (out->i >= 0)
			out->type = TOKEN_UINT;
	} else if (out->type == TOKEN_DOUBLE) {
		if (f->width == 4)
			out->d = float_bits(out->u);
	} else if (out->type == TOKEN_OPAQUE) {
		int err = binary_content(pp, end, out->u + f->content, out);
		if (err != 0)
			return err;
		/* wampy.js encodes undefined like this. */
		if (out->text.len == 2 && memcmp(out->text.p - 1, "\xd4\0\0", 3) == 0)
			out->type = TOKEN_UNDEFINED;
	}
	return 0;
}

static ALWAYS_INLINE int read_msgpack_item(const uint8_t **pp, const uint8_t *end,
					   struct token *out)
{
	if (*pp == end)
		return E_TRUNCATED;
	uint8_t c = *(*pp)++;
	if (c < 0x80) {
		out->type = TOKEN_UINT;
		out->u = c;
	} else if (c < 0xa0) {
		out->type = c < 0x90 ? TOKEN_MAP : TOKEN_ARRAY;
		out->count = c & 0x0f;
	} else if (c < 0xc0) {
		out->type = TOKEN_STR;
		return binary_content(pp, end, c & 0x1f, out);
	} else if (c >= 0xe0) {
		out->type = TOKEN_NEGINT;
		out->i = (int8_t)c;
	} else {
		return read_form(pp, end, c, out);
	}
	return 0;
}

static int msgpack_skip(struct token_reader *r, struct slice *item_out)
{
	return binary_skip(r, item_out, read_msgpack_item, SERIALIZER_MSGPACK);
}

static int msgpack_next(struct token_reader *r, struct token *out)
{
	return binary_next(r, out, read_msgpack_item);
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
	/* The buffer keeps the first error. */
	return 0;
}

static void msgpack_put(struct token_writer *w, enum token_type type, uint64_t bits)
{
	msgpack_packer pk;
	double d;

	msgpack_packer_init(&pk, w->out, write_to_buf);
	/* MessagePack's lengths and counts have at most 32 bits. */
	if (type >= TOKEN_STR && bits > UINT32_MAX) {
		buf_fail(w->out, E_LIMIT);
		return;
	}
	switch (type) {
	case TOKEN_UINT:
		msgpack_pack_uint64(&pk, bits);
		break;
	case TOKEN_NEGINT:
		msgpack_pack_int64(&pk, (int64_t)bits);
		break;
	case TOKEN_DOUBLE:
		memcpy(&d, &bits, sizeof(d));
		msgpack_pack_double(&pk, d);
		break;
	case TOKEN_STR:
		msgpack_pack_str(&pk, bits);
		break;
	case TOKEN_BIN:
		msgpack_pack_bin(&pk, bits);
		break;
	case TOKEN_ARRAY:
		msgpack_pack_array(&pk, bits);
		break;
	case TOKEN_MAP:
		msgpack_pack_map(&pk, bits);
		break;
	case TOKEN_BOOL:
		if (bits != 0)
			msgpack_pack_true(&pk);
		else
			msgpack_pack_false(&pk);
		break;
	case TOKEN_NULL:
		msgpack_pack_nil(&pk);
		break;
	case TOKEN_UNDEFINED:
	case TOKEN_END:
	case TOKEN_OPAQUE:
	case TOKEN_TAG:
		break; /* never written */
	}
}

static void msgpack_put_content(struct token_writer *w, enum token_type type,
				struct slice s)
{
	msgpack_put(w, type, s.len);
	buf_put_slice(w->out, s);
}

const struct token_codec codec_msgpack = {
	.next = msgpack_next,
	.skip = msgpack_skip,
	.container = msgpack_container,
	.put = msgpack_put,
	.put_content = msgpack_put_content,
};
