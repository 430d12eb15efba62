/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sessions of this worker are members of which subscription. The list of a
 * subscription changes when SUBSCRIBED and UNSUBSCRIBED pass through here, so it is in
 * step with the owner's posts by construction. A fan-out on its way keeps a cursor in it;
 * a member that leaves moves it on.
 *
 * The worker's thread only.
 */
#ifndef ROUTERD_PEER_MEMBERS_H
#define ROUTERD_PEER_MEMBERS_H

#include "common/id_table.h"
#include "common/shared_buf.h"
#include "routerd/post/post.h"

#include <sys/queue.h>

struct peer;
struct peers;
LIST_HEAD(peer_members, member);

struct member {
	struct id_node node; /* owner: the peer, id: the subscription */
	struct peer *peer;
	struct member_list *list;
	TAILQ_ENTRY(member) in_list;
	LIST_ENTRY(member) of_peer;
};

struct member_list {
	struct id_node node;          /* owner: NULL, id: the subscription */
	TAILQ_HEAD(, member) members; /* never empty */
};

/* Encodings times {WebSocket plain, batched with 0x1e or 0x18, RawSocket}: peers of one
 * kind get the same bytes. */
enum { WIRE_KINDS = SERIALIZER_COUNT * 4 };

enum {
	FAN_OUT_MAX = 64,               /* EVENTs that go together */
	FAN_OUT_MAX_BYTES = 128 * 1024, /* of their payloads, if they are more than one */
};

/* What all members of one kind get. */
struct fan_out_bytes {
	bool made;
	bool no_memory;            /* to say one of them: who should get it is dropped */
	unsigned n_events;         /* in it; others cannot be said in this encoding */
	size_t longest;            /* of their messages, bytes */
	struct shared_buf *framed; /* NULL: none can */
};

/* The EVENTs on their way: of one subscription, with the same options, and for all
 * members or all but the same one. */
struct fan_out {
	struct post events[FAN_OUT_MAX]; /* with their references */
	unsigned n_events;
	struct member_list *list; /* NULL: none is on its way */
	struct member *next;      /* whose turn it is */
	struct fan_out_bytes bytes[WIRE_KINDS];
};

struct members {
	struct id_table lists;   /* member_list.node */
	struct id_table by_peer; /* membership.node */
	struct fan_out fan_out;
};

int members_init(struct members *m) MUSTCHECK; /* E_NOMEM */
/* When no peer is left. Fine after a failed members_init. */
void members_fini(struct members *m);

/* The members of a subscription; NULL: there is none. */
struct member_list *members_of(const struct members *m, uint64_t subscription);

/* p becomes a member; nothing happens if it is one. E_NOMEM. */
int members_add(struct peers *ps, struct peer *p, uint64_t subscription) MUSTCHECK;
/* p is no member any more; nothing happens if it was none. */
void members_remove(struct peers *ps, struct peer *p, uint64_t subscription);
/* p is no member of anything any more. */
void members_remove_all(struct peers *ps, struct peer *p);

/* Ends a fan-out that has reached every member, or has none left; drops its posts. */
void members_fan_out_end(struct fan_out *f);

#endif
