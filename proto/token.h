/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One interface to the three encodings: a reader that turns bytes into tokens and a
 * writer that does the reverse. json.c, msgpack.c and cbor.c implement it, nothing above
 * knows which is used.
 *
 * The reader is strict and treats its input as hostile: strings are valid UTF-8, nesting
 * is at most WAMP_MAX_DEPTH, and the items that all open containers still announce never
 * exceed the bytes left, so that a short input cannot promise a huge one. It allocates
 * nothing. Pure code; any thread.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include "common/base.h"
#include "common/buf.h"
#include "proto/wamp.h"

enum token_type {
	TOKEN_NULL = 0,
	TOKEN_UNDEFINED = 1, /* CBOR's undefined, MessagePack's ext type 0 of wampy.js */
	TOKEN_BOOL = 2,
	TOKEN_UINT = 3,   /* an integer >= 0 */
	TOKEN_NEGINT = 4, /* an integer < 0 */
	TOKEN_DOUBLE = 5, /* also half and single precision */
	TOKEN_STR = 6,
	TOKEN_BIN = 7, /* also JSON's "\u0000" + base64 convention */
	TOKEN_ARRAY = 8,
	TOKEN_MAP = 9,
	TOKEN_END = 10, /* of the innermost array or map, also where the encoding has no
			   byte for it */
	TOKEN_OPAQUE =
		11, /* well-formed, but with no counterpart elsewhere: ext types, CBOR's
		       unassigned simple values, integers below -2^63 or above 2^64-1 */
};

/* count of an array or map whose encoding does not announce it (JSON, CBOR's indefinite
 * length) */
#define TOKEN_COUNT_UNKNOWN UINT64_MAX

struct token {
	enum token_type type;
	/*
	 * STR only: text holds JSON escapes (or the chunks of an indefinite CBOR string)
	 * as received; token_text gives the characters. BIN in JSON: text is base64;
	 * token_text gives the octets.
	 */
	bool encoded;
	struct slice text; /* STR, BIN: the content, lent by the input */
	uint64_t count;    /* ARRAY: items; MAP: pairs; or TOKEN_COUNT_UNKNOWN */
	union {
		bool b;
		uint64_t u; /* UINT */
		int64_t i;  /* NEGINT */
		double d;
	};
};

struct token_reader {
	enum serializer serializer;
	const uint8_t *start, *pos, *end;
	unsigned depth;
	/* the implementations' own: what each open container still expects */
	uint64_t outstanding; /* sum of announced items not yet read */
	struct {
		uint64_t left; /* items (not pairs) left, or TOKEN_COUNT_UNKNOWN */
		uint64_t seen; /* items read */
		bool is_map;
	} open[WAMP_MAX_DEPTH];
};

/* Lends the bytes to the reader for as long as it and its tokens are used. */
void token_reader_init(struct token_reader *r, enum serializer s, struct slice in);

/* The next token; E_TRUNCATED, E_SYNTAX, E_UTF8, E_DEPTH or E_LIMIT, after which r is
 * unusable. */
int token_next(struct token_reader *r, struct token *out) MUSTCHECK;

/*
 * Checks and passes over one whole item (a value, or a container with all that is in it),
 * faster than by token_next. E_TYPE if a TOKEN_END comes instead, and then nothing was
 * consumed. *item_out, if not NULL, is the item's bytes, without surrounding white space
 * or commas.
 */
int token_skip(struct token_reader *r, struct slice *item_out) MUSTCHECK;

/* Nothing but white space (JSON) may follow the outermost item: 0 or E_TRAILING. */
int token_end(struct token_reader *r) MUSTCHECK;

/*
 * The characters of a STR (octets of a BIN). Lent by the input if they lie there as they
 * are, otherwise decoded into scratch, which must outlive *out. E_LIMIT if scratch is too
 * small.
 */
int token_text(const struct token *t, enum serializer s, struct buf *scratch,
	       struct slice *out) MUSTCHECK;

/* An id (1..2^53) from a UINT, or from a DOUBLE with an integral value, as wampy.js
 * sends. */
int token_id(const struct token *t, uint64_t *out) MUSTCHECK;

/*
 * Writes tokens to a buffer. Errors stick in the buffer. Containers nest at most
 * WAMP_MAX_DEPTH deep. A container of unknown count is begun with TOKEN_COUNT_UNKNOWN;
 * its header is then filled in by token_put_end, which every container needs.
 */
struct token_writer {
	enum serializer serializer;
	struct buf *out;
	unsigned depth;
	struct {
		size_t header;  /* offset of its header in out, for filling in */
		uint64_t items; /* written so far */
		bool is_map;
		bool unknown;
	} open[WAMP_MAX_DEPTH + 1];
};

void token_writer_init(struct token_writer *w, enum serializer s, struct buf *out);
void token_put_null(struct token_writer *w);
void token_put_bool(struct token_writer *w, bool v);
void token_put_uint(struct token_writer *w, uint64_t v);
void token_put_int(struct token_writer *w, int64_t v);
/* NaN and infinities cannot be said in JSON: E_UNSUPPORTED sticks in the buffer. */
void token_put_double(struct token_writer *w, double v);
/* s must be valid UTF-8. */
void token_put_str(struct token_writer *w, struct slice s);
void token_put_bin(struct token_writer *w, struct slice s);
void token_put_array(struct token_writer *w, uint64_t count);
void token_put_map(struct token_writer *w, uint64_t pairs);
void token_put_end(struct token_writer *w);
/*
 * items items that are already encoded in this writer's encoding; in JSON they are joined
 * by commas already. They count towards the open container.
 */
void token_put_raw(struct token_writer *w, struct slice encoded, uint64_t items);

static inline void token_put_text(struct token_writer *w, const char *s)
{
	token_put_str(w, slice_str(s));
}

#endif
