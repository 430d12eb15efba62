/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as its siblings in net/ see it. Not for the layers above. Runs on the
 * thread of the connection's net.
 *
 * conn.c: life, states, deadlines, reading. conn_out.c: everything that is written. Three
 * files for what its bytes mean, each with its struct conn_protocol: conn_opening.c until
 * a handshake is done (and conn_http.c for that of WebSocket), then conn_ws.c or
 * conn_raw.c, which drive the readers of proto/.
 */
#ifndef ROUTERD_NET_CONN_INT_H
#define ROUTERD_NET_CONN_INT_H

#include "common/buf.h"
#include "routerd/net/conn.h"

#include <stdalign.h>

/* In which list of its net, if any, a connection waits to write. */
enum out_list {
	OUT_NONE = 0,
	OUT_DIRTY = 1,
	OUT_BLOCKED = 2,
	OUT_AGAIN = 3,
};

/* What the bytes of a connection mean. */
struct conn_protocol {
	/* Bytes arrived. Not called once the connection is `finishing`. */
	void (*input)(struct conn *c, struct slice bytes);
	/* Says goodbye, if there is one to be said, for CONN_END_OWN; leaves the state.
	 */
	void (*say_close)(struct conn *c, uint16_t code, struct slice reason);
	/* Queues a ping; false: c is dead. NULL while opening, as the next one. */
	bool (*say_ping)(struct conn *c);
	/* Silence after which a ping is sent; 0: never. */
	uint32_t (*ping_interval_ms)(const struct conn_conf *conf);
	/* Bytes of memory of the part that is held between two inputs; frees it. */
	size_t (*held_memory)(const struct conn *c);
	void (*held_free)(struct conn *c);
	/* What an end of file says. */
	enum conn_end end_of_file;
	/* Clients take a plain end of file for a goodbye. */
	bool eof_is_goodbye;
};
extern const struct conn_protocol conn_opening, conn_websocket, conn_rawsocket;

struct conn {
	struct event ev;
	struct net *net;
	const struct conn_conf *conf;
	const struct conn_handler *handler;
	uint64_t number;
	TAILQ_ENTRY(conn) state_link; /* in net.by_state */
	TAILQ_ENTRY(conn) out_link;   /* in the list that out_list says */
	TAILQ_ENTRY(conn)
	incomplete_link; /* in net.incomplete, if incomplete_bytes > 0 */
	TAILQ_ENTRY(conn)
	side_link; /* in net.paused_conns while OPEN, then in net.left */
	struct wheel_node deadline;
	struct outq out;
	const struct conn_protocol *protocol;
	union {
		struct buf *part;     /* of a handshake, or of a RawSocket frame */
		struct ws_reader *ws; /* of an incomplete WebSocket frame or message */
	};                            /* NULL: nothing is incomplete */
	uint64_t life_ms;             /* when it last gave a sign of life */
	uint32_t incomplete_bytes;    /* memory of these, as the net counts it */
	int fd;
	short armed;          /* what ev waits for */
	uint8_t state;        /* enum conn_state */
	uint8_t end;          /* enum conn_end */
	uint8_t out_list;     /* enum out_list */
	uint8_t raw_send_log; /* RawSocket: log2 of the longest message that the peer
				 takes; else 0 */
	uint8_t raw_recv_log; /* and of the longest that we have announced */
	bool owes_closed;     /* the handler accepted it, `closed` was not called yet */
	bool established;     /* conn_established */
	bool left;            /* conn_left, and no other handshake has begun */
	bool paused;          /* by net.paused; then it is established */
	bool ping_sent;       /* and no sign of life since */
	bool finishing; /* CLOSING: input is ignored; once all is written, shut down */
	bool shut;      /* our direction is shut down */
	alignas(16) uint8_t user[]; /* handler->user_size bytes */
};

/* --- conn.c --- */

/* The only one that changes the state. */
void conn_set_state(struct conn *c, enum conn_state to);

/* The first reason counts; later ones change nothing. */
void conn_set_end(struct conn *c, enum conn_end end);

/* DEAD at once, for this reason. Does nothing to a dead one. */
void conn_kill(struct conn *c, enum conn_end end);

/* The handshake is done, and its answer queued: enters OPEN. */
void conn_open(struct conn *c, const struct conn_protocol *protocol);

/* The handler has accepted c, whatever became of it since: `closed` is to be called. */
void conn_owe_closed(struct conn *c);

/* Our last words are queued: when they are written, shut down, and wait for the peer. */
void conn_finish(struct conn *c);

/* Waits for what it should wait for: readable, writable, both, nothing. */
void conn_arm(struct conn *c);

/* The most bytes that a message from the peer may have now. */
size_t conn_message_limit(const struct conn *c);

/* A whole message, for the handler if c is OPEN. */
void conn_message(struct conn *c, struct slice bytes, bool text);

/* A line about what the peer did wrong, at a limited rate, unless it is CLOSING. */
void conn_log_error(struct conn *c, const char *why);

/* Counts what is incomplete against the thread's budget. */
void conn_count_incomplete(struct conn *c);

/* Reads again what net.paused stopped. */
void conn_resume(struct conn *c);

/* Frees a dead one. */
void conn_free(struct conn *c);

/* A deadline of c passed. */
void conn_deadline_passed(struct conn *c);

/* --- conn_opening.c --- */

/* Adds bytes to c->part, which can hold max. False: no memory. */
bool conn_keep_part(struct conn *c, struct slice bytes, size_t max) MUSTCHECK;
size_t conn_part_memory(const struct conn *c);
void conn_part_free(struct conn *c);

/* --- conn_http.c --- */

/* Bytes of the request arrived. */
void conn_http_input(struct conn *c, struct slice bytes);

/* Answers instead of upgrading, and closes for this reason. */
void conn_http_answer(struct conn *c, int status, const char *text, bool head_only,
		      enum conn_end end);

/* --- conn_out.c --- */

/* May so many bytes be queued? Otherwise c is dead, as a slow consumer. */
bool conn_accepts(struct conn *c, size_t len) MUSTCHECK;

/* Queues bytes of ours, whatever the limit; false: no memory, and c is dead. */
bool conn_push(struct conn *c, struct slice bytes);

/* Into the list of those that net_turn_end writes. */
void conn_mark_dirty(struct conn *c);

/* Out of its list, and forgets what was queued. */
void conn_out_fini(struct conn *c);

/* Writes, and takes c out of net.dirty: as much as may be written in one turn. */
void conn_flush(struct conn *c);

/* --- conn_raw.c --- */

/* Bytes of a handshake arrived. */
void conn_raw_handshake(struct conn *c, struct slice bytes);

/* Answers a handshake with this error, and closes for this reason. */
void conn_raw_refuse(struct conn *c, enum rawsocket_error error, enum conn_end end);

/* --- net.c --- */

/* Sets or moves the deadline of c to so many milliseconds from now. */
void net_set_deadline(struct net *n, struct conn *c, uint64_t after_ms);

/* Around the events of a turn: when it was long enough, the rest waits for the next. */
void net_turn_begin(struct net *n);
void net_turn_check(struct net *n);

/* A log line that peers can cause at will: may it be written? */
bool net_may_log(struct net *n, unsigned *dropped_out);

#endif
