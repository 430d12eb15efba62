/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that each encoding implements for token.c, and code that the encodings
 * share. Only token.c, token_lenient.c and the encodings include this file. No state; any
 * thread.
 */
#ifndef PROTO_TOKEN_INT_H
#define PROTO_TOKEN_INT_H

#include "common/err.h"
#include "common/utf8.h"
#include "proto/token.h"

struct token_codec {
	/* Like the functions of token.h with the same names. */
	int (*next)(struct token_reader *r, struct token *out);
	int (*skip)(struct token_reader *r, struct slice *item_out);
	/* For tokens whose `encoded` is set; NULL if none ever is. */
	int (*text)(const struct token *t, struct buf *scratch, struct slice *out);
	enum token_type (*container)(struct slice item);
	/*
	 * Appends one item, which token.c has counted already. bits is the value as in
	 * struct token. For a container it is the number of items or pairs, and only the
	 * head is written.
	 */
	void (*put)(struct token_writer *w, enum token_type type, uint64_t bits);
	/* Appends a STR or BIN. */
	void (*put_content)(struct token_writer *w, enum token_type type, struct slice s);
	/* Like token_put_special. */
	void (*put_special)(struct token_writer *w, enum token_type type, struct slice s);
};

extern const struct token_codec codec_json, codec_msgpack, codec_cbor, codec_ubjson;

static inline size_t bytes_left(const uint8_t *p, const uint8_t *end)
{
	return (size_t)(end - p);
}

/*
 * Handles the error of an item whose end is known. Returns 0 if the reader is lenient and
 * continues after the item, else the error. Not inline, because only errors need it.
 */
NOINLINE int token_tolerate(unsigned *lenient, int err);

/*
 * Handles a container at *pp that is nested too deep. E_DEPTH, unless the reader is
 * lenient and skips it; then *pp is past the container.
 */
NOINLINE int token_pass_deep(enum serializer s, const struct token_codec *codec,
			     unsigned *lenient, const uint8_t **pp, const uint8_t *end);

/* Counts an item in its container. */
static inline void frame_count(struct token_reader *r, struct token_frame *f)
{
	f->seen++;
	if (f->left != TOKEN_COUNT_UNKNOWN) {
		f->left--;
		r->outstanding--;
	}
}

/*
 * Opens a container of `items` items, or TOKEN_COUNT_UNKNOWN. r->pos is past its head.
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

#endif
