/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the key `tls` of an endpoint: the certificates and keys that it names, and how
 * TLS is spoken; see config.h. No state; any thread.
 */
#include "common/buf.h"
#include "common/err.h"
#include "common/pem.h"
#include "common/timestamp.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_PEM = 256 << 10, /* bytes of a certificate's file */
	MAX_NAMES = 300,     /* bytes of a certificate's names in log lines */
	WARN_DAYS = 14,      /* days until a certificate expires */
	SLOW_RSA_BITS = 3072 + 1,
};

/* --- files --- */

/* Appends a file to out. False: an error was added. */
static bool read_pem(struct conf *c, const void *field, const char *path, bool secret,
		     struct buf *out)
{
	/* O_NONBLOCK: a pipe must not stop routerd */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = 0;

	if (fd < 0) {
		conf_fail(c, field, "%s: %s", conf_quote(path).text, err_str(E_SYS));
		return false;
	}
	if (!config_secret_file_ok(c, field, path, fd, secret)) {
		close(fd);
		return false;
	}
	do {
		uint8_t *to = buf_reserve(out, 4096);
		if (to == NULL)
			break;
		n = read(fd, to, 4096);
		buf_commit(out, n > 0 ? (size_t)n : 0);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		conf_fail(c, field, "%s: %s", conf_quote(path).text, err_str(E_SYS));
	else if (out->err == E_NOMEM)
		conf_nomem(c);
	else if (out->err != 0)
		conf_fail(c, field, "%s: the file is longer than %d KiB",
			  conf_quote(path).text, MAX_PEM >> 10);
	/* the next file may follow, even if this one ends without a line feed */
	buf_put_u8(out, '\n');
	close(fd);
	return n >= 0 && out->err == 0;
}

/* Stores the text in the file's pool. */
static struct slice store_text(struct conf *c, struct buf *b)
{
	const char *text;

	buf_put_u8(b, '\0');
	text = b->err == 0 ? conf_text(c, (const char *)b->data) : NULL;
	if (b->err != 0)
		conf_nomem(c);
	return slice_str(text);
}

/* --- a certificate and its key --- */

static time_t time_of(const ASN1_TIME *t)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

/* The names that the certificate is for, for log lines. */
static const char *names_of(struct conf *c, X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char text[MAX_NAMES + 1] = "";
	size_t len = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS)
			continue;
		struct slice s = slice_of(ASN1_STRING_get0_data(name->d.dNSName),
					  (size_t)ASN1_STRING_length(name->d.dNSName));
		struct log_quoted q = log_quote(s);
		int n = snprintf(text + len, sizeof(text) - len, "%s%s",
				 len == 0 ? "" : ",", q.text);
		if ((size_t)n >= sizeof(text) - len) {
			text[len] = '\0';
			break;
		}
		len += (size_t)n;
	}
	GENERAL_NAMES_free(names);
	return conf_text(c, len == 0 ? "none" : text);
}

static void check_dates(struct conf *c, struct config_certificate *pair, const X509 *x)
{
	time_t start = time_of(X509_get0_notBefore(x)), now = time(NULL);
	time_t end = time_of(X509_get0_notAfter(x));

	pair->expires = conf_text(c, timestamp_text((uint64_t)end * 1000).text);
	if (end <= now)
		conf_warn(c, &pair->certificate,
			  "%s: this certificate expired at %s: clients will refuse it",
			  conf_quote(pair->certificate).text, pair->expires);
	else if (end - now < WARN_DAYS * 86400)
		conf_warn(c, &pair->certificate,
			  "%s: this certificate expires soon, at %s",
			  conf_quote(pair->certificate).text, pair->expires);
	if (start > now)
		conf_warn(c, &pair->certificate,
			  "%s: this certificate is not valid before %s: clients will "
			  "refuse it until then",
			  conf_quote(pair->certificate).text,
			  timestamp_text((uint64_t)start * 1000).text);
}

static const char *reason_text(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text != NULL ? text : "unknown error";
}

/* Does OpenSSL use them? By default it refuses RSA keys of 1,024 bits, for example. */
static void check_strength(struct conf *c, struct config_certificate *pair, X509 *own,
			   EVP_PKEY *key, STACK_OF(X509) * chain)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ERR_clear_error();
	if (ctx == NULL)
		conf_nomem(c);
	else if (SSL_CTX_use_cert_and_key(ctx, own, key, chain, 1) != 1)
		conf_fail(
			c, &pair->certificate,
			"%s: OpenSSL refuses to use this certificate: %s: replace it, or "
			"the one in its chain that is too weak",
			conf_quote(pair->certificate).text, reason_text());
	SSL_CTX_free(ctx);
}

