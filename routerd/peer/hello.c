/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles HELLO and AUTHENTICATE: chooses the login method; see login.h. The worker's
 * thread.
 */
#include "routerd/peer/login.h"

#include <sodium.h>

static const struct login_method *const login_methods[] = {
	&login_anonymous,  &login_cryptosign, &login_ticket, &login_wampcra,
	&login_wamp_scram, &login_scram,      &login_cookie, &login_tls,
};

static bool is_offered(const struct login_method *m, const struct config_listener *l)
{
	if (m->id == LOGIN_ANONYMOUS)
		return l->auth.anonymous.role != NULL;
	const struct config_method *conf = &l->auth.methods[m->id];
	/* a variant of SCRAM for which nobody has keys is not offered */
	if (m->id == METHOD_SCRAM && conf->type == METHOD_STATIC)
		return config_principal_of_kdfs(conf, m->kdfs) != NULL;
	return conf->type != -1;
}

static uint64_t random_id(void)
{
	uint64_t id;

	do {
		randombytes_buf(&id, sizeof(id));
		/* 53 random bits; the specification demands random ids in the global
		 * scope */
		id &= WAMP_MAX_ID - 1;
	} while (id == 0);
	return id;
}

/* What the method needs before HELLO and this client has not sent; NULL: nothing. */
static const char *missing(const struct login *lg, const struct login_method *m)
{
	if (m == &login_cookie && !lg->has_cookie)
		return " (but the upgrade request had no Cookie)";
	if (m == &login_tls && conn_is_longpoll(lg->peer->conn))
		return " (but not over long-poll)";
	if (m == &login_tls && !login_has_certificate(lg->peer))
		return " (but the client has shown no TLS certificate)";
	return NULL;
}

static const struct login_method *choose_method(const struct login *lg,
						const struct msg_hello *h)
{
	static const struct slice anonymous = {(const uint8_t *)"anonymous", 9};
	/* a HELLO without authmethods asks for anonymous */
	const struct slice *names = h->n_authmethods > 0 ? h->authmethods : &anonymous;
	unsigned n = h->n_authmethods > 0 ? h->n_authmethods : 1;

	for (unsigned i = 0; i < n; i++)
		for (size_t m = 0; m < ARRAY_LEN(login_methods); m++)
			if (slice_eq_str(names[i], login_methods[m]->name) &&
			    is_offered(login_methods[m], lg->listener) &&
			    missing(lg, login_methods[m]) == NULL)
				return login_methods[m];
	return NULL;
}

/*
 * Denies a login for which no method was found. The text names the methods of both sides,
 * because neither side sees which methods the other supports.
 */
static void deny_methods(struct peer *p, const struct msg_hello *h)
{
	const char *separator = "";
	struct buf text;

	buf_init(&text, (WAMP_MAX_AUTHMETHODS + 3) * LOG_QUOTE_MAX);
	buf_put_str(&text,
		    "none of the offered authmethods is supported here; offered: ");
	for (unsigned i = 0; i < h->n_authmethods; i++)
		buf_printf(&text, "%s%s", i == 0 ? "" : ", ",
			   log_quote(h->authmethods[i]).text);
	buf_put_str(&text, h->n_authmethods == 0
				   ? "none, which means anonymous; supported: "
				   : "; supported: ");
	for (size_t m = 0; m < ARRAY_LEN(login_methods); m++) {
		if (!is_offered(login_methods[m], p->login->listener))
			continue;
		const char *lacks = missing(p->login, login_methods[m]);
		buf_printf(&text, "%s%s%s", separator, login_methods[m]->name,
			   lacks == NULL ? "" : lacks);
		separator = ", ";
	}
	login_deny(p, WAMP_ERROR_NO_MATCHING_AUTH_METHOD, buf_slice(&text));
	buf_fini(&text);
}

void login_hello(struct peer *p, const struct msg_hello *h)
{
	const struct peer_listener *pl = conn_conf(p->conn)->user;
	uint8_t corr[8];

	/* The first login of a WebSocket connection was made at the upgrade. RawSocket
	 * has no upgrade, and after GOODBYE the client may send another HELLO. */
	if (p->login == NULL && login_new(p, pl->conf) == NULL) {
		login_try_again(p, login_outcome_text(LOGIN_NO_MEMORY));
		return;
	}
	struct login *lg = p->login;
	/* does nothing in the first handshake, which already has a deadline */
	conn_restart_handshake(p->conn);
	randombytes_buf(corr, sizeof(corr));
	sodium_bin2hex(lg->corr, sizeof(lg->corr), corr, sizeof(corr));
	lg->session = random_id();
	lg->features = h->features;
	/* an answer after the handshake's deadline would be useless */
	lg->deadline_ms = loop_now_ms(p->peers->loop) +
			  lg->listener->options.open_handshake_timeout;
	lg->asked_realm = log_quote(h->realm);
	lg->asked_authid = log_quote(h->authid);
	lg->method = choose_method(lg, h);
	if (lg->method == NULL) {
		deny_methods(p, h);
		return;
	}
	lg->method->hello(p, h);
}

void login_authenticate(struct peer *p, const struct msg *m)
{
	/* The first AUTHENTICATE waits to be verified, and the state has not changed
	 * yet. */
	if (p->login->queued) {
		peer_violation(p, "AUTHENTICATE was sent twice");
		return;
	}
	p->login->method->authenticate(p, m->text, m->extra);
}
