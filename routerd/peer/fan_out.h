/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of EVENTs to this worker's members. An EVENT is encoded once for all members
 * that need the same bytes, and EVENTs that follow one another to the same members go as
 * one piece of such bytes: they share what a delivery costs. A fan-out that is too large
 * for a turn is unfinished; continue it before handling the next post.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_FAN_OUT_H
#define ROUTERD_PEER_FAN_OUT_H

#include "routerd/peer/peers.h"

/*
 * Begins to deliver the first of these posts, a POST_EVENT, and those right behind it
 * that go the same way; takes their references. *taken_out is how many these are. False:
 * it is unfinished.
 */
bool fan_out_begin(struct peers *ps, struct post *posts, size_t n, size_t *taken_out);
/* Continues. False: still unfinished. True also if there is nothing to do. */
bool fan_out_go_on(struct peers *ps);

#endif
