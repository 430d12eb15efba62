/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session at the owner of its realm: who it is, and the heads of the lists of what it
 * has. The lists' elements are the broker's and the dealer's. Only for core/; only on the
 * owner's thread.
 */
#ifndef ROUTERD_CORE_SESSION_H
#define ROUTERD_CORE_SESSION_H

#include "common/base.h"
#include "common/id_table.h"
#include "routerd/post/post.h"

#include <sys/queue.h>

struct realm;
struct membership;
struct registration;
struct call;

/* Its lists are empty when all is zero. */
struct session {
	struct id_node node; /* owner: NULL, id: worker and slot */
	TAILQ_ENTRY(session) link;
	struct identity *identity; /* a reference */
	struct session_ref ref;
	uint32_t n_memberships;
	uint32_t n_registrations;
	uint32_t n_calls;
	uint64_t last_invocation; /* id of the last INVOCATION to it */
	struct mail_batch *mail;  /* for the last post to it */
	bool lost; /* a post to it was lost, for want of memory; it ends soon */
	LIST_ENTRY(session) of_lost;
	LIST_HEAD(, membership) memberships;
	LIST_HEAD(, registration) registrations;
	LIST_HEAD(, call) calls;       /* in flight, of which it is the caller */
	LIST_HEAD(, call) invocations; /* in flight, of which it is the callee */
};

TAILQ_HEAD(session_list, session);

/* For session_error. */
extern const struct post_error no_memory;

/* The key of a session's place, its slot at its worker, in the session table. */
static inline uint64_t session_place(struct session_ref ref)
{
	return (uint64_t)ref.worker << 32 | ref.slot;
}

/* The session at this place, of whatever generation. NULL: none. */
struct session *session_at(const struct realm *realm, struct session_ref ref);

/* NULL: it is not here, which is normal. */
struct session *session_find(const struct realm *realm, struct session_ref ref);

/*
 * Sends a post to a session; fills in realm and session, and takes its references. False:
 * no memory, or the session is lost, and they are still the caller's.
 */
bool session_try_post(struct realm *realm, const struct session *s,
		      struct post *p) MUSTCHECK;

/*
 * The same for what the session waits for: without memory the session is lost. It ends
 * when the post that is being handled is done with.
 */
void session_post(struct realm *realm, struct session *s, struct post *p);

/* Answers a request by a post of this type, with an id or 0. */
void session_answer(struct realm *realm, struct session *s, enum post_type type,
		    uint64_t request, uint64_t id);

/* Answers a request that would be beyond a limit of the session. */
void session_limit_error(struct realm *realm, struct session *s,
			 enum wamp_type request_type, uint64_t request, const char *text);

/*
 * Answers a request by an ERROR in the router's own words. Takes a payload, whose URI the
 * worker writes behind the text, or NULL.
 */
void session_error(struct realm *realm, struct session *s, enum wamp_type request_type,
		   uint64_t request, struct post_error error, struct payload *payload);

#endif
