/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a WebSocket stream as a server does (RFC 6455). ws_reader.c is the only file that
 * knows wslay, whose frame level reads every frame that is not a whole message. This file
 * checks fragments, control frames between them, limits, UTF-8 and close codes.
 *
 * A reader (wslay's 4 KiB context and the buffer for a message) exists only while a frame
 * or a message is incomplete. An idle connection holds none. Owned by one thread.
 */
#ifndef PROTO_WS_READER_H
#define PROTO_WS_READER_H

#include "common/buf.h"
#include "proto/frame_event.h"

#include <sys/queue.h>

struct ws_reader;
SLIST_HEAD(ws_readers, ws_reader);

/* What all streams of one thread share. */
struct ws_pool {
	struct ws_readers free; /* readers that no stream holds */
	unsigned n_free;
};

void ws_pool_init(struct ws_pool *p);
void ws_pool_fini(struct ws_pool *p);

/* As a limit: read data frames to find the control frames behind them, keep nothing. */
#define WS_DISCARD SIZE_MAX

/*
 * Finds the next event in *in and takes what it has read from *in. *held is the
 * stream's reader, NULL at first; ws_next makes and frees it as needed. limit is the most
 * bytes that a message may have now. Call it until FRAME_MORE.
 *
 * FRAME_CLOSE, FRAME_ERROR and FRAME_NOMEM are the last event of a stream: then free the
 * reader.
 */
enum frame_event_type ws_next(struct ws_pool *p, struct ws_reader **held,
			      struct frame_input *in, size_t limit,
			      struct frame_event *out) MUSTCHECK;

/* Bytes of memory that a held reader costs; 0 for NULL. */
size_t ws_reader_memory(const struct ws_reader *reader);

/* NULL-safe, clears the pointer. */
void ws_reader_free(struct ws_reader **reader);

#endif
