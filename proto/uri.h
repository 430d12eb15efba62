/* SPDX-License-Identifier: Apache-2.0 */
/* URIs (specification: "URIs"): the loose rule, which every realm uses. Pure code; any
 * thread. */
#ifndef PROTO_URI_H
#define PROTO_URI_H

#include "common/base.h"

enum match {
	MATCH_EXACT = 0,
	MATCH_PREFIX = 1,
	MATCH_WILDCARD = 2,
	MATCH_COUNT = 3,
};

/*
 * Is this (valid UTF-8) a URI of at most WAMP_MAX_URI bytes: components without white
 * space, '#' and '.', joined by '.', none empty? White space is ASCII's and Unicode's, as
 * Autobahn's \s. Nor may it hold U+0000, which JSON could not say at the beginning.
 */
bool uri_valid(struct slice uri);

/* What must be changed for it to be one: "must not contain '#'". NULL: nothing. */
const char *uri_fault(struct slice uri);

/*
 * Does uri match pattern? Prefix: as a string, "a.b" matches "a.bc". Wildcard: same
 * number of components, an empty component of the pattern matches any.
 */
bool uri_matches(enum match how, struct slice pattern, struct slice uri);

#endif
