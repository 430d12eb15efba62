/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed hashing for tables whose keys a peer chooses. The hash is SipHash-2-4 with a key
 * that only this process knows, so a peer cannot choose keys that collide. common/table.h
 * makes the tables of uthash use it. Any thread.
 */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "common/base.h"

enum { HASH_KEY_LEN = 16 };

struct hash_key {
	uint8_t bytes[HASH_KEY_LEN];
};

/* The process's key. It is drawn at random before main runs and never changes. */
extern const struct hash_key *const hash_process_key;

/* Hashes bytes with a key. */
uint64_t hash_bytes(const struct hash_key *key, struct slice bytes);

#endif
