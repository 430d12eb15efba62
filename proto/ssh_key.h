/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 keys in the forms in which people keep them: OpenSSH's public and private
 * files, hexadecimal public keys, and the 32 raw bytes of a private key that Autobahn
 * reads. Pure code; any thread.
 */
#ifndef PROTO_SSH_KEY_H
#define PROTO_SSH_KEY_H

#include "common/base.h"
#include "common/buf.h"

enum {
	SSH_KEY_BYTES = 32,
	SSH_KEY_MAX_FILE = 16 * 1024,
	SSH_FINGERPRINT = 51, /* "SHA256:", 43 characters, terminator */
};

enum ssh_key_form {
	SSH_KEY_RAW = 0,             /* private: 32 bytes */
	SSH_KEY_OPENSSH_PRIVATE = 1, /* "-----BEGIN OPENSSH PRIVATE KEY-----" */
	SSH_KEY_OPENSSH_PUBLIC = 2,  /* "ssh-ed25519 AAAA... comment" */
	SSH_KEY_HEX_PUBLIC = 3,      /* 64 digits of either case, also after 0x */
};

struct ssh_key {
	enum ssh_key_form form;
	bool is_private;
	uint8_t public[SSH_KEY_BYTES];
};

/*
 * Reads what a file holds; white space around it does not count, except that 32 bytes
 * that do not begin as one of the others are a raw key. E_UNSUPPORTED: another kind of
 * key; E_SYNTAX: no key, or a damaged one. *why_out then says which, as the end of a
 * sentence ("is an RSA key, ..."), and *out holds rubbish. Of a private key nothing is
 * kept.
 */
int ssh_key_read(struct slice file, struct ssh_key *out, const char **why_out) MUSTCHECK;

/*
 * Can signatures be verified with this key? False for points of low order or with a part
 * of low order, for encodings that are not canonical, and for what is no point of the
 * curve: 15 of 16 random numbers, and so most keys that were mistyped.
 */
bool ssh_key_can_verify(const uint8_t key[SSH_KEY_BYTES]);

/* "SHA256:...", as ssh-keygen -l prints. */
void ssh_key_fingerprint(const uint8_t key[SSH_KEY_BYTES], char out[SSH_FINGERPRINT]);

/* The public key that belongs to the seed, which is the private one. */
void ssh_key_public(const uint8_t seed[SSH_KEY_BYTES], uint8_t out[SSH_KEY_BYTES]);

/*
 * Appends the private key as OpenSSH keeps it, without a passphrase. Errors stick in the
 * buffer; the caller wipes it.
 */
void ssh_key_write_private(struct buf *out, const uint8_t seed[SSH_KEY_BYTES]);

#endif
