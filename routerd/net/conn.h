/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection of one client, for the layer above, peer/. A connection passes whole
 * messages to peer/, sends framed bytes for it, and reports its end once. It does the
 * server's handshake of TLS, WebSocket (RFC 6455) or RawSocket (specification: "RawSocket
 * Transport"), parses frames, queues output, and enforces deadlines and limits. It does
 * not interpret messages.
 *
 * A connection of the HTTP long-poll transport has no socket of its own. HTTP requests,
 * which may come over several sockets, open it, bring its messages and fetch its output.
 *
 * Call all functions on the worker's thread. They may be called from any callback and in
 * any state; a call that is not possible in a state does nothing. Nothing is freed during
 * a callback.
 */
#ifndef ROUTERD_NET_CONN_H
#define ROUTERD_NET_CONN_H

#include "common/address.h"
#include "common/base.h"
#include "common/shared_buf.h"
#include "common/sock.h"
#include "proto/http.h"
#include "proto/proxy.h"
#include "proto/rawsocket.h"
#include "proto/ws_frame.h"
#include "routerd/net/net.h"

#include <stdatomic.h>

struct conn_handler;

/*
 * The settings of a listener, shared by its connections. They do not change, and must
 * stay valid until net_fini of the last net that uses them.
 */
struct conn_conf {
	const struct conn_handler *handler;
	void *user;             /* for the handler */
	const char *name;       /* the listener's name, for log lines */
	_Atomic uint32_t *live; /* decremented when a connection is freed; or NULL */
	_Atomic uint32_t *live_polls; /* as live, of long-poll connections only */
	uint32_t live_max; /* limit of *live for long-poll connections; 0: none */
	unsigned framings; /* CONN_WEBSOCKET, CONN_RAWSOCKET or both */
	const struct tls_context *tls; /* NULL: no TLS; needs net_use_tls */
	/*
	 * The proxies that may connect, each with a PROXY header before anything else.
	 * None: anybody may connect, without a header.
	 */
	const struct network *proxies;
	size_t n_proxies;
	/* X-Forwarded-For of these peers is believed. */
	const struct network *trusted;
	size_t n_trusted;
	bool raw_pings;             /* send pings on RawSocket, too */
	bool deflate;               /* WebSocket clients may use permessage-deflate */
	uint32_t early_message_max; /* longest message before conn_established, bytes */
	uint32_t message_max;       /* longest message after it, bytes */
	size_t head_max;            /* longest HTTP request head, bytes */
	size_t headers_max;         /* headers of a request; at most HTTP_HEADERS_MAX */
	/* The paths that serve WebSocket, without query. None: all paths do. */
	const char *const *paths;
	size_t n_paths;
	/* The path below which long-poll requests are served; NULL: none are. */
	const char *poll_path;
	uint32_t poll_answer_ms;  /* the longest time that a request for output waits */
	uint32_t poll_timeout_ms; /* silence before a long-poll connection is closed */
	/*
	 * The longest time from conn_adopt to conn_established; from conn_left to
	 * conn_restart_handshake; and from there to conn_established.
	 */
	uint32_t handshake_ms;
	uint32_t ping_interval_ms; /* silence before a ping is sent; 0: no pings */
	/* Silence after a ping before the connection is closed. */
	uint32_t ping_timeout_ms;
	uint32_t close_ms; /* longest time for closing */
	size_t queue_max;  /* limit of memory in the output queue, bytes */
};

/*
 * The framings of a listener. On a port with both, the first octet tells them apart. The
 * output of a long-poll connection is framed as for RawSocket.
 */
enum {
	CONN_WEBSOCKET = 1,
	CONN_RAWSOCKET = 2,
	CONN_LONGPOLL = 4, /* not in conn_conf.framings: poll_path allows it */
};

enum { CONN_EARLY_MESSAGE_MAX = 64 * 1024 }; /* the usual value of early_message_max */

