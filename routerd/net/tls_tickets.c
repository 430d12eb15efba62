/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of session tickets; see tls_tickets.h. The worker's thread. */
#include "routerd/net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <sodium.h>

void tls_ticket_seed_init(struct tls_ticket_seed *seed, uint64_t now_ms)
{
	randombytes_buf(seed->secret, sizeof(seed->secret));
	seed->period = now_ms / TLS_TICKET_PERIOD_MS;
}

static void derive(uint8_t *out, size_t len, const uint8_t secret[TLS_TICKET_SECRET],
		   const char *label)
{
	crypto_generichash(out, len, (const uint8_t *)label, strlen(label), secret,
			   TLS_TICKET_SECRET);
}

/* Makes the next key, and replaces the secret, so that the key is not made again. */
static void make_key(struct tls_tickets *t)
{
	struct tls_ticket_key *k = &t->keys[0];
	uint8_t next[TLS_TICKET_SECRET];

	memmove(&t->keys[1], k, (TLS_TICKET_KEYS - 1) * sizeof(*k));
	derive(k->name, sizeof(k->name), t->secret, "name");
	derive(k->cipher, sizeof(k->cipher), t->secret, "cipher");
	derive(k->mac, sizeof(k->mac), t->secret, "mac");
	derive(next, sizeof(next), t->secret, "next");
	memcpy(t->secret, next, sizeof(next));
	sodium_memzero(next, sizeof(next));
}

void tls_tickets_init(struct tls_tickets *t, const struct tls_ticket_seed *seed)
{
	memcpy(t->secret, seed->secret, sizeof(t->secret));
	t->period = seed->period;
	/* keys that nobody has yet, so that no key of zeros opens a ticket */
	for (int i = 0; i < TLS_TICKET_KEYS; i++)
		make_key(t);
}

void tls_tickets_advance(struct tls_tickets *t, uint64_t now_ms)
{
	for (; t->period < now_ms / TLS_TICKET_PERIOD_MS; t->period++)
		make_key(t);
}

void tls_tickets_fini(struct tls_tickets *t)
{
	sodium_memzero(t, sizeof(*t));
}

static bool set_mac(EVP_MAC_CTX *mac, const struct tls_ticket_key *k)
{
	uint8_t key[sizeof(k->mac)];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, sizeof(key)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	memcpy(key, k->mac, sizeof(key));
	bool ok = EVP_MAC_CTX_set_params(mac, params) == 1;
	sodium_memzero(key, sizeof(key));
	return ok;
}

/* Returns what OpenSSL wants: 1 success, 2 success and the ticket should be replaced, 0
 * the key is not known, -1 error. */
int tls_tickets_use(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
		    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const struct tls_tickets *t = SSL_get_app_data(ssl);

	if (encrypt) {
		const struct tls_ticket_key *k = &t->keys[0];

		memcpy(name, k->name, sizeof(k->name));
		return RAND_bytes(iv, 16) == 1 &&
				       EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL,
							  k->cipher, iv) == 1 &&
				       set_mac(mac, k)
			       ? 1
			       : -1;
	}
	for (int i = 0; i < TLS_TICKET_KEYS; i++) {
		const struct tls_ticket_key *k = &t->keys[i];

		if (memcmp(name, k->name, sizeof(k->name)) != 0)
			continue;
		if (!set_mac(mac, k) || EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(),
							   NULL, k->cipher, iv) != 1)
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}
