/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the connections of one worker share: loop, receive buffer, budgets, deadlines,
 * lists and counters. Each worker has one struct net. A connection never moves to
 * another, but an HTTP connection may before it is upgraded: its long-poll requests
 * belong to a long-poll connection, which has a worker. The files in this folder do not
 * interpret messages. The worker's thread.
 */
#ifndef ROUTERD_NET_NET_H
#define ROUTERD_NET_NET_H

#include "common/buf.h"
#include "common/counters.h"
#include "common/id_table.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/wheel.h"
#include "proto/deflate.h"
#include "proto/ws_reader.h"
#include "routerd/net/budget.h"
#include "routerd/net/outq.h"
#include "routerd/net/stream.h"
#include "routerd/net/tls.h"

#include <sys/queue.h>

enum {
	NET_SCRATCH = 64 * 1024, /* bytes read from a socket at a time */
	/*
	 * Deadlines are rounded up to a multiple of this, so that the pings of thousands
	 * of idle connections wake the thread at most ten times a second.
	 */
	NET_DEADLINE_STEP_MS = 100,
};

struct conn;
struct conn_conf;
struct conn_moved;
TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(streams, stream);

/* The state of a connection. Only conn_set_state changes it. */
enum conn_state {
	CONN_OPENING = 0, /* reading the handshake */
	CONN_OPEN = 1,    /* messages are sent and received */
	CONN_CLOSING = 2, /* closing; no message is sent or delivered */
	CONN_DEAD = 3,    /* freed at the end of the turn */
	CONN_STATE_COUNT = 4,
};

/*
 * Why a connection ended. Each row: identifier, text for log lines, name and help text of
 * its counter.
 */
#define CONN_ENDS(X)                                                                     \
	X(PEER, "closed by peer", "closed_by_peer",                                      \
	  "connections that the client closed")                                          \
	X(OWN, "closed by router", "closed_by_router",                                   \
	  "connections that the router closed with a Close frame")                       \
	X(DROPPED, "dropped by router", "closed_dropped",                                \
	  "connections that the router dropped without a Close frame")                   \
	X(LOST, "connection lost", "closed_lost",                                        \
	  "connections that were reset or ended without a Close frame")                  \
	X(HTTP, "HTTP response sent", "closed_http",                                     \
	  "connections that got an HTTP response instead of an upgrade")                 \
	X(PROTOCOL, "protocol error", "closed_protocol_error",                           \
	  "connections closed because the client violated WebSocket or RawSocket, or "   \
	  "began with an unexpected PROXY header")                                       \
	X(TOO_BIG, "message too big", "closed_message_too_big",                          \
	  "connections closed because of max_message_size")                              \
	X(HANDSHAKE, "handshake timeout", "closed_handshake_timeout",                    \
	  "connections closed because of open_handshake_timeout, or because a TLS "      \
	  "handshake was slow and others waited")                                        \
	X(PING, "ping timeout", "closed_ping_timeout",                                   \
	  "connections closed because a ping was not answered in time")                  \
	X(SLOW, "slow consumer", "closed_slow_consumer",                                 \
	  "connections closed because of queue_size")                                    \
	X(BUDGET_OUT, "over output budget", "closed_over_output_budget",                 \
	  "connections closed because of queued_total: they had the longest queues")     \
	X(SILENT, "no poll", "closed_no_poll",                                           \
	  "long-poll connections closed because the client did not poll in time")        \
	X(MOVED, "moved to another worker", "moved",                                     \
	  "HTTP connections handed to the worker that has their long-poll connection")   \
	X(BUDGET_IN, "over input budget", "closed_over_input_budget",                    \
	  "connections closed because of incomplete_total: they had the longest "        \
	  "incomplete messages")                                                         \
	X(NOMEM, "out of memory", "closed_no_memory",                                    \
	  "connections closed because memory ran out")                                   \
	X(REFUSED, "handshake refused", "closed_handshake_refused",                      \
	  "connections whose RawSocket handshake was answered with an error")            \
	X(TLS, "TLS failed", "closed_tls_failed",                                        \
	  "connections whose TLS handshake failed, or that violated TLS")                \
	X(PROXY, "bad PROXY header", "closed_bad_proxy_header",                          \
	  "connections reset because they did not begin with a valid PROXY header")      \
	X(IDLE, "idle after GOODBYE", "closed_idle_after_goodbye",                       \
	  "connections closed because no HELLO followed a GOODBYE in time")

enum conn_end {
	CONN_END_NONE = 0, /* still open */
#define X(id, words, name, help) CONN_END_##id,
	CONN_ENDS(X)
#undef X
};

