/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of authd's store, principals and decision: what is stored, what a rollback
 * undoes, when the epoch rises; and databases that are locked, full, foreign, newer or
 * edited by hand. */
#include "authd/authenticate.h"
#include "authd/store.h"
#include "common/err.h"
#include "common/log.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

static char dir[] = "/tmp/test_store.XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/a.db", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int remove_files(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal", ".lock"};
	char name[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	return 0;
}

static const uint8_t key_a[32] = {1, 2, 3}, key_b[32] = {4, 5, 6}, key_c[32] = {0};

static pid_t holder;

static struct admin_principal sample(const char *authid, const uint8_t *key)
{
	struct admin_principal p = {
		.authid = slice_str(authid),
		.realm = slice_str("devices"),
		.role = slice_str("device"),
		.extra = slice_str("\x81\xa3"
				   "foo\x17"),
		.created = 1700000000,
	};

	assert_int_equal(principal_extra_check(p.extra), 0);
	if (key != NULL)
		assert_int_equal(principal_key_add(&p.keys, key), 0);
	return p;
}

static void insert(struct store *s, const struct admin_principal *p)
{
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_insert(s, p), 0);
	assert_int_equal(store_end(s, 0), 0);
}

/* Edits the file as an administrator with sqlite3 might. */
static void edit(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* --- principals --- */

static void test_principal(void **state)
{
	static uint8_t large[ADMIN_MAX_EXTRA + 1] = {0x80};
	struct admin_principal p = sample("joe", key_b), q;
	char name[300];
	uint8_t key[32] = {0};

	(void)state;
	memset(name, 'x', sizeof(name));
	assert_false(principal_name_ok(slice_of(name, 0)));
	assert_false(principal_name_ok(slice_of(name, 256)));
	assert_true(principal_name_ok(slice_of(name, 255)));
	assert_false(principal_name_ok(slice_str("a\nb")));
	assert_int_equal(principal_extra_check(slice_of(large, sizeof(large))), E_LIMIT);
	assert_int_equal(principal_extra_check(slice_str("\x90")), E_TYPE);
	assert_int_equal(principal_key_add(&p.keys, key_a), 0);
	assert_int_equal(principal_key_add(&p.keys, key_a), E_EXISTS);
	assert_memory_equal(p.keys.key[0], key_a, 32); /* in order */
	q = sample("joe", key_a);
	assert_non_null(principal_difference(&p, &q));
	assert_int_equal(principal_key_add(&q.keys, key_b), 0);
	assert_null(principal_difference(&p, &q));
	q.created++;
	assert_null(principal_difference(&p, &q));
	q.disabled = true;
	assert_non_null(principal_difference(&p, &q));
	for (uint8_t i = 10; p.keys.n < FIELD_MAX_KEYS; i++) {
		key[0] = i;
		assert_int_equal(principal_key_add(&p.keys, key), 0);
	}
	key[0] = 200;
	assert_int_equal(principal_key_add(&p.keys, key), E_LIMIT);
}

/* --- the store --- */

static void test_keeps(void **state)
{
	struct store *s, *second;
	struct admin_principal p = sample("joe", key_a);
	struct principal q;
	char id[40];

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	assert_int_equal(store_open(path, &second, &holder), E_AGAIN);
	assert_int_equal(holder, getpid());
	assert_int_equal(store_epoch(s), 1);
	assert_int_equal(strlen(store_id(s)), 32);
	snprintf(id, sizeof(id), "%s", store_id(s));
	assert_int_equal(store_find(s, slice_str("joe"), &q), E_NOTFOUND);
	assert_int_equal(principal_key_add(&p.keys, key_b), 0);
	insert(s, &p);
	store_close(&s);
	assert_null(s);
	assert_int_equal(store_open(path, &s, &holder), 0);
	assert_string_equal(store_id(s), id);
	assert_int_equal(store_find(s, slice_str("joe"), &q), 0);
	assert_null(principal_difference(&p, &q.is));
	assert_int_equal(q.is.created, 1700000000);
	assert_int_equal(store_find_by_key(s, key_b, &q), 0);
	assert_null(principal_difference(&p, &q.is));
	assert_int_equal(store_find_by_key(s, key_c, &q), E_NOTFOUND);
	assert_int_equal(store_find(s, slice_of(NULL, 0), &q), E_NOTFOUND);
	store_close(&s);
}

static void test_changes(void **state)
{
	struct store *s;
	struct admin_principal p = sample("joe", key_a), other = sample("ann", key_a);
	struct principal q;

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	insert(s, &p);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_insert(s, &p), E_EXISTS);
	assert_int_equal(store_end(s, E_EXISTS), E_EXISTS);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_insert(s, &other), E_EXISTS); /* joe already has its key */
	assert_int_equal(store_end(s, E_EXISTS), E_EXISTS);
	assert_int_equal(store_find(s, slice_str("ann"), &q), E_NOTFOUND);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_set_disabled(s, slice_str("bob"), true), E_NOTFOUND);
	assert_int_equal(store_set_disabled(s, slice_str("joe"), true), 0);
	assert_int_equal(store_delete_key(s, slice_str("joe"), key_b), E_NOTFOUND);
	assert_int_equal(store_delete_key(s, slice_str("ann"), key_a), E_NOTFOUND);
	assert_int_equal(store_delete_key(s, slice_str("joe"), key_a), 0);
	assert_int_equal(store_insert_key(s, slice_str("joe"), key_c), 0);
	assert_int_equal(store_raise_epoch(s), 0);
	assert_int_equal(store_epoch(s), 1); /* not before the commit */
	assert_int_equal(store_end(s, 0), 0);
	assert_int_equal(store_epoch(s), 2);
	assert_int_equal(store_find_by_key(s, key_c, &q), 0);
	assert_true(q.is.disabled);
	assert_int_equal(q.is.keys.n, 1);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_delete(s, slice_str("joe")), 0);
	assert_int_equal(store_delete(s, slice_str("joe")), E_NOTFOUND);
	assert_int_equal(store_raise_epoch(s), 0);
	assert_int_equal(store_end(s, E_EXISTS), E_EXISTS);
	assert_int_equal(store_epoch(s), 2);
	assert_int_equal(store_find_by_key(s, key_c, &q), 0);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_delete(s, slice_str("joe")), 0);
	assert_int_equal(store_end(s, 0), 0);
	assert_int_equal(store_find_by_key(s, key_c, &q), E_NOTFOUND);
	insert(s, &other); /* the key can be used again */
	store_close(&s);
	assert_int_equal(store_open(path, &s, &holder), 0);
	assert_int_equal(store_epoch(s), 2);
	store_close(&s);
}

