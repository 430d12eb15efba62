/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frame heads of the messages that we send, WebSocket control frames, and the content of
 * a Close (RFC 6455, 5.2, 5.5, 7.4). ws_reader reads the frames of clients. No state; any
 * thread.
 */
#ifndef PROTO_WS_FRAME_H
#define PROTO_WS_FRAME_H

#include "common/base.h"

/* How a message is framed on the wire. */
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

/* The length of the head of an unmasked frame with a whole message of len bytes. */
size_t frame_head_len(enum framing framing, size_t len);

/*
 * Writes the head of an unmasked frame with a whole message of len bytes, and returns the
 * head's length. In RawSocket len is at most RAWSOCKET_MAX_LEN.
 */
size_t frame_head(enum framing framing, size_t len, uint8_t out[FRAME_HEAD_MAX]);

/* The length of the head of an unmasked frame, and that of the whole frame. */
size_t ws_head_len(const uint8_t *frame);
size_t ws_frame_len(const uint8_t *frame);

enum { WS_JOIN_MAX = 4096 }; /* the longest frame that ws_frame_join makes, bytes */

/*
 * Appends the payload of the frame `more` to that of `frame`. `frame` has len bytes, its
 * head included, in memory of `room` bytes. Both begin with a head that frame_head has
 * written. `more` may lie directly after `frame` in the same memory. Returns the new
 * length, or 0 if nothing was done: there is no room, the result would exceed
 * WS_JOIN_MAX, or one of both is compressed, or is more than one frame.
 */
size_t ws_frame_join(uint8_t *frame, size_t len, size_t room, struct slice more);

/* Bits of a frame's first and second byte (RFC 6455, 5.2). */
enum {
	WS_FIN = 0x80,
	WS_RSV1 = 0x40, /* the message is compressed (RFC 7692, 6) */
	WS_MASKED = 0x80,
};

enum ws_opcode {
	WS_OP_CONTINUATION = 0,
	WS_OP_TEXT = 1,
	WS_OP_BINARY = 2,
	WS_OP_CLOSE = 8,
	WS_OP_PING = 9,
	WS_OP_PONG = 10,
};

/*
 * Writes a whole control frame and returns its length. payload has at most
 * WS_CONTROL_PAYLOAD_MAX bytes.
 */
size_t ws_control_frame(enum ws_opcode opcode, struct slice payload,
			uint8_t out[WS_CONTROL_FRAME_MAX]);

/*
 * Writes a whole Close frame and returns its length. code 0: leave out code and reason. A
 * long reason is cut between two characters.
 */
size_t ws_close_frame(uint16_t code, struct slice reason,
		      uint8_t out[WS_CONTROL_FRAME_MAX]);

enum ws_close_code {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_BAD_DATA = 1007,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_RESTART = 1012,
};

/* Is this code allowed in a Close frame? */
bool ws_close_code_ok(uint16_t code);

/*
 * Reads the payload of a received Close. An empty one gives code 0. E_SYNTAX: it is one
 * byte long, or the code is not allowed. E_UTF8: the reason is not UTF-8.
 */
int ws_close_read(struct slice payload, uint16_t *code_out,
		  struct slice *reason_out) MUSTCHECK;

#endif
