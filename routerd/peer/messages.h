/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may say, and when: from bytes to posts. The worker's thread. */
#ifndef ROUTERD_PEER_MESSAGES_H
#define ROUTERD_PEER_MESSAGES_H

#include "common/base.h"

struct peer;

/* Handles one WebSocket message: a WAMP message, or a batch of them. */
void messages_read(struct peer *p, struct slice bytes, bool text);

#endif
