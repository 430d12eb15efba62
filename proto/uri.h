/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URIs (specification: "URIs"), checked with the loose rules, which all realms use. No
 * state; any thread.
 */
#ifndef PROTO_URI_H
#define PROTO_URI_H

#include "common/base.h"

/* How a pattern matches URIs. */
enum match {
	MATCH_EXACT = 0,
	MATCH_PREFIX = 1,
	MATCH_WILDCARD = 2,
	MATCH_COUNT = 3,
};
/* The values of the option `match`; NULL ends the list. */
extern const char *const match_names[MATCH_COUNT + 1];

/* The most components of a wildcard; our own limit, the specification has none. */
enum { URI_MAX_WILDCARD_PARTS = 32 };

/*
 * Is this text (valid UTF-8) a valid URI? It has at most WAMP_MAX_URI bytes and consists
 * of components joined by '.'. No component is empty or contains white space, '#' or
 * U+0000. White space is that of ASCII and Unicode, like Autobahn's \s. U+0000 is
 * excluded because JSON cannot express it at the start of a string.
 */
bool uri_valid(struct slice uri);

/*
 * What must change for this to be a valid URI (MATCH_EXACT) or pattern: "must not contain
 * '#'". NULL: it is valid. A prefix is empty, a URI, or a URI and a dot. A wildcard may
 * have empty components, and has at most URI_MAX_WILDCARD_PARTS components.
 */
const char *uri_fault(enum match how, struct slice uri);

/*
 * Does uri match pattern? MATCH_PREFIX compares them as strings: "a.b" matches "a.bc".
 * With MATCH_WILDCARD both must have the same number of components, and an empty
 * component of the pattern matches any component.
 */
bool uri_matches(enum match how, struct slice pattern, struct slice uri);

/* Is this URI or pattern reserved for the router: is its first component "wamp"? */
bool uri_reserved(struct slice uri);

/*
 * The length of the part of a wildcard before its first empty component. Every URI that
 * the wildcard matches begins with this part.
 */
size_t uri_wildcard_head(struct slice pattern);

/* Does pattern a match every URI that pattern b matches? */
bool uri_covers(enum match a_how, struct slice a, enum match b_how, struct slice b);

/* May there be a URI that both patterns match? */
bool uri_intersects(enum match a_how, struct slice a, enum match b_how, struct slice b);

#endif
