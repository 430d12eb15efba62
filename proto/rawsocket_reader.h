/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a RawSocket stream after its handshake (specification: "RawSocket Transport"). A
 * stream needs memory only while a frame is incomplete. Runs on the stream's thread.
 */
#ifndef PROTO_RAWSOCKET_READER_H
#define PROTO_RAWSOCKET_READER_H

#include "common/buf.h"
#include "proto/frame_event.h"

/*
 * Finds the next event in *in and removes the bytes that it has read from *in. *held has
 * the beginning of an incomplete frame, on the heap, or is NULL; it is NULL at first, and
 * rawsocket_next allocates and frees it. limit is the largest payload that is allowed
 * now, in bytes. Call rawsocket_next until it returns FRAME_MORE.
 *
 * FRAME_ERROR and FRAME_NOMEM are the last event of a stream. Then the caller frees
 * *held.
 */
enum frame_event_type rawsocket_next(struct buf **held, struct frame_input *in,
				     size_t limit, struct frame_event *out) MUSTCHECK;

#endif
