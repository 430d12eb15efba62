/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/admin_api with bytes written by hand from MessagePack's
 * specification. The writers give exactly these bytes. The readers accept them, and
 * refuse them cut at any length. Also tests walking through the items of a list. */
#include "common/err.h"
#include "proto/admin_api.h"
#include "proto/auth_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define GOLDEN(text)                                                                     \
	{                                                                                \
		(const uint8_t *)(text), sizeof(text) - 1                                \
	}
#define READ_ITEM(name, in, out)   fields_read_item(in, &admin_##name##_table, out)
#define READ_PARAMS(name, in, out) fields_read_params(in, &admin_##name##_table, out)
#define HEX_ZEROS                  "000000000000000000000000000000000000000000000000000000000000"

/* clang-format off */
static const struct slice golden_principal = GOLDEN(
	"\x87"
	"\xa6" "authid" "\xb4" "client01@example.com"
	"\xa5" "realm" "\xa7" "devices"
	"\xa4" "role" "\xa6" "device"
	"\xa5" "extra" "\x81\xa3" "foo" "\x17"
	"\xa4" "keys" "\x92" "\xd9\x40" "ab01" HEX_ZEROS "\xd9\x40" "cd02" HEX_ZEROS
	"\xa8" "disabled" "\xc3"
	"\xa7" "created" "\xce\x65\x53\xf1\x00");
static const struct slice golden_list = GOLDEN(
	"\x91\x82"
	"\xa4" "role" "\xa6" "device"
	"\xa5" "after" "\xa1" "x");
static const struct slice golden_target = GOLDEN(
	"\x91\x82"
	"\xa6" "authid" "\xa3" "joe"
	"\xa4" "keys" "\x91" "\xd9\x40" "ab01" HEX_ZEROS);
static const struct slice golden_change = GOLDEN(
	"\x85"
	"\xa7" "changed" "\xc3"
	"\xa8" "sessions" "\x03"
	"\xa7" "pending" "\xcc\xc8"
	"\xa7" "routers" "\xcd\x01\x2c"
	"\xab" "unreachable" "\x00");
static const struct slice golden_list_result = GOLDEN(
	"\x82"
	"\xa5" "items" "\x92\x07\xc0"
	"\xa4" "next" "\xa4" "last");
/* clang-format on */

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
	int e = READ_ITEM(principal, in, &p);

	if (e == 0) {
		assert_true(slice_eq_str(p.authid, "client01@example.com"));
		assert_true(slice_eq_str(p.realm, "devices"));
		assert_true(slice_eq_str(p.role, "device"));
		assert_true(slice_eq_str(p.extra, "\x81\xa3"
						  "foo\x17"));
		assert_int_equal(p.keys.n, 2);
		assert_memory_equal(p.keys.key, sample().keys.key, 2 * FIELD_KEY_LEN);
		assert_true(p.disabled);
		assert_int_equal(p.created, 1700000000);
	}
	return e;
}

static int read_list(struct slice in)
{
	struct admin_list l;
	int e = READ_PARAMS(list, in, &l);

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
	int e = READ_PARAMS(target, in, &t);

	if (e == 0) {
		assert_true(slice_eq_str(t.authid, "joe"));
		assert_int_equal(t.keys.n, 1);
		assert_memory_equal(t.keys.key, sample().keys.key, FIELD_KEY_LEN);
	}
	return e;
}

static int read_change(struct slice in)
{
	struct admin_change c;
	int e = READ_ITEM(change, in, &c);

	if (e == 0) {
		assert_true(c.changed);
		assert_int_equal(c.sessions, 3);
		assert_int_equal(c.pending, 200);
		assert_int_equal(c.routers, 300);
		assert_int_equal(c.unreachable, 0);
	}
	return e;
}

static int read_list_result(struct slice in)
{
	struct admin_list_result l;
	int e = READ_ITEM(list_result, in, &l);

	if (e == 0) {
		assert_true(slice_eq_str(l.items, "\x92\x07\xc0"));
		assert_true(slice_eq_str(l.next, "last"));
	}
	return e;
}

