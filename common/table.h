/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables: uthash with a keyed hash, changed not to call exit() when out of memory.
 * Include this header, never <uthash.h>. A table belongs to one thread. The hash is
 * SipHash-2-4 with a key that only this process knows, so a peer cannot choose keys of a
 * table that collide.
 *
 * HASH_ADD allocates memory. Afterwards check table_has(element): false means that memory
 * ran out and the element is not in the table. HASH_FIND and HASH_DEL cannot fail.
 *
 * Keys are compared as bytes, so a struct used as a key must have no padding, or be
 * zeroed first. The first element of a table costs 1.3 KiB, so use one table for many
 * objects, not a table in each object.
 */
#ifndef COMMON_TABLE_H
#define COMMON_TABLE_H

#include "common/base.h"

enum { HASH_KEY_LEN = 16 };

struct hash_key {
	uint8_t bytes[HASH_KEY_LEN];
};

/* The process's key. It is drawn at random before main runs and never changes. */
extern const struct hash_key *const hash_process_key;

/* Hashes bytes with a key. */
uint64_t hash_bytes(const struct hash_key *key, struct slice bytes);

#ifdef UTHASH_H
#error "uthash.h was included before common/table.h"
#endif

#define HASH_FUNCTION(keyptr, keylen, hashv)                                             \
	((hashv) = (unsigned)hash_bytes(hash_process_key, slice_of((keyptr), (keylen))))
#define HASH_NONFATAL_OOM         1
#define uthash_nonfatal_oom(elem) ((void)(elem))

#include <uthash.h>

/*
 * Is the element in a table? It must be zeroed before HASH_ADD, and its handle named hh.
 */
#define table_has(elem) ((elem)->hh.tbl != NULL)

#endif
