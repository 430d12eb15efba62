/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sessions of this worker are members of which subscription, and the way of an
 * EVENT to all of them. The list of a subscription changes when SUBSCRIBED and
 * UNSUBSCRIBED pass through here, so it is in step with the owner's posts by
 * construction.
 *
 * An EVENT is encoded once for all members that need the same bytes. A fan-out that is
 * too large for a turn keeps a cursor; a member that leaves moves it on.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_MEMBERS_H
#define ROUTERD_PEER_MEMBERS_H

#include "common/shared_buf.h"
#include "common/table.h"
#include "routerd/post.h"

#include <sys/queue.h>

struct peer;
struct peers;
struct membership;
struct member_list;
LIST_HEAD(memberships, membership);

/* Encodings times {plain, batched with 0x1e or 0x18}: peers of one kind get the same
 * bytes. */
enum { WIRE_KINDS = SERIALIZER_COUNT * 3 };

/* The EVENT on its way. */
struct fan_out {
	struct post post;                      /* holds the payload's reference */
	struct member_list *list;              /* NULL: none is on its way */
	struct membership *next;               /* whose turn it is */
	struct shared_buf *framed[WIRE_KINDS]; /* NULL: nobody needed it yet */
	bool impossible[WIRE_KINDS];           /* cannot be said in this encoding */
};

struct members {
	struct member_list *lists;     /* table by subscription */
	struct membership *by_session; /* table by slot and subscription */
	struct fan_out fan_out;
};

void members_init(struct members *m);
/* When no peer is left. */
void members_fini(struct members *m);

/* p becomes a member; nothing happens if it is one. E_NOMEM. */
int members_add(struct peers *ps, struct peer *p, uint64_t subscription) MUSTCHECK;
/* p is no member any more; nothing happens if it was none. */
void members_remove(struct peers *ps, struct peer *p, uint64_t subscription);
/* p is no member of anything any more. */
void members_remove_all(struct peers *ps, struct peer *p);

/* Begins to deliver a POST_EVENT, whose references it takes. False: to be gone on with.
 */
bool members_fan_out(struct peers *ps, struct post *event);
/* False: still not done. True also if there is nothing to do. */
bool members_fan_out_go_on(struct peers *ps);

#endif
