/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the secrets of the configuration, and derives what logins compare; see config.h.
 * No state; any thread.
 */
#include "common/err.h"
#include "common/utf8.h"
#include "routerd/config/config.h"
#include "routerd/config/config_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- reading --- */

/* The file of a secret that is being read, for messages. */
struct secret_file {
	struct conf *c;
	const void *field;
	const char *path;
};

/* Adds an error about the file. Returns false. */
static bool refuse_file(const struct secret_file *f, const char *why)
{
	conf_fail(f->c, f->field, "%s: %s", conf_quote(f->path).text, why);
	return false;
}

struct config_open_failure config_open_failure(void)
{
	struct config_open_failure f;
	struct passwd entry, *found = NULL;
	char strings[4096];
	int n = snprintf(f.text, sizeof(f.text), "%s", err_str(E_SYS));

	if (errno != EACCES)
		return f;
	(void)getpwuid_r(geteuid(), &entry, strings, sizeof(strings), &found);
	if (found != NULL)
		(void)snprintf(f.text + n, sizeof(f.text) - (size_t)n,
			       ": routerd runs as user %.100s, who may not read this "
			       "file, or not enter its folder: chown %.100s: FILE",
			       entry.pw_name, entry.pw_name);
	else
		(void)snprintf(f.text + n, sizeof(f.text) - (size_t)n,
			       ": routerd runs as user %u, who may not read this file, "
			       "or not enter its folder: chown %u: FILE",
			       geteuid(), geteuid());
	return f;
}

/* Checks that nobody but its owner and its group can know or change the secret. */
static bool check_file(const struct secret_file *f, int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return refuse_file(f, err_str(E_SYS));
	if (!S_ISREG(st.st_mode))
		return refuse_file(f, "this is not a regular file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return refuse_file(f, "the file belongs to another user: it must belong "
				      "to root or to the user that runs routerd; "
				      "--check must run as this user, too");
	if ((st.st_mode & (S_IWGRP | S_IRWXO)) != 0)
		return refuse_file(f, "other users can read or change this secret: "
				      "chmod 0600 or 0640");
	return true;
}

/* An editor may have added what clients do not send. */
static void warn_of_blanks(const struct secret_file *f, const char *text)
{
	const char *what = NULL;

	if (strchr(text, '\n') != NULL)
		what = "has several lines";
	else if (strchr(" \t\r", text[strlen(text) - 1]) != NULL)
		what = "ends with a blank or a carriage return";
	if (what != NULL)
		conf_warn(f->c, f->field,
			  "%s: the secret %s: clients must send exactly this text",
			  conf_quote(f->path).text, what);
}

/* Reads the open file. A line feed at its end does not belong to the secret. */
static bool read_secret(const struct secret_file *f, int fd,
			char text[CONFIG_MAX_SECRET + 3])
{
	size_t len = 0;
	ssize_t n;

	if (!check_file(f, fd))
		return false;
	do {
		n = read(fd, text + len, CONFIG_MAX_SECRET + 2 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return refuse_file(f, err_str(E_SYS));
	if (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	if (len == 0)
		return refuse_file(f, "the file is empty");
	static_assert(CONFIG_MAX_SECRET == 4096, "the text below names this limit");
	if (len > CONFIG_MAX_SECRET)
		return refuse_file(f, "the secret is longer than 4096 bytes");
	if (strlen(text) != len || !utf8_valid(slice_of(text, len)))
		return refuse_file(f, "the secret is not UTF-8, or contains a zero byte");
	warn_of_blanks(f, text);
	return true;
}

static void read_file_at(struct conf *c, const void *field, const char *path,
			 struct config_secret *secret)
{
	const struct secret_file f = {c, field, path};
	char text[CONFIG_MAX_SECRET + 3];
	/* O_NONBLOCK: a pipe must not stop routerd */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		(void)refuse_file(&f, config_open_failure().text);
		return;
	}
	if (read_secret(&f, fd, text))
		secret->text = conf_text(c, text);
	sodium_memzero(text, sizeof(text));
	close(fd);
}

/*
 * Where systemd puts the credentials of all units. It hides this folder from a unit's
 * ExecReload=, for which newer versions do not set CREDENTIALS_DIRECTORY either.
 */
static const char all_credentials[] = "/run/credentials";

bool config_credential_hidden(const char *path)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	size_t len;

	if (folder == NULL || folder[0] == '\0')
		folder = all_credentials;
	len = strlen(folder);
	return strncmp(path, folder, len) == 0 && path[len] == '/' &&
	       access(path, R_OK) != 0 && errno == EACCES;
}

static void read_credential(struct conf *c, struct config_secret *secret)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];

	if (strchr(secret->credential, '/') != NULL) {
		conf_fail(c, &secret->credential,
			  "expected the name of a credential, without '/'");
		return;
	}
	if (folder == NULL && access(all_credentials, X_OK) != 0 && errno == EACCES)
		folder = all_credentials;
	if (folder == NULL) {
		conf_fail(c, &secret->credential,
			  "CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit "
			  "with LoadCredential=; to check the file by hand, set it to a "
			  "folder with the file '%s'",
			  conf_quote(secret->credential).text);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", folder, secret->credential);
	if (config_credential_hidden(path))
		conf_warn(c, &secret->credential,
			  "%s: %s: the secret in it is not checked",
			  conf_quote(path).text, err_str(E_SYS));
	else
		read_file_at(c, &secret->credential, path, secret);
}