/*
 * The callbacks of the layer above; a constant table.
 *
 * `closed` is called exactly once for each connection that the handler has accepted. It
 * is called at the end of the turn in which the connection left the state OPEN, never
 * from inside a function of this interface. No other callback follows. The pointer must
 * not be used afterwards, although the connection may live on until its last bytes are
 * sent.
 */
struct conn_handler {
	size_t user_size; /* bytes at conn_user, initially zero */

	/*
	 * One line of text: the answer to a request that is for a known path but does
	 * not ask for an upgrade.
	 */
	const char *page;

	/*
	 * Called for a valid upgrade request to a known path. To accept it, returns 0 and
	 * sets *text_out to the subprotocol, or to NULL for none. To refuse it, returns
	 * an HTTP status and sets *text_out to a sentence that says why. The caller
	 * copies the text at once.
	 */
	int (*upgrade)(struct conn *c, const struct http_request *req,
		       const char **text_out);

	/*
	 * Called for a RawSocket handshake. serializer is the number in the handshake: 1
	 * is JSON, 2 MessagePack, 3 CBOR, 4 UBJSON; it may be any other number, too.
	 * Returns RAWSOCKET_OK to accept it, or an error.
	 */
	int (*rawsocket)(struct conn *c, unsigned serializer);

	/*
	 * Called for a request to open a long-poll connection. c is the new connection,
	 * and body is the request's. Answers like `upgrade`.
	 */
	int (*longpoll)(struct conn *c, const struct http_request *req, struct slice body,
			const char **text_out);

	/* May a page from the request's origin send long-poll requests? */
	bool (*origin_allowed)(const struct conn_conf *conf,
			       const struct http_request *req);

	/*
	 * Called for a whole message. bytes is valid during the call only. text: the
	 * message is valid UTF-8 text; always false for RawSocket and long-poll.
	 */
	void (*message)(struct conn *c, struct slice bytes, bool text);

	void (*closed)(struct conn *c);
};

/* The reason in words, for a log line: "closed by peer". */
const char *conn_end_str(enum conn_end end);

/*
 * Takes ownership of fd, a connected non-blocking stream socket, and starts the deadline
 * of the handshake. If memory runs out, too many TLS handshakes wait, or the peer is none
 * of conf->proxies, closes fd, decrements *conf->live and returns NULL.
 */
struct conn *conn_adopt(struct net *n, int fd, const struct conn_conf *conf);

/* A socket that moves from one worker to another. */
struct conn_moved {
	int fd;                      /* -1: none */
	struct address peer;         /* see conn_peer_name */
	bool proxied;                /* a proxy has told `peer` */
	bool proxy_ends_tls;         /* if the client uses TLS, that ends at the proxy */
	struct proxy_tls *proxy_tls; /* owned; NULL: none */
	struct tls *tls;             /* NULL: none */
	struct buf *bytes;           /* that were read from it and not handled */
};
/* Like conn_adopt, for a socket that another worker has handed over. Takes *m. */
struct conn *conn_adopt_moved(struct net *n, const struct conn_conf *conf,
			      struct conn_moved **m);
/* Closes the socket and frees *m, which may be NULL. */
void conn_moved_free(struct conn_moved **m);

/* The handler's data, aligned for any type. */
void *conn_user(struct conn *c);
const struct conn_conf *conn_conf(const struct conn *c);
enum conn_end conn_end(const struct conn *c);
bool conn_is_longpoll(const struct conn *c);
/*
 * The peer's address: "tcp4:127.0.0.1:38588", "unix"; "unknown" if a TCP peer has reset
 * the connection before it was adopted. If a proxy that may do so has told the address of
 * its client, that address. For long-poll: that of the peer that opened it.
 */
