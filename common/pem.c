/* SPDX-License-Identifier: Apache-2.0 */
/* Reads PEM texts; see pem.h. No state; any thread. */
#include "common/pem.h"

#include "common/err.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

const char *pem_openssl_error(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return text != NULL ? text : "unknown error";
}

/* For OpenSSL: no password. Without it, OpenSSL would ask on the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

int pem_certificates(struct slice text, STACK_OF(X509) * *out, const char **why_out)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);
	int err = all == NULL || bio == NULL ? E_NOMEM : 0;
	X509 *x;

	ERR_clear_error();
	while (err == 0 && (x = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
		if (sk_X509_push(all, x) == 0) {
			X509_free(x);
			err = E_NOMEM;
		}
	/* the usual end: no further line "-----BEGIN" */
	bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	const char *why = pem_openssl_error();
	BIO_free(bio);
	if (err == 0 && at_end && sk_X509_num(all) > 0) {
		*out = all;
		return 0;
	}
	sk_X509_pop_free(all, X509_free);
	if (err != 0)
		*why_out = "out of memory";
	else
		*why_out = at_end ? "no line -----BEGIN CERTIFICATE-----" : why;
	return err != 0 ? err : E_SYNTAX;
}

int pem_key(struct slice text, EVP_PKEY **out, const char **why_out)
{
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);

	ERR_clear_error();
	*out = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (*out == NULL)
		*why_out = pem_openssl_error();
	ERR_clear_error();
	BIO_free(bio);
	return *out == NULL ? E_SYNTAX : 0;
}
