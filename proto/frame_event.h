/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that ws_reader and rawsocket find in a byte stream. Both are pull parsers: the
 * caller passes bytes and gets the next event. No state; any thread.
 */
#ifndef PROTO_FRAME_EVENT_H
#define PROTO_FRAME_EVENT_H

#include "common/base.h"

/* Bytes that have arrived. A reader may change them: it unmasks in place. */
struct frame_input {
	uint8_t *p;
	size_t len;
};

/* Takes the first n bytes from the input. */
static inline struct slice frame_input_take(struct frame_input *in, size_t n)
{
	struct slice taken = slice_of(in->p, n);

	in->p += n;
	in->len -= n;
	return taken;
}

enum frame_event_type {
	FRAME_MORE = 0,    /* all bytes are taken; the next event needs more */
	FRAME_MESSAGE = 1, /* a message: bytes, text */
	FRAME_PING = 2,    /* a ping: bytes, which the answer must repeat */
	FRAME_CLOSE = 3,   /* WebSocket only: code (0 if absent), bytes is the reason */
	FRAME_ERROR = 4, /* the peer broke the protocol: code for our Close frame, why */
	FRAME_NOMEM = 5,
	FRAME_LATER =
		6, /* WebSocket only: a compressed message takes more time; go on soon */
};

/* Only the fields that are named above, beside the event's type, have a meaning. */
struct frame_event {
	/*
	 * Valid until the next call of the reader, or until the reader or the input is
	 * freed.
	 */
	struct slice bytes;
	const char *why; /* a constant string */
	uint16_t code;   /* enum ws_close_code, also for RawSocket */
	bool text;       /* the message is valid UTF-8 text; always false for RawSocket */
};

#endif
