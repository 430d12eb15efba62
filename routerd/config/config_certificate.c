/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads files with certificates and keys, and says what is wrong with them: whatever
 * OpenSSL would refuse at the start is an error here, whatever clients may refuse is a
 * warning. See config.h. No state; any thread.
 */
#include "common/buf.h"
#include "common/err.h"
#include "common/pem.h"
#include "common/timestamp.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_PEM = 256 << 10,  /* bytes of a file */
	READ_STEP = 16 << 10, /* bytes read at a time; MAX_PEM is a multiple */
	MAX_NAMES = 300,      /* bytes of a certificate's names in log lines */
	MAX_CHAIN = 40 << 10, /* bytes of the certificates that a client is sent */
	SLOW_RSA_BITS = 3072 + 1,
};

/* What a file must contain. */
enum pem_kind { PEM_CERTIFICATES = 0, PEM_KEY = 1, PEM_AUTHORITIES = 2 };

/* --- files --- */

/* A file that is being read, for messages. */
struct pem_file {
	struct conf *c;
	const void *field;
	const char *path;
	enum pem_kind kind;
};

/* Adds an error about the file. Returns false. */
PRINTF_LIKE(2, 3)
static bool refuse_pem(const struct pem_file *f, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_fail(f->c, f->field, "%s: %s", conf_quote(f->path).text, text);
	return false;
}

/* Appends the bytes of an open file to out. */
static bool read_bytes(const struct pem_file *f, int fd, struct buf *out)
{
	size_t before = out->len;
	ssize_t n;

	do {
		uint8_t *to = buf_reserve(out, READ_STEP);
		if (to == NULL) {
			conf_nomem(f->c);
			return false;
		}
		n = read(fd, to, READ_STEP);
		buf_commit(out, n > 0 ? (size_t)n : 0);
	} while ((n > 0 && out->len - before <= MAX_PEM) || (n < 0 && errno == EINTR));
	if (n < 0)
		return refuse_pem(f, "%s", err_str(E_SYS));
	if (out->len - before > MAX_PEM)
		return refuse_pem(f, "the file is longer than %d KiB", MAX_PEM >> 10);
	return true;
}

static int64_t time_of(const ASN1_TIME *t)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

static bool has_expired(const X509 *x)
{
	return time_of(X509_get0_notAfter(x)) <= time(NULL);
}

/* Warns of an authority with which no client can log in any more. */
static void check_authorities(const struct pem_file *f, const STACK_OF(X509) * all)
{
	for (int i = 0; i < sk_X509_num(all); i++)
		if (has_expired(sk_X509_value(all, i))) {
			conf_warn(f->c, f->field,
				  "%s: certificate %d in it has expired: clients that "
				  "it has signed cannot connect",
				  conf_quote(f->path).text, i + 1);
			return;
		}
}

/* Checks that a text is PEM and has at least one certificate. */
static bool check_text(const struct pem_file *f, struct slice text)
{
	STACK_OF(X509) *all = NULL;
	const char *why;

	if (text.len == 0)
		return refuse_pem(f, "the file is empty");
	if (memchr(text.p, 0, text.len) != NULL)
		return refuse_pem(f,
				  "this is not PEM; if it is DER, convert it: "
				  "openssl %s -inform DER -in FILE -out NEW.pem",
				  f->kind == PEM_KEY ? "pkey" : "x509");
	if (f->kind == PEM_KEY)
		return true;
	if (pem_certificates(text, &all, &why) != 0)
		return refuse_pem(f, "expected certificates as PEM: %s", why);
	if (f->kind == PEM_AUTHORITIES)
		check_authorities(f, all);
	sk_X509_pop_free(all, X509_free);
	return true;
}

static bool is_only_certificate(struct slice text)
{
	return memmem(text.p, text.len, "BEGIN CERTIFICATE", 17) != NULL &&
	       memmem(text.p, text.len, "PRIVATE KEY", 11) == NULL;
}

