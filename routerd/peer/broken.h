/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broken calls of a worker's sessions: a progressive result of the call could not be
 * delivered to its caller. The caller gets no further progressive results of a broken
 * call, and an ERROR in place of a final RESULT, so that it cannot mistake a part of the
 * results for all of them. The worker must record such calls itself: the owner may have
 * sent the final RESULT already, and have forgotten the call.
 *
 * A call is broken until its answer arrives. The owner ends one call before it accepts a
 * call beyond `pending_calls`, and posts arrive in order, so a session never has more
 * broken calls than `pending_calls`.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_BROKEN_H
#define ROUTERD_PEER_BROKEN_H

#include "common/id_table.h"

#include <sys/queue.h>

struct peer;

struct broken_call {
	struct id_node node; /* owner: the caller's peer, id: CALL.Request */
	LIST_ENTRY(broken_call) of_peer;
	int err; /* why the result could not be delivered */
};
LIST_HEAD(broken_calls, broken_call);

/* Marks a call as broken; it must not be broken already. Returns 0 or E_NOMEM. */
int broken_add(struct peer *p, uint64_t request, int err) MUSTCHECK;
bool broken_has(const struct peer *p, uint64_t request);
/* The call has ended. Returns why it was broken; 0 if it was not. */
int broken_end(struct peer *p, uint64_t request);
/* The session has ended, and all its calls with it. */
void broken_end_all(struct peer *p);

#endif
