/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules for stored principals. A principal is a user that may log in; struct
 * admin_principal describes it. Main thread.
 */
#ifndef AUTHD_PRINCIPAL_H
#define AUTHD_PRINCIPAL_H

#include "proto/admin_api.h"
#include "proto/auth_api.h"

/*
 * Is this name valid in the database? It must not be empty or too long, and must not
 * contain ASCII control characters. New names must also pass admin_names_fault. This
 * check is less strict, because a database may contain names that an older authd has
 * allowed.
 */
bool principal_name_ok(struct slice name);

/*
 * Checks that map, in MessagePack, may be a principal's extra. E_LIMIT if it is too
 * large, or an error of auth_check_map.
 */
int principal_extra_check(struct slice map) MUSTCHECK;

/*
 * Adds a key and keeps the keys sorted. E_EXISTS if the key is there already, E_LIMIT if
 * there are too many keys.
 */
int principal_key_add(struct field_keys *keys,
		      const uint8_t key[FIELD_KEY_LEN]) MUSTCHECK;

/*
 * Checks a new principal from authctl. Sorts its keys, removes duplicate keys, and sets
 * an empty extra to {}. Returns NULL if the principal is valid. Otherwise *what_out names
 * the wrong field, and the result says what is wrong with it: "cannot verify signatures".
 */
const char *principal_check(struct admin_principal *p, const char **what_out) MUSTCHECK;

/* Returns what is wrong with a new key, as principal_check does, or NULL. */
const char *principal_key_fault(const uint8_t key[FIELD_KEY_LEN]);

/*
 * Returns how an existing principal differs from a new one with the same authid: "already
 * exists with another role ...". The creation times may differ. NULL: they are equal.
 */
const char *principal_difference(const struct admin_principal *old,
				 const struct admin_principal *new);

#endif
