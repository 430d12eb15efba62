/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rights of a role: its compiled permissions. Immutable, with a reference count;
 * policies and sessions refer to it. Any thread.
 *
 * Exactly one permission decides about a URI, for all actions. Of those that match, it is
 * the one that determines most of the beginning of the URI:
 *
 *   - An exact permission determines all of the URI, so it wins.
 *   - A prefix determines its own length. It is compared as a string: "a.b" matches
 *     "a.bc".
 *   - A wildcard determines the part before its first empty component: "a.b..d"
 *     determines "a.b.". If this is as long as the longest prefix, the wildcard wins,
 *     since it also says something about the rest.
 *   - Of several wildcards, the one whose first empty component comes last wins. If
 *     these are at the same place, the second ones are compared, and so on. (This is
 *     the specification's rule for registrations, "Best Matching".)
 *
 * If no permission matches, nothing is allowed. Rights of less specific permissions are
 * not inherited: {"a.", prefix, call} and {"a.b", exact, subscribe} do not allow a call
 * of "a.b".
 */
#ifndef ROUTERD_CONFIG_RIGHTS_H
#define ROUTERD_CONFIG_RIGHTS_H

#include "common/base.h"
#include "proto/uri.h"

enum action {
	ACTION_CALL = 0,
	ACTION_REGISTER = 1,
	ACTION_PUBLISH = 2,
	ACTION_SUBSCRIBE = 3,
	ACTION_COUNT = 4,
};

/* A permission of the configuration. */
struct permission {
	const char *uri; /* a URI or pattern, depending on match */
	int match; /* enum match; while reading a file, -1: defined by stars in uri */
	bool allow[ACTION_COUNT];
};

struct rights;

/*
 * Compiles n permissions, which are not needed afterwards. *out gets one reference.
 * E_EXISTS: two have the same URI and match; *duplicate_out is the index of the later
 * one. E_NOMEM.
 */
int rights_new(const struct permission *permissions, size_t n, struct rights **out,
	       size_t *duplicate_out) MUSTCHECK;
/*
 * Instead of permissions, rights may have an authorizer: the name of an authenticator,
 * which is asked about each request. Call it before other threads use the rights.
 * E_NOMEM.
 */
int rights_set_authorizer(struct rights *rights, const char *name) MUSTCHECK;
/* The authorizer's name, valid as long as the rights. NULL: there is none. */
const char *rights_authorizer(const struct rights *rights);

struct rights *rights_ref(struct rights *rights);
/*
 * Drops a reference and sets the caller's pointer to NULL. The last one frees the rights.
 * *rights may be NULL.
 */
void rights_unref(struct rights **rights);

/*
 * Do these rights allow this action on this URI? Allocates nothing. Takes a binary search
 * among exact permissions and prefixes, and tries the wildcards one by one.
 */
bool rights_allow(const struct rights *rights, enum action action, struct slice uri);

#endif
