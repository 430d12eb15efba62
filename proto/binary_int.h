/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_next and token_skip for MessagePack and CBOR. In each encoding, both functions
 * read an item with the same function, `read`, so that they agree on which bytes are
 * well-formed. Every caller passes constants for `read` and `s`, so that the compiler
 * makes a copy for each encoding. ubjson.c uses only the functions that read numbers and
 * contents; no other file includes this one. No state; any thread.
 */
#ifndef PROTO_BINARY_INT_H
#define PROTO_BINARY_INT_H

#include "proto/token_int.h"

/*
 * Reads the item at *pp and moves *pp past it. For a container or a tag it reads only the
 * head: out->count gets the number of items or pairs, or out->u the tag's number. CBOR's
 * break gives TOKEN_END. *pp is past the item even after E_UTF8.
 */
typedef int binary_read(const uint8_t **pp, const uint8_t *end, struct token *out);

/* Reads a big-endian number of 1, 2, 4 or 8 bytes; width 0 gives 0. */
static inline uint64_t binary_number(const uint8_t *p, unsigned width)
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

/* Reads the content that follows a length. */
static inline int binary_content(const uint8_t **pp, const uint8_t *end, uint64_t len,
				 struct token *out)
{
	if (len > bytes_left(*pp, end))
		return E_TRUNCATED;
	out->text = slice_of(*pp, len);
	*pp += len;
	return out->type == TOKEN_STR && !utf8_valid(out->text) ? E_UTF8 : 0;
}

/* The value of a single-precision float with these bits. */
static inline double float_bits(uint64_t bits)
{
	uint32_t low = (uint32_t)bits;
	float f;

	memcpy(&f, &low, sizeof(f));
	return (double)f;
}

/* Does the token open a level, that is an array, a map or a tag? */
static inline bool binary_opens(const struct token *t)
{
	return t->type == TOKEN_ARRAY || t->type == TOKEN_MAP || t->type == TOKEN_TAG;
}

/* The number of items in the level that the token opens. */
static inline uint64_t binary_items(const struct token *t)
{
	if (t->type == TOKEN_TAG)
		return 1;
	return t->type == TOKEN_MAP && t->count != TOKEN_COUNT_UNKNOWN ? 2 * t->count
								       : t->count;
}

/* Is a break allowed here? */
static inline bool break_fits(const struct token_reader *r)
{
	const struct token_frame *f = &r->open[r->depth];

	return r->depth > 0 && f->left == TOKEN_COUNT_UNKNOWN &&
	       (f->kind == TOKEN_ARRAY || (f->kind == TOKEN_MAP && f->seen % 2 == 0));
}

/* Like token_next, but also returns tags. */
static ALWAYS_INLINE int binary_next(struct token_reader *r, struct token *out,
				     binary_read *read)
{
	struct token_frame *f = &r->open[r->depth];
	int err = 0;

	out->type = TOKEN_END;
	out->encoded = false;
	out->tagged = false;
	if (f->left != 0)
		err = read(&r->pos, r->end, out);
	if (UNLIKELY(err != 0))
		err = token_tolerate(r->lenient, err);
	if (err != 0)
		return err;
	if (out->type != TOKEN_END) {
		frame_count(r, f);
		if (binary_opens(out))
			return frame_push(r, out->type, binary_items(out));
	} else {
		if (f->left != 0 && !break_fits(r))
			return E_SYNTAX;
		r->depth--;
	}
	/* This item is complete, and so are the tags before it. */
	while (r->open[r->depth].kind == TOKEN_TAG)
		r->depth--;
	return 0;
}

/* The levels that binary_skip has open. */
struct nesting {
	uint64_t left;        /* items left in the innermost level; see is_indefinite */
	uint64_t maps;        /* a bit per level, 1 for a map; bit 0 is the innermost */
	uint64_t outstanding; /* as in struct token_reader */
	uint64_t around[WAMP_MAX_DEPTH]; /* `left` of the outer levels */
	unsigned depth;
};

/*
 * Does a level have indefinite length? Its `left` counts down from TOKEN_COUNT_UNKNOWN.
 */
static inline bool is_indefinite(uint64_t left, enum serializer s)
{
	return s == SERIALIZER_CBOR && left > TOKEN_COUNT_UNKNOWN / 2;
}

/*
 * Enters the container or tag of a token. E_TRUNCATED if its items cannot fit into the
 * bytes that are left.
 */
static ALWAYS_INLINE int binary_nest(struct nesting *n, const struct token *t,
				     size_t bytes, enum serializer s)
{
	n->around[n->depth++] = n->left;
	n->maps = n->maps << 1 | (t->type == TOKEN_MAP);
	n->left = binary_items(t);
	if (!is_indefinite(n->left, s))
		n->outstanding += n->left;
	return n->outstanding > bytes ? E_TRUNCATED : 0;
}

/*
 * Skips an item, for token_skip. A loop like that of binary_next, but with its state in
 * registers, because every payload passes through it.
 */
static ALWAYS_INLINE int binary_skip(struct token_reader *r, struct slice *item_out,
				     binary_read *read, enum serializer s)
{
	struct nesting n;
	const uint8_t *p = r->pos, *const end = r->end;
	const unsigned room = WAMP_MAX_DEPTH - r->depth;
	const struct token_codec *codec =
		s == SERIALIZER_CBOR ? &codec_cbor : &codec_msgpack;

	if (r->open[r->depth].left == 0)
		return E_TYPE;
	frame_count(r, &r->open[r->depth]);
	/* Set the fields one by one: clearing `around`, the largest part, would be
	 * slow. */
	n.left = 1;
	n.maps = 0;
	n.outstanding = r->outstanding + 1;
	n.depth = 0;
	while (n.left > 0) {
		struct token t;
		const uint8_t *from = p;

		/* Set type only: initialising all of t would be slow here. */
		t.type = TOKEN_NULL;
		int err = read(&p, end, &t);
		if (UNLIKELY(err != 0))
			err = token_tolerate(r->lenient, err);
		if (err != 0)
			return err;
		if (s == SERIALIZER_CBOR && t.type == TOKEN_END) {
			/* TOKEN_COUNT_UNKNOWN is odd, so after whole pairs `left` is
			 * odd. */
			if (!is_indefinite(n.left, s) ||
			    ((n.maps & 1) && n.left % 2 == 0))
				return E_SYNTAX;
			n.left = 0;
		} else {
			n.outstanding -= !is_indefinite(n.left, s);
			n.left--;
			if (!binary_opens(&t)) {
				/* a scalar */
			} else if (LIKELY(n.depth < room)) {
				err = binary_nest(&n, &t, bytes_left(p, end), s);
			} else {
				/* A copy, so that `from` itself can stay in a
				 * register. */
				const uint8_t *at = from;

				err = token_pass_deep(s, codec, r->lenient, &at, end);
				p = at;
			}
			if (err != 0)
				return err;
		}
		while (n.left == 0 && n.depth > 0) {
			n.left = n.around[--n.depth];
			n.maps >>= 1;
		}
	}
	if (item_out != NULL)
		*item_out = slice_of(r->pos, bytes_left(r->pos, p));
	r->pos = p;
	return 0;
}

#endif
