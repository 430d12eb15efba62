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
 * A request that a kept decision is about does not wait. An answer does not count if its
 * question is older than the last changed or revoke: the authorizer is asked again. The
 * second answer is used in any case, but not kept.
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
	AUTHORIZE_WAITS = 4,  /* it was asked; the request must be held */
};

/* The URI and texts for refusing a request. */
struct authorize_refusal {
	char uri[AUTH_MAX_NAME + 1];
	struct slice text;           /* for the client; lent until authorize_end */
	char detail[AUTH_FAULT_MAX]; /* only AUTHORIZE_FAILED: for the log */
};

/*
 * Decides about a request, which was read from p->peers->message: by the authorizer's
 * answer about it, or else by a decision that the authorizer has let the router keep
 * (peer/decisions.h). If there is neither, or if the answer is outdated, asks the
 * authorizer, and forgets an answer about another action.
 */
enum authorize_decision authorize_decide(struct peer *p, const struct msg *m,
					 enum action action, enum match match,
					 struct authorize_refusal *refusal_out);

/*
 * Forgets the question and the answer, because the request was handled or the session has
 * ended.
 */
void authorize_end(struct peer *p);

#endif
