/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts are the messages between workers. Read this file first to understand the program.
 * peer/ runs on every worker and handles clients: their encodings, logins and messages.
 * core/ runs on the worker that owns a realm and routes the realm's messages. control/
 * runs on worker 0 and talks to the authenticators.
 *
 * A post is a struct with a type. It contains ids, numbers, and references to immutable,
 * reference-counted objects. post_send takes the references from the sender, and the
 * handler of the post drops them (post_drop). A post contains no pointer into another
 * worker's memory, and post_send never waits for an answer. A worker sends posts to
 * itself with the same functions; it handles them later, in the same turn or the next.
 *
 * Posts from one worker to another arrive in the order in which they were sent. A session
 * never moves to another worker, and neither does a realm, so posts between a session and
 * its realm stay in order.
 */
#ifndef ROUTERD_POST_POST_H
#define ROUTERD_POST_POST_H

#include "common/base.h"
#include "proto/wamp.h"
#include "routerd/post/id_list.h"
#include "routerd/post/identity.h"
#include "routerd/post/options.h"
#include "routerd/post/payload.h"
#include "routerd/post/revocation.h"

#include <assert.h>

/*
 * How other workers refer to a session. A slot that is reused gets a new generation. If
 * the generation differs, the session has ended. That is normal: posts to a session may
 * be in flight when it ends.
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
 * The posts: X(name, destination, owned object besides payload and options). The comment
 * on each names the fields of struct post that this post uses.
 */