void config_secret_read(struct conf *c, struct config_secret *secret, const char *key)
{
	int given = (secret->text != NULL) + (secret->file != NULL) +
		    (secret->credential != NULL);

	if (given != 1)
		conf_fail(c, NULL,
			  "%s: expected one of '%s', '%s_file' and '%s_credential'",
			  given == 0 ? "a secret is missing"
				     : "there is more than one secret",
			  key, key, key);
	else if (secret->file != NULL)
		read_file_at(c, &secret->file, secret->file, secret);
	else if (secret->credential != NULL)
		read_credential(c, secret);
}

/* --- the router's own key, node_key_file --- */

/*
 * The group of a file of root is one that root has chosen: it lets routerd's user read
 * the file, but not change it. systemd's credentials may look like that, too, because the
 * mode of a file with an ACL shows the rights of the ACL as those of the group.
 */
static bool check_key_file(const struct secret_file *f, int fd)
{
	struct stat st;

	if (!check_file(f, fd))
		return false;
	if (fstat(fd, &st) == 0 && st.st_uid != 0 && (st.st_mode & S_IRWXG) != 0)
		return refuse_file(f, "other users can read this key: chmod 0600");
	return true;
}

bool config_secret_file_ok(struct conf *c, const void *field, const char *path, int fd,
			   bool is_key)
{
	const struct secret_file f = {c, field, path};
	struct stat st;

	if (is_key)
		return check_key_file(&f, fd);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		return refuse_file(&f, "this is not a regular file");
	return true;
}

