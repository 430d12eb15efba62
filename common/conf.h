/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads configuration files into structs. The files are YAML, of which JSON is a subset.
 * A constant table describes each key: name, type, bounds, default and the field that
 * gets the value. No other code looks at the file.
 *
 * Every error names file, line and column and says what is expected. One run reports all
 * errors, except those that only follow from others. An unknown key is an error, and so
 * is a key given twice, except for foreign keys (struct conf_foreign). Aliases, anchors,
 * tags and further documents are errors. A file is UTF-8, with or without a byte order
 * mark, at most 1 MiB long and nested at most 16 deep. A table row bounds the length of a
 * list; the texts of a list must differ from each other.
 *
 * No state; any thread.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/base.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/pool.h"

#include <sys/types.h>

enum {
	CONF_MAX_FILE = 1 << 20, /* bytes */
	CONF_MAX_DEPTH = 16,
	CONF_MAX_SOCKET = 107, /* bytes of a Unix socket's path; the system's limit */
};

/*
 * The errors in a file or, if there are none, the warnings about it. Each is a line
 * "file:line:column: what is wrong and what is expected". The last line has no line feed.
 */
struct conf_error {
	size_t warnings; /* number of lines "file:line:column: warning: ..." */
	size_t len;      /* bytes of text, without the line "... and 3 more" */
	size_t left_out; /* lines that did not fit */
	char text[8192];
};

/*
 * The type of a value, and of the field that it is stored in. The types from BOOL to
 * FLAGS are stored as numbers.
 */
enum conf_type {
	CONF_BOOL = 0, /* bool: true or false */
	CONF_INT = 1,  /* int: a decimal number, without a unit */
	CONF_SIZE = 2, /* size_t, in bytes: a number, which KiB, MiB or GiB may follow */
	/* uint32_t, in milliseconds: a number, which ms, s or min may follow. */
	CONF_MS = 3,
	CONF_MODE = 4,    /* mode_t: the mode of a socket's file, "0660" */
	CONF_ENUM = 5,    /* int or enum: the index of one of names */
	CONF_FLAGS = 6,   /* unsigned: a list of names; bit i is set for names[i] */
	CONF_STRING = 7,  /* const char *: a text; NULL if absent */
	CONF_STRINGS = 8, /* struct conf_strings: a list of different texts */
	CONF_USERS = 9,   /* struct conf_users: a list of users, by name or uid */
	CONF_MAP = 10,    /* a struct, filled from a map with the keys of table */
	CONF_LIST = 11,   /* an array and its count, filled from a list of such maps */
	/*
	 * Like CONF_LIST, but filled from a map of names to maps. The first field of
	 * each element, a const char *, gets the name.
	 */
	CONF_NAMED = 12,
};

struct conf_strings {
	const char **items;
	size_t count;
};

struct conf_users {
	uid_t *uids;
	size_t count;
};

/* A condition that a text must fulfil. */
struct conf_rule {
	bool (*ok)(const char *text);
	const char *otherwise; /* the error message for a text that does not */
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t at;         /* offset of the field in the struct */
	size_t count_at;   /* LIST, NAMED: offset of the size_t for the count */
	bool required;     /* if not, the field of an absent key gets its default */
	bool may_be_empty; /* STRING */
	bool reloads;      /* a reload applies a changed value; see conf_changes */
	/*
	 * LIST: the first field of an element is a name, which no other element may have.
	 */
	bool names_differ;
	/*
	 * INT, SIZE, MS: bounds of the value. FLAGS, STRINGS, USERS, LIST, NAMED: bounds
	 * of the number of elements. STRING: max is the greatest length in bytes, 0 for
	 * no limit.
	 */
	int64_t min, max;
	int64_t def; /* the default of a number */
	/* STRING: the default. INT: a word that stands for def, such as "auto". BOOL,
	 * MAP, LIST: the end of the error message about another value, or NULL. */
	const char *text;
	const char *const *names; /* ENUM, FLAGS: the values; NULL ends the list */
	const char *const *later; /* ENUM: values that are not supported yet, or NULL */
	/* STRING, STRINGS and the names of a NAMED: a condition, or NULL. */
	const struct conf_rule *rule;
	const struct conf_table *table; /* MAP, LIST, NAMED */
};