#define POSTS(X)                                                                         \
	/* From a worker to the owner of a realm: realm; session is the sender */        \
	X(JOIN, REALM, IDENTITY)   /* identity; mail for the last post to the session */ \
	X(GONE, REALM, NOTHING)    /* the session has ended; not sent after GOODBYE */   \
	X(GOODBYE, REALM, NOTHING) /* the client leaves; answered by LEFT */             \
	/* request, payload (topic), match, created_ms, generation; retain: the session  \
	   wants the retained events */                                                  \
	X(SUBSCRIBE, REALM, NOTHING)                                                     \
	X(UNSUBSCRIBE, REALM, NOTHING) /* request, id: subscription */                   \
	/* request, payload, options, acknowledge, exclude_me, disclose, trust; retain:  \
	   the topic keeps the event */                                                  \
	X(PUBLISH, REALM, NOTHING)                                                       \
	/* request, payload (procedure), match, created_ms, generation, invoke,          \
	   concurrency, force; disclose: the callee must know its callers */             \
	X(REGISTER, REALM, NOTHING)                                                      \
	X(UNREGISTER, REALM, NOTHING) /* request, id: registration */                    \
	/* request, payload, options, timeout_ms, disclose, trust; progress: the caller  \
	   wants progressive results; chunk: NONE or FIRST */                            \
	X(CALL, REALM, NOTHING)                                                          \
	X(CHUNK, REALM, NOTHING)  /* request: the CALL's; payload; chunk */              \
	X(CANCEL, REALM, NOTHING) /* request: the CALL's; mode */                        \
	/* request: the INVOCATION's; payload, options; progress */                      \
	X(YIELD, REALM, NOTHING)                                                         \
	/* request: the INVOCATION's; payload, with the URI of the error; options */     \
	X(INVOCATION_ERROR, REALM, NOTHING)                                              \
	/* Something could not be delivered. request_type INVOCATION, from the           \
	   callee's worker: a chunk of the input could not be sent to the callee (chunk: \
	   NEXT or LAST), or the callee's answer cannot be passed on (progress: it is a  \
	   progressive result). request_type CALL, from the caller's worker: a           \
	   progressive result could not be sent to the caller, or a chunk from the       \
	   caller has a wrong value. request, of that type; error and payload: what      \
	   the caller is told, see struct post_error */                                  \
	X(UNDELIVERABLE, REALM, NOTHING)                                                 \
	/* An INVOCATION, or its first chunk, could not be sent to the callee. The       \
	   numbers of all later ones decrease by one, so that the callee sees no gap.    \
	   request: its number for the callee; error and payload as in UNDELIVERABLE */  \
	X(UNSENT, REALM, NOTHING)                                                        \
	/* a CALL of a meta procedure: request, timeout_ms, procedure, and its           \
	   arguments: id of the session, registration or subscription; payload (URI)     \
	   and match; roles; kill; detached; query */                                    \
	X(META, REALM, META)                                                             \
	/* a CALL of wamp.session.add_testament: request; detached; generation; the rest \
	   as in PUBLISH, except acknowledge */                                          \
	X(TESTAMENT, REALM, NOTHING)                                                     \
                                                                                         \
	/* From the owner of a realm to a session: session is the receiver */            \
	X(JOINED, PEER, NOTHING) /* the session has joined; send WELCOME */              \
	/* revocation: forbids the session. NULL if the session id is taken, memory ran  \
	   out, or a revocation was forgotten early: the client should try again */      \
	X(JOIN_REFUSED, PEER, REVOCATION)                                                \
	X(LEFT, PEER, NOTHING) /* no post to this session follows */                     \
	/* the owner has ended the session. revocation: the reason; NULL if memory ran   \
	   out for a post to the session */                                              \
	X(KILLED, PEER, REVOCATION)                                                      \
	X(SUBSCRIBED, PEER, NOTHING) /* request, id: subscription; add the member */     \
	/* request, id: subscription; remove the member. request 0: the subscription     \
	   was revoked; then also the reason, as in UNREGISTERED */                      \
	X(UNSUBSCRIBED, PEER, NOTHING)                                                   \
	X(PUBLISHED, PEER, NOTHING)  /* request, id: publication */                      \
	X(REGISTERED, PEER, NOTHING) /* request, id: registration */                     \
	/* request; 0: the registration was revoked; then also id, and the reason: the   \
	   payload's URI, or error.uri if there is no payload */                         \
	X(UNREGISTERED, PEER, NOTHING)                                                   \
	/* request: the INVOCATION's; id: registration, and match: how it matches;       \
	   disclosed: the caller, or NULL; trust; progress: the caller wants progressive \
	   results; chunk; payload, options */                                           \
	X(INVOCATION, PEER, DISCLOSED)                                                   \
	/* answers an UNDELIVERABLE chunk: no more chunks of this call follow. request:  \
	   the INVOCATION's */                                                           \
	X(INPUT_OVER, PEER, NOTHING)                                                     \
	/* answers UNSENTs: the posts that follow have the lower numbers. id: how many   \
	   UNSENTs */                                                                    \
	X(RENUMBERED, PEER, NOTHING)                                                     \
	/* request: the INVOCATION's; mode */                                            \
	X(INTERRUPT, PEER, NOTHING)                                                      \
	X(RESULT, PEER, NOTHING) /* request: the CALL's; payload, options; progress */   \
	/* request_type, request; error, payload and options: see struct post_error.     \
	   full: the session has reached a limit. It is the limit of wildcards if        \
	   match is MATCH_WILDCARD, that of testaments if procedure is                   \
	   META_SESSION_ADD_TESTAMENT, and otherwise the one for requests of this        \
	   type */                                                                       \
	X(ERROR, PEER, NOTHING)                                                          \
	/* request: the CALL's; page: the answer to a query of events. The worker checks \
	   whether the session may subscribe */                                          \
	X(PAGE, PEER, PAGE)                                                              \
	X(VIOLATION, PEER, NOTHING) /* error.text: the client's violation */             \
                                                                                         \
	/* From the owner to each worker that has members. session: the publisher,       \
	   for exclude_me; id: subscription, and match: how it matches; more: further    \
	   subscriptions, all of which are patterns, or NULL; publication; disclosed:    \
	   the publisher, or NULL; trust, payload, options */                            \
	X(EVENT, MEMBERS, EVENT)                                                         \
	/* From the owner directly to one subscriber: in place of an EVENT to its        \
	   worker, or, if retain is set, a retained event. session is the receiver; the  \
	   other fields are those of EVENT, except exclude_me and more. The subscriber   \
	   has passed the lists; options is set only if it describes the payload */      \
	X(EVENT_ONE, PEER, DISCLOSED)                                                    \
	/* to the publisher: its event was not retained, because the realm's store is    \
	   full */                                                                       \
	X(NOT_RETAINED, PEER, NOTHING)                                                   \
                                                                                         \
	/* Between worker 0 and all workers, worker 0 included; DRAIN and DRAINED go     \
	   from each worker to all */                                                    \
	X(LOGIN, CONTROL, LOGIN)          /* session; login: question */                 \
	X(AUTHORIZE, CONTROL, LOGIN)      /* session; login: question */                 \
	X(LOGIN_CANCEL, CONTROL, NOTHING) /* session: it no longer needs an answer */    \
	X(LOGIN_ANSWER, PEER, LOGIN) /* session; login: answer, NULL if out of memory */ \
	/* session; id: number of the question; login: as in LOGIN_ANSWER */             \
	X(AUTHORIZED, PEER, LOGIN)                                                       \
	X(LOGIN_REPORT, CONTROL, LOGIN) /* login: report */                              \
	X(REVOKED, CONTROL, NOTHING)    /* id: number of the revocation; counts */       \
	/* connection; from worker 0, or from a worker that has read a request for       \
	   another one */                                                                \
	X(CONNECTION, WORKER, FD)                                                        \
	X(HOLD_QUEUE, WORKER, NOTHING) /* id: authenticator; full */                     \
	X(REVOKE, WORKER, REVOCATION)  /* revocation; mail for REVOKED */                \
	/* policy, to be in force from now on; mail for RELOADED */                      \
	X(RELOAD, WORKER, POLICY)                                                        \
	/* id: generation of the policy; counts: clients that the reload has ended;      \
	   revoked */                                                                    \
	X(RELOADED, CONTROL, NOTHING)                                                    \
	/* id: number of the collection; mail for COUNTED; snapshot is NULL */           \
	X(COUNT, WORKER, SNAPSHOT)                                                       \
	/* id; session.worker: the sender; snapshot, NULL if out of memory */            \
	X(COUNTED, CONTROL, SNAPSHOT)                                                    \
	X(STOP, WORKER, NOTHING) /* stop reading, drain, close, end */                   \
	/* to each worker, after all earlier posts of the sender */                      \
	X(DRAIN, WORKER, NOTHING)                                                        \
	/* to each worker, when the sender has received DRAIN from all: it has handled   \
	   every post sent before a DRAIN, and its answers arrive before DRAINED */      \
	X(DRAINED, WORKER, NOTHING)                                                      \
	/* to worker 0: the sender has closed everything, and its thread ends */         \
	X(STOPPED, WORKER, NOTHING)

