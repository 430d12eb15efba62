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

/*
 * Is this text (valid UTF-8) a valid URI? It has at most WAMP_MAX_URI bytes and consists
 * of components joined by '.'. No component is empty or contains white space, '#' or
 * U+0000. White space is that of ASCII and Unicode, like Autobahn's \s. U+0000 is
 * excluded because JSON cannot express it at the start of a string.
 */
bool uri_valid(struct slice uri);

/*
 * What must change for this to be a valid URI: "must not contain '#'". NULL: it is valid.
 */
const char *uri_fault(struct slice uri);

/*
 * Does uri match pattern? MATCH_PREFIX compares them as strings: "a.b" matches "a.bc".
 * With MATCH_WILDCARD both must have the same number of components, and an empty
 * component of the pattern matches any component.
 */
bool uri_matches(enum match how, struct slice pattern, struct slice uri);

#endif