/* Appends a file to out, without a byte order mark. */
static bool read_open_file(const struct pem_file *f, int fd, struct buf *out)
{
	bool is_key = f->kind == PEM_KEY;
	size_t before = out->len;

	if (!config_secret_file_ok(f->c, f->field, f->path, fd, false) ||
	    !read_bytes(f, fd, out))
		return false;
	/* This first, since certificates need not be secret. */
	if (is_key && is_only_certificate(slice_from(buf_slice(out), before)))
		return refuse_pem(f, "this is a certificate, not a private key");
	if (is_key && !config_secret_file_ok(f->c, f->field, f->path, fd, true))
		return false;
	if (out->len - before >= 3 && memcmp(out->data + before, "\xef\xbb\xbf", 3) == 0)
		memset(out->data + before, '\n', 3);
	return check_text(f, slice_from(buf_slice(out), before));
}

static bool read_pem_file(const struct pem_file *f, struct buf *out)
{
	/* O_NONBLOCK: a pipe must not stop routerd */
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && config_credential_hidden(f->path)) {
		conf_warn(f->c, f->field, "%s: %s: this credential is not checked",
			  conf_quote(f->path).text, err_str(E_SYS));
		return false;
	}
	if (fd < 0)
		return refuse_pem(f, "%s", config_open_failure().text);
	bool ok = read_open_file(f, fd, out);
	close(fd);
	/* the next file may follow, even if this one ends without a line feed */
	buf_put_u8(out, '\n');
	return ok;
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

/* Makes an empty buffer for so many files. */
static void init_text(struct buf *text, size_t n_files)
{
	buf_init_secret(text, n_files * (MAX_PEM + READ_STEP + 1) + 1);
}

/* Appends files with certificates. */
static bool append_files(struct conf *c, const struct conf_strings *paths,
			 enum pem_kind kind, struct buf *text)
{
	bool ok = true;

	for (size_t i = 0; i < paths->count && ok; i++)
		ok = read_pem_file(
			&(struct pem_file){c, &paths->items[i], paths->items[i], kind},
			text);
	return ok;
}

struct slice config_ca_read(struct conf *c, const struct conf_strings *paths)
{
	struct slice stored = {NULL, 0};
	struct buf text;

	init_text(&text, paths->count);
	if (append_files(c, paths, PEM_AUTHORITIES, &text))
		stored = store_text(c, &text);
	buf_fini(&text);
	return stored;
}

/* Reads all files. False if there was an error, or one of them is hidden. */
static bool read_files(struct conf *c, struct config_certificate *pair)
{
	const struct pem_file own = {c, &pair->certificate, pair->certificate,
				     PEM_CERTIFICATES};
	const struct pem_file secret = {c, &pair->key, pair->key, PEM_KEY};
	struct buf text, key;
	bool ok;

	init_text(&text, 1 + pair->chain_certificates.count);
	init_text(&key, 1);
	ok = read_pem_file(&own, &text) &&
	     append_files(c, &pair->chain_certificates, PEM_CERTIFICATES, &text);
	ok = read_pem_file(&secret, &key) && ok;
	if (ok) {
		pair->certificates_pem = store_text(c, &text);
		pair->key_pem = store_text(c, &key);
	}
	buf_fini(&text);
	buf_fini(&key);
	return ok;
}

/* --- a certificate --- */

/* Formats a name of a certificate. False if clients do not compare this kind of name. */
static bool name_text(const GENERAL_NAME *name, char *out, size_t size)
{
	const ASN1_STRING *s = name->d.ia5;
	const uint8_t *p = NULL;

	if (name->type == GEN_DNS || name->type == GEN_IPADD)
		p = ASN1_STRING_get0_data(s);
	if (name->type == GEN_DNS)
		(void)snprintf(
			out, size, "%s",
			log_quote(slice_of(p, (size_t)ASN1_STRING_length(s))).text);
	else if (name->type == GEN_IPADD && ASN1_STRING_length(s) == 4)
		(void)inet_ntop(AF_INET, p, out, (socklen_t)size);
	else if (name->type == GEN_IPADD && ASN1_STRING_length(s) == 16)
		(void)inet_ntop(AF_INET6, p, out, (socklen_t)size);
	else
		return false;
	return true;
}

