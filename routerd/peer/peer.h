/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer is the WAMP side of one connection: its state, the messages that the client may
 * send in that state, and the answers. A peer decodes and checks messages. It posts those
 * that need routing to the realm's owner; the owner's posts come back through
 * peer/deliver.
 *
 * The worker's thread only. A peer is stored in its connection's memory. It exists from
 * the upgrade, or from the handshake of RawSocket, until the handler `closed` is called.
 */
#ifndef ROUTERD_PEER_PEER_H
#define ROUTERD_PEER_PEER_H

#include "common/buf.h"
#include "proto/msg.h"
#include "routerd/config/rights.h"
#include "routerd/net/conn.h"
#include "routerd/peer/peers.h"
#include "routerd/peer/unsent.h"

struct login;
struct login_message;

enum peer_state {
	PEER_NEW = 0,       /* no session; HELLO is expected */
	PEER_AUTH_WAIT = 1, /* the authenticator was asked and has not answered yet */
	/* CHALLENGE was sent, or the client's answer to it waits to be verified. */
	PEER_CHALLENGED = 2,
	PEER_JOINING = 3, /* POST_JOIN was sent; JOINED or JOIN_REFUSED will come */
	PEER_JOINED = 4,
	PEER_LEAVING = 5, /* POST_GOODBYE was sent, LEFT will come; input is discarded */
	PEER_CLOSING = 6, /* no session; the connection is closing; input is discarded */
	PEER_STATE_COUNT = 7,
};

struct peer {
	struct peers *peers;
	struct conn *conn;
	uint32_t slot; /* in peers.slots */
	uint8_t state; /* enum peer_state; only peer_set_state changes it */
	uint8_t serializer;
	bool raw; /* messages are framed for RawSocket; otherwise for WebSocket */
	bool batched;
	/* This login or session has already been counted as ended by a revocation. */
	bool revoked;
	/* Separates the messages of a JSON batch; the client chooses it. */
	uint8_t separator;
	/*
	 * owned; set in states AUTH_WAIT to JOINING, and in state NEW after the upgrade
	 */
	struct login *login;
	struct identity *identity; /* counted; set in states JOINING to LEAVING */
	/* counted; the rights of its role, set in states JOINED and LEAVING */
	struct rights *rights;
	uint32_t policy_generation; /* of the policy that the rights are from */
	struct peer_members members;
	struct broken_calls broken[BROKEN_SIDES];
	struct unsent unsent;      /* INVOCATIONs to it */
	struct open_inputs inputs; /* of its calls */
	uint64_t opened_ms;        /* when it joined; clock of common/loop */
	/* Reserved for POST_GONE or POST_GOODBYE; set in states JOINING and JOINED. */
	struct mail_batch *mail;
	/* The next seven are used if the role has an authorizer; see peer/authorize.h. */
	/* owned; set in state AUTHORIZE_ANSWERED; NULL if memory ran out */
	struct login_message *answer;
	uint32_t question;        /* number of the last question */
	uint32_t decision_clears; /* decisions.clears when it was asked */
	uint8_t authorize_state;  /* enum authorize_state */
	uint8_t authorize_action; /* enum action: what the last question is about */
	uint8_t authorizer;       /* index of the authenticator that was asked last */
	bool authorize_repeated;  /* the question has replaced an outdated one */
	/* A request waits, because the owner must answer earlier ones first; see
	 * messages.c. */
	bool request_waits;
	uint32_t n_subscribing; /* POST_SUBSCRIBEs that are not answered yet */
	/* id of a call of wamp.subscription.get_events that is not answered yet; 0: none
	 */
	uint64_t page_request;
};

/*
 * Writes a log line about p, at a limited rate because clients can cause as many such
 * lines as they like. The format must end in " suppressed=%u".
 */
#define peer_log(p, level, ...)                                                          \
	log_limited(&(p)->peers->log_rate, loop_now_ms((p)->peers->loop), level,         \
		    conn_prefix((p)->conn).text, __VA_ARGS__)

/*
 * Like peer_log, with a rate limit of its own, for lines about sessions that open or
 * close.
 */
#define peer_log_session(p, ...)                                                         \
	log_limited(&(p)->peers->session_rate, loop_now_ms((p)->peers->loop),            \
		    LOG_LEVEL_INFO, conn_prefix((p)->conn).text, __VA_ARGS__)

/* How other workers refer to p's session. */
static inline struct session_ref peer_ref(const struct peer *p)
{
	const struct peers *ps = p->peers;

	return (struct session_ref){
		.slot = p->slot,
		.generation = ps->slots[p->slot].generation,
		.worker = (uint16_t)ps->self,
	};
}

/* Changes the state; no other function does. Asserts that the change is allowed. */
void peer_set_state(struct peer *p, enum peer_state to);

/*
 * Send a message to the client: peer_begin returns a buffer, append the message to it
 * with one msg_write_* function, then call peer_send. peer_send returns 0, the buffer's
 * error, or E_LIMIT if the message is too long for the client. If it returns an error,
 * nothing was sent.
 */