static void test_order(void **state)
{
	static const char *const authids[] = {"b", "a", "c", "\xc3\xa9", "aa"};
	static const char *const sorted[] = {"a", "aa", "b", "c", "\xc3\xa9"};
	struct store *s;
	struct admin_principal p;
	struct principal found;
	struct slice after = {NULL, 0};

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	for (size_t i = 0; i < ARRAY_LEN(authids); i++) {
		p = sample(authids[i], NULL);
		insert(s, &p);
	}
	for (size_t i = 0; i < ARRAY_LEN(sorted); i++) {
		assert_int_equal(store_next(s, after, &found), 0);
		after = found.is.authid;
		assert_true(slice_eq_str(after, sorted[i]));
	}
	assert_int_equal(store_next(s, after, &found), E_NOTFOUND);
	store_close(&s);
}

/* --- failures of disk and database --- */

static void test_foreign_files(void **state)
{
	struct store *s = NULL;

	(void)state;
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", f);
	fclose(f);
	assert_int_equal(store_open(path, &s, &holder), E_DB);
	remove_files(NULL);
	edit("CREATE TABLE cats (name)");
	assert_int_equal(store_open(path, &s, &holder), E_DB);
	remove_files(NULL);
	assert_int_equal(store_open(path, &s, &holder), 0);
	store_close(&s);
	edit("PRAGMA user_version = 999");
	assert_int_equal(store_open(path, &s, &holder), E_DB);
	edit("PRAGMA user_version = 1; DELETE FROM meta");
	assert_int_equal(store_open(path, &s, &holder), E_DB);
	assert_null(s);
	assert_int_equal(store_open("/no/such/folder/a.db", &s, &holder), E_SYS);
}