/*
 * Keys of another router's configuration files. Users may start from such a file, so
 * these keys are not reported as unknown: either they have no effect, or the error says
 * what to do instead.
 */
struct conf_foreign {
	const char *where;   /* conf_table.what of the maps that may have these keys */
	const char *keys[8]; /* NULL fills unused elements */
	/* The value that has no effect and is accepted: "true" or "false", "" for any,
	 * NULL for none. The first time that a row with "" applies, there is a warning.
	 */
	const char *accepted;
	/* The error message; NULL for "is not supported yet: leave it out". With
	 * accepted "", "" stands for no warning. */
	const char *instead;
};

struct conf; /* one file while it is being read */

struct conf_table {
	const char *what; /* the map's name in messages: "the transport" */
	size_t size;      /* sizeof the struct that it fills */
	const struct conf_key *keys;
	size_t n_keys;
	/*
	 * Called after a map and all maps inside it have been read; may be NULL. It
	 * checks what a row cannot express, calls conf_fail and conf_warn, and fills
	 * derived fields. It is not called for a map that has errors, unless check_anyway
	 * is set: then it must ask conf_broken before it reads a field.
	 */
	void (*check)(struct conf *c, void *map);
	bool check_anyway;
	/*
	 * Foreign keys of the whole file; only the root table has them. {0} ends the
	 * list, which has at most 64 rows. May be NULL.
	 */
	const struct conf_foreign *foreign;
};

/*
 * Initialises a conf_table for a struct type: CONF_TABLE("the x", struct x, x_keys,
 * check_x).
 */
#define CONF_TABLE(title, type, rows, checker)                                           \
	{                                                                                \
		.what = (title), .size = sizeof(type), .keys = (rows),                   \
		.n_keys = ARRAY_LEN(rows), .check = (checker),                           \
	}

/* The offset of a field. Fails to compile if the field has another type than ftype. */
#define CONF_AT(s, field, ftype)                                                         \
	(offsetof(s, field) +                                                            \
	 0 * sizeof(struct {                                                             \
		 char c;                                                                 \
		 _Static_assert(__builtin_types_compatible_p(                            \
					__typeof__(((s *)0)->field), ftype),             \
				"the field's type is not the one that the row names");   \
	 }))

/*
 * A row whose field must have the type that CONF_TYPE_kind names. Designated initialisers
 * may follow: CONF_KEY("port", INT, struct listener, port, .min = 1, .max = 65535).
 */
