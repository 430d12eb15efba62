/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All WAMP peers of one worker, and what they share: the outbox, scratch buffers, the
 * slots by which other workers refer to sessions, the members of subscriptions, the
 * logins whose signatures must be verified, and the revocations to remember.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_PEERS_H
#define ROUTERD_PEER_PEERS_H

#include "common/buf.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/loop.h"
#include "routerd/config/policy.h"
#include "routerd/net/conn.h"
#include "routerd/peer/broken.h"
#include "routerd/peer/decisions.h"
#include "routerd/peer/inputs.h"
#include "routerd/peer/members.h"
#include "routerd/post/post.h"

struct peer;

/* The counters of the WAMP layer: identifier, name, type, help. */
#define PEER_COUNTERS(X)                                                                 \
	X(SESSIONS_OPENED, "sessions_opened", COUNTER, "sessions that began")            \
	X(SESSIONS_CLOSED, "sessions_closed", COUNTER, "sessions that ended")            \
	X(LOGINS_DENIED, "logins_denied", COUNTER, "logins denied")                      \
	X(LOGINS_FAILED, "logins_failed", COUNTER, "logins aborted because of an error") \
	X(LOGINS_UNAVAILABLE, "logins_unavailable", COUNTER,                             \
	  "logins dropped because no decision was possible; the client may try again")   \
	X(LOGINS_REVOKED, "logins_revoked", COUNTER,                                     \
	  "logins refused because of a revocation")                                      \
	X(SESSIONS_KILLED, "sessions_killed", COUNTER,                                   \
	  "sessions ended by a revocation, a reload or a call")                          \
	X(VIOLATIONS, "protocol_violations", COUNTER,                                    \
	  "sessions and logins aborted because the client violated the protocol")        \
	X(PENDING_CALLS_FULL, "pending_calls_full", COUNTER,                             \
	  "calls refused because of pending_calls")                                      \
	X(OPEN_INPUTS_FULL, "open_inputs_full", COUNTER,                                 \
	  "calls refused because the session has too many calls with progressive input") \
	X(CHUNKS_DROPPED, "chunks_dropped", COUNTER,                                     \
	  "chunks of progressive input dropped by the caller's worker: their call was "  \
	  "answered or refused, or they name another procedure")                         \
	X(SUBSCRIPTIONS_FULL, "session_subscriptions_full", COUNTER,                     \
	  "subscriptions refused because of session_subscriptions")                      \
	X(REGISTRATIONS_FULL, "session_registrations_full", COUNTER,                     \
	  "registrations refused because of session_registrations")                      \
	X(WILDCARDS_FULL, "session_wildcards_full", COUNTER,                             \
	  "subscriptions and registrations refused because of session_wildcards")        \
	X(TESTAMENTS_FULL, "testaments_full", COUNTER,                                   \
	  "testaments refused because a session may have 32, with 64 KiB in total")      \
	X(INVALID_VALUES, "invalid_values", COUNTER,                                     \
	  "messages with a value that is not valid, such as text that is not UTF-8")     \
	X(PUBLISHES_DROPPED, "publishes_dropped", COUNTER,                               \
	  "refused PUBLISH messages without acknowledge, which get no answer")           \
	X(NOT_AUTHORIZED, "not_authorized", COUNTER,                                     \
	  "requests that the role's permissions or its authorizer forbid")               \
	X(AUTHORIZATIONS_ASKED, "authorizations_asked", COUNTER,                         \
	  "questions to authorizers about requests")                                     \
	X(AUTHORIZATIONS_REPEATED, "authorizations_repeated", COUNTER,                   \
	  "questions to an authorizer asked again, because of a changed or revoke that " \
	  "arrived before the answer, or because of a reload")                           \
	X(AUTHORIZATIONS_FAILED, "authorizations_failed", COUNTER,                       \
	  "requests refused because the authorizer gave no decision")                    \
	X(EVENTS_DELIVERED, "events_delivered", COUNTER,                                 \
	  "EVENT messages sent to subscribers")                                          \
	X(EVENTS_NOT_UNDERSTOOD, "events_not_understood", COUNTER,                       \
	  "EVENT messages with enc_algo that were not sent to a subscriber, because it " \
	  "had not announced payload_transparency")                                      \
	X(NO_MEMORY, "out_of_memory", COUNTER,                                           \
	  "requests refused and connections dropped because memory ran out")             \
	X(REPORTS_LOST, "login_reports_lost", COUNTER,                                   \
	  "reports to authenticators lost because memory ran out")                       \
	X(UNDELIVERABLE, "undeliverable", COUNTER,                                       \
	  "messages not delivered: the receiver's serializer cannot encode them, they "  \
	  "exceed its size limit, or it reads progressive results, chunks or retained "  \
	  "events too slowly")                                                           \
	X(POSTS_STALE, "posts_for_gone_sessions", COUNTER,                               \
	  "internal messages dropped because their session had ended")                   \
	X(VERIFIES, "signatures_verified", COUNTER, "signatures of logins verified")

