/* SPDX-License-Identifier: Apache-2.0 */
/* From posts to bytes: what a realm's owner, or control, has for one peer. The worker's
 * thread. */
#ifndef ROUTERD_PEER_DELIVER_H
#define ROUTERD_PEER_DELIVER_H

#include "routerd/post/post.h"

struct peer;

/* Handles any post for one session but POST_EVENT. The caller drops *post. */
void deliver(struct peer *p, struct post *post);

#endif
