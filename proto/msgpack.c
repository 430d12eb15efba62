/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack (the "msgpack" repository's spec.md), read by code of our own and written
 * by msgpack-c's packer; see token.h. No state; any thread.
 */
#include "proto/binary_int.h"
#include "proto/date.h"

#include <assert.h>
#include <msgpack/pack.h>

/* --- reading --- */

/* A timestamp of 8 bytes has the nanoseconds in the high 30 bits. */
#define SECONDS_34 ((UINT64_C(1) << 34) - 1)

/* What follows each of the codes 0xc0 to 0xdf. */
struct form {
	uint8_t type;    /* enum token_type; TOKEN_END: the code is invalid */
	uint8_t width;   /* bytes of the number that follows: a value, length or count */
	uint8_t content; /* bytes of content in addition to the length */
};

enum {
	FORM_FIRST = 0xc0,
	EXT_TIMESTAMP = 0xff, /* the ext type -1 */
	NS_MAX = 999999999,
};

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

/* An ext type -1 is a date if its length is that of one of the three forms. */
static void read_timestamp(struct token *out)
{
	size_t len = out->text.len - 1;

	if (len != 4 && len != 8 && len != 12)
		return;
	out->type = TOKEN_DATE;
	out->encoded = true;
}

static int msgpack_text(const struct token *t, struct buf *scratch, struct slice *out)
{
	const uint8_t *p = t->text.p + 1;
	uint8_t bytes[DATE_BYTES];
	struct date d = {0, 0};

	if (t->text.len == 1 + 12) {
		date_unpack(p, &d);
	} else if (t->text.len == 1 + 8) {
		uint64_t both = get_be64(p);

		d = (struct date){(int64_t)(both & SECONDS_34), (uint32_t)(both >> 34)};
	} else {
		d.seconds = get_be32(p);
	}
	if (d.ns > NS_MAX)
		return E_UNSUPPORTED;
	date_pack(&d, bytes);
	buf_put(scratch, bytes, sizeof(bytes));
	*out = slice_of(scratch->data + scratch->len - sizeof(bytes), sizeof(bytes));
	return scratch->err;
}

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
		else if (out->text.len > 0 && out->text.p[0] == EXT_TIMESTAMP)
			read_timestamp(out);
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
	case TOKEN_BIGINT:
	case TOKEN_DATE:
		break; /* never written */
	}
}

static void msgpack_put_content(struct token_writer *w, enum token_type type,
				struct slice s)
{
	msgpack_put(w, type, s.len);
	buf_put_slice(w->out, s);
}

/* Writes a date in the shortest form. MessagePack has no integers beyond 64 bits. */
static void msgpack_put_special(struct token_writer *w, enum token_type type,
				struct slice s)
{
	uint8_t out[3 + DATE_BYTES];
	size_t len;
	struct date d;

	if (type == TOKEN_BIGINT) {
		buf_fail(w->out, E_UNSUPPORTED);
		return;
	}
	date_unpack(s.p, &d);
	if (d.ns == 0 && d.seconds >= 0 && d.seconds <= UINT32_MAX) {
		out[0] = 0xd6;
		put_be32(out + 2, (uint32_t)d.seconds);
		len = 2 + 4;
	} else if (d.seconds >= 0 && (uint64_t)d.seconds <= SECONDS_34) {
		out[0] = 0xd7;
		put_be64(out + 2, (uint64_t)d.ns << 34 | (uint64_t)d.seconds);
		len = 2 + 8;
	} else {
		out[0] = 0xc7;
		out[1] = DATE_BYTES;
		memcpy(out + 3, s.p, DATE_BYTES);
		len = sizeof(out);
	}
	out[len == sizeof(out) ? 2 : 1] = EXT_TIMESTAMP;
	buf_put(w->out, out, len);
}

const struct token_codec codec_msgpack = {
	.next = msgpack_next,
	.skip = msgpack_skip,
	.text = msgpack_text,
	.container = msgpack_container,
	.put = msgpack_put,
	.put_content = msgpack_put_content,
	.put_special = msgpack_put_special,
};
