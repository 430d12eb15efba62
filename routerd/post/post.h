/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message between workers, one tagged struct: the map of the program. Sockets,
 * encodings and logins are on one side (peer/, on every worker), routing on the other
 * (core/, on the worker that owns the realm), the authenticators' connections on a third
 * (control/, on worker 0).
 *
 * A post is a plain value: ids, numbers, and references to immutable counted objects,
 * which travel with it: post_send takes them from the sender, and whoever handles the
 * post drops them (post_drop). No pointer into another worker's memory, no answer within
 * the call. A worker that posts to itself uses the same functions; the post is then
 * handled later in the same turn.
 *
 * Posts from one worker to another arrive in the order in which they were sent. A session
 * lives on one worker and its realm on one, so what they send each other keeps its order.
 */
#ifndef ROUTERD_POST_POST_H
#define ROUTERD_POST_POST_H

#include "common/base.h"
#include "proto/wamp.h"
#include "routerd/post/identity.h"
#include "routerd/post/options.h"
#include "routerd/post/payload.h"
#include "routerd/post/revocation.h"

#include <assert.h>

/*
 * How others know a session. Slots are used again, generations are not: whoever looks a
 * session up compares the generation, and a mismatch means that it is gone, which is
 * normal.
 */
struct session_ref {
	uint32_t slot;
	uint32_t generation;
	uint16_t worker;
};

static inline bool session_ref_eq(struct session_ref a, struct session_ref b)
{
	return a.slot == b.slot && a.generation == b.generation && a.worker == b.worker;
}

/*
 * The posts: name, destination, what they own besides a payload and options. Behind each
 * is what it carries.
 */
#define POSTS(X)                                                                         \
	/* worker to owner: session is whom it is from; realm */                         \
	X(JOIN, REALM, IDENTITY)     /* identity; mail for the owner's last word */      \
	X(GONE, REALM, NOTHING)      /* once after each JOIN, unless GOODBYE was sent */ \
	X(GOODBYE, REALM, NOTHING)   /* answered by LEFT; no GONE follows */             \
	X(SUBSCRIBE, REALM, NOTHING) /* request, payload (topic) */                      \
	X(UNSUBSCRIBE, REALM, NOTHING) /* request, id: subscription */                   \
	/* request, payload, options, acknowledge, exclude_me, disclose_me */            \
	X(PUBLISH, REALM, NOTHING)                                                       \
	X(REGISTER, REALM, NOTHING)   /* request, payload (procedure) */                 \
	X(UNREGISTER, REALM, NOTHING) /* request, id: registration */                    \
	X(CALL, REALM, NOTHING)       /* request, payload, timeout_ms */                 \
	X(YIELD, REALM, NOTHING)      /* request: of the INVOCATION; payload */          \
	/* request: of the INVOCATION; payload, whose URI is the error's */              \
	X(INVOCATION_ERROR, REALM, NOTHING)                                              \
	/* request: of the INVOCATION that its callee could not be sent, or has answered \
	   by what cannot be passed on; error, payload as post_error says */             \
	X(UNDELIVERABLE, REALM, NOTHING)                                                 \
	/* CALL of a meta procedure: request, meta; id: the session that is asked about  \
	 */                                                                              \
	X(META, REALM, ROLES)                                                            \
                                                                                         \
	/* owner to worker: session is whom it is for */                                 \
	X(JOINED, PEER, NOTHING) /* the session is there; WELCOME may go out */          \
	/* revocation that speaks against it; NULL: the client is to try again, because  \
	   its session id is taken, or for want of memory */                             \
	X(JOIN_REFUSED, PEER, REVOCATION)                                                \
	X(LEFT, PEER, NOTHING) /* nothing more comes for this session */                 \
	/* revocation, or NULL: a post to the session was lost, for want of memory; the  \
	   owner has forgotten the session */                                            \
	X(KILLED, PEER, REVOCATION)                                                      \
	X(SUBSCRIBED, PEER, NOTHING)   /* request, id: subscription; adds the member */  \
	X(UNSUBSCRIBED, PEER, NOTHING) /* the same; removes the member */                \
	X(PUBLISHED, PEER, NOTHING)    /* request, id: publication */                    \
	X(REGISTERED, PEER, NOTHING)   /* request, id: registration */                   \
	X(UNREGISTERED, PEER, NOTHING) /* request */                                     \
	/* request: of the INVOCATION; id: registration; payload */                      \
	X(INVOCATION, PEER, NOTHING)                                                     \
	/* request: of the INVOCATION; nobody waits for its answer any more */           \
	X(INTERRUPT, PEER, NOTHING)                                                      \
	X(RESULT, PEER, NOTHING) /* request: of the CALL; payload */                     \
	/* request_type, request; error; payload as post_error says; full: a limit of    \
	   the session is reached */                                                     \
	X(ERROR, PEER, NOTHING)                                                          \
                                                                                         \
	/* owner to each worker that has members; session is the publisher, for          \
	   exclude_me; id: subscription; publication; publisher, or NULL: not disclosed; \
	   payload, options */                                                           \
	X(EVENT, MEMBERS, PUBLISHER)                                                     \
	/* owner to worker, in place of EVENT: session is a member that gets it; the     \
	   same but exclude_me and options */                                            \
	X(EVENT_ONE, PEER, PUBLISHER)                                                    \
                                                                                         \
	/* between worker 0 and all, itself included */                                  \
	X(LOGIN, CONTROL, LOGIN)          /* session, login: question */                 \
	X(AUTHORIZE, CONTROL, LOGIN)      /* the same */                                 \
	X(LOGIN_CANCEL, CONTROL, NOTHING) /* session: its question is moot */            \
	X(LOGIN_ANSWER, PEER, LOGIN) /* session, login: answer, or NULL: no memory */    \
	/* session, id: the question's number, login: as in LOGIN_ANSWER */              \
	X(AUTHORIZED, PEER, LOGIN)                                                       \
	X(LOGIN_REPORT, CONTROL, LOGIN) /* login: report */                              \
	X(REVOKED, CONTROL, NOTHING)    /* id: the revocation's number; counts */        \
	X(CONNECTION, WORKER, FD)       /* connection */                                 \
	X(HOLD_QUEUE, WORKER, NOTHING)  /* id: authenticator, full */                    \
	X(REVOKE, WORKER, REVOCATION)   /* revocation; mail for REVOKED */               \
	/* policy, which is in force from now on; mail for RELOADED */                   \
	X(RELOAD, WORKER, POLICY)                                                        \
	/* id: the policy's generation; counts: whom the policy has ended */             \
	X(RELOADED, CONTROL, NOTHING)                                                    \
	/* id: number of the collection; mail for COUNTED, behind a NULL snapshot */     \
	X(COUNT, WORKER, SNAPSHOT)                                                       \
	/* id, session.worker: the sender; snapshot, or NULL: no memory */               \
	X(COUNTED, CONTROL, SNAPSHOT)                                                    \
	X(STOP, WORKER, NOTHING)  /* stop reading, drain, close, end */                  \
	X(DRAIN, WORKER, NOTHING) /* to each worker, behind all posts */                 \
	/* the same, when it has had DRAIN of all: behind all that these posts have made \
	   for the receiver */                                                           \
	X(DRAINED, WORKER, NOTHING)                                                      \
	X(STOPPED, WORKER, NOTHING) /* to worker 0: all is closed, my thread ends */

