/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash with its published vectors, the process's key, and a table that uses it. */
#include "common/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The vectors of the SipHash paper: key 00..0f, message 00, 01, 02, ... of n bytes. */
static void known_vectors(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		uint64_t hash;
	} rows[] = {
		{0, 0x726fdb47dd0e0e31},
		{1, 0x74f839c593dc67fd},
		{8, 0x93f5f5799a932462},
		{15, 0xa129ca6149be45e5},
	};
	struct hash_key key;
	uint8_t message[16];

	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = message[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(hash_bytes(&key, slice_of(message, rows[i].len)) ==
			    rows[i].hash);
}

static void process_key_is_drawn(void **state)
{
	(void)state;
	static const struct hash_key zero;

	assert_memory_not_equal(hash_process_key, &zero, sizeof(zero));
}

struct entry {
	uint32_t key;
	UT_hash_handle hh;
};

static void table_finds_what_was_added(void **state)
{
	(void)state;
	static struct entry entries[1000];
	struct entry *table = NULL, *found;

	for (uint32_t i = 0; i < ARRAY_LEN(entries); i++) {
		entries[i].key = i * 7;
		HASH_ADD(hh, table, key, sizeof(entries[i].key), &entries[i]);
		assert_true(table_has(&entries[i]));
	}
	for (uint32_t key = 0; key < ARRAY_LEN(entries) * 7; key++) {
		HASH_FIND(hh, table, &key, sizeof(key), found);
		assert_ptr_equal(found, key % 7 == 0 ? &entries[key / 7] : NULL);
	}
	for (uint32_t i = 0; i < ARRAY_LEN(entries); i++)
		HASH_DEL(table, &entries[i]);
	assert_null(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_vectors),
		cmocka_unit_test(process_key_is_drawn),
		cmocka_unit_test(table_finds_what_was_added),
	};

	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
