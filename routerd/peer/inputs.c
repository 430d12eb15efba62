/* SPDX-License-Identifier: Apache-2.0 */
/* The open inputs of calls; see inputs.h. The worker's thread. */
#include "routerd/peer/inputs.h"

#include "common/err.h"
#include "routerd/peer/peer.h"

#include <stdlib.h>

void inputs_init(struct open_inputs *inputs)
{
	TAILQ_INIT(&inputs->open);
	TAILQ_INIT(&inputs->answered);
}

struct open_input *inputs_find(const struct peer *p, uint64_t request)
{
	struct id_node *node = id_table_find(&p->peers->inputs, p, request);

	return node == NULL ? NULL : container_of(node, struct open_input, node);
}

static struct open_input *add_input(struct peer *p, uint64_t request,
				    struct slice procedure)
{
	struct open_input *in = malloc(sizeof(*in) + procedure.len);

	if (in == NULL)
		return NULL;
	uint8_t *pos = (uint8_t *)(in + 1);
	in->node.owner = p;
	in->node.id = request;
	in->answered = in->encrypted = false;
	in->procedure = slice_store(&pos, procedure);
	id_table_add(&p->peers->inputs, &in->node);
	TAILQ_INSERT_TAIL(&p->inputs.open, in, of_peer);
	p->inputs.n_open++;
	return in;
}

void inputs_close(struct peer *p, struct open_input *in)
{
	id_table_remove(&p->peers->inputs, &in->node);
	if (in->answered) {
		TAILQ_REMOVE(&p->inputs.answered, in, of_peer);
		p->inputs.n_answered--;
	} else {
		TAILQ_REMOVE(&p->inputs.open, in, of_peer);
		p->inputs.n_open--;
	}
	free(in);
}

static void mark_answered(struct peer *p, struct open_input *in)
{
	if (in->answered)
		return;
	in->answered = true;
	TAILQ_REMOVE(&p->inputs.open, in, of_peer);
	p->inputs.n_open--;
	TAILQ_INSERT_TAIL(&p->inputs.answered, in, of_peer);
	p->inputs.n_answered++;
	if (p->inputs.n_answered > INPUTS_MAX)
		inputs_close(p, TAILQ_FIRST(&p->inputs.answered));
}

int inputs_open(struct peer *p, uint64_t request, struct slice procedure, bool encrypted)
{
	struct open_input *in;

	if (p->inputs.n_open == INPUTS_MAX)
		return E_FULL;
	in = add_input(p, request, procedure);
	if (in == NULL)
		return E_NOMEM;
	in->encrypted = encrypted;
	return 0;
}

int inputs_refuse(struct peer *p, uint64_t request)
{
	struct open_input *in = inputs_find(p, request);

	if (in == NULL)
		in = add_input(p, request, slice_of(NULL, 0));
	if (in == NULL)
		return E_NOMEM;
	mark_answered(p, in);
	return 0;
}

void inputs_answered(struct peer *p, uint64_t request)
{
	struct open_input *in = inputs_find(p, request);

	if (in != NULL)
		mark_answered(p, in);
}

void inputs_end_all(struct peer *p)
{
	struct open_input *in;

	while ((in = TAILQ_FIRST(&p->inputs.open)) != NULL)
		inputs_close(p, in);
	while ((in = TAILQ_FIRST(&p->inputs.answered)) != NULL)
		inputs_close(p, in);
}
