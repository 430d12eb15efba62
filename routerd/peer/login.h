/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From HELLO to WELCOME or ABORT (specification: "Session Establishment",
 * "Authentication").
 *
 * A login exists from the upgrade until WELCOME. Which method is used is the client's
 * choice among those that the listener offers; names that we do not know are passed over.
 * The methods are anonymous.c and cryptosign.c.
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

enum {
	LOGIN_CHALLENGE_LEN = 32,
	LOGIN_SIGNATURE_LEN = 64,
};

struct login {
	struct peer *peer;
	const struct login_method *method; /* NULL before HELLO */
	const struct config_listener *listener;
	struct sock_name peer_name;
	uint64_t session; /* the id that the session will have; 0 before HELLO */
	struct wamp_features features; /* of HELLO */
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

	/* cryptosign */
	struct field_key claimed_key; /* HELLO's authextra.pubkey, if it is a key */
	uint8_t challenge[LOGIN_CHALLENGE_LEN];
	struct field_keys keys; /* any of them may sign */
	uint8_t signature[LOGIN_SIGNATURE_LEN];
	bool queued; /* in peers.to_verify */
	TAILQ_ENTRY(login) to_verify;
};

/* A way to log in. The table of them is in hello.c. */
struct login_method {
	const char *name;
	bool (*offered)(const struct config_listener *l);
	void (*hello)(struct peer *p, const struct msg_hello *h);
	/* NULL if the method has no CHALLENGE, and asks no authenticator */
	void (*result)(struct peer *p, const struct auth_result *r,
		       const struct lookup_stamp *stamp);
	void (*authenticate)(struct peer *p, struct slice signature);
	/* the expensive part of it, in a turn that has time; of one in peers.to_verify */
	void (*verify)(struct peer *p);
};
extern const struct login_method login_anonymous, login_cryptosign;

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

/* The authenticator that p's listener asks. */
const struct config_authenticator *login_authenticator(const struct peer *p);

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

/* A revocation while p is CHALLENGED or JOINING: does it concern p? */
bool login_concerned(const struct peer *p, const struct revocation *revocation);
/* Sends ABORT to a login that a revocation forbids; counts and logs it. */
void login_revoked(struct peer *p, const struct revocation *revocation);

/* --- hello.c --- */

/* Messages of the client. */
void login_hello(struct peer *p, const struct msg_hello *h);
void login_authenticate(struct peer *p, struct slice signature);

#endif
