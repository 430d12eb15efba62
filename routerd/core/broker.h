/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker (specification: "Publish and Subscribe"): which topics have subscriptions,
 * which sessions are members, and how many members each worker has. The workers know
 * which ones. Only for core/; only on the owner's thread.
 */
#ifndef ROUTERD_CORE_BROKER_H
#define ROUTERD_CORE_BROKER_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/core/session.h"

struct subscription;

struct broker {
	struct subscription *topics; /* a table by topic */
	struct id_table memberships; /* by session and subscription id */
	uint64_t publication;        /* publication_id's state */
	uint64_t publication_step;
};

int broker_init(struct broker *b) MUSTCHECK; /* E_NOMEM */
/* All sessions must have left. Fine after a failed or no init of a zeroed struct. */
void broker_fini(struct broker *b);

/* The publication ids to come depend on the seed alone. */
void broker_seed(struct broker *b, uint64_t seed);

/* Handlers of the posts of these names: they may take the payload. */
void broker_subscribe(struct realm *realm, struct session *s, struct post *p);
void broker_unsubscribe(struct realm *realm, struct session *s, struct post *p);
void broker_publish(struct realm *realm, struct session *s, struct post *p);

/* Ends all memberships of a session. */
void broker_drop_memberships(struct realm *realm, struct session *s);

size_t broker_subscriptions(const struct broker *b);

#endif
