/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests of proto/admin_api: what is written is read as the same, cut at any length
 * it is refused, and the items of a list are walked through.
 */
#include "common/err.h"
#include "proto/admin_api.h"
#include "proto/auth_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct admin_principal sample(void)
{
	return (struct admin_principal){
		.authid = slice_str("client01@example.com"),
		.realm = slice_str("devices"),
		.role = slice_str("device"),
		.extra = slice_str("\x81\xa3"
				   "foo\x17"),
		.keys = {.n = 2, .key = {{0xab, 1}, {0xcd, 2}}},
		.disabled = true,
		.created = 1700000000,
	};
}

typedef int read_fn(struct slice in);

static int read_principal(struct slice in)
{
	struct admin_principal p;
	int e = admin_principal_read(in, &p);

	if (e == 0) {
		assert_true(slice_eq_str(p.authid, "client01@example.com"));
		assert_true(slice_eq_str(p.realm, "devices"));
		assert_true(slice_eq_str(p.role, "device"));
		assert_int_equal(p.extra.len, 6);
		assert_int_equal(p.keys.n, 2);
		assert_memory_equal(p.keys.key[1], "\xcd\x02\0\0", 4);
		assert_true(p.disabled);
		assert_int_equal(p.created, 1700000000);
	}
	return e;
}

static int read_list(struct slice in)
{
	struct admin_list l;
	int e = admin_list_read(in, &l);

	if (e == 0) {
		assert_int_equal(l.realm.len, 0);
		assert_true(slice_eq_str(l.role, "device"));
		assert_true(slice_eq_str(l.after, "x"));
	}
	return e;
}

static int read_target(struct slice in)
{
	struct admin_target t;
	int e = admin_target_read(in, &t);

	if (e == 0) {
		assert_true(slice_eq_str(t.authid, "joe"));
		assert_int_equal(t.keys.n, 1);
	}
	return e;
}

static int read_change(struct slice in)
{
	struct admin_change c;
	int e = admin_change_read(in, &c);

	if (e == 0) {
		assert_true(c.changed);
		assert_int_equal(c.sessions, 3);
		assert_int_equal(c.pending, 1);
		assert_int_equal(c.routers, 2);
		assert_int_equal(c.unreachable, 4);
	}
	return e;
}

/* Whole it is read, cut it is not. */
static void check(struct buf *b, read_fn *read)
{
	size_t len;

	assert_int_equal(b->err, 0);
	assert_int_equal(auth_check(buf_slice(b), &len), 0);
	assert_int_equal(len, b->len);
	assert_int_equal(read(buf_slice(b)), 0);
	for (size_t cut = 0; cut < b->len; cut++) {
		uint8_t *copy = malloc(cut + 1);
		memcpy(copy, b->data, cut);
		assert_int_equal(read(slice_of(copy, cut)), E_TRUNCATED);
		free(copy);
	}
	buf_clear(b);
}

static void test_round_trips(void **state)
{
	const struct admin_principal p = sample();
	const struct admin_list l = {.role = slice_str("device"),
				     .after = slice_str("x")};
	const struct admin_target t = {
		.authid = slice_str("joe"),
		.keys = {.n = 1, .key = {{0xab, 1}}},
	};
	const struct admin_change c = {
		.changed = true,
		.sessions = 3,
		.pending = 1,
		.routers = 2,
		.unreachable = 4,
	};
	struct admin_principal again;
	struct buf b;

	(void)state;
	buf_init(&b, AUTH_MAX_MESSAGE);
	admin_principal_write(&b, &p);
	check(&b, read_principal);
	admin_list_write(&b, &l);
	check(&b, read_list);
	admin_target_write(&b, &t);
	check(&b, read_target);
	admin_change_write(&b, &c);
	check(&b, read_change);
	admin_principal_write_params(&b, &p);
	assert_int_equal(admin_principal_read_params(buf_slice(&b), &again), 0);
	assert_true(slice_eq(again.extra, p.extra));
	assert_int_equal(admin_principal_read(buf_slice(&b), &again), E_TYPE);
	buf_fini(&b);
}

static void test_required(void **state)
{
	struct admin_principal p;
	struct admin_target t;
	struct admin_change c;
	struct admin_list_result l;

	(void)state;
	assert_int_equal(admin_principal_read(slice_str("\x80"), &p), E_NOTFOUND);
	assert_int_equal(admin_list_result_read(slice_str("\x81\xa5"
							  "items\xc0"),
						&l),
			 E_NOTFOUND);
	assert_int_equal(admin_target_read(slice_str("\x91\x80"), &t), E_NOTFOUND);
	assert_int_equal(admin_target_read(slice_str("\x91\x81\xa6"
						     "authid\xa0"),
					   &t),
			 E_RANGE);
	assert_int_equal(admin_change_read(slice_str("\x80"), &c), E_NOTFOUND);
	assert_int_equal(admin_change_read(slice_str("\x81\xa7"
						     "changed\x01"),
					   &c),
			 E_TYPE);
}

static void test_list(void **state)
{
	const struct admin_principal p = sample();
	struct admin_list_result res = {.next = slice_str("next")}, read;
	struct admin_principal item;
	struct token_writer w;
	struct token_reader r;
	struct buf one, items, b;

	(void)state;
	buf_init(&one, AUTH_MAX_MESSAGE);
	buf_init(&items, AUTH_MAX_MESSAGE);
	buf_init(&b, AUTH_MAX_MESSAGE);
	admin_principal_write(&one, &p);
	token_writer_init(&w, SERIALIZER_MSGPACK, &items);
	token_put_array(&w, TOKEN_COUNT_UNKNOWN);
	for (int i = 0; i < 20; i++) /* more than fit into the shortest header */
		token_put_raw(&w, buf_slice(&one), 1);
	token_put_end(&w);
	res.items = buf_slice(&items);
	admin_list_result_write(&b, &res);
	assert_int_equal(admin_list_result_read(buf_slice(&b), &read), 0);
	assert_true(slice_eq_str(read.next, "next"));
	assert_int_equal(admin_list_begin(&r, read.items), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(admin_list_next(&r, &item), 0);
		assert_true(slice_eq(item.authid, p.authid));
	}
	assert_int_equal(admin_list_next(&r, &item), E_NOTFOUND);
	assert_int_equal(admin_list_begin(&r, slice_str("\x80")), E_TYPE);
	assert_int_equal(admin_list_begin(&r, slice_str("\x91\x07")), 0);
	assert_int_equal(admin_list_next(&r, &item), E_TYPE);
	buf_fini(&one);
	buf_fini(&items);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests_name("admin_api", tests, NULL, NULL);
}
