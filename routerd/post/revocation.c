/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocations; any thread. Also the list that a worker remembers; the worker's thread.
 * See revocation.h.
 */
#include "routerd/post/revocation.h"

#include <stdlib.h>

struct remembered_revocation {
	TAILQ_ENTRY(remembered_revocation) link;
	struct revocation *revocation;
	uint64_t until_ms;
};

size_t revocation_size(const struct revocation *revocation)
{
	return sizeof(*revocation) + revocation->authid.len + revocation->role.len +
	       revocation->realm.len + revocation->uri.len + revocation->message.len;
}

struct revocation *revocation_new(const struct revocation *from)
{
	struct revocation *revocation = malloc(revocation_size(from));

	if (revocation == NULL)
		return NULL;
	*revocation = *from;
	atomic_init(&revocation->refs, 1);
	uint8_t *pos = (uint8_t *)(revocation + 1);
	revocation->authid = slice_store(&pos, from->authid);
	revocation->role = slice_store(&pos, from->role);
	revocation->realm = slice_store(&pos, from->realm);
	revocation->uri = slice_store(&pos, from->uri);
	revocation->message = slice_store(&pos, from->message);
	return revocation;
}

void revocation_unref(struct revocation **revocation)
{
	free(refs_drop(revocation));
}

static bool any_or_equal(struct slice wanted, struct slice have)
{
	return wanted.len == 0 || slice_eq(wanted, have);
}

bool revocation_names(const struct revocation *revocation, struct slice authid,
		      struct slice role, struct slice realm)
{
	return any_or_equal(revocation->authid, authid) &&
	       any_or_equal(revocation->role, role) &&
	       any_or_equal(revocation->realm, realm);
}

bool revocation_matches(const struct revocation *revocation, const struct identity *i)
{
	/* the revocation of a key does not match a session that used no key */
	if (revocation->pubkey.there &&
	    (!i->pubkey.there ||
	     memcmp(revocation->pubkey.octets, i->pubkey.octets, FIELD_KEY_LEN) != 0))
		return false;
	return i->stamp.asked && i->stamp.authenticator == revocation->authenticator &&
	       revocation_names(revocation, i->authid, i->authrole, i->realm_name) &&
	       (revocation->session == 0 || revocation->session == i->session);
}

bool revocation_is_newer(const struct revocation *revocation,
			 const struct lookup_stamp *s)
{
	/* Epochs say exactly which changes the look-up saw, but only within one
	 * connection: after a reconnect the authenticator may be another process with
	 * other epochs. */
	if (revocation->has_epoch && s->has_epoch && revocation->link == s->link)
		return revocation->epoch > s->epoch;
	/* If the revocation arrived after the question was sent, the look-up may have
	 * seen the change already. Nothing proves it, so assume that it has not. */
	return revocation->number > s->revocations;
}

void revocations_init(struct revocations *rs, size_t max, uint64_t keep_ms)
{
	*rs = (struct revocations){.max = max, .keep_ms = keep_ms};
	TAILQ_INIT(&rs->list);
}

static void drop_oldest(struct revocations *rs)
{
	struct remembered_revocation *rr = TAILQ_FIRST(&rs->list);

	TAILQ_REMOVE(&rs->list, rr, link);
	rs->count--;
	revocation_unref(&rr->revocation);
	free(rr);
}

void revocations_fini(struct revocations *rs)
{
	while (!TAILQ_EMPTY(&rs->list))
		drop_oldest(rs);
}

void revocations_add(struct revocations *rs, struct revocation *revocation,
		     uint64_t now_ms)
{
	struct remembered_revocation *rr;

	/* a dry run must not refuse later logins */
	if (revocation->dry_run)
		return;
	if (rs->count == rs->max) {
		/*
		 * Refuse all logins that were looked up before the dropped revocation
		 * arrived. A newer one may be forgotten already, for want of memory.
		 */
		uint64_t oldest = TAILQ_FIRST(&rs->list)->revocation->number;

		if (oldest > rs->forgotten)
			rs->forgotten = oldest;
		drop_oldest(rs);
	}
	rr = malloc(sizeof(*rr));
	if (rr == NULL) {
		/* refuse all logins that this revocation might have matched */
		rs->forgotten = revocation->number;
		return;
	}
	rr->revocation = revocation_ref(revocation);
	rr->until_ms = now_ms + rs->keep_ms;
	TAILQ_INSERT_TAIL(&rs->list, rr, link);
	rs->count++;
}

void revocations_expire(struct revocations *rs, uint64_t now_ms)
{
	while (!TAILQ_EMPTY(&rs->list) && TAILQ_FIRST(&rs->list)->until_ms <= now_ms)
		drop_oldest(rs);
}

enum revocation_verdict revocations_find(const struct revocations *rs,
					 const struct identity *i,
					 struct revocation **out)
{
	const struct remembered_revocation *rr;

	/* no authenticator knows an anonymous session, so none can revoke it */
	if (!i->stamp.asked)
		return REVOCATION_NONE;
	TAILQ_FOREACH (rr, &rs->list, link) {
		struct revocation *revocation = rr->revocation;
		if (revocation_matches(revocation, i) &&
		    revocation_is_newer(revocation, &i->stamp)) {
			*out = revocation;
			return REVOCATION_FOUND;
		}
	}
	return rs->forgotten > i->stamp.revocations ? REVOCATION_FORGOTTEN
						    : REVOCATION_NONE;
}
