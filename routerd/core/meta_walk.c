/* SPDX-License-Identifier: Apache-2.0 */
/* Walks begin and end; the owner's thread. See meta_walk.h. */
#include "routerd/core/meta_walk.h"

#include "routerd/core/realm_int.h"
#include "routerd/post/role_set.h"

#include <stdlib.h>

void meta_init(struct meta *m)
{
	TAILQ_INIT(&m->callers);
}

struct meta_walk *meta_walk_add(struct realm *realm, struct session *s, struct post *p)
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
	if (TAILQ_EMPTY(&s->walks))
		TAILQ_INSERT_TAIL(&realm->meta.callers, s, walking);
	TAILQ_INSERT_TAIL(&s->walks, walk, of_caller);
	return walk;
}

struct meta_walk *meta_first_walk(const struct meta *m)
{
	const struct session *s = TAILQ_FIRST(&m->callers);

	return s == NULL ? NULL : TAILQ_FIRST(&s->walks);
}

void meta_walk_end(struct meta *m, struct meta_walk *walk)
{
	struct session *s = walk->caller;
	bool first = walk == meta_first_walk(m);

	if (first) {
		payload_writer_free(&m->result);
		m->begun = false;
		m->next = NULL;
	}
	TAILQ_REMOVE(&s->walks, walk, of_caller);
	/* after the first walk it is another caller's turn */
	if (first || TAILQ_EMPTY(&s->walks))
		TAILQ_REMOVE(&m->callers, s, walking);
	if (first && !TAILQ_EMPTY(&s->walks))
		TAILQ_INSERT_TAIL(&m->callers, s, walking);
	if (meta_kills(walk->procedure))
		revocation_unref(&walk->kill);
	else
		role_set_free(&walk->roles);
	free(walk);
}
