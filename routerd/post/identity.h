/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity of a session, established by its login. Immutable and reference-counted:
 * the peer on its worker and the session at the realm's owner share it. Any thread.
 */
#ifndef ROUTERD_IDENTITY_H
#define ROUTERD_IDENTITY_H

#include "common/refs.h"
#include "proto/fields.h"

struct role_slot; /* config/policy.h */

/*
 * Says which authenticator answered a login, and when. A revocation is compared with the
 * stamp to find out whether the answer is older than the change.
 */
struct lookup_stamp {
	bool asked; /* false: no authenticator was asked (anonymous) */
	bool has_epoch;
	uint16_t authenticator; /* index in the configuration */
	uint64_t epoch; /* of the data that the authenticator read, if has_epoch */
	/*
	 * Number of the connection on which the answer arrived. Only epochs from the same
	 * connection can be compared.
	 */
	uint64_t link;
	/* Number of the last revocation that had arrived when the question was sent. */
	uint64_t revocations;
};

/* Describes how a client is connected, in Crossbar's terms. The texts are constants. */
struct channel {
	const char *type;       /* "tcp", "unix" */
	const char *framing;    /* "websocket", "rawsocket", "longpoll" */
	const char *serializer; /* "json", "msgpack", "cbor", "ubjson" */
};

struct identity {
	_Atomic uint32_t refs;
	uint16_t realm;                /* slot, see config/policy.h */
	struct wamp_features features; /* announced in its HELLO */
	struct role_slot *role;        /* counted */
	uint64_t session;              /* WAMP session id */
	const char *authmethod;        /* name of the login method; a constant */
	struct channel channel;
	struct lookup_stamp stamp;
	/* The key that has signed the challenge, or must sign it. */
	struct field_key pubkey;
	/* These are stored after the struct, in the same allocation. */
	struct slice realm_name, authid, authrole, authprovider;
	struct slice peer_name; /* "tcp4:127.0.0.1:51812" */
	/*
	 * If the role has an authorizer: the authenticator's extra, an encoded map.
	 * Otherwise empty.
	 */
	struct slice authextra;
};

/*
 * Makes a copy of *from and its texts, with one reference. Takes a reference of its own
 * to the role. NULL if out of memory.
 */
struct identity *identity_new(const struct identity *from);
static inline struct identity *identity_ref(struct identity *i)
{
	return refs_take(i);
}
/* Bytes of memory, including the texts. */
size_t identity_size(const struct identity *i);
/*
 * Drops a reference and clears the caller's pointer. The last reference frees the
 * identity. NULL-safe.
 */
void identity_unref(struct identity **i);

#endif
