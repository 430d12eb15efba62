/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins by static methods, whose principals are in the configuration; see login.h.
 *
 * A client must not find out which authids exist. So an unknown authid takes the same
 * steps as a known one, up to the end of the login, with the method's `nobody` as its
 * principal. What differs between principals, such as the realm, is compared only after
 * the client has proved who it is. The worker's thread.
 */
#include "routerd/peer/login.h"

bool login_local_begin(struct peer *p, const struct msg_hello *h,
		       const struct config_principal *who)
{
	p->login->principal = who != NULL ? who : &login_method_conf(p)->nobody;
	return login_keep_names(p, h);
}

/* Checks the realm that the client asks for. False if p has been refused. */
static bool realm_fits(struct peer *p)
{
	const struct config_principal *who = p->login->principal;
	struct slice asked = p->login->realm;

	if (asked.len == 0 && who->realm == NULL) {
		login_deny(p, WAMP_ERROR_NO_SUCH_REALM,
			   slice_str("HELLO.Realm is missing: name a realm"));
		return false;
	}
	if (asked.len == 0 || who->realm == NULL || slice_eq_str(asked, who->realm))
		return true;
	login_denyf(p, WAMP_ERROR_NO_SUCH_REALM,
		    "this principal may join only the realm \"%s\"", who->realm);
	return false;
}

void login_local_end(struct peer *p, bool proved, struct field_key key,
		     const char *message)
{
	const struct config_principal *who = p->login->principal;

	if (!proved || who == &login_method_conf(p)->nobody) {
		login_deny(p, WAMP_ERROR_NOT_AUTHORIZED, slice_str(message));
		return;
	}
	if (!realm_fits(p))
		return;
	struct identity identity = {
		.realm_name =
			who->realm != NULL ? slice_str(who->realm) : p->login->realm,
		.authid = slice_str(who->authid),
		.authrole = slice_str(who->role),
		.authprovider = slice_str("static"),
		.pubkey = key,
	};
	if (login_identify(p, &identity))
		login_join(p);
}
