/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client's connection, seen from above: messages in, framed bytes out, and one
 * goodbye. It does the handshake of WebSocket (RFC 6455, server side) or of RawSocket
 * (specification: "RawSocket Transport"), speaks that framing, queues what is to be sent,
 * watches its deadlines and keeps to its limits. It knows no WAMP.
 *
 * Every function belongs to the thread of the connection's struct net. All of them may be
 * called from any callback and in any state: where they make no sense any more they do
 * nothing. Nothing is freed inside a callback.
 */
#ifndef ROUTERD_NET_CONN_H
#define ROUTERD_NET_CONN_H

#include "common/base.h"
#include "common/shared_buf.h"
#include "common/sock.h"
#include "proto/http.h"
#include "proto/rawsocket_frame.h"
#include "proto/ws_frame.h"
#include "routerd/net/net.h"

#include <stdatomic.h>

/*
 * The settings of a listener, shared by its connections and immutable. They must stay
 * where they are until the last net that uses them is finished.
 */
struct conn_conf {
	void *user;                 /* for the handler */
	const char *name;           /* of the listener, in log lines */
	_Atomic uint32_t *live;     /* counted down when a connection is freed, or NULL */
	unsigned framings;          /* CONN_WEBSOCKET, CONN_RAWSOCKET or both */
	bool raw_pings;             /* RawSocket, too, is pinged */
	uint32_t early_message_max; /* bytes of a message before conn_established */
	uint32_t message_max;       /* and after it */
	size_t head_max;            /* bytes of an HTTP request, with its headers */
	size_t headers_max;         /* their number: HTTP_HEADERS_MAX at most */
	/* those that WebSocket is spoken at, as in a request but without query; none: at
	 * every path */
	const char *const *paths;
	size_t n_paths;
	uint32_t handshake_ms;     /* from conn_adopt to conn_established; from
				    conn_left to conn_restart_handshake; from there to
				    conn_established */
	uint32_t ping_interval_ms; /* silence after which a ping is sent; 0: never */
	uint32_t ping_timeout_ms;  /* silence after a ping that ends a connection */
	uint32_t close_ms;         /* for the goodbyes */
	size_t queue_max;          /* bytes of memory in the out-queue */
};

/* On one port both are told apart by the first octet. */
enum {
	CONN_WEBSOCKET = 1,
	CONN_RAWSOCKET = 2,
};

enum { CONN_EARLY_MESSAGE_MAX = 64 * 1024 }; /* usual for early_message_max */

/*
 * The layer above. A constant table.
 *
 * `closed` is called exactly once for each connection that was accepted, at the end of
 * the turn in which it left OPEN, never from inside another function of this interface.
 * No callback follows it, and the pointer is not to be used after it, although the
 * connection may still be there for its last words.
 */
struct conn_handler {
	size_t user_size; /* bytes at conn_user, zeroed at first */

	/* One line that says what this is, for who asks for a path of ours and wants no
	 * upgrade. */
	const char *page;

	/*
	 * A correct upgrade request to a known path. 0 accepts it, and *text_out is the
	 * subprotocol, or NULL for none; otherwise the HTTP status of the refusal, and
	 * *text_out a sentence that says why. The text must outlive the call only.
	 */
	int (*upgrade)(struct conn *c, const struct http_request *req,
		       const char **text_out);

	/*
	 * A RawSocket handshake that asks for this serializer (1 JSON, 2 MessagePack, 3
	 * CBOR, others are nobody's). RAWSOCKET_OK accepts it, as 0 of `upgrade` does.
	 */
	int (*rawsocket)(struct conn *c, unsigned serializer);

	/*
	 * A whole message. bytes are lent for the call. Text is valid UTF-8; RawSocket
	 * does not say what it is, and text is then false.
	 */
	void (*message)(struct conn *c, struct slice bytes, bool text);

	void (*closed)(struct conn *c);
};

/* As words for a log line: "closed by peer". */
const char *conn_end_str(enum conn_end end);

/*
 * Takes fd, a connected non-blocking stream socket. The deadline starts. NULL if there is
 * no memory: fd is then closed, and conf->live counted down.
 */
struct conn *conn_adopt(struct net *n, int fd, const struct conn_conf *conf,
			const struct conn_handler *handler);

/* The handler's own bytes, aligned for anything. */
void *conn_user(struct conn *c);
const struct conn_conf *conn_conf(const struct conn *c);
enum conn_end conn_end(const struct conn *c);
/* "tcp4:127.0.0.1:38588", "unix"; "unknown" once a TCP peer has reset the connection. */
struct sock_name conn_peer_name(const struct conn *c);
/* The longest message, without its frame, that the peer takes; SIZE_MAX: any. */
size_t conn_send_max(const struct conn *c);

/* Prefix of log lines about it: "w2 c1781". */
struct conn_prefix {
	char text[48];
};
struct conn_prefix conn_prefix(const struct conn *c);

/*
 * The handshake is over: its deadline ends, pings begin, and message_max holds from the
 * next frame on.
 */
void conn_established(struct conn *c);

/*
 * The session on an established connection is over, and another may begin. Until
 * conn_restart_handshake the connection has a deadline of its own, and early_message_max.
 */
void conn_left(struct conn *c);

/*
 * After conn_left: another handshake begins. It has the deadline, counted from now, until
 * conn_established is called again. Does nothing in the first handshake.
 */
void conn_restart_handshake(struct conn *c);

/*
 * Only from within `message`, on an established connection: the message waits. rest, the
 * end of its bytes, is given to `message` again after conn_release, and before any other
 * input. Until then the connection is not read, and its pings stand still. What was read
 * already, at most NET_SCRATCH bytes behind the message, is kept, and counts against the
 * thread's budget for incomplete messages. All else goes on: sending, closing, dropping.
 */
void conn_hold(struct conn *c, struct slice rest);

/* Undoes conn_hold, if the connection is still held: input goes on in the next turn. */
void conn_release(struct conn *c);

/*
 * Queues a whole framed message (frame_head, then the payload) by copying it. It is
 * written at the end of the turn. If the queue is not empty and would grow over queue_max
 * the connection is dropped as a slow consumer.
 */
void conn_send(struct conn *c, struct slice framed);

/*
 * From now on messages of one turn may share a frame: each is one of a batched
 * subprotocol on WebSocket.
 */
void conn_join_frames(struct conn *c);

/*
 * The same without a copy, where that pays: for bytes that go to many. They may be
 * several messages, each with its frame. Takes one reference.
 */
void conn_send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages);

/*
 * Sends Close (after what is queued), waits for the peer's, closes. RawSocket has no
 * Close: it shuts down, and waits for the end of file. code must be one that may stand in
 * a Close frame. reason is UTF-8, cut to 123 bytes, and may be NULL.
 */
void conn_close(struct conn *c, uint16_t code, const char *reason);

/*
 * Closes at once and says no goodbye; what is queued is lost. Clients take a clean close
 * before WELCOME for a success and never come back, so this is how a login ends that they
 * should try again: WebSocket sees the end of the stream without a Close, RawSocket over
 * TCP a reset. (Unix sockets know no reset.)
 */
void conn_drop(struct conn *c);

#endif
