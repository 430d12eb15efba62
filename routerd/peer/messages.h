/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the messages of a client: checks which it may send, and turns them into posts.
 * The worker's thread.
 */
#ifndef ROUTERD_PEER_MESSAGES_H
#define ROUTERD_PEER_MESSAGES_H

#include "common/base.h"

struct peer;

/* Handles what a frame contains: a WAMP message, or a batch of them. */
void messages_read(struct peer *p, struct slice bytes, bool text);

#endif
