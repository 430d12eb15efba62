/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The struct of a realm, for the files of core/ only. All of them run on the owner's
 * thread.
 */
#ifndef ROUTERD_CORE_REALM_INT_H
#define ROUTERD_CORE_REALM_INT_H

#include "routerd/config/policy.h"
#include "routerd/core/broker.h"
#include "routerd/core/dealer.h"
#include "routerd/core/history.h"
#include "routerd/core/meta_walk.h"
#include "routerd/core/realm.h"
#include "routerd/core/retained.h"
#include "routerd/core/rights_walk.h"
#include "routerd/core/session.h"

/* A deadline of an object in a realm. */
struct deadline {
	struct wheel_node node;
	struct realm *realm; /* valid if the deadline is set */
};

struct realm {
	struct outbox *outbox;   /* lent */
	struct id_series *ids;   /* lent; shared by the worker's realms */
	struct wheel *deadlines; /* lent; shared by the worker's realms */
	uint16_t slot;
	unsigned n_workers;
	struct realm_limits limits;
	struct policy *policy;        /* counted; NULL until realm_set_policy */
	uint64_t now_ms;              /* the latest time_ms of a post */
	struct session_list sessions; /* in the order in which they joined */
	struct session_list leaving;  /* in the order in which they left; see leave.h */
	/* `leaving` was empty and now has a session: do its first slice after the current
	 * post. False between posts. */
	bool begin_leaving;
	bool stopping; /* realm_stop was called */
	/* Sessions to end after the current post; empty between posts. */
	LIST_HEAD(, session) lost;
	struct id_table session_table; /* by worker and slot */
	struct id_table sessions_by_id;
	struct broker broker;
	struct dealer dealer;
	struct histories histories;
	struct meta meta;
	struct rights_walk rights_walk;
	struct retained retained;
	/* realm_counters fills in the gauges, except testaments */
	struct realm_counters counters;
};

/* Makes an id for a subscription or registration; see struct id_series. */
static inline uint64_t realm_new_id(struct realm *realm)
{
	uint64_t id = realm->ids->next;

	realm->ids->next += realm->ids->step;
	return id;
}

#endif
