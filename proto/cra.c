/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Computes signatures and keys of WAMP-CRA; see cra.h. Uses libsodium's HMAC, which
 * allocates nothing. No state; any thread.
 */
#include "proto/cra.h"

#include <sodium.h>

enum { HMAC_LEN = crypto_auth_hmacsha256_BYTES };

/* HMAC of two slices, with a state that already has the key. */
static void hmac_two(const crypto_auth_hmacsha256_state *keyed, struct slice a,
		     struct slice b, uint8_t out[HMAC_LEN])
{
	crypto_auth_hmacsha256_state s = *keyed;

	crypto_auth_hmacsha256_update(&s, a.p, a.len);
	crypto_auth_hmacsha256_update(&s, b.p, b.len);
	crypto_auth_hmacsha256_final(&s, out);
	sodium_memzero(&s, sizeof(s));
}

/* Computes one block of the key (RFC 8018, section 5.2, function F). */
static void pbkdf2_block(const crypto_auth_hmacsha256_state *keyed, struct slice salt,
			 uint32_t iterations, uint32_t index, uint8_t out[HMAC_LEN])
{
	static const struct slice nothing;
	uint8_t number[4], u[HMAC_LEN];

	put_be32(number, index);
	hmac_two(keyed, salt, slice_of(number, sizeof(number)), u);
	memcpy(out, u, HMAC_LEN);
	for (uint32_t i = 1; i < iterations; i++) {
		hmac_two(keyed, slice_of(u, HMAC_LEN), nothing, u);
		for (size_t k = 0; k < HMAC_LEN; k++)
			out[k] ^= u[k];
	}
	sodium_memzero(u, sizeof(u));
}

void pbkdf2_sha256(struct slice password, struct slice salt, uint32_t iterations,
		   uint8_t *out, size_t out_len)
{
	crypto_auth_hmacsha256_state keyed;
	uint8_t block[HMAC_LEN];

	crypto_auth_hmacsha256_init(&keyed, password.p, password.len);
	for (uint32_t index = 1; out_len > 0; index++) {
		size_t n = min_size(out_len, HMAC_LEN);

		pbkdf2_block(&keyed, salt, iterations, index, block);
		memcpy(out, block, n);
		out += n;
		out_len -= n;
	}
	sodium_memzero(&keyed, sizeof(keyed));
	sodium_memzero(block, sizeof(block));
}

void cra_key_of(struct slice secret, struct cra_key *out)
{
	if (secret.len <= sizeof(out->bytes)) {
		out->len = secret.len;
		memcpy(out->bytes, secret.p, secret.len);
	} else {
		out->len = crypto_hash_sha256_BYTES;
		crypto_hash_sha256(out->bytes, secret.p, secret.len);
	}
}

void cra_derive(struct slice secret, struct slice salt, uint32_t iterations,
		size_t keylen, struct cra_key *out)
{
	uint8_t derived[CRA_MAX_KEYLEN];
	char text[CRA_KEY_TEXT];

	ASSERT(keylen >= CRA_MIN_KEYLEN && keylen <= CRA_MAX_KEYLEN);
	pbkdf2_sha256(secret, salt, iterations, derived, keylen);
	sodium_bin2base64(text, sizeof(text), derived, keylen,
			  sodium_base64_VARIANT_ORIGINAL);
	cra_key_of(slice_str(text), out);
	sodium_memzero(derived, sizeof(derived));
	sodium_memzero(text, sizeof(text));
}

void cra_sign(const struct cra_key *key, struct slice challenge,
	      char out[CRA_SIGNATURE_LEN + 1])
{
	crypto_auth_hmacsha256_state s;
	uint8_t mac[HMAC_LEN];

	crypto_auth_hmacsha256_init(&s, key->bytes, key->len);
	crypto_auth_hmacsha256_update(&s, challenge.p, challenge.len);
	crypto_auth_hmacsha256_final(&s, mac);
	sodium_memzero(&s, sizeof(s));
	sodium_bin2base64(out, CRA_SIGNATURE_LEN + 1, mac, sizeof(mac),
			  sodium_base64_VARIANT_ORIGINAL);
}

bool cra_verify(const struct cra_key *key, struct slice challenge, struct slice signature)
{
	char right[CRA_SIGNATURE_LEN + 1];

	cra_sign(key, challenge, right);
	bool same = signature.len == CRA_SIGNATURE_LEN &&
		    sodium_memcmp(right, signature.p, CRA_SIGNATURE_LEN) == 0;
	sodium_memzero(right, sizeof(right));
	return same;
}
