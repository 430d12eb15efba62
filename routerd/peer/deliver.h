/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns posts to one peer, from a realm's owner or from control, into messages to the
 * client. The worker's thread.
 */
#ifndef ROUTERD_PEER_DELIVER_H
#define ROUTERD_PEER_DELIVER_H

#include "routerd/post/post.h"

struct peer;

/* Handles any post to one session. The caller drops *post. */
void deliver(struct peer *p, struct post *post);

#endif
