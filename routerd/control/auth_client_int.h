/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two halves of an auth_client, for each other: auth_client.c, which has the link to
 * the authenticator, and auth_questions.c, which has the questions. Worker 0 only.
 */
#ifndef ROUTERD_CONTROL_AUTH_CLIENT_INT_H
#define ROUTERD_CONTROL_AUTH_CLIENT_INT_H

#include "routerd/control/auth_client.h"
#include "routerd/control/auth_hello.h"

#include <sys/queue.h>

enum link_state {
	LINK_DOWN = 0,      /* to be tried again when the timer fires */
	LINK_HELLO = 1,     /* connected; hello is on its way, or will be asked again */
	LINK_NOT_READY = 2, /* it says that it is starting; pinged until it is ready */
	LINK_UP = 3,
};

struct question;
TAILQ_HEAD(question_list, question);

struct auth_client {
	struct control *control;
	struct loop *loop;
	struct outbox *outbox;
	const struct config *config;
	const struct config_authenticator *conf;
	uint16_t index;
	struct auth_hello_memory memory;

	/* the link: written by auth_client.c alone */
	enum link_state state;
	struct rpc_conn *rpc; /* NULL in DOWN */
	uint64_t link;        /* number of this connection, unique in the process */
	unsigned features;
	unsigned max_questions; /* in flight at a time */
	size_t max_message;
	unsigned failures; /* in a row: connections that answered at most hello */
	unsigned misses;   /* pings without an answer, in a row */
	int spare;       /* a socket for the next connection, or -1; see auth_client.c */
	char outage[96]; /* the reason that was logged last; "": none */
	bool no_revoke_logged;
	struct timer timer; /* DOWN: connect; HELLO: ask again; else: ping */

	/* the questions: written by auth_questions.c alone */
	struct question *questions; /* table of all, by session */
	struct question_list held, resting, suspects, in_flight;
	unsigned n_held, n_in_flight; /* the resting and the suspects are held, too */
	bool suspect_next;            /* it is the turn of one of them */
	size_t bytes;                 /* of all questions */
	bool full_said;               /* the workers believe that no more can be held */
	struct log_rate full_rate;
	struct timer tick; /* armed while something is held */

	struct {
		uint64_t asked, results, errors, invalid, timeouts, unavailable,
			link_broke, cancelled, overflow;
		uint64_t connects, revokes, lost_reports;
	} stats;
};

/*
 * It has answered a question or a ping: the next outage begins with short pauses. An
 * answer to hello alone is not enough, since it may die of whatever comes after that.
 */
void auth_client_answered(struct auth_client *a);

void questions_init(struct auth_client *a);
/* Forgets all, without an answer. When the link's calls are over. */
void questions_fini(struct auth_client *a);

/* Sends as many of the held as the authenticator takes at a time, and no suspect together
 * with another. */
void questions_pump(struct auth_client *a);
/* The link is down: those that were sent are suspects now. */
void questions_link_broke(struct auth_client *a);

#endif