static void test_edited_by_hand(void **state)
{
	static const char *const edits[] = {
		"UPDATE principal SET extra = x'90'",
		"UPDATE principal SET extra = x'81a1'",
		"UPDATE principal SET extra = ''",
		"UPDATE principal SET role = ''",
		"UPDATE principal SET role = CAST(x'ff' AS TEXT)",
		"UPDATE principal SET realm = 'a' || char(10) || 'b'",
		"UPDATE principal SET realm = CAST(zeroblob(300) AS TEXT)",
		"INSERT INTO key VALUES (x'00', 'joe')",
		"INSERT INTO key VALUES (17, 'joe')",
		("WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < "
		 "40)"
		 " INSERT INTO key SELECT randomblob(32), 'joe' FROM n"),
	};
	const struct settings_deny deny = {.uri = "a.b", .message = "no"};
	const struct auth_request q = {
		.authmethod = slice_str("cryptosign"),
		.pubkey = slice_str("01020300000000000000000000000000"
				    "00000000000000000000000000000000"),
	};
	struct admin_principal p = sample("joe", key_a);
	struct principal found;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		struct store *s;
		struct auth_error e;
		struct buf out;
		const char *why;

		remove_files(NULL);
		assert_int_equal(store_open(path, &s, &holder), 0);
		insert(s, &p);
		edit(edits[i]);
		assert_int_equal(store_find_by_key(s, key_a, &found), E_DB);
		assert_int_equal(store_errors(s), 1);
		buf_init(&out, AUTH_MAX_MESSAGE);
		assert_int_equal(authenticate(s, &deny, &q, &out, &why), VERDICT_FAILED);
		auth_error_read(buf_slice(&out), &e);
		assert_int_equal(e.kind, AUTH_ERROR_TEMPORARY);
		buf_fini(&out);
		store_close(&s);
	}
}

static void test_locked(void **state)
{
	struct store *s;
	struct admin_principal p = sample("joe", key_a);
	struct principal q;
	sqlite3 *other;

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	insert(s, &p);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(store_begin(s), E_AGAIN);
	assert_int_equal(store_find(s, slice_str("joe"), &q), 0); /* logins still work */
	sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_end(s, E_EXISTS), E_EXISTS);
	sqlite3_close(other);
	store_close(&s);
}

/* A look-up that fails with this database gives a temporary error, so that the client
 * tries again. */
static void assert_asks_again(struct store *s, int err)
{
	const struct settings_deny deny = {.uri = "a.b", .message = "no"};
	const struct auth_request by_key = {
		.authmethod = slice_str("cryptosign"),
		.pubkey = slice_str("01020300000000000000000000000000"
				    "00000000000000000000000000000000"),
	};
	const struct auth_request by_authid = {
		.authmethod = slice_str("cryptosign"),
		.authid = slice_str("joe"),
	};
	const struct auth_request *const all[] = {&by_key, &by_authid};
	struct principal p;

	assert_int_equal(store_find(s, slice_str("joe"), &p), err);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct auth_error e;
		struct buf out;
		const char *why = NULL;

		buf_init(&out, AUTH_MAX_MESSAGE);
		assert_int_equal(authenticate(s, &deny, all[i], &out, &why),
				 VERDICT_FAILED);
		assert_string_equal(why, err_str(err));
		auth_error_read(buf_slice(&out), &e);
		assert_int_equal(e.kind, AUTH_ERROR_TEMPORARY);
		assert_true(slice_eq_str(e.detail, err_str(err)));
		buf_fini(&out);
	}
}

