/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the parameters of hello, with which routerd introduces itself to an
 * authenticator. Thread of worker 0.
 */
#ifndef ROUTERD_CONTROL_AUTH_HELLO_H
#define ROUTERD_CONTROL_AUTH_HELLO_H

#include "common/buf.h"
#include "proto/auth_api.h"
#include "routerd/config/config.h"

/* What the router remembers between connections to an authenticator. */
struct auth_hello_memory {
	char instance[33]; /* random, chosen by each process; 32 hex digits */
	char last_db[AUTH_MAX_NAME + 1]; /* "": none */
	uint64_t last_epoch;             /* AUTH_NO_EPOCH: none */
};

/* Appends the parameters to out. An error is in out->err afterwards. */
void auth_hello_put(struct buf *out, const struct config *cfg,
		    const struct auth_hello_memory *m);

#endif
