/* SPDX-License-Identifier: Apache-2.0 */
/* The process's hash key, and SipHash from libsodium; see table.h. Any thread. */
#include "common/table.h"

#include <assert.h>
#include <sodium.h>
#include <sys/random.h>

static_assert(HASH_KEY_LEN == crypto_shorthash_KEYBYTES,
	      "HASH_KEY_LEN is the length of a SipHash key");
static_assert(sizeof(uint64_t) == crypto_shorthash_BYTES, "a hash has 64 bits");

static struct hash_key process_key;
const struct hash_key *const hash_process_key = &process_key;

/*
 * A constructor, so that no program or test can forget to call it. Without it the key
 * would be constant: every table would still work, and nobody would notice that a peer
 * can attack it.
 */
__attribute__((constructor)) static void draw_process_key(void)
{
	ssize_t n = getrandom(process_key.bytes, sizeof(process_key.bytes), 0);

	ASSERT(n == sizeof(process_key.bytes));
}

uint64_t hash_bytes(const struct hash_key *key, struct slice bytes)
{
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, bytes.p, bytes.len, key->bytes);
	return hash;
}
