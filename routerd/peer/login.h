/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins, which end with WELCOME or ABORT (specification: "Session Establishment",
 * "Authentication").
 *
 * A login begins at the upgrade; with RawSocket, and for a further session on the same
 * connection, at HELLO. It ends at WELCOME, or when it fails or the connection closes.
 *
 * The client's HELLO lists the methods that it supports. The router takes the first one
 * that the listener offers, and ignores names that it does not know. Each method has a
 * file (anonymous.c, cookie.c, cryptosign.c, ticket.c, tls_login.c, wampcra.c,
 * wampscram.c) and a row in the table in hello.c; wampscram.c has two.
 *
 * A dynamic method asks an authenticator, through ask.c. The method ticket asks after
 * AUTHENTICATE, because the question contains the ticket. The others ask at HELLO; all of
 * them but cookie and tls then send CHALLENGE. A static method finds the principals in
 * the configuration, and asks nobody: see local.c.
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
	struct wamp_features features; /* announced in HELLO */
	uint64_t deadline_ms;          /* when the login must end; clock of common/loop */
	/* The realm and authid in HELLO, for log lines. */
	struct log_quoted asked_realm, asked_authid;
	/*
	 * A random name for this login. It appears in the logs of routerd and of the
	 * authenticator, and in an ABORT that gives no reason.
	 */
	char corr[17];

	bool asking; /* POST_LOGIN was sent, and no answer has come yet */

	/* From the upgrade request, for the authenticator. */
	char *path;              /* owned */
	struct buf http_headers; /* an encoded map */
	bool has_cookie;         /* http_headers contains a Cookie */

	/* From the authenticator. */
	struct identity *identity; /* counted; NULL until the principal is known */
	struct buf extra;          /* an encoded map, or empty */

	/* Only in a login by a static method. The method's nobody if it is unknown. */
	const struct config_principal *principal;
	/* From HELLO, if login_keep_names was called. May be empty, and may contain zero
	 * bytes, which must not make one name look like another. */
	struct slice realm, authid, authrole;
	uint8_t *names; /* owned: the memory of these three */

	const char
		*binding; /* cryptosign: what the signature is bound to; NULL: nothing */
	void *state;      /* owned; the method allocates it, login_free frees it */
	size_t secret_size; /* bytes of state that login_free overwrites */
	bool queued;        /* in peers.to_verify */
	TAILQ_ENTRY(login) to_verify;
};

/* A login method. The table in hello.c lists them. */
struct login_method {
	const char *name;
	int id;        /* enum config_method_id, or LOGIN_ANONYMOUS */
	unsigned kdfs; /* METHOD_SCRAM: bits of enum config_kdf that this variant has */
	void (*hello)(struct peer *p, const struct msg_hello *h);
	/*
	 * Handles the authenticator's result, in state AUTH_WAIT. NULL if the method
	 * never asks an authenticator.
	 */
	void (*result)(struct peer *p, const struct auth_result *r,
		       const struct lookup_stamp *stamp);
	/*
	 * Handles AUTHENTICATE, in state CHALLENGED. extra is a dict in the client's
	 * encoding. NULL if the method sends no CHALLENGE.
	 */
	void (*authenticate)(struct peer *p, struct slice signature, struct slice extra);
	/*
	 * Verifies a signature, which is expensive. attach_verify_some calls it for each
	 * login in peers.to_verify. NULL if the method puts no logins there.
	 */
	void (*verify)(struct peer *p);
};
enum { LOGIN_ANONYMOUS = -1 };
extern const struct login_method login_anonymous, login_cryptosign, login_ticket,
	login_wampcra, login_scram, login_wamp_scram, login_cookie, login_tls;

/* --- login.c --- */

/* Makes p's login. NULL if out of memory. */
struct login *login_new(struct peer *p, const struct config_listener *l) MUSTCHECK;
/*
 * Makes p's login at the upgrade, and keeps the parts of the request that an
 * authenticator may want. 0 or E_NOMEM; after E_NOMEM the caller must call login_free.
 */
int login_begin(struct peer *p, const struct config_listener *l,
		const struct http_request *req) MUSTCHECK;
/* Frees p's login, if it has one. */
void login_free(struct peer *p);
/*
 * Ends a login whose client has gone or was refused before it had a session. Cancels its
 * question to the authenticator, or reports the failure. Frees the login.
 */
void login_abandon(struct peer *p);

/* What p's listener says about p's method, which is not anonymous. */
const struct config_method *login_method_conf(const struct peer *p);
/* True if an authenticator decides about this login. */
bool login_is_dynamic(const struct peer *p);
/*
 * The authenticator that p's listener uses for p's method, and its index in the
 * configuration.
 */
unsigned login_authenticator_index(const struct peer *p);
const struct config_authenticator *login_authenticator(const struct peer *p);

