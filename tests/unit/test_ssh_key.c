/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/ssh_key with files made by ssh-keygen, also cut at every length and
 * with every byte changed. The keys were made for this test. */
#include "common/err.h"
#include "proto/fields.h"
#include "proto/ssh_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#define PUBLIC_HEX  "b43ed59f0dbc6963efff0a6252e8917e0bbe89b98b02bc015f80238f653c5a02"
#define FINGERPRINT "SHA256:Jgldk2MwSST1O+W/w/vlACcX5VtHyiCtTShz0WcleC4"

static const char private_file[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
	"QyNTUxOQAAACC0PtWfDbxpY+//CmJS6JF+C76JuYsCvAFfgCOPZTxaAgAAAJDSra5G0q2u\n"
	"RgAAAAtzc2gtZWQyNTUxOQAAACC0PtWfDbxpY+//CmJS6JF+C76JuYsCvAFfgCOPZTxaAg\n"
	"AAAEBiulEssMJ+dlgi1iBJBEPIfEuJ9mYcctiqy0vCtBe3rbQ+1Z8NvGlj7/8KYlLokX4L\n"
	"vom5iwK8AV+AI49lPFoCAAAACWEgY29tbWVudAECAwQ=\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char encrypted_file[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABArV9ePhF\n"
	"hbVRNmSRvHhrR/AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIJAEoSTNDJntmEsl\n"
	"7W4c0vNumFUUxSxwczWF5R3z2XYDAAAAkFLZrMue9qVe3woHaOUY4+tgszirzXfbIX37y2\n"
	"U/hP8wLJL6gAPs1O5AW6Iq1z3cxgs0m2kk9UxP1C281Ri27rYnelxYbY64F/uRnkZ9FXdI\n"
	"Xkf63x2GkoxDeQ4fhK4hUTrb35qwH5eSVLgLvAQj9jzbSPHOKa5axq4SxdNIqgkj9knZEJ\n"
	"4+EDSDGd6hxBRqeQ==\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char public_file[] =
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQ+1Z8NvGlj7/8KYlLokX4L"
	"vom5iwK8AV+AI49lPFoC a comment\n";

static const char ecdsa_file[] =
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAA"
	"BBBLIuwg/yQhaMh4ANdCo/YfG6vXk3PrD9ZGg+oQEvSFdxedapOrKn+6vXqPhWFEg45yJnjnv2g/b/"
	"MfKTT+yqGiQ=\n";

static void assert_key(struct slice file, enum ssh_key_form form, bool is_private)
{
	struct ssh_key key;
	const char *why;
	char hex[65], fingerprint[SSH_FINGERPRINT];

	assert_int_equal(ssh_key_read(file, &key, &why), 0);
	assert_int_equal(key.form, form);
	assert_int_equal(key.is_private, is_private);
	fields_key_encode(key.public, hex);
	assert_string_equal(hex, PUBLIC_HEX);
	ssh_key_fingerprint(key.public, fingerprint);
	assert_string_equal(fingerprint, FINGERPRINT);
}

static void test_forms(void **state)
{
	(void)state;
	assert_key(slice_str(private_file), SSH_KEY_OPENSSH_PRIVATE, true);
	assert_key(slice_str(public_file), SSH_KEY_OPENSSH_PUBLIC, false);
	assert_key(slice_str(PUBLIC_HEX), SSH_KEY_HEX_PUBLIC, false);
	assert_key(slice_str(" 0x" PUBLIC_HEX "\r\n"), SSH_KEY_HEX_PUBLIC, false);
	assert_key(slice_str("B43ED59F0DBC6963EFFF0A6252E8917E"
			     "0BBE89B98B02BC015F80238F653C5A02"),
		   SSH_KEY_HEX_PUBLIC, false);
}

/* The seed of the private file, raw. */
static void test_raw(void **state)
{
	uint8_t seed[SSH_KEY_BYTES];
	struct ssh_key key, again;
	struct buf file;
	const char *why;

	(void)state;
	for (int i = 0; i < 50; i++) {
		randombytes_buf(seed, sizeof(seed));
		assert_int_equal(ssh_key_read(slice_of(seed, sizeof(seed)), &key, &why),
				 0);
		assert_int_equal(key.form, SSH_KEY_RAW);
		assert_true(key.is_private);
		buf_init(&file, 1024);
		ssh_key_write_private(&file, seed);
		assert_int_equal(file.err, 0);
		assert_int_equal(ssh_key_read(buf_slice(&file), &again, &why), 0);
		assert_int_equal(again.form, SSH_KEY_OPENSSH_PRIVATE);
		assert_memory_equal(key.public, again.public, SSH_KEY_BYTES);
		buf_fini(&file);
	}
	buf_init(&file, 100); /* too small for the file */
	ssh_key_write_private(&file, seed);
	assert_int_equal(file.err, E_LIMIT);
	buf_fini(&file);
}

static void test_refused(void **state)
{
	const struct {
		const char *file;
		int err;
		const char *why;
	} cases[] = {
		{"", E_SYNTAX, "not a public key"},
		{"hello", E_SYNTAX, "not a public key"},
		{"abcdef", E_SYNTAX, "not a public key"},
		{PUBLIC_HEX "0", E_SYNTAX, "wrong number of digits"},
		{"0x" PUBLIC_HEX "00", E_SYNTAX, "wrong number of digits"},
		{PUBLIC_HEX PUBLIC_HEX, E_SYNTAX, "only the last 64 digits"},
		{"0x" PUBLIC_HEX PUBLIC_HEX "\n", E_SYNTAX, "only the last 64 digits"},
		{"g" PUBLIC_HEX, E_SYNTAX, "not a public key"},
		{PUBLIC_HEX PUBLIC_HEX "g", E_SYNTAX, "not a public key"},
		{"no-pty,command=\"x y\" ssh-ed25519 AAAA c", E_UNSUPPORTED, "options"},
		{"host.example ssh-ed25519 AAAA", E_UNSUPPORTED, "before"},
		{"AAAAC3NzaC1lZDI1NTE5AAAAILQ+1Z8N", E_UNSUPPORTED, "'ssh-ed25519 '"},
		{"ssh-ed25519", E_SYNTAX, "damaged"},
		{"ssh-ed25519 AAAA", E_SYNTAX, "damaged"},
		{"ssh-ed25519 !!!!", E_SYNTAX, "damaged"},
		{"ssh-rsa AAAAB3NzaC1yc2E", E_UNSUPPORTED, "RSA"},
		{ecdsa_file, E_UNSUPPORTED, "ECDSA"},
		{encrypted_file, E_UNSUPPORTED, "encrypted"},
		{"-----BEGIN RSA PRIVATE KEY-----\n", E_UNSUPPORTED, "RSA"},
		{"-----BEGIN PRIVATE KEY-----\n", E_UNSUPPORTED, "PEM"},
		{"PuTTY-User-Key-File-3: ssh-ed25519\n", E_UNSUPPORTED, "PuTTY"},
		{"-----BEGIN OPENSSH PRIVATE KEY-----\n", E_SYNTAX, "damaged"},
	};
	struct ssh_key key;
	const char *why;
	char two[sizeof(public_file) * 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		why = NULL;
		assert_int_equal(ssh_key_read(slice_str(cases[i].file), &key, &why),
				 cases[i].err);
		assert_non_null(why);
		assert_non_null(strstr(why, cases[i].why));
	}
	snprintf(two, sizeof(two), "%s%s", public_file, public_file);
	assert_int_equal(ssh_key_read(slice_str(two), &key, &why), E_SYNTAX);
	assert_non_null(strstr(why, "more than one"));
}

/* Which points can verify signatures, from the definition of the curve. */
static void test_points(void **state)
{
	static const struct {
		const char *hex;
		bool can_verify;
	} cases[] = {
		{PUBLIC_HEX, true},
		/* the base point */
		{"5866666666666666666666666666666666666666666666666666666666666666",
		 true},
		/* order 4, 1, 2 and 8 */
		{"0000000000000000000000000000000000000000000000000000000000000000",
		 false},
		{"0100000000000000000000000000000000000000000000000000000000000000",
		 false},
		{"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		 false},
		{"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		 false},
		/* 1 plus the prime: not canonical */
		{"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		 false},
		/* not a point of the curve */
		{"0200000000000000000000000000000000000000000000000000000000000000",
		 false},
		/* the base point plus the point of order 8 */
		{"13661d745ad63221ca5da0456fa618713511dc60668aa464e55b09a20ff7fc1d",
		 false},
	};
	uint8_t key[SSH_KEY_BYTES], seed[SSH_KEY_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(fields_key_decode(slice_str(cases[i].hex), key), 0);
		assert_int_equal(ssh_key_can_verify(key), cases[i].can_verify);
	}
	for (int i = 0; i < 50; i++) { /* all ordinary keys */
		randombytes_buf(seed, sizeof(seed));
		ssh_key_public(seed, key);
		assert_true(ssh_key_can_verify(key));
	}
}

/* --- damage --- */

enum { IS_KEY = 0, IS_OTHER_KEY = 1, IS_REFUSED = 2 };

/* The result of reading a copy that ends where its memory ends. */
static int outcome(const char *file, size_t len, size_t at, char c)
{
	char hex[65] = "", *copy = malloc(len > 0 ? len : 1);
	struct ssh_key key;
	const char *why = NULL;

	assert_non_null(copy);
	memcpy(copy, file, len);
	if (at < len)
		copy[at] = c;
	int r = ssh_key_read(slice_of(copy, len), &key, &why);
	free(copy);
	if (r != 0) {
		assert_true(r == E_SYNTAX || r == E_UNSUPPORTED);
		assert_non_null(why);
		return IS_REFUSED;
	}
	fields_key_encode(key.public, hex);
	return strcmp(hex, PUBLIC_HEX) == 0 ? IS_KEY : IS_OTHER_KEY;
}

static void test_cut(void **state)
{
	size_t whole = strlen(private_file), key_end = strlen(public_file) - 11;

	(void)state;
	for (size_t cut = 0; cut < whole; cut++) /* the newline at the end is optional */
		assert_int_equal(outcome(private_file, cut, cut, 0),
				 cut < whole - 1 ? IS_REFUSED : IS_KEY);
	for (size_t cut = 0; cut <= strlen(public_file); cut++) /* so is the comment */
		assert_int_equal(outcome(public_file, cut, cut, 0),
				 cut < key_end ? IS_REFUSED : IS_KEY);
	for (size_t cut = 0; cut <= strlen(encrypted_file); cut++)
		assert_int_equal(outcome(encrypted_file, cut, cut, 0), IS_REFUSED);
}

/* A damaged private file never gives another key, because it contains everything twice. A
 * public file has no such check: it gives another key if one of the 32 key octets has
 * changed, but not otherwise. */
static void test_changed(void **state)
{
	static const char with[] = "AB/+0= \n-~\x80";
	size_t first = strlen("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI");
	size_t key_end = strlen(public_file) - 11;
	unsigned seen[3] = {0};

	(void)state;
	for (const char *c = with; *c != '\0'; c++) {
		for (size_t at = 0; at < strlen(private_file); at++)
			assert_int_not_equal(
				outcome(private_file, strlen(private_file), at, *c),
				IS_OTHER_KEY);
		for (size_t at = 0; at < strlen(encrypted_file); at++)
			assert_int_equal(
				outcome(encrypted_file, strlen(encrypted_file), at, *c),
				IS_REFUSED);
		for (size_t at = 0; at < strlen(public_file); at++) {
			int is = outcome(public_file, strlen(public_file), at, *c);
			assert_true(is != IS_OTHER_KEY || (at >= first && at < key_end));
			seen[is]++;
		}
	}
	assert_true(seen[IS_KEY] > 0 && seen[IS_OTHER_KEY] > 0 && seen[IS_REFUSED] > 0);
}

/* Decodes the octets between the two lines of a private file. */
static size_t decode_private(uint8_t *out, size_t size)
{
	const char *body = strchr(private_file, '\n') + 1;
	size_t len = (size_t)(strstr(body, "-----END") - body), n;

	assert_int_equal(sodium_base642bin(out, size, body, len, "\n", &n, NULL,
					   sodium_base64_VARIANT_ORIGINAL),
			 0);
	return n;
}

static int read_encoded(const uint8_t *bytes, size_t len)
{
	char text[1024], base64[800];
	struct ssh_key key;
	const char *why;

	sodium_bin2base64(base64, sizeof(base64), bytes, len,
			  sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, sizeof(text),
		 "-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n"
		 "-----END OPENSSH PRIVATE KEY-----\n",
		 base64);
	return ssh_key_read(slice_str(text), &key, &why);
}

/* Damages each of the three values that a private file contains twice. Offsets are those
 * of PROTOCOL.key: magic 15, "none" 8, "none" 8, options 4, number 4, blob 4 + 51, length
 * 4; then check 4 + 4, type 15, public key 4 + 32, private key 4 + 64. */
static void test_consistency(void **state)
{
	enum {
		PUBLIC = 15 + 8 + 8 + 4 + 4 + 4 + 19,
		CHECK = PUBLIC + 32 + 4,
		AGAIN = CHECK + 8 + 15 + 4,
		SEED = AGAIN + 32 + 4,
	};
	static const size_t damaged[] = {PUBLIC, CHECK, CHECK + 4, AGAIN, SEED};
	uint8_t bytes[512], other[SSH_KEY_BYTES];
	size_t len = decode_private(bytes, sizeof(bytes));

	(void)state;
	assert_memory_equal(bytes + PUBLIC, bytes + AGAIN, SSH_KEY_BYTES);
	assert_memory_equal(bytes + CHECK, bytes + CHECK + 4, 4);
	ssh_key_public(bytes + SEED, other);
	assert_memory_equal(other, bytes + PUBLIC, SSH_KEY_BYTES);
	assert_int_equal(read_encoded(bytes, len), 0);
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		bytes[damaged[i]] ^= 1;
		assert_int_equal(read_encoded(bytes, len), E_SYNTAX);
		bytes[damaged[i]] ^= 1;
	}
	/* both copies of the public key: only the key derived from the seed shows the
	 * damage */
	bytes[PUBLIC] ^= 1;
	bytes[AGAIN] ^= 1;
	assert_int_equal(read_encoded(bytes, len), E_SYNTAX);
	/* the public key of another seed in one place: only the comparison shows the
	 * damage */
	bytes[PUBLIC] ^= 1;
	bytes[AGAIN] ^= 1;
	randombytes_buf(bytes + SEED, SSH_KEY_BYTES);
	ssh_key_public(bytes + SEED, bytes + PUBLIC);
	assert_int_equal(read_encoded(bytes, len), E_SYNTAX);
	memcpy(bytes + AGAIN, bytes + PUBLIC, SSH_KEY_BYTES);
	assert_int_equal(read_encoded(bytes, len), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),       cmocka_unit_test(test_raw),
		cmocka_unit_test(test_refused),     cmocka_unit_test(test_points),
		cmocka_unit_test(test_cut),         cmocka_unit_test(test_changed),
		cmocka_unit_test(test_consistency),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests_name("ssh_key", tests, NULL, NULL);
}
