/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's computations of SCRAM-SHA-256 (RFC 5802, RFC 7677; specification:
 * "WAMP-SCRAM"). The client's costly derivation of a key from the password is not needed
 * here. No allocation, no state; any thread.
 */
#ifndef PROTO_SCRAM_H
#define PROTO_SCRAM_H

#include "common/base.h"
#include "common/buf.h"

enum {
	SCRAM_KEY_LEN = 32,   /* bytes of StoredKey, ServerKey and signatures */
	SCRAM_PROOF_LEN = 44, /* characters of a ClientProof or a ServerSignature */
};

/* What both sides have said. The texts are as sent. */
struct scram_exchange {
	struct slice authid;
	struct slice client_nonce; /* base64 */
	struct slice nonce;        /* the client's nonce, then the server's */
	struct slice salt;         /* base64 */
	uint64_t iterations;
	/* Of client-final-message: the channel binding input, in base64. */
	struct slice cbind_input;
	bool escape; /* escape "," and "=" in the authid; Autobahn does not */
};

/* Appends the AuthMessage (RFC 5802, section 3). */
void scram_auth_message(struct buf *out, const struct scram_exchange *x);

/*
 * Does this ClientProof, in base64, prove that the client has the key whose StoredKey is
 * given? Takes the same time for every proof that is base64 of the right length.
 */
bool scram_verify(const uint8_t stored_key[SCRAM_KEY_LEN], struct slice auth_message,
		  struct slice proof);

/* Computes the ServerSignature, in base64 with a terminator. */
void scram_server_signature(const uint8_t server_key[SCRAM_KEY_LEN],
			    struct slice auth_message, char out[SCRAM_PROOF_LEN + 1]);

#endif
