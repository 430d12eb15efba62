/* SPDX-License-Identifier: Apache-2.0 */
/* routerd/revocation: which sessions it names, which answers it makes obsolete, and how
 * long it is kept. */
#include "routerd/post/revocation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct slice text(const char *s)
{
	return slice_str(s);
}

static struct identity client(void)
{
	return (struct identity){
		.session = 77,
		.authmethod = "cryptosign",
		.stamp = {.asked = true, .authenticator = 2},
		.realm_name = text("devices"),
		.authid = text("client01"),
		.authrole = text("device"),
		.pubkey = {true, {0xaa}},
	};
}

static struct revocation revoke(void)
{
	return (struct revocation){.authenticator = 2, .number = 1, .uri = text("u.r.i")};
}

static void test_every_term_must_match(void **state)
{
	struct identity i = client();
	struct revocation r = revoke();

	(void)state;
	r.authid = text("client01");
	assert_true(revocation_matches(&r, &i));
	r.role = text("device");
	r.realm = text("devices");
	r.pubkey = (struct field_key){true, {0xaa}};
	r.session = 77;
	assert_true(revocation_matches(&r, &i));
	r.session = 78;
	assert_false(revocation_matches(&r, &i));
	r.session = 0;
	r.pubkey = (struct field_key){true, {0xab}};
	assert_false(revocation_matches(&r, &i));
	r.pubkey = (struct field_key){true, {0xaa}};
	r.realm = text("device");
	assert_false(revocation_matches(&r, &i));
	r.realm = text("devices");
	r.role = text("devic");
	assert_false(revocation_matches(&r, &i));
	r.role = text("");
	r.authid = text("client02");
	assert_false(revocation_matches(&r, &i));
}

static void test_only_the_authenticators_own(void **state)
{
	struct identity i = client();
	struct revocation r = revoke();

	(void)state;
	r.authid = text("client01");
	r.authenticator = 1;
	assert_false(revocation_matches(&r, &i));
	r.authenticator = 2;
	i.stamp.asked = false; /* anonymous */
	assert_false(revocation_matches(&r, &i));
}

static void test_newer_by_epoch(void **state)
{
	struct lookup_stamp s = {.asked = true,
				 .has_epoch = true,
				 .epoch = 10,
				 .link = 1,
				 .revocations = 5};
	struct revocation r = {.has_epoch = true, .epoch = 10, .link = 1, .number = 6};

	(void)state;
	/* the answer already includes that change */
	assert_false(revocation_is_newer(&r, &s));
	r.epoch = 11;
	assert_true(revocation_is_newer(&r, &s));
	r.number = 3; /* it came before the question, but its epoch is newer */
	assert_true(revocation_is_newer(&r, &s));
}

static void test_newer_by_order_where_epochs_do_not_compare(void **state)
{
	struct lookup_stamp s = {.asked = true, .link = 1, .revocations = 5};
	struct revocation r = {.has_epoch = true, .epoch = 10, .link = 1, .number = 6};

	(void)state;
	assert_true(revocation_is_newer(&r, &s)); /* the answer had no epoch */
	r.number = 5;
	assert_false(
		/* the revocation was known before the question was sent */
		revocation_is_newer(&r, &s));
	s.has_epoch = true;
	s.epoch = 99;
	s.link = 2; /* of another connection */
	r.number = 6;
	assert_true(revocation_is_newer(&r, &s));
	s.link = 1;
	r.has_epoch = false;
	assert_true(revocation_is_newer(&r, &s));
}

static struct revocation *add(struct revocations *rs, uint64_t number, const char *authid,
			      uint64_t now)
{
	struct revocation r = revoke();

	r.number = number;
	r.authid = text(authid);
	struct revocation *shared = revocation_new(&r);
	assert_non_null(shared);
	revocations_add(rs, shared, now);
	struct revocation *lent = shared;
	revocation_unref(&shared);
	return lent;
}

