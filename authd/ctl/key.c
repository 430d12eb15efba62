/* SPDX-License-Identifier: Apache-2.0 */
/* authctl key ...; see ctl.h. */
#include "authd/ctl/change.h"
#include "authd/ctl/ctl.h"
#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- key add, key remove ------------------------------------------------------------ */

static int change_key(struct ctl *ctl, struct ctl_change *c,
		      const uint8_t key[SSH_KEY_BYTES])
{
	struct admin_target t = {.authid = slice_str(c->authid)};
	struct buf params;

	t.keys.n = 1;
	memcpy(t.keys.key[0], key, SSH_KEY_BYTES);
	buf_init(&params, AUTH_MAX_MESSAGE);
	admin_target_write(&params, &t);
	c->params = &params;
	int code = ctl_change(ctl, c);
	buf_fini(&params);
	return code;
}

/* AUTHID and KEY. */
static int two_args(struct ctl *ctl, int argc, char **argv)
{
	static const char *const names[] = {"AUTHID", "KEY"};

	if (ctl_option(ctl, argc, argv, NULL) != -1)
		return EX_USAGE;
	int code = ctl_want_args(ctl, argc, argv, 2, names);
	if (code != EX_OK)
		return code;
	return ctl_check_sought(ctl, "authid", slice_str(argv[optind]));
}

int key_add(struct ctl *ctl, int argc, char **argv)
{
	uint8_t key[SSH_KEY_BYTES];

	int code = two_args(ctl, argc, argv);
	if (code == EX_OK)
		code = ctl_new_key(ctl, argv[optind + 1], key);
	if (code != EX_OK)
		return code;
	return change_key(ctl,
			  &(struct ctl_change){
				  .method = ADMIN_KEY_ADD,
				  .authid = argv[optind],
				  .done = "added a key to",
				  .was_so = "has this key already",
			  },
			  key);
}

/* The key of a principal that has this fingerprint. */
static int find_fingerprint(struct ctl *ctl, const char *authid, const char *wanted,
			    uint8_t out[SSH_KEY_BYTES])
{
	struct admin_target t = {.authid = slice_str(authid)};
	char fingerprint[SSH_FINGERPRINT];
	struct admin_principal p = {.keys.n = 0};
	struct buf params, result;
	bool found = false;

	buf_init(&params, AUTH_MAX_MESSAGE);
	buf_init(&result, AUTH_MAX_MESSAGE);
	admin_target_write(&params, &t);
	int code = ctl_call(ctl, ADMIN_PRINCIPAL_SHOW, authid, &params, &result);
	if (code == EX_OK && admin_principal_read(buf_slice(&result), &p) != 0)
		code = ctl_fail(ctl, EX_SOFTWARE, NULL, "authd's answer is malformed");
	for (unsigned i = 0; code == EX_OK && !found && i < p.keys.n; i++) {
		memcpy(out, p.keys.key[i], SSH_KEY_BYTES);
		ssh_key_fingerprint(out, fingerprint);
		found = strcmp(fingerprint, wanted) == 0;
	}
	if (code == EX_OK && !found)
		code = ctl_fail(ctl, EX_NOUSER, ADMIN_ERROR_NO_SUCH_KEY,
				"%s has no key with fingerprint %.80s", authid, wanted);
	buf_fini(&params);
	buf_fini(&result);
	return code;
}

int key_remove(struct ctl *ctl, int argc, char **argv)
{
	uint8_t key[SSH_KEY_BYTES];

	int code = two_args(ctl, argc, argv);
	if (code != EX_OK)
		return code;
	const char *authid = argv[optind], *which = argv[optind + 1];
	if (strncmp(which, "SHA256:", 7) == 0)
		code = find_fingerprint(ctl, authid, which, key);
	else
		code = ctl_public_key(ctl, which, key);
	if (code != EX_OK)
		return code;
	return change_key(ctl,
			  &(struct ctl_change){
				  .method = ADMIN_KEY_REMOVE,
				  .authid = authid,
				  .done = "removed a key from",
				  .was_so = "has no such key",
				  .revokes = true,
			  },
			  key);
}

/* --- key gen, key show -------------------------------------------------------------- */

static const char *const form_names[] = {
	[SSH_KEY_RAW] = "raw",
	[SSH_KEY_OPENSSH_PRIVATE] = "openssh",
	[SSH_KEY_OPENSSH_PUBLIC] = "openssh",
	[SSH_KEY_HEX_PUBLIC] = "hex",
};

static int print_key(const struct ctl *ctl, const char *file, const struct ssh_key *key)
{
	char hex[2 * SSH_KEY_BYTES + 1], fingerprint[SSH_FINGERPRINT];
	const char *half = key->is_private ? "private" : "public";

	if (ctl->format == CTL_JSON) {
		json_t *item = ctl_key_json(key->public);
		json_object_set_new(item, "file", json_string(file));
		json_object_set_new(item, "type", json_string(half));
		json_object_set_new(item, "format", json_string(form_names[key->form]));
		return ctl_json_print(ctl, json_pack("[o]", item));
	}
	fields_key_encode(key->public, hex);
	ssh_key_fingerprint(key->public, fingerprint);
	if (ctl->format == CTL_PLAIN)
		printf("%s\t%s\n", hex, fingerprint);
	else
		printf("file         %s (%s, %s)\npublic key   %s\nfingerprint  %s\n",
		       file, half, form_names[key->form], hex, fingerprint);
	return ctl_flush(ctl);
}

