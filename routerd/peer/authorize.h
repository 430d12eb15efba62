/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles the requests of a session whose role has an authorizer, which is an
 * authenticator. The worker asks it about each CALL, REGISTER, PUBLISH and SUBSCRIBE
 * (proto/auth-protocol.md, "authorize"). Until the answer comes, the request and
 * everything that the client has sent after it wait (conn_hold). Then the request is read
 * again, and is handled or refused.
 *
 * A CALL of wamp.session.add_testament needs two answers: may the client call this
 * procedure, and may it publish to the topic? After the first answer the CALL is read
 * again, the second question is asked, and the CALL waits once more.
 *
 * Each question gets exactly one answer, which comes at the latest when the
 * authenticator's timeout passes. A session has at most one unanswered question.
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
	AUTHORIZE_ASKED = 1, /* a request waits for the answer */
	/* The answer has arrived; the next message is the request that waited for it. */
	AUTHORIZE_ANSWERED = 2,
};

/* True if the authorizer has answered, and its answer is about this action. */
static inline bool authorize_has_answer(const struct peer *p, enum action action)
{
	return p->authorize_state == AUTHORIZE_ANSWERED && p->authorize_action == action;
}

/*
 * Asks whether p is allowed to make this request. bytes is the message that m was read
 * from. Forgets an answer about another action. NULL if the question was sent; the caller
 * must then hold the message. Otherwise a text that says why the authorizer cannot be
 * asked.
 */
const char *authorize_ask(struct peer *p, const struct msg *m, enum action action,
			  struct slice bytes) MUSTCHECK;

/*
 * Handles POST_AUTHORIZED: keeps the answer, and releases the connection. Takes the
 * post's answer.
 */
void authorize_answered(struct peer *p, struct post *post);

enum authorize_decision {
	AUTHORIZE_ALLOWED = 0,
	/* allowed; the receiver of a call or publication learns who the client is */
	AUTHORIZE_DISCLOSED = 1,
	AUTHORIZE_DENIED = 2,
	AUTHORIZE_FAILED = 3, /* the authorizer has not decided */
};

/* The URI and texts for refusing a request. */
struct authorize_refusal {
	char uri[AUTH_MAX_NAME + 1];
	struct slice text;           /* for the client; lent until authorize_end */
	char detail[AUTH_FAULT_MAX]; /* only AUTHORIZE_FAILED: for the log */
};

/* Reads the answer. Only in state AUTHORIZE_ANSWERED. */
enum authorize_decision authorize_read(const struct peer *p,
				       struct authorize_refusal *refusal_out);

/*
 * Forgets the question and the answer, because the request was handled or the session has
 * ended.
 */
void authorize_end(struct peer *p);

#endif
