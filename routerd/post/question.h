/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What travels by post between a login on its worker (peer/login) and the questions to
 * the authenticators on worker 0 (control/questions). Each has one owner at a time: the
 * post that carries it, then whoever handles the post.
 */
#ifndef ROUTERD_POST_QUESTION_H
#define ROUTERD_POST_QUESTION_H

#include "common/base.h"
#include "routerd/post/identity.h"

struct mail_batch; /* common/mailbox.h */

/* "Who is this?": the parameters of an `authenticate` request, encoded. */
struct login_question {
	uint16_t authenticator;  /* index in the configuration */
	uint64_t deadline_ms;    /* when the handshake ends; clock of common/loop */
	struct mail_batch *mail; /* for POST_LOGIN_ANSWER; owned */
	size_t len;
	uint8_t params[];
};

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
	LOGIN_OUTCOME_COUNT = 8,
};

struct login_answer {
	enum login_outcome outcome;
	struct lookup_stamp stamp;
	size_t len;
	uint8_t bytes[]; /* MessagePack */
};

/* A notification about a login or session, for the authenticator's records. */
struct login_report {
	uint16_t authenticator; /* index in the configuration */
	const char *method;     /* a constant */
	size_t len;
	uint8_t params[];
};

/* Why there is no answer, for the log and the client. */
const char *login_outcome_text(enum login_outcome o);

/* Drops it and its mail, clears the caller's pointer. NULL-safe. */
void login_question_free(struct login_question **q);

/* Copies. NULL: no memory. A question has no mail yet; the others go by free(). */
struct login_question *login_question_new(uint16_t authenticator, uint64_t deadline_ms,
					  struct slice params);
struct login_answer *login_answer_new(enum login_outcome outcome,
				      const struct lookup_stamp *stamp,
				      struct slice bytes);
struct login_report *login_report_new(uint16_t authenticator, const char *method,
				      struct slice params);

#endif
