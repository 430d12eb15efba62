/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a message that routing does not change: one URI, and Arguments and
 * ArgumentsKw as they were received. Immutable and reference-counted, shared by all
 * threads. If a receiver needs another encoding, the first thread that needs it makes a
 * copy in that encoding, and the others use that copy.
 */
#ifndef ROUTERD_PAYLOAD_H
#define ROUTERD_PAYLOAD_H

#include "common/base.h"
#include "common/buf.h"
#include "common/refs.h"
#include "proto/msg.h"
#include "proto/transcode.h"

struct payload;

/*
 * Makes a payload with copies of uri and items, and one reference. NULL if out of memory.
 * The items are in encoding s and have been checked by msg_read. uri is at most
 * WAMP_MAX_URI bytes long; in an ERROR from the router it may be a text instead (see
 * post_error).
 */
struct payload *payload_new(enum serializer s, struct slice uri,
			    struct msg_payload items);

/*
 * Makes a payload with this URI (or an empty one) and without a copy of the items: call
 * payload_begin, append the items to *b, and call payload_end. The payload takes over the
 * memory of *b. payload_end returns 0 or the error of *b (E_LIMIT if URI and items are
 * longer than max bytes); after an error *b is freed.
 */
void payload_begin(struct buf *b, struct slice uri, size_t max);
int payload_end(struct buf *b, enum serializer s, unsigned n_items,
		struct payload **out) MUSTCHECK;

void payload_ref(struct payload *p);
/*
 * Drops a reference and clears the caller's pointer. The last reference frees the
 * payload. NULL-safe.
 */
void payload_unref(struct payload **p);

/* The topic, procedure or error. Valid as long as p. */
struct slice payload_uri(const struct payload *p);

/*
 * Bytes of memory, without copies in other encodings; for the sizes of queues. 0 if p is
 * NULL.
 */
size_t payload_size(const struct payload *p);

/*
 * The items in encoding s, valid as long as p. E_UNSUPPORTED: s cannot encode them;
 * E_LIMIT: they would be longer than 64 MiB; E_NOMEM. p must not be a kept payload.
 */
int payload_items(struct payload *p, enum serializer s,
		  struct msg_payload *out) MUSTCHECK;

/*
 * After E_UNSUPPORTED from payload_items or payload_items_into: says which item s cannot
 * encode; see transcode_fault. False: it can encode all of them.
 */
bool payload_fault(const struct payload *p, enum serializer s,
		   char text[TRANSCODE_FAULT_MAX]);

/*
 * Makes a kept payload: a copy of p, for events that are stored. It never contains copies
 * in other encodings, so its size does not grow: payload_size counts all its bytes. NULL
 * if out of memory.
 */
struct payload *payload_keep(const struct payload *p) MUSTCHECK;

/*
 * Like payload_items, but also for kept payloads. If another encoding is needed, it is
 * written to scratch, whose content is lost: *out is valid until scratch changes.
 */
int payload_items_into(struct payload *p, enum serializer s, struct buf *scratch,
		       struct msg_payload *out) MUSTCHECK;

#endif
