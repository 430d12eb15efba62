/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the contexts of OpenSSL for a listener: one for each set of names, which may have
 * several certificates with keys of different kinds. See tls_context.h. Any thread.
 */
#include "routerd/net/tls_context.h"

#include "common/err.h"
#include "common/pem.h"
#include "routerd/net/tls_tickets.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>

enum {
	CLIENT_DEPTH_MAX = 8, /* certificates between a client's and its CA */
	/* Bytes of the names of CAs that clients are sent; without names they may choose
	 * any certificate that they have. */
	CLIENT_NAMES_MAX = 8 * 1024,
};

/* The certificates of one set of names. */
struct tls_host {
	SSL_CTX *ctx;
	X509 *first; /* its first certificate; owned by ctx */
};

struct tls_context {
	size_t n_hosts;
	struct tls_host hosts[]; /* at least one */
};

const char tls_default_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* --- names --- */

static bool is_for(const struct tls_host *h, const char *name)
{
	return X509_check_host(h->first, name, 0, 0, NULL) == 1;
}

/* SNI: chooses the certificate that is for the name which the client asks for. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_context *c = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	for (size_t i = 0; name != NULL && i < c->n_hosts; i++) {
		if (!is_for(&c->hosts[i], name))
			continue;
		return SSL_set_SSL_CTX(ssl, c->hosts[i].ctx) != NULL
			       ? SSL_TLSEXT_ERR_OK
			       : SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned in_len, void *arg)
{
	static const struct slice http = {(const uint8_t *)"http/1.1", 8};

	(void)ssl;
	(void)arg;
	for (unsigned i = 0; i < in_len && in[i] < in_len - i; i += 1u + in[i]) {
		if (!slice_eq(slice_of(in + i + 1, in[i]), http))
			continue;
		*out = in + i + 1;
		*out_len = in[i];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Is every name of the certificate also one of the host? Then both may share a context.
 */
static bool has_names_of(const struct tls_host *h, X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
	bool all = n > 0;

	for (int i = 0; i < n && all; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_DNS)
			all = is_for(
				h, (const char *)ASN1_STRING_get0_data(name->d.dNSName));
	}
	GENERAL_NAMES_free(names);
	return all;
}

static bool has_key_like(const struct tls_host *h, EVP_PKEY *key)
{
	bool found = false;

	for (long more = SSL_CTX_set_current_cert(h->ctx, SSL_CERT_SET_FIRST); more == 1;
	     more = SSL_CTX_set_current_cert(h->ctx, SSL_CERT_SET_NEXT))
		found = found || EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(h->ctx)) ==
					 EVP_PKEY_get_base_id(key);
	return found;
}

/* --- making --- */

static size_t names_len(const STACK_OF(X509) * all)
{
	size_t sum = 0;

	for (int i = 0; i < sk_X509_num(all); i++) {
		X509_NAME *name = X509_get_subject_name(sk_X509_value(all, i));
		int len = i2d_X509_NAME(name, NULL);
		sum += len > 0 ? (size_t)len : 0;
	}
	return sum;
}

/* Tells clients the names of the authorities that may have signed their certificate. */
static bool add_names(SSL_CTX *ctx, const STACK_OF(X509) * all)
{
	bool ok = true;

	for (int i = 0; i < sk_X509_num(all) && ok; i++)
		ok = SSL_CTX_add_client_CA(ctx, sk_X509_value(all, i)) == 1;
	return ok;
}

static bool set_clients(SSL_CTX *ctx, const struct tls_context_conf *conf)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	STACK_OF(X509) * all;
	const char *why;
	bool ok = true;

	if (conf->clients == TLS_CLIENTS_OFF)
		return true;
	if (pem_certificates(conf->client_ca, &all, &why) != 0)
		return false;
	/* so that a client's own certificate may stand in the file */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	for (int i = 0; i < sk_X509_num(all) && ok; i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(all, i)) == 1;
	ok = ok && (names_len(all) > CLIENT_NAMES_MAX || add_names(ctx, all));
	sk_X509_pop_free(all, X509_free);
	SSL_CTX_set_verify(ctx,
			   SSL_VERIFY_PEER | (conf->clients == TLS_CLIENTS_REQUIRED
						      ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT
						      : 0),
			   NULL);
	SSL_CTX_set_verify_depth(ctx, CLIENT_DEPTH_MAX);
	return ok;
}

/*
 * A ticket is good only for a listener with this id, and only as long as clients must
 * show the same certificates.
 */
