/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the TLS context of a listener, with a new certificate. Include it behind
 * <cmocka.h>. */
#ifndef TESTS_UNIT_TLS_MAKE_H
#define TESTS_UNIT_TLS_MAKE_H

#include "common/buf.h"
#include "routerd/net/tls_context.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Writes a PEM text to out. */
static void put_pem(struct buf *out, X509 *x, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	if (x != NULL)
		assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	else
		assert_int_equal(
			PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	long len = BIO_get_mem_data(bio, &text);
	buf_put(out, text, (size_t)len);
	BIO_free(bio);
}

/* Makes a certificate with this comment, or with none if it is NULL, and its key, as PEM.
 * The caller frees both. */
static void make_pair(struct buf *certificate, struct buf *secret, const char *comment)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	buf_init(certificate, 1 << 20);
	buf_init(secret, 4096);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	if (comment != NULL) {
		X509_EXTENSION *e =
			X509V3_EXT_conf_nid(NULL, NULL, NID_netscape_comment, comment);
		assert_int_equal(X509_add_ext(x, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	put_pem(certificate, x, NULL);
	put_pem(secret, NULL, key);
	X509_free(x);
	EVP_PKEY_free(key);
}

static struct tls_context *make_context(const char *name, const char *comment)
{
	struct buf certificate, secret;
	struct tls_refusal refusal;

	make_pair(&certificate, &secret, comment);
	const struct tls_pair pair = {buf_slice(&certificate), buf_slice(&secret)};
	struct tls_context *c = tls_context_new(
		&(struct tls_context_conf){.name = name, .pairs = &pair, .n_pairs = 1},
		&refusal);
	assert_non_null(c);
	buf_fini(&certificate);
	buf_fini(&secret);
	return c;
}

#endif
