/* SPDX-License-Identifier: Apache-2.0 */
/* authctl: reads keys from arguments and files; see ctl.h. Main thread. */
#include "authd/ctl/ctl.h"

#include "common/err.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

int ctl_read_file(const struct ctl *ctl, const char *path, size_t max, struct buf *out)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "re");
	uint8_t *to = buf_reserve(out, max + 1);

	if (f == NULL)
		return ctl_fail(ctl, errno == EACCES ? EX_NOPERM : EX_NOINPUT, "%s: %s",
				path, err_str(E_SYS));
	/* Do not buffer, so that stdio keeps no copy of a private key. */
	setvbuf(f, NULL, _IONBF, 0);
	/* Read one byte more than is allowed, to detect a larger file. */
	size_t n = to == NULL ? 0 : fread(to, 1, max + 1, f);
	buf_commit(out, n);
	int code = to == NULL  ? ctl_nomem(ctl)
		   : ferror(f) ? ctl_fail(ctl, EX_NOINPUT, "%s: %s", path, err_str(E_SYS))
		   : n > max   ? ctl_fail(ctl, EX_DATAERR, "%s: larger than %zu bytes",
					  path, max)
			       : EX_OK;
	if (!standard)
		fclose(f);
	return code;
}

int ctl_read_key(const struct ctl *ctl, const char *text, const char *path,
		 const char *name, struct ssh_key *out)
{
	struct buf b;
	const char *why;
	int code = EX_OK;

	buf_init(&b, SSH_KEY_MAX_FILE + 1);
	if (text != NULL)
		buf_put_str(&b, text);
	else
		code = ctl_read_file(ctl, path, SSH_KEY_MAX_FILE, &b);
	if (code == EX_OK && ssh_key_read(buf_slice(&b), out, &why) != 0)
		code = ctl_fail(ctl, EX_DATAERR, "%s %s", name, why);
	if (b.data != NULL)
		sodium_memzero(b.data, b.cap);
	buf_fini(&b);
	return code;
}

/*
 * Is the argument a key itself, and not the name of a file? 64 hex digits always are a
 * key. Another number of hex digits, at least 32, is a mistyped key unless a file has
 * this name.
 */
static bool is_text(const char *arg)
{
	const char *digits = strncmp(arg, "0x", 2) == 0 ? arg + 2 : arg;
	size_t n = strspn(digits, "0123456789abcdefABCDEF");

	return strchr(arg, ' ') != NULL || strncmp(arg, "ssh-", 4) == 0 ||
	       strncmp(arg, "ecdsa-", 6) == 0 || strncmp(arg, "-----", 5) == 0 ||
	       strncmp(arg, "AAAA", 4) == 0 ||
	       (n >= SSH_KEY_BYTES && digits[n] == '\0' &&
		(n == 2 * SSH_KEY_BYTES || access(arg, F_OK) == -1));
}

int ctl_public_key(const struct ctl *ctl, const char *arg, uint8_t out[SSH_KEY_BYTES])
{
	bool standard = strcmp(arg, "-") == 0, is_key = !standard && is_text(arg);
	const char *name = standard ? "standard input" : is_key ? "the key" : arg;
	struct ssh_key key;

	if (arg[0] == '\0')
		return ctl_fail(ctl, EX_DATAERR, "the key is empty");
	if (!standard && !is_key && access(arg, F_OK) == -1)
		return ctl_fail(ctl, EX_DATAERR,
				"'%.80s' is neither a key (64 hex digits, or ssh-ed25519 "
				"...) nor a file",
				arg);
	int code = ctl_read_key(ctl, is_key ? arg : NULL, arg, name, &key);
	if (code == EX_OK && key.is_private)
		code = ctl_fail(ctl, EX_DATAERR,
				"%s is a private key: keep it secret; `authctl key show` "
				"prints its public key",
				name);
	if (code == EX_OK)
		memcpy(out, key.public, SSH_KEY_BYTES);
	return code;
}

int ctl_new_key(const struct ctl *ctl, const char *arg, uint8_t out[SSH_KEY_BYTES])
{
	int code = ctl_public_key(ctl, arg, out);

	if (code != EX_OK || ssh_key_can_verify(out))
		return code;
	return ctl_fail(ctl, EX_DATAERR,
			"the key cannot verify signatures: was it mistyped, or "
			"is it a private key?");
}

struct ctl_key_text ctl_key_text(const uint8_t key[SSH_KEY_BYTES])
{
	struct ctl_key_text t;

	fields_key_encode(key, t.hex);
	ssh_key_fingerprint(key, t.fingerprint);
	return t;
}
