/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts between MessagePack maps and structs. One table of keys describes both reading
 * and writing, so that they cannot differ. auth_api and admin_api use it. No state; any
 * thread.
 *
 * Reading skips unknown keys and is strict otherwise: it checks types and bounds and
 * rejects duplicate keys. A nil value counts as absent, and an absent field gets its
 * default.
 */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H

#include "common/base.h"
#include "proto/token.h"

enum field_type {
	FIELD_STR = 0,  /* struct slice: text of 1 to max bytes; len 0: absent */
	FIELD_URI = 1,  /* struct slice: like FIELD_STR, and a valid URI (loose rules) */
	FIELD_KEY = 2,  /* struct field_key: 64 hex digits, upper or lower case */
	FIELD_KEYS = 3, /* struct field_keys: an array of such keys */
	FIELD_UINT = 4, /* uint64_t up to max; FIELD_NONE: absent */
	FIELD_BOOL = 5, /* bool */
	/*
	 * unsigned: an array of names; bit i stands for names[i]. Unknown names are
	 * skipped.
	 */
	FIELD_FLAGS = 6,
	FIELD_VERSION = 7,   /* struct field_version: [major, minor] */
	FIELD_RAW_MAP = 8,   /* struct slice: an encoded map; len 0: absent */
	FIELD_RAW_ARRAY = 9, /* struct slice: an encoded array; len 0: absent */
	FIELD_STRUCT = 10,   /* a struct with its own table; a map on the wire */
	FIELD_NAME = 11, /* unsigned or enum: a name; the value i stands for names[i] */
	/* struct field_keys: adds one key. Written only if it is the only one. */
	FIELD_SOLE_KEY = 12,
	FIELD_BIN = 13, /* struct slice: binary of at most max bytes; len 0: absent */
};

#define FIELD_NONE UINT64_MAX

/*
 * Public keys are stored as octets, since the same hex digits can be written in two
 * cases.
 */
enum { FIELD_KEY_LEN = 32, FIELD_MAX_KEYS = 16 };
struct field_key {
	bool there;
	uint8_t octets[FIELD_KEY_LEN];
};

struct field_keys {
	unsigned n;
	uint8_t key[FIELD_MAX_KEYS][FIELD_KEY_LEN];
};

struct field_version {
	uint64_t major, minor; /* each at most 32 bits */
};

enum {
	FIELD_REQUIRED = 1, /* reading fails if it is absent */
	FIELD_OR_NIL = 2,   /* writes nil if it is absent, instead of leaving it out */
	FIELD_STRICT = 4,   /* FIELD_STRUCT: unknown keys are an error */
	/* Text or number: may be absent, but must not be "" or nil. */
	FIELD_NOT_EMPTY = 8,
	FIELD_SEVERAL = 16, /* FIELD_KEYS: written only if there are two or more keys */
};

struct field_table;
struct field {
	const char *key;
	enum field_type type;
	unsigned flags;
	size_t offset; /* in the struct */
	/*
	 * STR, URI, BIN: the most bytes; 0 means FIELD_DEFAULT_MAX. UINT: the largest
	 * value; 0 means INT64_MAX.
	 */
	uint64_t max;
	uint64_t def;                    /* UINT, BOOL: the value if it is absent */
	const struct field_table *table; /* STRUCT */
	const char *const *names;        /* FLAGS, NAME; NULL ends the list */
};

enum { FIELD_DEFAULT_MAX = 255 };

struct field_table {
	const struct field *fields; /* at most 64 */
	size_t n;
	size_t size; /* of the struct */
};

/*
 * A row for a field of struct s whose key is its name. After the type come the flags,
 * then designated initialisers: FIELD(auth_closed, session, FIELD_UINT, FIELD_REQUIRED,
 * .max = WAMP_MAX_ID).
 */
#define FIELD(s, field, ...) FIELD_AS(#field, s, field, __VA_ARGS__)
/* The same for a key that differs from the field's name. */
#define FIELD_AS(name, s, field, ...)                                                    \
	{                                                                                \
		.key = (name), .offset = offsetof(struct s, field), .type = __VA_ARGS__  \
	}

/* The table of struct s. The array s_fields has its rows. */
#define FIELD_TABLE(s)                                                                   \
	{                                                                                \
		.fields = s##_fields, .n = ARRAY_LEN(s##_fields),                        \
		.size = sizeof(struct s)                                                 \
	}

/* Sets all fields to absent: zeroes *out and sets the defaults. */
void fields_init(const struct field_table *t, void *out);

/*
 * Reads the map at the reader's position into a struct, which fields_init has
 * initialised. Slices point into the reader's input. E_TYPE, E_RANGE, E_EXISTS (duplicate
 * key), E_NOTFOUND (a required field is absent), E_LIMIT (too many keys in a FIELD_KEYS),
 * E_UNKNOWN (FIELD_STRICT, FIELD_NAME), or an error of the reader. After an error *out is
 * partly filled; *bad_out, if bad_out is not NULL, is the field at fault, or NULL if no
 * field is.
 */
int fields_read(struct token_reader *r, const struct field_table *t, void *out,
		const struct field **bad_out) MUSTCHECK;

/*
 * Writes what is wrong with a field and what is expected: "pubkey: expected 64 hex
 * digits". err is the error of fields_read, not 0.
 */
void fields_explain(const struct field *bad, int err, char *text, size_t size);

/*
 * Like fields_explain, for parameters that fields_read_params cannot read into out. Reads
 * them into out again.
 */
void fields_explain_params(struct slice in, const struct field_table *t, void *out,
			   char *text, size_t size);

/* Writes a struct as a map. */
void fields_write(struct token_writer *w, const struct field_table *t, const void *in);

/*
 * Like fields_read and fields_write, for an encoded item, or for parameters that are an
 * array of one map. The readers call fields_init themselves. E_TRAILING: more bytes
 * follow. E_TYPE: the array does not have one element.
 */
int fields_read_item(struct slice in, const struct field_table *t, void *out) MUSTCHECK;
int fields_read_params(struct slice in, const struct field_table *t, void *out) MUSTCHECK;
void fields_write_item(struct buf *out, const struct field_table *t, const void *in);
void fields_write_params(struct buf *out, const struct field_table *t, const void *in);

/*
 * begin_params enters an array that must have n elements. end_params leaves it and checks
 * that the input ends there.
 */
int fields_begin_params(struct token_reader *r, struct slice params,
			uint64_t n) MUSTCHECK;
int fields_end_params(struct token_reader *r) MUSTCHECK;

/* Reads a string of 1 to max bytes. E_TYPE, E_RANGE. */
int fields_read_text(struct token_reader *r, size_t max, struct slice *out) MUSTCHECK;
/* Reads a string or nil. On nil *out is unchanged. E_TYPE: it is something else. */
int fields_read_str_or_nil(struct token_reader *r, struct slice *out) MUSTCHECK;
/* Writes a string, or nil if it is empty. */
void fields_put_str_or_nil(struct token_writer *w, struct slice s);

/* Converts 64 hex digits of either case to 32 octets. E_TYPE if hex is something else. */
int fields_key_decode(struct slice hex, uint8_t out[FIELD_KEY_LEN]) MUSTCHECK;

/* Converts a key to lower-case hex digits and a terminator. */
void fields_key_encode(const uint8_t key[FIELD_KEY_LEN], char out[2 * FIELD_KEY_LEN + 1]);

#endif
