/* SPDX-License-Identifier: Apache-2.0 */
/* Reads certificates and private keys from PEM texts. No state; any thread. */
#ifndef COMMON_PEM_H
#define COMMON_PEM_H

#include "common/base.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/*
 * Reads all certificates of a text, in their order; there is at least one. The caller
 * frees *out with sk_X509_pop_free. E_SYNTAX: the text has no certificate, or one that
 * cannot be read. E_NOMEM. *why_out says why, a constant.
 */
int pem_certificates(struct slice text, STACK_OF(X509) * *out,
		     const char **why_out) MUSTCHECK;

/*
 * Reads the first private key of a text, which must not be encrypted. The caller frees
 * *out with EVP_PKEY_free. E_SYNTAX: there is none, as *why_out says, a constant.
 */
int pem_key(struct slice text, EVP_PKEY **out, const char **why_out) MUSTCHECK;

/* OpenSSL's last error, a constant. Clears the thread's errors. */
const char *pem_openssl_error(void);

#endif