/* Reads the 32 bytes of a private key. */
static bool read_seed(const struct secret_file *f, int fd,
		      uint8_t seed[crypto_sign_SEEDBYTES + 1])
{
	ssize_t n;

	if (!check_key_file(f, fd))
		return false;
	do {
		n = read(fd, seed, crypto_sign_SEEDBYTES + 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return refuse_file(f, err_str(E_SYS));
	if (n != crypto_sign_SEEDBYTES)
		return refuse_file(f, "expected a private key of 32 bytes, as authctl "
				      "key gen makes it");
	return true;
}

void config_node_key_read(struct conf *c, struct config *cfg)
{
	const struct secret_file f = {c, &cfg->node_key_file, cfg->node_key_file};
	uint8_t seed[crypto_sign_SEEDBYTES + 1];

	static_assert(sizeof(cfg->node_secret) == crypto_sign_SECRETKEYBYTES,
		      "node_secret is a secret key of crypto_sign");
	if (cfg->node_key_file == NULL)
		return;
	int fd = open(f.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && config_credential_hidden(f.path)) {
		conf_warn(c, f.field, "%s: %s: this credential is not checked",
			  conf_quote(f.path).text, err_str(E_SYS));
		return;
	}
	if (fd < 0) {
		(void)refuse_file(&f, config_open_failure().text);
		return;
	}
	if (read_seed(&f, fd, seed))
		crypto_sign_seed_keypair(cfg->node_public, cfg->node_secret, seed);
	sodium_memzero(seed, sizeof(seed));
	close(fd);
}

/* --- deriving --- */

void config_digest(const struct config *cfg, struct slice secret,
		   uint8_t out[CONFIG_DIGEST_LEN])
{
	crypto_generichash(out, CONFIG_DIGEST_LEN, secret.p, secret.len, cfg->digest_key,
			   sizeof(cfg->digest_key));
}

struct slice config_salt(const struct config *cfg, const struct config_method *m,
			 const struct config_principal *who, struct slice authid,
			 char decoy[CONFIG_MAX_SALT + 1])
{
	uint8_t hash[crypto_generichash_BYTES_MAX - 1]; /* no padding in base64 */
	char text[2 * sizeof(hash) + 1];
	size_t len = who->salt == NULL ? 0 : strlen(who->salt);

	/* the decoy is made for everybody, so that the time does not tell */
	bool hex = len > 0 && strspn(who->salt, "0123456789abcdef") == len;
	for (size_t at = 0; at < len; at += strlen(text)) {
		crypto_generichash_state s;

		crypto_generichash_init(&s, cfg->decoy_key, sizeof(cfg->decoy_key),
					sizeof(hash));
		crypto_generichash_update(&s, (const uint8_t *)&at, sizeof(at));
		crypto_generichash_update(&s, authid.p, authid.len);
		crypto_generichash_final(&s, hash, sizeof(hash));
		if (hex)
			sodium_bin2hex(text, sizeof(text), hash, sizeof(hash));
		else
			sodium_bin2base64(text, sizeof(text), hash, sizeof(hash),
					  sodium_base64_VARIANT_ORIGINAL);
		memcpy(decoy + at, text, min_size(strlen(text), len - at));
	}
	return slice_of(who == &m->nobody ? decoy : who->salt, len);
}

struct slice config_scram_salt(const struct config *cfg,
			       const struct config_principal *like, bool decoy,
			       struct slice authid, char text[CONFIG_SCRAM_SALT_TEXT + 1])
{
	uint8_t hash[CONFIG_MAX_SCRAM_SALT];

	/* the decoy is made for everybody, so that the time does not tell */
	crypto_generichash(hash, sizeof(hash), authid.p, authid.len, cfg->decoy_key,
			   sizeof(cfg->decoy_key));
	sodium_bin2base64(text, CONFIG_SCRAM_SALT_TEXT + 1,
			  decoy ? hash : like->scram_salt, like->scram_salt_len,
			  sodium_base64_VARIANT_ORIGINAL);
	return slice_str(text);
}

/*
 * Makes a principal that nobody can log in as: no one knows its secret or its key. The
 * rest is like `first`, which may be NULL.
 */
static void derive_nobody(struct config_principal *nobody,
			  const struct config_principal *first)
{
	uint8_t secret_key[crypto_sign_SECRETKEYBYTES];

	if (first != NULL) {
		nobody->salt = first->salt;
		nobody->iterations = first->iterations;
		nobody->keylen = first->keylen;
	}
	randombytes_buf(nobody->digest, sizeof(nobody->digest));
	randombytes_buf(nobody->stored_key, sizeof(nobody->stored_key));
	randombytes_buf(nobody->server_key, sizeof(nobody->server_key));
	nobody->cra_key.len = sizeof(nobody->cra_key.bytes);
	randombytes_buf(nobody->cra_key.bytes, sizeof(nobody->cra_key.bytes));
	nobody->keys.n = 1;
	crypto_sign_keypair(nobody->keys.key[0], secret_key);
	sodium_memzero(secret_key, sizeof(secret_key));
}

/*
 * Computes what a login needs from the principal's secret. False if the secret is in a
 * credential that could not be read, so that there is nothing to compute.
 */
MUSTCHECK
static bool derive_principal(const struct config *cfg, enum config_method_id method,
			     struct config_principal *who)
{
	if (who->secret.credential != NULL && who->secret.text == NULL)
		return false;
	struct slice secret = slice_str(who->secret.text);

	if (method == METHOD_TICKET)
		config_digest(cfg, secret, who->digest);
	else if (method == METHOD_WAMPCRA && who->salt == NULL)
		cra_key_of(secret, &who->cra_key);
	else if (method == METHOD_WAMPCRA)
		cra_derive(secret, slice_str(who->salt), (uint32_t)who->iterations,
			   (size_t)who->keylen, &who->cra_key);
	return true;
}

MUSTCHECK
static bool derive_methods(const struct config *cfg, struct config_auth *auth)
{
	for (unsigned id = 0; id < METHOD_COUNT; id++) {
		struct config_method *m = &auth->methods[id];

		for (size_t i = 0; i < m->n_principals; i++)
			if (!derive_principal(cfg, (enum config_method_id)id,
					      &m->principals[i]))
				return false;
		derive_nobody(&m->nobody, m->principals);
	}
	return true;
}

/* Were all files of a listener's certificates read? */
MUSTCHECK
static bool has_certificates(const struct config_tls *tls)
{
	bool all = tls->own.certificate == NULL || tls->own.key_pem.p != NULL;

	for (size_t i = 0; i < tls->n_more; i++)
		all = all && tls->more[i].key_pem.p != NULL;
	return all && (tls->ca_certificates.count == 0 || tls->ca_pem.p != NULL);
}

int config_derive(struct config *cfg)
{
	if (cfg->node_key_file != NULL &&
	    sodium_is_zero(cfg->node_public, sizeof(cfg->node_public)))
		return E_NOTFOUND;
	randombytes_buf(cfg->digest_key, sizeof(cfg->digest_key));
	randombytes_buf(cfg->decoy_key, sizeof(cfg->decoy_key));
	if (cfg->node_key_file != NULL)
		crypto_generichash(cfg->decoy_key, sizeof(cfg->decoy_key),
				   (const uint8_t *)"decoy", 5, cfg->node_secret,
				   sizeof(cfg->node_secret));
	for (size_t i = 0; i < cfg->n_listeners; i++)
		if (!derive_methods(cfg, &cfg->listeners[i].auth) ||
		    !has_certificates(&cfg->listeners[i].endpoint.tls))
			return E_NOTFOUND;
	return 0;
}