static bool set_session_id(SSL_CTX *ctx, const struct tls_context_conf *conf)
{
	uint8_t id[SSL_MAX_SID_CTX_LENGTH];
	const uint8_t clients = (uint8_t)conf->clients;
	crypto_generichash_state s;

	crypto_generichash_init(&s, NULL, 0, sizeof(id));
	crypto_generichash_update(&s, (const uint8_t *)conf->name, strlen(conf->name));
	crypto_generichash_update(&s, &clients, sizeof(clients));
	if (conf->client_ca.len > 0)
		crypto_generichash_update(&s, conf->client_ca.p, conf->client_ca.len);
	crypto_generichash_final(&s, id, sizeof(id));
	return SSL_CTX_set_session_id_context(ctx, id, sizeof(id)) == 1;
}

static bool set_tickets(SSL_CTX *ctx, const struct tls_context_conf *conf)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TLS_TICKET_LIFETIME_S);
	if (conf->clients == TLS_CLIENTS_OFF)
		return SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
		       SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_tickets_use) == 1;
	/* A resumed session would not show the certificate again. NO_TICKET alone leaves
	 * stateful tickets in TLS 1.3. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return SSL_CTX_set_num_tickets(ctx, 0) == 1;
}

/* All contexts of a listener get the same settings: SNI changes the certificate only. */
static SSL_CTX *make_ctx(const struct tls_context *c, const struct tls_context_conf *conf)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	union {
		const struct tls_context *in;
		void *out;
	} arg = {c}; /* OpenSSL's type lacks the const */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ctx, conf->ciphers != NULL
						 ? conf->ciphers
						 : tls_default_ciphers) == 1 &&
	    (conf->groups == NULL || SSL_CTX_set1_groups_list(ctx, conf->groups) == 1) &&
	    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name) == 1 &&
	    SSL_CTX_set_tlsext_servername_arg(ctx, arg.out) == 1 &&
	    set_clients(ctx, conf) && set_session_id(ctx, conf) && set_tickets(ctx, conf))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* Adds a certificate to the host that has its names, or as a new host. */
static bool add_certificate(struct tls_context *c, const struct tls_context_conf *conf,
			    STACK_OF(X509) * all, EVP_PKEY *key)
{
	X509 *own = sk_X509_shift(all);
	struct tls_host *host = NULL;
	bool ok;

	for (size_t i = 0; i < c->n_hosts && host == NULL; i++)
		if (has_names_of(&c->hosts[i], own) && !has_key_like(&c->hosts[i], key))
			host = &c->hosts[i];
	if (host == NULL) {
		host = &c->hosts[c->n_hosts];
		host->ctx = make_ctx(c, conf);
		host->first = own;
		c->n_hosts += host->ctx != NULL;
	}
	ok = host->ctx != NULL &&
	     SSL_CTX_use_cert_and_key(host->ctx, own, key, all, 1) == 1;
	X509_free(own); /* the context has its own reference */
	return ok;
}

/* *why_out: the reason, if it is known. */
static bool add_pair(struct tls_context *c, const struct tls_context_conf *conf,
		     const struct tls_pair *pair, const char **why_out)
{
	STACK_OF(X509) *all = NULL;
	EVP_PKEY *key = NULL;
	bool ok = pem_certificates(pair->certificates, &all, why_out) == 0 &&
		  pem_key(pair->key, &key, why_out) == 0;

	if (ok && !add_certificate(c, conf, all, key)) {
		*why_out = pem_openssl_error();
		ok = false;
	}
	EVP_PKEY_free(key);
	sk_X509_pop_free(all, X509_free);
	return ok;
}

struct tls_context *tls_context_new(const struct tls_context_conf *conf,
				    struct tls_refusal *refusal_out)
{
	struct tls_context *c =
		calloc(1, sizeof(*c) + conf->n_pairs * sizeof(c->hosts[0]));

	*refusal_out = (struct tls_refusal){0, "out of memory"};
	ERR_clear_error();
	for (size_t i = 0; c != NULL && i < conf->n_pairs; i++)
		if (!add_pair(c, conf, &conf->pairs[i], &refusal_out->reason)) {
			refusal_out->pair = i;
			tls_context_free(&c);
		}
	ERR_clear_error();
	return c;
}

void tls_context_free(struct tls_context **cp)
{
	struct tls_context *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n_hosts; i++)
		SSL_CTX_free(c->hosts[i].ctx);
	free(c);
}

SSL *tls_context_connect(const struct tls_context *c)
{
	return SSL_new(c->hosts[0].ctx);
}
