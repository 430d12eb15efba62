/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables: uthash, with the keyed hash of common/hash.h, and without its exit() when
 * memory runs out. Include this, never <uthash.h>. A table belongs to one thread.
 *
 * After a HASH_ADD (which needs memory) ask table_has(element): false means that there
 * was none, and the element is not in the table. HASH_FIND and HASH_DEL cannot fail.
 *
 * Keys are compared as bytes: a struct key must have no padding, or be zeroed first. The
 * first element of a table costs 1.3 KiB: one table for many, not a table in each.
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

/* Did the HASH_ADD of this element, whose handle is named hh, find memory? */
#define table_has(elem) ((elem)->hh.tbl != NULL)

#endif
