/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WAMP on one connection: what state it is in, which messages it may send, and how it is
 * answered. It decodes, checks and judges; what needs routing is posted to the realm's
 * owner, whose posts come back through peer/deliver.
 *
 * The worker's thread only. Lives in its connection's memory, from upgrade to closed.
 */
#ifndef ROUTERD_PEER_PEER_H
#define ROUTERD_PEER_PEER_H

#include "common/buf.h"
#include "proto/msg.h"
#include "routerd/config/rights.h"
#include "routerd/net/conn.h"
#include "routerd/peer/peers.h"

struct login;
struct login_message;

enum peer_state {
	PEER_NEW = 0,        /* no session; a HELLO may come */
	PEER_AUTH_WAIT = 1,  /* the authenticator was asked */
	PEER_CHALLENGED = 2, /* CHALLENGE is out; or its answer waits to be verified */
	PEER_JOINING = 3,    /* POST_JOIN is on its way */
	PEER_JOINED = 4,
	PEER_LEAVING = 5, /* POST_GOODBYE is on its way; input is discarded */
	PEER_CLOSING =
		6, /* no session; the connection is being closed; input is discarded */
	PEER_STATE_COUNT = 7,
};

struct peer {
	struct peers *peers;
	struct conn *conn;
	uint32_t slot; /* in peers */
	uint8_t state; /* enum peer_state, changed by peer_set_state alone */
	uint8_t serializer;
	bool raw; /* RawSocket; else WebSocket */
	bool batched;
	bool revoked;        /* a revocation has counted this login or session as ended */
	uint8_t separator;   /* between the messages of a JSON batch, as the client writes
				it */
	struct login *login; /* AUTH_WAIT to JOINING */
	struct identity *identity; /* JOINING to LEAVING; counted */
	struct rights *rights;     /* JOINED, LEAVING: of its role; counted */
	struct peer_members members;
	uint64_t opened_ms;      /* when it joined */
	struct mail_batch *mail; /* JOINING, JOINED: for POST_GONE or POST_GOODBYE */
	/* of a role with an authorizer; see peer/authorize.h */
	struct login_message *answer; /* in AUTHORIZE_ANSWERED, unless memory ran out */
	uint32_t question;            /* number of the last one */
	uint8_t authorize_state;      /* enum authorize_state */
};

/* A line about p, and what it can cause at will; its format ends in " suppressed=%u". */
#define peer_log(p, level, ...)                                                          \
	log_limited(&(p)->peers->log_rate, loop_now_ms((p)->peers->loop), level,         \
		    conn_prefix((p)->conn).text, __VA_ARGS__)

/* The same for a session that opens or closes. */
#define peer_log_session(p, ...)                                                         \
	log_limited(&(p)->peers->session_rate, loop_now_ms((p)->peers->loop),            \
		    LOG_LEVEL_INFO, conn_prefix((p)->conn).text, __VA_ARGS__)

/* The one place where a state changes. Asserts that it may. */
void peer_set_state(struct peer *p, enum peer_state to);

/*
 * A message to the client: append it to the returned buffer by one msg_write_*, then
 * peer_send. 0, or the buffer's error, and then nothing was sent.
 */
struct buf *peer_begin(struct peer *p);
int peer_send(struct peer *p) MUSTCHECK;

/*
 * A whole frame in a buffer, for all peers of p's wire kind: peer_begin_frame appends to
 * out, whose length before it is `start`; append the message, of about so many bytes;
 * peer_end_frame, with the room that peer_begin_frame returned, writes the head. *len_out
 * is the length of the message without the head. 0, or the buffer's error.
 */
size_t peer_begin_frame(const struct peer *p, struct buf *out, size_t about);
int peer_end_frame(const struct peer *p, struct buf *out, size_t start, size_t room,
		   size_t *len_out) MUSTCHECK;

/* peer_send of an INVOCATION or RESULT; the ids are msg_write_payload's. Errors
 * also as payload_items. */
int peer_send_payload(struct peer *p, enum wamp_type type, uint64_t id, uint64_t second,
		      struct payload *payload) MUSTCHECK;

/* Counts and logs what was lost for want of memory. */
void peer_no_memory(struct peer *p, const char *what);

/* The same, and drops the connection: the client must not go on as if it had missed
 * nothing. */
void peer_drop_no_memory(struct peer *p, const char *what);

/* peer_send for what always fits and can always be said. */
void peer_send_sure(struct peer *p);

/* Index among the kinds of peers that get the same bytes, below WIRE_KINDS. */
unsigned peer_wire_kind(const struct peer *p);

/* ERROR with a text of ours, which is left out where the client's limit forbids it. */
void peer_error(struct peer *p, enum wamp_type type, uint64_t request, const char *uri,
		struct slice text);

/* Why a payload does not reach its receiver: E_LIMIT, E_NOMEM, or it cannot be said. */
const char *peer_why_undeliverable(int err);

/*
 * A log line, at a limited rate: a message for p was left out or became an ERROR, since
 * payload_items, peer_frame or peer_send said why.
 */
void peer_log_undeliverable(struct peer *p, enum wamp_type type, int err);

/*
 * A post to the owner of p's realm, from p; *post needs type and contents only. Takes its
 * references. False: no memory, and they are still the caller's.
 */
bool peer_post(struct peer *p, struct post *post) MUSTCHECK;
/* The last one of the session, which cannot fail: POST_GONE or POST_GOODBYE. */
void peer_post_last(struct peer *p, enum post_type type);

/* --- peer_end.c --- */

/* ABORT, then close. In any state but CLOSING. The message may be left out, too. */
void peer_abort(struct peer *p, const char *uri, struct slice message);

/*
 * ABORT wamp.error.protocol_violation, counted and logged (at a limited rate), then
 * close, also with what as the reason: that is what most clients show. what is ASCII.
 */
void peer_violation(struct peer *p, const char *what);

/* Ends what there is of a session, and closes the connection with this code. Not in
 * CLOSING. */
void peer_close(struct peer *p, uint16_t code, const char *reason);

/* The same by conn_drop: the client is to try again. */
void peer_drop(struct peer *p, const char *reason);

/*
 * The owner has forgotten the session already: GOODBYE, then close. NULL: for want of
 * memory it could not tell the client something; the connection is dropped.
 */
void peer_killed(struct peer *p, const struct post *post);

/* The reload of the configuration has removed the role of a session, which ends with
 * GOODBYE. In JOINED. */
void peer_role_gone(struct peer *p);

/* The client's GOODBYE has been to the owner: answers it. A new HELLO may follow. */
void peer_left(struct peer *p, const struct post *post);

/* The connection has closed: ends what there is of a session. */
void peer_gone(struct peer *p, const char *reason);

#endif
