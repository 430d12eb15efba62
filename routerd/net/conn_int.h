/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internal interface of connections. Only the files of net/ include this header. The
 * worker's thread.
 *
 * Each file calls only files further down in this list. net.c: turns, and the end of all
 * connections. conn.c: adopts, reads, handles deadlines. conn_http.c and conn_raw.c: the
 * two handshakes. conn_poll.c: the HTTP long-poll transport. conn_tls.c: TLS that fails.
 * conn_proxy.c: what proxies tell.
 * conn_deflate.c: compression. conn_control.c: pings, pongs and closing in both framings.
 * conn_state.c: states, ends, the queue. stream.c: the socket.
 */
#ifndef ROUTERD_NET_CONN_INT_H
#define ROUTERD_NET_CONN_INT_H

#include "common/buf.h"
#include "proto/ws_reader.h"
#include "routerd/net/conn.h"
#include "routerd/net/hosts.h"
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

/* What only a long-poll connection has. */
struct longpoll {
	struct id_node node; /* in net.longpolls */
	struct conn *conn;
	struct host *host;           /* counts it until it is logged in; then NULL */
	uint8_t secret[16];          /* with node.id, the id that the client knows */
	struct sock_name proxy_name; /* as conn_proxy_name */
	/*
	 * HTTP connections whose requests wait: the one for output, or NULL; and those
	 * with input, in order, because the input of `conn` is on hold or paused.
	 */
	struct conn *receiver;
	struct conn_list senders;
};

struct conn {
	struct stream stream;
	struct net *net;
	const struct conn_conf *conf;
	uint64_t number;
	TAILQ_ENTRY(conn) state_link; /* in net.by_state */
	TAILQ_ENTRY(conn)
	incomplete_link; /* in net.incomplete, if incomplete_bytes > 0 */
	/* In longpoll.senders while OPENING; in net.paused_conns or net.inflating while
	 * OPEN; then in net.left. */
	TAILQ_ENTRY(conn) side_link;
	struct wheel_node deadline;
	union conn_partial partial;
	/*
	 * Of a long-poll connection: owned. Of an HTTP connection: lent; set while its
	 * request waits.
	 */
	struct longpoll *longpoll;
	struct conn_unhandled *unhandled; /* NULL: none */
	struct proxy_tls *proxy_tls;      /* owned; see conn_proxy_tls */
	uint64_t alive_ms;                /* when the peer was last known to be alive */
	/* OPENING: bytes of a request whose body is incomplete or that waits; else 0. */
	uint32_t request_len;
	uint32_t incomplete_bytes; /* bytes of memory of `partial` and `unhandled` */
	struct address peer;
	uint8_t state; /* enum conn_state */
	uint8_t end;   /* enum conn_end */
	/* CONN_WEBSOCKET, CONN_RAWSOCKET or CONN_LONGPOLL; 0 while the socket's is not
	 * known. */
	uint8_t framing;
	/* RawSocket: log2 of the longest message that the peer accepts; else 0. */
	uint8_t raw_send_log;
	/* RawSocket: log2 of the longest message that the router has announced. */
	uint8_t raw_recv_log;
	uint8_t wait; /* enum ws_wait: where it is in net.inflating, if `inflating` */
	bool inflating : 1;  /* OPEN: a compressed message waits, so input is paused */
	bool closed_due : 1; /* the handler has accepted c; `closed` was not called yet */
	bool established : 1;    /* conn_established was called */
	bool unproxied : 1;      /* OPENING: the PROXY header must come first */
	bool proxied : 1;        /* a proxy has told `peer` */
	bool proxy_ends_tls : 1; /* if the client uses TLS, that ends at the proxy */
	bool left : 1;      /* conn_left was called, and no other handshake has begun */
	bool asked : 1;     /* OPENING: an answer was sent; other requests may follow */
	bool ping_sent : 1; /* a ping was sent, and no input has come since */
	bool finishing : 1; /* CLOSING: ignore input; shut down after the last write */
	bool deflates : 1;  /* permessage-deflate is agreed on */
	bool on_hold : 1;   /* OPEN: conn_hold was called; input is not handled */
	alignas(16) uint8_t user[]; /* conf->handler->user_size bytes */
};

/* --- conn_state.c --- */

/*
 * Makes a connection without a socket, in OPENING and with the deadline of the handshake.
 * NULL if out of memory; conf->live is not decremented.
 */
struct conn *conn_new(struct net *n, const struct conn_conf *conf) MUSTCHECK;

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

/* Must input wait? */
bool conn_must_pause(const struct conn *c);
/* Stops reading an OPEN connection until conn_resume. */
void conn_pause(struct conn *c);
/* The same until conn_go_on_inflating: its compressed message must wait for this. */
void conn_pause_inflating(struct conn *c, enum ws_wait wait);
/* Takes a paused connection that is OPEN from its list. */
void conn_unlist_paused(struct conn *c);
/* Cancels the next ping, or the deadline of the answer to the last one. */
void conn_stop_pings(struct conn *c);

