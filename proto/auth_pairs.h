/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps in a question to an authenticator that hold what a client has sent. Whatever that
 * was, every authenticator can read the question: a pair is left out as a whole if its
 * key is no string of 1 to AUTH_MAX_NAME bytes, if anything in its value is an ext type,
 * is over the limits, or is a map with a key that is no string, or if there is no room
 * for it. A question that broke the link would stop all others. Pure code; any thread.
 */
#ifndef PROTO_AUTH_PAIRS_H
#define PROTO_AUTH_PAIRS_H

#include "common/buf.h"
#include "proto/token.h"

/* A map that is being filled. */
struct auth_pairs {
	struct token_writer w;
	unsigned depth;            /* at which it lies in the message */
	unsigned left;             /* pairs that it may still take */
	size_t room;               /* bytes */
	struct buf *value;         /* scratch */
	const char *const *except; /* keys that are left out, up to NULL; or NULL */
};

/* Adds what can be carried of a dict, if it is one. E_NOMEM. */
int auth_pairs_put(struct auth_pairs *to, enum serializer from,
		   struct slice dict) MUSTCHECK;

/* The next pair of a dict. False: that was the last, or the rest cannot be read. */
bool auth_pairs_next(struct token_reader *r, struct slice *key, struct slice *value);

/* The characters of an encoded item; empty if it is no string. */
struct slice auth_item_text(enum serializer s, struct slice item, struct buf *scratch);

#endif