static int write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.p, s.len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return E_SYS;
		s = slice_of(s.p + n, s.len - (size_t)n);
	}
	return fsync(fd) == -1 ? E_SYS : 0;
}

/*
 * Makes a file with this content that nobody else may read. It appears whole or not at
 * all: written under another name first, and linked or, with force, renamed.
 */
static int write_secret(const struct ctl *ctl, const char *path, struct slice content,
			bool force)
{
	char temporary[4096];
	int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return ctl_fail(ctl, EX_CANTCREAT, NULL,
				"the name of the file is too long");
	int fd = mkostemp(temporary, O_CLOEXEC); /* with mode 0600 */
	if (fd == -1)
		return ctl_fail(ctl, EX_CANTCREAT, NULL, "%s: %s", path, err_str(E_SYS));
	int r = write_all(fd, content), saved = errno;
	if (close(fd) == -1 && r == 0) {
		r = E_SYS;
		saved = errno;
	}
	errno = saved;
	if (r != 0) {
		int code = ctl_fail(ctl, EX_IOERR, NULL, "%s: %s", path, err_str(r));
		unlink(temporary);
		return code;
	}
	r = force ? rename(temporary, path) : link(temporary, path);
	saved = errno;
	if (r == -1 || !force)
		unlink(temporary);
	errno = saved;
	if (r == -1 && errno == EEXIST)
		return ctl_fail(ctl, EX_CANTCREAT, NULL,
				"%s is there already; --force replaces it", path);
	if (r == -1)
		return ctl_fail(ctl, EX_CANTCREAT, NULL, "%s: %s", path, err_str(E_SYS));
	return EX_OK;
}

struct gen_options {
	const char *file;
	enum ssh_key_form form;
	bool force;
};

static int gen_options(struct ctl *ctl, int argc, char **argv, struct gen_options *out)
{
	static const struct option options[] = {
		{"file", required_argument, NULL, 'f'},
		{"format", required_argument, NULL, 't'},
		{"force", no_argument, NULL, 'x'},
		{NULL, 0, NULL, 0},
	};
	int o;

	while ((o = ctl_option(ctl, argc, argv, options)) != -1) {
		if (o == 'f')
			out->file = optarg;
		else if (o == 'x')
			out->force = true;
		else if (o == 't' && strcmp(optarg, "raw") == 0)
			out->form = SSH_KEY_RAW;
		else if (o == 't' && strcmp(optarg, "openssh") == 0)
			out->form = SSH_KEY_OPENSSH_PRIVATE;
		else if (o == 't')
			return ctl_usage(ctl, "--format must be raw or openssh");
		else
			return EX_USAGE;
	}
	int code = ctl_want_args(ctl, argc, argv, 0, NULL);
	if (code != EX_OK)
		return code;
	return out->file != NULL ? EX_OK : ctl_usage(ctl, "-f FILE is needed");
}

int key_gen(struct ctl *ctl, int argc, char **argv)
{
	struct gen_options opt = {.form = SSH_KEY_RAW};
	struct ssh_key key = {.is_private = true};
	uint8_t seed[SSH_KEY_BYTES];
	struct buf content;

	int code = gen_options(ctl, argc, argv, &opt);
	if (code != EX_OK)
		return code;
	randombytes_buf(seed, sizeof(seed));
	ssh_key_public(seed, key.public);
	key.form = opt.form;
	buf_init(&content, 1024);
	/* all at once: growing would leave copies of the key behind */
	if (buf_reserve(&content, 1024) == NULL)
		return ctl_nomem(ctl);
	if (opt.form == SSH_KEY_RAW)
		buf_put(&content, seed, sizeof(seed));
	else
		ssh_key_write_private(&content, seed);
	code = content.err != 0
		       ? ctl_nomem(ctl)
		       : write_secret(ctl, opt.file, buf_slice(&content), opt.force);
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(content.data, content.cap);
	buf_fini(&content);
	return code != EX_OK ? code : print_key(ctl, opt.file, &key);
}

int key_show(struct ctl *ctl, int argc, char **argv)
{
	static const char *const names[] = {"FILE"};
	struct ssh_key key;
	struct buf file;
	const char *why;

	if (ctl_option(ctl, argc, argv, NULL) != -1)
		return EX_USAGE;
	int code = ctl_want_args(ctl, argc, argv, 1, names);
	if (code != EX_OK)
		return code;
	const char *path = argv[optind];
	buf_init(&file, SSH_KEY_MAX_FILE + 1);
	code = ctl_read_file(ctl, path, SSH_KEY_MAX_FILE, &file);
	if (code == EX_OK && ssh_key_read(buf_slice(&file), &key, &why) != 0)
		code = ctl_fail(ctl, EX_DATAERR, NULL, "%s %s", path, why);
	if (file.data != NULL)
		sodium_memzero(file.data, file.cap);
	buf_fini(&file);
	return code != EX_OK ? code : print_key(ctl, path, &key);
}
