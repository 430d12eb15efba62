/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The INVOCATIONs that could not be sent to a client. The owner numbers INVOCATIONs when
 * it posts them, but the client must see the numbers 1, 2, 3 and so on (specification:
 * "Identifiers"), and no INTERRUPT for a number that it has not seen. So after an
 * INVOCATION that was not sent, the numbers of the later ones are lower for the client
 * than in the owner's posts, until POST_RENUMBERED arrives: then the owner has renumbered
 * them, too. It does so before it reads any answer of the client that uses the new
 * numbers, since posts arrive in order. The worker's thread only.
 */
#ifndef ROUTERD_PEER_UNSENT_H
#define ROUTERD_PEER_UNSENT_H

#include "common/base.h"

/* A zeroed struct is empty. */
struct unsent {
	/* What would have been their numbers for the client; never descending. */
	uint64_t *requests;
	unsigned n, room;
};

/* Adds an INVOCATION, which is the last that the owner has posted. E_NOMEM. */
int unsent_add(struct unsent *u, uint64_t request) MUSTCHECK;

/*
 * Changes a number in a post of the owner to the client's. False: that INVOCATION was not
 * sent.
 */
bool unsent_translate(const struct unsent *u, uint64_t *request);

/* The owner has renumbered: the first n do not count any more. */
void unsent_renumbered(struct unsent *u, size_t n);

void unsent_free(struct unsent *u);

#endif
