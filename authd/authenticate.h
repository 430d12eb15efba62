/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides about a login: finds the principal, and the keys with which the client may
 * sign. It does not check the signature; routerd does. Main thread.
 */
#ifndef AUTHD_AUTHENTICATE_H
#define AUTHD_AUTHENTICATE_H

#include "authd/settings.h"
#include "authd/store.h"

enum verdict {
	VERDICT_ALLOWED = 0, /* out has a result; after other verdicts, an error */
	VERDICT_DENIED = 1,
	VERDICT_FAILED = 2, /* authd has failed; the client should try again */
};

/*
 * Decides about the request q and writes the encoded result or error to out, which must
 * be empty. *why_out gets a short reason for the log, a constant, or NULL if the login is
 * allowed.
 */
enum verdict authenticate(struct store *store, const struct settings_deny *deny,
			  const struct auth_request *q, struct buf *out,
			  const char **why_out);

#endif
