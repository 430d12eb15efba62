/* SPDX-License-Identifier: Apache-2.0 */
/* The commands authctl key add, remove, gen and show; see ctl.h. Main thread. */
#include "authd/ctl/ctl.h"

#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- key add, key remove --- */

int key_add(struct ctl *ctl)
{
	uint8_t key[SSH_KEY_BYTES];
	int code = ctl_new_key(ctl, ctl->args[1], key);

	return code == EX_OK ? ctl_change_target(ctl, key) : code;
}

/* Finds the principal's key with this fingerprint. */
static int find_fingerprint(struct ctl *ctl, const char *wanted,
			    uint8_t out[SSH_KEY_BYTES])
{
	struct admin_principal p = {.keys.n = 0};
	struct buf result;
	unsigned i = 0;

	buf_init(&result, AUTH_MAX_MESSAGE);
	int code = ctl_show(ctl, &result, &p);
	while (i < p.keys.n &&
	       strcmp(ctl_key_text(p.keys.key[i]).fingerprint, wanted) != 0)
		i++;
	if (code == EX_OK && i == p.keys.n)
		code = ctl_fail_uri(ctl, EX_NOUSER, ADMIN_ERROR_NO_SUCH_KEY,
				    "%s has no key with fingerprint %.80s", ctl->args[0],
				    wanted);
	if (code == EX_OK)
		memcpy(out, p.keys.key[i], SSH_KEY_BYTES);
	buf_fini(&result);
	return code;
}

int key_remove(struct ctl *ctl)
{
	uint8_t key[SSH_KEY_BYTES];
	const char *which = ctl->args[1];
	int code = strncmp(which, "SHA256:", 7) == 0 ? find_fingerprint(ctl, which, key)
						     : ctl_public_key(ctl, which, key);

	return code == EX_OK ? ctl_change_target(ctl, key) : code;
}

/* --- key gen, key show --- */

static const char *const form_names[] = {
	[SSH_KEY_RAW] = "raw",
	[SSH_KEY_OPENSSH_PRIVATE] = "openssh",
	[SSH_KEY_OPENSSH_PUBLIC] = "openssh",
	[SSH_KEY_HEX_PUBLIC] = "hex",
};

static int print_key(const struct ctl *ctl, const char *file, const struct ssh_key *key)
{
	struct ctl_key_text t = ctl_key_text(key->public);
	const char *half = key->is_private ? "private" : "public";
	const char *form = form_names[key->form];

	if (ctl->format == CTL_JSON)
		return ctl_print_json(ctl, json_pack("[{s:s,s:s,s:s,s:s,s:s}]", "pubkey",
						     t.hex, "fingerprint", t.fingerprint,
						     "file", file, "type", half, "format",
						     form));
	if (ctl->format == CTL_PLAIN)
		printf("%s\t%s\n", t.hex, t.fingerprint);
	else
		printf("file         %s (%s, %s)\npublic key   %s\nfingerprint  %s\n",
		       file, half, form, t.hex, t.fingerprint);
	return ctl_flush(ctl);
}

/* Writes s to the disk and closes fd. Returns 0 or an errno. */
static int write_and_close(int fd, struct slice s)
{
	int err = 0;

	while (err == 0 && s.len > 0) {
		ssize_t n = write(fd, s.p, s.len);
		if (n >= 0)
			s = slice_of(s.p + n, s.len - (size_t)n);
		else if (errno != EINTR)
			err = errno;
	}
	/* The key must be on the disk before it replaces another one. */
	if (err == 0 && fsync(fd) == -1)
		err = errno;
	if (close(fd) == -1 && err == 0)
		err = errno;
	return err;
}

/*
 * Creates a file that only its owner can read. Writes a temporary file first, so that the
 * file never has only a part of its content. Without force the file must not exist: link
 * fails if it does. With force, rename replaces it.
 */
static int write_secret(const struct ctl *ctl, const char *path, struct slice content,
			bool force)
{
	char temporary[4096];
	int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return ctl_fail(ctl, EX_CANTCREAT,
				"-f FILE: the path must have fewer than %zu bytes",
				sizeof(temporary) - strlen(".XXXXXX"));
	int fd = mkostemp(temporary, O_CLOEXEC); /* with mode 0600 */
	if (fd == -1)
		return ctl_fail(ctl, EX_CANTCREAT, "%s: %s", path, err_str(E_SYS));
	int err = write_and_close(fd, content);
	int code = err != 0 ? EX_IOERR : EX_CANTCREAT;
	if (err == 0 && (force ? rename(temporary, path) : link(temporary, path)) == -1)
		err = errno;
	if (err != 0 || !force)
		unlink(temporary);
	if (err == 0)
		return EX_OK;
	if (err == EEXIST)
		return ctl_fail(ctl, code, "%s already exists: --force replaces it",
				path);
	return ctl_fail(ctl, code, "%s: %s", path, strerror(err));
}

int key_gen(struct ctl *ctl)
{
	const char *file = ctl->options[OPT_FILE], *format = ctl->options[OPT_FORMAT];
	struct ssh_key key = {.is_private = true, .form = SSH_KEY_RAW};
	uint8_t seed[SSH_KEY_BYTES];
	struct buf content;

	if (format != NULL && strcmp(format, "openssh") == 0)
		key.form = SSH_KEY_OPENSSH_PRIVATE;
	else if (format != NULL && strcmp(format, "raw") != 0)
		return ctl_usage(ctl, "--format must be raw or openssh");
	if (file == NULL)
		return ctl_usage(ctl, "-f FILE is required");
	randombytes_buf(seed, sizeof(seed));
	ssh_key_public(seed, key.public);
	buf_init(&content, 1024);
	/* Reserve all memory at once: growing the buffer would leave copies of the key in
	 * memory. */
	if (buf_reserve(&content, 1024) == NULL)
		return ctl_nomem(ctl);
	if (key.form == SSH_KEY_RAW)
		buf_put(&content, seed, sizeof(seed));
	else
		ssh_key_write_private(&content, seed);
	int code = content.err != 0 ? ctl_nomem(ctl)
				    : write_secret(ctl, file, buf_slice(&content),
						   ctl->options[OPT_FORCE] != NULL);
	/* Leave no copy of the private key in memory. */
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(content.data, content.cap);
	buf_fini(&content);
	return code != EX_OK ? code : print_key(ctl, file, &key);
}

int key_show(struct ctl *ctl)
{
	const char *path = ctl->args[0];
	struct ssh_key key;
	int code = ctl_read_key(ctl, NULL, path, path, &key);

	return code != EX_OK ? code : print_key(ctl, path, &key);
}