/* The struct is written as exactly these bytes, which are read whole, but not cut. */
static void check(struct buf *b, struct slice golden, read_fn *read)
{
	size_t len;

	assert_int_equal(b->err, 0);
	assert_int_equal(b->len, golden.len);
	assert_memory_equal(b->data, golden.p, golden.len);
	assert_int_equal(auth_check(golden, &len), 0);
	assert_int_equal(len, golden.len);
	assert_int_equal(read(golden), 0);
	for (size_t cut = 0; cut < golden.len; cut++) {
		uint8_t *copy = malloc(cut + 1);
		memcpy(copy, golden.p, cut);
		assert_int_equal(read(slice_of(copy, cut)), E_TRUNCATED);
		free(copy);
	}
	buf_clear(b);
}

static void test_golden(void **state)
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
		.pending = 200,
		.routers = 300,
		.unreachable = 0,
	};
	const struct admin_list_result lr = {.items = slice_str("\x92\x07\xc0"),
					     .next = slice_str("last")};
	struct admin_principal again;
	struct buf b;

	(void)state;
	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, &admin_principal_table, &p);
	check(&b, golden_principal, read_principal);
	fields_write_params(&b, &admin_list_table, &l);
	check(&b, golden_list, read_list);
	fields_write_params(&b, &admin_target_table, &t);
	check(&b, golden_target, read_target);
	fields_write_item(&b, &admin_change_table, &c);
	check(&b, golden_change, read_change);
	fields_write_item(&b, &admin_list_result_table, &lr);
	check(&b, golden_list_result, read_list_result);
	fields_write_params(&b, &admin_principal_table, &p);
	assert_int_equal(b.len, golden_principal.len + 1);
	assert_int_equal(b.data[0], 0x91);
	assert_memory_equal(b.data + 1, golden_principal.p, golden_principal.len);
	assert_int_equal(READ_PARAMS(principal, buf_slice(&b), &again), 0);
	assert_true(slice_eq(again.extra, p.extra));
	assert_int_equal(READ_ITEM(principal, buf_slice(&b), &again), E_TYPE);
	buf_fini(&b);
}

/* Absent fields are not written. A principal to be added has no time. */
static void test_least(void **state)
{
	const struct admin_principal p = {
		.authid = slice_str("a"),
		.realm = slice_str("r"),
		.role = slice_str("o"),
		.created = FIELD_NONE,
	};
	static const char golden[] = "\x91\x84\xa6"
				     "authid\xa1"
				     "a\xa5"
				     "realm\xa1"
				     "r\xa4"
				     "role\xa1"
				     "o\xa8"
				     "disabled\xc2";
	struct admin_principal again;
	struct buf b;

	(void)state;
	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_params(&b, &admin_principal_table, &p);
	assert_true(slice_eq(buf_slice(&b), slice_str(golden)));
	assert_int_equal(READ_PARAMS(principal, slice_str(golden), &again), 0);
	assert_false(again.disabled);
	assert_int_equal(again.keys.n, 0);
	assert_int_equal(again.extra.len, 0);
	assert_true(again.created == FIELD_NONE);
	buf_fini(&b);
}

/* --- names of new principals --- */

/* The fault of one of the three names: sets what is wrong, and in which name. */
static const char *fault_of(const char *what, struct slice authid, struct slice realm,
			    struct slice role)
{
	const struct admin_principal p = {.authid = authid, .realm = realm, .role = role};
	const char *of = NULL;
	struct slice value;
	const char *fault = admin_names_fault(&p, &of, &value);

	if (fault != NULL) {
		assert_string_equal(of, what);
		assert_true(value.p == (what[0] == 'a'   ? authid.p
					: what[1] == 'e' ? realm.p
							 : role.p));
	}
	return fault;
}