enum post_type {
#define X(name, to, owns) POST_##name,
	POSTS(X)
#undef X
		POST_TYPE_COUNT,
};

/* Who handles a post on the worker that it is sent to. */
enum post_destination {
	POST_TO_REALM = 0,   /* realm_post */
	POST_TO_PEER = 1,    /* attach_post */
	POST_TO_MEMBERS = 2, /* fan_out_begin */
	POST_TO_CONTROL = 3, /* control_post, on worker 0 */
	POST_TO_WORKER = 4,  /* the worker itself */
};

struct post_kind {
	uint8_t to;   /* enum post_destination */
	uint8_t owns; /* what it owns besides a payload and options; post.c's own */
};
extern const struct post_kind post_kinds[POST_TYPE_COUNT];

/*
 * What is wrong, in the router's own words: Arguments is [text], with the payload's URI
 * behind it if there is a payload. With text NULL the payload's URI is the text. With uri
 * NULL it is a callee's ERROR, passed on from the payload.
 */
struct post_error {
	const char *uri;  /* a constant */
	const char *text; /* a constant */
};

/*
 * Mail is put aside for posts that must not be lost when there is no memory: it is
 * allocated together with the reason to send them, and given to post_send_reserved.
 */
struct mail_batch; /* common/mailbox.h */

struct login_message; /* login_message.h */
struct policy;        /* config/policy.h */
struct snapshot;      /* snapshot.h */
struct role_set;      /* role_set.h */

/* The meta procedures that a realm serves (specification: "Meta API"). */
enum meta_procedure {
	META_SESSION_COUNT = 0,
	META_SESSION_LIST = 1,
	META_SESSION_GET = 2,
	META_PROCEDURE_COUNT = 3,
};

struct post {
	uint8_t type; /* enum post_type */
	bool acknowledge;
	bool exclude_me;
	bool full;
	bool disclose_me;
	uint8_t request_type; /* enum wamp_type */
	uint16_t realm;       /* slot */
	struct session_ref session;
	uint64_t time_ms; /* of posts to an owner: when the worker read the message */
	uint64_t request;
	uint64_t id;
	struct payload *payload; /* counted; may be NULL */
	struct options *options; /* counted; NULL in plain messages */
	union {
		struct {
			union {
				struct identity *identity;     /* counted */
				struct revocation *revocation; /* counted */
				struct policy *policy;         /* counted */
				struct snapshot *snapshot;     /* owned */
			};
			struct mail_batch *mail; /* owned */
		};
		struct {
			uint64_t publication;
			struct identity *publisher; /* counted; may be NULL */
		};
		uint64_t timeout_ms; /* 0: none */
		struct post_error error;
		struct login_message *login; /* owned */
		struct revocation_counts counts;
		struct {
			struct role_set *roles; /* owned; NULL: all roles */
			uint8_t procedure;      /* enum meta_procedure */
		} meta;
		struct {
			int fd;            /* owned */
			uint16_t listener; /* index in the configuration */
		} connection;
	};
};

static_assert(sizeof(struct post) <= 96, "posts are copied: keep them small");

/*
 * A worker's outgoing posts. Opaque to core/, which is handed one and only posts through
 * it; tests link another that records.
 */
struct outbox;

/*
 * Takes the references that *p holds. False: no memory, and they are still the caller's.
 * Back-pressure bounds what is in flight.
 */
bool post_send(struct outbox *ob, unsigned to_worker, const struct post *p) MUSTCHECK;

/* Makes sure that the next post_send to this worker cannot fail. False: no memory. */
bool post_room(struct outbox *ob, unsigned to_worker) MUSTCHECK;

/* post_send that cannot fail: takes *mail, too, and clears it */
void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail);

/* Drops the references that *p holds. */
void post_drop(struct post *p);

/* What *p counts for in the account of a mailbox, bytes. */
size_t post_size(const struct post *p);

#endif
