/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies a dict that a client has sent into a request to an authenticator. Every
 * authenticator must be able to read the request, whatever the client sent: a request
 * that ended the connection to the authenticator would stop all other requests. So
 * auth_pairs_put leaves out a pair if its key is not a string of 1 to AUTH_MAX_NAME
 * bytes; if its value contains an ext type, exceeds a limit, or contains a map with a key
 * that is not a string; or if there is no room for it. No state; any thread.
 */
#ifndef PROTO_AUTH_PAIRS_H
#define PROTO_AUTH_PAIRS_H

#include "common/buf.h"
#include "proto/token.h"

/* A map that is being filled. */
struct auth_pairs {
	struct token_writer w;
	unsigned depth;            /* nesting depth of the map in the message */
	unsigned left;             /* pairs that may still be added */
	size_t room;               /* bytes that may still be added */
	struct buf *value;         /* scratch */
	const char *const *except; /* keys to leave out, NULL ends the list; or NULL */
};

/*
 * Adds the pairs of a dict, except those that must be left out (see above). Does nothing
 * if `dict` is not a dict. E_NOMEM.
 */
int auth_pairs_put(struct auth_pairs *to, enum serializer from,
		   struct slice dict) MUSTCHECK;

/* Reads the next pair of a dict. False at the end, or if the rest cannot be read. */
bool auth_pairs_next(struct token_reader *r, struct slice *key, struct slice *value);

/*
 * The characters of an encoded item. Empty if it is not a string. scratch is for texts
 * that need decoding; it may be NULL for MessagePack.
 */
struct slice auth_item_text(enum serializer s, struct slice item, struct buf *scratch);

#endif
