/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of authorizers that a worker keeps, because the authorizer has said so
 * (`cache`): its answer then also decides about later requests of all sessions that have
 * the same rights (so the same realm and role) and the same authid, for the same action,
 * URI and match. The options of a request are not part of the key.
 *
 * The decisions of one worker take at most DECISIONS_MAX bytes. Then the realm with the
 * most bytes loses the decision that it has not used for the longest time. The decisions
 * about one principal (rights and authid) take at most DECISIONS_OF_ONE_MAX bytes; then
 * it loses its oldest one. So a client that tries many URIs evicts mostly its own.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_DECISIONS_H
#define ROUTERD_PEER_DECISIONS_H

#include "common/base.h"
#include "common/counters.h"
#include "routerd/config/rights.h"
#include "routerd/post/revocation.h"

#include <sys/queue.h>

enum { DECISIONS_MAX = 16 << 20, DECISIONS_OF_ONE_MAX = 128 << 10 };

struct decision;
struct decided_principal;
TAILQ_HEAD(decision_list, decision);

struct decisions_of_realm {
	struct decision_list recent; /* the most recently used one first */
	size_t bytes;
};

struct decisions {
	struct decision *table;
	struct decided_principal *principals; /* those with at least one decision */
	struct decisions_of_realm *realms;    /* by slot */
	size_t n_realms;
	/* Number of the newest revocation that was passed to decisions_forget: answers to
	 * older questions must not be kept. */
	uint64_t revocations;
	/* How often decisions_clear was called: answers to questions that were asked
	 * before must not be kept, either. */
	uint32_t clears;
	uint64_t count, bytes;            /* of all decisions */
	uint64_t purges, evictions, hits; /* counters */
};

/* Each row: field, name, type, help text. */
#define DECISION_COUNTERS(X)                                                             \
	X(count, "decisions", GAUGE, "decisions of authorizers that are kept")           \
	X(bytes, "decision_bytes", GAUGE, "bytes of these decisions")                    \
	X(hits, "decision_hits", COUNTER,                                                \
	  "requests decided by a kept decision, without asking the authorizer")          \
	X(purges, "decision_purges", COUNTER,                                            \
	  "times that decisions were forgotten because of a changed, a revoke, a "       \
	  "reload, or a new connection to the authorizer")                               \
	X(evictions, "decision_evictions", COUNTER,                                      \
	  "decisions forgotten because others needed the room")
extern const struct counter_table decision_counter_table; /* describes struct decisions */

/* A request: who wants to do what? */
struct decision_about {
	const struct identity *who;
	struct rights *rights; /* those of its role, with an authorizer */
	enum action action;
	enum match match;
	struct slice uri; /* at most WAMP_MAX_URI bytes */
};

struct decision_result {
	uint16_t authenticator; /* index of the authorizer in the configuration */
	bool allow, disclose;
	uint64_t until_ms; /* when the decision ends; clock of common/loop. 0: never */
};

int decisions_init(struct decisions *ds, size_t n_realms) MUSTCHECK; /* E_NOMEM */
/* Also after a failed init, or on a zeroed struct. */
void decisions_fini(struct decisions *ds);

/* Finds the decision about a request. NULL: there is none. Valid until the next call. */
const struct decision_result *
decisions_find(struct decisions *ds, const struct decision_about *about, uint64_t now_ms);

/*
 * Keeps a decision, in place of an older one about the same. Keeps none if memory runs
 * out.
 */
void decisions_keep(struct decisions *ds, const struct decision_about *about,
		    const struct decision_result *result);

/*
 * Forgets the decisions about the principals that a revocation names by authid, role and
 * realm; its other criteria are ignored, so it may forget more. If decisions_only is set,
 * only those of its authenticator. Does nothing if it is a dry run.
 */
void decisions_forget(struct decisions *ds, const struct revocation *revocation);

/* Forgets all decisions: the rights have changed. */
void decisions_clear(struct decisions *ds);

#endif