/* Each row: identifier, name, type, help text. */
#define NET_COUNTERS(X)                                                                  \
	X(ADOPTED, "connections_adopted", COUNTER, "connections that the worker got")    \
	X(UPGRADED, "connections_upgraded", COUNTER,                                     \
	  "connections whose WebSocket or RawSocket handshake succeeded")                \
	X(FREED, "connections_freed", COUNTER, "connections that ended and were freed")  \
	X(BYTES_IN, "bytes_in", COUNTER, "bytes received")                               \
	X(BYTES_OUT, "bytes_out", COUNTER, "bytes sent")                                 \
	X(MESSAGES_IN, "messages_in", COUNTER, "messages received")                      \
	X(MESSAGES_OUT, "messages_out", COUNTER, "messages sent")                        \
	X(WRITES, "writes", COUNTER, "calls of writev")                                  \
	X(PINGS_OUT, "pings_out", COUNTER, "pings sent")                                 \
	X(PAUSES, "pauses", COUNTER,                                                     \
	  "how often a connection was not read because of mailbox_high")                 \
	X(REQUESTS_TOO_LARGE, "requests_too_large", COUNTER,                             \
	  "HTTP requests refused because of max_header_size or max_headers")             \
	X(LONGPOLL_OPENED, "longpoll_opened", COUNTER, "long-poll connections opened")   \
	X(LONGPOLL_REFUSED, "longpoll_refused", COUNTER,                                 \
	  "long-poll connections refused because of max_connections, or because their "  \
	  "address had too many that were not logged in")                                \
	X(LONGPOLL_UNKNOWN, "longpoll_unknown", COUNTER,                                 \
	  "long-poll requests for a connection that does not exist or has ended")        \
	X(TLS_STARTED, "tls_handshakes_started", COUNTER, "TLS handshakes that began")   \
	X(TLS_DONE, "tls_handshakes", COUNTER, "TLS handshakes that succeeded")          \
	X(TLS_RESUMED, "tls_resumed", COUNTER,                                           \
	  "those in which the client resumed an earlier TLS session")                    \
	X(TLS_ALERTS, "tls_alerts_received", COUNTER,                                    \
	  "connections that the client ended with a TLS alert")                          \
	X(TLS_MISSING, "tls_missing", COUNTER,                                           \
	  "connections to a port with TLS whose client did not speak TLS")               \
	X(TLS_REFUSED, "tls_refused", COUNTER,                                           \
	  "connections closed at once because too many TLS handshakes were waiting, or " \
	  "because of queued_total")                                                     \
	X(DEFLATE_AGREED, "compression_agreed", COUNTER,                                 \
	  "WebSocket connections that may compress messages")                            \
	X(DEFLATE_DECLINED, "compression_declined", COUNTER,                             \
	  "offers of permessage-deflate whose parameters routerd does not support")      \
	X(DEFLATED, "deflated", COUNTER,                                                 \
	  "frames compressed; one for many subscribers counts once")                     \
	X(DEFLATED_FROM, "deflated_bytes_before", COUNTER, "their bytes before")         \
	X(DEFLATED_TO, "deflated_bytes_after", COUNTER, "their bytes after")             \
	X(INFLATED, "inflated", COUNTER, "compressed messages received")                 \
	X(INFLATED_FROM, "inflated_bytes_before", COUNTER, "their bytes, compressed")    \
	X(INFLATED_TO, "inflated_bytes_after", COUNTER, "their bytes, inflated")         \
	X(INFLATE_TOO_BIG, "inflated_too_big", COUNTER,                                  \
	  "connections closed because an inflated message exceeded max_message_size")    \
	X(PROXY_STRANGERS, "proxy_strangers", COUNTER,                                   \
	  "connections reset because they did not come from a proxy of proxy_protocol")  \
	X(FORWARDED_INVALID, "forwarded_invalid", COUNTER,                               \
	  "requests of trusted_proxies whose X-Forwarded-For has an invalid address")

enum net_counter {
#define X(id, name, type, help) NET_##id,
	NET_COUNTERS(X)
#undef X
#define X(id, words, name, help) NET_END_##id,
		CONN_ENDS(X)
#undef X
			NET_COUNTER_COUNT,
};
extern const struct counter_table net_counter_table; /* describes net.counters */

struct net {
	struct loop *loop; /* owned by the caller */
	const char *name;  /* prefix of log lines, such as "w2"; owned by the caller */
	/* limit of memory in all output queues and of TLS sessions, bytes */
	size_t max_queued;
	size_t max_incomplete; /* limit of incomplete input, bytes */
	uint8_t *scratch;      /* every read puts its bytes here first */

	/*
	 * Set by the worker. While true, an established connection that becomes readable
	 * is paused instead of read; other connections are read. net_resume_all ends the
	 * pauses.
	 */
	bool paused;