/* The names that the certificate is for, for log lines. NULL: there is none. */
static const char *names_of(struct conf *c, X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char text[MAX_NAMES + 1] = "", one[LOG_QUOTE_MAX];
	size_t len = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		if (!name_text(sk_GENERAL_NAME_value(names, i), one, sizeof(one)))
			continue;
		int n = snprintf(text + len, sizeof(text) - len, "%s%s",
				 len == 0 ? "" : ",", one);
		if ((size_t)n >= sizeof(text) - len) {
			text[len] = '\0';
			break;
		}
		len += (size_t)n;
	}
	GENERAL_NAMES_free(names);
	return len == 0 ? NULL : conf_text(c, text);
}

static void check_dates(struct conf *c, struct config_certificate *pair, const X509 *x)
{
	int64_t start = time_of(X509_get0_notBefore(x)), now = time(NULL);

	pair->expires_s = time_of(X509_get0_notAfter(x));
	pair->expires =
		conf_text(c, timestamp_text((uint64_t)pair->expires_s * 1000).text);
	if (pair->expires_s <= now)
		conf_warn(c, &pair->certificate,
			  "%s: this certificate expired at %s: clients will refuse it",
			  conf_quote(pair->certificate).text, pair->expires);
	else if (pair->expires_s - now < CONFIG_EXPIRY_WARN_S)
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

static void check_use(struct conf *c, struct config_certificate *pair, X509 *x)
{
	pair->names = names_of(c, x);
	if (pair->names == NULL) {
		conf_warn(c, &pair->certificate,
			  "%s: this certificate has no name of a host "
			  "(subjectAltName): clients will refuse it",
			  conf_quote(pair->certificate).text);
		pair->names = "none";
	}
	if (X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0) != 1)
		conf_warn(c, &pair->certificate,
			  "%s: this certificate is not for servers (extendedKeyUsage "
			  "or keyUsage): clients will refuse it",
			  conf_quote(pair->certificate).text);
}

/* --- what has signed it --- */

static bool has_signed(X509 *parent, X509 *child)
{
	return X509_NAME_cmp(X509_get_subject_name(parent),
			     X509_get_issuer_name(child)) == 0 &&
	       X509_verify(child, X509_get0_pubkey(parent)) == 1;
}

/* Public authorities say in a certificate where its issuer's is to be found. */
static bool names_its_issuer(X509 *x)
{
	AUTHORITY_INFO_ACCESS *all = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(all) && !found; i++)
		found = OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(all, i)->method) ==
			NID_ad_ca_issuers;
	AUTHORITY_INFO_ACCESS_free(all);
	return found;
}

/* The name of who has signed x, for messages: the common name, or else the whole name. */
static void issuer_name(const X509 *x, char out[200])
{
	X509_NAME *name = X509_get_issuer_name(x);

	if (X509_NAME_get_text_by_NID(name, NID_commonName, out, 200) <= 0)
		(void)X509_NAME_oneline(name, out, 200);
}

/* Warns that `child` stands in the chain without the certificate that has signed it. */
static void warn_of_gap(struct conf *c, const struct config_certificate *pair,
			const X509 *child, bool misplaced)
{
	char issuer[200];

	issuer_name(child, issuer);
	conf_warn(c, &pair->certificate,
		  misplaced
			  ? "%s: the certificate of \"%s\" must stand right behind the "
			    "one that it has signed: many clients refuse this order"
			  : "%s: the certificate of \"%s\" is missing, which has signed "
			    "this one or another one of its chain: many clients will "
			    "refuse it",
		  conf_quote(pair->certificate).text, conf_quote(issuer).text);
}