static void test_out_of_memory(void **state)
{
	struct admin_principal p = sample("joe", key_a);
	struct principal q;
	uint8_t extra[6 + 8000] = {0x81, 0xa1, 'x', 0xda, 8000 >> 8, 8000 & 0xff};
	struct store *s;

	(void)state;
	/* a row of several pages, which SQLite cannot read without an allocation */
	memset(extra + 6, 'x', 8000);
	p.extra = slice_of(extra, 6 + 8000);
	assert_int_equal(principal_extra_check(p.extra), 0);
	assert_int_equal(store_open(path, &s, &holder), 0);
	insert(s, &p);
	store_close(&s);
	assert_int_equal(store_open(path, &s, &holder), 0); /* nothing is cached */
	sqlite3_hard_heap_limit64(1); /* less than SQLite holds: it gets nothing more */
	assert_asks_again(s, E_NOMEM);
	sqlite3_hard_heap_limit64(0);
	assert_int_equal(store_find(s, slice_str("joe"), &q), 0);
	assert_null(principal_difference(&p, &q.is));
	store_close(&s);
}

/* The file ends before its tables do: reading it is an I/O error or finds damage. */
static void test_cut_off(void **state)
{
	struct admin_principal p = sample("joe", key_a);
	struct store *s;

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	insert(s, &p);
	store_close(&s);
	assert_int_equal(store_open(path, &s, &holder), 0);
	assert_int_equal(truncate(path, 4096), 0);
	assert_asks_again(s, E_DB);
	assert_int_equal(store_errors(s), 3);
	store_close(&s);
}

/* Another program has an exclusive lock, so that even reading fails. */
static void test_locked_for_readers(void **state)
{
	struct store *s = NULL;
	sqlite3 *other;

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	store_close(&s);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other,
				      "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(store_open(path, &s, &holder), E_AGAIN);
	sqlite3_close(other);
	assert_int_equal(store_open(path, &s, &holder), 0);
	store_close(&s);
}

/* The disk is full: no file can grow. */
static void test_full(void **state)
{
	struct rlimit old, tiny;
	struct store *s;
	struct admin_principal p = sample("joe", key_a);
	struct principal q;
	struct stat st;
	char wal[80];

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	insert(s, &p);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tiny = old;
	tiny.rlim_cur = (rlim_t)st.st_size;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
	assert_int_equal(store_begin(s), 0);
	int r = store_set_disabled(s, slice_str("joe"), true);
	if (r == 0)
		r = store_raise_epoch(s);
	r = store_end(s, r);
	assert_true(r == E_DB || r == E_LIMIT);
	assert_true(store_errors(s) > 0);
	assert_int_equal(store_epoch(s), 1);
	assert_int_equal(store_find(s, slice_str("joe"), &q), 0);
	assert_false(q.is.disabled);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	/* there is room again */
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_set_disabled(s, slice_str("joe"), true), 0);
	assert_int_equal(store_end(s, 0), 0);
	store_close(&s);
}

/* --- the decision --- */

#define HEX_A     "0102030000000000000000000000000000000000000000000000000000000000"
#define HEX_UPPER "ABCDEF0000000000000000000000000000000000000000000000000000000000"
#define HEX_LOWER "abcdef0000000000000000000000000000000000000000000000000000000000"