static void check_pair(struct conf *c, struct config_certificate *pair,
		       STACK_OF(X509) * all)
{
	X509 *own = sk_X509_shift(all);
	EVP_PKEY *key = NULL;

	pair->names = names_of(c, own);
	check_dates(c, pair, own);
	if (pem_key(pair->key_pem, &key) != 0)
		conf_fail(c, &pair->key,
			  "%s: expected a private key as PEM, without a password",
			  conf_quote(pair->key).text);
	else if (X509_check_private_key(own, key) != 1)
		conf_fail(c, &pair->key, "%s: this is not the key of the certificate %s",
			  conf_quote(pair->key).text, conf_quote(pair->certificate).text);
	else
		check_strength(c, pair, own, key, all);
	if (key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
	    EVP_PKEY_get_bits(key) >= SLOW_RSA_BITS)
		conf_warn(c, &pair->key,
			  "%s: each login with an RSA key of %d bits takes 2 ms or more: "
			  "use an ECDSA key (prime256v1)",
			  conf_quote(pair->key).text, EVP_PKEY_get_bits(key));
	EVP_PKEY_free(key);
	X509_free(own);
	ERR_clear_error();
}

static void read_certificate(struct conf *c, struct config_certificate *pair)
{
	STACK_OF(X509) *all = NULL;
	struct buf text, key;
	bool ok;

	buf_init(&text, MAX_PEM);
	buf_init_secret(&key, MAX_PEM);
	ok = read_pem(c, &pair->certificate, pair->certificate, false, &text);
	for (size_t i = 0; i < pair->chain_certificates.count && ok; i++)
		ok = read_pem(c, &pair->chain_certificates,
			      pair->chain_certificates.items[i], false, &text);
	ok = read_pem(c, &pair->key, pair->key, true, &key) && ok;
	if (ok) {
		pair->certificates_pem = store_text(c, &text);
		pair->key_pem = store_text(c, &key);
		if (pem_certificates(pair->certificates_pem, &all) == 0)
			check_pair(c, pair, all);
		else
			conf_fail(c, &pair->certificate,
				  "%s: expected certificates as PEM, the server's own "
				  "first, then those that have signed it",
				  conf_quote(pair->certificate).text);
	}
	sk_X509_pop_free(all, X509_free);
	buf_fini(&text);
	buf_fini(&key);
}

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
	/* @SECLEVEL would change what check_strength has found out */
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
	read_certificate(c, map);
}

/* Reads what must have signed the clients' certificates. */
static void read_ca(struct conf *c, struct config_tls *tls)
{
	STACK_OF(X509) *all = NULL;
	struct buf text;
	bool ok = true;

	buf_init(&text, MAX_PEM);
	for (size_t i = 0; i < tls->ca_certificates.count && ok; i++)
		ok = read_pem(c, &tls->ca_certificates, tls->ca_certificates.items[i],
			      false, &text);
	if (ok)
		tls->ca_pem = store_text(c, &text);
	if (ok && pem_certificates(tls->ca_pem, &all) != 0)
		conf_fail(c, &tls->ca_certificates,
			  "'ca_certificates': expected files with certificates as PEM");
	sk_X509_pop_free(all, X509_free);
	buf_fini(&text);
}

static void check_tls(struct conf *c, void *map)
{
	struct config_tls *tls = map;
	bool has_ca = tls->ca_certificates.count > 0;

	read_certificate(c, &tls->own);
	if (tls->clients == -1) /* as in Crossbar */
		tls->clients = has_ca ? CONFIG_CLIENTS_REQUIRED : CONFIG_CLIENTS_OFF;
	if (has_ca && tls->clients == CONFIG_CLIENTS_OFF)
		conf_fail(c, &tls->clients,
			  "'ca_certificates' has no effect with 'client_certificates: "
			  "off': leave one of them out");
	else if (has_ca)
		read_ca(c, tls);
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
		       .max = CONFIG_MAX_CERTIFICATES - 1, .table = &certificate_table),
	CONF_KEY_OF("client_certificates", ENUM, struct config_tls, clients, int,
		    .names = client_rules, .def = -1),
	CONF_KEY("ca_certificates", STRINGS, struct config_tls, ca_certificates, .min = 1,
		 .max = 16),
	CONF_KEY("ciphers", STRING, struct config_tls, ciphers, .rule = &ciphers_rule),
	CONF_KEY("groups", STRING, struct config_tls, groups, .rule = &groups_rule),
};
const struct conf_table config_tls_table =
	CONF_TABLE("tls", struct config_tls, tls_keys, check_tls);
