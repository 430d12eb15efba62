/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the connections of one thread share: its loop, its receive buffer, its budgets,
 * its deadlines, its lists and its counters. One struct net belongs to each worker; a
 * connection belongs to one of them for ever. Nothing here knows WAMP.
 *
 * The owner's thread only.
 */
#ifndef ROUTERD_NET_NET_H
#define ROUTERD_NET_NET_H

#include "common/base.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/wheel.h"
#include "proto/ws_reader.h"
#include "routerd/net/budget.h"
#include "routerd/net/outq.h"
#include "routerd/net/stream.h"

#include <sys/queue.h>

enum {
	NET_SCRATCH = 64 * 1024, /* bytes read from a socket at once */
	/* Deadlines are put off to the next multiple of this, so that the pings of
	 * thousands of idle connections wake the thread ten times a second at most. */
	NET_DEADLINE_STEP_MS = 100,
};

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

/* Why a connection ended: name in the enum, words for a log line, counter. */
#define CONN_ENDS(X)                                                                     \
	/* the peer sent Close; RawSocket: end of file */                                \
	X(PEER, "closed by peer", "closed_by_peer")                                      \
	X(OWN, "closed by router", "closed_by_router")    /* conn_close */               \
	X(DROPPED, "dropped by router", "closed_dropped") /* conn_drop */                \
	/* reset, or end of file without Close */                                        \
	X(LOST, "connection lost", "closed_lost")                                        \
	X(HTTP, "answered by HTTP", "closed_http") /* and not upgraded */                \
	/* the peer broke the rules of its framing */                                    \
	X(PROTOCOL, "protocol error", "closed_protocol_error")                           \
	/* a message over the limit */                                                   \
	X(TOO_BIG, "message too big", "closed_message_too_big")                          \
	/* not established in time */                                                    \
	X(HANDSHAKE, "handshake timeout", "closed_handshake_timeout")                    \
	/* no sign of life after a ping */                                               \
	X(PING, "ping timeout", "closed_ping_timeout")                                   \
	X(SLOW, "slow consumer", "closed_slow_consumer") /* queued over queue_max */     \
	/* the largest queue when this thread's budget was used up */                    \
	X(BUDGET_OUT, "over output budget", "closed_over_output_budget")                 \
	/* the same for incomplete messages */                                           \
	X(BUDGET_IN, "over input budget", "closed_over_input_budget")                    \
	X(NOMEM, "out of memory", "closed_no_memory") /* for its buffers */              \
	/* its RawSocket handshake was answered by an error */                           \
	X(REFUSED, "handshake refused", "closed_handshake_refused")                      \
	/* no other handshake after conn_left */                                         \
	X(IDLE, "idle after GOODBYE", "closed_idle_after_goodbye")

enum conn_end {
	CONN_END_NONE = 0, /* it did not */
#define X(id, words, counter) CONN_END_##id,
	CONN_ENDS(X)
#undef X
};

/* Name in the enum, name in the statistics. */
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
	X(REQUESTS_TOO_LARGE, "requests_too_large")

enum net_counter {
#define X(id, name) NET_##id,
	NET_COUNTERS(X)
#undef X
#define X(id, words, counter) NET_END_##id,
		CONN_ENDS(X)
#undef X
			NET_COUNTER_COUNT,
};

struct net {
	struct loop *loop;     /* lent */
	const char *name;      /* prefix of log lines, as "w2"; lent */
	size_t max_queued;     /* bytes of memory in all out-queues of this thread */
	size_t max_incomplete; /* the same for requests and messages not yet complete */
	uint8_t *scratch;      /* where every read goes first */

	/* Set by the owner: while true, an established connection that becomes readable
	 * is paused instead of read. Others go on. Undone by net_resume_all. */
	bool paused;

	/* the rest belongs to the files of net/ */
	struct slice hold_rest; /* conn_hold's, until `message` returns */
	uint64_t last_number;   /* of a connection */
	uint32_t conns;         /* not freed yet */
	struct conn_list by_state[CONN_STATE_COUNT];
	struct streams streams[STREAM_LIST_COUNT]; /* IDLE stays empty */
	struct conn_list incomplete;   /* holding part of a handshake or message */
	struct conn_list paused_conns; /* by the flag above */
	struct conn_list left;         /* `closed` is to be called in this turn */
	struct wheel wheel;            /* deadlines */
	struct timer tick;             /* when the wheel is next due */
	uint64_t tick_due_ms;          /* 0: not armed */
	struct ws_pool ws;
	struct outq_pool out;    /* its memory counts against max_queued */
	size_t incomplete_bytes; /* counted against max_incomplete */
	struct budget budget;    /* of this turn */
	struct log_rate log_rate;
	uint64_t counters[NET_COUNTER_COUNT];
};

/* 0 or E_NOMEM. loop and name are lent until net_fini. */
int net_init(struct net *n, struct loop *loop, const char *name, size_t max_queued,
	     size_t max_incomplete) MUSTCHECK;

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

/* A line about what peers can do at will; its format ends in " suppressed=%u". */
#define net_log(n, level, prefix, ...)                                                   \
	log_limited(&(n)->log_rate, loop_now_ms((n)->loop), level, prefix, __VA_ARGS__)

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

static inline void net_count(struct net *n, enum net_counter which, uint64_t by)
{
	n->counters[which] += by;
}

#endif
