/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: YAML (and so JSON), read into structs under the direction of
 * constant tables of keys. A table says of each key its name, type, bounds, default and
 * the field it goes to; nothing else in the program looks at the file.
 *
 * Every error names file, line and column and says what would be right, and one run names
 * them all, but for those that may only follow from others. Unknown keys and keys given
 * twice (foreign ones aside) are errors. Aliases, anchors, tags and further documents are
 * refused. A file is UTF-8, with or without a byte order mark, at most 1 MiB, nested at
 * most 16 deep; lists have the bounds of their row, and texts of a list differ.
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

/* What a value may be, and the type of the field it goes to. Up to FLAGS they are
 * numbers. */
enum conf_type {
	CONF_BOOL = 0,  /* bool: true or false */
	CONF_INT = 1,   /* int: a decimal number */
	CONF_SIZE = 2,  /* size_t, bytes: a number, or one with KiB, MiB or GiB */
	CONF_MS = 3,    /* uint32_t, milliseconds: a number of them, or with ms, s, min */
	CONF_MODE = 4,  /* mode_t: of a socket's file, "0660" */
	CONF_ENUM = 5,  /* an int or enum: one of names */
	CONF_FLAGS = 6, /* unsigned: a list of names, bit i for the i-th */
	CONF_STRING = 7,  /* const char *: a text; NULL if absent */
	CONF_STRINGS = 8, /* struct conf_strings: a list of texts that differ */
	CONF_USERS = 9,   /* struct conf_users: a list of users, by name or number */
	CONF_MAP = 10,    /* a struct: a map of the keys of table */
	CONF_LIST = 11,   /* array and count: a list of such maps */
	CONF_NAMED = 12, /* the same from a map of names; each goes to its element's first
			    field, a const char * */
};

struct conf_strings {
	const char **items;
	size_t count;
};

struct conf_users {
	uid_t *uids;
	size_t count;
};

/* What a text must be, beyond being one. */
struct conf_rule {
	bool (*ok)(const char *text);
	const char *otherwise; /* the message */
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t at;         /* offset of the field */
	size_t count_at;   /* LIST, NAMED: offset of the size_t that gets the count */
	bool required;     /* else an absent key gets its default */
	bool may_be_empty; /* STRING */
	/* LIST: the first field of its elements is a name, and no two are the same */
	bool names_differ;
	/* INT, SIZE, MS: of the value; FLAGS, STRINGS, USERS, LIST, NAMED: of the number
	 * of elements; STRING: max alone, of its bytes, 0: any number */
	int64_t min, max;
	int64_t def; /* the default, of what is a number */
	/* STRING: the default. INT: a word that may stand for def, such as "auto". */
	const char *text;
	const char *const *names; /* ENUM, FLAGS: what may be said; ends with NULL */
	const char *const *later; /* ENUM: known, but not supported yet; or NULL */
	/* STRING, STRINGS, the names of NAMED; or NULL */
	const struct conf_rule *rule;
	const struct conf_table *table; /* MAP, LIST, NAMED */
};

/*
 * Keys of another program's files. People bring such files along, so these keys do not
 * count as unknown: they have no effect, or the message says what to do instead.
 */
struct conf_foreign {
	const char *where;   /* what of the table beside whose keys they may stand */
	const char *keys[8]; /* fewer: the rest is NULL */
	/* the value that is accepted, "true" or "false"; "": any; NULL: none */
	const char *accepted;
	const char *instead; /* NULL: that it is not supported yet, and to leave it out */
};

struct conf; /* one file, while it is read */

struct conf_table {
	const char *what; /* for messages: "the transport" */
	size_t size;      /* of the struct that it fills */
	const struct conf_key *keys;
	size_t n_keys;
	/*
	 * Called when a map was read into its struct, those inside it before it; may be
	 * NULL. Checks what a row cannot say, by conf_fail and conf_warn, and fills
	 * fields that no key fills. Not called for a map in which something is wrong,
	 * unless check_anyway says so: then it asks conf_broken before it looks at a
	 * field.
	 */
	void (*check)(struct conf *c, void *map);
	bool check_anyway;
	/* of the whole file: only its own table has them; ends with {0}; or NULL */
	const struct conf_foreign *foreign;
};

/* A table of these rows for a struct of this type: CONF_TABLE("the x", struct x, x_keys,
 * check_x). */
#define CONF_TABLE(title, type, rows, checker)                                           \
	{                                                                                \
		.what = (title), .size = sizeof(type), .keys = (rows),                   \
		.n_keys = ARRAY_LEN(rows), .check = (checker),                           \
	}

