/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suggestions for error messages about the keys of configuration files. Only conf.c uses
 * them. No state; any thread.
 */
#ifndef COMMON_CONF_HINT_H
#define COMMON_CONF_HINT_H

#include "common/conf.h"
#include "common/conf_value.h"

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
