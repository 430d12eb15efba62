/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker (specification: "Publish and Subscribe"): which topics have subscriptions,
 * which sessions are members, and how many members each worker has. It sends one post for
 * an event to each worker that has members; the worker finds them (peer/members). For
 * core/ only; on the owner's thread only.
 */
#ifndef ROUTERD_CORE_BROKER_H
#define ROUTERD_CORE_BROKER_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/core/session.h"

struct subscription;

struct broker {
	struct subscription *topics; /* hash table by topic */
	struct id_table memberships; /* keys: session and subscription id */
	uint64_t publication;        /* state of publication_id */
	uint64_t publication_step;
};

int broker_init(struct broker *b) MUSTCHECK; /* 0 or E_NOMEM */
/* All sessions must have left. Also frees a zeroed struct, or one whose init failed. */
void broker_fini(struct broker *b);

/* Starts the publication ids anew. They depend on the seed only. */
void broker_seed(struct broker *b, uint64_t seed);

/* Handle the posts of these names. They may take the payload of the post. */
void broker_subscribe(struct realm *realm, struct session *s, struct post *p);
void broker_unsubscribe(struct realm *realm, struct session *s, struct post *p);
void broker_publish(struct realm *realm, struct session *s, struct post *p);

/* Ends all memberships of a session. */
void broker_drop_memberships(struct realm *realm, struct session *s);

size_t broker_subscriptions(const struct broker *b);

#endif
