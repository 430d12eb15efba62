/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The realms, their roles, and the rights of each role: the part of the configuration
 * that a reload replaces. A policy is immutable and has a reference count. The thread of
 * worker 0 or of a reload makes it; each worker holds a reference to the current one.
 *
 * Posts (post/post.h) name a realm by its slot; an identity (post/identity.h) refers to a
 * role, which has a slot in its realm. A slot is an index with the same meaning in all
 * later policies. A realm keeps its slot as long as the process runs, a role as long as
 * an identity or a policy refers to it.
 *
 * Any thread.
 */
#ifndef ROUTERD_CONFIG_POLICY_H
#define ROUTERD_CONFIG_POLICY_H

#include "common/pool.h"
#include "common/refs.h"
#include "routerd/config/config.h"
#include "routerd/config/rights.h"

/* Per realm, including slots of removed roles that are still in use. */
enum { POLICY_ROLE_SLOTS_MAX = 4096 };

/* A role of a realm, for identities. It has a reference count. */
struct role_slot {
	_Atomic uint32_t refs;
	uint16_t index; /* index in policy_realm.slots */
	char name[];
};

static inline struct role_slot *role_slot_ref(struct role_slot *role)
{
	return refs_take(role);
}
/*
 * Drops a reference and sets the caller's pointer to NULL. The last one frees the role.
 * *role may be NULL.
 */
void role_slot_unref(struct role_slot **role);

/* A role of a realm in one policy. */
struct policy_role {
	struct role_slot *role; /* NULL: the slot is free */
	struct rights *rights;  /* NULL: the role was removed */
};

struct policy_realm {
	const char *name;
	struct realm_options options;
	struct policy_role *slots;
	size_t n_slots;
};

struct policy {
	_Atomic uint32_t refs;
	uint64_t generation; /* 1 for the first policy, then 2, 3, ... */
	struct pool pool;    /* memory of the arrays and names */
	struct policy_realm *realms;
	size_t n_realms;
};

/*
 * Makes the policy of a configuration, with one reference. `before` is the current
 * policy, or NULL at the start. Later policies have the same realms as the first one: a
 * realm that cfg lacks keeps its roles and their rights; a realm that only cfg has is
 * ignored. cfg is not needed afterwards.
 *
 * A role that exists in `before` keeps its slot. The slot of a removed role becomes free
 * when only `before` refers to the role: no identity does, and no earlier policy exists.
 * E_LIMIT: a realm needs too many slots. E_NOMEM.
 */
int policy_new(const struct policy *before, const struct config *cfg,
	       struct policy **out) MUSTCHECK;

static inline struct policy *policy_ref(struct policy *policy)
{
	return refs_take(policy);
}
/*
 * Drops a reference and sets the caller's pointer to NULL. The last one frees the policy.
 * *policy may be NULL.
 */
void policy_unref(struct policy **policy);

/* The slot of a realm, or E_NOTFOUND. */
int policy_realm_find(const struct policy *policy, struct slice name) MUSTCHECK;
/*
 * The role of this name in the realm in this slot, owned by the policy. NULL: there is
 * none.
 */
struct role_slot *policy_role_find(const struct policy *policy, unsigned realm,
				   struct slice name);
/*
 * The rights of a role of the realm in this slot, owned by the policy. NULL: the role was
 * removed.
 */
struct rights *policy_rights(const struct policy *policy, unsigned realm,
			     const struct role_slot *role);

#endif
