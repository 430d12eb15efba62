/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the decisions of authorizers; see decisions.h. The worker's thread. */
#include "routerd/peer/decisions.h"

#include "common/err.h"
#include "common/table.h"
#include "proto/wamp.h"

#include <stdlib.h>

enum {
	AUTHID_MAX = 255, /* decisions about longer ones are not kept */
	PRINCIPAL_KEY_MAX = sizeof(struct rights *) + AUTHID_MAX,
	KEY_MAX = PRINCIPAL_KEY_MAX + 3 + WAMP_MAX_URI,
};

#define X(field, name, type, help) {name, help, type, offsetof(struct decisions, field)},
const struct counter_table decision_counter_table =
	COUNTER_TABLE(struct decisions, DECISION_COUNTERS(X));
#undef X

/* Somebody about whom there are decisions. */
struct decided_principal {
	struct decision_list decisions; /* the oldest one first */
	size_t bytes;                   /* of the decisions and of this struct */
	uint16_t realm, authenticator;
	struct rights *rights;   /* counted, so that no other rights get its address */
	struct slice role;       /* stored behind the key */
	struct slice realm_name; /* stored behind the role */
	UT_hash_handle hh;
	size_t key_len;
	uint8_t key[]; /* address of the rights, authid */
};

struct decision {
	TAILQ_ENTRY(decision) of_principal, of_realm;
	struct decided_principal *principal;
	struct decision_result result;
	UT_hash_handle hh;
	size_t key_len;
	uint8_t key[]; /* key of the principal, URI, length of the authid, action, match
			*/
};

static size_t principal_size(const struct decided_principal *dp)
{
	return sizeof(*dp) + dp->key_len + dp->role.len + dp->realm_name.len;
}

static size_t decision_size(const struct decision *d)
{
	return sizeof(*d) + d->key_len;
}

/* The key of the principal: the first bytes of the key of each decision about it. */
static size_t put_principal(uint8_t *key, const struct decision_about *about)
{
	const struct slice authid = about->who->authid;

	memcpy(key, &about->rights, sizeof(about->rights));
	memcpy(key + sizeof(about->rights), authid.p, authid.len);
	return sizeof(about->rights) + authid.len;
}

/*
 * Returns the length of the key; 0 if decisions about this are not kept. The last three
 * bytes say where the authid ends, so that no two requests have the same key.
 */
static size_t put_key(uint8_t key[KEY_MAX], const struct decision_about *about)
{
	struct slice authid = about->who->authid, uri = about->uri;

	if (authid.len > AUTHID_MAX || uri.len > WAMP_MAX_URI)
		return 0;
	size_t len = put_principal(key, about);
	if (uri.len > 0) /* a pattern may be empty */
		memcpy(key + len, uri.p, uri.len);
	len += uri.len;
	key[len++] = (uint8_t)authid.len;
	key[len++] = (uint8_t)about->action;
	key[len++] = (uint8_t)about->match;
	return len;
}

static void add_bytes(struct decisions *ds, struct decided_principal *dp, size_t bytes)
{
	ds->bytes += bytes;
	ds->realms[dp->realm].bytes += bytes;
	dp->bytes += bytes;
}

static void forget_principal(struct decisions *ds, struct decided_principal *dp)
{
	HASH_DELETE(hh, ds->principals, dp);
	ds->bytes -= dp->bytes;
	ds->realms[dp->realm].bytes -= dp->bytes;
	rights_unref(&dp->rights);
	free(dp);
}

/* Also forgets the principal if this was the last decision about it. */
static void forget_decision(struct decisions *ds, struct decision *d)
{
	struct decided_principal *dp = d->principal;
	size_t bytes = decision_size(d);

	HASH_DELETE(hh, ds->table, d);
	TAILQ_REMOVE(&dp->decisions, d, of_principal);
	TAILQ_REMOVE(&ds->realms[dp->realm].recent, d, of_realm);
	free(d);
	ds->count--;
	ds->bytes -= bytes;
	ds->realms[dp->realm].bytes -= bytes;
	dp->bytes -= bytes;
	if (TAILQ_EMPTY(&dp->decisions))
		forget_principal(ds, dp);
}

/* Forgets all decisions about a principal, and so the principal. */
static void forget_all_about(struct decisions *ds, struct decided_principal *dp)
{
	struct decision *d = TAILQ_FIRST(&dp->decisions), *next;

	for (; d != NULL; d = next) {
		next = TAILQ_NEXT(d, of_principal);
		forget_decision(ds, d);
	}
}

static struct decision *find(const struct decisions *ds, const uint8_t *key, size_t len)
{
	struct decision *d;

	HASH_FIND(hh, ds->table, key, len, d);
	return d;
}

const struct decision_result *
decisions_find(struct decisions *ds, const struct decision_about *about, uint64_t now_ms)
{
	uint8_t key[KEY_MAX];
	size_t len = ds->count == 0 ? 0 : put_key(key, about);
	struct decision *d = len == 0 ? NULL : find(ds, key, len);

	if (d == NULL)
		return NULL;
	if (d->result.until_ms != 0 && d->result.until_ms <= now_ms) {
		forget_decision(ds, d);
		return NULL;
	}
	struct decision_list *recent = &ds->realms[d->principal->realm].recent;
	if (d != TAILQ_FIRST(recent)) {
		TAILQ_REMOVE(recent, d, of_realm);
		TAILQ_INSERT_HEAD(recent, d, of_realm);
	}
	ds->hits++;
	return &d->result;
}

