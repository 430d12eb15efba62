/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes Ed25519 keys in files; see ssh_key.h. No state; any thread. The
 * private format is described in OpenSSH's PROTOCOL.key: "openssh-key-v1", then strings,
 * each after its length as in RFC 4251.
 */
#include "proto/ssh_key.h"

#include "common/err.h"
#include "proto/fields.h"

#include <ctype.h>
#include <sodium.h>

#define TYPE_NAME "ssh-ed25519"
#define MAGIC     "openssh-key-v1" /* includes its terminator */
#define BEGIN     "-----BEGIN OPENSSH PRIVATE KEY-----"
#define END       "-----END OPENSSH PRIVATE KEY-----"

enum {
	LINE = 70, /* characters of base64 per line, as in ssh-keygen's files */
	BLOCK = 8, /* the private part is padded to a multiple of this many bytes */
	BLOB = 4 + sizeof(TYPE_NAME) - 1 + 4 + SSH_KEY_BYTES, /* bytes of a public key */
	MAX_PRIVATE = 512, /* upper bound of the bytes of a private key */
};

/* Other kinds of files, recognised by their beginning. */
static const struct {
	const char *begin, *why;
} others[] = {
	{"ssh-rsa", "is an RSA key, but only ssh-ed25519 is supported"},
	{"ssh-dss", "is a DSA key, but only ssh-ed25519 is supported"},
	{"ecdsa-sha2-", "is an ECDSA key, but only ssh-ed25519 is supported"},
	{"sk-ssh-ed25519",
	 "is a key of a security token, but only ssh-ed25519 is supported"},
	{"sk-ecdsa", "is an ECDSA key, but only ssh-ed25519 is supported"},
	{"-----BEGIN RSA ", "is an RSA key, but only ssh-ed25519 is supported"},
	{"-----BEGIN EC ", "is an ECDSA key, but only ssh-ed25519 is supported"},
	{"-----BEGIN DSA ", "is a DSA key, but only ssh-ed25519 is supported"},
	{"-----BEGIN ", "is in a PEM format, but only OpenSSH's format is supported"},
	{"AAAAC3NzaC1lZDI1NTE5",
	 "is base64 without the 'ssh-ed25519 ' that must stand before it"},
	{"PuTTY-", "is in PuTTY's format, but only OpenSSH's format is supported"},
};

void ssh_key_public(const uint8_t seed[SSH_KEY_BYTES], uint8_t out[SSH_KEY_BYTES])
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	crypto_sign_seed_keypair(out, secret, seed);
	sodium_memzero(secret, sizeof(secret));
}

bool ssh_key_can_verify(const uint8_t key[SSH_KEY_BYTES])
{
	return crypto_core_ed25519_is_valid_point(key) == 1;
}

/* --- reading --- */

static int take_u32(struct slice *in, uint32_t *out)
{
	if (in->len < 4)
		return E_SYNTAX;
	*out = get_be32(in->p);
	*in = slice_from(*in, 4);
	return 0;
}

static int take_string(struct slice *in, struct slice *out)
{
	uint32_t len;

	if (take_u32(in, &len) != 0 || len > in->len)
		return E_SYNTAX;
	*out = slice_of(in->p, len);
	*in = slice_from(*in, len);
	return 0;
}

/* Reads a key blob: the type and 32 bytes. */
static int read_blob(struct slice in, struct slice *key_out)
{
	struct slice type, key;

	if (take_string(&in, &type) != 0 || !slice_eq_str(type, TYPE_NAME) ||
	    take_string(&in, &key) != 0 || key.len != SSH_KEY_BYTES || in.len != 0)
		return E_SYNTAX;
	*key_out = key;
	return 0;
}

