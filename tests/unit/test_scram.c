/* SPDX-License-Identifier: Apache-2.0 */
/* proto/scram: the exchange of RFC 7677, section 3. */
#include "proto/scram.h"

#include "proto/cra.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>

#include <cmocka.h>

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define BOTH  NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
static const char auth_message[] =
	"n=user,r=" NONCE ",r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=" BOTH;

static struct scram_exchange exchange(const char *authid)
{
	return (struct scram_exchange){
		.authid = slice_str(authid),
		.client_nonce = slice_str(NONCE),
		.nonce = slice_str(BOTH),
		.salt = slice_str("W22ZaJ0SNY7soEsUEjb6gQ=="),
		.iterations = 4096,
		.cbind_input = slice_str("biws"),
		.escape = true,
	};
}

/* Derives the keys that the server stores. */
static void derive(uint8_t stored_key[SCRAM_KEY_LEN], uint8_t server_key[SCRAM_KEY_LEN])
{
	uint8_t salt[16], salted[SCRAM_KEY_LEN], client_key[SCRAM_KEY_LEN];
	size_t len;

	assert_int_equal(sodium_base642bin(salt, sizeof(salt),
					   "W22ZaJ0SNY7soEsUEjb6gQ==", 24, NULL, &len,
					   NULL, sodium_base64_VARIANT_ORIGINAL),
			 0);
	pbkdf2_sha256(slice_str("pencil"), slice_of(salt, len), 4096, salted,
		      sizeof(salted));
	crypto_auth_hmacsha256(client_key, (const uint8_t *)"Client Key", 10, salted);
	crypto_hash_sha256(stored_key, client_key, sizeof(client_key));
	crypto_auth_hmacsha256(server_key, (const uint8_t *)"Server Key", 10, salted);
}

static void test_the_auth_message(void **state)
{
	struct scram_exchange x = exchange("user");
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	scram_auth_message(&b, &x);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, strlen(auth_message));
	assert_memory_equal(b.data, auth_message, b.len);
	buf_clear(&b);
	x = exchange("a,b=c");
	scram_auth_message(&b, &x);
	assert_true(slice_begins(buf_slice(&b), "n=a=2Cb=3Dc,r="));
	buf_clear(&b);
	x.escape = false;
	scram_auth_message(&b, &x);
	assert_true(slice_begins(buf_slice(&b), "n=a,b=c,r="));
	buf_fini(&b);
}

static void test_proofs(void **state)
{
	uint8_t stored_key[SCRAM_KEY_LEN], server_key[SCRAM_KEY_LEN];
	struct slice message = slice_str(auth_message);
	char proof[] = PROOF, signature[SCRAM_PROOF_LEN + 1];

	(void)state;
	derive(stored_key, server_key);
	assert_true(scram_verify(stored_key, message, slice_str(proof)));
	scram_server_signature(server_key, message, signature);
	assert_string_equal(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	assert_false(scram_verify(server_key, message, slice_str(proof)));
	assert_false(scram_verify(stored_key, slice_str("n="), slice_str(proof)));
	/* every wrong character, and every other length */
	for (size_t i = 0; i < SCRAM_PROOF_LEN; i++) {
		proof[i] ^= 1;
		assert_false(scram_verify(stored_key, message, slice_str(proof)));
		proof[i] ^= 1;
		assert_false(scram_verify(stored_key, message, slice_of(proof, i)));
	}
	assert_false(scram_verify(stored_key, message, slice_str(PROOF "A")));
	assert_false(scram_verify(stored_key, message, slice_str("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_auth_message),
		cmocka_unit_test(test_proofs),
	};

	return cmocka_run_group_tests_name("scram", tests, NULL, NULL);
}
