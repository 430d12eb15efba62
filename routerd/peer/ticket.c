/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The login method ticket (specification: "Ticket-based Authentication"): the client
 * sends a secret, and an authenticator or the configuration says which principal it
 * belongs to.
 *
 * The router asks the authenticator only after AUTHENTICATE, since the question contains
 * the ticket. Until then it keeps the question without the ticket. The worker's thread.
 */
#include "routerd/peer/login.h"

#include <sodium.h>
#include <stdlib.h>

/*
 * Maximum size of a kept question, bytes. Authextra and HTTP headers share the bytes that
 * remain after the names. The limit is low, because clients may open many logins and
 * never send AUTHENTICATE.
 */
enum { KEPT_MAX = 16 * 1024 };

struct kept_question {
	size_t len;
	uint8_t bytes[];
};

static void kept_read(const struct login *lg, struct auth_request *out)
{
	const struct kept_question *kept = lg->state;
	int err = auth_request_read(slice_of(kept->bytes, kept->len), out);

	ASSERT(err == 0); /* login_write_question wrote it */
}

/*
 * Keeps the question in the login, and frees the headers, which the question now
 * contains. False if out of memory.
 */
static bool keep(struct login *lg, struct slice question)
{
	struct kept_question *kept = malloc(sizeof(*kept) + question.len);

	if (kept == NULL)
		return false;
	kept->len = question.len;
	memcpy(kept->bytes, question.p, question.len);
	lg->state = kept;
	/* an idle login should hold as little memory as possible */
	buf_fini(&lg->http_headers);
	return true;
}

static void ask_for_ticket(struct peer *p)
{
	peer_set_state(p, PEER_CHALLENGED);
	msg_write_challenge_ticket(peer_begin(p), p->serializer);
	login_send_challenge(p);
}

static void ticket_hello(struct peer *p, const struct msg_hello *h)
{
	struct buf question;

	if (!login_is_dynamic(p)) {
		if (login_local_begin(
			    p, h, config_principal_find(login_method_conf(p), h->authid)))
			ask_for_ticket(p);
		return;
	}
	buf_init(&question, KEPT_MAX);
	if (login_write_question(p, h, KEPT_MAX, &question)) {
		if (keep(p->login, buf_slice(&question)))
			ask_for_ticket(p);
		else
			login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	}
	buf_fini(&question);
}

/* Compares the ticket with that of the principal. */
static void check_locally(struct peer *p, struct slice ticket)
{
	uint8_t digest[CONFIG_DIGEST_LEN];

	config_digest(p->peers->config, ticket, digest);
	login_local_end(
		p,
		sodium_memcmp(digest, p->login->principal->digest, sizeof(digest)) == 0,
		(struct field_key){.there = false}, "the authid or the ticket is wrong");
}

static void ask_about_ticket(struct peer *p, struct slice ticket)
{
	struct auth_request q;
	struct buf question;

	kept_read(p->login, &q);
	q.ticket = ticket;
	/* buf_fini overwrites the ticket */
	buf_init_secret(&question, AUTH_MAX_MESSAGE);
	if (auth_request_write(&question, &q, AUTH_MAX_MESSAGE) == 0)
		login_ask(p, buf_slice(&question));
	else
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
	buf_fini(&question);
}

static void ticket_authenticate(struct peer *p, struct slice ticket, struct slice extra)
{
	(void)extra; /* the specification defines nothing in it for tickets */
	if (ticket.len == 0) {
		/* some LDAP servers accept an empty password as an anonymous login */
		login_deny(p, WAMP_ERROR_AUTHENTICATION_DENIED,
			   slice_str("the ticket is empty"));
		return;
	}
	if (ticket.len > AUTH_MAX_STRING) {
		login_denyf(p, WAMP_ERROR_AUTHENTICATION_DENIED,
			    "the ticket is longer than %d bytes", AUTH_MAX_STRING);
		return;
	}
	if (login_is_dynamic(p))
		ask_about_ticket(p, ticket);
	else
		check_locally(p, ticket);
}

/* If the authenticator names no authid, the ticket belongs to the authid in HELLO. */
static void ticket_result(struct peer *p, const struct auth_result *res,
			  const struct lookup_stamp *stamp)
{
	struct auth_request q;

	kept_read(p->login, &q);
	struct identity who = {
		.authid = res->authid.len > 0 ? res->authid : q.authid,
		.stamp = *stamp,
	};
	if (login_accept(p, res, &who) && login_not_revoked(p))
		login_join(p);
}

const struct login_method login_ticket = {
	.name = "ticket",
	.id = METHOD_TICKET,
	.hello = ticket_hello,
	.result = ticket_result,
	.authenticate = ticket_authenticate,
};
