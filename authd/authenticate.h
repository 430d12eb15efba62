/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision about a login: who is this, and which key must sign? Only looks up; the
 * proof is routerd's affair. Main thread.
 */
#ifndef AUTHD_AUTHENTICATE_H
#define AUTHD_AUTHENTICATE_H

#include "authd/config.h"
#include "authd/store.h"

/*
 * Decides about q, and appends the encoded result or error to out. Returns whether it is
 * a result. *why_out is a short reason for the log (static), NULL for a result.
 */
bool authenticate(struct store *store, const struct config_deny *deny,
		  const struct auth_request *q, struct buf *out, const char **why_out);

#endif
