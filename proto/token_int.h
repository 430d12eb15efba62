/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What token.c asks of each encoding, and what the encodings share. Included by them
 * alone. Pure code; any thread.
 */
#ifndef PROTO_TOKEN_INT_H
#define PROTO_TOKEN_INT_H

#include "common/err.h"
#include "common/utf8.h"
#include "proto/token.h"

struct token_codec {
	/* as the functions of token.h of the same name */
	int (*next)(struct token_reader *r, struct token *out);
	int (*skip)(struct token_reader *r, struct slice *item_out);
	int (*text)(const struct token *t, struct buf *scratch, struct slice *out);
	enum token_type (*container)(struct slice item);
	/*
	 * Append the item, and what must separate it from the one before. token.c keeps
	 * the frames: open runs before the new one is pushed, close after it was popped.
	 */
	void (*put_null)(struct token_writer *w);
	void (*put_bool)(struct token_writer *w, bool v);
	void (*put_uint)(struct token_writer *w, uint64_t v);
	void (*put_negint)(struct token_writer *w, int64_t v);
	void (*put_double)(struct token_writer *w, double v);
	void (*put_str)(struct token_writer *w, struct slice s);
	void (*put_bin)(struct token_writer *w, struct slice s);
	void (*put_raw)(struct token_writer *w, struct slice encoded);
	void (*open)(struct token_writer *w, bool is_map, uint64_t count);
	void (*close)(struct token_writer *w, const struct token_writer_frame *f);
};

extern const struct token_codec codec_json, codec_msgpack, codec_cbor;

/*
 * The two binary encodings: one item whole, but of a container only its header, of a tag
 * nothing but itself. Both token_next and token_skip get them from the same function, so
 * that they cannot disagree on what is well-formed.
 */
struct binary_item {
	enum token_type type; /* TOKEN_END: also CBOR's break */
	uint8_t code;         /* the first byte */
	bool encoded;         /* as in struct token */
	uint64_t n;           /* integer, count of items or pairs, bits of a float, tag */
	struct slice content; /* STR, BIN, ext */
};

static inline size_t bytes_left(const uint8_t *p, const uint8_t *end)
{
	return (size_t)(end - p);
}

/*
 * The error of an item that was read to its end, or 0 if the reader passes over it. Out
 * of line, as it is for errors alone.
 */
NOINLINE int token_forgive(unsigned *lenient, int err);

/*
 * The container at *pp is too deep: E_DEPTH, unless the reader passes over it. Then *pp
 * is behind it.
 */
NOINLINE int token_pass_deep(enum serializer s, const struct token_codec *codec,
			     unsigned *lenient, const uint8_t **pp, const uint8_t *end);

/* The content that follows a length. For E_UTF8, too, *pp is behind it. */
static inline int binary_content(const uint8_t **pp, const uint8_t *end, uint64_t len,
				 struct binary_item *it)
{
	if (len > bytes_left(*pp, end))
		return E_TRUNCATED;
	it->content = slice_of(*pp, len);
	*pp += len;
	return it->type == TOKEN_STR && !utf8_valid(it->content) ? E_UTF8 : 0;
}

/* The float, or the double, that has these bits. */
static inline double float_bits(uint64_t bits)
{
	uint32_t low = (uint32_t)bits;
	float f;

	memcpy(&f, &low, sizeof(f));
	return (double)f;
}

static inline double double_bits(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* Every item counts in the container that it lies in. */
static inline void frame_count(struct token_reader *r, struct token_frame *f)
{
	f->seen++;
	if (f->left != TOKEN_COUNT_UNKNOWN) {
		f->left--;
		r->outstanding--;
	}
}

/* Opens a container of items items, or TOKEN_COUNT_UNKNOWN; r->pos is behind its header.
 */
static inline int frame_push(struct token_reader *r, enum token_type kind, uint64_t items)
{
	if (r->depth == WAMP_MAX_DEPTH)
		return E_DEPTH;
	if (items != TOKEN_COUNT_UNKNOWN)
		r->outstanding += items;
	if (r->outstanding > (size_t)(r->end - r->pos))
		return E_TRUNCATED;
	struct token_frame *f = &r->open[++r->depth];
	f->left = items;
	f->seen = 0;
	f->kind = (uint8_t)kind;
	return 0;
}

/*
 * In place of the byte at offset at: the header, now that it is known. What lies behind
 * moves once for each container around it, so at most WAMP_MAX_DEPTH times.
 */
static inline void fill_header(struct buf *out, size_t at, struct slice header)
{
	if (header.len > 1 && buf_reserve(out, header.len - 1) == NULL)
		return;
	uint8_t *to = out->data + at;
	memmove(to + header.len, to + 1, out->len - at - 1);
	memcpy(to, header.p, header.len);
	buf_commit(out, header.len - 1);
}

#endif
