/* SPDX-License-Identifier: Apache-2.0 */
/* Walks begin and end; the owner's thread. See meta_walk.h. */
#include "routerd/core/meta_walk.h"

#include "routerd/core/realm_int.h"
#include "routerd/post/role_set.h"

#include <stdlib.h>

void meta_init(struct meta *m)
{
	TAILQ_INIT(&m->walks);
}

struct meta_walk *meta_walk_add(struct realm *realm, const struct session *s,
				struct post *p)
{
	struct meta_walk *walk = malloc(sizeof(*walk));

	if (walk == NULL)
		return NULL;
	*walk = (struct meta_walk){
		.caller = s,
		.last = p->procedure < META_REGISTRATION_LIST ? realm->counters.joins
							      : realm->ids->next,
		.id = p->id,
		.procedure = p->procedure,
	};
	if (meta_kills(p->procedure)) {
		walk->kill = p->kill;
		p->kill = NULL;
	} else {
		walk->roles = p->roles;
		p->roles = NULL;
	}
	TAILQ_INSERT_TAIL(&realm->meta.walks, walk, in_order);
	return walk;
}

void meta_walk_end(struct meta *m, struct meta_walk *walk)
{
	if (walk == TAILQ_FIRST(&m->walks)) {
		payload_writer_free(&m->result);
		m->begun = false;
		m->next = NULL;
	}
	TAILQ_REMOVE(&m->walks, walk, in_order);
	if (meta_kills(walk->procedure))
		revocation_unref(&walk->kill);
	else
		role_set_free(&walk->roles);
	free(walk);
}