static void test_names(void **state)
{
	const struct slice good = slice_str("good");
	static const struct {
		const char *name, *fault, *realm_fault;
	} cases[] = {
		{"client01@example.com", NULL, NULL},
		/* some scripts need the zero-width joiner */
		{"\xc3\xa9\xf0\x9f\x98\x80\xe2\x80\x8d", NULL, NULL},
		{"a b", NULL, "white space"},
		{"a\xe3\x80\x80z", NULL, "white space"},
		{"a#", NULL, "'#'"},
		{"a..b", NULL, "empty component"},
		{".", NULL, "empty component"},
		{"a.", NULL, "empty component"},
		{"", "empty", "empty"},
		{"\xff", "UTF-8", "UTF-8"},
		{"a\x01", "control", "control"},
		{"a\x7f", "control", "control"},
		{"\xc2\x80", "control", "control"},
		{"x\xc2\x9fy", "control", "control"},
		{"\xc2\xa1", NULL, NULL},
		{"\xd8\x9c", "control", "control"},
		{"\xe2\x80\x8e", "control", "control"},
		{"\xe2\x80\xa8", "control", "control"},
		{"\xe2\x80\xae", "control", "control"},
		{"\xe2\x81\xa6", "control", "control"},
		{"\xef\xbb\xbf", "control", "control"},
	};
	char longest[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct slice name = slice_str(cases[i].name);
		const char *fault = fault_of("authid", name, good, good);
		const char *realm = fault_of("realm", good, name, good);
		assert_true(fault_of("role", good, good, name) == fault);
		assert_int_equal(fault == NULL, cases[i].fault == NULL);
		assert_true(fault == NULL || strstr(fault, cases[i].fault) != NULL);
		assert_int_equal(realm == NULL, cases[i].realm_fault == NULL);
		assert_true(realm == NULL || strstr(realm, cases[i].realm_fault) != NULL);
	}
	memset(longest, 'x', sizeof(longest));
	assert_null(fault_of("authid", slice_of(longest, 255), good, good));
	assert_non_null(strstr(admin_search_fault(slice_of(longest, 256)), "255"));
	assert_null(admin_search_fault(slice_str("a\x01")));
	/* a cut character is no control character, and nothing behind it is read */
	assert_int_equal(admin_control_len(slice_str("\xe2\x80")), 0);
	assert_int_equal(admin_control_len(slice_of(NULL, 0)), 0);
	assert_int_equal(admin_control_len(slice_of("\0", 1)), 1);
}

static void test_required(void **state)
{
	struct admin_principal p;
	struct admin_target t;
	struct admin_change c;
	struct admin_list_result l;

	(void)state;
	assert_int_equal(READ_ITEM(principal, slice_str("\x80"), &p), E_NOTFOUND);
	assert_int_equal(READ_ITEM(list_result,
				   slice_str("\x81\xa5"
					     "items\xc0"),
				   &l),
			 E_NOTFOUND);
	assert_int_equal(READ_PARAMS(target, slice_str("\x91\x80"), &t), E_NOTFOUND);
	assert_int_equal(READ_PARAMS(target,
				     slice_str("\x91\x81\xa6"
					       "authid\xa0"),
				     &t),
			 E_RANGE);
	assert_int_equal(READ_ITEM(change, slice_str("\x80"), &c), E_NOTFOUND);
	assert_int_equal(READ_ITEM(change,
				   slice_str("\x81\xa7"
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
	fields_write_item(&one, &admin_principal_table, &p);
	token_writer_init(&w, SERIALIZER_MSGPACK, &items);
	token_put_array(&w, TOKEN_COUNT_UNKNOWN);
	for (int i = 0; i < 20; i++) /* too many for the shortest array header */
		token_put_raw(&w, buf_slice(&one), 1);
	token_put_end(&w);
	res.items = buf_slice(&items);
	fields_write_item(&b, &admin_list_result_table, &res);
	assert_int_equal(READ_ITEM(list_result, buf_slice(&b), &read), 0);
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
		cmocka_unit_test(test_golden), cmocka_unit_test(test_least),
		cmocka_unit_test(test_names),  cmocka_unit_test(test_required),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests_name("admin_api", tests, NULL, NULL);
}