/* Warns of a chain with which clients cannot find the way to an authority. */
static void check_chain(struct conf *c, const struct config_certificate *pair, X509 *own,
			STACK_OF(X509) * chain)
{
	X509 *child = own;
	int n = sk_X509_num(chain);

	for (int i = 0; i < n; child = sk_X509_value(chain, i++)) {
		bool misplaced = false;

		if (has_signed(sk_X509_value(chain, i), child))
			continue;
		for (int k = i + 1; k < n && !misplaced; k++)
			misplaced = has_signed(sk_X509_value(chain, k), child);
		warn_of_gap(c, pair, child, misplaced);
		return;
	}
	/* An authority that clients know may have signed `child` itself. */
	if (n == 0 && X509_self_signed(own, 0) != 1 && names_its_issuer(own))
		warn_of_gap(c, pair, own, false);
	for (int i = 0; i < n; i++)
		if (has_expired(sk_X509_value(chain, i)))
			conf_warn(c, &pair->certificate,
				  "%s: certificate %d of its chain has expired: many "
				  "clients will refuse it",
				  conf_quote(pair->certificate).text, i + 2);
}

/* A handshake must fit into what may wait for a client that does not read. */
static void check_size(struct conf *c, const struct config_certificate *pair, X509 *own,
		       STACK_OF(X509) * chain)
{
	int sum = i2d_X509(own, NULL);

	for (int i = 0; i < sk_X509_num(chain) && sum <= MAX_CHAIN; i++)
		sum += i2d_X509(sk_X509_value(chain, i), NULL);
	if (sum > MAX_CHAIN)
		conf_fail(
			c, &pair->certificate,
			"%s: the certificates for clients are longer than %d KiB: leave "
			"out those that are not in the chain",
			conf_quote(pair->certificate).text, MAX_CHAIN >> 10);
}

/* --- its key --- */

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
			conf_quote(pair->certificate).text, pem_openssl_error());
	SSL_CTX_free(ctx);
}

/* Says whose key it is, if not that of the first certificate. */
static void refuse_key(struct conf *c, const struct config_certificate *pair,
		       EVP_PKEY *key, STACK_OF(X509) * chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (X509_check_private_key(sk_X509_value(chain, i), key) == 1) {
			conf_fail(c, &pair->certificate,
				  "%s: the server's own certificate must be the first, "
				  "but the key is that of certificate %d",
				  conf_quote(pair->certificate).text, i + 2);
			return;
		}
	conf_fail(c, &pair->key, "%s: this is not the key of the certificate %s",
		  conf_quote(pair->key).text, conf_quote(pair->certificate).text);
}

/* NULL: an error was added. */
static EVP_PKEY *parse_key(struct conf *c, const struct config_certificate *pair)
{
	struct slice text = pair->key_pem;
	EVP_PKEY *key = NULL;
	const char *why;

	if (pem_key(text, &key, &why) == 0)
		return key;
	if (memmem(text.p, text.len, "ENCRYPTED PRIVATE", 17) != NULL ||
	    memmem(text.p, text.len, "4,ENCRYPTED", 11) != NULL)
		why = "this one has a password; openssl pkey -in FILE -out NEW removes "
		      "it";
	conf_fail(c, &pair->key,
		  "%s: expected a private key as PEM, without a password: %s",
		  conf_quote(pair->key).text, why);
	return NULL;
}

static void check_pair(struct conf *c, struct config_certificate *pair,
		       STACK_OF(X509) * all)
{
	X509 *own = sk_X509_shift(all);
	EVP_PKEY *key = parse_key(c, pair);

	if (key != NULL && X509_check_private_key(own, key) != 1) {
		refuse_key(c, pair, key, all);
	} else if (key != NULL) {
		check_use(c, pair, own);
		check_dates(c, pair, own);
		check_chain(c, pair, own, all);
		check_size(c, pair, own, all);
		check_strength(c, pair, own, key, all);
	}
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

void config_certificate_read(struct conf *c, struct config_certificate *pair)
{
	STACK_OF(X509) *all = NULL;
	const char *why;

	if (read_files(c, pair) && pair->key_pem.p != NULL &&
	    pair->certificates_pem.p != NULL &&
	    pem_certificates(pair->certificates_pem, &all, &why) == 0)
		check_pair(c, pair, all);
	sk_X509_pop_free(all, X509_free);
}
