/* SPDX-License-Identifier: Apache-2.0 */
/* What routerd says of itself to an authenticator: the parameters of hello. Worker 0. */
#ifndef ROUTERD_CONTROL_AUTH_HELLO_H
#define ROUTERD_CONTROL_AUTH_HELLO_H

#include "common/buf.h"
#include "proto/auth_api.h"
#include "routerd/config/config.h"

/* What the authenticator may know of us from an earlier connection. */
struct auth_hello_memory {
	char instance[33];               /* drawn anew by each process, 32 hex digits */
	char last_db[AUTH_MAX_NAME + 1]; /* "": none */
	uint64_t last_epoch;             /* AUTH_NO_EPOCH: none */
};

/* Appends the parameters; errors stick in out. */
void auth_hello_put(struct buf *out, const struct config *cfg,
		    const struct auth_hello_memory *m);

#endif
