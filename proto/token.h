/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One interface to all encodings: a reader that converts bytes to tokens, and a
 * writer that does the reverse. json.c, msgpack.c, cbor.c and ubjson.c implement it; code
 * that uses it does not depend on the encoding. No state; any thread.
 *
 * The reader is strict, since its input may be hostile. Strings must be valid UTF-8, and
 * nesting is at most WAMP_MAX_DEPTH. A short input cannot announce a huge container: the
 * reader fails if more items are announced than there are bytes left, or more than
 * TOKEN_MAX_IMPLIED that take no bytes. The reader allocates nothing.
 *
 * The outermost level is a sequence of items, which commas separate in JSON. Usually it
 * is one item, the message, but the payload of a message (see msg.h) is one or two.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include "common/base.h"
#include "common/buf.h"
#include "proto/wamp.h"

enum token_type {
	TOKEN_NULL = 0,
	/* CBOR's undefined, or MessagePack's ext type 0, which wampy.js sends for it. */
	TOKEN_UNDEFINED = 1,
	TOKEN_BOOL = 2,
	TOKEN_UINT = 3,   /* a non-negative integer */
	TOKEN_NEGINT = 4, /* a negative integer */
	TOKEN_DOUBLE = 5, /* also half and single precision */
	TOKEN_STR = 6,
	TOKEN_BIN = 7, /* also JSON's "\u0000" with base64 */
	TOKEN_ARRAY = 8,
	TOKEN_MAP = 9,
	/*
	 * The end of the innermost array or map, even if the encoding has no byte for it.
	 */
	TOKEN_END = 10,
	/*
	 * A well-formed value that other encodings cannot express: MessagePack's ext
	 * types; CBOR's unassigned simple values; numbers in decimal with a fraction or
	 * an exponent: those of JSON that overflow a double (1e400) or have more than 400
	 * characters, and all of UBJSON.
	 */
	TOKEN_OPAQUE = 11,
	TOKEN_TAG = 12, /* CBOR's tag; token_next skips it */
	/*
	 * An integer of any length that is neither a UINT nor a NEGINT: CBOR's bignums
	 * (tags 2 and 3) and integers below -2^63, and the long integers of JSON and
	 * UBJSON.
	 */
	TOKEN_BIGINT = 13,
	TOKEN_DATE = 14, /* CBOR's tags 0 and 1, and MessagePack's timestamp */
};

/*
 * The count of a container that does not announce it: all containers in JSON, those of
 * indefinite length in CBOR, and those without '#' in UBJSON.
 */
#define TOKEN_COUNT_UNKNOWN UINT64_MAX

struct token {
	enum token_type type;
	/*
	 * STR: text still has JSON escapes, or the chunks of an indefinite CBOR string;
	 * token_text gives the characters. BIN in JSON: text is base64; token_text gives
	 * the octets. BIGINT in CBOR, DATE: text is the item as it was received;
	 * token_text gives what is described there.
	 */
	bool encoded;
	/*
	 * The item has a CBOR tag that gives it another meaning than the token says: any
	 * but 55799 (self-described CBOR), 64 of a BIN, and those of a BIGINT or DATE.
	 */
	bool tagged;
	uint64_t tag; /* the outermost such tag, if tagged is set */
	/* STR, BIN, BIGINT, DATE: the content; points into the input */
	struct slice text;
	union {
		uint64_t count; /* ARRAY: items; MAP: pairs; or TOKEN_COUNT_UNKNOWN */
		bool b;
		uint64_t u; /* UINT */
		int64_t i;  /* NEGINT */
		double d;   /* DOUBLE; BIGINT in JSON: the nearest double */
	};
};

/*
 * Is this the error of a wrong value in a well-formed message? The end of such a value is
 * known, so a lenient reader can skip it. Wrong values are text that is not UTF-8
 * (E_UTF8), containers nested too deep (E_DEPTH), and in JSON an unpaired surrogate
 * (E_SURROGATE), text after U+0000 that is not base64 (E_BASE64), NaN and Infinity
 * (E_NAN).
 */
bool token_is_value_error(int err);

/*
 * How many items may take no bytes in one input. In UBJSON the head of an array may give
 * the only value of all its items: 6 bytes could stand for a thousand nulls, and a short
 * message would become a long one in JSON. The limit is the same for all inputs, so what
 * is within it in a message is so in any part of the message.
 */
enum { TOKEN_MAX_IMPLIED = 64 };

struct token_reader {
	enum serializer serializer;
	/*
	 * token_reader_init sets it to NULL: any error ends the reading. To make the
	 * reader lenient, point it to a counter that is 0. A lenient reader skips wrong
	 * values, and their tokens have no meaning. Only token_skip can skip a container
	 * that is nested too deep, up to 1,000 levels. It calls itself with another
	 * reader for each WAMP_MAX_DEPTH levels; the counter bounds this recursion.
	 */
	unsigned *lenient;
	const uint8_t *start, *pos, *end;
	/* The fields below are for token.c and the encodings only. */
	unsigned depth;   /* containers that are open; in CBOR a tag counts as one */
	unsigned implied; /* UBJSON: items without bytes that were announced so far */
	/*
	 * Items that the open containers have announced and that are not read yet, except
	 * those without bytes.
	 */
	uint64_t outstanding;
	/* The open containers. open[0] is the outermost sequence. */
	struct token_frame {
		uint64_t left;  /* items (not pairs) left, or TOKEN_COUNT_UNKNOWN */
		uint64_t seen;  /* items read */
		uint8_t kind;   /* TOKEN_ARRAY, TOKEN_MAP or TOKEN_TAG */
		uint8_t marker; /* UBJSON: the type of all values, or 0 */
	} open[WAMP_MAX_DEPTH + 1];
};

