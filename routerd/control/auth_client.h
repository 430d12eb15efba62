/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to one authenticator (proto/auth-protocol.md): connects and reconnects,
 * asks it about logins, keeps questions while it is away, takes its revocations.
 *
 * Fails closed, and softly: while the authenticator is away, questions are held, and sent
 * when it is back. One that gets no answer is told why by a login_outcome, so that its
 * client tries again. Sessions that are open are untouched.
 *
 * Worker 0 only.
 */
#ifndef ROUTERD_CONTROL_AUTH_CLIENT_H
#define ROUTERD_CONTROL_AUTH_CLIENT_H

#include "common/loop.h"
#include "routerd/config/config.h"
#include "routerd/control/control.h"
#include "routerd/post/outbox.h"
#include "routerd/post/question.h"

struct auth_client;

/* index: in config.authenticators. Answers are posted by outbox. NULL: no memory. */
struct auth_client *auth_client_new(struct control *c, struct loop *l,
				    const struct config *cfg, uint16_t index,
				    struct outbox *outbox) MUSTCHECK;
void auth_client_free(struct auth_client **a);

/* Takes q; one POST_LOGIN_ANSWER will go to session, unless it is cancelled before. */
void auth_client_ask(struct auth_client *a, struct session_ref session,
		     struct login_question *q);
/* Nobody waits any more for what session asked; nothing happens if nothing was asked. */
void auth_client_cancel(struct auth_client *a, struct session_ref session);
/* Sends a notification, if the authenticator wants them, and reads what it is sent. */
void auth_client_report(struct auth_client *a, const struct login_report *r);

void auth_client_log_stats(const struct auth_client *a);

#endif
