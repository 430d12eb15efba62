/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the connections of one thread share: its loop, its receive buffer, its budgets,
 * its deadlines, its lists and its counters. One struct net belongs to each worker; a
 * connection belongs to one of them for ever. Nothing here knows WAMP.
 *
 * The owner's thread only, except net_counter_get.
 */
#ifndef ROUTERD_NET_NET_H
#define ROUTERD_NET_NET_H

#include "common/base.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/ws_reader.h"
#include "routerd/net/budget.h"
#include "routerd/net/outq.h"
#include "routerd/net/stream.h"
#include "routerd/net/wheel.h"

#include <stdatomic.h>
#include <sys/queue.h>

enum { NET_SCRATCH = 64 * 1024 }; /* bytes read from a socket at once */

struct conn;
TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(streams, stream);

/* Where a connection stands. Changed by conn_set_state alone. */
enum conn_state {
	CONN_OPENING = 0, /* reading the handshake */
	CONN_OPEN = 1,    /* messages go both ways */
	CONN_CLOSING = 2, /* saying goodbye; no message is delivered or accepted */
	CONN_DEAD = 3,    /* freed at the end of the turn */
	CONN_STATE_COUNT = 4,
};

/* name in the enum, name in the statistics */
#define NET_COUNTERS(X)                                                                  \
	X(ADOPTED, "connections_adopted")                                                \
	X(UPGRADED, "connections_upgraded")                                              \
	X(FREED, "connections_freed")                                                    \
	X(BYTES_IN, "bytes_in")                                                          \
	X(BYTES_OUT, "bytes_out")                                                        \
	X(MESSAGES_IN, "messages_in")                                                    \
	X(MESSAGES_OUT, "messages_out")                                                  \
	X(WRITES, "writes")                                                              \
	X(PINGS_OUT, "pings_out")                                                        \
	X(PAUSES, "pauses")                                                              \
	X(REQUESTS_TOO_LARGE, "requests_too_large")                                      \
	X(END_PEER, "closed_by_peer")                                                    \
	X(END_OWN, "closed_by_router")                                                   \
	X(END_DROPPED, "closed_dropped")                                                 \
	X(END_LOST, "closed_lost")                                                       \
	X(END_HTTP, "closed_http")                                                       \
	X(END_PROTOCOL, "closed_protocol_error")                                         \
	X(END_TOO_BIG, "closed_message_too_big")                                         \
	X(END_HANDSHAKE, "closed_handshake_timeout")                                     \
	X(END_PING, "closed_ping_timeout")                                               \
	X(END_SLOW, "closed_slow_consumer")                                              \
	X(END_BUDGET_OUT, "closed_over_output_budget")                                   \
	X(END_BUDGET_IN, "closed_over_input_budget")                                     \
	X(END_NOMEM, "closed_no_memory")                                                 \
	X(END_REFUSED, "closed_handshake_refused")                                       \
	X(END_IDLE, "closed_idle_after_goodbye")

enum net_counter {
#define X(id, name) NET_##id,
	NET_COUNTERS(X)
#undef X
		NET_COUNTER_COUNT,
};

/* The name of a counter in the statistics. */
const char *net_counter_name(enum net_counter which);

struct net_limits {
	size_t max_queued;     /* bytes of memory in all out-queues of this thread */
	size_t max_incomplete; /* the same for requests and messages not yet complete */
};

struct net {
	struct loop *loop; /* lent */
	const char *name;  /* prefix of log lines, as "w2"; lent */
	struct net_limits limits;
	uint8_t *scratch; /* where every read goes first */

	/* Set by the owner: while true, an established connection that becomes readable
	 * is paused instead of read. Others go on. Undone by net_resume_all. */
	bool paused;

	/* the rest belongs to the files of net/ */
	uint64_t last_number; /* of a connection */
	uint32_t conns;       /* not freed yet */
	struct conn_list by_state[CONN_STATE_COUNT];
	struct streams streams[STREAM_LIST_COUNT]; /* IDLE stays empty */
	struct conn_list incomplete;   /* holding part of a handshake or message */
	struct conn_list paused_conns; /* by the flag above */
	struct conn_list left;         /* `closed` is to be called in this turn */
	struct wheel wheel;            /* deadlines */
	struct timer tick;             /* when the wheel is next due */
	uint64_t tick_due_ms;          /* 0: not armed */
	struct ws_pool ws;
	struct outq_pool out;    /* its memory counts against limits.max_queued */
	size_t incomplete_bytes; /* counted against limits.max_incomplete */
	struct budget budget;    /* of this turn */
	struct log_rate log_rate;
	_Atomic uint64_t counters[NET_COUNTER_COUNT];
};

/* 0 or E_NOMEM. loop and name are lent until net_fini. */
int net_init(struct net *n, struct loop *loop, const char *name,
	     const struct net_limits *limits) MUSTCHECK;

/* Drops and frees every connection (their `closed` is called), then the rest. */
void net_fini(struct net *n);

/*
 * To be called from the loop's hook, after whatever queues output: calls `closed` for
 * the connections that left OPEN, writes what is queued with one writev each, and frees
 * the dead. What `closed` posts must be handed over after it. True if it should be called
 * again without waiting for an event.
 */
bool net_turn_end(struct net *n);

/* The flag `paused` fell: every connection that it paused is read again. */
void net_resume_all(struct net *n);

/*
 * Ends every connection: 503 where the upgrade is not done yet, conn_drop in the middle
 * of a login, else a Close with this code and reason. Then turns go on until net_conns is
 * 0, or for as long as the caller cares to wait.
 */
void net_close_all(struct net *n, uint16_t code, const char *reason);

/* A line about what peers can do at will: may it be written? */
static inline bool net_may_log(struct net *n, unsigned *dropped_out)
{
	return log_rate_ok(&n->log_rate, loop_now_ms(n->loop), dropped_out);
}

/* The wheel must be looked at by then, milliseconds of the loop's clock. */
static inline void net_tick_by(struct net *n, uint64_t due_ms)
{
	uint64_t now = loop_now_ms(n->loop);

	if (n->tick_due_ms != 0 && n->tick_due_ms <= due_ms)
		return;
	n->tick_due_ms = due_ms;
	timer_arm(&n->tick, due_ms > now ? due_ms - now : 0);
}

/* Connections not freed yet. */
static inline uint32_t net_conns(const struct net *n)
{
	return n->conns;
}

/* Counts. No read-modify-write: nobody else writes. */
static inline void net_count(struct net *n, enum net_counter which, uint64_t by)
{
	uint64_t v = atomic_load_explicit(&n->counters[which], memory_order_relaxed);

	atomic_store_explicit(&n->counters[which], v + by, memory_order_relaxed);
}

/* Any thread. */
static inline uint64_t net_counter_get(const struct net *n, enum net_counter which)
{
	return atomic_load_explicit(&n->counters[which], memory_order_relaxed);
}

#endif
