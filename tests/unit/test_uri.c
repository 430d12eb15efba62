/* SPDX-License-Identifier: Apache-2.0 */
/* URIs and patterns. */
#include "proto/uri.h"

#include "proto/wamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_valid(void **state)
{
	static const char *const valid[] = {
		"a",
		"com.example.topic",
		"com.example.topic-1_A/b:c@d!$",
		"1.2.3",
		"\xc3\xa9.\xe2\x82\xac.\xf0\x9f\x98\x80",
		"\x01.\x08\x0e\x1b\x7f", /* control characters that are not white space */
		/* near Unicode's spaces */
		"\xc2\x84\xc2\x86\xc2\x9f\xc2\xa1",
		"\xe1\x9a\x81\xe1\x9b\x80\xe2\x80\x8b\xe2\x80\xa7\xe2\x80\xaa",
		"\xe2\x80\xae\xe2\x80\xb0\xe2\x81\x9e\xe2\x81\xa0",
		"\xe3\x80\x81\xe3\x81\x80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		if (!uri_valid(slice_str(valid[i])))
			fail_msg("%s", valid[i]);
}

static void test_invalid(void **state)
{
	static const char *const invalid[] = {
		"",
		".",
		"..",
		".a",
		"a.",
		"a..b",
		"a.b..c",
		"#",
		"a#",
		"a.#b",
		" ",
		"a b",
		"a. .b",
		"a\t",
		"\na",
		"a\v",
		"a\f.b",
		"a\r",
		"a.\x1c",
		"\x1d",
		"\x1e",
		"\x1f",
		"a\xc2\x85",
		"a.\xc2\xa0.b",
		"\xe1\x9a\x80",
		"\xe2\x80\x80",
		"\xe2\x80\x8a",
		"\xe2\x80\xa8",
		"\xe2\x80\xa9",
		"\xe2\x80\xaf",
		"\xe2\x81\x9f",
		"a\xe3\x80\x80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		if (uri_valid(slice_str(invalid[i])))
			fail_msg("%s", invalid[i]);
	assert_false(uri_valid(slice_of("a\0b", 3)));
	assert_false(uri_valid(slice_of("\0", 1)));
}

static void test_faults(void **state)
{
	static const struct {
		const char *uri, *fault;
	} faults[] = {
		{"a.b", NULL},
		{"", "must not be empty"},
		{"a..b", "must not have an empty component between dots"},
		{".a", "must not have an empty component between dots"},
		{"a.", "must not have an empty component between dots"},
		{"Not found!", "must not contain white space"},
		{"a\xc2\xa0", "must not contain white space"},
		{"a\xe3\x80\x80.b", "must not contain white space"},
		{"\xc3\xa9.com.#", "must not contain '#'"},
	};
	char text[WAMP_MAX_URI + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		const char *fault = uri_fault(MATCH_EXACT, slice_str(faults[i].uri));

		if (faults[i].fault == NULL)
			assert_null(fault);
		else
			assert_string_equal(fault, faults[i].fault);
	}
	assert_string_equal(uri_fault(MATCH_EXACT, slice_of("a\0b", 3)),
			    "must not contain U+0000");
	memset(text, 'a', sizeof(text));
	assert_null(uri_fault(MATCH_EXACT, slice_of(text, WAMP_MAX_URI)));
	assert_string_equal(uri_fault(MATCH_EXACT, slice_of(text, sizeof(text))),
			    "must not be longer than 1024 bytes");
}

static void test_length(void **state)
{
	uint8_t uri[WAMP_MAX_URI + 1];

	(void)state;
	memset(uri, 'a', sizeof(uri));
	assert_true(uri_valid(slice_of(uri, WAMP_MAX_URI)));
	assert_false(uri_valid(slice_of(uri, WAMP_MAX_URI + 1)));
}

/* What makes a URI invalid is found at every place of a URI of every length. */
static void test_every_place(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{"/", true},         {"~", true},           {"-", true},
		{"\x7f", true},      {"\xc3\xa9", true},    {"#", false},
		{" ", false},        {"..", false},         {"-..", false},
		{"\xc2\xa0", false}, {"\xc3\xa9..", false}, {"", true},
	};

	(void)state;
	for (size_t len = 1; len <= 40; len++) {
		for (size_t at = 0; at < len; at++) {
			for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
				char uri[64];
				memset(uri, 'a', sizeof(uri));
				memcpy(uri + at, cases[i].text, strlen(cases[i].text));
				size_t end = at + strlen(cases[i].text);
				if (end < len)
					end = len;
				bool valid = cases[i].valid;
				assert_int_equal(uri_valid(slice_of(uri, end)), valid);
				/* one dot is fine between two characters */
				memset(uri, 'a', sizeof(uri));
				uri[at] = '.';
				valid = at > 0 && at < len - 1;
				assert_int_equal(uri_valid(slice_of(uri, len)), valid);
			}
		}
	}
}

