/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivers EVENTs to this worker's members. An EVENT is encoded once for all members of a
 * wire kind. Successive EVENTs to the same members are delivered together, which saves
 * most of the cost of each delivery. A fan-out that takes too long for one turn stays
 * unfinished; it must be continued before the next post is handled.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_FAN_OUT_H
#define ROUTERD_PEER_FAN_OUT_H

#include "routerd/peer/peers.h"

/*
 * Begins to deliver the first of n posts, a POST_EVENT, together with the posts after it
 * that go to the same members. Takes their references. *taken_out is the number of posts
 * that it took. False if the fan-out is unfinished.
 */
bool fan_out_begin(struct peers *ps, struct post *posts, size_t n, size_t *taken_out);
/* Delivers a POST_EVENT_ONE to p. */
void fan_out_to_one(struct peer *p, const struct post *event);
/*
 * Continues an unfinished fan-out. False if it is still unfinished. True if it is
 * finished or there was none.
 */
bool fan_out_go_on(struct peers *ps);

#endif
