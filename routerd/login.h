/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What travels by post between a login on its worker (peer/login) and the authenticators'
 * connections on worker 0 (control/auth_client). Each has one owner at a time: the post
 * that carries it, then whoever handles the post.
 */
#ifndef ROUTERD_LOGIN_H
#define ROUTERD_LOGIN_H

#include "common/base.h"
#include "routerd/identity.h"

/* "Who is this?": the parameters of an `authenticate` request, encoded. */
struct login_question {
	uint16_t authenticator; /* index in the configuration */
	uint64_t deadline_ms;   /* when the handshake ends; clock of common/loop */
	size_t len;
	uint8_t params[];
};

enum login_outcome {
	LOGIN_RESULT = 0,      /* bytes is the result, not checked yet */
	LOGIN_ERROR = 1,       /* bytes is the error, not checked yet */
	LOGIN_UNAVAILABLE = 2, /* nobody answered in time: to be tried again later */
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

/* Copies; to be freed by free(). NULL: no memory. */
struct login_question *login_question_new(uint16_t authenticator, uint64_t deadline_ms,
					  struct slice params);
struct login_answer *login_answer_new(enum login_outcome outcome,
				      const struct lookup_stamp *stamp,
				      struct slice bytes);
struct login_report *login_report_new(uint16_t authenticator, const char *method,
				      struct slice params);

#endif
