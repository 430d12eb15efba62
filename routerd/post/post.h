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
 * Between two workers posts keep their order. Everything of one session reaches the owner
 * by one such pair, and everything for it comes back by one.
 */
#ifndef ROUTERD_POST_POST_H
#define ROUTERD_POST_POST_H

#include "common/base.h"
#include "proto/wamp.h"
#include "routerd/post/identity.h"
#include "routerd/post/payload.h"
#include "routerd/post/revocation.h"

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

enum post_type {
	/* worker to owner: session is whom it is from; realm; and what is named here */
	POST_JOIN = 0, /* identity; mail, for what the owner must be able to say */
	POST_GONE,     /* once after each JOIN, from any state, unless GOODBYE was sent */
	POST_GOODBYE,  /* the client leaves: answered by POST_LEFT; no GONE follows */
	POST_SUBSCRIBE,        /* request, payload (topic) */
	POST_UNSUBSCRIBE,      /* request, id: subscription */
	POST_PUBLISH,          /* request, payload, acknowledge, exclude_me */
	POST_REGISTER,         /* request, payload (procedure) */
	POST_UNREGISTER,       /* request, id: registration */
	POST_CALL,             /* request, payload */
	POST_YIELD,            /* request: of the INVOCATION; payload */
	POST_INVOCATION_ERROR, /* request: of the INVOCATION; payload, whose URI is the
				  error's */
	POST_UNDELIVERABLE,    /* request: of the INVOCATION that its callee could not be
				  sent, or has answered by what cannot be passed on; error,
				  payload as post_error says */

	/* owner to worker: session is whom it is for */
	POST_JOINED,       /* the session is there; WELCOME may go out */
	POST_JOIN_REFUSED, /* revocation that speaks against it, or NULL: to be tried
			      again */
	POST_LEFT,         /* answers GOODBYE: nothing more comes for this session */
	POST_KILLED,       /* revocation, or NULL: something for the session was lost, for
			      want of memory; the owner has forgotten the session */
	POST_SUBSCRIBED, /* request, id: subscription; the worker remembers the member */
	POST_UNSUBSCRIBED, /* request, id: subscription; the worker forgets the member */
	POST_PUBLISHED,    /* request, id: publication */
	POST_REGISTERED,   /* request, id: registration */
	POST_UNREGISTERED, /* request */
	POST_INVOCATION,   /* request: of the INVOCATION; id: registration; payload */
	POST_RESULT,       /* request: of the CALL; payload */
	POST_ERROR,        /* request_type, request; error; payload as post_error says;
			      full: a limit of the session is reached */

	/* owner to each worker that has members; session is the publisher, for exclude_me
	 */
	POST_EVENT, /* id: subscription; publication; payload, exclude_me */

	/* control: between worker 0 and all, itself included */
	POST_CONNECTION,   /* 0 to worker: connection */
	POST_LOGIN,        /* worker to 0: session, login */
	POST_LOGIN_CANCEL, /* worker to 0: session, whose POST_LOGIN is moot */
	POST_LOGIN_ANSWER, /* 0 to worker: session, answer */
	POST_LOGIN_REPORT, /* worker to 0: report, for the authenticator's records */
	POST_HOLD_QUEUE,   /* 0 to each worker: id: authenticator, full */
	POST_REVOKE,       /* 0 to each worker: revocation; mail, for POST_REVOKED */
	POST_REVOKED,      /* worker to 0: id: the revocation's number; counts */
	POST_STATS,        /* 0 to each worker: log your counters */
	POST_STOP,         /* 0 to each worker: stop reading, drain, close, end */
	POST_DRAIN,        /* worker to each worker, behind all its posts */
	POST_DRAINED,      /* the same, when it has had POST_DRAIN of all: behind all that
			      these posts have made for the receiver */
	POST_STOPPED,      /* worker to 0: all is closed, my thread ends */
	POST_TYPE_COUNT,
};

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

struct login_question; /* question.h */
struct login_answer;
struct login_report;

struct post {
	uint8_t type; /* enum post_type */
	bool acknowledge;
	bool exclude_me;
	bool full;
	uint8_t request_type; /* enum wamp_type */
	uint16_t realm;       /* index in the configuration */
	struct session_ref session;
	uint64_t request;
	uint64_t id;
	struct payload *payload; /* counted; may be NULL */
	union {
		struct {
			union {
				struct identity *identity;     /* counted */
				struct revocation *revocation; /* counted */
			};
			struct mail_batch *mail; /* owned */
		};
		uint64_t publication;
		struct post_error error;
		struct login_question *question; /* owned */
		struct login_answer *answer;     /* owned */
		struct login_report *report;     /* owned */
		struct revocation_counts counts;
		struct {
			int fd;            /* owned */
			uint16_t listener; /* index in the configuration */
		} connection;
	};
};

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

/* post_send that cannot fail: takes *mail, too, and clears it. */
void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail);

/* Drops the references that *p holds. */
void post_drop(struct post *p);

/* What *p counts for in the account of a mailbox, bytes. */
size_t post_size(const struct post *p);

#endif
