/* SPDX-License-Identifier: Apache-2.0 */
/* Describes TLS connections; see tls_facts.h. The worker's thread. */
#include "routerd/net/tls_facts.h"

#include "common/utf8.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sodium.h>

const char *const tls_binding_names[TLS_BINDING_COUNT] = {
	[TLS_BINDING_UNIQUE] = "tls-unique",
	[TLS_BINDING_EXPORTER] = "tls-exporter",
};

/* SHA-256 of a Finished message, as Autobahn computes it. False: there is none. */
static bool hash_finished(size_t (*get)(const SSL *ssl, void *buf, size_t count),
			  const SSL *ssl, uint8_t id[TLS_CHANNEL_ID])
{
	uint8_t finished[EVP_MAX_MD_SIZE];
	size_t len = get(ssl, finished, sizeof(finished));

	if (len == 0 || len > sizeof(finished))
		return false;
	crypto_hash_sha256(id, finished, len);
	return true;
}

/*
 * Autobahn with Twisted takes the server's Finished message up to 26.10.1, and the
 * client's from 26.10.2 on. With asyncio it takes the client's, but in a resumed session
 * the server's.
 */
static bool find_unique(const SSL *ssl, struct tls_channel *out)
{
	out->n = 2;
	out->names[0] = "tls-unique/client";
	out->names[1] = "tls-unique/server";
	return hash_finished(SSL_get_peer_finished, ssl, out->ids[0]) &&
	       hash_finished(SSL_get_finished, ssl, out->ids[1]);
}

static bool find_exporter(SSL *ssl, struct tls_channel *out)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	static const uint8_t no_context = 0;

	out->n = 1;
	out->names[0] = "tls-exporter";
	/* An empty context, which is not the same as none in TLS 1.2. */
	return SSL_export_keying_material(ssl, out->ids[0], TLS_CHANNEL_ID, label,
					  sizeof(label) - 1, &no_context, 0, 1) == 1;
}

const char *tls_channel_find(const struct tls *t, enum tls_binding binding,
			     struct tls_channel *out)
{
	bool found;

	memset(out, 0, sizeof(*out));
	if (t == NULL || t->state != TLS_OPEN)
		return "the client has no TLS connection to the router; one to a proxy "
		       "does not count";
	/* Without it, two connections can have the same id (RFC 7627). */
	if (SSL_version(t->ssl) < TLS1_3_VERSION && SSL_get_extms_support(t->ssl) != 1)
		return "with TLS 1.2, the client must use the extended master secret "
		       "(RFC 7627)";
	ERR_clear_error();
	found = binding == TLS_BINDING_UNIQUE ? find_unique(t->ssl, out)
					      : find_exporter(t->ssl, out);
	return found ? NULL : "TLS does not give a channel id";
}

void tls_describe(const struct tls *t, struct tls_facts *out)
{
	const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	X509 *x = SSL_get0_peer_certificate(t->ssl);
	unsigned len = 0;

	*out = (struct tls_facts){
		.version = SSL_version(t->ssl) == TLS1_3_VERSION ? "1.3" : "1.2",
		.cipher = SSL_get_cipher_name(t->ssl),
		/* a client may have sent any bytes but zero */
		.server_name = name != NULL && utf8_valid(slice_str(name)) ? name : NULL,
		.has_certificate =
			x != NULL && SSL_get_verify_result(t->ssl) == X509_V_OK,
	};
	if (out->has_certificate &&
	    X509_digest(x, EVP_sha256(), out->fingerprint, &len) != 1)
		out->has_certificate = false;
}

void tls_certificate_put(const struct tls *t, size_t max, struct buf *out)
{
	X509 *x = SSL_get0_peer_certificate(t->ssl);
	uint8_t *der = NULL;
	int len = i2d_X509(x, &der);

	if (len > 0 && (size_t)len <= max)
		buf_put_slice(out, slice_of(der, (size_t)len));
	OPENSSL_free(der);
	ERR_clear_error();
}

void tls_subject_put(const struct tls *t, size_t max, struct buf *out)
{
	X509 *x = SSL_get0_peer_certificate(t->ssl);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = 0;

	if (bio != NULL &&
	    X509_NAME_print_ex(bio, X509_get_subject_name(x), 0,
			       XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		len = BIO_get_mem_data(bio, &text);
	struct slice s = slice_of(text, len > 0 ? (size_t)len : 0);
	if (s.len <= max && utf8_valid(s))
		buf_put_slice(out, s);
	BIO_free(bio);
	ERR_clear_error();
}

/* Appends a text of a certificate, which may be anything. */
static void put_name(struct buf *out, const char *kind, const ASN1_STRING *text,
		     size_t max)
{
	struct slice s =
		slice_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));

	if (s.len + strlen(kind) > max || !utf8_valid(s) ||
	    memchr(s.p, '\0', s.len) != NULL)
		return;
	buf_put_str(out, kind);
	buf_put_slice(out, s);
}

static void put_address(struct buf *out, const ASN1_OCTET_STRING *address)
{
	char text[INET6_ADDRSTRLEN];
	int len = ASN1_STRING_length(address);

	if ((len == 4 || len == 16) &&
	    inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text,
		      sizeof(text)) != NULL)
		buf_printf(out, "IP:%s", text);
}

static void put_any_name(struct buf *out, const GENERAL_NAME *name, size_t max)
{
	if (name->type == GEN_DNS)
		put_name(out, "DNS:", name->d.dNSName, max);
	else if (name->type == GEN_EMAIL)
		put_name(out, "email:", name->d.rfc822Name, max);
	else if (name->type == GEN_URI)
		put_name(out, "URI:", name->d.uniformResourceIdentifier, max);
	else if (name->type == GEN_IPADD)
		put_address(out, name->d.iPAddress);
}

size_t tls_names_put(const struct tls *t, size_t max, struct buf *bytes,
		     struct slice *names, size_t max_names)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(SSL_get0_peer_certificate(t->ssl),
					      NID_subject_alt_name, NULL, NULL);
	size_t n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && n < max_names; i++) {
		size_t at = bytes->len;

		put_any_name(bytes, sk_GENERAL_NAME_value(all, i), max);
		if (bytes->len > at)
			names[n++] = slice_from(buf_slice(bytes), at);
	}
	GENERAL_NAMES_free(all);
	return n;
}
