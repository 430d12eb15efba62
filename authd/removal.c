/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers removals that can be repeated; see removal.h. Main thread. */
#include "authd/removal.h"

static void drop(struct removals *all, unsigned i)
{
	all->n--;
	memmove(&all->items[i], &all->items[i + 1], (all->n - i) * sizeof(all->items[0]));
}

void removals_keep(struct removals *all, const struct removal *removal)
{
	if (all->n == REMOVALS_KEPT)
		drop(all, 0);
	all->items[all->n++] = *removal;
}

static bool is_of(const struct removal *removal, struct slice authid, const uint8_t *key)
{
	bool of_key = removal->realm.len == 0;

	return slice_eq(principal_slice(&removal->authid), authid) &&
	       of_key == (key != NULL) &&
	       (key == NULL || memcmp(removal->key, key, FIELD_KEY_LEN) == 0);
}

bool removals_take(struct removals *all, struct slice authid, const uint8_t *key,
		   struct removal *out)
{
	for (unsigned i = 0; i < all->n; i++) {
		if (!is_of(&all->items[i], authid, key))
			continue;
		*out = all->items[i];
		drop(all, i);
		return true;
	}
	return false;
}

void removal_match(const struct removal *removal, struct auth_match *out)
{
	*out = (struct auth_match){.session = FIELD_NONE};
	if (removal->realm.len > 0) {
		out->authid = principal_slice(&removal->authid);
		out->realm = principal_slice(&removal->realm);
	} else {
		out->pubkey.there = true;
		memcpy(out->pubkey.octets, removal->key, FIELD_KEY_LEN);
	}
}
