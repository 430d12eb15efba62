/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as arguments and in files; see ctl.h. */
#include "authd/ctl/ctl.h"

#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

int ctl_read_file(const struct ctl *ctl, const char *path, size_t max, struct buf *out)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return ctl_fail(ctl, errno == EACCES ? EX_NOPERM : EX_NOINPUT, NULL,
				"%s: %s", path, err_str(E_SYS));
	do {
		/* one byte more than is allowed tells that there is more */
		uint8_t *to = buf_reserve(out, max + 1 - out->len);
		if (to == NULL) {
			n = -1;
			errno = ENOMEM;
			break;
		}
		n = read(fd, to, max + 1 - out->len);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while ((n > 0 && out->len <= max) || (n == -1 && errno == EINTR));
	int saved = errno;
	if (!standard)
		close(fd);
	errno = saved;
	if (n == -1)
		return ctl_fail(ctl, EX_NOINPUT, NULL, "%s: %s", path, err_str(E_SYS));
	if (out->len > max)
		return ctl_fail(ctl, EX_DATAERR, NULL, "%s: larger than %zu bytes", path,
				max);
	return EX_OK;
}

/* Is this meant as a key itself, not as the name of a file? */
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
	struct ssh_key key;
	struct buf file;
	const char *why, *name = strcmp(arg, "-") == 0 ? "standard input" : arg;
	int code = EX_OK;

	buf_init(&file, SSH_KEY_MAX_FILE + 1);
	if (arg[0] == '\0') {
		return ctl_fail(ctl, EX_DATAERR, NULL, "the key is empty");
	} else if (is_text(arg)) {
		name = "the key";
		buf_put_str(&file, arg);
	} else if (strcmp(arg, "-") != 0 && access(arg, F_OK) == -1) {
		return ctl_fail(ctl, EX_DATAERR, NULL,
				"'%.80s' is neither a key (64 hex digits, or ssh-ed25519 "
				"...) nor a file",
				arg);
	} else {
		code = ctl_read_file(ctl, arg, SSH_KEY_MAX_FILE, &file);
	}
	if (code == EX_OK && file.err != 0)
		code = ctl_nomem(ctl);
	if (code == EX_OK && ssh_key_read(buf_slice(&file), &key, &why) != 0)
		code = ctl_fail(ctl, EX_DATAERR, NULL, "%s %s", name, why);
	if (code == EX_OK && key.is_private)
		code = ctl_fail(ctl, EX_DATAERR, NULL,
				"%s is a private key, which must stay where it is; "
				"`authctl key show` prints its public key",
				name);
	if (code == EX_OK)
		memcpy(out, key.public, SSH_KEY_BYTES);
	if (file.data != NULL)
		sodium_memzero(file.data, file.cap);
	buf_fini(&file);
	return code;
}

int ctl_new_key(const struct ctl *ctl, const char *arg, uint8_t out[SSH_KEY_BYTES])
{
	int code = ctl_public_key(ctl, arg, out);

	if (code != EX_OK || ssh_key_can_verify(out))
		return code;
	return ctl_fail(ctl, EX_DATAERR, NULL,
			"no signature can be verified with the key: was it mistyped, or "
			"is it a private key?");
}

json_t *ctl_key_json(const uint8_t key[SSH_KEY_BYTES])
{
	char hex[2 * SSH_KEY_BYTES + 1], fingerprint[SSH_FINGERPRINT];

	fields_key_encode(key, hex);
	ssh_key_fingerprint(key, fingerprint);
	return json_pack("{s:s,s:s}", "pubkey", hex, "fingerprint", fingerprint);
}