/* Has p's client shown a certificate, which the listener has verified? */
bool login_has_certificate(const struct peer *p);

/* Describes how p's client is connected, for the identity and for the authenticator. */
struct channel login_channel(const struct peer *p);

/*
 * Send reports for the authenticator's records. Do nothing if no authenticator was asked
 * about this login.
 */
void login_report_opened(struct peer *p);
void login_report_closed(struct peer *p, const char *reason, uint64_t duration_ms);
void login_report_failed(struct peer *p, const char *reason);

/* --- establish.c --- */

/* Denies the login: counts, logs, and sends ABORT. */
void login_deny(struct peer *p, const char *uri, struct slice message);
/* Like login_deny, with a text formatted as by printf and cut after 300 bytes. */
void login_denyf(struct peer *p, const char *uri, const char *fmt, ...) PRINTF_LIKE(3, 4);
/*
 * Ends a login because of a problem in the router or the authenticator: counts, logs, and
 * drops the connection, so that the client tries again.
 */
void login_try_again(struct peer *p, const char *why);
/*
 * Ends a login because of an error that the client should not see. The text, formatted as
 * by printf and cut after 300 bytes, goes to the log; the ABORT contains only corr.
 */
void login_fail(struct peer *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Finds the realm and role in the policy, and makes the identity. *who must contain the
 * realm name, authid, authrole and authprovider, and, from an authenticator, the
 * stamp, the extra and the key. The function fills in the other fields. False if p has
 * been refused or dropped.
 */
bool login_identify(struct peer *p, struct identity *who);

/*
 * Like login_identify, for an authenticator's result; keeps the result's extra for
 * WELCOME. *who must contain the authid, the stamp, and the key if there is one. False if
 * p has been refused or dropped.
 */
bool login_accept(struct peer *p, const struct auth_result *res, struct identity *who);

/*
 * Checks the login against the remembered revocations. False if p has been refused or
 * dropped.
 */
bool login_not_revoked(struct peer *p);

/*
 * Sends the CHALLENGE that was written to peer_begin. If it cannot be sent, p has been
 * refused or dropped afterwards.
 */
void login_send_challenge(struct peer *p);

/* Posts JOIN to the owner of the realm. */
void login_join(struct peer *p);

/* Handle POST_LOGIN_ANSWER, POST_JOINED and POST_JOIN_REFUSED. */
void login_answer(struct peer *p, const struct post *post);
void login_joined(struct peer *p, const struct post *post);
void login_refused(struct peer *p, const struct post *post);

/*
 * Denies the login of p, in state CHALLENGED or JOINING, because a reload has removed its
 * role.
 */
void login_role_gone(struct peer *p);

/*
 * True if a revocation forbids the login of p, in state CHALLENGED or JOINING. False
 * while its identity is unknown: a client that has not sent its ticket may be anybody.
 */
bool login_concerned(const struct peer *p, const struct revocation *revocation);
/* Aborts a login that a revocation forbids: counts, logs, and sends ABORT. */
void login_revoked(struct peer *p, const struct revocation *revocation);

/* --- ask.c --- */

/*
 * Denies the login, and returns false, if a name in HELLO is too long for the
 * authenticator's protocol. A question without the name would be about a different login.
 */
bool login_names_are_short(struct peer *p, const struct msg_hello *h);
/*
 * Checks the names like login_names_are_short, and keeps those of the realm, authid and
 * authrole in the login. False if p has been refused or dropped.
 */
bool login_keep_names(struct peer *p, const struct msg_hello *h) MUSTCHECK;

/*
 * Appends the question about a HELLO to out, as auth_request_write does, with at most
 * max_message bytes. False if p has been refused or dropped.
 */
bool login_write_question(struct peer *p, const struct msg_hello *h, size_t max_message,
			  struct buf *out);
/*
 * Sends the authenticator a copy of the question. Afterwards p is in state AUTH_WAIT, or
 * has been dropped because memory ran out.
 */
void login_ask(struct peer *p, struct slice question);

/* --- local.c --- */

/*
 * Begins a login by a static method. who is the principal that the client wants to be, or
 * NULL if nobody is known by this name. The method's nobody then takes its place, so that
 * all that follows is the same for both. False if p has been refused or dropped.
 */
bool login_local_begin(struct peer *p, const struct msg_hello *h,
		       const struct config_principal *who) MUSTCHECK;
/*
 * Ends a login by a static method. proved: the client knows the secret of p's principal,
 * or has its key. Posts JOIN, or denies the login with this message. key is the key that
 * has signed, if any.
 */
void login_local_end(struct peer *p, bool proved, struct field_key key,
		     const char *message);

/* --- hello.c --- */

/* Handle HELLO and AUTHENTICATE. */
void login_hello(struct peer *p, const struct msg_hello *h);
void login_authenticate(struct peer *p, const struct msg *m);

#endif