	/*
	 * Set by the worker: its index, their number, and the function that hands a
	 * socket over to another worker, for conn_adopt_moved. The function takes it.
	 */
	unsigned self, n_workers;
	void (*hand_over)(void *arg, unsigned worker, const struct conn_conf *conf,
			  struct conn_moved *moved);
	void *hand_over_arg;

	/* Only the files of net/ use the fields below. */
	struct id_table longpolls;  /* longpoll.node */
	struct id_table poll_hosts; /* host.node: their long-poll connections that are not
				       logged in */
	struct slice hold_rest;     /* argument of conn_hold, until `message` returns */
	uint64_t last_number;       /* number of the newest connection */
	uint32_t conns;             /* number of connections that are not freed yet */
	struct conn_list by_state[CONN_STATE_COUNT];
	struct streams streams[STREAM_LIST_COUNT]; /* the list of IDLE stays empty */
	struct conn_list incomplete;               /* connections with incomplete input */
	struct conn_list paused_conns;             /* paused because `paused` was set */
	struct conn_list inflating[WS_WAIT_COUNT]; /* what their message waits for */
	struct conn_list left;   /* their `closed` is called in this turn */
	struct wheel wheel;      /* deadlines */
	struct timer tick;       /* fires when the wheel must be run */
	uint64_t tick_due_ms;    /* 0: not armed */
	struct outq_pool out;    /* counted against max_queued; with TLS sessions */
	size_t incomplete_bytes; /* counted against max_incomplete */
	struct budget budget;    /* of this turn */
	struct tls_worker tls;
	struct deflater *deflater; /* NULL until it is needed */
	struct inflaters inflaters;
	struct log_rate log_rate;
	uint64_t counters[NET_COUNTER_COUNT];
};

/* Returns 0 or E_NOMEM. loop and name must stay valid until net_fini. */
int net_init(struct net *n, struct loop *loop, const char *name, size_t max_queued,
	     size_t max_incomplete) MUSTCHECK;

/* Drops and frees all connections (`closed` is called), then everything else. */
void net_fini(struct net *n);

/*
 * Call it at the end of a turn, after everything that queues output. Calls `closed` for
 * the connections that have left OPEN, writes the queued output of all connections, and
 * frees dead connections. `closed` may send posts, so hand posts over afterwards. True:
 * call it again without waiting for an event.
 */
bool net_turn_end(struct net *n);

/*
 * Allows connections with TLS (conn_conf.tls), at most max of them in the handshake at a
 * time. Call it once, before any connection. 0 or E_NOMEM.
 */
int net_use_tls(struct net *n, unsigned max,
		const struct tls_ticket_seed *seed) MUSTCHECK;

/*
 * Goes on with the TLS handshakes for which bytes have come, at least with one, until the
 * turn's budget for cryptography is spent. True: call it again without waiting for an
 * event.
 */
bool net_handshake_some(struct net *n);

/*
 * Goes on with compressed messages that wait, for a bounded time. Call it once in each
 * turn, before net_turn_end. They are not read like other input, in the order in which it
 * came, because then everybody would have to wait for all of them.
 */
void net_inflate_some(struct net *n);

/* Reads all paused connections again. Call it after clearing `paused`. */
void net_resume_all(struct net *n);

/*
 * Closes all connections: refuses incomplete handshakes, drops clients that are logging
 * in, and closes the others with this code and reason. Afterwards the worker runs turns
 * until net_conns is 0, or as long as it wants to wait.
 */
void net_close_all(struct net *n, uint16_t code, const char *reason);

/* Logs a line that peers can cause at will. The format must end with " suppressed=%u". */
#define net_log(n, level, prefix, ...)                                                   \
	log_limited(&(n)->log_rate, loop_now_ms((n)->loop), level, prefix, __VA_ARGS__)

/* Makes the timer run the wheel at due_ms of the loop's clock or earlier. */
static inline void net_tick_by(struct net *n, uint64_t due_ms)
{
	uint64_t now = loop_now_ms(n->loop);

	if (n->tick_due_ms != 0 && n->tick_due_ms <= due_ms)
		return;
	n->tick_due_ms = due_ms;
	timer_arm(&n->tick, due_ms > now ? due_ms - now : 0);
}

/* The bytes that count against max_queued, and against max_incomplete. */
static inline size_t net_queued(const struct net *n)
{
	return n->out.memory;
}

static inline size_t net_incomplete(const struct net *n)
{
	return n->incomplete_bytes;
}

/* The number of clients whose TLS handshake waits to begin. */
static inline unsigned net_tls_waiting(const struct net *n)
{
	return n->tls.waiting;
}

/* The number of connections that are not freed yet. */
static inline uint32_t net_conns(const struct net *n)
{
	return n->conns;
}

static inline void net_count(struct net *n, enum net_counter which, uint64_t by)
{
	n->counters[which] += by;
}

#endif