/* NULL if out of memory. */
static struct decided_principal *principal_new(struct decisions *ds,
					       const struct decision_about *about,
					       uint16_t authenticator)
{
	const struct identity *who = about->who;
	size_t key_len = sizeof(about->rights) + who->authid.len;
	struct decided_principal *dp = calloc(
		1, sizeof(*dp) + key_len + who->authrole.len + who->realm_name.len);

	if (dp == NULL)
		return NULL;
	TAILQ_INIT(&dp->decisions);
	dp->realm = who->realm;
	dp->authenticator = authenticator;
	dp->key_len = put_principal(dp->key, about);
	uint8_t *pos = dp->key + key_len;
	dp->role = slice_store(&pos, who->authrole);
	dp->realm_name = slice_store(&pos, who->realm_name);
	HASH_ADD(hh, ds->principals, key, (unsigned)key_len, dp);
	/* If memory ran out, HASH_ADD has not added the principal. */
	if (!table_has(dp)) {
		free(dp);
		return NULL;
	}
	dp->rights = rights_ref(about->rights);
	add_bytes(ds, dp, principal_size(dp));
	return dp;
}

/*
 * The principal that a request is from, made if there is none. NULL if out of memory.
 */
static struct decided_principal *principal_of(struct decisions *ds,
					      const struct decision_about *about,
					      uint16_t authenticator)
{
	uint8_t key[PRINCIPAL_KEY_MAX];
	size_t len = put_principal(key, about);
	struct decided_principal *dp;

	HASH_FIND(hh, ds->principals, key, len, dp);
	return dp != NULL ? dp : principal_new(ds, about, authenticator);
}

/* Adds a decision about the principal. NULL if out of memory. */
static struct decision *add(struct decisions *ds, struct decided_principal *dp,
			    const uint8_t *key, size_t len)
{
	struct decision *d = calloc(1, sizeof(*d) + len);

	if (d == NULL)
		return NULL;
	memcpy(d->key, key, len);
	d->key_len = len;
	HASH_ADD(hh, ds->table, key, (unsigned)len, d);
	if (!table_has(d)) {
		free(d);
		return NULL;
	}
	d->principal = dp;
	TAILQ_INSERT_TAIL(&dp->decisions, d, of_principal);
	TAILQ_INSERT_HEAD(&ds->realms[dp->realm].recent, d, of_realm);
	ds->count++;
	add_bytes(ds, dp, decision_size(d));
	return d;
}

static struct decisions_of_realm *largest_realm(struct decisions *ds)
{
	struct decisions_of_realm *largest = &ds->realms[0];

	for (size_t i = 1; i < ds->n_realms; i++)
		if (ds->realms[i].bytes > largest->bytes)
			largest = &ds->realms[i];
	return largest;
}

/* Makes room after the decision d was added; d itself stays. */
static void evict(struct decisions *ds, const struct decision *d)
{
	const struct decided_principal *dp = d->principal;

	while (dp->bytes > DECISIONS_OF_ONE_MAX && TAILQ_FIRST(&dp->decisions) != d) {
		forget_decision(ds, TAILQ_FIRST(&dp->decisions));
		ds->evictions++;
	}
	while (ds->bytes > DECISIONS_MAX) {
		forget_decision(ds,
				TAILQ_LAST(&largest_realm(ds)->recent, decision_list));
		ds->evictions++;
	}
}

void decisions_keep(struct decisions *ds, const struct decision_about *about,
		    const struct decision_result *result)
{
	uint8_t key[KEY_MAX];
	size_t len = put_key(key, about);
	struct decision *d = len == 0 ? NULL : find(ds, key, len);

	if (len == 0)
		return;
	if (d == NULL) {
		struct decided_principal *dp =
			principal_of(ds, about, result->authenticator);

		if (dp == NULL)
			return;
		d = add(ds, dp, key, len);
		if (d == NULL) {
			if (TAILQ_EMPTY(&dp->decisions))
				forget_principal(ds, dp);
			return;
		}
	}
	d->result = *result;
	evict(ds, d);
}

static bool is_named(const struct decided_principal *dp, const struct revocation *r)
{
	const struct slice authid =
		slice_of(dp->key + sizeof(dp->rights), dp->key_len - sizeof(dp->rights));

	return (!r->decisions_only || r->authenticator == dp->authenticator) &&
	       revocation_names(r, authid, dp->role, dp->realm_name);
}

void decisions_forget(struct decisions *ds, const struct revocation *revocation)
{
	struct decided_principal *dp, *next;

	if (revocation->dry_run)
		return;
	ds->revocations = revocation->number;
	ds->purges++;
	for (dp = ds->principals; dp != NULL; dp = next) {
		next = dp->hh.next;
		if (is_named(dp, revocation))
			forget_all_about(ds, dp);
	}
}

void decisions_clear(struct decisions *ds)
{
	struct decided_principal *dp, *next;

	ds->purges++;
	ds->clears++;
	for (dp = ds->principals; dp != NULL; dp = next) {
		next = dp->hh.next;
		forget_all_about(ds, dp);
	}
}

int decisions_init(struct decisions *ds, size_t n_realms)
{
	/* Add 1, because calloc may return NULL for 0 elements. */
	*ds = (struct decisions){
		.realms = calloc(n_realms + 1, sizeof(*ds->realms)),
		.n_realms = n_realms,
	};
	if (ds->realms == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < n_realms; i++)
		TAILQ_INIT(&ds->realms[i].recent);
	return 0;
}

void decisions_fini(struct decisions *ds)
{
	decisions_clear(ds);
	free(ds->realms);
	ds->realms = NULL;
}
