/* SPDX-License-Identifier: Apache-2.0 */
/* Computes proofs and signatures of SCRAM; see scram.h. No state; any thread. */
#include "proto/scram.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>

static_assert((int)SCRAM_KEY_LEN == (int)crypto_hash_sha256_BYTES &&
		      (int)SCRAM_KEY_LEN == (int)crypto_auth_hmacsha256_BYTES,
	      "SCRAM_KEY_LEN is the length of SHA-256");

/* Appends a name as "saslname" (RFC 5802, section 7). */
static void put_saslname(struct buf *out, struct slice name, bool escape)
{
	for (size_t i = 0; i < name.len; i++)
		if (escape && name.p[i] == ',')
			buf_put_str(out, "=2C");
		else if (escape && name.p[i] == '=')
			buf_put_str(out, "=3D");
		else
			buf_put_u8(out, name.p[i]);
}

void scram_auth_message(struct buf *out, const struct scram_exchange *x)
{
	buf_put_str(out, "n=");
	put_saslname(out, x->authid, x->escape);
	buf_put_str(out, ",r=");
	buf_put_slice(out, x->client_nonce);
	buf_put_str(out, ",r=");
	buf_put_slice(out, x->nonce);
	buf_put_str(out, ",s=");
	buf_put_slice(out, x->salt);
	buf_printf(out, ",i=%" PRIu64 ",c=", x->iterations);
	buf_put_slice(out, x->cbind_input);
	buf_put_str(out, ",r=");
	buf_put_slice(out, x->nonce);
}

bool scram_verify(const uint8_t stored_key[SCRAM_KEY_LEN], struct slice auth_message,
		  struct slice proof)
{
	uint8_t key[SCRAM_KEY_LEN], given[SCRAM_KEY_LEN], recovered[SCRAM_KEY_LEN];
	size_t len = 0;

	if (proof.len != SCRAM_PROOF_LEN ||
	    sodium_base642bin(given, sizeof(given), (const char *)proof.p, proof.len,
			      NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    len != sizeof(given))
		return false;
	crypto_auth_hmacsha256(key, auth_message.p, auth_message.len, stored_key);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= given[i];
	crypto_hash_sha256(recovered, key, sizeof(key));
	sodium_memzero(key, sizeof(key));
	return sodium_memcmp(recovered, stored_key, sizeof(recovered)) == 0;
}

void scram_server_signature(const uint8_t server_key[SCRAM_KEY_LEN],
			    struct slice auth_message, char out[SCRAM_PROOF_LEN + 1])
{
	uint8_t signature[SCRAM_KEY_LEN];

	crypto_auth_hmacsha256(signature, auth_message.p, auth_message.len, server_key);
	sodium_bin2base64(out, SCRAM_PROOF_LEN + 1, signature, sizeof(signature),
			  sodium_base64_VARIANT_ORIGINAL);
}
