/* SPDX-License-Identifier: Apache-2.0 */
/* The broken calls; see broken.h. The worker's thread. */
#include "routerd/peer/broken.h"

#include "common/err.h"
#include "routerd/peer/peer.h"

#include <stdlib.h>

int broken_add(struct peer *p, enum broken_side side, uint64_t request,
	       const struct undeliverable *why)
{
	struct broken_call *b = malloc(sizeof(*b));

	if (b == NULL)
		return E_NOMEM;
	b->node.owner = &p->broken[side];
	b->node.id = request;
	b->why = *why;
	id_table_add(&p->peers->broken, &b->node);
	LIST_INSERT_HEAD(&p->broken[side], b, of_peer);
	return 0;
}

static struct broken_call *find_broken(struct peer *p, enum broken_side side,
				       uint64_t request)
{
	struct id_node *node =
		id_table_find(&p->peers->broken, &p->broken[side], request);

	return node == NULL ? NULL : container_of(node, struct broken_call, node);
}

bool broken_has(struct peer *p, enum broken_side side, uint64_t request)
{
	return find_broken(p, side, request) != NULL;
}

static void end_broken(struct peer *p, struct broken_call *b)
{
	id_table_remove(&p->peers->broken, &b->node);
	LIST_REMOVE(b, of_peer);
	free(b);
}

bool broken_end(struct peer *p, enum broken_side side, uint64_t request,
		struct undeliverable *why_out)
{
	struct broken_call *b = find_broken(p, side, request);

	if (b == NULL)
		return false;
	if (why_out != NULL)
		*why_out = b->why;
	end_broken(p, b);
	return true;
}

void broken_end_all(struct peer *p)
{
	struct broken_call *b;

	for (size_t side = 0; side < BROKEN_SIDES; side++)
		while ((b = LIST_FIRST(&p->broken[side])) != NULL)
			end_broken(p, b);
}
