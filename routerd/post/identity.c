/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted identities; any thread. See identity.h. */
#include "routerd/post/identity.h"

#include "routerd/config/policy.h"

#include <stdlib.h>

size_t identity_size(const struct identity *i)
{
	return sizeof(*i) + i->realm_name.len + i->authid.len + i->authrole.len +
	       i->authprovider.len + i->authextra.len + i->peer_name.len;
}

struct identity *identity_new(const struct identity *from)
{
	struct identity *i = malloc(identity_size(from));

	if (i == NULL)
		return NULL;
	*i = *from;
	atomic_init(&i->refs, 1);
	if (i->role != NULL)
		role_slot_ref(i->role);
	uint8_t *pos = (uint8_t *)(i + 1);
	i->realm_name = slice_store(&pos, from->realm_name);
	i->authid = slice_store(&pos, from->authid);
	i->authrole = slice_store(&pos, from->authrole);
	i->authprovider = slice_store(&pos, from->authprovider);
	i->authextra = slice_store(&pos, from->authextra);
	i->peer_name = slice_store(&pos, from->peer_name);
	return i;
}

void identity_unref(struct identity **ip)
{
	struct identity *i = refs_drop(ip);

	if (i == NULL)
		return;
	role_slot_unref(&i->role);
	free(i);
}
