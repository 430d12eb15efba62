/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remembers removals that some router has not confirmed. If an administrator repeats such
 * a removal, the database no longer has the principal or key, but authd must still tell
 * the router. authd keeps at most REMOVALS_KEPT removals, in memory only. Main thread.
 */
#ifndef AUTHD_REMOVAL_H
#define AUTHD_REMOVAL_H

#include "authd/principal.h"

enum { REMOVALS_KEPT = 64 };

/* A removed principal, or a removed key. */
struct removal {
	struct principal_name authid, realm; /* realm is empty for a key */
	uint8_t key[FIELD_KEY_LEN];
};

struct removals {
	unsigned n;
	struct removal items[REMOVALS_KEPT]; /* the oldest first */
};

/* Adds a copy of a removal. If there are too many, forgets the oldest. */
void removals_keep(struct removals *all, const struct removal *removal);

/*
 * Takes the removal of a principal (key is NULL) or of one of its keys out of *all. False
 * if there is none.
 */
bool removals_take(struct removals *all, struct slice authid, const uint8_t *key,
		   struct removal *out);

/* Sets *out to the sessions that the removal ends. *out points into *removal. */
void removal_match(const struct removal *removal, struct auth_match *out);

#endif
