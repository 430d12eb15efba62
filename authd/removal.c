/* SPDX-License-Identifier: Apache-2.0 */
/* Removals that can be repeated; see removal.h. */
#include "authd/removal.h"

#include "common/err.h"

#include <stdlib.h>

static void drop(struct removals *all, struct removal *r)
{
	TAILQ_REMOVE(&all->list, r, link);
	all->n--;
	free(r);
}

void removals_init(struct removals *all)
{
	TAILQ_INIT(&all->list);
	all->n = 0;
}

void removals_fini(struct removals *all)
{
	while (all->n > 0)
		drop(all, TAILQ_FIRST(&all->list));
}

int removals_keep(struct removals *all, const struct removal *r)
{
	struct removal *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return E_NOMEM;
	*copy = *r;
	if (all->n == REMOVALS_KEPT)
		drop(all, TAILQ_FIRST(&all->list));
	TAILQ_INSERT_TAIL(&all->list, copy, link);
	all->n++;
	return 0;
}

static bool is_of(const struct removal *r, struct slice authid, const uint8_t *key)
{
	if (!slice_eq(principal_slice(&r->authid), authid))
		return false;
	if (key == NULL || r->realm.len > 0)
		return key == NULL && r->realm.len > 0;
	return memcmp(r->key, key, PRINCIPAL_KEY) == 0;
}

bool removals_take(struct removals *all, struct slice authid, const uint8_t *key,
		   struct removal *out)
{
	struct removal *r;

	TAILQ_FOREACH (r, &all->list, link) {
		if (!is_of(r, authid, key))
			continue;
		*out = *r;
		drop(all, r);
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
