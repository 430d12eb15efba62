/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables: uthash with the keyed hash of common/hash.h, changed not to call exit()
 * when out of memory. Include this header, never <uthash.h>. A table belongs to one
 * thread.
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

#include "common/hash.h"

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
