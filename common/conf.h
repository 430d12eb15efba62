/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: YAML (and so JSON), read into structs under the direction of
 * constant tables of keys. A table says of each key its name, type, bounds, default and
 * the field it goes to; nothing else in the program looks at the file.
 *
 * Every error names file, line and column and says what would be right, and one run names
 * them all, but for those that may only follow from others. Unknown keys and keys given
 * twice are errors. Aliases, anchors, tags and further documents are refused. A file is
 * UTF-8, with or without a byte order mark, at most 1 MiB, nested at most 16 deep; lists
 * have the bounds of their row, and texts of a list differ.
 *
 * No state; any thread.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/base.h"
#include "common/pool.h"

#include <sys/types.h>

enum {
	CONF_MAX_FILE = 1 << 20, /* bytes */
	CONF_MAX_DEPTH = 16,
	CONF_MAX_SOCKET = 107, /* bytes of a Unix socket's path, as the system allows */
};

/*
 * What is wrong with a file, or else the warnings about it. Lines "file:line:column: what
 * is wrong and what would be right", without a line feed behind the last.
 */
struct conf_error {
	size_t warnings; /* lines are "file:line:column: warning: ..." */
	size_t len;      /* of text, but for "... and 3 more" */
	size_t left_out; /* lines that had no room */
	char text[8192];
};

/* What a value may be, and the type of the field it goes to. */
enum conf_type {
	CONF_BOOL = 0, /* bool: true or false */
	CONF_INT = 1,  /* int: a decimal number */
	CONF_SIZE = 2, /* size_t, bytes: a number, or one with KiB, MiB or GiB */
	CONF_MS = 3,   /* uint32_t, milliseconds: a number of them, or with ms, s, min */
	CONF_STRING = 4,   /* const char *: not empty; NULL if absent */
	CONF_TEXT = 5,     /* the same, but may be empty */
	CONF_ENUM = 6,     /* an int or enum: one of names */
	CONF_FLAGS = 7,    /* unsigned: a list of names, bit i for the i-th */
	CONF_STRINGS = 8,  /* struct conf_strings: a list of strings */
	CONF_MAP = 9,      /* a struct: a map of the keys of table */
	CONF_LIST = 10,    /* array and count: a list of such maps */
	CONF_NAMED = 11,   /* the same from a map of names; each goes to its element's
			      first field, a const char * */
	CONF_FIXED = 12,   /* no field: a bool that can only be def as yet; see text */
	CONF_IGNORED = 13, /* no field: accepted, without effect */
	CONF_UNSUPPORTED = 14, /* no field: refused; text says what to do instead */
	CONF_TYPE_COUNT = 15,
};

struct conf_strings {
	const char **items;
	size_t count;
};

/* What a text must be, beyond being one. */
struct conf_rule {
	bool (*ok)(const char *text);
	const char *otherwise; /* the message */
};

struct conf_table;

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t at;       /* offset of the field */
	size_t count_at; /* LIST, NAMED: offset of the size_t that gets the count */
	bool required;   /* else an absent key gets its default */
	/* INT, SIZE, MS: of the value; FLAGS, STRINGS, LIST, NAMED: of the number of
	 * elements; STRING, TEXT: max alone, of its bytes, 0: any number */
	int64_t min, max;
	int64_t def; /* BOOL, INT, SIZE, MS, ENUM, FLAGS, FIXED */
	/*
	 * STRING, TEXT: the default. INT: a word that may stand for def, such as "auto".
	 * FIXED, UNSUPPORTED: what the message says of the key; NULL: "is not supported
	 * yet", and to leave it out.
	 */
	const char *text;
	const char *const *names; /* ENUM, FLAGS: what may be said; ends with NULL */
	const char *const *later; /* ENUM: known, but not supported yet; or NULL */
	const struct conf_rule
		*rule; /* STRING, TEXT, STRINGS, the names of NAMED; or NULL */
	const struct conf_table *table; /* MAP, LIST, NAMED */
};

struct conf; /* one file, while it is read */

struct conf_table {
	const char *what; /* for messages: "the transport" */
	size_t size;      /* of the struct that it fills */
	const struct conf_key *keys;
	size_t n_keys;
	/*
	 * Called when a map was read into its struct, those inside it before it; may be
	 * NULL. Checks what a row cannot say, and fills fields that no key fills. Returns
	 * 0 or what conf_fail returned; it may call that several times. Not called for a
	 * map in which something is wrong, unless check_anyway says so: then it asks
	 * conf_broken before it looks at a field.
	 */
	int (*check)(struct conf *c, void *map);
	bool check_anyway;
};

/* A table of these rows for a struct of this type: CONF_TABLE("the x", struct x, x_keys,
 * check_x). */
