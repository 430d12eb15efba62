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
 *
 * What lies outermost is a sequence of items, in JSON joined by commas: usually one, the
 * message, but the payload of a message (see msg.h) is one or two.
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
	/*
	 * Well-formed, but with no counterpart elsewhere: MessagePack's ext types, CBOR's
	 * bignums, integers below -2^63 and unassigned simple values, JSON's numbers that
	 * overflow a double (1e400) or have more than 400 characters.
	 */
	TOKEN_OPAQUE = 11,
	TOKEN_TAG = 12, /* CBOR's; token_next passes it over */
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
	union {
		uint64_t count; /* ARRAY: items; MAP: pairs; or TOKEN_COUNT_UNKNOWN */
		bool b;
		uint64_t u; /* UINT */
		int64_t i;  /* NEGINT */
		double d;
	};
};

/*
 * Values that are wrong although it is clear where they end: text that is not UTF-8
 * (E_UTF8) or has an unpaired surrogate (E_SURROGATE, in JSON), text after U+0000 that
 * is not base64 (E_BASE64, in JSON), the words NaN, Infinity and -Infinity (E_NAN, in
 * JSON), containers that nest too deep (E_DEPTH).
 */
bool token_is_value_error(int err);

struct token_reader {
	enum serializer serializer;
	/*
	 * NULL after token_reader_init: any error ends the reading. If it is set, to a
	 * number that is 0, wrong values are passed over; what their tokens hold is
	 * meaningless. Only token_skip passes over containers that nest too deep, up to
	 * 1,000 levels; the number counts the readers that it is in.
	 */
	unsigned *lenient;
	const uint8_t *start, *pos, *end;
	/* the rest is the implementations' own */
	unsigned depth;       /* containers open (in CBOR tags count as such) */
	uint64_t outstanding; /* sum of the announced items not yet read */
	/* the open containers; 0 is the sequence that lies outermost */
	struct token_frame {
		uint64_t left; /* items (not pairs) left, or TOKEN_COUNT_UNKNOWN */
		uint64_t seen; /* items read */
		uint8_t kind;  /* TOKEN_ARRAY, TOKEN_MAP or TOKEN_TAG */
	} open[WAMP_MAX_DEPTH + 1];
};

/* Lends the bytes to the reader for as long as it and its tokens are used. */
void token_reader_init(struct token_reader *r, enum serializer s, struct slice in);

/*
 * The next token; E_TRUNCATED (also where more is announced than bytes are left),
 * E_SYNTAX, or the error of a wrong value, after which r is unusable. CBOR's tags are
 * passed over: the tagged item is the value. Numbers in JSON: without fraction and
 * exponent they are integers as far as 64 bits carry, else doubles, as JavaScript writes
 * 1e20.
 */
int token_next(struct token_reader *r, struct token *out) MUSTCHECK;

/* The same where only this type is right; else E_TYPE. */
int token_expect(struct token_reader *r, enum token_type type,
		 struct token *out) MUSTCHECK;

/*
 * Checks and passes over one whole item (a value, or a container with all that is in it),
 * faster than by token_next. E_TYPE if a TOKEN_END comes instead, and then nothing was
 * consumed. *item_out, if not NULL, is the item's bytes, without surrounding white space
 * or commas.
 */
int token_skip(struct token_reader *r, struct slice *item_out) MUSTCHECK;

/*
 * TOKEN_ARRAY or TOKEN_MAP if an item that token_skip gave is one, TOKEN_OPAQUE for any
 * other.
 */
enum token_type token_container(enum serializer s, struct slice item);

/* Nothing but white space (JSON) may follow the outermost item: 0 or E_TRAILING. */
int token_end(struct token_reader *r) MUSTCHECK;

/*
 * The characters of a STR (octets of a BIN). Lent by the input if they lie there as they
 * are, otherwise appended to scratch, which must outlive *out. Appending may move what an
 * earlier call gave, unless room was reserved: never more than the length of t->text.
 * E_LIMIT, E_NOMEM.
 */
int token_text(const struct token *t, enum serializer s, struct buf *scratch,
	       struct slice *out) MUSTCHECK;

/* An id (1..2^53) from a UINT, or from a DOUBLE with an integral value, as wampy.js
 * sends. E_TYPE, E_RANGE. */
int token_id(const struct token *t, uint64_t *out) MUSTCHECK;

/*
 * Writes tokens to a buffer. Errors stick in the buffer; E_DEPTH if containers nest more
 * than WAMP_MAX_DEPTH deep. Outermost may lie any number of items, as with the reader. A
 * container of unknown count is begun with TOKEN_COUNT_UNKNOWN; its header is then filled
 * in by token_put_end, which every container needs.
 */
struct token_writer {
	enum serializer serializer;
	struct buf *out;
	/* the rest is the implementations' own */
	unsigned depth;
	struct token_writer_frame {
		size_t header;      /* offset in out of the header to be filled in */
		uint64_t announced; /* items, or TOKEN_COUNT_UNKNOWN */
		uint64_t items;     /* written so far; a pair is two */
		enum token_type kind;
	} open[WAMP_MAX_DEPTH + 1];
};

void token_writer_init(struct token_writer *w, enum serializer s, struct buf *out);
/*
 * NULL, BOOL, UINT, NEGINT, DOUBLE; bits as in struct token. NaN and infinities, and map
 * keys that are not strings, cannot be said in JSON: E_UNSUPPORTED sticks in the buffer.
 */
void token_put(struct token_writer *w, enum token_type type, uint64_t bits);
/*
 * STR: s must be valid UTF-8. In JSON a value that begins with U+0000 would be read as a
 * binary: E_UNSUPPORTED. BIN. */
void token_put_content(struct token_writer *w, enum token_type type, struct slice s);
/* ARRAY or MAP: count items (pairs) and token_put_end must follow. */
void token_open(struct token_writer *w, enum token_type type, uint64_t count);
void token_put_end(struct token_writer *w);
/*
 * items items that are already encoded in this writer's encoding; in JSON they are joined
 * by commas already. They count towards the open container.
 */
void token_put_raw(struct token_writer *w, struct slice encoded, uint64_t items);

static inline void token_put_null(struct token_writer *w)
{
	token_put(w, TOKEN_NULL, 0);
}

static inline void token_put_bool(struct token_writer *w, bool v)
{
	token_put(w, TOKEN_BOOL, v);
}

static inline void token_put_uint(struct token_writer *w, uint64_t v)
{
	token_put(w, TOKEN_UINT, v);
}

static inline void token_put_str(struct token_writer *w, struct slice s)
{
	token_put_content(w, TOKEN_STR, s);
}

static inline void token_put_text(struct token_writer *w, const char *s)
{
	token_put_str(w, slice_str(s));
}

static inline void token_put_array(struct token_writer *w, uint64_t count)
{
	token_open(w, TOKEN_ARRAY, count);
}

static inline void token_put_map(struct token_writer *w, uint64_t pairs)
{
	token_open(w, TOKEN_MAP, pairs);
}

#endif
