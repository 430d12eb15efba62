/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meta procedures (specification: "Meta API"): the realm answers questions about its
 * sessions, registrations and subscriptions, and ends or changes them on request. A call
 * that visits a whole list needs a walk (meta_walk.h); any other is answered at once.
 * Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_META_H
#define ROUTERD_CORE_META_H

#include "routerd/core/session.h"

/* These handle POST_META and POST_TESTAMENT. */
void meta_call(struct realm *realm, struct session *s, struct post *p);
void meta_add_testament(struct realm *realm, struct session *s, struct post *p);

/* Does one slice of the first walk. Does nothing if there is none. */
void meta_work(struct realm *realm);

#endif
