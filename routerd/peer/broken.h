/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records the broken calls of each session.
 *
 * A call is broken at its caller if one of its progressive results could not be delivered
 * to the caller. The caller gets no further progressive results of a broken call, and it
 * gets an ERROR in place of the final RESULT, so that it cannot mistake a part of the
 * results for all of them. The caller's worker must record its broken calls itself: the
 * owner may have sent the final RESULT already, and have forgotten the call.
 *
 * A call stays broken until its final answer arrives. The owner never has more than
 * `pending_calls` calls of a session in flight, and its posts arrive in order, so a
 * session never has more broken calls than that.
 *
 * A call is broken at its callee if a chunk of its progressive input could not be
 * delivered to the callee. The callee gets no further chunks, because it would mistake
 * what it gets for the whole input. The callee's worker asks the owner to end the call,
 * and the call stays broken until POST_INPUT_OVER arrives.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_BROKEN_H
#define ROUTERD_PEER_BROKEN_H

#include "common/id_table.h"
#include "routerd/peer/undeliverable.h"

#include <sys/queue.h>

struct peer;

enum broken_side {
	BROKEN_AT_CALLER = 0, /* the request is the CALL's */
	BROKEN_AT_CALLEE = 1, /* the request is the INVOCATION's */
	BROKEN_SIDES = 2,
};

struct broken_call {
	struct id_node node; /* owner: the list in the peer, id: the request */
	LIST_ENTRY(broken_call) of_peer;
	struct undeliverable why; /* of the result or chunk */
};
LIST_HEAD(broken_calls, broken_call);

/* Marks a call as broken; it must not be broken already. Returns 0 or E_NOMEM. */
int broken_add(struct peer *p, enum broken_side side, uint64_t request,
	       const struct undeliverable *why) MUSTCHECK;
bool broken_has(struct peer *p, enum broken_side side, uint64_t request);
/*
 * Call it when a call has ended. False if it was not broken. *why_out gets what
 * broken_add got; it may be NULL.
 */
bool broken_end(struct peer *p, enum broken_side side, uint64_t request,
		struct undeliverable *why_out);
/* Call it when a session has ended, and with it all its calls. */
void broken_end_all(struct peer *p);

#endif
