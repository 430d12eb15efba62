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
	/* of a token that is encoded; NULL: none ever is */
	int (*text)(const struct token *t, struct buf *scratch, struct slice *out);
	enum token_type (*container)(struct slice item);
	/*
	 * Append one item, which token.c has counted in its container. bits is the value,
	 * as in struct token, or the count of items or pairs of a container, of which
	 * this writes only the head.
	 */
	void (*put)(struct token_writer *w, enum token_type type, uint64_t bits);
	/* STR or BIN */
	void (*put_content)(struct token_writer *w, enum token_type type, struct slice s);
};

extern const struct token_codec codec_json, codec_msgpack, codec_cbor;

static inline size_t bytes_left(const uint8_t *p, const uint8_t *end)
{
	return (size_t)(end - p);
}

/*
 * Takes the error of an item whose end was found. Returns 0 if a lenient reader may go
 * on behind it, else the error. Out of line, because only errors come here.
 */
NOINLINE int token_forgive(unsigned *lenient, int err);

/*
 * The container at *pp is too deep: E_DEPTH, unless the reader passes over it. Then *pp
 * is behind it.
 */
NOINLINE int token_pass_deep(enum serializer s, const struct token_codec *codec,
			     unsigned *lenient, const uint8_t **pp, const uint8_t *end);

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

#endif