#define CONF_TYPE_BOOL    bool
#define CONF_TYPE_INT     int
#define CONF_TYPE_SIZE    size_t
#define CONF_TYPE_MS      uint32_t
#define CONF_TYPE_MODE    mode_t
#define CONF_TYPE_FLAGS   unsigned
#define CONF_TYPE_STRING  const char *
#define CONF_TYPE_STRINGS struct conf_strings
#define CONF_TYPE_USERS   struct conf_users
#define CONF_KEY(key, kind, s, field, ...)                                               \
	CONF_KEY_OF(key, kind, s, field, CONF_TYPE_##kind, __VA_ARGS__)
/* The same for ENUM and MAP, where the caller names the field's type. */
#define CONF_KEY_OF(key, kind, s, field, ftype, ...)                                     \
	{                                                                                \
		.name = key, .type = CONF_##kind, .at = CONF_AT(s, field, ftype),        \
		__VA_ARGS__                                                              \
	}
/* An INT, SIZE or MS with bounds and default. The field has the key's name. */
#define CONF_NUMBER(kind, s, field, least, most, otherwise)                              \
	CONF_KEY(#field, kind, s, field, .min = (least), .max = (most),                  \
		 .def = (otherwise))
/* A LIST or NAMED: an array of etype at field, its count at n_field. */
#define CONF_ARRAY_KEY(key, kind, s, field, n_field, etype, ...)                         \
	{                                                                                \
		.name = key, .type = CONF_##kind, .at = CONF_AT(s, field, etype *),      \
		.count_at = CONF_AT(s, n_field, size_t), __VA_ARGS__                     \
	}

/*
 * Reads a file. *out gets at most CONF_MAX_FILE + 1 bytes, so that conf_parse can reject
 * a longer file. The caller frees *out in any case. E_SYS, E_NOMEM: *errors_out has the
 * message.
 */
int conf_read(const char *path, struct buf *out, struct conf_error *errors_out) MUSTCHECK;

/*
 * Reads the text of a file, whose root must be a map, into the struct that table
 * describes. name is the file's name in messages. The struct and everything that it
 * points to are allocated in *pool_out, which the caller frees. E_SYNTAX (the text has
 * errors), E_NOMEM: *errors_out has the messages, and there is nothing to free. After
 * success *errors_out has the warnings.
 */
int conf_parse(struct slice text, const char *name, const struct conf_table *table,
	       void **out, struct pool *pool_out,
	       struct conf_error *errors_out) MUSTCHECK;

/*
 * Compares two structs that conf_parse has filled by this table. Appends to *out the
 * names of the keys whose values differ, joined by ", ". Leaves out keys that a reload
 * applies.
 */
void conf_changes(const struct conf_table *table, const void *a, const void *b,
		  struct buf *out);

/* Logs the warnings that conf_parse has returned. */
void conf_log_warnings(const struct conf_error *errors);

/* Is this uid allowed? An empty list allows root and the user that runs this process. */
bool conf_user_allowed(const struct conf_users *users, uid_t uid);

/* A unit that may follow a number. {NULL, 0} ends an array of units. */
struct conf_unit {
	const char *name;
	int64_t factor;
};

/*
 * Reads digits, optional spaces and one of the units. False if the text has another form,
 * or the number does not fit.
 */
bool conf_number(const char *text, const struct conf_unit *units, int64_t *out);

/* The keys of the map "log", which every daemon has. */
struct conf_log {
	enum log_level level;
	enum log_format format;
};
extern const struct conf_table conf_log_table;

/* --- for the check functions of tables --- */

/* Does the file give this field? As in conf_fail, the field's address identifies it. */
bool conf_given(const struct conf *c, const void *field);

/*
 * Is there an error in the value of this field, or in this element of a LIST or NAMED? A
 * required field that the file does not give counts as an error. With NULL: is there any
 * error in the file so far?
 */
bool conf_broken(const struct conf *c, const void *field);

/*
 * Adds an error about a field. The error names the line where the file gives the field,
 * or the line of the map that is being checked if field is NULL or the file does not give
 * it.
 *
 * field is the address of a field in a struct that conf_parse is filling or has filled.
 * The address of a MAP's struct is that of its first field. The address of a LIST's
 * element names the line of the element's first field, or the line where the element
 * begins if the file does not give that field.
 */
#define conf_fail(c, field, ...) conf_say(c, field, false, __VA_ARGS__)

/*
 * Adds a warning about a field: the value is allowed, but has no effect or is dangerous.
 */
#define conf_warn(c, field, ...) conf_say(c, field, true, __VA_ARGS__)

void conf_say(struct conf *c, const void *field, bool warning, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* The line of a field in the file, for a message about another field. */
unsigned conf_line(const struct conf *c, const void *field);

/* Escapes a text of the file for a message: conf_quote(text).text. */
static inline struct log_quoted conf_quote(const char *text)
{
	return log_quote_name(slice_str(text));
}

/*
 * Copies a text into the file's pool. NULL if out of memory; conf_nomem has been called.
 */
const char *conf_text(struct conf *c, const char *text);
/* Records that memory ran out: conf_parse will return E_NOMEM. */
void conf_nomem(struct conf *c);

#endif
