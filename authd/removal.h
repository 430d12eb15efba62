/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removals that some router has not confirmed. Whoever asks for one again finds nothing
 * in the database any more, but must be able to reach that router. They are kept in
 * memory, at most REMOVALS_KEPT, and are forgotten when all routers have confirmed, or
 * when authd ends. Main thread.
 */
#ifndef AUTHD_REMOVAL_H
#define AUTHD_REMOVAL_H

#include "authd/principal.h"

enum { REMOVALS_KEPT = 64 };

/* What was removed: a principal, or one key of it. */
struct removal {
	struct principal_name authid, realm; /* no realm: a key */
	uint8_t key[PRINCIPAL_KEY];
};

struct removals {
	unsigned n;
	struct removal items[REMOVALS_KEPT]; /* the oldest first */
};

/* Keeps a copy; the oldest goes if there are too many. */
void removals_keep(struct removals *all, const struct removal *removal);

/*
 * Takes out the removal of this principal, or of this key of it unless key is NULL.
 * False: there is none.
 */
bool removals_take(struct removals *all, struct slice authid, const uint8_t *key,
		   struct removal *out);

/* Whose sessions it ends; *out points into *removal. */
void removal_match(const struct removal *removal, struct auth_match *out);

#endif
