/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies a dict that a client has sent into a request to an authenticator. Every
 * authenticator must be able to read the request, whatever the client sent: a request
 * that ended the connection to the authenticator would stop all other requests. So
 * auth_pairs_write leaves out a pair if its key is not a string of 1 to AUTH_MAX_NAME
 * bytes; if its value contains an ext type, exceeds a limit, or contains a map with a key
 * that is not a string; or if there is no room for it. No state; any thread.
 */
#ifndef PROTO_AUTH_PAIRS_H
#define PROTO_AUTH_PAIRS_H

#include "common/buf.h"
#include "proto/token.h"

/* A pair that routerd writes itself. A value with len 0 is written as nil. */
struct auth_own_pair {
	const char *key; /* NULL ends an array of pairs */
	struct slice value;
};

/*
 * Appends a map that lies `depth` levels deep in the message: the pairs in `own` (NULL:
 * none), then the pairs of dict, except those that must be left out (see above) and those
 * with a key in `own`. The pairs of dict take at most AUTH_MAX_STRING and at most *room
 * bytes, which are subtracted from *room. If dict is not a dict, it has no pairs.
 * E_NOMEM, or an error of out.
 */
int auth_pairs_write(struct buf *out, unsigned depth, const struct auth_own_pair *own,
		     enum serializer from, struct slice dict, size_t *room) MUSTCHECK;

/* Reads the next pair of a dict. False at the end, or if the rest cannot be read. */
bool auth_pairs_next(struct token_reader *r, struct slice *key, struct slice *value);

/*
 * The characters of an encoded item. Empty if it is not a string. scratch is for texts
 * that need decoding; it may be NULL for MessagePack.
 */
struct slice auth_item_text(enum serializer s, struct slice item, struct buf *scratch);

#endif
