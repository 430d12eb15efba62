/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frame heads of what we send, and what a WebSocket Close may carry (RFC 6455, 5.2, 5.5,
 * 7.4). ws_reader reads the frames of clients. Pure code; any thread.
 */
#ifndef PROTO_WS_FRAME_H
#define PROTO_WS_FRAME_H

#include "common/base.h"

/* How a message becomes bytes on the wire. */
enum framing {
	FRAMING_WS_TEXT = 0,
	FRAMING_WS_BINARY = 1,
	FRAMING_RAWSOCKET = 2,
};

enum {
	FRAME_HEAD_MAX = 10,
	WS_CONTROL_PAYLOAD_MAX = 125,
	WS_CONTROL_FRAME_MAX = 2 + WS_CONTROL_PAYLOAD_MAX,
	WS_CLOSE_REASON_MAX = WS_CONTROL_PAYLOAD_MAX - 2,
};

/* The length of the head of a whole, unmasked message of len payload bytes. */
size_t frame_head_len(enum framing framing, size_t len);

/*
 * Writes the head of a whole, unmasked message of len payload bytes, and returns the
 * head's length. In RawSocket len is at most RAWSOCKET_MAX_LEN.
 */
size_t frame_head(enum framing framing, size_t len, uint8_t out[FRAME_HEAD_MAX]);

enum { WS_JOIN_MAX = 4096 }; /* bytes of a frame that others have joined */

/*
 * Appends the payload of `more`, a whole frame as frame_head begins it, to that of
 * another one of len bytes, which has room bytes of memory. `more` may lie right behind
 * it, in that memory. Returns its new length; 0:
 * nothing was done, for lack of room or because it would pass WS_JOIN_MAX.
 */
size_t ws_frame_join(uint8_t *frame, size_t len, size_t room, struct slice more);

/* Of the first and the second byte of a frame (RFC 6455, 5.2). */
enum { WS_FIN = 0x80, WS_MASKED = 0x80 };

enum ws_opcode {
	WS_OP_CONTINUATION = 0,
	WS_OP_TEXT = 1,
	WS_OP_BINARY = 2,
	WS_OP_CLOSE = 8,
	WS_OP_PING = 9,
	WS_OP_PONG = 10,
};

/* A whole control frame; payload has at most WS_CONTROL_PAYLOAD_MAX bytes. Returns its
 * length. */
size_t ws_control_frame(enum ws_opcode opcode, struct slice payload,
			uint8_t out[WS_CONTROL_FRAME_MAX]);

/* A whole Close frame. code 0: without one. reason is cut between two characters. */
size_t ws_close_frame(uint16_t code, struct slice reason,
		      uint8_t out[WS_CONTROL_FRAME_MAX]);

enum ws_close_code {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_BAD_DATA = 1007,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_RESTART = 1012,
};

/* May this code stand in a Close frame? */
bool ws_close_code_ok(uint16_t code);

/*
 * The payload of a received Close. An empty one gives code 0. E_SYNTAX: one byte, or a
 * code that may not be sent; E_UTF8: the reason is no text.
 */
int ws_close_read(struct slice payload, uint16_t *code_out,
		  struct slice *reason_out) MUSTCHECK;

#endif
