/* SPDX-License-Identifier: Apache-2.0 */
/* proto/cra: PBKDF2 (RFC 7914, section 11), HMAC-SHA256 (RFC 4231), and signatures as
 * Autobahn|Python computes them. */
#include "proto/cra.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>

#include <cmocka.h>

static void check_pbkdf2(const char *password, const char *salt, uint32_t iterations,
			 const char *hex)
{
	uint8_t key[CRA_MAX_KEYLEN];
	char got[2 * sizeof(key) + 1];
	size_t len = strlen(hex) / 2;

	pbkdf2_sha256(slice_str(password), slice_str(salt), iterations, key, len);
	sodium_bin2hex(got, sizeof(got), key, len);
	assert_string_equal(got, hex);
}

static void test_pbkdf2(void **state)
{
	(void)state;
	check_pbkdf2("passwd", "salt", 1,
		     "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
		     "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
	check_pbkdf2("Password", "NaCl", 80000,
		     "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
		     "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d");
	check_pbkdf2("", "salt", 1, "f135c27993baf98773c5cdb40a5706ce6a345cde");
	/* a password longer than a block, an odd length */
	check_pbkdf2(
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"", 3,
		"8bbb2417b3b8f12898ae6553195783b360877eef8935294d3f4000dbecfd9b2295");
}

static void check_signature(const struct cra_key *key, const char *challenge,
			    const char *signature)
{
	char text[CRA_SIGNATURE_LEN + 1];

	cra_sign(key, slice_str(challenge), text);
	assert_string_equal(text, signature);
	assert_true(cra_verify(key, slice_str(challenge), slice_str(signature)));
	/* every wrong character, and every other length */
	for (size_t i = 0; i < CRA_SIGNATURE_LEN; i++) {
		text[i] ^= 1;
		assert_false(cra_verify(key, slice_str(challenge),
					slice_of(text, CRA_SIGNATURE_LEN)));
		text[i] ^= 1;
		assert_false(cra_verify(key, slice_str(challenge), slice_of(text, i)));
	}
	assert_false(cra_verify(key, slice_str(challenge),
				slice_of(text, CRA_SIGNATURE_LEN + 1)));
	assert_false(cra_verify(key, slice_str("x"), slice_str(signature)));
}

static void test_signatures(void **state)
{
	uint8_t secret[131];
	struct cra_key key;

	(void)state;
	memset(secret, 0x0b, 20);
	cra_key_of(slice_of(secret, 20), &key);
	check_signature(&key, "Hi There", "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=");
	memset(secret, 0xaa, sizeof(secret));
	cra_key_of(slice_of(secret, sizeof(secret)), &key);
	check_signature(&key, "Test Using Larger Than Block-Size Key - Hash Key First",
			"YOQxWR7gtn8Niiaqy/W3f44LxiE3KMUUBUYEDw7jf1Q=");
}

static void test_derived_keys(void **state)
{
	struct slice secret = slice_str("secret123"), salt = slice_str("salt123");
	struct cra_key key;

	(void)state;
	cra_derive(secret, salt, 1000, 32, &key);
	assert_int_equal(key.len, 44);
	assert_memory_equal(key.bytes,
			    "Eu7CQLfR+/Ffb+275A4s9/6H/RGKYxM4s6IMrsNKzC8=", 44);
	check_signature(&key, "{\"a\":1}",
			"IW3JgGcCqLaHzw5P7pKDWbJTPk35xnJJwTyJwUGmY2s=");
	/* its text is longer than a block */
	cra_derive(secret, salt, 100, 64, &key);
	check_signature(&key, "{\"a\":1}",
			"eknszluwtVycTQ/vDVfpD8S3qP8UsrHD4ta9c5hUKAg=");
	cra_key_of(
		slice_str("DpHHRlQ6UNULJlP9J8WkPw+BpAnaZaPUGEgt7sjxXgvZiUhboIKV29aFtFmIqm"
			  "yWDDoVOYX5la2Ud/fkgaf46g=="),
		&key);
	check_signature(&key, "{\"a\":1}",
			"eknszluwtVycTQ/vDVfpD8S3qP8UsrHD4ta9c5hUKAg=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pbkdf2),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_derived_keys),
	};

	return cmocka_run_group_tests_name("cra", tests, NULL, NULL);
}
