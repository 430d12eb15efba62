/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the key `tls` of an endpoint: which certificates it has, and how TLS is spoken;
 * see config.h. No state; any thread.
 */
#include "common/pem.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

/* --- how TLS is spoken --- */

static bool is_modern(const SSL_CIPHER *cipher)
{
	return SSL_CIPHER_is_aead(cipher) &&
	       (SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe ||
		SSL_CIPHER_get_kx_nid(cipher) == NID_kx_any); /* TLS 1.3 */
}

static bool are_ciphers(const char *text)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	/* @SECLEVEL would change what config_certificate_read has found out */
	bool ok = ctx != NULL && strchr(text, '@') == NULL &&
		  SSL_CTX_set_cipher_list(ctx, text) == 1;
	const STACK_OF(SSL_CIPHER) *all = ok ? SSL_CTX_get_ciphers(ctx) : NULL;

	for (int i = 0; i < sk_SSL_CIPHER_num(all) && ok; i++)
		ok = is_modern(sk_SSL_CIPHER_value(all, i));
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
static const struct conf_rule ciphers_rule = {
	are_ciphers,
	"'ciphers': expected OpenSSL's names of ciphers of TLS 1.2, joined by ':', only "
	"those with ECDHE and AEAD, such as ECDHE+AESGCM; those of TLS 1.3 are always "
	"allowed"};

/* Is one of these ciphers for the kind of key that a certificate has? */
static bool has_cipher_for(const STACK_OF(SSL_CIPHER) * ciphers,
			   const struct config_certificate *pair)
{
	STACK_OF(X509) *all = NULL;
	const char *why;
	bool found = false;

	if (pem_certificates(pair->certificates_pem, &all, &why) != 0)
		return true; /* nothing is known about it */
	const EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(all, 0));
	int kind = EVP_PKEY_get_base_id(key);
	bool rsa = kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS;
	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers) && !found; i++)
		found = SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(ciphers, i)) ==
			(rsa ? NID_auth_rsa : NID_auth_ecdsa);
	sk_X509_pop_free(all, X509_free);
	return found;
}

/* Warns if TLS 1.2 is impossible with all certificates. */
static void warn_of_ciphers(struct conf *c, const struct config_tls *tls)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	bool found = ctx == NULL || SSL_CTX_set_cipher_list(ctx, tls->ciphers) != 1;

	for (size_t i = 0; i <= tls->n_more && !found; i++)
		found = has_cipher_for(SSL_CTX_get_ciphers(ctx),
				       config_certificate_at(tls, i));
	SSL_CTX_free(ctx);
	ERR_clear_error();
	if (!found)
		conf_warn(c, &tls->ciphers,
			  "'ciphers': none of them is for the kind of key that the "
			  "certificates have: clients with TLS 1.2 cannot connect");
}

static bool are_groups(const char *text)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	bool ok = ctx != NULL && SSL_CTX_set1_groups_list(ctx, text) == 1;

	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
static const struct conf_rule groups_rule = {
	are_groups, "'groups': expected OpenSSL's names of groups, joined by ':', such "
		    "as X25519:P-256"};

/* --- the tables --- */

static void check_certificate(struct conf *c, void *map)
{
	config_certificate_read(c, map);
}

static void check_tls(struct conf *c, void *map)
{
	struct config_tls *tls = map;
	bool has_ca = tls->ca_certificates.count > 0;

	config_certificate_read(c, &tls->own);
	if (tls->ciphers != NULL)
		warn_of_ciphers(c, tls);
	if (tls->clients == -1) /* as in Crossbar */
		tls->clients = has_ca ? CONFIG_CLIENTS_REQUIRED : CONFIG_CLIENTS_OFF;
	if (has_ca && tls->clients == CONFIG_CLIENTS_OFF)
		conf_fail(c, &tls->clients,
			  "'ca_certificates' has no effect with 'client_certificates: "
			  "off': leave one of them out");
	else if (has_ca)
		tls->ca_pem = config_ca_read(c, &tls->ca_certificates);
	else if (tls->clients != CONFIG_CLIENTS_OFF)
		conf_fail(c, &tls->clients,
			  "'ca_certificates' is missing: files with the certificates "
			  "that have signed the clients' certificates, or with these "
			  "themselves");
}

static const char *const client_rules[] = {
	[CONFIG_CLIENTS_OFF] = "off",
	[CONFIG_CLIENTS_OPTIONAL] = "optional",
	[CONFIG_CLIENTS_REQUIRED] = "required",
	NULL,
};

#define CERTIFICATE_KEYS(s, field)                                                       \
	CONF_KEY("certificate", STRING, s, field certificate, .required = true),         \
		CONF_KEY("key", STRING, s, field key, .required = true),                 \
		CONF_KEY("chain_certificates", STRINGS, s, field chain_certificates,     \
			 .min = 1, .max = 16)

#define ITS_OWN
static const struct conf_key certificate_keys[] = {
	CERTIFICATE_KEYS(struct config_certificate, ITS_OWN),
};
static const struct conf_table certificate_table =
	CONF_TABLE("the certificate", struct config_certificate, certificate_keys,
		   check_certificate);

static const struct conf_key tls_keys[] = {
	CERTIFICATE_KEYS(struct config_tls, own.),
	CONF_ARRAY_KEY("more_certificates", LIST, struct config_tls, more, n_more,
		       struct config_certificate, .min = 1,
		       .max = CONFIG_MAX_CERTIFICATES - 1, .table = &certificate_table,
		       .text = "; each has a key: {certificate: FILE, key: FILE}"),
	CONF_KEY_OF("client_certificates", ENUM, struct config_tls, clients, int,
		    .names = client_rules, .def = -1),
	CONF_KEY("ca_certificates", STRINGS, struct config_tls, ca_certificates, .min = 1,
		 .max = 16),
	CONF_KEY("ciphers", STRING, struct config_tls, ciphers, .rule = &ciphers_rule),
	CONF_KEY("groups", STRING, struct config_tls, groups, .rule = &groups_rule),
};
const struct conf_table config_tls_table =
	CONF_TABLE("tls", struct config_tls, tls_keys, check_tls);
