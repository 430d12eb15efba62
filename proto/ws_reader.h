/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a WebSocket stream as a server does (RFC 6455). ws_reader.c itself parses a whole
 * message that is one frame in one read; wslay's frame functions parse all other frames.
 * Only ws_reader.c uses wslay. It checks fragmentation, interleaved control frames,
 * limits, UTF-8 and close codes.
 *
 * The bytes of a compressed message (RFC 7692) are collected. When it is whole, it is
 * inflated in steps, so that neither many bytes nor a few that become many block the
 * thread: after some steps ws_next returns FRAME_LATER. At most INFLATERS_MAX long
 * messages of a thread are being inflated; others wait, compressed.
 *
 * A reader holds wslay's context (4 KiB) and a message buffer. It is allocated when a
 * frame or message is incomplete and freed when it is complete, so idle connections have
 * no reader. Call all functions on the stream's thread.
 */
#ifndef PROTO_WS_READER_H
#define PROTO_WS_READER_H

#include "common/buf.h"
#include "proto/frame_event.h"

struct inflaters;
struct ws_reader;

/*
 * A limit for ws_next: read data frames only to find the control frames after them, and
 * keep nothing.
 */
#define WS_DISCARD SIZE_MAX

/*
 * Finds the next event in *in and removes the bytes that it has read from *in. *reader is
 * the stream's reader; it is NULL at first, and ws_next makes and frees it as needed.
 * limit is the largest message that is allowed now, in bytes, inflated. inflaters are the
 * thread's, always the same; NULL: the client may not compress messages. Call ws_next
 * until it returns FRAME_MORE or FRAME_LATER. After FRAME_LATER wait as ws_reader_wait
 * says, and call it again, even if *in is empty.
 *
 * FRAME_CLOSE, FRAME_ERROR and FRAME_NOMEM are the last event of a stream. Then the
 * caller frees the reader.
 */
enum frame_event_type ws_next(struct ws_reader **reader, struct frame_input *in,
			      size_t limit, struct inflaters *inflaters,
			      struct frame_event *out) MUSTCHECK;

/* What the message waits for after FRAME_LATER. */
enum ws_wait {
	WS_WAIT_NEW = 0,  /* for inflaters.left. It may be short: go on with it soon */
	WS_WAIT_LENT = 1, /* the same; it is long, and has one of INFLATERS_MAX */
	WS_WAIT_LONG = 2, /* for one of INFLATERS_MAX, of which LENT may free some */
	WS_WAIT_COUNT = 3,
};
enum ws_wait ws_reader_wait(const struct ws_reader *reader);

/*
 * The compressed length of the message that the last call of ws_next has returned, or has
 * refused with FRAME_ERROR. 0: the message was not compressed.
 */
size_t ws_reader_compressed(const struct ws_reader *reader);

/* The memory of a reader in bytes; 0 for NULL. */
size_t ws_reader_memory(const struct ws_reader *reader);

/* Frees the reader and sets the pointer to NULL. *reader may be NULL. */
void ws_reader_free(struct ws_reader **reader);

#endif