enum post_type {
#define X(name, to, owns) POST_##name,
	POSTS(X)
#undef X
		POST_TYPE_COUNT,
};

/* The function that handles a post on the receiving worker. */
enum post_destination {
	POST_TO_REALM = 0,   /* realm_post */
	POST_TO_PEER = 1,    /* attach_post */
	POST_TO_MEMBERS = 2, /* fan_out_begin */
	POST_TO_CONTROL = 3, /* control_post, on worker 0 */
	POST_TO_WORKER = 4,  /* the worker itself */
};

struct post_kind {
	uint8_t to;   /* enum post_destination */
	uint8_t owns; /* what it owns besides a payload and options; for post.c only */
};
extern const struct post_kind post_kinds[POST_TYPE_COUNT];

/*
 * Describes an ERROR. If uri is NULL, it comes from a callee: the payload contains its
 * URI and arguments, and the options describe them. Otherwise it comes from the router.
 * Then, if text is set, Arguments is [text], and if there is a payload, its URI is
 * appended to the text. If text is NULL, the payload's URI is the text.
 */
struct post_error {
	const char *uri;  /* a constant */
	const char *text; /* a constant */
};

/*
 * Mail is memory for a post that must be sent even if memory runs out. Reserve it when
 * you make the object that will need such a post, and pass it to post_send_reserved.
 */
struct mail_batch; /* common/mailbox.h */

struct conn_moved;    /* net/conn.h */
struct event_page;    /* event_page.h */
struct event_query;   /* event_page.h */
struct login_message; /* login_message.h */
struct policy;        /* config/policy.h */
struct role_set;      /* role_set.h */

/* The meta procedures that a realm serves (specification: "Meta API"). */
enum meta_procedure {
	META_SESSION_COUNT = 0,
	META_SESSION_LIST = 1,
	META_SESSION_GET = 2,
	META_SESSION_KILL = 3,
	META_SESSION_KILL_BY_AUTHID = 4,
	META_SESSION_KILL_BY_AUTHROLE = 5,
	META_SESSION_KILL_ALL = 6,
	META_REGISTRATION_LIST = 7,
	META_REGISTRATION_LOOKUP = 8,
	META_REGISTRATION_MATCH = 9,
	META_REGISTRATION_GET = 10,
	META_REGISTRATION_LIST_CALLEES = 11,
	META_REGISTRATION_COUNT_CALLEES = 12,
	META_SUBSCRIPTION_LIST = 13,
	META_SUBSCRIPTION_LOOKUP = 14,
	META_SUBSCRIPTION_MATCH = 15,
	META_SUBSCRIPTION_GET = 16,
	META_SUBSCRIPTION_LIST_SUBSCRIBERS = 17,
	META_SUBSCRIPTION_COUNT_SUBSCRIBERS = 18,
	META_SESSION_ADD_TESTAMENT = 19, /* its post is POST_TESTAMENT */
	META_SESSION_FLUSH_TESTAMENTS = 20,
	META_REGISTRATION_REMOVE_CALLEE = 21,
	META_SUBSCRIPTION_REMOVE_SUBSCRIBER = 22,
	META_SUBSCRIPTION_GET_EVENTS = 23,
	META_PROCEDURE_COUNT = 24,
};

/* A session's testaments, both scopes together: their number, and the sum of post_size.
 */
enum { TESTAMENTS_MAX = 32, TESTAMENT_BYTES_MAX = 64 << 10 };

