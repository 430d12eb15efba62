/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests of proto/ssh_key against files that ssh-keygen has made, also cut at every
 * length and with every byte changed. The keys were made for this test.
 */
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

/* The seed lies in the private file; here it is raw. */
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
	buf_init(&file, 100); /* too small for it */
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
		{"", E_SYNTAX, "no key"},
		{"hello", E_SYNTAX, "no key"},
		{PUBLIC_HEX "0", E_SYNTAX, "no key"},
		{"g" PUBLIC_HEX, E_SYNTAX, "no key"},
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

/* Whatever is done to a file, it gives this key or none, and nothing is read beyond it.
 */
static void test_damaged(void **state)
{
	static const char *const files[] = {private_file, public_file, encrypted_file};
	struct ssh_key key;
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		size_t len = strlen(files[i]);
		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *copy = malloc(cut + 1);
			memcpy(copy, files[i], cut);
			int r = ssh_key_read(slice_of(copy, cut), &key, &why);
			assert_true(cut == SSH_KEY_BYTES || r != 0 || cut >= 80);
			free(copy);
		}
		for (size_t at = 0; at < len; at++) {
			uint8_t *copy = malloc(len);
			memcpy(copy, files[i], len);
			copy[at] = (uint8_t)(copy[at] == 'A' ? 'B' : 'A');
			int r = ssh_key_read(slice_of(copy, len), &key, &why);
			assert_true(r <= 0);
			free(copy);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests_name("ssh_key", tests, NULL, NULL);
}
