/* SPDX-License-Identifier: Apache-2.0 */
/* Revocations and a worker's memory of them; see revocation.h. */
#include "routerd/post/revocation.h"

#include <stdlib.h>

struct remembered_revocation {
	TAILQ_ENTRY(remembered_revocation) link;
	struct revocation *revocation;
	uint64_t until_ms;
};

size_t revocation_size(const struct revocation *r)
{
	return sizeof(*r) + r->authid.len + r->role.len + r->realm.len + r->uri.len +
	       r->message.len;
}

struct revocation *revocation_new(const struct revocation *from)
{
	struct revocation *r = malloc(revocation_size(from));

	if (r == NULL)
		return NULL;
	*r = *from;
	atomic_init(&r->refs, 1);
	uint8_t *pos = (uint8_t *)(r + 1);
	r->authid = slice_store(&pos, from->authid);
	r->role = slice_store(&pos, from->role);
	r->realm = slice_store(&pos, from->realm);
	r->uri = slice_store(&pos, from->uri);
	r->message = slice_store(&pos, from->message);
	return r;
}

struct revocation *revocation_ref(struct revocation *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void revocation_unref(struct revocation **rp)
{
	struct revocation *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
		free(r);
}

static bool any_or_equal(struct slice wanted, struct slice have)
{
	return wanted.len == 0 || slice_eq(wanted, have);
}

bool revocation_matches(const struct revocation *r, const struct identity *i)
{
	/* who has signed with no key cannot be meant by one */
	if (r->pubkey.there &&
	    (!i->pubkey.there ||
	     memcmp(r->pubkey.octets, i->pubkey.octets, FIELD_KEY_LEN) != 0))
		return false;
	return i->stamp.asked && i->stamp.authenticator == r->authenticator &&
	       any_or_equal(r->authid, i->authid) && any_or_equal(r->role, i->authrole) &&
	       any_or_equal(r->realm, i->realm_name) &&
	       (r->session == 0 || r->session == i->session);
}

bool revocation_is_newer(const struct revocation *r, const struct lookup_stamp *s)
{
	if (r->has_epoch && s->has_epoch && r->link == s->link)
		return r->epoch > s->epoch;
	return r->number > s->revocations;
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

void revocations_add(struct revocations *rs, struct revocation *r, uint64_t now_ms)
{
	struct remembered_revocation *rr;

	if (r->dry_run)
		return;
	if (rs->count == rs->max) {
		rs->forgotten = TAILQ_FIRST(&rs->list)->revocation->number;
		drop_oldest(rs);
	}
	rr = malloc(sizeof(*rr));
	if (rr == NULL) {
		rs->forgotten = r->number;
		return;
	}
	rr->revocation = revocation_ref(r);
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

	if (!i->stamp.asked)
		return REVOCATION_NONE;
	TAILQ_FOREACH (rr, &rs->list, link) {
		struct revocation *r = rr->revocation;
		if (revocation_matches(r, i) && revocation_is_newer(r, &i->stamp)) {
			*out = r;
			return REVOCATION_FOUND;
		}
	}
	return rs->forgotten > i->stamp.revocations ? REVOCATION_FORGOTTEN
						    : REVOCATION_NONE;
}
