/* SPDX-License-Identifier: Apache-2.0 */
/* Makes policies and looks things up in them; see policy.h. Any thread. */
#include "routerd/config/policy.h"

#include "common/err.h"

#include <stdlib.h>

/* --- roles --- */

static struct role_slot *role_slot_new(const char *name, size_t slot)
{
	size_t len = strlen(name) + 1;
	struct role_slot *role = malloc(sizeof(*role) + len);

	if (role == NULL)
		return NULL;
	atomic_init(&role->refs, 1);
	role->index = (uint16_t)slot;
	memcpy(role->name, name, len);
	return role;
}

void role_slot_unref(struct role_slot **role)
{
	free(refs_drop(role));
}

/* Does an identity or another policy refer to this role, too? */
static bool role_slot_is_used(const struct role_slot *role)
{
	return atomic_load_explicit(&role->refs, memory_order_acquire) > 1;
}

/* --- making a policy --- */

/*
 * The slot of a role in a realm, even if the role was removed. If it has none, the first
 * free slot, which may be the one after the last.
 */
static size_t slot_for(const struct policy_realm *realm, const char *name)
{
	size_t first_free = realm->n_slots;

	for (size_t i = realm->n_slots; i-- > 0;)
		if (realm->slots[i].role == NULL)
			first_free = i;
		else if (strcmp(realm->slots[i].role->name, name) == 0)
			return i;
	return first_free;
}

/* Gives a role of the configuration its slot. The array has room for one more slot. */
static int add_role(struct policy_realm *realm, const struct config_role *conf)
{
	size_t slot = slot_for(realm, conf->name), duplicate;
	struct policy_role *to = &realm->slots[slot];

	if (slot == POLICY_ROLE_SLOTS_MAX)
		return E_LIMIT;
	if (to->role == NULL)
		to->role = role_slot_new(conf->name, slot);
	if (to->role == NULL)
		return E_NOMEM;
	if (slot == realm->n_slots)
		realm->n_slots++;
	int err = rights_new(conf->permissions, conf->n_permissions, &to->rights,
			     &duplicate);
	if (err == 0 && conf->authorizer != NULL)
		err = rights_set_authorizer(to->rights, conf->authorizer);
	return err;
}

/* Copies the slots that are in use, with their rights if same_rights is set. */
static void take_slots(struct policy_realm *realm, const struct policy_realm *before,
		       bool same_rights)
{
	realm->n_slots = before->n_slots;
	for (size_t i = 0; i < before->n_slots; i++) {
		const struct policy_role *old = &before->slots[i];

		if (old->role == NULL ||
		    (old->rights == NULL && !role_slot_is_used(old->role)))
			continue;
		realm->slots[i].role = role_slot_ref(old->role);
		if (same_rights && old->rights != NULL)
			realm->slots[i].rights = rights_ref(old->rights);
	}
}

/*
 * Makes a realm from its version in the old policy, `before`, and from the configuration,
 * conf. One of them may be NULL.
 */
static int make_policy_realm(struct policy *policy, struct policy_realm *realm,
			     const struct policy_realm *before,
			     const struct config_realm *conf)
{
	static const struct policy_realm nothing = {.n_slots = 0};
	size_t n_roles = conf == NULL ? 0 : conf->n_roles;
	int err = 0;

	if (before == NULL)
		before = &nothing;
	realm->name = pool_text(&policy->pool, conf != NULL ? conf->name : before->name);
	realm->slots = pool_alloc(&policy->pool, before->n_slots + n_roles,
				  sizeof(*realm->slots));
	if (realm->slots == NULL || realm->name == NULL)
		return E_NOMEM;
	realm->options = conf != NULL ? conf->options : before->options;
	take_slots(realm, before, conf == NULL);
	for (size_t i = 0; i < n_roles && err == 0; i++)
		err = add_role(realm, &conf->roles[i]);
	return err;
}

/* The realm of cfg for the i-th slot. NULL if cfg does not have the realm. */
static const struct config_realm *realm_for_slot(const struct policy *before,
						 const struct config *cfg, size_t i)
{
	if (before == NULL)
		return &cfg->realms[i];
	int found = config_realm_find(cfg, slice_str(before->realms[i].name));

	return found < 0 ? NULL : &cfg->realms[found];
}

int policy_new(const struct policy *before, const struct config *cfg, struct policy **out)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	int err = 0;

	*out = policy;
	if (policy == NULL)
		return E_NOMEM;
	atomic_init(&policy->refs, 1);
	pool_init(&policy->pool);
	policy->generation = before == NULL ? 1 : before->generation + 1;
	policy->n_realms = before == NULL ? cfg->n_realms : before->n_realms;
	policy->realms =
		pool_alloc(&policy->pool, policy->n_realms, sizeof(*policy->realms));
	if (policy->realms == NULL)
		err = E_NOMEM;
	for (size_t i = 0; i < policy->n_realms && err == 0; i++)
		err = make_policy_realm(policy, &policy->realms[i],
					before == NULL ? NULL : &before->realms[i],
					realm_for_slot(before, cfg, i));
	if (err != 0)
		policy_unref(out);
	return err;
}

void policy_unref(struct policy **policy_io)
{
	struct policy *policy = refs_drop(policy_io);

	if (policy == NULL)
		return;
	for (size_t i = 0; policy->realms != NULL && i < policy->n_realms; i++) {
		struct policy_realm *realm = &policy->realms[i];

		for (size_t k = 0; k < realm->n_slots; k++) {
			role_slot_unref(&realm->slots[k].role);
			rights_unref(&realm->slots[k].rights);
		}
	}
	pool_fini(&policy->pool);
	free(policy);
}

/* --- lookups --- */

int policy_realm_find(const struct policy *policy, struct slice name)
{
	for (size_t i = 0; i < policy->n_realms; i++)
		if (slice_eq_str(name, policy->realms[i].name))
			return (int)i;
	return E_NOTFOUND;
}

struct role_slot *policy_role_find(const struct policy *policy, unsigned realm,
				   struct slice name)
{
	const struct policy_realm *r = &policy->realms[realm];

	for (size_t i = 0; i < r->n_slots; i++)
		if (r->slots[i].rights != NULL &&
		    slice_eq_str(name, r->slots[i].role->name))
			return r->slots[i].role;
	return NULL;
}

struct rights *policy_rights(const struct policy *policy, unsigned realm,
			     const struct role_slot *role)
{
	return policy->realms[realm].slots[role->index].rights;
}
