/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rights of a role: its compiled permissions. Immutable, with a reference count;
 * policies and sessions refer to it. Any thread.
 *
 * Exactly one permission decides about a URI, for all actions: of those that match the
 * URI, the most specific one.
 *
 *   - An exact permission is more specific than all others.
 *   - A longer prefix is more specific than a shorter one. Prefixes are compared as
 *     strings: "a.b" matches "a.bc".
 *   - A wildcard is more specific than a prefix if the part of the wildcard before its
 *     first empty component ("a.b." in "a.b..d") is at least as long as the prefix.
 *     Otherwise the prefix is more specific.
 *   - Of two wildcards, the one whose first empty component comes later is more specific.
 *     If these are at the same place, the second ones are compared, and so on. (This is
 *     the specification's rule for registrations, "Best Matching".)
 *
 * If no permission matches, nothing is allowed. Rights of less specific permissions are
 * not inherited: {"a.", prefix, call} and {"a.b", exact, subscribe} do not allow a call
 * of "a.b".
 */
#ifndef ROUTERD_CONFIG_RIGHTS_H
#define ROUTERD_CONFIG_RIGHTS_H

#include "common/base.h"
#include "common/refs.h"
#include "proto/uri.h"

enum action {
	ACTION_CALL = 0,
	ACTION_REGISTER = 1,
	ACTION_PUBLISH = 2,
	ACTION_SUBSCRIBE = 3,
	ACTION_COUNT = 4,
};

/*
 * Does the receiver of a call or publication learn who has sent it? (Specification:
 * "Caller Identification", "Publisher Identification".)
 */
enum disclosure {
	DISCLOSURE_ALLOW = 0, /* if the sender asks for it (disclose_me) */
	DISCLOSURE_FORCE = 1, /* always */
	/* Never, whatever the sender asks for. */
	DISCLOSURE_IGNORE = 2,
	/* Never. If the sender asks for it, its request is refused. */
	DISCLOSURE_REFUSE = 3,
};

enum { RIGHTS_MAX_TRUST_LEVEL = 254 };

/* A permission of the configuration. */
struct permission {
	const char *uri; /* a URI or pattern, depending on match */
	int match; /* enum match; while reading a file, -1: defined by stars in uri */
	bool allow[ACTION_COUNT];
	/* For CALL and PUBLISH; the other two elements are DISCLOSURE_ALLOW. */
	enum disclosure disclose[ACTION_COUNT];
	int trust_level; /* of its calls and publications; -1: none */
};

#define RULE_NO_PERMISSION UINT16_MAX

/* What the permissions say about a URI. */
struct rule {
	uint8_t allowed;                /* bit i: action i */
	uint8_t disclose[ACTION_COUNT]; /* enum disclosure */
	uint8_t trust;                  /* the trust level plus 1; 0: none */
	uint16_t permission; /* its index for rights_new; RULE_NO_PERMISSION: none */
};

struct rights;

/*
 * Compiles n permissions, fewer than RULE_NO_PERMISSION, which are not needed
 * afterwards. *out gets one reference.
 * E_EXISTS: two have the same URI and match; *duplicate_out is the index of the later
 * one. E_NOMEM.
 */
int rights_new(const struct permission *permissions, size_t n, struct rights **out,
	       size_t *duplicate_out) MUSTCHECK;
/*
 * Sets the authorizer: the name of an authenticator that is asked about each request,
 * instead of permissions. Call it before other threads use the rights. E_NOMEM.
 */
int rights_set_authorizer(struct rights *rights, const char *name) MUSTCHECK;
/* The name of the authorizer, owned by the rights. NULL if there is none. */
const char *rights_authorizer(const struct rights *rights);

static inline struct rights *rights_ref(struct rights *rights)
{
	return refs_take(rights);
}
/*
 * Drops a reference and sets the caller's pointer to NULL. The last one frees the rights.
 * *rights may be NULL.
 */
void rights_unref(struct rights **rights);

/*
 * What these rights say about a URI; owned by the rights. Allocates nothing. Uses a
 * binary search for exact permissions and prefixes, and tries the wildcards one by one.
 */
const struct rule *rights_rule(const struct rights *rights, struct slice uri);

/*
 * What these rights say about an action on all URIs that a client's pattern matches: the
 * most specific permission that matches all of them decides, unless a more specific one
 * that may match one of them denies the action. If no permission matches all of
 * them, nothing is allowed. Allocates nothing. Tries the permissions one by one.
 */
const struct rule *rights_pattern_rule(const struct rights *rights, enum action action,
				       enum match how, struct slice pattern);

/*
 * What these rights say about an action on a URI or, if `how` says so, on all URIs that a
 * pattern matches.
 */
static inline const struct rule *rights_judge(const struct rights *rights,
					      enum action action, enum match how,
					      struct slice uri)
{
	return LIKELY(how == MATCH_EXACT) ? rights_rule(rights, uri)
					  : rights_pattern_rule(rights, action, how, uri);
}

/* How many permissions rights_judge tries one by one, at most. */
size_t rights_judge_cost(const struct rights *rights, enum match how);

static inline bool rule_allows(const struct rule *rule, enum action action)
{
	return (rule->allowed >> action & 1) != 0;
}

#endif
