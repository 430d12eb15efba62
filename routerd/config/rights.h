/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a role may do: its permissions, compiled. Immutable and counted: policies and
 * sessions refer to it. Any thread. Knows nothing of sessions.
 *
 * Exactly one permission decides about a URI, whatever the action: of those that match,
 * the one that says most about how the URI begins.
 *
 *   - An exact permission says everything, and so wins.
 *   - A prefix says as much as it is long. It is a string prefix: "a.b" covers "a.bc".
 *   - A wildcard says as much as stands before its first empty component: "a.b..d" says
 *     "a.b.". If that is as long as the longest prefix, the wildcard wins, for it also
 *     speaks about the rest.
 *   - Of several wildcards, the one whose first empty component comes last wins; where
 *     these are at the same place, the second one decides, and so on. (This is the
 *     specification's rule for registrations, "Best Matching".)
 *
 * Where none matches nothing is allowed. What a less specific one allows is not
 * inherited:
 * {"a.", prefix, call} and {"a.b", exact, subscribe} do not allow to call "a.b".
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

/* One permission as it stands in the configuration. */
struct permission {
	const char *uri; /* a pattern of this kind of match */
	int match;       /* enum match; -1 in the file means: as the stars in uri say */
	bool allow[ACTION_COUNT];
};

struct rights;

/*
 * Compiles n permissions, which are not needed afterwards, into *out, with one reference.
 * E_EXISTS: two have the same URI and match, and *duplicate_out is the index of the later
 * one; E_NOMEM.
 */
int rights_new(const struct permission *permissions, size_t n, struct rights **out,
	       size_t *duplicate_out) MUSTCHECK;
struct rights *rights_ref(struct rights *rights);
/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void rights_unref(struct rights **rights);

/*
 * May somebody with these rights do this to this URI? No allocation. The time is that of
 * a binary search among the exact ones and prefixes, and of trying the wildcards one
 * after the other.
 */
bool rights_allow(const struct rights *rights, enum action action, struct slice uri);

#endif
