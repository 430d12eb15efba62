/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The computations of WAMP-CRA (specification: "Challenge Response Authentication"). No
 * allocation, no state; any thread.
 */
#ifndef PROTO_CRA_H
#define PROTO_CRA_H

#include "common/base.h"

enum {
	CRA_MIN_KEYLEN = 16, /* bytes of a derived key */
	CRA_MAX_KEYLEN = 64,
	/* What Autobahn derives by default. */
	CRA_ITERATIONS = 1000,
	CRA_KEYLEN = 32,
	/* Characters of a derived key, with a terminator. */
	CRA_KEY_TEXT = 4 * ((CRA_MAX_KEYLEN + 2) / 3) + 1,
	CRA_SIGNATURE_LEN = 44, /* characters */
};

/*
 * A key for signatures. It is the secret itself or, if the secret is longer than a block
 * of SHA-256, its hash, which gives the same signatures (RFC 2104). So signing takes the
 * same time for every key.
 */
struct cra_key {
	size_t len;
	uint8_t bytes[64];
};

/*
 * Derives a key of out_len bytes from a password by PBKDF2 with HMAC-SHA256 (RFC 8018).
 * The time is proportional to the iterations: about 1 us for each.
 */
void pbkdf2_sha256(struct slice password, struct slice salt, uint32_t iterations,
		   uint8_t *out, size_t out_len);

/* The key of a secret without a salt, or of a derived key, which is text. */
void cra_key_of(struct slice secret, struct cra_key *out);
/*
 * The key of a salted secret: keylen bytes derived by PBKDF2, as text in base64. keylen
 * is CRA_MIN_KEYLEN to CRA_MAX_KEYLEN.
 */
void cra_derive(struct slice secret, struct slice salt, uint32_t iterations,
		size_t keylen, struct cra_key *out);

/* Signs a challenge: HMAC-SHA256 in base64, with a terminator. */
void cra_sign(const struct cra_key *key, struct slice challenge,
	      char out[CRA_SIGNATURE_LEN + 1]);

/* Is this the signature of the challenge? Compares in constant time. */
bool cra_verify(const struct cra_key *key, struct slice challenge,
		struct slice signature);

#endif