/* True if the procedure ends sessions. */
static inline bool meta_kills(enum meta_procedure procedure)
{
	return procedure >= META_SESSION_KILL && procedure <= META_SESSION_KILL_ALL;
}

/* True if the procedure ends sessions, or takes something away from one. */
static inline bool meta_revokes(enum meta_procedure procedure)
{
	return meta_kills(procedure) || procedure == META_REGISTRATION_REMOVE_CALLEE ||
	       procedure == META_SUBSCRIPTION_REMOVE_SUBSCRIBER;
}

/* Does the receiver learn who has sent a message? */
enum disclose {
	DISCLOSE_NO = 0,
	DISCLOSE_YES = 1,
	/* CALL: a callee that must know its callers does not get the call */
	DISCLOSE_NEVER = 2,
};

/*
 * The input of a call may come in several CALL messages, called chunks (specification:
 * "Progressive Call Invocations"). This says which chunk a CALL or INVOCATION contains.
 */
enum call_chunk {
	CHUNK_NONE = 0, /* the whole input, as in most calls */
	CHUNK_FIRST = 1,
	CHUNK_NEXT = 2,
	CHUNK_LAST = 3,
};

struct post {
	uint8_t type; /* enum post_type */
	bool acknowledge : 1;
	bool exclude_me : 1;
	bool retain : 1;
	bool force : 1; /* take the procedure over from its callees */
	bool progress : 1;
	bool full : 1;
	bool detached : 1;    /* the scope of testaments; false: it is "destroyed" */
	uint8_t disclose;     /* enum disclose */
	uint8_t request_type; /* enum wamp_type */
	uint8_t match;        /* enum match */
	uint8_t chunk;        /* enum call_chunk */
	uint8_t trust;        /* the sender's trust level plus 1; 0: none */
	uint8_t invoke;       /* enum wamp_invoke */
	uint8_t mode;         /* enum wamp_cancel_mode */
	uint8_t procedure;    /* enum meta_procedure */
	uint16_t realm;       /* slot */
	struct session_ref session;
	/* In posts to an owner: when the client's worker read the message. */
	uint64_t time_ms;
	union {
		uint64_t request;
		struct id_list *more; /* only EVENT; counted; may be NULL */
	};
	uint64_t id;
	struct payload *payload; /* counted; may be NULL */
	struct options *options; /* counted; NULL if the message has none */
	union {
		struct {
			union {
				struct identity *identity;     /* counted */
				struct revocation *revocation; /* counted */
				struct policy *policy;         /* counted */
				struct buf *snapshot;          /* owned; snapshot.h */
			};
			struct mail_batch *mail; /* owned */
		};
		struct {
			uint64_t publication;
			struct identity *disclosed; /* counted; may be NULL */
		};
		struct {
			uint32_t timeout_ms; /* 0: none */
			union {
				struct role_set *roles; /* owned; NULL: all roles */
				/* counted; says whom to kill, or from whom to take
				 * something away, and why. Set if
				 * meta_revokes(procedure). */
				struct revocation *kill;
				/* owned; set if META_SUBSCRIPTION_GET_EVENTS */
				struct event_query *query;
			};
		};
		struct {
			/* when the worker read the message; Unix time */
			uint64_t created_ms;
			uint32_t concurrency; /* 0: no limit */
			/* of the policy that allowed the request */
			uint32_t generation;
		};
		struct post_error error;
		struct event_page *page;     /* owned */
		struct login_message *login; /* owned */
		struct {
			struct revocation_counts counts;
			/* subscriptions, registrations and testaments taken away */
			uint32_t revoked;
		};
		struct {
			int fd;            /* owned */
			uint16_t listener; /* index in the configuration */
			/* owned; instead of fd, which is -1; or NULL */
			struct conn_moved *moved;
		} connection;
	};
};

static_assert(sizeof(struct post) <= 80, "posts are copied, so they must be small");

/*
 * A worker's outgoing posts (post/outbox.h). Opaque to core/, which only passes it to
 * post_send; tests link an implementation that records the posts.
 */
struct outbox;

/*
 * Sends a post and takes the references that *p holds. False if out of memory; the caller
 * then keeps the references. Pressure (common/mailbox.h) bounds the posts in flight.
 */
bool post_send(struct outbox *ob, unsigned to_worker, const struct post *p) MUSTCHECK;

/*
 * Makes sure that the next post_send to this worker cannot fail. False if out of memory.
 */
bool post_room(struct outbox *ob, unsigned to_worker) MUSTCHECK;

/* Like post_send, but cannot fail. Takes *mail and clears it. */
void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail);

/* Drops the references that *p holds. */
void post_drop(struct post *p);

/* The bytes that *p adds to the size of a mailbox. */
size_t post_size(const struct post *p);

#endif
