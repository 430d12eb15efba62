/* SPDX-License-Identifier: Apache-2.0 */
/* What messages about keys of configuration files suggest. For conf.c alone. No state;
 * any thread. */
#ifndef COMMON_CONF_HINT_H
#define COMMON_CONF_HINT_H

#include "common/conf.h"
#include "common/conf_value.h"

/* "'a', 'b' or 'c'"; names ends with NULL. */
struct conf_words conf_names(const char *const *names);

/* The index of a key's row in t; n_keys: it has none. */
size_t conf_key_index(const struct conf_table *t, const char *key);
/* The row of a key in a foreign list of root's that may stand beside the keys of t, or
 * NULL. */
const struct conf_foreign *conf_foreign_key(const struct conf_table *root,
					    const struct conf_table *t, const char *key);

struct conf_hint {
	char text[420];
};

/*
 * What to say of a key that t does not know, in a file that root describes: which key was
 * meant, where it belongs, or which keys t has. To be put behind "unknown key 'x' in t".
 */
struct conf_hint conf_unknown_key(const struct conf_table *root,
				  const struct conf_table *t, const char *key);

#endif
