/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WebSocket extension permessage-deflate (RFC 7692): decides about a client's offer,
 * deflates messages, and inflates them. Only deflate.c uses zlib.
 *
 * No context takeover, in either direction: each message is compressed on its own. So one
 * deflater serves all connections of a thread, all receivers of a message can get the
 * same bytes, and an idle connection needs no memory. Each object belongs to one thread.
 */
#ifndef PROTO_DEFLATE_H
#define PROTO_DEFLATE_H

#include "common/buf.h"
#include "proto/http.h"

enum {
	/* Shorter frames, and longer payloads, are not compressed; bytes. */
	DEFLATE_MIN = 512,
	DEFLATE_MAX = 256 * 1024,
	/* One step of an inflater takes and gives at most this many bytes. */
	INFLATE_STEP_IN = 2 * 1024,
	INFLATE_STEP_OUT = 64 * 1024,
	/*
	 * The cost of inflating: one for each byte that comes out, and this for each that
	 * goes in. Small blocks cost time although little comes out.
	 */
	INFLATE_COST_IN = 16,
	/* bytes of an inflater, as zlib 1.2 and 1.3 allocate them */
	INFLATER_MEMORY = 40 * 1024,
	INFLATERS_MAX = 16, /* that long messages have at a time, in one thread */
};

/*
 * Chooses the first offer of permessage-deflate in a request that routerd can fulfil, and
 * returns the value of the answer's Sec-WebSocket-Extensions: a constant string. NULL:
 * there is none. Adds the number of offers that it cannot fulfil to *declined.
 */
const char *deflate_answer(const struct http_request *req, uint64_t *declined);

/* Compresses frames. 268 KiB, and DEFLATE_MAX for the result. */
struct deflater;
struct deflater *deflater_new(void) MUSTCHECK; /* NULL if out of memory */
/* Frees *d and sets it to NULL. *d may be NULL. */
void deflater_free(struct deflater **d);

/*
 * Returns a compressed frame with the same message, valid until the next call; or
 * `framed` itself, if the message is too short, too long, or would not shrink by an
 * eighth. framed: a head that frame_head has written for WebSocket, and its message.
 */
struct slice deflater_frame(struct deflater *d, struct slice framed);

/* Expands one compressed message. */
struct inflater;

/* The inflaters of one thread. Initially zero. */
struct inflaters {
	struct inflater *spare; /* kept for the next message; may be NULL */
	unsigned lent;
	size_t left; /* the cost that is allowed for now */
};

/*
 * Lends an inflater for a message; NULL if out of memory. compressed stays valid until
 * inflaters_return.
 */
struct inflater *inflaters_lend(struct inflaters *all, struct slice compressed) MUSTCHECK;
/* Takes it back, and sets *i to NULL. *i may be NULL. */
void inflaters_return(struct inflaters *all, struct inflater **i);
/* Frees the spare one. All are returned. */
void inflaters_fini(struct inflaters *all);

/*
 * Appends some of the message to out. 0: that was its end. E_AGAIN: call it again.
 * E_LIMIT: it is longer than out->max. E_SYNTAX: the bytes are not a compressed message.
 * E_NOMEM. Adds to *cost.
 */
int inflater_step(struct inflater *i, struct buf *out, size_t *cost) MUSTCHECK;

/* More bytes than any compressor makes of a message of len bytes. */
static inline size_t deflate_bound(size_t len)
{
	return len + len / 7 + 64;
}

#endif