#define CONF_TABLE(title, type, rows, checker)                                           \
	{                                                                                \
		.what = (title), .size = sizeof(type), .keys = (rows),                   \
		.n_keys = ARRAY_LEN(rows), .check = (checker),                           \
	}

/*
 * The offset of a field, which must be of this type: CONF_AT(struct x, port, int). For
 * rows written by hand; the macros below use it.
 */
#define CONF_AT(s, field, type)                                                          \
	(offsetof(s, field) +                                                            \
	 0 * sizeof(struct {                                                             \
		 char c;                                                                 \
		 _Static_assert(__builtin_types_compatible_p(                            \
					__typeof__(((s *)0)->field), type),              \
				"the field is of another type");                         \
	 }))

/*
 * A row for a field of the type that its kind asks for (see CONF_TYPE_x); more is
 * designated: CONF_KEY("port", INT, struct listener, port, .min = 1, .max = 65535).
 */
#define CONF_TYPE_BOOL    bool
#define CONF_TYPE_INT     int
#define CONF_TYPE_SIZE    size_t
#define CONF_TYPE_MS      uint32_t
#define CONF_TYPE_STRING  const char *
#define CONF_TYPE_TEXT    const char *
#define CONF_TYPE_FLAGS   unsigned
#define CONF_TYPE_STRINGS struct conf_strings
#define CONF_KEY(key, kind, s, field, ...)                                               \
	CONF_KEY_OF(key, kind, s, field, CONF_TYPE_##kind, __VA_ARGS__)
/* The same where the field's type is the caller's: ENUM and MAP. */
#define CONF_KEY_OF(key, kind, s, field, ftype, ...)                                     \
	{                                                                                \
		.name = key, .type = CONF_##kind, .at = CONF_AT(s, field, ftype),        \
		__VA_ARGS__                                                              \
	}
/* LIST and NAMED: an array of etype at field, the count at n_field. */
#define CONF_ARRAY_KEY(key, kind, s, field, n_field, etype, ...)                         \
	{                                                                                \
		.name = key, .type = CONF_##kind, .at = CONF_AT(s, field, etype *),      \
		.count_at = CONF_AT(s, n_field, size_t), __VA_ARGS__                     \
	}

/*
 * Reads a file, which must be one map, into the struct that table describes. Everything
 * that the struct then points to belongs to pool, also after an error. 0; E_SYS: the file
 * cannot be read; E_SYNTAX: something in it is wrong; E_NOMEM. *err_out says what,
 * and after 0 it has the warnings.
 */
int conf_load(const char *path, const struct conf_table *table, void *into,
	      struct pool *pool, struct conf_error *err_out) MUSTCHECK;

/* The same from memory; name stands for the file in messages. */
int conf_parse(struct slice text, const char *name, const struct conf_table *table,
	       void *into, struct pool *pool, struct conf_error *err_out) MUSTCHECK;

/* Logs the warnings of a file that was read. */
void conf_log_warnings(const struct conf_error *err);

/* ---- for the tables' check functions ---- */

/*
 * The uids of users that were given by name or number. A name that the system does not
 * know is an error at its place. names may be empty: then so is *uids_out, NULL.
 */
int conf_uids(struct conf *c, const struct conf_strings *names, uid_t **uids_out,
	      size_t *n_out) MUSTCHECK;

/* The mode of a socket's file, "0660": a rule for its key, and its value. */
extern const struct conf_rule conf_mode_rule;
mode_t conf_mode(const char *text);

/* Does the file give this field? Found by its address, as with conf_fail. */
bool conf_given(const struct conf *c, const void *field);

/*
 * Is anything wrong with the value of this field, or with that of this element of a LIST
 * or NAMED? A required field that the file does not give counts.
 */
bool conf_broken(const struct conf *c, const void *field);
/* Is nothing wrong anywhere, so far? */
bool conf_clean(const struct conf *c);

/* Where derived things are allocated. */
struct pool *conf_pool(struct conf *c);

/*
 * Says what is wrong with a field that the file gave; its place is found by the field's
 * address, which must lie in a struct that is being or was filled. The struct of a MAP
 * has no place, only its fields do; an element of a LIST has that of its first field if
 * the file gave it, else its own. NULL, or a field that the file did not give: the place
 * of the map that is being checked. Returns E_SYNTAX.
 */
int conf_fail(struct conf *c, const void *field, const char *fmt, ...)
	PRINTF_LIKE(3, 4) MUSTCHECK;

/* As conf_fail, but a warning: it is allowed, but has no effect or too much of it. */
void conf_warn(struct conf *c, const void *field, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Memory ran out. Returns E_NOMEM. */
int conf_fail_nomem(struct conf *c) MUSTCHECK;

#endif
