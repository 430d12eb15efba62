/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 keys in the forms that people store them in: OpenSSH's public and private
 * files, public keys in hexadecimal, and the 32 raw bytes of a private key that Autobahn
 * reads. No state; any thread.
 */
#ifndef PROTO_SSH_KEY_H
#define PROTO_SSH_KEY_H

#include "common/base.h"
#include "common/buf.h"

enum {
	SSH_KEY_BYTES = 32,
	SSH_KEY_MAX_FILE = 16 * 1024,
	SSH_FINGERPRINT = 51, /* "SHA256:", 43 characters and a terminator */
};

enum ssh_key_form {
	SSH_KEY_RAW = 0,             /* private: 32 bytes */
	SSH_KEY_OPENSSH_PRIVATE = 1, /* "-----BEGIN OPENSSH PRIVATE KEY-----" */
	SSH_KEY_OPENSSH_PUBLIC = 2,  /* "ssh-ed25519 AAAA... comment" */
	SSH_KEY_HEX_PUBLIC = 3,      /* 64 digits of either case; 0x may precede them */
};

struct ssh_key {
	enum ssh_key_form form;
	bool is_private;
	uint8_t public[SSH_KEY_BYTES];
};

/*
 * Reads the content of a file. Surrounding white space is ignored. 32 bytes that do not
 * begin like another form are a raw private key. Keeps only the public key of a private
 * key. E_UNSUPPORTED: another kind of key. E_SYNTAX: not a key, or a damaged one. After
 * an error *why_out describes the file, as the end of a sentence ("is an RSA key, ..."),
 * and *out is undefined.
 */
int ssh_key_read(struct slice file, struct ssh_key *out, const char **why_out) MUSTCHECK;

/*
 * Can this key verify signatures? False for points of low order or with a component of
 * low order, for non-canonical encodings, and for values that are not on the curve. 15 of
 * 16 random values are rejected, and so are most mistyped keys.
 */
bool ssh_key_can_verify(const uint8_t key[SSH_KEY_BYTES]);

/* The key's fingerprint, "SHA256:...", as printed by ssh-keygen -l. */
void ssh_key_fingerprint(const uint8_t key[SSH_KEY_BYTES], char out[SSH_FINGERPRINT]);

/* Computes the public key of a seed, which is the private key. */
void ssh_key_public(const uint8_t seed[SSH_KEY_BYTES], uint8_t out[SSH_KEY_BYTES]);

/*
 * Appends the private key in OpenSSH's format, without a passphrase. The buffer keeps the
 * first error. The caller wipes the buffer.
 */
void ssh_key_write_private(struct buf *out, const uint8_t seed[SSH_KEY_BYTES]);

#endif
