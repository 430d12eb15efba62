/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login messages are the contents of the posts between a login or session on its worker
 * (peer/login, peer/authorize) and worker 0, which asks the authenticators
 * (control/questions).
 *
 * A login message has one owner at a time: first the post that carries it, then the
 * function that handles the post. The owner may call these functions on any thread.
 */
#ifndef ROUTERD_POST_LOGIN_MESSAGE_H
#define ROUTERD_POST_LOGIN_MESSAGE_H

#include "common/base.h"
#include "routerd/post/identity.h"

struct mail_batch; /* common/mailbox.h */

enum login_outcome {
	LOGIN_RESULT = 0, /* bytes is the result, not checked yet */
	LOGIN_ERROR = 1,  /* bytes is the error, not checked yet */
	/* Outcomes without an answer. The client should try again. */
	LOGIN_UNAVAILABLE = 2, /* the authenticator is not connected */
	LOGIN_BUSY = 3,        /* it is connected, but took no more questions in time */
	LOGIN_TIMEOUT = 4,     /* it got the question, but did not answer in time */
	/* It got the question twice, and both times the link broke. */
	LOGIN_LINK_BROKE = 5,
	LOGIN_NO_ROOM = 6, /* too many questions are waiting */
	LOGIN_NO_MEMORY = 7,
	LOGIN_UNSUPPORTED = 8, /* it does not answer questions of this kind */
	LOGIN_OUTCOME_COUNT = 9,
};

/* Kinds of questions. A session has at most one unanswered question at a time. */
enum question_kind {
	/* Who is this client? Answered by POST_LOGIN_ANSWER. */
	QUESTION_AUTHENTICATE = 0,
	/* Is this session allowed to make this request? Answered by POST_AUTHORIZED. */
	QUESTION_AUTHORIZE = 1,
	QUESTION_KIND_COUNT = 2,
};

/*
 * A question, its answer, or a report about a login or session for the authenticator's
 * records. Each of these three leaves the fields of the others zero.
 */
struct login_message {
	uint16_t authenticator; /* question, report: index in the configuration */
	/* The session or login waits until this time; clock of common/loop. In an answer,
	 * the time of its question. */
	uint64_t deadline_ms;
	/* Only in a question. */
	enum question_kind kind;
	uint64_t number;         /* copied into the answer */
	struct mail_batch *mail; /* for the answer; owned */
	/* Only in an answer. */
	enum login_outcome outcome;
	struct lookup_stamp stamp;
	/* Only in a report. */
	const char *method; /* name of the notification; a constant */

	/* The parameters of a question or report, or the answer, as MessagePack. */
	size_t len;
	uint8_t bytes[];
};

/* Makes a copy of *from that contains a copy of bytes. NULL if out of memory. */
struct login_message *login_message_new(const struct login_message *from,
					struct slice bytes);

/* The message's bytes, valid as long as m. */
static inline struct slice login_message_bytes(const struct login_message *m)
{
	return slice_of(m->bytes, m->len);
}

/*
 * Overwrites and frees the message, frees its mail, and clears the caller's pointer.
 * NULL-safe.
 */
void login_message_free(struct login_message **m);

/* A text that describes the outcome, for the log and the client. */
const char *login_outcome_text(enum login_outcome o);

#endif
