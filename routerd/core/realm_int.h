/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm from inside, for the files of core/: they are its parts, and one thread runs
 * them all.
 */
#ifndef ROUTERD_CORE_REALM_INT_H
#define ROUTERD_CORE_REALM_INT_H

#include "routerd/core/broker.h"
#include "routerd/core/dealer.h"
#include "routerd/core/realm.h"
#include "routerd/core/session.h"

/* A deadline of something in a realm. */
struct deadline {
	struct wheel_node node;
	struct realm *realm; /* if it is set */
};

struct realm {
	struct outbox *outbox;   /* lent */
	struct id_series *ids;   /* lent; the worker's */
	struct wheel *deadlines; /* lent; the worker's */
	uint16_t slot;
	unsigned n_workers;
	struct realm_limits limits;
	struct session_list sessions;  /* in the order of joining */
	LIST_HEAD(, session) lost;     /* empty but while a post is handled */
	struct id_table session_table; /* by worker and slot */
	struct broker broker;
	struct dealer dealer;
	struct realm_counters counters; /* its first group is filled in when asked for */
};

/* An id for a subscription or registration, see struct id_series. */
static inline uint64_t realm_new_id(struct realm *realm)
{
	uint64_t id = realm->ids->next;

	realm->ids->next += realm->ids->step;
	return id;
}

#endif
