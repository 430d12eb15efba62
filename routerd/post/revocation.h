/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A revocation: an authenticator's notice that some principals may no longer be
 * connected. control/ makes it and posts it to every worker. It is immutable and
 * reference-counted. A call of a meta procedure that kills sessions, or takes something
 * away from one, makes one, too: it names the sessions, and has the uri and message that
 * they get.
 *
 * A revocation ends live sessions at once. It must also stop logins whose look-up is
 * older than the change. So each worker remembers revocations, in its own struct
 * revocations, for as long as a login can last. A struct revocations belongs to its
 * worker's thread.
 *
 * A revocation also makes the workers forget what an authorizer has decided about the
 * principals. A notice that only the rights of principals have changed is a revocation,
 * too, with decisions_only set.
 */
#ifndef ROUTERD_POST_REVOCATION_H
#define ROUTERD_POST_REVOCATION_H

#include "common/base.h"
#include "routerd/post/identity.h"

#include <sys/queue.h>

struct revocation {
	_Atomic uint32_t refs;
	uint16_t authenticator; /* index in the configuration */
	bool has_epoch;
	bool dry_run;        /* count the sessions that match, but end none */
	bool decisions_only; /* end nothing: only forget decisions (peer/decisions.h) */
	uint64_t epoch;      /* epoch of the change, if has_epoch */
	uint64_t link;       /* number of the connection that it arrived on */
	uint64_t number;     /* 1, 2, ... in the order of arrival */
	/* The criteria: all that are set must match. At least one is, or decisions_only.
	 */
	struct slice authid, role, realm; /* empty: matches any */
	struct field_key pubkey;
	uint64_t session;          /* 0: matches any */
	struct slice uri, message; /* for the GOODBYE or ABORT; message may be empty */
};

/* The number of clients that a revocation matched. */
struct revocation_counts {
	uint32_t sessions; /* live sessions that were ended */
	uint32_t pending;  /* logins that were refused */
};

/* Makes a copy of *from and its texts, with one reference. NULL if out of memory. */
struct revocation *revocation_new(const struct revocation *from);
static inline struct revocation *revocation_ref(struct revocation *revocation)
{
	return refs_take(revocation);
}
/* Bytes of memory, including the texts. */
size_t revocation_size(const struct revocation *revocation);
/*
 * Drops a reference and clears the caller's pointer. The last reference frees the
 * revocation. NULL-safe.
 */
void revocation_unref(struct revocation **revocation);

/* True if the revocation's authid, role and realm match these, whatever else it names. */
bool revocation_names(const struct revocation *revocation, struct slice authid,
		      struct slice role, struct slice realm);

/*
 * True if the revocation names this principal. It matches only principals that the same
 * authenticator has let in.
 */
bool revocation_matches(const struct revocation *revocation, const struct identity *i);

/*
 * True if the look-up was made before the change that caused the revocation. Compares the
 * epochs if both the look-up and the revocation have one, from the same connection.
 * Otherwise the revocation is newer if it arrived after the question was sent.
 */
bool revocation_is_newer(const struct revocation *revocation,
			 const struct lookup_stamp *s);

/* The revocations that a worker remembers, oldest first. */
struct revocations {
	TAILQ_HEAD(, remembered_revocation) list;
	size_t count;
	size_t max;
	uint64_t keep_ms;
	/* Number of the last revocation that was forgotten early (revocations_add). */
	uint64_t forgotten;
};

void revocations_init(struct revocations *rs, size_t max, uint64_t keep_ms);
void revocations_fini(struct revocations *rs);

/*
 * Remembers the revocation for keep_ms, and takes a reference of its own. Does nothing if
 * it is a dry run. If the list is full, the oldest revocation is forgotten early; if
 * memory runs out, this one is. revocations_find then refuses all logins that the
 * forgotten revocation might have matched.
 */
void revocations_add(struct revocations *rs, struct revocation *revocation,
		     uint64_t now_ms);

/* Drops revocations that are older than keep_ms. */
void revocations_expire(struct revocations *rs, uint64_t now_ms);

enum revocation_verdict {
	REVOCATION_NONE = 0,  /* the login may go on */
	REVOCATION_FOUND = 1, /* *out, which is lent, forbids the login */
	/*
	 * A revocation that was forgotten early might forbid the login. Refuse the login;
	 * the client should try again.
	 */
	REVOCATION_FORGOTTEN = 2,
};

/* Decides whether a login may go on. */
enum revocation_verdict revocations_find(const struct revocations *rs,
					 const struct identity *i,
					 struct revocation **out);

#endif