static void test_remembered_until_its_time_is_over(void **state)
{
	struct revocations rs;
	struct identity i = client();
	struct revocation *found = NULL;

	(void)state;
	revocations_init(&rs, 10, 1000);
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_NONE);
	add(&rs, 1, "somebody", 0);
	struct revocation *mine = add(&rs, 2, "client01", 500);
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_FOUND);
	assert_ptr_equal(found, mine);
	revocations_expire(&rs, 1000);
	assert_int_equal(rs.count, 1);
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_FOUND);
	revocations_expire(&rs, 1499);
	assert_int_equal(rs.count, 1);
	revocations_expire(&rs, 1500);
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_NONE);
	revocations_fini(&rs);
}

static void test_a_login_asked_later_may_go_on(void **state)
{
	struct revocations rs;
	struct identity i = client();
	struct revocation *found;

	(void)state;
	revocations_init(&rs, 10, 1000);
	add(&rs, 4, "client01", 0);
	i.stamp.revocations = 3;
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_FOUND);
	i.stamp.revocations = 4;
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_NONE);
	revocations_fini(&rs);
}

static void test_full_memory_refuses_instead_of_letting_in(void **state)
{
	struct revocations rs;
	struct identity i = client();
	struct revocation *found;

	(void)state;
	revocations_init(&rs, 2, 1000);
	add(&rs, 1, "client01", 0);
	add(&rs, 2, "b", 0);
	add(&rs, 3, "c", 0); /* drops number 1 */
	assert_int_equal(rs.count, 2);
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_FORGOTTEN);
	i.stamp.revocations = 1;
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_NONE);
	i.stamp.asked = false;
	i.stamp.revocations = 0;
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_NONE);
	revocations_fini(&rs);
}

/* Number 3 was lost because memory ran out. Then the list gets full, and number 1, which
 * is older, is dropped. */
static void test_a_newer_one_stays_forgotten(void **state)
{
	struct revocations rs;
	struct identity i = client();
	struct revocation *found;

	(void)state;
	revocations_init(&rs, 2, 1000);
	add(&rs, 1, "a", 0);
	add(&rs, 2, "b", 0);
	rs.forgotten = 3;
	add(&rs, 4, "c", 0);
	i.stamp.revocations = 2;
	assert_int_equal(revocations_find(&rs, &i, &found), REVOCATION_FORGOTTEN);
	revocations_fini(&rs);
}

static void test_dry_run_is_not_remembered(void **state)
{
	struct revocations rs;
	struct revocation r = revoke();

	(void)state;
	r.dry_run = true;
	r.authid = text("client01");
	struct revocation *shared = revocation_new(&r);
	revocations_init(&rs, 2, 1000);
	revocations_add(&rs, shared, 0);
	assert_int_equal(rs.count, 0);
	revocation_unref(&shared);
	revocations_fini(&rs);
}

static void test_copies_hold_their_texts(void **state)
{
	char authid[] = "client01";
	struct revocation r = revoke();
	struct identity i = client();

	(void)state;
	r.authid = slice_of(authid, 8);
	i.authid = slice_of(authid, 8);
	struct revocation *rc = revocation_new(&r);
	struct identity *ic = identity_new(&i);
	memset(authid, 'x', 8);
	assert_true(slice_eq_str(rc->authid, "client01"));
	assert_true(slice_eq_str(rc->uri, "u.r.i"));
	assert_true(slice_eq_str(ic->authid, "client01"));
	assert_true(ic->pubkey.there);
	assert_int_equal(ic->pubkey.octets[0], 0xaa);
	assert_int_equal(rc->message.len, 0);
	identity_unref(&ic);
	assert_null(ic);
	revocation_unref(&rc);
	assert_null(rc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_term_must_match),
		cmocka_unit_test(test_only_the_authenticators_own),
		cmocka_unit_test(test_newer_by_epoch),
		cmocka_unit_test(test_newer_by_order_where_epochs_do_not_compare),
		cmocka_unit_test(test_remembered_until_its_time_is_over),
		cmocka_unit_test(test_a_login_asked_later_may_go_on),
		cmocka_unit_test(test_full_memory_refuses_instead_of_letting_in),
		cmocka_unit_test(test_a_newer_one_stays_forgotten),
		cmocka_unit_test(test_dry_run_is_not_remembered),
		cmocka_unit_test(test_copies_hold_their_texts),
	};
	return cmocka_run_group_tests_name("revocation", tests, NULL, NULL);
}