static void test_decision(void **state)
{
	static const struct {
		const char *realm, *authid, *pubkey;
		bool disabled;
		const char *why; /* NULL: allowed */
	} cases[] = {
		{"", "", HEX_A, false, NULL},
		{"devices", "", HEX_A, false, NULL},
		{"devices", "joe", HEX_A, false, NULL},
		{"", "joe", "", false, NULL},
		{"other", "", HEX_A, false, "the principal is in another realm"},
		{"", "ann", HEX_A, false, "the public key has another authid"},
		{"", "", HEX_A, true, "the principal is disabled"},
		{"", "joe", "", true, "the principal is disabled"},
		{"", "", HEX_UPPER, false, "unknown public key"},
		{"", "", "0102", false, "malformed public key"},
		{"", "bob", "", false, "unknown authid"},
		{"", "nokey", "", false, "the principal has no keys"},
		{"", "", "", false, "no public key and no authid"},
	};
	const struct settings_deny deny = {
		.uri = "com.example.no",
		.message = "{pubkey} {pubkey}!",
	};
	struct admin_principal p = sample("joe", key_a), keyless = sample("nokey", NULL);
	struct store *s;
	struct buf out;

	(void)state;
	assert_int_equal(store_open(path, &s, &holder), 0);
	insert(s, &p);
	insert(s, &keyless);
	buf_init(&out, AUTH_MAX_MESSAGE);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct auth_request q = {
			.realm = slice_str(cases[i].realm),
			.authid = slice_str(cases[i].authid),
			.pubkey = slice_str(cases[i].pubkey),
			.authmethod = slice_str("cryptosign"),
		};
		struct auth_result res;
		struct auth_error e;
		const char *why = NULL;

		assert_int_equal(store_begin(s), 0);
		assert_int_equal(
			store_set_disabled(s, slice_str("joe"), cases[i].disabled), 0);
		assert_int_equal(store_end(s, 0), 0);
		buf_clear(&out);
		enum verdict verdict = authenticate(s, &deny, &q, &out, &why);
		assert_int_equal(verdict,
				 cases[i].why == NULL ? VERDICT_ALLOWED : VERDICT_DENIED);
		if (verdict == VERDICT_ALLOWED) {
			assert_int_equal(auth_result_read(buf_slice(&out), &res), 0);
			assert_true(slice_eq_str(res.role, "device"));
			assert_true(slice_eq_str(res.realm, "devices"));
			assert_true(slice_eq_str(res.authid, "joe"));
			assert_memory_equal(res.keys.key[0], "\1\2\3\0", 4);
			assert_int_equal(res.keys.n, 1);
			assert_int_equal(res.epoch, 1);
			continue;
		}
		assert_string_equal(why, cases[i].why);
		auth_error_read(buf_slice(&out), &e);
		assert_int_equal(e.kind, AUTH_ERROR_DENY);
		assert_true(slice_eq_str(e.uri, "com.example.no"));
		if (strcmp(cases[i].pubkey, HEX_UPPER) == 0)
			assert_true(slice_eq_str(e.message, HEX_LOWER " " HEX_LOWER "!"));
	}
	const struct auth_request ticket = {.authmethod = slice_str("ticket")};
	struct auth_error e;
	const char *why;
	buf_clear(&out);
	assert_int_equal(authenticate(s, &deny, &ticket, &out, &why), VERDICT_DENIED);
	auth_error_read(buf_slice(&out), &e);
	assert_int_equal(e.kind, AUTH_ERROR_DENY);
	assert_true(slice_eq_str(e.uri, "wamp.error.no_matching_auth_method"));
	buf_fini(&out);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_principal),
		cmocka_unit_test_teardown(test_keeps, remove_files),
		cmocka_unit_test_teardown(test_changes, remove_files),
		cmocka_unit_test_teardown(test_order, remove_files),
		cmocka_unit_test_teardown(test_foreign_files, remove_files),
		cmocka_unit_test_teardown(test_edited_by_hand, remove_files),
		cmocka_unit_test_teardown(test_locked, remove_files),
		cmocka_unit_test_teardown(test_out_of_memory, remove_files),
		cmocka_unit_test_teardown(test_cut_off, remove_files),
		cmocka_unit_test_teardown(test_locked_for_readers, remove_files),
		cmocka_unit_test_teardown(test_full, remove_files),
		cmocka_unit_test_teardown(test_decision, remove_files),
	};

	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("store", tests, make_dir, remove_dir);
}
