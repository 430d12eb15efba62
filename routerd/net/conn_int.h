/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internal interface of connections. Only the files of net/ include this header. The
 * worker's thread.
 *
 * Each file calls only files further down in this list. net.c: turns, and the end of all
 * connections. conn.c: adopts, reads, handles deadlines. conn_http.c and conn_raw.c: the
 * two handshakes. conn_control.c: pings, pongs and closing in both framings.
 * conn_state.c: states, ends, the queue. stream.c: the socket.
 */
#ifndef ROUTERD_NET_CONN_INT_H
#define ROUTERD_NET_CONN_INT_H

#include "common/buf.h"
#include "proto/ws_reader.h"
#include "routerd/net/conn.h"
#include "routerd/net/stream.h"

#include <stdalign.h>

/* The input that was read of an incomplete handshake, frame or message. NULL: none. */
union conn_partial {
	struct buf *part;     /* part of a handshake or a RawSocket frame */
	struct ws_reader *ws; /* part of a WebSocket frame or message */
};

/* Input that was read but not handled, because of conn_hold. */
struct conn_unhandled {
	struct buf bytes;
	size_t at; /* the bytes before this offset are handled */
	/* From there, this many bytes are the rest of a message; then frames follow. */
	size_t message;
	bool text; /* the message is text */
};

struct conn {
	struct stream stream;
	struct net *net;
	const struct conn_conf *conf;
	const struct conn_handler *handler;
	uint64_t number;
	TAILQ_ENTRY(conn) state_link; /* in net.by_state */
	TAILQ_ENTRY(conn)
	incomplete_link; /* in net.incomplete, if incomplete_bytes > 0 */
	TAILQ_ENTRY(conn)
	side_link; /* in net.paused_conns while OPEN, then in net.left */
	struct wheel_node deadline;
	union conn_partial partial;
	struct conn_unhandled *unhandled; /* NULL: none */
	uint64_t alive_ms;                /* when the peer was last known to be alive */
	uint32_t incomplete_bytes; /* bytes of memory of `partial` and `unhandled` */
	uint8_t state;             /* enum conn_state */
	uint8_t end;               /* enum conn_end */
	uint8_t framing;           /* CONN_WEBSOCKET or CONN_RAWSOCKET; 0 while OPENING */
	/* RawSocket: log2 of the longest message that the peer accepts; else 0. */
	uint8_t raw_send_log;
	/* RawSocket: log2 of the longest message that the router has announced. */
	uint8_t raw_recv_log;
	bool closed_due;  /* the handler has accepted c; `closed` was not called yet */
	bool established; /* conn_established was called */
	bool left;        /* conn_left was called, and no other handshake has begun */
	bool ping_sent;   /* a ping was sent, and no input has come since */
	bool finishing;   /* CLOSING: ignore input; shut down after the last write */
	bool on_hold;     /* OPEN: conn_hold was called; input is not handled */
	alignas(16) uint8_t user[]; /* handler->user_size bytes */
};

/* --- conn_state.c --- */

/* Changes the state. No other function does. */
void conn_set_state(struct conn *c, enum conn_state to);

/* Sets why the connection ends. Only the first call has an effect. */
void conn_set_end(struct conn *c, enum conn_end end);

/*
 * Makes the connection DEAD at once, for this reason. Does nothing if it is DEAD already.
 */
void conn_kill(struct conn *c, enum conn_end end);

/* Enters OPEN with this framing. The answer to the handshake must be queued already. */
void conn_open(struct conn *c, unsigned framing);

/*
 * Records that the handler has accepted c, so that `closed` will be called. c may have
 * been closed or killed meanwhile.
 */
void conn_set_accepted(struct conn *c);

/*
 * Call this after queuing the last output. When everything is written, the socket's
 * output is shut down. The connection ends when the peer closes its side.
 */
void conn_finish(struct conn *c);

/*
 * Queues the last output of a connection in OPENING, and closes the connection for this
 * reason.
 */
void conn_answer_and_close(struct conn *c, struct slice words, enum conn_end end);

/* Registers for the socket events that the state needs. Unhandled input needs none. */
void conn_arm(struct conn *c);

/* May len bytes be queued? If not, c is killed as a slow consumer. */
bool conn_accepts(struct conn *c, size_t len) MUSTCHECK;

/*
 * Call this with the result of adding len bytes to the queue. False: it is an error, and
 * c is dead now.
 */
bool conn_queued(struct conn *c, int err, size_t len);

/*
 * Queues bytes that are not a message, such as an answer to a handshake or a ping,
 * regardless of queue_max. False if out of memory; c is dead then.
 */
bool conn_push(struct conn *c, struct slice bytes);

/* Writes as much queued output as one turn allows. */
void conn_flush(struct conn *c);

/* Logs a line about c, at a limited rate. */
#define conn_log(c, ...)                                                                 \
	net_log((c)->net, LOG_LEVEL_INFO, conn_prefix(c).text, __VA_ARGS__)

/* Sets or moves the deadline to after_ms from now. */
void conn_set_deadline(struct conn *c, uint64_t after_ms);

/* Adds bytes to partial.part, whose maximum is max. False if out of memory. */
bool conn_add_partial(struct conn *c, struct slice bytes, size_t max) MUSTCHECK;

void conn_partial_free(const struct conn *c, union conn_partial *partial);

/* Frees *unhandled and sets it to NULL. *unhandled may be NULL. */
void conn_unhandled_free(struct conn_unhandled **unhandled);

/* Updates the net's count of incomplete input. */
void conn_count_incomplete(struct conn *c);

/* Decrements the listener's counter of open connections. */
void conn_count_down(const struct conn_conf *conf);

/* Frees a DEAD connection. */
void conn_free(struct conn *c);

/* --- conn_control.c --- */

/* Enters CLOSING from OPEN, with a Close if the framing has one. */
void conn_send_close(struct conn *c, uint16_t code, struct slice reason);

/* Sends a ping. False: c is dead. */
bool conn_send_ping(struct conn *c);

/* Answers a ping, except in CLOSING. */
void conn_send_pong(struct conn *c, struct slice payload);

/* Handles the peer's Close: answers it, and calls conn_finish. */
void conn_answer_close(struct conn *c, uint16_t code);

/*
 * Handles a violation of the framing's protocol: logs it, sends a Close, and calls
 * conn_finish.
 */
void conn_protocol_error(struct conn *c, uint16_t code, const char *why);

/* --- conn_http.c, conn_raw.c: the handshakes --- */

/* Handle input of a handshake, and take it from *in. */
void conn_http_input(struct conn *c, struct frame_input *in);
void conn_raw_input(struct conn *c, struct frame_input *in);

/* Answers an HTTP request without upgrading, and closes for this reason. */
void conn_http_answer(struct conn *c, int status, const char *text, bool head_only,
		      enum conn_end end);

/* Answers a handshake with this error, and closes for this reason. */
void conn_raw_refuse(struct conn *c, enum rawsocket_error error, enum conn_end end);

/* --- conn.c --- */

/* Ends the pause of a connection in net.paused_conns. */
void conn_resume(struct conn *c);

/* For wheel_run: handles the deadline of a connection, which has passed. */
void conn_deadline_passed(struct wheel_node *node, void *arg);

#endif
