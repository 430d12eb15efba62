/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The login method cookie: a browser has a cookie of the site, and an authenticator says
 * which principal it belongs to. WAMP does not define this method; Crossbar has one of
 * the same name.
 *
 * The browser has sent the cookie with the upgrade request, so HELLO need not contain it,
 * and there is no CHALLENGE. The router skips the method if the request had no cookie.
 * The worker's thread.
 */
#include "routerd/peer/login.h"

static void cookie_hello(struct peer *p, const struct msg_hello *h)
{
	struct buf question;

	/* buf_fini overwrites the cookie */
	buf_init_secret(&question, AUTH_MAX_MESSAGE);
	if (login_write_question(p, h, AUTH_MAX_MESSAGE, &question))
		login_ask(p, buf_slice(&question));
	buf_fini(&question);
}

static void cookie_result(struct peer *p, const struct auth_result *res,
			  const struct lookup_stamp *stamp)
{
	/* The cookie says who the client is, not the authid in HELLO. */
	struct identity who = {.authid = res->authid, .stamp = *stamp};

	if (login_accept(p, res, &who) && login_not_revoked(p))
		login_join(p);
}

const struct login_method login_cookie = {
	.name = "cookie",
	.id = METHOD_COOKIE,
	.hello = cookie_hello,
	.result = cookie_result,
};