/* Decodes base64 and appends the octets to out. */
static int decode(struct slice text, struct buf *out)
{
	size_t n;
	uint8_t *to = buf_reserve(out, text.len + 1);

	if (to == NULL)
		/* The text is longer than any key. */
		return E_SYNTAX;
	if (sodium_base642bin(to, text.len + 1, (const char *)text.p, text.len, "\r\n",
			      &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return E_SYNTAX;
	buf_commit(out, n);
	return 0;
}

static int read_public(struct slice text, struct ssh_key *out, const char **why_out)
{
	struct slice key, rest = slice_from(text, strlen(TYPE_NAME));
	struct buf blob;
	size_t n = 0;

	*why_out = "is a damaged ssh-ed25519 key";
	if (rest.len == 0 || (rest.p[0] != ' ' && rest.p[0] != '\t'))
		return E_SYNTAX;
	rest = slice_trim(rest);
	while (n < rest.len && !is_space(rest.p[n]))
		n++;
	buf_init(&blob, SSH_KEY_MAX_FILE);
	int err = decode(slice_of(rest.p, n), &blob);
	if (err == 0)
		err = read_blob(buf_slice(&blob), &key);
	if (err == 0)
		memcpy(out->public, key.p, SSH_KEY_BYTES);
	buf_fini(&blob);
	/* Refuse a second line: the user may have meant to add two keys. */
	for (size_t i = n; err == 0 && i < rest.len; i++) {
		if (rest.p[i] != '\n')
			continue;
		*why_out = "has more than one line: expected one key";
		err = E_SYNTAX;
	}
	out->form = SSH_KEY_OPENSSH_PUBLIC;
	out->is_private = false;
	return err;
}

/* Reads the part that a passphrase would encrypt. */
static int read_private_part(struct slice in, struct slice public)
{
	struct slice type, again, secret;
	uint8_t derived[SSH_KEY_BYTES];
	uint32_t check1, check2;

	if (take_u32(&in, &check1) != 0 || take_u32(&in, &check2) != 0 ||
	    check1 != check2 || take_string(&in, &type) != 0 ||
	    !slice_eq_str(type, TYPE_NAME) || take_string(&in, &again) != 0 ||
	    !slice_eq(again, public) || take_string(&in, &secret) != 0 ||
	    secret.len != 2 * SSH_KEY_BYTES)
		return E_SYNTAX;
	ssh_key_public(secret.p, derived);
	return slice_eq(slice_of(derived, sizeof(derived)), public) ? 0 : E_SYNTAX;
}

/* Reads the decoded file. */
static int read_private_bytes(struct slice in, struct ssh_key *out, const char **why_out)
{
	struct slice cipher, kdf, options, blob, part, key;
	uint32_t n_keys;

	if (!slice_begins(in, MAGIC) || in.len <= strlen(MAGIC) ||
	    in.p[strlen(MAGIC)] != '\0')
		return E_SYNTAX;
	in = slice_from(in, sizeof(MAGIC));
	if (take_string(&in, &cipher) != 0 || take_string(&in, &kdf) != 0 ||
	    take_string(&in, &options) != 0 || take_u32(&in, &n_keys) != 0 ||
	    n_keys != 1 || take_string(&in, &blob) != 0)
		return E_SYNTAX;
	/* Look at the type first: another type is the better error for a file that is
	 * also encrypted. */
	struct slice type, rest = blob;
	if (take_string(&rest, &type) != 0)
		return E_SYNTAX;
	if (!slice_eq_str(type, TYPE_NAME)) {
		*why_out = "is not an Ed25519 key: only ssh-ed25519 is supported";
		return E_UNSUPPORTED;
	}
	if (read_blob(blob, &key) != 0 || take_string(&in, &part) != 0)
		return E_SYNTAX;
	if (!slice_eq_str(cipher, "none")) {
		*why_out = "is encrypted with a passphrase: give its public key, the "
			   "file that "
			   "ends with .pub";
		return E_UNSUPPORTED;
	}
	if (read_private_part(part, key) != 0)
		return E_SYNTAX;
	memcpy(out->public, key.p, SSH_KEY_BYTES);
	return 0;
}

static int read_private(struct slice text, struct ssh_key *out, const char **why_out)
{
	struct buf bytes;

	*why_out = "is a damaged OpenSSH private key";
	if (text.len < strlen(BEGIN) + strlen(END) ||
	    memcmp(text.p + text.len - strlen(END), END, strlen(END)) != 0)
		return E_SYNTAX;
	text = slice_of(text.p + strlen(BEGIN), text.len - strlen(BEGIN) - strlen(END));
	buf_init(&bytes, SSH_KEY_MAX_FILE);
	int err = decode(slice_trim(text), &bytes);
	if (err == 0)
		err = read_private_bytes(buf_slice(&bytes), out, why_out);
	if (bytes.data != NULL)
		sodium_memzero(bytes.data, bytes.cap);
	buf_fini(&bytes);
	out->form = SSH_KEY_OPENSSH_PRIVATE;
	out->is_private = true;
	return err;
}

/* Reads 64 hex digits, with or without 0x. Anything else is not a key. */
static int read_hex(struct slice text, struct ssh_key *out, const char **why_out)
{
	size_t digits = 0;

	if (slice_begins(text, "0x") || slice_begins(text, "0X"))
		text = slice_from(text, 2);
	out->form = SSH_KEY_HEX_PUBLIC;
	out->is_private = false;
	if (fields_key_decode(text, out->public) == 0)
		return 0;
	while (digits < text.len && isxdigit(text.p[digits]))
		digits++;
	*why_out =
		"is not a public key: expected 64 hex digits or an OpenSSH ssh-ed25519 "
		"key";
	if (digits < text.len || digits < SSH_KEY_BYTES)
		return E_SYNTAX;
	*why_out = "has the wrong number of digits: a public key has 64 hex digits";
	if (digits == 4 * SSH_KEY_BYTES)
		*why_out =
			"is a private key followed by its public key (128 hex digits): "
			"give only the last 64 digits and keep the others secret";
	return E_SYNTAX;
}

int ssh_key_read(struct slice file, struct ssh_key *out, const char **why_out)
{
	struct slice text = slice_trim(file);
	if (slice_begins(text, BEGIN))
		return read_private(text, out, why_out);
	if (slice_begins(text, TYPE_NAME))
		return read_public(text, out, why_out);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (!slice_begins(text, others[i].begin))
			continue;
		*why_out = others[i].why;
		return E_UNSUPPORTED;
	}
	/* Use the untrimmed file: a raw key may begin or end with white space. */
	if (file.len == SSH_KEY_BYTES) {
		ssh_key_public(file.p, out->public);
		out->form = SSH_KEY_RAW;
		out->is_private = true;
		return 0;
	}
	if (memmem(text.p, text.len, " " TYPE_NAME " ", strlen(TYPE_NAME) + 2) == NULL)
		return read_hex(text, out, why_out);
	*why_out =
		"has text before 'ssh-ed25519' (options of authorized_keys?): remove it";
	return E_UNSUPPORTED;
}

/* --- writing --- */

static void put_u32(struct buf *b, uint32_t v)
{
	uint8_t bytes[4];

	put_be32(bytes, v);
	buf_put(b, bytes, sizeof(bytes));
}

static void put_ssh_string(struct buf *b, const void *p, size_t len)
{
	put_u32(b, (uint32_t)len);
	buf_put(b, p, len);
}

static void put_blob(struct buf *b, const uint8_t key[SSH_KEY_BYTES])
{
	put_ssh_string(b, TYPE_NAME, strlen(TYPE_NAME));
	put_ssh_string(b, key, SSH_KEY_BYTES);
}

void ssh_key_fingerprint(const uint8_t key[SSH_KEY_BYTES], char out[SSH_FINGERPRINT])
{
	uint8_t hash[crypto_hash_sha256_BYTES], bytes[BLOB];
	struct buf blob = {.data = bytes, .cap = BLOB, .max = BLOB};

	put_blob(&blob, key);
	crypto_hash_sha256(hash, bytes, sizeof(bytes));
	memcpy(out, "SHA256:", 7);
	sodium_bin2base64(out + 7, SSH_FINGERPRINT - 7, hash, sizeof(hash),
			  sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

/* Writes the private part and its padding, 1, 2, 3, ... */
static void put_private_part(struct buf *b, const uint8_t seed[SSH_KEY_BYTES],
			     const uint8_t public[SSH_KEY_BYTES])
{
	uint32_t check = randombytes_random();

	put_u32(b, check);
	put_u32(b, check);
	put_blob(b, public);
	put_u32(b, 2 * SSH_KEY_BYTES);
	buf_put(b, seed, SSH_KEY_BYTES);
	buf_put(b, public, SSH_KEY_BYTES);
	put_ssh_string(b, NULL, 0); /* comment */
	for (uint8_t i = 1; b->err == 0 && b->len % BLOCK != 0; i++)
		buf_put_u8(b, i);
}

static void put_base64(struct buf *out, const uint8_t *bytes, size_t len)
{
	char text[sodium_base64_ENCODED_LEN(MAX_PRIVATE, sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(text, sizeof(text), bytes, len, sodium_base64_VARIANT_ORIGINAL);
	for (size_t at = 0, end = strlen(text); at < end; at += LINE) {
		buf_put(out, text + at, min_size(LINE, end - at));
		buf_put_u8(out, '\n');
	}
	sodium_memzero(text, sizeof(text));
}

void ssh_key_write_private(struct buf *out, const uint8_t seed[SSH_KEY_BYTES])
{
	/* Use fixed buffers on the stack: growing a buffer would leave copies of the key
	 * in freed memory. */
	uint8_t part_bytes[256], all_bytes[MAX_PRIVATE], public[SSH_KEY_BYTES];
	struct buf part = {.data = part_bytes, .cap = 256, .max = 256};
	struct buf all = {.data = all_bytes, .cap = MAX_PRIVATE, .max = MAX_PRIVATE};

	ssh_key_public(seed, public);
	put_private_part(&part, seed, public);
	buf_put(&all, MAGIC, sizeof(MAGIC));
	put_ssh_string(&all, "none", 4); /* cipher */
	put_ssh_string(&all, "none", 4); /* key derivation */
	put_ssh_string(&all, NULL, 0);   /* options of the key derivation */
	put_u32(&all, 1);
	put_u32(&all, BLOB);
	put_blob(&all, public);
	put_ssh_string(&all, part.data, part.len);
	ASSERT(part.err == 0 && all.err == 0);
	buf_put_str(out, BEGIN "\n");
	put_base64(out, all.data, all.len);
	buf_put_str(out, END "\n");
	sodium_memzero(part_bytes, sizeof(part_bytes));
	sodium_memzero(all_bytes, sizeof(all_bytes));
}
