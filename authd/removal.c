/* SPDX-License-Identifier: Apache-2.0 */
/* Removals that can be repeated; see removal.h. */
#include "authd/removal.h"

static void drop(struct removals *all, unsigned i)
{
	all->n--;
	memmove(&all->items[i], &all->items[i + 1], (all->n - i) * sizeof(all->items[0]));
}

void removals_keep(struct removals *all, const struct removal *r)
{
	if (all->n == REMOVALS_KEPT)
		drop(all, 0);
	all->items[all->n++] = *r;
}

static bool is_of(const struct removal *r, struct slice authid, const uint8_t *key)
{
	bool of_key = r->realm.len == 0;

	return slice_eq(principal_slice(&r->authid), authid) && of_key == (key != NULL) &&
	       (key == NULL || memcmp(r->key, key, PRINCIPAL_KEY) == 0);
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

void removal_match(const struct removal *r, struct auth_match *out)
{
	*out = (struct auth_match){.session = FIELD_NONE};
	if (r->realm.len > 0) {
		out->authid = principal_slice(&r->authid);
		out->realm = principal_slice(&r->realm);
	} else {
		out->pubkey.there = true;
		memcpy(out->pubkey.octets, r->key, PRINCIPAL_KEY);
	}
}
