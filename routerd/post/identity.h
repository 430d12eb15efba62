/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a session is, as its login found out. Immutable and counted: the peer on its worker
 * and the session at the realm's owner hold the same one.
 */
#ifndef ROUTERD_IDENTITY_H
#define ROUTERD_IDENTITY_H

#include "proto/fields.h"

#include <stdatomic.h>

struct role_slot; /* config/policy.h */

/* Where and when the principal was looked up; for closing the race with a revocation. */
struct lookup_stamp {
	bool asked; /* false: no authenticator was involved (anonymous) */
	bool has_epoch;
	uint16_t authenticator; /* index in the configuration */
	uint64_t epoch;         /* of the data that was read, if the answer had one */
	uint64_t link; /* number of the connection that answered: epochs compare within
			  one */
	uint64_t revocations; /* number of the last revocation when the question was sent
			       */
};

/* How a client is connected, in Crossbar's words. The texts are constants. */
struct channel {
	const char *type;       /* "tcp", "unix" */
	const char *framing;    /* "websocket", "rawsocket" */
	const char *serializer; /* "json", "msgpack", "cbor" */
};

struct identity {
	_Atomic uint32_t refs;
	uint16_t realm;                /* slot, see config/policy.h */
	struct wamp_features features; /* of its HELLO */
	struct role_slot *role;        /* counted */
	uint64_t session;              /* WAMP session id */
	const char *authmethod;        /* a constant */
	struct channel channel;
	struct lookup_stamp stamp;
	struct field_key pubkey; /* with which it has signed, or will */
	/* these lie behind the struct, in one allocation */
	struct slice realm_name, authid, authrole, authprovider;
	struct slice peer_name; /* "tcp4:127.0.0.1:51812" */
	/* of a role with an authorizer: what the authenticator gave as extra, an encoded
	 * map; else empty */
	struct slice authextra;
};

/* A copy of *from and its texts, with one reference of its own to the role; NULL: no
 * memory. */
struct identity *identity_new(const struct identity *from);
struct identity *identity_ref(struct identity *i);
/* Bytes of memory, its texts included. */
size_t identity_size(const struct identity *i);
/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void identity_unref(struct identity **i);

#endif
