/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a session whose role has an authorizer: an authenticator is asked about
 * each (proto/auth-protocol.md, "authorize"). The request waits for the answer in its
 * place, and everything that the client sends behind it waits, too (conn_hold). When the
 * answer is there the request is read again, and is handled or refused.
 *
 * There is exactly one answer to each question, at the authenticator's timeout at the
 * latest, and at most one question of a session at a time.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_AUTHORIZE_H
#define ROUTERD_PEER_AUTHORIZE_H

#include "proto/auth_api.h"
#include "proto/msg.h"
#include "routerd/config/rights.h"
#include "routerd/peer/peer.h"

enum authorize_state {
	AUTHORIZE_IDLE = 0,
	AUTHORIZE_ASKED = 1,    /* the request waits */
	AUTHORIZE_ANSWERED = 2, /* the next message is the request that waited */
};

/*
 * Asks whether p may do this. bytes is the message that m was read from. NULL: the caller
 * must let the message wait. Otherwise a text that says why nobody can be asked.
 */
const char *authorize_ask(struct peer *p, const struct msg *m, enum action action,
			  struct slice bytes) MUSTCHECK;

/* POST_AUTHORIZED: lets the connection go on. Takes the post's answer. */
void authorize_answered(struct peer *p, struct post *post);

enum authorize_decision {
	AUTHORIZE_ALLOWED = 0,
	AUTHORIZE_DENIED = 1,
	AUTHORIZE_FAILED = 2, /* there is no decision */
};

/* Why a request is refused. */
struct authorize_refusal {
	char uri[AUTH_MAX_NAME + 1];
	struct slice text;           /* for the client; lent until authorize_end */
	char detail[AUTH_FAULT_MAX]; /* AUTHORIZE_FAILED: for the log */
};

/* What the answer says. In AUTHORIZE_ANSWERED. */
enum authorize_decision authorize_read(const struct peer *p,
				       struct authorize_refusal *refusal_out);

/* The request was handled, or the session is over: forgets question and answer. */
void authorize_end(struct peer *p);

#endif
