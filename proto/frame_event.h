/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of the two framings, ws_reader and rawsocket_reader, find in a stream.
 * They are pull parsers: bytes go in, the next event comes out. Pure code; any thread.
 */
#ifndef PROTO_FRAME_EVENT_H
#define PROTO_FRAME_EVENT_H

#include "common/base.h"

/* Bytes that have arrived. A reader unmasks them where they lie. */
struct frame_input {
	uint8_t *p;
	size_t len;
};

/* Takes the first n bytes. */
static inline struct slice frame_input_take(struct frame_input *in, size_t n)
{
	struct slice taken = slice_of(in->p, n);

	in->p += n;
	in->len -= n;
	return taken;
}

enum frame_event_type {
	FRAME_MORE = 0,    /* all bytes are taken; the next event needs more of them */
	FRAME_MESSAGE = 1, /* bytes, text */
	FRAME_PING = 2,    /* bytes: send them back */
	FRAME_CLOSE = 3,   /* WebSocket only: code (0: none), bytes: the reason */
	FRAME_ERROR = 4,   /* the peer broke a rule: code for our Close, why */
	FRAME_NOMEM = 5,
};

/* The fields that an event does not name are undefined. */
struct frame_event {
	/* Lent: by the reader, until its next event or its end; or a part of the input.
	 */
	struct slice bytes;
	const char *why; /* a constant */
	uint16_t code;   /* enum ws_close_code, also in RawSocket */
	bool text;       /* valid UTF-8; RawSocket does not tell, so false */
};

#endif
