/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peers of one worker and the things that they share; see peers.h. The worker's
 * thread.
 */
#include "routerd/peer/peers.h"

#include "common/err.h"
#include "routerd/peer/peer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static_assert(CONFIG_MAX_AUTHENTICATORS <= 64,
	      "a uint64_t has a bit for each authenticator's hold queue");

enum {
	SLOTS_FIRST = 64,
	OUT_MAX = 80 << 20, /* the largest transcoded payload and its envelope */
	DECODED_MAX = 16 << 20,
	/* bytes; larger scratch buffers are freed after the turn */
	SCRATCH_KEEP = 4 << 20,
	REVOCATIONS_MAX = 4096,
	SESSION_LINES = 100, /* log lines per second */
};

#define X(id, name, type, help) {name, help, type, PEER_##id * sizeof(uint64_t)},
const struct counter_table peer_counter_table =
	COUNTER_TABLE(uint64_t[PEER_COUNTER_COUNT], PEER_COUNTERS(X));
#undef X

/*
 * How long to remember revocations: at least as long as any handshake lasts, because a
 * revocation may match a handshake that began before the revocation arrived.
 */
static uint64_t longest_handshake_ms(const struct config *cfg)
{
	uint64_t longest = 0;

	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (cfg->listeners[i].options.open_handshake_timeout > longest)
			longest = cfg->listeners[i].options.open_handshake_timeout;
	return longest + 1000;
}

int peers_init(struct peers *ps, unsigned self, unsigned n_workers, struct outbox *outbox,
	       const struct config *cfg, struct policy *policy, struct net *net)
{
	*ps = (struct peers){
		.self = self,
		.n_workers = n_workers,
		.outbox = outbox,
		.config = cfg,
		.policy = policy_ref(policy),
		.net = net,
		.loop = net->loop,
		.log_rate = {.burst = 20},
		.session_rate = {.burst = SESSION_LINES},
	};
	snprintf(ps->worker_name, sizeof(ps->worker_name), "worker%03u", self + 1);
	buf_init(&ps->decoded, DECODED_MAX);
	buf_init(&ps->out, OUT_MAX);
	buf_init(&ps->transcoded, OUT_MAX);
	TAILQ_INIT(&ps->to_verify);
	revocations_init(&ps->revocations, REVOCATIONS_MAX, longest_handshake_ms(cfg));
	if (decisions_init(&ps->decisions, cfg->n_realms) != 0 ||
	    members_init(&ps->members) != 0 || id_table_init(&ps->broken) != 0)
		return E_NOMEM;
	return id_table_init(&ps->inputs);
}

void peers_fini(struct peers *ps)
{
	id_table_fini(&ps->inputs);
	id_table_fini(&ps->broken);
	members_fini(&ps->members);
	decisions_fini(&ps->decisions);
	revocations_fini(&ps->revocations);
	policy_unref(&ps->policy);
	free(ps->reload.mail);
	ps->reload.mail = NULL;
	buf_fini(&ps->decoded);
	buf_fini(&ps->out);
	buf_fini(&ps->transcoded);
	free(ps->slots);
	ps->slots = NULL;
}

void peers_turn_end(struct peers *ps)
{
	struct buf *scratch[] = {&ps->decoded, &ps->out, &ps->transcoded};

	for (size_t i = 0; i < ARRAY_LEN(scratch); i++)
		if (scratch[i]->cap > SCRATCH_KEEP)
			buf_fini(scratch[i]);
}

static int grow_slots(struct peers *ps)
{
	uint32_t n = ps->n_slots == 0 ? SLOTS_FIRST : ps->n_slots * 2;
	struct peer_slot *slots = realloc(ps->slots, n * sizeof(*slots));

	if (slots == NULL)
		return E_NOMEM;
	for (uint32_t i = ps->n_slots; i < n; i++)
		slots[i] = (struct peer_slot){.next_free = i + 1};
	ps->slots = slots;
	/* the list of free slots was empty; now it consists of the new slots */
	ps->first_free = ps->n_slots;
	ps->n_slots = n;
	return 0;
}

int peers_add(struct peers *ps, struct peer *p)
{
	if (ps->first_free == ps->n_slots && grow_slots(ps) != 0)
		return E_NOMEM;
	TAILQ_INIT(&p->members);
	inputs_init(&p->inputs);
	p->slot = ps->first_free;
	struct peer_slot *s = &ps->slots[p->slot];
	ps->first_free = s->next_free;
	s->peer = p;
	s->generation++;
	return 0;
}

void peers_remove(struct peers *ps, struct peer *p)
{
	struct peer_slot *s = &ps->slots[p->slot];

	ASSERT(s->peer == p);
	s->peer = NULL;
	s->generation++;
	s->next_free = ps->first_free;
	ps->first_free = p->slot;
}

void peers_renew(struct peers *ps, struct peer *p)
{
	ps->slots[p->slot].generation++;
}

struct peer *peers_find(const struct peers *ps, struct session_ref ref)
{
	ASSERT(ref.worker == ps->self && ref.slot < ps->n_slots);
	const struct peer_slot *s = &ps->slots[ref.slot];

	return s->generation == ref.generation ? s->peer : NULL;
}

void peers_hold_queue(struct peers *ps, unsigned authenticator, bool full)
{
	uint64_t bit = UINT64_C(1) << authenticator;

	ps->hold_queues_full =
		full ? ps->hold_queues_full | bit : ps->hold_queues_full & ~bit;
}

bool peers_login_possible(struct peers *ps, const struct config_listener *l)
{
	bool possible = l->auth.anonymous.role != NULL;

	for (size_t i = 0; i < METHOD_COUNT && !possible; i++) {
		const struct config_method *m = &l->auth.methods[i];

		possible = m->type == METHOD_STATIC ||
			   (m->type == METHOD_DYNAMIC &&
			    (ps->hold_queues_full >> m->authenticator_index & 1) == 0);
	}
	ps->counters[PEER_LOGINS_UNAVAILABLE] += !possible;
	return possible;
}