/*
 * Stores input that must wait: net.hold_rest, which is the rest of a message, and the
 * input behind it. `from` is the unhandled input that contains both, or NULL if they were
 * read just now.
 */
void conn_store_unhandled(struct conn *c, struct conn_unhandled *from, bool text,
			  const struct frame_input *behind);

/* The longest message that the peer may send now, in bytes. */
size_t conn_message_limit(const struct conn *c);

/* The request of an HTTP connection no longer waits at c->longpoll. */
void conn_wait_over(struct conn *c);

/* Decrements the listener's counters of open connections. */
void conn_count_down(const struct conn_conf *conf, bool longpoll);

/* Frees a DEAD connection. */
void conn_free(struct conn *c);

/* --- conn_deflate.c: only for connections that have `deflates` set --- */

/*
 * Returns a framed message as it should be sent to c: compressed, valid until the next
 * call; or unchanged.
 */
struct slice conn_deflate(struct conn *c, struct slice framed);

/* The same for shared bytes. Takes the reference, and returns one. */
struct shared_buf *conn_deflate_shared(struct conn *c, struct shared_buf *framed);

/* Counts a message or an error that ws_next has found, if the message was compressed. */
void conn_count_inflated(struct conn *c, enum frame_event_type type,
			 const struct ws_reader *reader, const struct frame_event *ev);

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

/* --- conn_poll.c --- */

/* Answers a long-poll request that http_request_parse has refused. */
void conn_poll_refuse(struct conn *c, const struct http_request *req, int status);

/*
 * Checks a long-poll request as soon as its head has arrived. True: read the body. False:
 * the request was refused, or the socket of c was handed over to another worker. begun
 * and behind are the bytes that have arrived: those in c->partial.part, and those after
 * them.
 */
bool conn_poll_check(struct conn *c, const struct http_request *req, struct slice begun,
		     struct slice behind) MUSTCHECK;

/*
 * Serves a whole long-poll request that conn_poll_check has accepted. If c->longpoll is
 * set afterwards, the request waits; then the caller keeps its bytes in c->partial.part.
 */
void conn_poll_serve(struct conn *c, const struct http_request *req, struct slice body);

/* The request of c has waited for output long enough. */
void conn_poll_nothing(struct conn *c);

/*
 * The client of c, whose request waits, has ended its output. It may have left, so a
 * request for output is answered without a message.
 */
void conn_poll_half_closed(struct conn *c);

/*
 * Gives output of a long-poll connection, which is in net.streams[STREAM_DIRTY], to the
 * request that waits.
 */
void conn_poll_flush(struct conn *c);

/* A long-poll connection is logged in. */
void conn_poll_established(struct conn *s);

/* Answers all requests that wait at a DEAD long-poll connection. Frees c->longpoll. */
void conn_poll_end(struct conn *c);

/* --- conn_proxy.c --- */

/* Reads the PROXY header. True: it is complete, and c knows what it says. */
bool conn_proxy_read(struct conn *c) MUSTCHECK;

/* The client of this request: c->peer, or what X-Forwarded-For says. */
struct address conn_forwarded_peer(struct conn *c, const struct http_request *req);

/*
 * Sets the peer of c to the address that conn_forwarded_peer has found in a request of
 * `by`. That is c itself; or c is the long-poll connection that the request opens.
 */
void conn_set_peer(struct conn *c, const struct conn *by, const struct address *peer);

/* --- conn_tls.c --- */

/* Has c TLS whose handshake has not ended? Then c has no framing, and cannot answer. */
static inline bool conn_is_shaking(const struct conn *c)
{
	return c->stream.tls != NULL && c->stream.tls->state < TLS_OPEN;
}

/*
 * Logs that the handshake has failed, or TLS after it. why is NULL if TLS itself knows
 * why.
 */
void conn_tls_log(struct conn *c, const char *why);

/* Handles an error of stream_read that is about TLS: logs it, and closes. */
void conn_tls_failed(struct conn *c, int err);

/* --- conn_http.c, conn_raw.c: the handshakes --- */

/* Handle input of a handshake, and take it from *in. */
void conn_http_input(struct conn *c, struct frame_input *in);

/* Must further requests wait until the last one is answered? */
bool conn_http_busy(const struct conn *c);

void conn_raw_input(struct conn *c, struct frame_input *in);

/* Answers an HTTP request without upgrading, and closes for this reason. */
void conn_http_answer(struct conn *c, int status, const char *text, bool head_only,
		      enum conn_end end);

/* Answers a handshake with this error, and closes for this reason. */
void conn_raw_refuse(struct conn *c, enum rawsocket_error error, enum conn_end end);

/* --- conn.c --- */

/* Goes on with the TLS handshake of c, which was taken by tls_take. */
void conn_shake(struct conn *c);

/* Ends the pause of a connection in net.paused_conns. */
void conn_resume(struct conn *c);

/* Ends the pause of a connection in net.inflating, and goes on with its input. */
void conn_go_on_inflating(struct conn *c);

/* For wheel_run: handles the deadline of a connection, which has passed. */
void conn_deadline_passed(struct wheel_node *node, void *arg);

#endif
