/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A revocation: an authenticator's word that some principals may no longer be here.
 * Immutable and counted; control/ makes it and posts it to every worker.
 *
 * It ends live sessions at once, and must also stop logins whose look-up was older. So
 * each worker remembers it for as long as a handshake may last, in a struct revocations
 * of its own.
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
	bool dry_run;    /* only count */
	uint64_t epoch;  /* of the change, if it came with one */
	uint64_t link;   /* number of the connection that it came by */
	uint64_t number; /* 1, 2, ...: order of arrival */
	/* all that are given must match; at least one is */
	struct slice authid, role, realm; /* empty: any */
	struct field_key pubkey;
	uint64_t session;          /* 0: any */
	struct slice uri, message; /* of the GOODBYE or ABORT; message may be empty */
};

/* Whom it has concerned. */
struct revocation_counts {
	uint32_t sessions; /* live ones, ended */
	uint32_t pending;  /* handshakes, refused */
};

/* A copy of *from and its texts, with one reference; NULL: no memory. */
struct revocation *revocation_new(const struct revocation *from);
struct revocation *revocation_ref(struct revocation *revocation);
/* Bytes of memory, its texts included. */
size_t revocation_size(const struct revocation *revocation);
/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void revocation_unref(struct revocation **revocation);

/* Does it name this principal? Only those whom the same authenticator let in. */
bool revocation_matches(const struct revocation *revocation, const struct identity *i);

/*
 * Was a look-up made before the change that the revocation tells of? By epochs where both
 * have one of the same connection, otherwise by the order of asking and being told.
 */
bool revocation_is_newer(const struct revocation *revocation,
			 const struct lookup_stamp *s);

/* A worker's memory of revocations, oldest first. */
struct revocations {
	TAILQ_HEAD(, remembered_revocation) list;
	size_t count;
	size_t max;
	uint64_t keep_ms;
	uint64_t forgotten; /* number of the newest one dropped for lack of room */
};

void revocations_init(struct revocations *rs, size_t max, uint64_t keep_ms);
void revocations_fini(struct revocations *rs);

/*
 * Remembers the revocation (takes a reference of its own) for keep_ms. When full, the
 * oldest is forgotten early; logins that it might have concerned are then refused, see
 * revocations_find.
 */
void revocations_add(struct revocations *rs, struct revocation *revocation,
		     uint64_t now_ms);

/* Drops those whose time is over. */
void revocations_expire(struct revocations *rs, uint64_t now_ms);

enum revocation_verdict {
	REVOCATION_NONE = 0,  /* nothing speaks against it */
	REVOCATION_FOUND = 1, /* *out (lent) does */
	REVOCATION_FORGOTTEN =
		2, /* one that was forgotten early may: refuse, to be tried again */
};

/* May this login go on? */
enum revocation_verdict revocations_find(const struct revocations *rs,
					 const struct identity *i,
					 struct revocation **out);

#endif
