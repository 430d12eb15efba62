/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of authorizers that a worker keeps: what finds them, what they cost, what
 * forgets them, and that memory may run out. One thread. */
#include "tests/unit/failing_malloc.h"

#include "routerd/peer/decisions.c"

#undef malloc
#undef calloc
#undef realloc
#undef free

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct decisions ds;
static struct rights *rights[2];
static struct identity who;
static struct decision_about about;
static const struct decision_result yes = {.authenticator = 3, .allow = true};

static int setup(void **state)
{
	size_t duplicate;

	(void)state;
	allocations = not_freed = fail_at = 0;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(rights_new(NULL, 0, &rights[i], &duplicate), 0);
	assert_int_equal(decisions_init(&ds, 2), 0);
	who = (struct identity){
		.authid = slice_str("a"),
		.authrole = slice_str("device"),
		.realm_name = slice_str("r"),
	};
	about = (struct decision_about){
		.who = &who,
		.rights = rights[0],
		.action = ACTION_CALL,
		.match = MATCH_EXACT,
		.uri = slice_str("a.b"),
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	decisions_fini(&ds);
	assert_int_equal(ds.count, 0);
	assert_int_equal(ds.bytes, 0);
	assert_int_equal(not_freed, 0);
	rights_unref(&rights[0]);
	rights_unref(&rights[1]);
	return 0;
}

static bool known(void)
{
	return decisions_find(&ds, &about, 1) != NULL;
}

static void keep(void)
{
	decisions_keep(&ds, &about, &yes);
}

static void test_each_part_of_the_key(void **state)
{
	const struct decision_about same = about;

	(void)state;
	assert_false(known());
	keep();
	assert_true(known());
	about.rights = rights[1];
	assert_false(known());
	about = same;
	about.action = ACTION_REGISTER;
	assert_false(known());
	about = same;
	about.match = MATCH_PREFIX;
	assert_false(known());
	about = same;
	about.uri = slice_str("a.");
	assert_false(known());
	about = same;
	who.authid = slice_str("aa");
	assert_false(known());
	/* authid and URI together have the same bytes */
	who.authid = slice_str("");
	about.uri = slice_str("aa.b");
	assert_false(known());
	assert_int_equal(ds.hits, 1);
	assert_int_equal(ds.count, 1);
	/* One authid contains what follows the other one; URIs may have such bytes. */
	about.action = ACTION_SUBSCRIBE;
	about.match = MATCH_WILDCARD;
	who.authid = slice_str("a");
	about.uri = slice_str("b\005\003\002c");
	keep();
	who.authid = slice_str("a\001\003\002b");
	about.uri = slice_str("c");
	assert_false(known());
	who.authid = slice_str("ab\005\003\002");
	assert_false(known());
}

static void test_a_later_decision_replaces(void **state)
{
	const struct decision_result no = {.disclose = true, .until_ms = 2};

	(void)state;
	keep();
	decisions_keep(&ds, &about, &no);
	assert_int_equal(ds.count, 1);
	assert_false(decisions_find(&ds, &about, 1)->allow);
	assert_true(decisions_find(&ds, &about, 1)->disclose);
	assert_null(decisions_find(&ds, &about, 2));
	assert_int_equal(ds.count, 0);
}

static void test_long_names_are_not_kept(void **state)
{
	static const char x[1025];

	(void)state;
	who.authid = slice_of(x, 256);
	keep();
	who.authid = slice_of(x, 255);
	about.uri = slice_of(x, 1025);
	keep();
	assert_int_equal(ds.count, 0);
	about.uri = slice_of(x, 1024);
	keep();
	assert_true(known());
	about.uri = slice_of(NULL, 0); /* a prefix that matches everything */
	about.match = MATCH_PREFIX;
	assert_false(known());
	keep();
	assert_true(known());
}

static void test_forget(void **state)
{
	static const struct {
		struct revocation revocation;
		bool forgets;
	} rows[] = {
		{{.number = 1}, true},
		{{.number = 2, .dry_run = true}, false},
		{{.number = 3, .decisions_only = true, .authenticator = 3}, true},
		{{.number = 4, .decisions_only = true, .authenticator = 2}, false},
		{{.number = 5, .authid = {(const uint8_t *)"a", 1}}, true},
		{{.number = 6, .authid = {(const uint8_t *)"b", 1}}, false},
		{{.number = 7, .role = {(const uint8_t *)"device", 6}}, true},
		{{.number = 8, .role = {(const uint8_t *)"devic", 5}}, false},
		{{.number = 9, .realm = {(const uint8_t *)"r", 1}, .session = 5}, true},
		{{.number = 10, .realm = {(const uint8_t *)"s", 1}}, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		keep();
		about.uri = slice_str("a.c");
		keep();
		decisions_forget(&ds, &rows[i].revocation);
		assert_int_equal(known(), !rows[i].forgets);
		about.uri = slice_str("a.b");
		assert_int_equal(known(), !rows[i].forgets);
		assert_int_equal(ds.revocations, i == 1 ? 1 : i + 1);
	}
}

/* A client that tries a hundred thousand URIs loses its own decisions. */
static void test_one_principal_is_bounded(void **state)
{
	char uri[40];

	(void)state;
	keep();
	who.authid = slice_str("b");
	for (int i = 0; i < 100000; i++) {
		snprintf(uri, sizeof(uri), "com.example.%d", i);
		about.uri = slice_str(uri);
		keep();
		assert_true(known());
	}
	assert_in_range(ds.bytes, DECISIONS_OF_ONE_MAX / 2, 2 * DECISIONS_OF_ONE_MAX);
	assert_int_equal(ds.evictions, 100001 - ds.count);
	who.authid = slice_str("a");
	about.uri = slice_str("a.b");
	assert_true(known());
}

/* The realm with the most decisions loses those that it has not used for long. */
static void test_all_are_bounded(void **state)
{
	char authid[20];

	(void)state;
	keep();
	who.realm = 1;
	about.rights = rights[1];
	for (int i = 0; i < 200000; i++) {
		snprintf(authid, sizeof(authid), "%d", i);
		who.authid = slice_str(authid);
		keep();
		who.authid = slice_str("0");
		assert_true(known());
	}
	assert_in_range(ds.bytes, DECISIONS_MAX - 1000, DECISIONS_MAX);
	assert_int_equal(ds.evictions, 200001 - ds.count);
	who.authid = slice_str("1");
	assert_false(known());
	who.authid = slice_str("a");
	about.rights = rights[0];
	assert_true(known());
}

static void test_memory_runs_out(void **state)
{
	char uri[20];

	(void)state;
	for (int i = 0; i < 400; i++) {
		snprintf(uri, sizeof(uri), "a.%d", i);
		about.uri = slice_str(uri);
		who.authid = slice_of(uri, i % 3 == 0 ? strlen(uri) : 1);
		for (size_t n = 1; !known(); n++) {
			size_t live = not_freed, bytes = ds.bytes;

			allocations = 0;
			fail_at = n;
			keep();
			fail_at = 0;
			if (!known()) {
				assert_int_equal(not_freed, live);
				assert_int_equal(ds.bytes, bytes);
			}
			assert_in_range(n, 1, 8);
		}
	}
	assert_int_equal(ds.count, 400);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_part_of_the_key),     TEST(test_a_later_decision_replaces),
		TEST(test_long_names_are_not_kept),  TEST(test_forget),
		TEST(test_one_principal_is_bounded), TEST(test_all_are_bounded),
		TEST(test_memory_runs_out),
	};

	return cmocka_run_group_tests_name("decisions", tests, NULL, NULL);
}
