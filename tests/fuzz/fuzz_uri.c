/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern and a URI, separated by a NUL byte. Compares uri_valid with a second
 * implementation of its rule, and checks uri_matches against properties that hold for
 * every pair. */
#include "proto/uri.h"

#include "common/utf8.h"
#include "proto/wamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Characters that no URI may contain. */
static const char *const forbidden[] = {
	"..",           "#",
	"\t",           "\n",
	"\v",           "\f",
	"\r",           " ",
	"\x1c",         "\x1d",
	"\x1e",         "\x1f",
	"\xc2\x85",     "\xc2\xa0",
	"\xe1\x9a\x80", "\xe2\x80\x80",
	"\xe2\x80\x81", "\xe2\x80\x82",
	"\xe2\x80\x83", "\xe2\x80\x84",
	"\xe2\x80\x85", "\xe2\x80\x86",
	"\xe2\x80\x87", "\xe2\x80\x88",
	"\xe2\x80\x89", "\xe2\x80\x8a",
	"\xe2\x80\xa8", "\xe2\x80\xa9",
	"\xe2\x80\xaf", "\xe2\x81\x9f",
	"\xe3\x80\x80",
};

static bool reference(struct slice uri)
{
	if (uri.len == 0 || uri.len > WAMP_MAX_URI || uri.p[0] == '.' ||
	    uri.p[uri.len - 1] == '.' || memchr(uri.p, '\0', uri.len) != NULL)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		if (memmem(uri.p, uri.len, forbidden[i], strlen(forbidden[i])) != NULL)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size == 0 ? NULL : memchr(data, '\0', size);
	struct slice pattern = slice_of(data, nul == NULL ? 0 : (size_t)(nul - data));
	struct slice uri = nul == NULL ? slice_of(data, size)
				       : slice_of(nul + 1, size - pattern.len - 1);

	if (!utf8_valid(uri) || !utf8_valid(pattern))
		return 0;
	ASSERT(uri_valid(uri) == reference(uri));
	bool exact = uri_matches(MATCH_EXACT, pattern, uri);
	bool prefix = uri_matches(MATCH_PREFIX, pattern, uri);
	bool wildcard = uri_matches(MATCH_WILDCARD, pattern, uri);
	ASSERT(!exact || (prefix && wildcard));
	ASSERT(exact == slice_eq(pattern, uri));
	for (unsigned how = 0; how < MATCH_COUNT; how++)
		ASSERT(uri_matches((enum match)how, uri, uri));
	ASSERT(uri_matches(MATCH_PREFIX, slice_of(NULL, 0), uri));
	return 0;
}
