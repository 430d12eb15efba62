/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a message carries besides its envelope: one URI, and Arguments and ArgumentsKw as
 * they were received. Immutable and counted, shared by all threads; for each other
 * encoding a slot is filled at most once, by the first thread that needs it.
 */
#ifndef ROUTERD_PAYLOAD_H
#define ROUTERD_PAYLOAD_H

#include "common/base.h"
#include "proto/msg.h"

struct payload;

/*
 * A copy of both, with one reference; NULL: no memory. The items are in encoding s and
 * have been checked by msg_read. uri is at most WAMP_MAX_URI bytes; in an ERROR of the
 * router's own it may be a text instead (see post_error).
 */
struct payload *payload_new(enum serializer s, struct slice uri,
			    struct msg_payload items);

/*
 * The same without a copy: begin, append the items to *b, end. The payload takes the
 * memory of *b and has no URI. payload_end returns 0 or the error of *b, which is E_LIMIT
 * if the items need more than max bytes; *b is then freed.
 */
void payload_begin(struct buf *b, size_t max);
int payload_end(struct buf *b, enum serializer s, unsigned n_items,
		struct payload **out) MUSTCHECK;

void payload_ref(struct payload *p);
/* Drops a reference, clears the caller's pointer, frees with the last. NULL-safe. */
void payload_unref(struct payload **p);

/* Topic, procedure or error. Lives as long as p. */
struct slice payload_uri(const struct payload *p);

/* Bytes of memory as received, for the accounts of queues. NULL-safe: 0. */
size_t payload_size(const struct payload *p);

/*
 * The items in encoding s, which live as long as p. E_UNSUPPORTED: they cannot be said in
 * it; E_LIMIT: they would pass 64 MiB; E_NOMEM.
 */
int payload_items(struct payload *p, enum serializer s,
		  struct msg_payload *out) MUSTCHECK;

#endif
