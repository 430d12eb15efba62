/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks one authenticator about logins, and about requests of sessions if it is their
 * authorizer. Holds questions until they can be sent, and passes on the answers. The two
 * kinds have separate queues of the same size and take turns, so that neither keeps the
 * other waiting. Thread of worker 0.
 *
 * If the authenticator is not available, nobody can log in, but clients can try again:
 * questions are held and sent when it is back, and a question without an answer gets a
 * login_outcome that says why. Open sessions continue.
 *
 * If the link breaks, the questions in flight become suspects, since one of them may have
 * crashed the authenticator. A suspect is sent once more, with nothing else in flight. If
 * the link breaks again, the question gets the outcome LOGIN_LINK_BROKE. So a question
 * that crashes the authenticator breaks at most two connections. Between two suspects all
 * other waiting questions are sent, so that suspects do not keep them waiting for long.
 */
#ifndef ROUTERD_CONTROL_QUESTIONS_H
#define ROUTERD_CONTROL_QUESTIONS_H

#include "common/log.h"
#include "routerd/control/link.h"
#include "routerd/post/login_message.h"
#include "routerd/post/outbox.h"

#include <sys/queue.h>

enum question_place {
	/* Held questions of each kind, in the order of question_kind. */
	QUESTION_HELD_LOGIN = 0,
	QUESTION_HELD_AUTHORIZE = 1,
	QUESTION_RESTING = 2, /* held until the time of its second attempt */
	QUESTION_SUSPECT = 3, /* held until nothing else is in flight */
	QUESTION_IN_FLIGHT = 4,
	QUESTION_PLACE_COUNT = 5,
};

struct question;
TAILQ_HEAD(question_list, question);

struct questions {
	struct link link; /* to the authenticator */
	struct outbox *outbox;
	const struct config_limits *limits;
	/* Number of the newest revocation, for the stamp of each question. */
	const uint64_t *revocations;
	uint16_t index; /* index of the authenticator in the configuration */

	struct question *table; /* all questions, by session */
	struct question_list places[QUESTION_PLACE_COUNT];
	bool suspect_next; /* send a suspect next */
	/* enum question_kind: send a held question of this kind next. */
	uint8_t kind_next;
	bool full_reported; /* the workers know that no more logins can be held */
	struct log_rate full_rate[QUESTION_KIND_COUNT];
	struct timer tick; /* armed while a question is held or full_reported is set */

	/* Current numbers and counters. */
	uint64_t n_in_flight;
	/* Per kind. n_held includes the resting questions and the suspects. */
	uint64_t n_held[QUESTION_KIND_COUNT];
	uint64_t bytes[QUESTION_KIND_COUNT]; /* of all questions */
	uint64_t asked[QUESTION_KIND_COUNT], overflow[QUESTION_KIND_COUNT];
	uint64_t results, errors, invalid, timeouts, unavailable, link_broke, canceled;
};

/* Each row: field, name, type, help text. */
#define QUESTION_COUNTERS(X)                                                             \
	X(n_held[QUESTION_AUTHENTICATE], "held", GAUGE,                                  \
	  "logins that wait for the authenticator")                                      \
	X(n_held[QUESTION_AUTHORIZE], "authorize_held", GAUGE,                           \
	  "requests that wait for the authorizer")                                       \
	X(n_in_flight, "in_flight", GAUGE,                                               \
	  "questions sent and not answered yet, about logins and requests")              \
	X(bytes[QUESTION_AUTHENTICATE], "bytes", GAUGE,                                  \
	  "bytes of all questions about logins")                                         \
	X(bytes[QUESTION_AUTHORIZE], "authorize_bytes", GAUGE,                           \
	  "bytes of all questions about requests")                                       \
	X(asked[QUESTION_AUTHENTICATE], "asked", COUNTER,                                \
	  "questions about logins sent; one that is sent twice counts twice")            \
	X(asked[QUESTION_AUTHORIZE], "authorize_asked", COUNTER,                         \
	  "questions about requests sent; one that is sent twice counts twice")          \
	X(results, "results", COUNTER, "questions answered with a result")               \
	X(errors, "errors", COUNTER, "questions answered with an error")                 \
	X(invalid, "invalid", COUNTER, "questions whose answer could not be read")       \
	X(timeouts, "timeouts", COUNTER, "questions not answered in time")               \
	X(unavailable, "unavailable", COUNTER, "questions dropped without a decision")   \
	X(link_broke, "link_broke", COUNTER,                                             \
	  "questions dropped because the connection broke twice")                        \
	X(canceled, "canceled", COUNTER,                                                 \
	  "questions canceled because the client was gone")                              \
	X(overflow[QUESTION_AUTHENTICATE], "hold_overflow", COUNTER,                     \
	  "logins refused because of hold_queue")                                        \
	X(overflow[QUESTION_AUTHORIZE], "authorize_overflow", COUNTER,                   \
	  "requests refused because of hold_queue")
extern const struct counter_table question_counter_table; /* describes struct questions */

/*
 * Starts connecting. The caller has set index, outbox and revocations; the other fields
 * are zero. These and the arguments must stay valid until questions_fini. In handlers, up
 * must call questions_link_up, and down must be questions_link_down.
 */
void questions_init(struct questions *qs, struct loop *loop, const struct config *cfg,
		    const struct link_handlers *handlers);
/* Drops all questions without an answer. */
void questions_fini(struct questions *qs);

/*
 * Takes ownership of q, which must have mail for the answer. Unless the question is
 * canceled, session gets one answer: POST_LOGIN_ANSWER or POST_AUTHORIZED, as q->kind
 * says.
 */
void questions_ask(struct questions *qs, struct session_ref session,
		   struct login_message *q);
/* Cancels session's question, if there is one: nobody needs the answer any more. */
void questions_cancel(struct questions *qs, struct session_ref session);

/*
 * For link_handlers. Up: sends held questions. Down: makes the questions in flight
 * suspects.
 */
void questions_link_up(struct questions *qs);
void questions_link_down(struct link *l);

#endif
