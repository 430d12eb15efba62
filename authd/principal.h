/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A principal is a user that may log in. It is a plain value. These functions enforce the
 * rules for stored principals. Main thread.
 */
#ifndef AUTHD_PRINCIPAL_H
#define AUTHD_PRINCIPAL_H

#include "proto/admin_api.h"
#include "proto/auth_api.h"

/* A NUL-terminated text. */
struct principal_name {
	size_t len;
	char text[AUTH_MAX_NAME + 1];
};

struct principal {
	struct principal_name authid, realm, role;
	size_t extra_len; /* extra is a MessagePack map; {} if there is none */
	uint8_t extra[ADMIN_MAX_EXTRA];
	struct field_keys keys; /* sorted */
	bool disabled;
	uint64_t created; /* Unix seconds */
};

static inline struct slice principal_slice(const struct principal_name *n)
{
	return slice_of(n->text, n->len);
}

/*
 * Sets a name. E_RANGE if the text is empty, too long, or contains ASCII control
 * characters. New names must also pass admin_names_fault, which is stricter: a database
 * may contain older names.
 */
int principal_name_set(struct principal_name *n, struct slice text) MUSTCHECK;

/*
 * Sets extra to a MessagePack map; an empty slice means {}. E_LIMIT if it is too large,
 * or an error of auth_check_map.
 */
int principal_extra_set(struct principal *p, struct slice map) MUSTCHECK;

/*
 * Adds a key and keeps the keys sorted. E_EXISTS if the principal has it already, E_LIMIT
 * if it has too many keys.
 */
int principal_key_add(struct principal *p, const uint8_t key[FIELD_KEY_LEN]) MUSTCHECK;

/*
 * Converts a request of authctl to a principal. A key that is given twice counts once.
 * Returns NULL if the request is valid. Otherwise *what_out names the wrong field, and
 * the result says what is wrong: "cannot verify signatures".
 */
const char *principal_from_admin(struct principal *p, const struct admin_principal *a,
				 const char **what_out) MUSTCHECK;

/* Returns what is wrong with a new key, as principal_from_admin does, or NULL. */
const char *principal_key_fault(const uint8_t key[FIELD_KEY_LEN]);

/* Converts a principal for authctl. *out points into *p. */
void principal_to_admin(const struct principal *p, struct admin_principal *out);

/*
 * Returns how an existing principal differs from a new one with the same authid: "exists
 * already with another role ...". The creation times may differ. NULL: they are equal.
 */
const char *principal_difference(const struct principal *old,
				 const struct principal *new);

#endif
