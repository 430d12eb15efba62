/* SPDX-License-Identifier: Apache-2.0 */
/* A set of roles of one realm; any thread. */
#ifndef ROUTERD_POST_ROLE_SET_H
#define ROUTERD_POST_ROLE_SET_H

#include "common/base.h"
#include "routerd/config/policy.h"

/* A set holds references to its roles, so their slots are not reused for other roles. */
struct role_set {
	size_t n;                  /* number of the realm's slots for roles */
	struct role_slot *roles[]; /* by slot, counted; NULL: not in the set */
};

/* Makes an empty set, for a realm with n slots for roles. NULL if out of memory. */
struct role_set *role_set_new(size_t n) MUSTCHECK;
/* Frees the set. NULL-safe, clears the caller's pointer. */
void role_set_free(struct role_set **set);

/* Adds a role of the realm, if it is not in the set. */
void role_set_add(struct role_set *set, struct role_slot *role);

static inline bool role_set_has(const struct role_set *set, const struct role_slot *role)
{
	return role->index < set->n && set->roles[role->index] == role;
}

/* Bytes of memory. 0 if set is NULL. */
size_t role_set_size(const struct role_set *set);

#endif
