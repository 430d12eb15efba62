/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a client's messages, checks whether the client may send them, and turns them into
 * posts. The worker's thread.
 */
#ifndef ROUTERD_PEER_MESSAGES_H
#define ROUTERD_PEER_MESSAGES_H

#include "common/base.h"

struct peer;

/* Handles the content of a frame: a WAMP message, or a batch of messages. */
void messages_read(struct peer *p, struct slice bytes, bool text);

#endif
