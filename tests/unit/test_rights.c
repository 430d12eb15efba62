/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled permissions: which permission decides, also where Crossbar has a known bug;
 * and a comparison with a slow implementation of the rule in rights.h, on random
 * permissions. */
#include "routerd/config/rights.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MADE_MAX = 32 };
static struct rights *made[MADE_MAX]; /* by this test */
static unsigned n_made;

static int end(void **state)
{
	(void)state;
	while (n_made > 0)
		rights_unref(&made[--n_made]);
	return 0;
}

/* A permission; allowed is a set of actions, as bits. */
static struct permission permission(const char *uri, enum match match, unsigned allowed)
{
	struct permission p = {.uri = uri, .match = match, .trust_level = -1};

	for (unsigned i = 0; i < ACTION_COUNT; i++)
		p.allow[i] = (allowed >> i & 1) != 0;
	return p;
}

static struct rights *compile(const struct permission *p, size_t n)
{
	struct rights *r = NULL;
	size_t duplicate;

	assert_int_equal(rights_new(p, n, &r, &duplicate), 0);
	assert_non_null(r);
	assert_true(n_made < MADE_MAX);
	made[n_made++] = r;
	return r;
}

/* The actions allowed for a URI, as bits. */
static unsigned allowed(const struct rights *r, const char *uri)
{
	return rights_rule(r, slice_str(uri))->allowed;
}

static void nothing_is_allowed_by_nothing(void **state)
{
	(void)state;
	struct rights *r = compile(NULL, 0);

	assert_int_equal(allowed(r, "a"), 0);
	assert_int_equal(allowed(r, ""), 0);
}

static void each_action_is_its_own(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 1u << ACTION_COUNT; bits++) {
		struct permission p = permission("a.b", MATCH_EXACT, bits);
		struct rights *r = compile(&p, 1);

		assert_int_equal(allowed(r, "a.b"), bits);
		assert_int_equal(allowed(r, "a.bc"), 0);
		assert_int_equal(allowed(r, "a"), 0);
		assert_int_equal(allowed(r, ""), 0);
	}
}

static void exact_before_prefix(void **state)
{
	(void)state;
	const struct permission p[] = {
		permission("a.", MATCH_PREFIX, 1),
		permission("a.b", MATCH_EXACT, 2),
		permission("a.b", MATCH_PREFIX, 4),
		permission("a..c", MATCH_WILDCARD, 8),
		permission("a.x.c", MATCH_EXACT, 3),
	};
	struct rights *r = compile(p, ARRAY_LEN(p));

	assert_int_equal(allowed(r, "a.b"), 2);
	assert_int_equal(allowed(r, "a.c"), 1);
	assert_int_equal(allowed(r, "a.bc"), 4);
	assert_int_equal(allowed(r, "a.b.d"), 4);
	assert_int_equal(allowed(r, "a.x.c"), 3);
	assert_int_equal(allowed(r, "a"), 0);
	assert_int_equal(allowed(r, "b"), 0);
}

/* Crossbar denies here: it looks only at the longest entry, which is exact and does not
 * match. */
static void longer_exact_that_does_not_match(void **state)
{
	(void)state;
	const struct permission p[] = {
		permission("com.example.", MATCH_PREFIX, 1),
		permission("com.example.add", MATCH_EXACT, 2),
	};
	struct rights *r = compile(p, ARRAY_LEN(p));

	assert_int_equal(allowed(r, "com.example.add2"), 1);
	assert_int_equal(allowed(r, "com.example.add.more"), 1);
	assert_int_equal(allowed(r, "com.example.ad"), 1);
}

/* In Crossbar the second one overwrites the first. */
static void wildcards_with_one_head(void **state)
{
	(void)state;
	const struct permission p[] = {
		permission("com..on", MATCH_WILDCARD, 1),
		permission("com..off", MATCH_WILDCARD, 2),
		permission("com..", MATCH_WILDCARD, 4),
	};
	struct rights *r = compile(p, ARRAY_LEN(p));

	assert_int_equal(allowed(r, "com.x.on"), 1);
	assert_int_equal(allowed(r, "com.x.off"), 2);
	assert_int_equal(allowed(r, "com.x.else"), 4);
	assert_int_equal(allowed(r, "com.x.on.more"), 0);
	assert_int_equal(allowed(r, "com.x"), 0);
}