struct sock_name conn_peer_name(const struct conn *c);
/* The address of the socket's other end, if that is such a proxy; else "". */
struct sock_name conn_proxy_name(const struct conn *c);
/* Its TLS, whose handshake may be incomplete. NULL: it has none. */
const struct tls *conn_tls(const struct conn *c);
/*
 * The same, but NULL if a proxy has told that it ends the client's TLS: then the TLS of
 * c, with its certificate, is the proxy's.
 */
const struct tls *conn_clients_tls(const struct conn *c);
/* What the PROXY header says about the client's TLS; NULL: nothing. */
struct proxy_tls {
	/* The name that the client has asked for, in UTF-8; "": not told. */
	char server_name[PROXY_NAME_MAX + 1];
	char version[PROXY_VERSION_MAX + 1]; /* "1.3"; "": not told */
};
const struct proxy_tls *conn_proxy_tls(const struct conn *c);
/* The longest message, without its frame, that the peer accepts; SIZE_MAX: any. */
size_t conn_send_max(const struct conn *c);

/* The prefix of the connection's log lines: "w2 c1781". */
struct conn_prefix {
	char text[48];
};
struct conn_prefix conn_prefix(const struct conn *c);

/*
 * Ends the handshake: its deadline ends, pings begin, and message_max applies from the
 * next frame on.
 */
void conn_established(struct conn *c);

/*
 * The session on an established connection has ended, and the client may begin another
 * one. Until conn_restart_handshake the connection has a deadline, and early_message_max
 * applies.
 */
void conn_left(struct conn *c);

/*
 * After conn_left: the client has begun another handshake. Starts its deadline, which
 * ends with conn_established. Does nothing during the first handshake.
 */
void conn_restart_handshake(struct conn *c);

/*
 * Postpones the rest of a message. May be called only by `message`, on an established
 * connection; rest must be the end of the bytes that `message` got. After conn_release,
 * and before any other input, `message` is called again with rest. Until then the
 * connection is not read, and it sends no pings. Input that was read already, at most
 * NET_SCRATCH bytes, is kept and counts against the worker's budget for incomplete
 * messages. Sending, closing and dropping are still possible.
 */
void conn_hold(struct conn *c, struct slice rest);

/*
 * Ends conn_hold, if the connection is still held. Its input is handled in the next turn.
 */
void conn_release(struct conn *c);

/*
 * Queues a whole framed message (frame_head, then the payload); the bytes are copied.
 * They are written at the end of the turn. If the queue is not empty and would exceed
 * queue_max, the connection is dropped as a slow consumer. A message that will be
 * compressed counts in full for this, because that is known before it is compressed.
 */
void conn_send(struct conn *c, struct slice framed);

/*
 * Would the output queue be longer than half of queue_max after a message of len bytes?
 * No if it is empty: an empty queue accepts one message of any size.
 */
bool conn_half_full(const struct conn *c, size_t len);

/*
 * Allows several messages of one turn to share a frame. Call it if the connection uses a
 * batched subprotocol on WebSocket.
 */
void conn_join_frames(struct conn *c);

/*
 * Like conn_send, for bytes that go to many connections: long ones are not copied. The
 * bytes may be several messages, each with its frame. Takes one reference.
 */
void conn_send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages);

/*
 * Sends Close after the queued output, waits for the peer's Close, and closes. RawSocket
 * has no Close: there it shuts down the output and waits for the peer's end of file. code
 * must be allowed in a Close frame. reason is UTF-8, is cut to 123 bytes, and may be
 * NULL. Before the WebSocket or RawSocket handshake is complete, refuses it instead.
 */
void conn_close(struct conn *c, uint16_t code, const char *reason);

/*
 * Closes at once, without Close; queued output is lost. Some clients take a clean close
 * before WELCOME for success and do not reconnect, so use this to end a login that the
 * client should retry. A WebSocket client sees the stream end without a Close; a
 * RawSocket client over TCP sees a reset. (A Unix socket cannot be reset.)
 */
void conn_drop(struct conn *c);

#endif
