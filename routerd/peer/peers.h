/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All WAMP peers of one worker, and what they share: where to post, scratch buffers, the
 * slots by which others refer to sessions, the members of subscriptions, the queue of
 * signatures to verify, the memory of revocations.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_PEERS_H
#define ROUTERD_PEER_PEERS_H

#include "common/buf.h"
#include "common/log.h"
#include "common/loop.h"
#include "routerd/config/policy.h"
#include "routerd/net/conn.h"
#include "routerd/peer/members.h"
#include "routerd/post/post.h"

struct peer;

/* Counters of the WAMP layer: name in the enum, name in the log. */
#define PEER_COUNTERS(X)                                                                 \
	X(SESSIONS_OPENED, "sessions_opened")                                            \
	X(SESSIONS_CLOSED, "sessions_closed")                                            \
	X(LOGINS_DENIED, "logins_denied")                                                \
	X(LOGINS_FAILED, "logins_failed")                                                \
	X(LOGINS_UNAVAILABLE, "logins_unavailable")                                      \
	X(LOGINS_REVOKED, "logins_revoked")                                              \
	X(SESSIONS_KILLED, "sessions_killed")                                            \
	X(VIOLATIONS, "protocol_violations")                                             \
	X(PENDING_CALLS_FULL, "pending_calls_full")                                      \
	X(SUBSCRIPTIONS_FULL, "session_subscriptions_full")                              \
	X(REGISTRATIONS_FULL, "session_registrations_full")                              \
	X(INVALID_VALUES, "invalid_values")                                              \
	X(PUBLISHES_DROPPED, "publishes_dropped")                                        \
	X(NOT_AUTHORIZED, "not_authorized")                                              \
	X(AUTHORIZATIONS_ASKED, "authorizations_asked")                                  \
	X(AUTHORIZATIONS_FAILED, "authorizations_failed")                                \
	X(EVENTS_DELIVERED, "events_delivered")                                          \
	X(NO_MEMORY, "out_of_memory")                                                    \
	X(REPORTS_LOST, "login_reports_lost")                                            \
	X(UNDELIVERABLE, "undeliverable")                                                \
	X(POSTS_STALE, "posts_for_gone_sessions")                                        \
	X(VERIFIES, "signatures_verified")

enum peer_counter {
#define X(id, name) PEER_##id,
	PEER_COUNTERS(X)
#undef X
		PEER_COUNTER_COUNT,
};

/* What conn_conf.user points to: a listener, as this worker's peers see it. */
struct peer_listener {
	struct peers *peers;
	const struct config_listener *conf;
};

struct peer_slot {
	struct peer *peer; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

TAILQ_HEAD(login_queue, login);

/* A reload that goes on. */
struct peers_reload {
	struct mail_batch *mail; /* for POST_RELOADED; NULL: no reload goes on */
	uint32_t next;           /* slot of the peer that is judged next */
	struct revocation_counts ended;
};

struct peers {
	unsigned self; /* the worker's index */
	unsigned n_workers;
	struct outbox *outbox;       /* lent, as all that follows */
	const struct config *config; /* as the router was started with it */
	struct net *net;
	struct loop *loop;
	struct policy *policy; /* counted; the one in force */
	char worker_name[16];  /* "worker001": x_cb_worker */

	struct slice message; /* that is being read, as the client sent it */
	struct buf decoded;   /* scratch of msg_read */
	struct buf out;       /* scratch of peer_begin */
	struct peer_slot *slots;
	uint32_t n_slots;
	uint32_t first_free; /* n_slots: none */

	struct members members;
	struct login_queue to_verify; /* logins whose signature waits for a turn */
	struct revocations revocations;
	struct peers_reload reload;
	uint64_t hold_queues_full;    /* bit i: that of authenticator i */
	struct log_rate log_rate;     /* for what peers can cause at will */
	struct log_rate session_rate; /* for sessions opened and closed */
	uint64_t counters[PEER_COUNTER_COUNT];
};

/* 0 or E_NOMEM. self is the worker's index. outbox, configuration and net are lent until
 * peers_fini; *policy gets a reference. */
int peers_init(struct peers *ps, unsigned self, unsigned n_workers, struct outbox *outbox,
	       const struct config *cfg, struct policy *policy,
	       struct net *net) MUSTCHECK;
/* After net_fini, which has closed every peer. */
void peers_fini(struct peers *ps);

/* Gives p a slot. E_NOMEM. */
int peers_add(struct peers *ps, struct peer *p) MUSTCHECK;
/* Takes the slot away; every reference to it is stale from now on. */
void peers_remove(struct peers *ps, struct peer *p);
/* Makes every reference to p stale: what comes next on this connection is another
 * session. */
void peers_renew(struct peers *ps, struct peer *p);
struct session_ref peers_ref(const struct peers *ps, const struct peer *p);
/* NULL: gone. */
struct peer *peers_find(const struct peers *ps, struct session_ref ref);

/* The worker that owns a realm. */
unsigned peers_owner(const struct peers *ps, uint16_t realm);

/* The hold queue of an authenticator is full, or is not any more: see
 * peers_login_possible. */
void peers_hold_queue(struct peers *ps, unsigned authenticator, bool full);

/* False, and counted: whoever connects to this listener now would wait in vain. */
bool peers_login_possible(struct peers *ps, const struct config_listener *l);

/* After each turn: gives back scratch memory that only a very large message needed. */
void peers_turn_end(struct peers *ps);

static inline void peers_count(struct peers *ps, enum peer_counter which)
{
	ps->counters[which]++;
}

#endif