enum peer_counter {
#define X(id, name, type, help) PEER_##id,
	PEER_COUNTERS(X)
#undef X
		PEER_COUNTER_COUNT,
};
extern const struct counter_table peer_counter_table; /* describes peers.counters */

/* A listener, for the peers of one worker. conn_conf.user points to it. */
struct peer_listener {
	struct peers *peers;
	const struct config_listener *conf;
};

struct peer_slot {
	struct peer *peer; /* NULL: free */
	uint32_t generation;
	uint32_t next_free; /* of a free slot: the next free one */
};

TAILQ_HEAD(login_queue, login);

/* The state of a reload. */
struct peers_reload {
	struct mail_batch *mail; /* for POST_RELOADED; NULL if no reload is in progress */
	uint32_t next;           /* slot of the next peer to check */
	struct revocation_counts ended;
};

struct peers {
	unsigned self; /* the worker's index */
	unsigned n_workers;
	struct outbox *outbox;       /* lent */
	const struct config *config; /* lent; as loaded when the router started */
	struct net *net;             /* lent */
	struct loop *loop;           /* lent */
	struct policy *policy;       /* counted; the policy in force */
	char worker_name[16];        /* "worker001": x_cb_worker in WELCOME */

	struct slice message;  /* the encoded message that is being read */
	struct buf decoded;    /* scratch buffer of msg_read */
	struct buf out;        /* scratch buffer of peer_begin */
	struct buf transcoded; /* scratch buffer for payload_items_into */
	struct peer_slot *slots;
	uint32_t n_slots;
	uint32_t first_free; /* the first free slot; n_slots if no slot is free */

	struct members members;
	struct id_table broken;       /* broken_call.node */
	struct id_table inputs;       /* open_input.node */
	struct login_queue to_verify; /* logins whose signature waits to be verified */
	struct revocations revocations;
	struct decisions decisions; /* of authorizers */
	struct peers_reload reload;
	/* bit i is set: the hold queue of authenticator i is full */
	uint64_t hold_queues_full;
	struct log_rate log_rate;     /* for lines that clients can cause */
	struct log_rate session_rate; /* for lines about sessions that open or close */
	uint64_t counters[PEER_COUNTER_COUNT];
};

/*
 * Initializes the peers of worker self. outbox, cfg and net are lent until peers_fini.
 * Takes a reference to the policy. Returns 0 or E_NOMEM.
 */
int peers_init(struct peers *ps, unsigned self, unsigned n_workers, struct outbox *outbox,
	       const struct config *cfg, struct policy *policy,
	       struct net *net) MUSTCHECK;
/* Frees everything in ps. Call it after net_fini, which closes every peer. */
void peers_fini(struct peers *ps);

/* Assigns a slot to p. Returns 0 or E_NOMEM. */
int peers_add(struct peers *ps, struct peer *p) MUSTCHECK;
/* Frees p's slot. All references to p are stale from now on. */
void peers_remove(struct peers *ps, struct peer *p);
/*
 * Makes all references to p stale, because its session has ended. p keeps its slot:
 * another session may follow on the same connection.
 */
void peers_renew(struct peers *ps, struct peer *p);
/* The peer that ref names. NULL if its session has ended. */
struct peer *peers_find(const struct peers *ps, struct session_ref ref);

/* The worker that owns a realm. */
static inline unsigned peers_owner(const struct peers *ps, uint16_t realm)
{
	/* The first realm goes to the last worker, and worker 0 gets its realm last,
	 * because it also accepts connections and talks to the authenticators. */
	return ps->n_workers - 1 - realm % ps->n_workers;
}

/*
 * Records whether the hold queue of an authenticator is full; see peers_login_possible.
 */
void peers_hold_queue(struct peers *ps, unsigned authenticator, bool full);

/*
 * True if a client that connects to this listener can log in now. False if the listener
 * does not offer anonymous and each of its authenticators has a full hold queue; then it
 * also counts the refused login.
 */
bool peers_login_possible(struct peers *ps, const struct config_listener *l);

/* Call it after each turn: frees scratch buffers that have grown very large. */
void peers_turn_end(struct peers *ps);

static inline void peers_count(struct peers *ps, enum peer_counter which)
{
	ps->counters[which]++;
}

#endif
