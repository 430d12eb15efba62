/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes frame heads and WebSocket control frames, and reads a Close; see ws_frame.h. No
 * state; any thread.
 */
#include "proto/ws_frame.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/rawsocket.h"

size_t frame_head_len(enum framing framing, size_t len)
{
	if (framing == FRAMING_RAWSOCKET)
		return RAWSOCKET_HEAD_LEN;
	return len < 126 ? 2 : len <= UINT16_MAX ? 4 : FRAME_HEAD_MAX;
}

size_t frame_head(enum framing framing, size_t len, uint8_t out[FRAME_HEAD_MAX])
{
	if (framing == FRAMING_RAWSOCKET) {
		rawsocket_head_write(out, RAWSOCKET_MESSAGE, len);
		return RAWSOCKET_HEAD_LEN;
	}
	out[0] = WS_FIN | (framing == FRAMING_WS_TEXT ? WS_OP_TEXT : WS_OP_BINARY);
	if (len < 126) {
		out[1] = (uint8_t)len;
		return 2;
	}
	if (len <= UINT16_MAX) {
		out[1] = 126;
		put_be16(out + 2, (uint16_t)len);
		return 4;
	}
	out[1] = 127;
	put_be64(out + 2, len);
	return 10;
}

size_t ws_head_len(const uint8_t *frame)
{
	return frame[1] < 126 ? 2 : frame[1] == 126 ? 4 : FRAME_HEAD_MAX;
}

size_t ws_frame_len(const uint8_t *frame)
{
	size_t head = ws_head_len(frame);

	return head + (head == 2   ? frame[1]
		       : head == 4 ? get_be16(frame + 2)
				   : (size_t)get_be64(frame + 2));
}

static bool is_one_plain(const uint8_t *frame, size_t len)
{
	return (frame[0] & WS_RSV1) == 0 && ws_frame_len(frame) == len;
}

size_t ws_frame_join(uint8_t *frame, size_t len, size_t room, struct slice more)
{
	size_t old_head = ws_head_len(frame), payload = len - old_head;
	size_t skip = ws_head_len(more.p), added = more.len - skip;
	size_t new_head = payload + added < 126 ? 2 : 4;

	if (new_head + payload + added > min_size(room, WS_JOIN_MAX) ||
	    !is_one_plain(frame, len) || !is_one_plain(more.p, more.len))
		return 0;
	/* The longer frame may need a longer head, so make room for it. */
	if (new_head != old_head)
		memmove(frame + new_head, frame + old_head, payload);
	frame_head(frame[0] == (WS_FIN | WS_OP_TEXT) ? FRAMING_WS_TEXT
						     : FRAMING_WS_BINARY,
		   payload + added, frame);
	memmove(frame + new_head + payload, more.p + skip, added);
	return new_head + payload + added;
}

size_t ws_control_frame(enum ws_opcode opcode, struct slice payload,
			uint8_t out[WS_CONTROL_FRAME_MAX])
{
	ASSERT(payload.len <= WS_CONTROL_PAYLOAD_MAX);
	out[0] = (uint8_t)(WS_FIN | opcode);
	out[1] = (uint8_t)payload.len;
	if (payload.len > 0)
		memcpy(out + 2, payload.p, payload.len);
	return 2 + payload.len;
}

/* The length of the longest prefix of at most max bytes that does not cut a character. */
static size_t cut_text(struct slice text, size_t max)
{
	size_t n = min_size(text.len, max);

	if (n == text.len)
		return n;
	while (n > 0 && (text.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

size_t ws_close_frame(uint16_t code, struct slice reason,
		      uint8_t out[WS_CONTROL_FRAME_MAX])
{
	uint8_t payload[WS_CONTROL_PAYLOAD_MAX];
	size_t n = cut_text(reason, WS_CLOSE_REASON_MAX);

	if (code == 0)
		return ws_control_frame(WS_OP_CLOSE, slice_of(NULL, 0), out);
	put_be16(payload, code);
	if (n > 0)
		memcpy(payload + 2, reason.p, n);
	return ws_control_frame(WS_OP_CLOSE, slice_of(payload, 2 + n), out);
}

bool ws_close_code_ok(uint16_t code)
{
	/* 1004 is reserved. 1005, 1006 and 1015 are never sent; they stand for closes
	 * without a code. */
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

int ws_close_read(struct slice payload, uint16_t *code_out, struct slice *reason_out)
{
	if (payload.len == 0) {
		*code_out = 0;
		*reason_out = payload;
		return 0;
	}
	if (payload.len < 2)
		return E_SYNTAX;

	uint16_t code = get_be16(payload.p);
	struct slice reason = slice_from(payload, 2);

	if (!ws_close_code_ok(code))
		return E_SYNTAX;
	if (!utf8_valid(reason))
		return E_UTF8;
	*code_out = code;
	*reason_out = reason;
	return 0;
}
