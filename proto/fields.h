/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack maps as structs, by a table of keys: one description serves reading and
 * writing, so that the two cannot disagree. Used by auth_api and admin_api. Pure code;
 * any thread.
 *
 * Reading passes over unknown keys, and is strict in everything else: types, bounds,
 * double keys. A value of nil is as good as none. What is not there has its default.
 */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H

#include "common/base.h"
#include "proto/token.h"

enum field_type {
	FIELD_STR = 0,       /* struct slice: text of 1 to max bytes; len 0: absent */
	FIELD_URI = 1,       /* struct slice: as FIELD_STR, and a loose URI */
	FIELD_KEY = 2,       /* struct field_key: 64 hex digits, of either case */
	FIELD_KEYS = 3,      /* struct field_keys: an array of these */
	FIELD_UINT = 4,      /* uint64_t up to max; FIELD_NONE: absent */
	FIELD_BOOL = 5,      /* bool */
	FIELD_FLAGS = 6,     /* unsigned: an array of names, bit i is names[i]; unknown
				names are passed over */
	FIELD_VERSION = 7,   /* struct field_version: [major, minor] */
	FIELD_RAW_MAP = 8,   /* struct slice: an encoded map; len 0: absent */
	FIELD_RAW_ARRAY = 9, /* struct slice: an encoded array; len 0: absent */
	FIELD_STRUCT = 10,   /* a struct with a table of its own, a map on the wire */
	FIELD_NAME = 11,     /* unsigned, or an enum: one of the names, i is names[i] */
	FIELD_SOLE_KEY = 12, /* struct field_keys: one more of them; written if there is
				no other */
};

#define FIELD_NONE UINT64_MAX

/* Public keys are octets as soon as they are read: hex digits have two cases. */
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
	uint64_t major, minor; /* of 32 bits */
};

enum {
	FIELD_REQUIRED = 1,  /* reading fails without it */
	FIELD_OR_NIL = 2,    /* writing says nil where it is absent, instead of nothing */
	FIELD_STRICT = 4,    /* of FIELD_STRUCT: unknown keys are an error */
	FIELD_NOT_EMPTY = 8, /* of a text or number: if it is said, then not as "" or nil
			      */
	FIELD_SEVERAL = 16,  /* of FIELD_KEYS: written only if there is more than one */
};

struct field_table;
struct field {
	const char *key;
	enum field_type type;
	unsigned flags;
	size_t offset; /* in the struct */
	uint64_t max;  /* STR, URI: bytes; UINT: value; 0: FIELD_DEFAULT_MAX, or any */
	uint64_t def;  /* UINT, BOOL: the value where it is absent */
	const struct field_table *table; /* STRUCT */
	const char *const *names;        /* FLAGS, NAME: up to NULL */
};

enum { FIELD_DEFAULT_MAX = 255 };

struct field_table {
	const struct field *fields; /* at most 64 */
	size_t n;
	size_t size; /* of the struct */
};

/*
 * A row for a field of struct s that is called as its key. Behind the type come the
 * flags, and designated what else there is to say: FIELD(auth_closed, session,
 * FIELD_UINT, FIELD_REQUIRED, .max = WAMP_MAX_ID)
 */
#define FIELD(s, field, ...) FIELD_AS(#field, s, field, __VA_ARGS__)
/* The same for a field with another name. */
#define FIELD_AS(name, s, field, ...)                                                    \
	{                                                                                \
		.key = (name), .offset = offsetof(struct s, field), .type = __VA_ARGS__  \
	}

/* The table of struct s, whose rows are the array s_fields. */
#define FIELD_TABLE(s)                                                                   \
	{                                                                                \
		.fields = s##_fields, .n = ARRAY_LEN(s##_fields),                        \
		.size = sizeof(struct s)                                                 \
	}

/* Every field is absent: *out is zeroed, and has the defaults. */
void fields_init(const struct field_table *t, void *out);

/*
 * Reads a map at the reader's place into a struct, which fields_init has filled. Slices
 * are lent by the reader's input. E_TYPE, E_RANGE, E_EXISTS (a key twice), E_NOTFOUND (a
 * required one is missing), E_LIMIT (too many keys in a FIELD_KEYS), E_UNKNOWN
 * (FIELD_STRICT, FIELD_NAME), or an error of the reader. *out is then half filled, and
 * *bad_out, unless it is NULL, is the field that has failed, or NULL if it was none.
 */
int fields_read(struct token_reader *r, const struct field_table *t, void *out,
		const struct field **bad_out) MUSTCHECK;

/* What was wrong with a field and what was expected: "pubkey: expected 64 hex digits".
 * err is what fields_read gave, and not 0. */
void fields_explain(const struct field *bad, int err, char *text, size_t size);

/* Writes it as a map. */
void fields_write(struct token_writer *w, const struct field_table *t, const void *in);

/*
 * The same for a whole encoded item, and for params that are an array of it alone, after
 * fields_init. E_TRAILING; E_TYPE for params of another number.
 */
int fields_read_item(struct slice in, const struct field_table *t, void *out) MUSTCHECK;
int fields_read_params(struct slice in, const struct field_table *t, void *out) MUSTCHECK;
void fields_write_item(struct buf *out, const struct field_table *t, const void *in);
void fields_write_params(struct buf *out, const struct field_table *t, const void *in);

/* Enters an array that must have n elements, and leaves it, at the end of the input. */
int fields_begin_params(struct token_reader *r, struct slice params,
			uint64_t n) MUSTCHECK;
int fields_end_params(struct token_reader *r) MUSTCHECK;

/* The next item of the params, where it may be nil: *out then stays as it is. E_TYPE. */
int fields_read_str_or_nil(struct token_reader *r, struct slice *out) MUSTCHECK;

/* The 32 octets of 64 hex digits of either case; E_TYPE if they are something else. */
int fields_key_decode(struct slice hex, uint8_t out[FIELD_KEY_LEN]) MUSTCHECK;

/* The digits, in lower case, with a terminator. */
void fields_key_encode(const uint8_t key[FIELD_KEY_LEN], char out[2 * FIELD_KEY_LEN + 1]);

#endif