struct buf *peer_begin(struct peer *p);
int peer_send(struct peer *p) MUSTCHECK;

/*
 * Append a whole frame to out, for all peers of p's wire kind. Save out->len as start,
 * and call peer_begin_frame; about is the expected length of the message. Append the
 * message. Then call peer_end_frame with start and with the room that peer_begin_frame
 * returned. It writes the frame's head, sets *len_out to the length of the message
 * without the head, and returns 0, the buffer's error, or E_LIMIT if the message is too
 * long for RawSocket.
 */
size_t peer_begin_frame(const struct peer *p, struct buf *out, size_t about);
int peer_end_frame(const struct peer *p, struct buf *out, size_t start, size_t room,
		   size_t *len_out) MUSTCHECK;

/*
 * Sends an INVOCATION or a RESULT. Returns the errors of peer_send and payload_items, or
 * E_FULL for a progressive result or a chunk that would fill more than half of the
 * client's queue: if a client reads them too slowly, only the call must end, not the
 * connection.
 */
int peer_send_payload(struct peer *p, enum wamp_type type,
		      const struct post *post) MUSTCHECK;

/* For peer_details. */
void peer_fill_details(const struct post *post, struct msg_details *to);
/*
 * Fills *to for the Details of an EVENT, INVOCATION or RESULT, and returns `to`. If
 * Details is empty, which is the usual case, returns NULL.
 */
static inline const struct msg_details *peer_details(const struct post *post,
						     struct msg_details *to)
{
	/* one test for three fields: MATCH_EXACT and CHUNK_NONE are 0 */
	if (LIKELY((post->match | post->chunk | post->trust) == 0 && !post->progress &&
		   !post->retain && post->disclosed == NULL && post->options == NULL))
		return NULL;
	peer_fill_details(post, to);
	return to;
}

/* Counts and logs that memory ran out. The text `what` names the thing that was lost. */
void peer_no_memory(struct peer *p, const char *what);

/*
 * Like peer_no_memory, but also drops the connection, because the client would not notice
 * that it has missed something.
 */
void peer_drop_no_memory(struct peer *p, const char *what);

/*
 * Like peer_send, for a message that always fits and carries no payload. If memory runs
 * out, drops the connection.
 */
void peer_send_sure(struct peer *p);

/* The wire kind of p, below WIRE_KINDS. Peers of one wire kind get the same bytes. */
unsigned peer_wire_kind(const struct peer *p);

/*
 * Sends an ERROR from the router. If the text is too long for the client, sends the ERROR
 * without the text.
 */
void peer_error(struct peer *p, enum wamp_type type, uint64_t request, const char *uri,
		struct slice text);

/*
 * Logs, at a limited rate, that a message of this type to p was not sent or was replaced
 * by an ERROR, and says why in *why_out. type: INVOCATION, RESULT, ERROR or EVENT. err is
 * an error of peer_send_payload or peer_end_frame. post is the message's; it may be NULL
 * if err is not E_UNSUPPORTED.
 */
void peer_log_undeliverable(struct peer *p, enum wamp_type type, const struct post *post,
			    int err, struct undeliverable *why_out);

/*
 * Posts to the owner of p's realm. Fills in session, realm and time; takes the references
 * that the post holds. False if out of memory; the caller then keeps the references.
 */
bool peer_post(struct peer *p, struct post *post) MUSTCHECK;
/* Sends the last post of the session, POST_GONE or POST_GOODBYE. It cannot fail. */
void peer_post_last(struct peer *p, enum post_type type);

/* --- peer_end.c --- */

/*
 * Sends ABORT and closes the connection. Not to be called in state CLOSING. If the
 * message is too long for the client, sends ABORT without the message.
 */
void peer_abort(struct peer *p, const char *uri, struct slice message);

/*
 * Aborts with wamp.error.protocol_violation: counts, logs (at a limited rate), sends
 * ABORT, and closes the connection. The ASCII text `what` is also the reason in the Close
 * frame, because most clients show only that reason.
 */
void peer_violation(struct peer *p, const char *what);

/*
 * Ends the session, if there is one, and closes the connection with this code. Not to be
 * called in state CLOSING.
 */
void peer_close(struct peer *p, uint16_t code, const char *reason);

/*
 * Like peer_close, but drops the connection without a Close frame: the client should try
 * again.
 */
void peer_drop(struct peer *p, const char *reason);

/*
 * Handles POST_KILLED, which the owner sends after it has ended the session. Sends
 * GOODBYE and closes the connection. If the post has no revocation, memory ran out for a
 * post to this session: then it drops the connection.
 */
void peer_killed(struct peer *p, const struct post *post);

/*
 * Ends a session with GOODBYE, because a reload has removed its role. Only in state
 * JOINED.
 */
void peer_role_gone(struct peer *p);

/* Handles POST_LEFT: answers the client's GOODBYE. The client may send a new HELLO. */
void peer_left(struct peer *p, const struct post *post);

/* Ends the session or login, if there is one, because the connection has closed. */
void peer_gone(struct peer *p, const char *reason);

#endif
