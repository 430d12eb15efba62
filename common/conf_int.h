/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the reader of configuration files: conf_yaml.c loads the text and collects
 * error lines, conf_value.c converts single values, and conf_hint.c makes suggestions.
 * Only conf.c uses them. No state; any thread.
 */
#ifndef COMMON_CONF_INT_H
#define COMMON_CONF_INT_H

#include "common/conf.h"

#include <yaml.h>

/* --- conf_yaml.c --- */

/*
 * Loads a text, which must have exactly one document. The document has a root, every node
 * has one parent, and scalars are UTF-8 without NUL. After success the caller deletes the
 * document. E_SYNTAX, E_NOMEM: *errors_out has the messages.
 */
int conf_yaml_load(struct slice text, const char *name, yaml_document_t *out,
		   struct conf_error *errors_out) MUSTCHECK;

/* Adds a line "name:line:column: message". Only the end of a very long name is kept. */
void conf_error_add(struct conf_error *errors, const char *name, yaml_mark_t at,
		    const char *message);
/* Replaces all messages with "out of memory". Returns E_NOMEM. */
int conf_error_nomem(struct conf_error *errors, const char *name) MUSTCHECK;

/* --- conf_value.c --- */

/* A part of a message, cut to fit. */
struct conf_words {
	char text[320];
};

/*
 * Formats a number in the largest unit in which it is an integer: "1 MiB". The first unit
 * must be {"", 1}.
 */
struct conf_words conf_number_text(int64_t n, const struct conf_unit *units);

/*
 * Reads the mode of a socket's file, "0660". False if it is not a mode, or gives no one
 * the right to connect.
 */
bool conf_mode(const char *text, mode_t *out);

/* Finds a user's uid, by name or number. False if the system does not know the name. */
bool conf_user(const char *name, uid_t *out);

/* --- conf_hint.c --- */

/* Formats a list as "'a', 'b' or 'c'". NULL ends names. */
struct conf_words conf_names(const char *const *names);

/* The index of a key in t, or n_keys if t does not have it. */
size_t conf_key_index(const struct conf_table *t, const char *key);
/* The entry of root's foreign keys that lists this key for maps of type t, or NULL. */
const struct conf_foreign *conf_foreign_key(const struct conf_table *root,
					    const struct conf_table *t, const char *key);

struct conf_hint {
	char text[420];
};

/*
 * The end of the message "unknown key 'x' in t", for a file that root describes: the key
 * that the user probably meant, the place where the key belongs, or the keys that t has.
 */
struct conf_hint conf_unknown_key(const struct conf_table *root,
				  const struct conf_table *t, const char *key);

#endif
