/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session as the owner of its realm sees it: its identity, and the heads of the lists
 * of its memberships, registrations and calls. The broker and the dealer own the list
 * elements. Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_SESSION_H
#define ROUTERD_CORE_SESSION_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/config/rights.h"
#include "routerd/post/post.h"

#include <sys/queue.h>

struct realm;
struct membership;
struct callee;
struct call;
struct meta_walk;
struct testaments;

enum session_state {
	SESSION_OPEN = 0,
	/* Memory ran out for a post to it. It ends after the current post is handled. */
	SESSION_LOST = 1,
	/* It has left: it is in no table and gets no post (leave.h). */
	SESSION_LEAVING = 2,
};

/* A zeroed struct has empty lists, except walks. */
struct session {
	struct id_node node;       /* owner: NULL, id: session_place of ref */
	struct id_node by_id;      /* owner: NULL, id: the WAMP session id */
	TAILQ_ENTRY(session) link; /* in the realm's list sessions or leaving */
	uint64_t number; /* 1, 2, ... in the order in which the sessions joined */
	struct identity *identity; /* counted */
	struct session_ref ref;
	uint32_t n_memberships;
	uint32_t n_registrations;
	uint32_t n_wildcards;        /* among its memberships and registrations */
	uint32_t n_calls;            /* in flight, with this session as the caller */
	uint32_t n_orphans;          /* with this session as the callee */
	uint64_t last_invocation;    /* request id of the last INVOCATION to it */
	struct unsent_calls *unsent; /* owned; NULL: none (call.c) */
	struct mail_batch *mail;     /* reserved for the last post to it; owned */
	uint8_t state;               /* enum session_state */
	bool quiet;                  /* no meta events about its end */
	LIST_ENTRY(session) of_lost;
	LIST_HEAD(, membership) memberships;
	LIST_HEAD(, callee) registrations;
	LIST_HEAD(, call) calls;       /* in flight, with this session as the caller */
	LIST_HEAD(, call) invocations; /* in flight, with this session as the callee */
	TAILQ_HEAD(, meta_walk) walks; /* for some of its calls, in their order */
	TAILQ_ENTRY(session) walking;  /* in meta.callers, if it has walks */
	struct testaments *testaments; /* owned; NULL: none (testament.h) */
};

TAILQ_HEAD(session_list, session);

/* An error for session_error. */
extern const struct post_error no_memory;

/*
 * True if the session, as a callee, takes progressive input. Such a callee must also have
 * announced that it can be told to stop (specification: "Progressive Call Invocations").
 */
static inline bool session_takes_input(const struct session *s)
{
	const unsigned needed =
		WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS | WAMP_FEATURE_CALL_CANCELING;

	return (s->identity->features.of[WAMP_ROLE_CALLEE] & needed) == needed;
}

/* The key of a session in the session table: its worker and its slot there. */
static inline uint64_t session_place(struct session_ref ref)
{
	return (uint64_t)ref.worker << 32 | ref.slot;
}

/* The session in this slot, whatever its generation. NULL if there is none. */
struct session *session_at(const struct realm *realm, struct session_ref ref);

/*
 * The session that ref names. NULL if it has left; that is normal, because posts may be
 * in flight when a session ends.
 */
struct session *session_find(const struct realm *realm, struct session_ref ref);

/* The session with this WAMP session id. NULL if there is none. */
struct session *session_by_id(const struct realm *realm, uint64_t id);

/*
 * Sends a post to a session. Fills in realm and session, and takes the references that
 * the post holds. False if out of memory or if the session is not open; the caller then
 * keeps the references.
 */
bool session_try_post(struct realm *realm, const struct session *s,
		      struct post *p) MUSTCHECK;

/*
 * Like session_try_post, for a post that the session waits for. If memory runs out, the
 * session cannot go on: it is marked as lost, and ends after the current post is handled.
 * Posts to a session that is not open are dropped.
 */
void session_post(struct realm *realm, struct session *s, struct post *p);

/* Answers a request with a post of this type, which contains id (or 0). */
void session_answer(struct realm *realm, struct session *s, enum post_type type,
		    uint64_t request, uint64_t id);

/* Refuses a request with an ERROR, because it would exceed a limit of the session. */
void session_limit_error(struct realm *realm, struct session *s,
			 enum wamp_type request_type, uint64_t request, const char *text);

/*
 * Refuses a SUBSCRIBE or REGISTER of a wildcard with an ERROR and returns true, if the
 * session has reached its limit of wildcards or pattern_shapes_full is true. Otherwise
 * returns false.
 */
bool session_refuse_wildcard(struct realm *realm, struct session *s,
			     enum wamp_type request_type, const struct post *p);

/*
 * True if the role of a session may do this with a URI or pattern, according to the
 * realm's policy. Also true if an authorizer decides for the role.
 */
bool session_may(const struct realm *realm, const struct session *s, enum action action,
		 enum match how, struct slice uri);

/*
 * A SUBSCRIBE, REGISTER or testament was allowed by its session's worker. If a reload has
 * replaced the policy in between, judges it again: refuses it with an ERROR and returns
 * true if it is not allowed any more. Takes the post's payload then. Otherwise returns
 * false.
 */
bool session_refuse_denied(struct realm *realm, struct session *s, struct post *p);

/*
 * Answers a request with an ERROR from the router. payload may be NULL. Otherwise its URI
 * is appended to the text, and the reference to it is taken.
 */
void session_error(struct realm *realm, struct session *s, enum wamp_type request_type,
		   uint64_t request, struct post_error error, struct payload *payload);

#endif
