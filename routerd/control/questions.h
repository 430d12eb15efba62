/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The questions about logins to one authenticator: held, sent, answered, cancelled.
 * Worker 0.
 *
 * If the authenticator is not available, nobody can log in, but clients can try again:
 * questions are held and sent when it is back, and a question without an answer gets a
 * login_outcome that says why. Open sessions continue.
 *
 * If the link breaks, the questions in flight become suspects, since one of them may have
 * crashed the authenticator. A suspect is sent once more, with nothing else in flight. If
 * the link breaks again, its client is dropped. So a question that crashes the
 * authenticator breaks at most two connections. Between two suspects all other waiting
 * questions are sent, so that neither kind waits for long.
 */
#ifndef ROUTERD_CONTROL_QUESTIONS_H
#define ROUTERD_CONTROL_QUESTIONS_H

#include "common/log.h"
#include "routerd/control/link.h"
#include "routerd/post/login_message.h"
#include "routerd/post/outbox.h"

#include <sys/queue.h>

enum question_place {
	QUESTION_HELD = 0,
	QUESTION_RESTING = 1, /* held; must not be sent again before its time */
	QUESTION_SUSPECT = 2, /* held until nothing else is in flight */
	QUESTION_IN_FLIGHT = 3,
	QUESTION_PLACE_COUNT = 4,
};

struct question;
TAILQ_HEAD(question_list, question);

struct questions {
	struct link link; /* to the authenticator */
	struct outbox *outbox;
	const struct config_limits *limits;
	const uint64_t
		/* Number of the newest revocation, for the stamp of each question. */
		*revocations;
	uint16_t index; /* index of the authenticator in the configuration */

	struct question *table; /* all questions, by session */
	struct question_list places[QUESTION_PLACE_COUNT];
	bool suspect_next; /* send a suspect next */
	bool full_said;    /* the workers were told that no more can be held */
	struct log_rate full_rate;
	struct timer tick; /* armed while a question is held or full_said is set */

	/* Current numbers and counters. */
	/* n_held includes the resting questions and the suspects. */
	uint64_t n_held, n_in_flight;
	uint64_t bytes; /* of all questions */
	uint64_t asked, results, errors, invalid, timeouts, unavailable, link_broke,
		cancelled, overflow;
};

struct questions_params {
	/* This and the other pointers must stay valid until questions_fini. */
	struct loop *loop;
	const struct config *config;
	uint16_t index; /* index in config.authenticators */
	struct outbox *outbox;
	const uint64_t *revocations;
	/* up and down must be questions_link_up and questions_link_down. */
	const struct link_handlers *link_handlers;
};

/* Starts connecting. */
void questions_init(struct questions *qs, const struct questions_params *params);
/* Drops all questions without an answer. */
void questions_fini(struct questions *qs);

/*
 * Takes ownership of q, which must have mail. Unless it is cancelled, session gets one
 * POST_LOGIN_ANSWER.
 */
void questions_ask(struct questions *qs, struct session_ref session,
		   struct login_message *q);
/* Cancels session's question, if there is one: nobody needs the answer any more. */
void questions_cancel(struct questions *qs, struct session_ref session);

/*
 * For link_handlers. Up: sends held questions. Down: makes the questions in flight
 * suspects.
 */
void questions_link_up(struct link *l);
void questions_link_down(struct link *l);

#endif
