/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about a TLS connection after its handshake: for logins and for the
 * authenticator. The worker's thread.
 */
#ifndef ROUTERD_NET_TLS_FACTS_H
#define ROUTERD_NET_TLS_FACTS_H

#include "common/buf.h"
#include "routerd/net/tls.h"

enum {
	TLS_CHANNEL_ID = 32,  /* bytes of a channel id */
	TLS_FINGERPRINT = 32, /* bytes of SHA-256 */
};

/* What a client can bind its login to (see cryptosign in the specification). */
enum tls_binding {
	TLS_BINDING_UNIQUE = 0,   /* tls-unique */
	TLS_BINDING_EXPORTER = 1, /* tls-exporter: RFC 9266 */
	TLS_BINDING_COUNT = 2,
};
extern const char *const tls_binding_names[TLS_BINDING_COUNT];

/*
 * The channel ids that a client may use. For tls-unique, clients disagree about which of
 * the two Finished messages it is, so both are right.
 */
struct tls_channel {
	unsigned n;
	uint8_t ids[2][TLS_CHANNEL_ID];
	const char *names[2]; /* for log lines: "tls-unique/client" */
};

/*
 * Finds the channel ids. NULL: success. Else a sentence that says why there are none. t
 * may be NULL: the connection has no TLS.
 */
const char *tls_channel_find(const struct tls *t, enum tls_binding binding,
			     struct tls_channel *out) MUSTCHECK;

/* Texts are valid as long as t. */
struct tls_facts {
	const char *version; /* "1.3" */
	const char *cipher;
	const char *server_name; /* that the client has asked for, in UTF-8; NULL: none */
	bool has_certificate;    /* the client has shown one, which is valid */
	uint8_t fingerprint[TLS_FINGERPRINT]; /* SHA-256 of its DER */
};

/* Appends the client's certificate as DER, unless it is longer than max bytes. */
void tls_certificate_put(const struct tls *t, size_t max, struct buf *out);

/*
 * Appends the subject of the client's certificate (RFC 2253, UTF-8), unless it is longer
 * than max bytes.
 */
void tls_subject_put(const struct tls *t, size_t max, struct buf *out);

/*
 * Finds names of the client's certificate, such as "DNS:example.com", and returns their
 * number: at most max_names, each of at most max bytes. It skips those that are longer,
 * or of another kind than DNS, email, URI and IP. They are appended to `bytes`, which
 * must have room for all of them, since `names` points into it.
 */
size_t tls_names_put(const struct tls *t, size_t max, struct buf *bytes,
		     struct slice *names, size_t max_names);

void tls_describe(const struct tls *t, struct tls_facts *out);

#endif