/* The offset of a field, which must be of this type. */
#define CONF_AT(s, field, ftype)                                                         \
	(offsetof(s, field) +                                                            \
	 0 * sizeof(struct {                                                             \
		 char c;                                                                 \
		 _Static_assert(__builtin_types_compatible_p(                            \
					__typeof__(((s *)0)->field), ftype),             \
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
#define CONF_TYPE_MODE    mode_t
#define CONF_TYPE_FLAGS   unsigned
#define CONF_TYPE_STRING  const char *
#define CONF_TYPE_STRINGS struct conf_strings
#define CONF_TYPE_USERS   struct conf_users
#define CONF_KEY(key, kind, s, field, ...)                                               \
	CONF_KEY_OF(key, kind, s, field, CONF_TYPE_##kind, __VA_ARGS__)
/* The same where the field's type is the caller's: ENUM and MAP. */
#define CONF_KEY_OF(key, kind, s, field, ftype, ...)                                     \
	{                                                                                \
		.name = key, .type = CONF_##kind, .at = CONF_AT(s, field, ftype),        \
		__VA_ARGS__                                                              \
	}
/* INT, SIZE, MS: with its bounds, for a field that has the key's name. */
#define CONF_NUMBER(kind, s, field, least, most, otherwise)                              \
	CONF_KEY(#field, kind, s, field, .min = (least), .max = (most),                  \
		 .def = (otherwise))
/* LIST and NAMED: an array of etype at field, the count at n_field. */
#define CONF_ARRAY_KEY(key, kind, s, field, n_field, etype, ...)                         \
	{                                                                                \
		.name = key, .type = CONF_##kind, .at = CONF_AT(s, field, etype *),      \
		.count_at = CONF_AT(s, n_field, size_t), __VA_ARGS__                     \
	}

/* The content of a file, up to one byte more than it may have. E_SYS, E_NOMEM:
 * *errors_out says what. The caller frees *out in any case. */
int conf_read(const char *path, struct buf *out, struct conf_error *errors_out) MUSTCHECK;

/*
 * Reads a file's text, which must be one map, into the struct that table describes; name
 * stands for the file in messages. The struct and everything that it points to belong to
 * *pool_out. E_SYNTAX: something in the text is wrong; E_NOMEM. *errors_out says what,
 * and there is nothing to free. After 0 *errors_out has the warnings.
 */
int conf_parse(struct slice text, const char *name, const struct conf_table *table,
	       void **out, struct pool *pool_out,
	       struct conf_error *errors_out) MUSTCHECK;

/* Logs the warnings of a file that was read. */
void conf_log_warnings(const struct conf_error *errors);

/* May this user do what these may? Without any: root and our own user. */
bool conf_user_allowed(const struct conf_users *users, uid_t uid);

/* The keys of the log, which every daemon has. */
struct conf_log {
	enum log_level level;
	enum log_format format;
};
extern const struct conf_table conf_log_table;

/* ---- for the tables' check functions ---- */

/* Does the file give this field? Found by its address, as with conf_fail. */
bool conf_given(const struct conf *c, const void *field);

/*
 * Is anything wrong with the value of this field, or with that of this element of a LIST
 * or NAMED? A required field that the file does not give counts. NULL: of anything, so
 * far.
 */
bool conf_broken(const struct conf *c, const void *field);

/*
 * Says what is wrong with a field that the file gave; its place is found by the field's
 * address, which must lie in a struct that is being or was filled. The struct of a MAP
 * has no place, only its fields do; an element of a LIST has that of its first field if
 * the file gave it, else its own. NULL, or a field that the file did not give: the place
 * of the map that is being checked.
 */
#define conf_fail(c, field, ...) conf_say(c, field, false, __VA_ARGS__)

/* As conf_fail, but a warning: it is allowed, but has no effect or too much of it. */
#define conf_warn(c, field, ...) conf_say(c, field, true, __VA_ARGS__)

void conf_say(struct conf *c, const void *field, bool warning, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* A text of the file as messages quote it: conf_quote(text).text. */
static inline struct log_quoted conf_quote(const char *text)
{
	return log_quote_text(slice_str(text));
}

/* A copy of a text, for a field. NULL: no memory, which conf_nomem was told. */
const char *conf_text(struct conf *c, const char *text);
/* Where other derived things are allocated. */
struct pool *conf_pool(struct conf *c);
/* Memory ran out: all of the file fails. */
void conf_nomem(struct conf *c);

#endif
