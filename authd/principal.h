/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A principal: somebody who may log in, and the rules for what may be stored of one. A
 * plain value; main thread.
 */
#ifndef AUTHD_PRINCIPAL_H
#define AUTHD_PRINCIPAL_H

#include "proto/admin_api.h"
#include "proto/auth_api.h"

enum {
	PRINCIPAL_MAX_NAME = AUTH_MAX_NAME,
	PRINCIPAL_MAX_KEYS = AUTH_MAX_KEYS,
	PRINCIPAL_MAX_EXTRA = ADMIN_MAX_EXTRA,
	PRINCIPAL_MAX_DEPTH = ADMIN_MAX_DEPTH, /* of extra */
	PRINCIPAL_KEY = 32,
};

/* Text with a terminator; no byte in it is 0. */
struct principal_name {
	size_t len;
	char text[PRINCIPAL_MAX_NAME + 1];
};

struct principal {
	struct principal_name authid, realm, role;
	size_t extra_len; /* an encoded map, at least {} */
	uint8_t extra[PRINCIPAL_MAX_EXTRA];
	unsigned n_keys;
	uint8_t keys[PRINCIPAL_MAX_KEYS][PRINCIPAL_KEY]; /* ascending */
	bool disabled;
	uint64_t created; /* Unix seconds */
};

static inline struct slice principal_slice(const struct principal_name *n)
{
	return slice_of(n->text, n->len);
}

/*
 * E_RANGE if it is empty, too long, or has ASCII control characters in it. A new one must
 * also pass admin_names_fault, which is stricter than what a database may hold already.
 */
int principal_name_set(struct principal_name *n, struct slice text) MUSTCHECK;

/* An encoded map; len 0 means {}. E_LIMIT if it is too large, or an error of
 * auth_check_map. */
int principal_extra_set(struct principal *p, struct slice map) MUSTCHECK;

/* Keeps the order. E_EXISTS if it has this key, E_LIMIT if it has too many. */
int principal_key_add(struct principal *p, const uint8_t key[PRINCIPAL_KEY]) MUSTCHECK;

/*
 * What a request of authctl describes; keys given twice count once. NULL, or what is
 * wrong with it, as the end of a sentence about *what_out.
 */
const char *principal_from_admin(struct principal *p, const struct admin_principal *a,
				 const char **what_out) MUSTCHECK;

/* What is wrong with a key that is to be added, in the same way. */
const char *principal_key_fault(const uint8_t key[PRINCIPAL_KEY]);

/* The other way round; *out points into *p. */
void principal_to_admin(const struct principal *p, struct admin_principal *out);

/*
 * In which way there is another one already: "exists already, with another role". NULL:
 * it is the same, apart from when it was created.
 */
const char *principal_difference(const struct principal *old,
				 const struct principal *new);

#endif
