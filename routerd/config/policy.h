/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which realms there are, which roles they have, and what each role may do: the part of
 * the configuration that a reload replaces. A policy is immutable and counted. Worker 0
 * makes it; each worker holds the one that is in force.
 *
 * Posts name a realm by its slot, and identities refer to a role, which has a slot in its
 * realm. Slots are indexes that mean the same in every later policy: a realm keeps its
 * slot as long as the process runs, a role for as long as an identity or a policy refers
 * to it.
 *
 * Any thread.
 */
#ifndef ROUTERD_CONFIG_POLICY_H
#define ROUTERD_CONFIG_POLICY_H

#include "common/pool.h"
#include "routerd/config/config.h"
#include "routerd/config/rights.h"

#include <stdatomic.h>

/* In a realm; some may be of roles that are gone. */
enum { POLICY_ROLE_SLOTS_MAX = 4096 };

/* A role of a realm, as identities refer to it. Counted. */
struct role_slot {
	_Atomic uint32_t refs;
	uint16_t index; /* in policy_realm.slots */
	char name[];
};

struct role_slot *role_slot_ref(struct role_slot *role);
/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void role_slot_unref(struct role_slot **role);

/* A role of a realm, as this policy has it. */
struct policy_role {
	struct role_slot *role; /* NULL: the slot is free */
	struct rights *rights;  /* NULL: the realm does not have this role any more */
};

struct policy_realm {
	const char *name;
	struct policy_role *slots;
	size_t n_slots;
};

struct policy {
	_Atomic uint32_t refs;
	uint64_t generation; /* 1, 2, ... */
	struct pool pool;    /* holds the arrays and names */
	struct policy_realm *realms;
	size_t n_realms;
};

/*
 * Makes the policy of a configuration, with one reference. before is the one that is in
 * force, or NULL at the start. Later policies have the realms of the first one: a realm
 * that cfg lacks keeps its roles, one that only cfg has is left out. cfg is not needed
 * afterwards.
 *
 * A role whose name before knows keeps its slot. The slot of a role that is gone becomes
 * free when before holds the last reference; so all policies that came before it must be
 * gone. E_LIMIT: a realm would need too many slots; E_NOMEM.
 */
int policy_new(const struct policy *before, const struct config *cfg,
	       struct policy **out) MUSTCHECK;

struct policy *policy_ref(struct policy *policy);
/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void policy_unref(struct policy **policy);

/* The slot of a realm, or E_NOTFOUND. */
int policy_realm_find(const struct policy *policy, struct slice name) MUSTCHECK;
/* A role that the realm in this slot has, lent; NULL: it does not have it. */
struct role_slot *policy_role_find(const struct policy *policy, unsigned realm,
				   struct slice name);
/* What a role of the realm in this slot may do, lent; NULL: the realm does not have the
 * role any more. */
struct rights *policy_rights(const struct policy *policy, unsigned realm,
			     const struct role_slot *role);

#endif
