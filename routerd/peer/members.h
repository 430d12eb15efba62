/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records which sessions of a worker are members of which subscription. A worker changes
 * its list for a subscription when it handles SUBSCRIBED and UNSUBSCRIBED, which the
 * owner sends in order with its EVENTs. So an EVENT goes to the sessions that were
 * members when it was published. An unfinished fan-out keeps a cursor into the list; when
 * the member under the cursor leaves, the cursor moves to the next member.
 *
 * When a session with many memberships ends, they stay in the lists for a while and are
 * removed in pieces. Their session's generation is out of date, so they get no EVENTs.
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
TAILQ_HEAD(peer_members, member);

struct member {
	/* owner: not a pointer, but the session's slot and generation; id: the
	 * subscription */
	struct id_node node;
	struct member_list *list;
	TAILQ_ENTRY(member) in_list;
	TAILQ_ENTRY(member) of_peer; /* of a peer, or in members.ended */
};

struct member_list {
	struct id_node node;          /* owner: NULL, id: the subscription */
	TAILQ_HEAD(, member) members; /* never empty */
};

/*
 * Peers of one wire kind get the same bytes. Each serializer has four kinds: WebSocket,
 * batched WebSocket with separator 0x1e, batched WebSocket with separator 0x18, and
 * RawSocket.
 */
enum { WIRE_KINDS = SERIALIZER_COUNT * 4 };

enum {
	FAN_OUT_MAX = 64, /* EVENTs of one fan-out */
	/* Limit for the payloads of one fan-out, unless it has only one EVENT. */
	FAN_OUT_MAX_BYTES = 128 * 1024,
};

/* The bytes that all members of one wire kind get. */
struct fan_out_bytes {
	bool made;
	/*
	 * Memory ran out while the bytes were made. The members that should get them are
	 * dropped.
	 */
	bool no_memory;
	/*
	 * Number of EVENTs that the bytes contain. The others are too long for this wire
	 * kind, or its serializer cannot encode them.
	 */
	unsigned n_events;
	size_t longest;            /* length of the longest message, bytes */
	struct shared_buf *framed; /* NULL if n_events is 0 */
};

/*
 * The EVENTs that are being delivered. If there are several, all have the same single
 * subscription and the same options, and either all of them exclude the same publisher or
 * none excludes its publisher. If there is only one, it may have several subscriptions,
 * which are served one after the other.
 */
struct fan_out {
	/* Their references are owned. id: the subscription that is being delivered */
	struct post events[FAN_OUT_MAX];
	unsigned n_events;        /* 0 if no fan-out is unfinished */
	size_t n_done;            /* how many subscriptions of `more` were begun */
	struct member_list *list; /* of the subscription; NULL if it has no members */
	struct member *next;      /* the member that gets the EVENTs next, or NULL */
	struct fan_out_bytes bytes[WIRE_KINDS];
};

struct members {
	struct id_table lists;     /* member_list.node */
	struct id_table by_peer;   /* member.node */
	struct peer_members ended; /* of sessions that have ended */
	struct fan_out fan_out;
};

int members_init(struct members *m) MUSTCHECK; /* 0 or E_NOMEM */
/* All peers must have been removed. May be called after members_init has failed. */
void members_fini(struct members *m);

/* The members of a subscription. NULL if there are none. */
struct member_list *members_of(const struct members *m, uint64_t subscription);

/* Makes p a member. Does nothing if p is already a member. Returns 0 or E_NOMEM. */
int members_add(struct peers *ps, struct peer *p, uint64_t subscription) MUSTCHECK;
/* Ends p's membership. Does nothing if p is not a member. */
void members_remove(struct peers *ps, struct peer *p, uint64_t subscription);
/*
 * Ends all memberships of p, whose session has ended; some stay in the lists for a while
 * (see above). Call peers_renew or peers_remove afterwards, so that p gets no EVENTs.
 */
void members_remove_all(struct peers *ps, struct peer *p);
/* Removes some memberships of sessions that have ended. True if there are more. */
bool members_remove_some(struct peers *ps);

/* Frees the bytes that were made for the members of one subscription. */
void members_free_bytes(struct fan_out *f);
/* Ends a fan-out. Drops its posts. */
void members_fan_out_end(struct fan_out *f);

#endif