/*
 * Starts reading `in`, which must stay valid as long as the reader and its tokens are
 * used.
 */
void token_reader_init(struct token_reader *r, enum serializer s, struct slice in);

/*
 * Reads the next token. E_TRUNCATED (also if more items are announced than bytes are
 * left), E_LIMIT (TOKEN_MAX_IMPLIED), E_SYNTAX, or the error of a wrong value; after an
 * error r must not be used. CBOR's tags are skipped, so the token is the tagged item. In
 * JSON, and in UBJSON's high-precision numbers, a number without fraction and exponent is
 * a UINT or NEGINT if it fits, else a BIGINT.
 */
int token_next(struct token_reader *r, struct token *out) MUSTCHECK;

/* Reads the next token, which must be of this type, else E_TYPE. */
int token_expect(struct token_reader *r, enum token_type type,
		 struct token *out) MUSTCHECK;

/*
 * Checks and skips one whole item: a scalar, or a container with everything in it. Faster
 * than token_next. E_TYPE if the container ends here (TOKEN_END); nothing is read then.
 * If item_out is not NULL, *item_out gets the item's bytes, without surrounding white
 * space or commas. In UBJSON this is E_UNSUPPORTED for a key and in a typed container,
 * because there the bytes mean nothing without the container.
 */
int token_skip(struct token_reader *r, struct slice *item_out) MUSTCHECK;

/*
 * The type of an item that token_skip returned: TOKEN_ARRAY, TOKEN_MAP, or TOKEN_OPAQUE
 * for any other.
 */
enum token_type token_container(enum serializer s, struct slice item);

/*
 * Reads one whole item, which may be a key. *out is its text, or empty if it is not a
 * string or if scratch, which is cleared first, has no room for it. E_NOMEM, the errors
 * of token_next, or E_TYPE if the container ends here.
 */
int token_item_text(struct token_reader *r, struct buf *scratch,
		    struct slice *out) MUSTCHECK;

/*
 * Is the innermost open container typed? This is possible only in UBJSON. token_skip
 * cannot return the bytes of its items.
 */
static inline bool token_in_typed(const struct token_reader *r)
{
	return r->serializer == SERIALIZER_UBJSON && r->open[r->depth].marker != 0;
}

/* Checks that only white space (in JSON) follows the outermost item. 0 or E_TRAILING. */
int token_end(struct token_reader *r) MUSTCHECK;

/*
 * Gets the characters of a STR, the octets of a BIN, the decimal digits of a BIGINT, or
 * date_pack's bytes of a DATE. *out points into the input if no decoding is needed.
 * Otherwise the result is appended to scratch, which must outlive *out. Appending may
 * move earlier results, unless the caller has reserved room: a STR and a BIN need at most
 * t->text.len bytes. E_LIMIT, E_NOMEM; E_UNSUPPORTED: the BIGINT has more than 512 bits,
 * or the DATE is not a date or not exactly a number of nanoseconds.
 */
int token_text(const struct token *t, enum serializer s, struct buf *scratch,
	       struct slice *out) MUSTCHECK;

/*
 * Converts an id (1..2^53) from a UINT, or from a DOUBLE with an integral value, which
 * wampy.js sends. E_TYPE, E_RANGE.
 */
int token_id(const struct token *t, uint64_t *out) MUSTCHECK;

/*
 * Writes tokens to a buffer, which keeps the first error; the error is E_DEPTH if
 * containers nest deeper than WAMP_MAX_DEPTH. The outermost level may have any number of
 * items, as in the reader. Every container needs a token_put_end. If its count is not
 * known in advance, open it with TOKEN_COUNT_UNKNOWN; then token_put_end fills in its
 * head.
 */
struct token_writer {
	enum serializer serializer;
	struct buf *out;
	/* The fields below are for token.c and the encodings only. */
	unsigned depth;
	struct token_writer_frame {
		size_t header;      /* offset in out of the head to fill in */
		uint64_t announced; /* items, or TOKEN_COUNT_UNKNOWN */
		uint64_t items;     /* items written so far; a pair is two */
		enum token_type kind;
	} open[WAMP_MAX_DEPTH + 1];
};

void token_writer_init(struct token_writer *w, enum serializer s, struct buf *out);
/*
 * Writes a NULL, BOOL, UINT, NEGINT or DOUBLE. bits are the bits of the value in struct
 * token. JSON cannot express NaN and infinities, JSON and UBJSON cannot express map keys
 * that are not strings: the buffer gets E_UNSUPPORTED.
 */
void token_put(struct token_writer *w, enum token_type type, uint64_t bits);
/*
 * Writes a STR, which must be valid UTF-8, or a BIN. In JSON a STR value that begins with
 * U+0000 would be read as a binary: the buffer gets E_UNSUPPORTED.
 */
void token_put_content(struct token_writer *w, enum token_type type, struct slice s);
/*
 * Writes a BIGINT or a DATE; s is what token_text gives. If this encoding cannot express
 * it, the buffer gets E_UNSUPPORTED.
 */
void token_put_special(struct token_writer *w, enum token_type type, struct slice s);
/* Begins an ARRAY or MAP. count items or pairs must follow, then token_put_end. */
void token_open(struct token_writer *w, enum token_type type, uint64_t count);
void token_put_end(struct token_writer *w);
/*
 * Writes `items` items that are already in the writer's encoding, in JSON with commas
 * between them. They count as items of the open container. In a UBJSON map, they must not
 * begin with a key.
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
