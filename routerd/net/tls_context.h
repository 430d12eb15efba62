/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the TLS connections of one listener share: certificates with their keys, and how
 * TLS is spoken. A context does not change, so any thread may use it.
 */
#ifndef ROUTERD_NET_TLS_CONTEXT_H
#define ROUTERD_NET_TLS_CONTEXT_H

#include "common/base.h"

#include <openssl/ssl.h>

enum tls_clients {
	TLS_CLIENTS_OFF = 0,      /* clients are not asked for a certificate */
	TLS_CLIENTS_OPTIONAL = 1, /* a client may have one, which must be valid */
	TLS_CLIENTS_REQUIRED = 2,
};

/* A certificate and its key, as PEM. */
struct tls_pair {
	struct slice certificates; /* the server's own, then those that have signed it */
	struct slice key;
};

/* All texts are lent during the call. They must have been checked. */
struct tls_context_conf {
	const char *name; /* the listener's name */
	/* The first one is for clients that name no server, or one that is not known. */
	const struct tls_pair *pairs;
	size_t n_pairs;
	enum tls_clients clients;
	struct slice client_ca; /* PEM: what may have signed a client's certificate */
	const char *ciphers;    /* for TLS 1.2; NULL: the default */
	const char *groups;     /* NULL: OpenSSL's default */
};

struct tls_context;

/* The default of tls_context_conf.ciphers: ECDHE with AEAD. */
extern const char tls_default_ciphers[];

/* Why a context could not be made. */
struct tls_refusal {
	size_t pair;        /* index of the pair that OpenSSL has refused */
	const char *reason; /* OpenSSL's, or "out of memory"; a constant */
};

/* NULL: out of memory, or OpenSSL refuses the texts: see *refusal_out. */
struct tls_context *tls_context_new(const struct tls_context_conf *conf,
				    struct tls_refusal *refusal_out) MUSTCHECK;
/* Frees it and clears the pointer. No connection may use it any more. NULL-safe. */
void tls_context_free(struct tls_context **c);

/* Makes the TLS state of a server's connection. NULL if out of memory. */
SSL *tls_context_connect(const struct tls_context *c) MUSTCHECK;

#endif
