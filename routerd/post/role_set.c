/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of roles; any thread. See role_set.h. */
#include "routerd/post/role_set.h"

#include <stdlib.h>

struct role_set *role_set_new(size_t n)
{
	struct role_set *set = calloc(1, sizeof(*set) + n * sizeof(set->roles[0]));

	if (set != NULL)
		set->n = n;
	return set;
}

void role_set_free(struct role_set **set_io)
{
	struct role_set *set = *set_io;

	*set_io = NULL;
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->n; i++)
		role_slot_unref(&set->roles[i]);
	free(set);
}

void role_set_add(struct role_set *set, struct role_slot *role)
{
	ASSERT(role->index < set->n);
	if (set->roles[role->index] == NULL)
		set->roles[role->index] = role_slot_ref(role);
}

size_t role_set_size(const struct role_set *set)
{
	return set == NULL ? 0 : sizeof(*set) + set->n * sizeof(set->roles[0]);
}
