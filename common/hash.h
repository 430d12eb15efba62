/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed hashing for tables whose keys somebody else chooses: SipHash-2-4 under a key that
 * nobody outside this process knows, so that no peer can make keys collide. Tables by
 * uthash get it by including common/table.h. Any thread.
 */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "common/base.h"

enum { HASH_KEY_LEN = 16 };

struct hash_key {
	uint8_t bytes[HASH_KEY_LEN];
};

/* The process's key: random, drawn before main, never changed. */
extern const struct hash_key *const hash_process_key;

/* The hash of some bytes under a key. */
uint64_t hash_bytes(const struct hash_key *key, struct slice bytes);

#endif
