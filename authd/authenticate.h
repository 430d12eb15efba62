/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision about a login: who is this, and which key must sign? Only looks up; the
 * proof is routerd's affair. Main thread.
 */
#ifndef AUTHD_AUTHENTICATE_H
#define AUTHD_AUTHENTICATE_H

#include "authd/settings.h"
#include "authd/store.h"

enum verdict {
	VERDICT_ALLOWED = 0, /* out holds a result, otherwise an error */
	VERDICT_DENIED = 1,
	VERDICT_FAILED = 2, /* our own trouble: the client is to try again */
};

/*
 * Decides about q, and writes the encoded result or error to out, which is empty.
 * *why_out is a short reason for the log (static), NULL for a result.
 */
enum verdict authenticate(struct store *store, const struct settings_deny *deny,
			  const struct auth_request *q, struct buf *out,
			  const char **why_out);

#endif
