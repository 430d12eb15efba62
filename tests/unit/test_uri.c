/* SPDX-License-Identifier: Apache-2.0 */
/* URIs and patterns. */
#include "proto/uri.h"

#include "proto/wamp.h"

#include <setjmp.h>
#include <stdarg.h>

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
		{"a..b", "must not have an empty part between dots"},
		{".a", "must not have an empty part between dots"},
		{"a.", "must not have an empty part between dots"},
		{"Not found!", "must not contain white space"},
		{"a\xc2\xa0", "must not contain white space"},
		{"a\xe3\x80\x80.b", "must not contain white space"},
		{"\xc3\xa9.com.#", "must not contain '#'"},
	};
	char text[WAMP_MAX_URI + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		const char *fault = uri_fault(slice_str(faults[i].uri));

		if (faults[i].fault == NULL)
			assert_null(fault);
		else
			assert_string_equal(fault, faults[i].fault);
	}
	assert_string_equal(uri_fault(slice_of("a\0b", 3)), "must not contain U+0000");
	memset(text, 'a', sizeof(text));
	assert_null(uri_fault(slice_of(text, WAMP_MAX_URI)));
	assert_string_equal(uri_fault(slice_of(text, sizeof(text))),
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),       cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_faults),      cmocka_unit_test(test_length),
		cmocka_unit_test(test_every_place), cmocka_unit_test(test_matches),
	};
	return cmocka_run_group_tests_name("uri", tests, NULL, NULL);
}