static void longest_prefix(void **state)
{
	(void)state;
	const struct permission p[] = {
		permission("", MATCH_PREFIX, 1),      permission("a", MATCH_PREFIX, 2),
		permission("abc", MATCH_PREFIX, 3),   permission("abcd", MATCH_EXACT, 9),
		permission("abcde", MATCH_PREFIX, 4), permission("abcx", MATCH_PREFIX, 5),
		permission("abd", MATCH_EXACT, 6),
	};
	struct rights *r = compile(p, ARRAY_LEN(p));
	static const struct {
		const char *uri;
		unsigned allowed;
	} rows[] = {
		{"", 1},      {"b", 1},      {"A", 1},     {"a", 2},    {"ab", 2},
		{"abb", 2},   {"abc", 3},    {"abcc", 3},  {"abcd", 9}, {"abcdd", 3},
		{"abcde", 4}, {"abcdef", 4}, {"abcdf", 3}, {"abcx", 5}, {"abcy", 3},
		{"abd", 6},   {"abdx", 2},   {"abz", 2},   {"az", 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(allowed(r, rows[i].uri), rows[i].allowed);
}

static void prefix_or_wildcard(void **state)
{
	(void)state;
	const struct permission p[] = {
		permission("", MATCH_PREFIX, 1),
		permission("dev.", MATCH_PREFIX, 2),
		permission("dev..status", MATCH_WILDCARD, 4),
		permission("dev.secret.", MATCH_PREFIX, 8),
		permission(".x.status", MATCH_WILDCARD, 3),
	};
	struct rights *r = compile(p, ARRAY_LEN(p));

	/* as long as the prefix, and more specific */
	assert_int_equal(allowed(r, "dev.7.status"), 4);
	/* an explicit rule for everything below dev.secret */
	assert_int_equal(allowed(r, "dev.secret.status"), 8);
	assert_int_equal(allowed(r, "dev.7.other"), 2);
	assert_int_equal(allowed(r, "dev.x.status"), 4);
	assert_int_equal(allowed(r, "any.x.status"), 3);
	assert_int_equal(allowed(r, "any.y.status"), 1);
}

/* The components before the first empty one decide, then those before the second, and so
 * on. */
static void order_of_wildcards(void **state)
{
	(void)state;
	const struct permission p[] = {
		permission("a1..d1..g1.h1", MATCH_WILDCARD, 5),
		permission("a1...d1..g1", MATCH_WILDCARD, 7),
		permission("a1.b2..d1.e2..g7", MATCH_WILDCARD, 4),
		permission("a1..c1.d1.e1.f1.g1", MATCH_WILDCARD, 1),
		permission("a1.b1...e1.f1.g1", MATCH_WILDCARD, 2),
		permission("a1.b1..d1.e1..g1", MATCH_WILDCARD, 3),
		permission("......", MATCH_WILDCARD, 6),
	};
	struct rights *r = compile(p, ARRAY_LEN(p));

	assert_int_equal(allowed(r, "a1.b1.c1.d1.e1.f1.g1"), 3);
	assert_int_equal(allowed(r, "a1.b1.c1.d9.e1.f1.g1"), 2);
	assert_int_equal(allowed(r, "a1.b2.c1.d1.e2.f1.g7"), 4);
	assert_int_equal(allowed(r, "a1.b9.c1.d1.e1.f1.g1"), 1);
	assert_int_equal(allowed(r, "a1.x.d1.x.g1.h1"), 5);
	assert_int_equal(allowed(r, "z.z.z.z.z.z.z"), 6);
	assert_int_equal(allowed(r, "a1.x.y.d1.z.g1"), 7);
}

static void duplicates(void **state)
{
	(void)state;
	static const enum match all[] = {MATCH_EXACT, MATCH_PREFIX, MATCH_WILDCARD};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct permission p[] = {
			permission("b..", MATCH_WILDCARD, 1),
			permission("a.b", all[i], 1),
			permission("a", MATCH_EXACT, 1),
			permission("a.b", all[i], 2),
			permission("a.b.", all[i], 2),
		};
		struct rights *r = NULL;
		size_t duplicate = 99;

		assert_int_equal(rights_new(p, ARRAY_LEN(p), &r, &duplicate), E_EXISTS);
		assert_int_equal(duplicate, 3);
		assert_null(r);
	}
}

/* --- patterns of clients --- */

static bool grants(const struct rights *r, enum match how, const char *pattern)
{
	struct slice text = slice_str(pattern);

	assert_false(
		rule_allows(rights_pattern_rule(r, ACTION_CALL, how, text), ACTION_CALL));
	return rule_allows(rights_pattern_rule(r, ACTION_SUBSCRIBE, how, text),
			   ACTION_SUBSCRIBE);
}

static void a_pattern_needs_a_rule_that_covers_it(void **state)
{
	(void)state;
	const unsigned yes = 1u << ACTION_SUBSCRIBE;
	const struct permission p[] = {
		permission("com.app.", MATCH_PREFIX, yes),
		permission("com.app.secret", MATCH_EXACT, 0),
		permission("com.app.a.hidden.", MATCH_PREFIX, 0),
		permission("com.app..internal", MATCH_WILDCARD, 0),
		permission("com.app.open", MATCH_EXACT, yes),
		permission("org.", MATCH_PREFIX, 0),
		permission("org.app.", MATCH_PREFIX, yes),
		permission("net..b", MATCH_WILDCARD, yes),
		permission("net..b.c", MATCH_WILDCARD, yes),
	};
	struct rights *r = compile(p, ARRAY_LEN(p));

	assert_false(grants(r, MATCH_PREFIX, "com.app."));
	assert_false(grants(r, MATCH_PREFIX, "com.app.s"));
	assert_false(grants(r, MATCH_PREFIX, "com.app.secret"));
	assert_false(grants(r, MATCH_PREFIX, "com.app.x.")); /* com.app.x.internal */
	assert_true(grants(r, MATCH_PREFIX, "com.app.x.y"));
	/* the exact rule allows it, too */
	assert_true(grants(r, MATCH_PREFIX, "com.app.secrets.of."));
	assert_false(grants(r, MATCH_PREFIX, "com.app.open"));
	assert_false(grants(r, MATCH_PREFIX, "com.app.a.hidden"));
	assert_false(grants(r, MATCH_PREFIX, "com.app.a.hidden.b"));
	assert_false(grants(r, MATCH_PREFIX, "com.app"));
	assert_false(grants(r, MATCH_PREFIX, ""));
	assert_false(grants(r, MATCH_WILDCARD, "com.app."));
	assert_false(grants(r, MATCH_WILDCARD, "com.app.."));
	assert_true(grants(r, MATCH_WILDCARD, "com.app..b.c"));
	assert_true(grants(r, MATCH_WILDCARD, "com.app..b"));
	assert_false(grants(r, MATCH_WILDCARD, "com..x"));
	/* a denying rule that is less specific does not count */
	assert_true(grants(r, MATCH_PREFIX, "org.app."));
	assert_false(grants(r, MATCH_PREFIX, "org.ap"));
	/* only a wildcard of the same shape, or narrower, is covered by a wildcard */
	assert_true(grants(r, MATCH_WILDCARD, "net..b"));
	assert_true(grants(r, MATCH_WILDCARD, "net.a.b"));
	assert_false(grants(r, MATCH_WILDCARD, "net.a."));
	assert_false(grants(r, MATCH_WILDCARD, "..b"));
	assert_false(grants(r, MATCH_PREFIX, "net.a.b"));
}

/* --- a slow implementation of the rule --- */

static size_t slow_head(struct slice pattern)
{
	for (size_t i = 0; i <= pattern.len; i++)
		if ((i == 0 || pattern.p[i - 1] == '.') &&
		    (i == pattern.len || pattern.p[i] == '.'))
			return i;
	return pattern.len;
}

/* The shape of a pattern: 'e' for each empty component, 'n' for the others. */
static void shape_of(struct slice pattern, char *shape)
{
	size_t start = 0;

	for (size_t i = 0; i <= pattern.len; i++) {
		if (i < pattern.len && pattern.p[i] != '.')
			continue;
		*shape++ = i == start ? 'e' : 'n';
		start = i + 1;
	}
	*shape = '\0';
}

/* Whether a is more specific than b for a URI that both match. */
static bool says_more(const struct permission *a, const struct permission *b)
{
	char a_shape[64], b_shape[64];

	if (a->match == MATCH_EXACT || b->match == MATCH_EXACT)
		return a->match == MATCH_EXACT;
	size_t a_said =
		a->match == MATCH_PREFIX ? strlen(a->uri) : slow_head(slice_str(a->uri));
	size_t b_said =
		b->match == MATCH_PREFIX ? strlen(b->uri) : slow_head(slice_str(b->uri));
	if (a_said != b_said)
		return a_said > b_said;
	if (a->match != b->match)
		return a->match == MATCH_WILDCARD;
	shape_of(slice_str(a->uri), a_shape);
	shape_of(slice_str(b->uri), b_shape);
	return strcmp(a_shape, b_shape) > 0; /* 'n' at the first difference wins */
}

static struct rule slow_rule(const struct permission *p, size_t n, const char *uri)
{
	const struct permission *best = NULL;
	struct rule rule = {.permission = RULE_NO_PERMISSION};

	for (size_t i = 0; i < n; i++)
		if (uri_matches((enum match)p[i].match, slice_str(p[i].uri),
				slice_str(uri)) &&
		    (best == NULL || says_more(&p[i], best)))
			best = &p[i];
	for (unsigned i = 0; best != NULL && i < ACTION_COUNT; i++) {
		rule.allowed = (uint8_t)(rule.allowed | (best->allow[i] ? 1u << i : 0));
		rule.disclose[i] = (uint8_t)best->disclose[i];
		rule.trust = (uint8_t)(best->trust_level + 1);
		rule.permission = (uint16_t)(best - p);
	}
	return rule;
}

/* A small alphabet makes matches likely. */
static void random_text(char *to, size_t max, bool allow_empty)
{
	size_t len = (size_t)rand() % max + (allow_empty ? 0 : 1);

	for (size_t i = 0; i < len; i++)
		to[i] = "ab.."[rand() % 4];
	to[len] = '\0';
}

static void random_permissions(void **state)
{
	(void)state;
	enum { N = 12 };
	char texts[N][16], uri[16];

	srand(1);
	for (int round = 0; round < 3000; round++) {
		struct permission p[N];
		struct rights *r = NULL;
		size_t duplicate, n = (size_t)rand() % N + 1;

		for (size_t i = 0; i < n; i++) {
			random_text(texts[i], 9, true);
			p[i] = permission(texts[i], (enum match)(rand() % 3),
					  (unsigned)rand() % 16);
			p[i].disclose[ACTION_CALL] = (enum disclosure)(rand() % 4);
			p[i].disclose[ACTION_PUBLISH] = (enum disclosure)(rand() % 4);
			p[i].trust_level = rand() % (RIGHTS_MAX_TRUST_LEVEL + 2) - 1;
		}
		int rc = rights_new(p, n, &r, &duplicate);
		if (rc == E_EXISTS)
			continue;
		assert_int_equal(rc, 0);
		for (int i = 0; i < 100; i++) {
			random_text(uri, 10, false);
			struct rule slow = slow_rule(p, n, uri);
			assert_memory_equal(rights_rule(r, slice_str(uri)), &slow,
					    sizeof(slow));
		}
		rights_unref(&r);
	}
}

/* Are all URIs of up to four parts that the pattern matches allowed? */
static bool allows_each(const struct rights *r, enum match how, const char *pattern)
{
	static const char *const parts[] = {"", "a", "b", "ab", "x"};
	enum { N = ARRAY_LEN(parts) };
	char uri[32];

	for (unsigned i = 0; i < N * N * N * N; i++) {
		snprintf(uri, sizeof(uri), "%s.%s.%s.%s", parts[i % N], parts[i / N % N],
			 parts[i / N / N % N], parts[i / N / N / N]);
		while (uri[0] != '\0' && uri[strlen(uri) - 1] == '.')
			uri[strlen(uri) - 1] = '\0';
		if (uri_valid(slice_str(uri)) &&
		    uri_matches(how, slice_str(pattern), slice_str(uri)) &&
		    !rule_allows(rights_rule(r, slice_str(uri)), ACTION_SUBSCRIBE))
			return false;
	}
	return true;
}

static bool covered(const struct permission *p, size_t n, enum match how,
		    const char *pattern)
{
	for (size_t i = 0; i < n; i++)
		if (uri_covers((enum match)p[i].match, slice_str(p[i].uri), how,
			       slice_str(pattern)))
			return true;
	return false;
}

/* A pattern of up to three parts that allows_each knows. */
static void random_parts(enum match how, char to[16])
{
	static const char *const parts[] = {"", "a", "b", "ab"};
	int n = 1 + rand() % 3;

	to[0] = '\0';
	for (int i = 0; i < n; i++) {
		strcat(to, parts[rand() % 4]);
		strcat(to, i + 1 < n ? "." : "");
	}
	if (how == MATCH_PREFIX)
		to[(size_t)rand() % (strlen(to) + 1)] = '\0';
}

/* What is granted contains no URI that is denied. Of two permissions, no third one can
 * overrule the denying one, so the reverse holds, too. */
static void random_patterns(void **state)
{
	(void)state;
	enum { N = 6, ROUNDS = 4000 };
	char texts[N][16], pattern[16];
	unsigned granted = 0, refused = 0;

	srand(2);
	for (int round = 0; round < ROUNDS; round++) {
		size_t duplicate, n = (size_t)rand() % N + 1;
		enum match how = rand() % 2 == 0 ? MATCH_PREFIX : MATCH_WILDCARD;
		struct permission p[N];
		struct rights *r = NULL;

		for (size_t i = 0; i < n; i++) {
			enum match of_rule = (enum match)(rand() % 3);
			do
				random_parts(of_rule, texts[i]);
			while (uri_fault(of_rule, slice_str(texts[i])) != NULL);
			p[i] = permission(texts[i], of_rule,
					  rand() % 3 == 0 ? 0 : 1u << ACTION_SUBSCRIBE);
		}
		random_parts(how, pattern);
		if (uri_fault(how, slice_str(pattern)) != NULL ||
		    rights_new(p, n, &r, &duplicate) != 0)
			continue;
		bool grant = grants(r, how, pattern);
		granted += grant;
		refused += !grant;
		if (grant && !allows_each(r, how, pattern))
			fail_msg("granted: %d %s", (int)how, pattern);
		if (!grant && n <= 2 && covered(p, n, how, pattern) &&
		    allows_each(r, how, pattern))
			fail_msg("refused: %d %s", (int)how, pattern);
		rights_unref(&r);
	}
	assert_true(granted > 100 && refused > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_allowed_by_nothing),
		cmocka_unit_test(each_action_is_its_own),
		cmocka_unit_test(exact_before_prefix),
		cmocka_unit_test(longer_exact_that_does_not_match),
		cmocka_unit_test(wildcards_with_one_head),
		cmocka_unit_test(longest_prefix),
		cmocka_unit_test(prefix_or_wildcard),
		cmocka_unit_test(order_of_wildcards),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(random_permissions),
		cmocka_unit_test(a_pattern_needs_a_rule_that_covers_it),
		cmocka_unit_test(random_patterns),
	};

	return cmocka_run_group_tests_name("rights", tests, NULL, end);
}
