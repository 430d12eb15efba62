/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a private Ed25519 key: a file of ssh-keygen or authctl (without a passphrase), 32
 * bytes (Autobahn), or 64 hex digits. One thread. */
#include "tests/bench/options.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";

/* An unencrypted OpenSSH file ends with the length 64, seed and public key, a comment and
 * padding. The public key also stands near the front, which confirms the right place. */
static bool find_seed(const uint8_t *data, size_t len, uint8_t *seed)
{
	static const uint8_t head[] = {0, 0, 0, 64};
	uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];

	for (size_t i = 0; i + sizeof(head) + 64 <= len; i++) {
		const uint8_t *p = data + i + sizeof(head);
		if (memcmp(data + i, head, sizeof(head)) != 0)
			continue;
		crypto_sign_seed_keypair(public, secret, p);
		if (memcmp(public, p + 32, sizeof(public)) == 0) {
			memcpy(seed, p, 32);
			return true;
		}
	}
	return false;
}

static bool read_openssh(const char *text, uint8_t *seed)
{
	uint8_t data[1024];
	size_t len = 0;

	text += strlen(begin);
	return sodium_base642bin(data, sizeof(data), text, strcspn(text, "-"), " \r\n",
				 &len, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       find_seed(data, len, seed);
}

void read_key_file(const char *path)
{
	char text[1200] = "";
	uint8_t seed[crypto_sign_SEEDBYTES], public[crypto_sign_PUBLICKEYBYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	bool good;

	if (n < 0)
		die(path);
	close(fd);
	if (n == sizeof(seed)) {
		memcpy(seed, text, sizeof(seed));
		good = true;
	} else if (strncmp(text, begin, strlen(begin)) == 0) {
		good = read_openssh(text, seed);
	} else {
		good = n >= 64 && sodium_hex2bin(seed, sizeof(seed), text, 64, NULL, NULL,
						 NULL) == 0;
	}
	if (!good) {
		fprintf(stderr, "wampbench: %s: not an unencrypted private Ed25519 key\n",
			path);
		exit(2);
	}
	crypto_sign_seed_keypair(public, opt.secret, seed);
	sodium_bin2hex(opt.public_hex, sizeof(opt.public_hex), public, sizeof(public));
	opt.cryptosign = true;
}
