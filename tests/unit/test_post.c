/* SPDX-License-Identifier: Apache-2.0 */
/* routerd/post: a post must count everything that it holds, or mailboxes are not bounded.
 */
#include "routerd/post/post.h"

#include "routerd/post/login_message.h"
#include "routerd/post/role_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LONG = 20000 };

static const uint8_t letters[LONG];

static void expect_counted(struct post p)
{
	assert_in_range(post_size(&p), sizeof(p) + LONG, sizeof(p) + LONG + 500);
	post_drop(&p);
}

/* Options of about LONG bytes. */
static struct options *long_options(void)
{
	static char list[LONG + 4] = "[\"";
	struct msg m = {.filters = 1 << MSG_EXCLUDE_AUTHID};
	struct options *o;

	memset(list + 2, 'x', LONG);
	list[LONG + 2] = '"';
	list[LONG + 3] = ']';
	m.filter[MSG_EXCLUDE_AUTHID] = slice_of(list, sizeof(list));
	assert_int_equal(options_new(SERIALIZER_JSON, &m, &o), 0);
	return o;
}

static void test_what_is_held_is_counted(void **state)
{
	static const struct login_message head;
	const struct slice s = slice_of(letters, LONG);
	const struct identity who = {.authid = s};
	const struct revocation all = {.message = s};

	(void)state;
	expect_counted((struct post){
		.type = POST_LOGIN,
		.login = login_message_new(&head, s),
	});
	expect_counted((struct post){
		.type = POST_LOGIN_ANSWER,
		.login = login_message_new(&head, s),
	});
	expect_counted((struct post){
		.type = POST_LOGIN_REPORT,
		.login = login_message_new(&head, s),
	});
	expect_counted((struct post){
		.type = POST_META,
		.roles = role_set_new(LONG / sizeof(struct role_slot *)),
	});
	expect_counted((struct post){
		.type = POST_META,
		.procedure = META_SESSION_KILL,
		.kill = revocation_new(&all),
	});
	expect_counted((struct post){
		.type = POST_JOIN,
		.identity = identity_new(&who),
	});
	expect_counted((struct post){
		.type = POST_EVENT,
		.disclosed = identity_new(&who),
	});
	expect_counted((struct post){
		.type = POST_PUBLISH,
		.options = long_options(),
	});
	expect_counted((struct post){
		.type = POST_REVOKE,
		.revocation = revocation_new(&all),
	});
	expect_counted((struct post){
		.type = POST_KILLED,
		.revocation = revocation_new(&all),
	});
	expect_counted((struct post){
		.type = POST_JOIN_REFUSED,
		.revocation = revocation_new(&all),
	});
	struct buf *snapshot = buf_new(LONG);
	assert_non_null(snapshot);
	buf_put(snapshot, letters, LONG);
	expect_counted((struct post){.type = POST_COUNTED, .snapshot = snapshot});
}

static void test_refused_by_what_was_forgotten(void **state)
{
	(void)state;
	struct post p = {.type = POST_JOIN_REFUSED};
	assert_int_equal(post_size(&p), sizeof(p));
	post_drop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_held_is_counted),
		cmocka_unit_test(test_refused_by_what_was_forgotten),
	};
	return cmocka_run_group_tests_name("post", tests, NULL, NULL);
}
