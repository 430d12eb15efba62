/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as the files of net/ see it. Not for the layers above. Runs on the thread
 * of the connection's net.
 *
 * The files, each of which calls only those below it:
 * net.c: turns and the end of all connections; conn.c: adopts, reads, watches deadlines;
 * conn_http.c and conn_raw.c: the two handshakes; conn_say.c: what we say of ourselves in
 * each framing; conn_state.c: states, ends, the queue; stream.c: the socket.
 */
#ifndef ROUTERD_NET_CONN_INT_H
#define ROUTERD_NET_CONN_INT_H

#include "common/buf.h"
#include "proto/frame_event.h"
#include "routerd/net/conn.h"
#include "routerd/net/stream.h"

#include <stdalign.h>

/* What is held of something incomplete between two reads; NULL: nothing. */
union conn_held {
	struct buf *part;     /* of a handshake, or of a RawSocket frame */
	struct ws_reader *ws; /* of a WebSocket frame or message */
};

/* Input of a held connection that was received and is not handled yet. */
struct conn_kept {
	struct buf bytes;
	size_t at;      /* the bytes before it are handled */
	size_t message; /* so many from there are the rest of a message; frames follow */
	bool text;      /* of that message */
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
	union conn_held held;
	struct conn_kept *kept;    /* NULL: none */
	uint64_t life_ms;          /* when it last gave a sign of life */
	uint32_t incomplete_bytes; /* memory of held and kept, as the net counts it */
	uint8_t state;             /* enum conn_state */
	uint8_t end;               /* enum conn_end */
	uint8_t framing;           /* CONN_WEBSOCKET, CONN_RAWSOCKET; OPENING: 0 */
	uint8_t raw_send_log;      /* RawSocket: log2 of the longest message that the peer
				      takes; else 0 */
	uint8_t raw_recv_log;      /* and of the longest that we have announced */
	bool owes_closed; /* the handler accepted it, `closed` was not called yet */
	bool established; /* conn_established */
	bool left;        /* conn_left, and no other handshake has begun */
	bool ping_sent;   /* and no sign of life since */
	bool finishing;   /* CLOSING: input is ignored; once all is written, shut down */
	bool holding;     /* OPEN: conn_hold; no input is handled */
	alignas(16) uint8_t user[]; /* handler->user_size bytes */
};

/* --- conn_state.c --- */

/* The only one that changes the state. */
void conn_set_state(struct conn *c, enum conn_state to);

/* The first reason counts; later ones change nothing. */
void conn_set_end(struct conn *c, enum conn_end end);

/* DEAD at once, for this reason. Does nothing to a dead one. */
void conn_kill(struct conn *c, enum conn_end end);

/* The handshake is done, and its answer queued: enters OPEN with this framing. */
void conn_open(struct conn *c, unsigned framing);

/* The handler has accepted c, whatever became of it since: `closed` is to be called. */
void conn_owe_closed(struct conn *c);

/* Our last words are queued: when they are written, shut down, and wait for the peer. */
void conn_finish(struct conn *c);

/* Queues these as our last words, for this end, and closes. In OPENING. */
void conn_answer_and_close(struct conn *c, struct slice words, enum conn_end end);

/* Waits for what it should wait for. Input that is kept needs no event of the socket. */
void conn_arm(struct conn *c);

/* May so many bytes be queued? Otherwise c is dead, as a slow consumer. */
bool conn_accepts(struct conn *c, size_t len) MUSTCHECK;

/* Queues bytes of ours, whatever the limit; false: no memory, and c is dead. */
bool conn_push(struct conn *c, struct slice bytes);

/* Writes what is queued: as much as may be written in one turn. */
void conn_flush(struct conn *c);

/* net_log about c. */
#define conn_log(c, ...)                                                                 \
	net_log((c)->net, LOG_LEVEL_INFO, conn_prefix(c).text, __VA_ARGS__)

/* Sets or moves the deadline to so many milliseconds from now. */
void conn_set_deadline(struct conn *c, uint64_t after_ms);

/* Adds bytes to held.part, which can hold max. False: no memory. */
bool conn_keep_part(struct conn *c, struct slice bytes, size_t max) MUSTCHECK;

void conn_held_free(const struct conn *c, union conn_held *held);

/* NULL-safe, clears the pointer. */
void conn_kept_free(struct conn_kept **kept);

/* Counts what is held against the thread's budget. */
void conn_count_incomplete(struct conn *c);

/* A connection of this listener is gone. */
void conn_count_down(const struct conn_conf *conf);

/* Frees a dead one. */
void conn_free(struct conn *c);

/* --- conn_say.c --- */

/* Says goodbye, if the framing knows one, and enters CLOSING, in OPEN. */
void conn_say_close(struct conn *c, uint16_t code, struct slice reason);

/* False: c is dead. */
bool conn_say_ping(struct conn *c);

/* Answers a ping; in CLOSING it does not. */
void conn_say_pong(struct conn *c, struct slice payload);

/* The peer has closed: answers, and finishes. */
void conn_say_closed(struct conn *c, uint16_t code);

/* The peer broke a rule of its framing: logs, says so, and finishes. */
void conn_say_error(struct conn *c, uint16_t code, const char *why);

/* --- conn_http.c, conn_raw.c: bytes of a handshake arrived; takes them from *in --- */

void conn_http_input(struct conn *c, struct frame_input *in);
void conn_raw_input(struct conn *c, struct frame_input *in);

/* Answers instead of upgrading, and closes for this reason. */
void conn_http_answer(struct conn *c, int status, const char *text, bool head_only,
		      enum conn_end end);

/* Answers a handshake with this error, and closes for this reason. */
void conn_raw_refuse(struct conn *c, enum rawsocket_error error, enum conn_end end);

/* --- conn.c --- */

/* Reads again what net.paused stopped. */
void conn_resume(struct conn *c);

/* A deadline of c passed. */
void conn_deadline_passed(struct conn *c);

#endif