static void test_matches(void **state)
{
	static const struct {
		enum match how;
		const char *pattern, *uri;
		bool matches;
	} cases[] = {
		{MATCH_EXACT, "a.b", "a.b", true},
		{MATCH_EXACT, "a.b", "a.bc", false},
		{MATCH_EXACT, "a.b", "a", false},
		{MATCH_EXACT, "", "a", false},
		/* a prefix matches the string, not its components */
		{MATCH_PREFIX, "a.b", "a.b", true},
		{MATCH_PREFIX, "a.b", "a.bc", true},
		{MATCH_PREFIX, "a.b", "a.b.c", true},
		{MATCH_PREFIX, "a.b.", "a.b", false},
		{MATCH_PREFIX, "a.b", "a", false},
		{MATCH_PREFIX, "", "a", true},
		{MATCH_PREFIX, "b", "a.b", false},
		{MATCH_WILDCARD, "a..c", "a.b.c", true},
		{MATCH_WILDCARD, "a..c", "a.bb.c", true},
		{MATCH_WILDCARD, "a..c", "a.b.d", false},
		{MATCH_WILDCARD, "a..c", "a.c", false},
		{MATCH_WILDCARD, "a..c", "a.b.b.c", false},
		{MATCH_WILDCARD, "a..c", "a.b.c.d", false},
		{MATCH_WILDCARD, "a..c", "a.b.cc", false},
		{MATCH_WILDCARD, ".b.", "a.b.c", true},
		{MATCH_WILDCARD, ".b.", "a.b", false},
		{MATCH_WILDCARD, "a.", "a.b", true},
		{MATCH_WILDCARD, "a.", "a", false},
		{MATCH_WILDCARD, "..", "a.b.c", true},
		{MATCH_WILDCARD, "..", "a.b", false},
		{MATCH_WILDCARD, "", "a", true},
		{MATCH_WILDCARD, "", "a.b", false},
		{MATCH_WILDCARD, "a.b", "a.b", true},
		{MATCH_WILDCARD, "a.b", "a.c", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (uri_matches(cases[i].how, slice_str(cases[i].pattern),
				slice_str(cases[i].uri)) != cases[i].matches)
			fail_msg("%d %s %s", (int)cases[i].how, cases[i].pattern,
				 cases[i].uri);
	assert_false(uri_matches(MATCH_COUNT, slice_str("a"), slice_str("a")));
}

static void test_pattern_faults(void **state)
{
	static const char empty_component[] =
		"must not have an empty component between dots";
	static const struct {
		enum match how;
		const char *pattern, *fault;
	} faults[] = {
		{MATCH_PREFIX, "", NULL},
		{MATCH_PREFIX, "a", NULL},
		{MATCH_PREFIX, "a.", NULL},
		{MATCH_PREFIX, "a.b", NULL},
		{MATCH_PREFIX, ".", empty_component},
		{MATCH_PREFIX, ".a", empty_component},
		{MATCH_PREFIX, "a..", empty_component},
		{MATCH_PREFIX, "a..b", empty_component},
		{MATCH_PREFIX, "a b", "must not contain white space"},
		{MATCH_WILDCARD, "", NULL},
		{MATCH_WILDCARD, ".", NULL},
		{MATCH_WILDCARD, "a..b", NULL},
		{MATCH_WILDCARD, ".a.", NULL},
		{MATCH_WILDCARD, "a.b", NULL},
		{MATCH_WILDCARD, "a.#", "must not contain '#'"},
		{MATCH_WILDCARD, "a. .b", "must not contain white space"},
		{MATCH_WILDCARD, "...............................", NULL},
		{MATCH_WILDCARD, "................................",
		 "must not have more than 32 components"},
	};
	char text[WAMP_MAX_URI + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		const char *fault =
			uri_fault(faults[i].how, slice_str(faults[i].pattern));
		if (fault != faults[i].fault &&
		    (fault == NULL || faults[i].fault == NULL ||
		     strcmp(fault, faults[i].fault) != 0))
			fail_msg("%d %s: %s", (int)faults[i].how, faults[i].pattern,
				 fault == NULL ? "valid" : fault);
	}
	memset(text, 'a', sizeof(text));
	for (unsigned how = 0; how < MATCH_COUNT; how++)
		assert_string_equal(
			uri_fault((enum match)how, slice_of(text, sizeof(text))),
			"must not be longer than 1024 bytes");
}

static void test_reserved(void **state)
{
	(void)state;
	assert_true(uri_reserved(slice_str("wamp")));
	assert_true(uri_reserved(slice_str("wamp.session.get")));
	assert_true(uri_reserved(slice_str("wamp..get")));
	assert_false(uri_reserved(slice_str("")));
	assert_false(uri_reserved(slice_str("wam")));
	assert_false(uri_reserved(slice_str("wampum.a")));
	assert_false(uri_reserved(slice_str(".session.get")));
}

/* --- patterns against patterns --- */

static const char *const parts[] = {"", "a", "b", "ab"};

enum { SETS_MAX = 3 };

/* The URIs of up to SETS_MAX parts that a pattern may match, with one for the parts that
 * no pattern names. Bit i: URI i. */
static uint64_t matched_uris(enum match how, const char *pattern)
{
	static const char *const names[] = {"a", "b", "ab", "x"};
	uint64_t bits = 0;
	unsigned n = 0;
	char uri[32];

	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < 5; b++)
			for (unsigned c = 0; c < (b < 4 ? 2u : 1u); c++, n++) {
				snprintf(uri, sizeof(uri), "%s%s%s%s", names[a],
					 b < 4 ? "." : "", b < 4 ? names[b] : "",
					 c == 1 ? ".a" : "");
				if (uri_matches(how, slice_str(pattern), slice_str(uri)))
					bits |= UINT64_C(1) << n;
			}
	assert_int_equal(n, 36);
	return bits;
}

/* If a covers b, a matches all that b matches. They intersect if both match a URI. */
static void check_two(enum match a_how, const char *a, enum match b_how, const char *b)
{
	bool covers = uri_covers(a_how, slice_str(a), b_how, slice_str(b));
	bool intersects = uri_intersects(a_how, slice_str(a), b_how, slice_str(b));
	uint64_t of_a = matched_uris(a_how, a), of_b = matched_uris(b_how, b);

	if ((covers && (of_b & ~of_a) != 0) || intersects != ((of_a & of_b) != 0) ||
	    (!covers && a_how == b_how && a_how != MATCH_EXACT && (of_b & ~of_a) == 0))
		fail_msg("%d '%s', %d '%s': covers %d, intersects %d", (int)a_how, a,
			 (int)b_how, b, covers, intersects);
}

static void test_covers_and_intersects(void **state)
{
	char texts[ARRAY_LEN(parts) * ARRAY_LEN(parts) * MATCH_COUNT][16];
	enum match how[ARRAY_LEN(texts)];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		how[n] = (enum match)(i % MATCH_COUNT);
		snprintf(texts[n], sizeof(texts[n]), "%s.%s",
			 parts[i / MATCH_COUNT % ARRAY_LEN(parts)],
			 parts[i / MATCH_COUNT / ARRAY_LEN(parts)]);
		n += uri_fault(how[n], slice_str(texts[n])) == NULL;
	}
	assert_true(n > 30);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			check_two(how[i], texts[i], how[k], texts[k]);
	for (size_t i = 0; i < n; i++) {
		check_two(MATCH_PREFIX, "", how[i], texts[i]);
		check_two(MATCH_PREFIX, "a", how[i], texts[i]);
		check_two(MATCH_WILDCARD, "", how[i], texts[i]);
		check_two(MATCH_WILDCARD, "..", how[i], texts[i]);
		check_two(how[i], texts[i], MATCH_PREFIX, "a.a");
		check_two(how[i], texts[i], MATCH_EXACT, "ab");
	}
	assert_int_equal(uri_wildcard_head(slice_str("")), 0);
	assert_int_equal(uri_wildcard_head(slice_str("a..b")), 2);
	assert_int_equal(uri_wildcard_head(slice_str("a.b.")), 4);
	assert_int_equal(uri_wildcard_head(slice_str("a.b")), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_every_place),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_pattern_faults),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_covers_and_intersects),
	};
	return cmocka_run_group_tests_name("uri", tests, NULL, NULL);
}
