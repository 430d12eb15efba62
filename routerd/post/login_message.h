/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What travels by post between a login or a session on its worker (peer/login,
 * peer/authorize) and the questions to the authenticators on worker 0
 * (control/questions). Each has one owner at a time: the
 * post that carries it, then whoever handles the post.
 */
#ifndef ROUTERD_POST_LOGIN_MESSAGE_H
#define ROUTERD_POST_LOGIN_MESSAGE_H

#include "common/base.h"
#include "routerd/post/identity.h"

struct mail_batch; /* common/mailbox.h */

enum login_outcome {
	LOGIN_RESULT = 0, /* bytes is the result, not checked yet */
	LOGIN_ERROR = 1,  /* bytes is the error, not checked yet */
	/* no answer; the client is to try again */
	LOGIN_UNAVAILABLE = 2, /* the authenticator is away */
	LOGIN_BUSY = 3,        /* it is there, but had no time for this question */
	LOGIN_TIMEOUT = 4,     /* it was asked, and has not answered in time */
	LOGIN_LINK_BROKE = 5,  /* it was asked twice, and both times the link broke */
	LOGIN_NO_ROOM = 6,     /* more questions wait than may */
	LOGIN_NO_MEMORY = 7,
	LOGIN_UNSUPPORTED = 8, /* it does not answer such questions */
	LOGIN_OUTCOME_COUNT = 9,
};

/* What is asked. A session has at most one question at a time. */
enum question_kind {
	QUESTION_AUTHENTICATE = 0, /* Who is this? Answered by POST_LOGIN_ANSWER. */
	QUESTION_AUTHORIZE = 1,    /* May this session do this? By POST_AUTHORIZED. */
	QUESTION_KIND_COUNT = 2,
};

/*
 * A question, its answer, or a report of a login or session for the
 * authenticator's records. The fields of the other two are zero.
 */
struct login_message {
	uint16_t authenticator; /* question, report: index in the configuration */
	/* question */
	enum question_kind kind;
	uint64_t number;         /* comes back with the answer */
	uint64_t deadline_ms;    /* nobody waits longer; clock of common/loop */
	struct mail_batch *mail; /* for the answer; owned */
	/* answer */
	enum login_outcome outcome;
	struct lookup_stamp stamp;
	/* report */
	const char *method; /* of the notification; a constant */

	/* MessagePack: the parameters of a question or report; the answer */
	size_t len;
	uint8_t bytes[];
};

/* A copy of *from, but with these bytes, which it copies. NULL: no memory. */
struct login_message *login_message_new(const struct login_message *from,
					struct slice bytes);

/* Lent. */
static inline struct slice login_message_bytes(const struct login_message *m)
{
	return slice_of(m->bytes, m->len);
}

/* Overwrites and frees it, frees its mail, clears the caller's pointer. NULL-safe. */
void login_message_free(struct login_message **m);

/* Why there is no answer, for the log and the client. */
const char *login_outcome_text(enum login_outcome o);

#endif
