/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking access away from those who are in already: a revoke to every connected router,
 * and the sum of what they answer. Main thread.
 */
#ifndef AUTHD_REVOCATION_H
#define AUTHD_REVOCATION_H

#include "proto/auth_api.h"

struct server;

struct revocation_sum {
	uint64_t sessions; /* ended */
	uint64_t pending;  /* handshakes refused */
	unsigned routers;  /* that have answered in full */
	unsigned unreachable;
};

typedef void revocation_cb(const struct revocation_sum *sum, void *arg);

/*
 * Sends it to all routers; done is called once, when every one has answered, is gone, or
 * has let AUTH_REVOKE_MS pass: at once where there is none. The change that it tells of
 * is committed, with v->epoch.
 */
void revocation_start(struct server *s, const struct auth_revoke *v, revocation_cb *done,
		      void *arg);

/* At the end of the program: those not yet done are done, with what is known. */
void revocations_abandon(struct server *s);

#endif
