/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a RawSocket stream behind its handshake (specification: "RawSocket Transport").
 * A stream holds memory only while a frame is incomplete. Pure code; any thread.
 */
#ifndef PROTO_RAWSOCKET_READER_H
#define PROTO_RAWSOCKET_READER_H

#include "common/buf.h"
#include "proto/frame_event.h"

/*
 * Finds the next event in *in and takes what it has read from *in. *held is the
 * beginning of a frame, NULL at first, on the heap; rawsocket_next makes and frees it.
 * limit is the most bytes that a frame's payload may have now. Call it until FRAME_MORE.
 *
 * FRAME_ERROR and FRAME_NOMEM are the last event of a stream: then free *held.
 */
enum frame_event_type rawsocket_next(struct buf **held, struct frame_input *in,
				     size_t limit, struct frame_event *out) MUSTCHECK;

#endif
