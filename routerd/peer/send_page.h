/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends a page of events, the result of wamp.subscription.get_events (specification:
 * "Event History"). The worker's thread.
 */
#ifndef ROUTERD_PEER_SEND_PAGE_H
#define ROUTERD_PEER_SEND_PAGE_H

#include "routerd/post/post.h"

struct peer;

/*
 * Handles POST_PAGE: sends a RESULT, or an ERROR if the session may not subscribe to the
 * topic. A member of the subscription may read its events in any case. If the role has an
 * authorizer, only members may, since the authorizer is not asked.
 */
void send_page(struct peer *p, const struct post *post);

#endif
