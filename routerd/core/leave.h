/* SPDX-License-Identifier: Apache-2.0 */
/* How sessions end. For core/ only; on the owner's thread only. */
#ifndef ROUTERD_CORE_LEAVE_H
#define ROUTERD_CORE_LEAVE_H

#include "routerd/core/session.h"

/*
 * Ends a session and frees it: its memberships and registrations; the calls that it made,
 * telling the callees to stop; and the calls made to it, sending an ERROR to their
 * callers. Then sends `last`, the last post to the session, for which mail is reserved,
 * and takes its references. `last` is NULL if the session's worker needs no post.
 */
void leave_begin(struct realm *realm, struct session *s, struct post *last);

#endif
