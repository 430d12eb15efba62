/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The login method anonymous: every client gets the role of the listener (specification:
 * "Anonymous Authentication"). The worker's thread.
 */
#include "routerd/peer/login.h"

#include <sodium.h>

/*
 * Makes a random authid like "9QXC-4R7T-...". It has about 74 random bits, so it is
 * practically unique.
 */
static struct slice random_authid(char out[24])
{
	static const char digits[] = "3479ACEFGHJKLMNPQRSTUVWXY";
	size_t n = 0;

	for (int group = 0; group < 4; group++) {
		if (group > 0)
			out[n++] = '-';
		for (int i = 0; i < 4; i++)
			out[n++] = digits[randombytes_uniform(sizeof(digits) - 1)];
	}
	return slice_of(out, n);
}

static void anonymous_hello(struct peer *p, const struct msg_hello *h)
{
	const struct config_listener *l = p->login->listener;
	char authid[24];

	struct identity who = {
		.realm_name = l->auth.anonymous.realm != NULL
				      ? slice_str(l->auth.anonymous.realm)
				      : h->realm,
		.authid = random_authid(authid),
		.authrole = slice_str(l->auth.anonymous.role),
		.authprovider = slice_str("static"),
	};
	if (who.realm_name.len == 0) {
		login_deny(p, WAMP_ERROR_NO_SUCH_REALM,
			   slice_str("HELLO.Realm is missing: name a realm"));
		return;
	}
	if (login_identify(p, &who))
		login_join(p);
}

const struct login_method login_anonymous = {
	.name = "anonymous",
	.id = LOGIN_ANONYMOUS,
	.hello = anonymous_hello,
};
