/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From HELLO to WELCOME or ABORT (specification: "Session Establishment",
 * "Authentication").
 *
 * A login exists from the upgrade until WELCOME. Which method is used is the client's
 * choice among those that the listener offers; names that we do not know are passed over.
 * Each method is a file (anonymous.c, cryptosign.c, ticket.c) and a row of the table in
 * hello.c. A method that asks an authenticator asks it by ask.c, either at HELLO, before
 * CHALLENGE, or when AUTHENTICATE has come.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_LOGIN_H
#define ROUTERD_PEER_LOGIN_H

#include "proto/auth_api.h"
#include "proto/http.h"
#include "proto/msg.h"
#include "routerd/config/config.h"
#include "routerd/peer/peer.h"
#include "routerd/post/login_message.h"

#include <sys/queue.h>

struct login {
	struct peer *peer;
	const struct login_method *method; /* NULL before HELLO */
	const struct config_listener *listener;
	struct sock_name peer_name;
	uint64_t session; /* the id that the session will have; 0 before HELLO */
	struct wamp_features features; /* of HELLO */
	uint64_t deadline_ms;          /* when the handshake ends; clock of common/loop */
	/* what HELLO asked for, for the log */
	struct log_quoted asked_realm, asked_authid;
	char corr[17]; /* in the logs of both sides, and in an ABORT that explains nothing
			*/

	bool asking; /* POST_LOGIN was sent, and no answer has come */

	/* from the upgrade, for the authenticator */
	char *path;              /* owned */
	struct buf http_headers; /* an encoded map */

	/* from the authenticator */
	struct identity *identity; /* counted; NULL until it is known */
	struct buf extra;          /* an encoded map, or empty */

	void *state; /* the method's; it allocates it, login_free frees it */
	bool queued; /* in peers.to_verify */
	TAILQ_ENTRY(login) to_verify;
};

/* A way to log in. The table of them is in hello.c. */
struct login_method {
	const char *name;
	int dynamic; /* enum dynamic_method; LOGIN_NOT_DYNAMIC */
	void (*hello)(struct peer *p, const struct msg_hello *h);
	/* the authenticator's result, in AUTH_WAIT; NULL if the method asks none */
	void (*result)(struct peer *p, const struct auth_result *r,
		       const struct lookup_stamp *stamp);
	/* AUTHENTICATE, in CHALLENGED: its Signature, and its Extra, a dict in the
	 * client's encoding; NULL if the method has no CHALLENGE */
	void (*authenticate)(struct peer *p, struct slice signature, struct slice extra);
	/* the expensive part of it, in a turn that has time; of one in peers.to_verify */
	void (*verify)(struct peer *p);
};
enum { LOGIN_NOT_DYNAMIC = -1 };
extern const struct login_method login_anonymous, login_cryptosign, login_ticket;

/* --- login.c --- */

/* Makes p's login. NULL: no memory. */
struct login *login_new(struct peer *p, const struct config_listener *l) MUSTCHECK;
/* At the upgrade: makes it, and remembers what of the request an authenticator may want.
 * E_NOMEM. */
int login_begin(struct peer *p, const struct config_listener *l,
		const struct http_request *req) MUSTCHECK;
/* Frees p's login, if it has one. */
void login_free(struct peer *p);
/* The client has gone, or has been refused, before it had a session: tells who should
 * know. */
void login_abandon(struct peer *p);

/* Which authenticator p's method asks at p's listener: its index in the configuration. */
unsigned login_authenticator_index(const struct peer *p);
const struct config_authenticator *login_authenticator(const struct peer *p);

/* How p's client is connected. */
struct channel login_channel(const struct peer *p);

/* Notifications for the authenticator's records. They do nothing if none was asked. */
void login_report_opened(struct peer *p);
void login_report_closed(struct peer *p, const char *reason, uint64_t duration_ms);
void login_report_failed(struct peer *p, const char *reason);

/* --- establish.c --- */

/* Counts, logs, and ABORTs. */
void login_deny(struct peer *p, const char *uri, struct slice message);
/* The same with a text made by printf, of at most 300 bytes. */
void login_denyf(struct peer *p, const char *uri, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* For trouble of ours: counts, logs, and ends the connection so that the client tries
 * again. */
void login_try_again(struct peer *p, const char *why);
/* For what is not the client's business: it sees only corr; the text, of at most 300
 * bytes, goes to the log. */
void login_fail(struct peer *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Finds realm and role in the policy and makes the identity; *who needs the texts and the
 * stamp, realm, role and session are filled in. False: p has been refused.
 */
bool login_identify(struct peer *p, struct identity *who);

/*
 * The same for an authenticator's result, whose extra is kept for WELCOME; *who needs the
 * authid, the stamp, and the key if there is one. False: p has been refused or dropped.
 */
bool login_accept(struct peer *p, const struct auth_result *res, struct identity *who);

/* False: a revocation spoke against it, and p has been refused. */
bool login_not_revoked(struct peer *p);

/* Posts JOIN. */
void login_join(struct peer *p);

/* Posts. */
void login_answer(struct peer *p, const struct post *post);
void login_joined(struct peer *p, const struct post *post);
void login_refused(struct peer *p, const struct post *post);

/* Refuses p, which is CHALLENGED or JOINING: a reload has removed its role. */
void login_role_gone(struct peer *p);

/*
 * A revocation while p is CHALLENGED or JOINING: does it concern p? No if the
 * authenticator was not asked yet, so that nobody knows who p is.
 */
bool login_concerned(const struct peer *p, const struct revocation *revocation);
/* Sends ABORT to a login that a revocation forbids; counts and logs it. */
void login_revoked(struct peer *p, const struct revocation *revocation);

/* --- ask.c --- */

/*
 * Appends the question about a HELLO, of at most max_message bytes, as
 * auth_request_write. False: p has been refused or dropped.
 */
bool login_write_question(struct peer *p, const struct msg_hello *h, size_t max_message,
			  struct buf *out);
/* Sends a question, which it copies, to the authenticator: p is in AUTH_WAIT. Or p has
 * been dropped, for want of memory. */
void login_ask(struct peer *p, struct slice question);

/* --- hello.c --- */

/* Messages of the client. */
void login_hello(struct peer *p, const struct msg_hello *h);
void login_authenticate(struct peer *p, const struct msg *m);

#endif
