/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The questions to one authenticator about logins: held, sent, answered, cancelled.
 *
 * Fails closed, and softly: while the authenticator is away, questions are held, and sent
 * when it is back. One that gets no answer is told why by a login_outcome, so that its
 * client tries again. Sessions that are open are untouched.
 *
 * A question that is in flight when the link breaks may be why. It is a suspect from then
 * on: it is asked once more, with nothing else in flight. If the link breaks again, its
 * client is dropped. So a question that the authenticator dies of costs two connections
 * at most. Between two suspects all others that wait are asked, so that neither waits for
 * long.
 *
 * Worker 0 only.
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
	QUESTION_RESTING = 1, /* held, but not to be sent again before its time */
	QUESTION_SUSPECT = 2, /* held, until nothing is in flight */
	QUESTION_IN_FLIGHT = 3,
	QUESTION_PLACE_COUNT = 4,
};

struct question;
TAILQ_HEAD(question_list, question);

struct questions {
	struct link link; /* to whom they are asked */
	struct outbox *outbox;
	const struct config_limits *limits;
	const uint64_t
		*revocations; /* number of the last; in the stamp of each question */
	uint16_t index;       /* of the authenticator in the configuration */

	struct question *table; /* of all, by session */
	struct question_list places[QUESTION_PLACE_COUNT];
	bool suspect_next; /* it is the turn of one of them */
	bool full_said;    /* the workers believe that no more can be held */
	struct log_rate full_rate;
	struct timer tick; /* armed while something is held, or full_said */

	/* counters, of now and since the start */
	uint64_t n_held, n_in_flight; /* the resting and the suspects are held, too */
	uint64_t bytes;               /* of all questions */
	uint64_t asked, results, errors, invalid, timeouts, unavailable, link_broke,
		cancelled, overflow;
};

struct questions_params {
	struct loop *loop; /* lent, as the others, until questions_fini */
	const struct config *config;
	uint16_t index; /* in config.authenticators */
	struct outbox *outbox;
	const uint64_t *revocations;
	/* up and down are questions_link_up and questions_link_down */
	const struct link_handlers *link_handlers;
};

/* Begins to connect. */
void questions_init(struct questions *qs, const struct questions_params *params);
/* Forgets all, without an answer. */
void questions_fini(struct questions *qs);

/*
 * Takes q, which has mail; one POST_LOGIN_ANSWER will go to session, unless it is
 * cancelled before.
 */
void questions_ask(struct questions *qs, struct session_ref session,
		   struct login_message *q);
/* Nobody waits any more for what session asked; nothing happens if nothing was asked. */
void questions_cancel(struct questions *qs, struct session_ref session);

/* For the table of link_handlers: sends what is held; those that were sent are suspects.
 */
void questions_link_up(struct link *l);
void questions_link_down(struct link *l);

#endif
