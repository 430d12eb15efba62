/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Testaments: publications that a session leaves behind (specification: "Session
 * Testament"). The session's worker judges a testament like a PUBLISH when the client
 * adds it. The realm keeps it, and publishes it when the session ends, with this session
 * as the publisher. There are two scopes, "detached" and "destroyed". Sessions cannot be
 * resumed, so both are published at the same time: first those with the scope detached,
 * then the others, each in the order in which they were added.
 *
 * Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_TESTAMENT_H
#define ROUTERD_CORE_TESTAMENT_H

#include "routerd/core/session.h"

/*
 * Adds the testament of a POST_TESTAMENT, and takes the references that it holds.
 * E_LIMIT: the session would have more than TESTAMENTS_MAX testaments, or more than
 * TESTAMENT_BYTES_MAX bytes of them. E_NOMEM. After an error the post keeps its
 * references.
 */
int testament_add(struct realm *realm, struct session *s, struct post *p) MUSTCHECK;

/* Drops the session's testaments of one scope. */
void testament_flush(struct realm *realm, struct session *s, bool detached);

/* Drops all testaments of the session. */
void testament_drop_all(struct realm *realm, struct session *s);

/*
 * Drops the testaments that the role of the session no longer allows. Returns their
 * number.
 */
unsigned testament_revoke(struct realm *realm, struct session *s);

/*
 * Publishes testaments of a session that has left, and drops them. They cost at most n;
 * returns n minus their cost: if that is 0, the session may have more. If memory runs
 * out, nobody gets the event, and it is counted as unsent.
 */
unsigned testament_publish(struct realm *realm, struct session *s, unsigned n);

#endif
