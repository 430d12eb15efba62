/* SPDX-License-Identifier: Apache-2.0 */
/* RawSocket's handshake, frames and streams; see rawsocket.h. No state; any thread. */
#include "proto/rawsocket.h"

#include "common/err.h"
#include "proto/ws_frame.h"

/*
 * A frame head is a byte RRRRXTTT (reserved, X, type) and a length of 24 bits. If X is
 * set, the 24 bits are zero and the length is 2^24.
 */
enum {
	RESERVED_BITS = 0xf0,
	LEN_2_24 = 0x08,
	TYPE_BITS = 0x07,
};

int rawsocket_handshake_read(const uint8_t in[RAWSOCKET_HANDSHAKE_LEN],
			     struct rawsocket_handshake *out)
{
	if (in[0] != RAWSOCKET_MAGIC)
		return E_SYNTAX;
	if (in[2] != 0 || in[3] != 0)
		return RAWSOCKET_RESERVED;
	out->serializer = in[1] & 0x0f;
	out->max_len = (size_t)RAWSOCKET_MIN_LEN << (in[1] >> 4);
	return RAWSOCKET_OK;
}

size_t rawsocket_reply_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN], unsigned serializer,
			     size_t max_len)
{
	unsigned log = 0;

	while (log < 15 && (size_t)RAWSOCKET_MIN_LEN << (log + 1) <= max_len)
		log++;
	out[0] = RAWSOCKET_MAGIC;
	out[1] = (uint8_t)(log << 4 | serializer);
	out[2] = out[3] = 0;
	return (size_t)RAWSOCKET_MIN_LEN << log;
}

void rawsocket_error_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN],
			   enum rawsocket_error error)
{
	out[0] = RAWSOCKET_MAGIC;
	out[1] = (uint8_t)(error << 4);
	out[2] = out[3] = 0;
}

void rawsocket_head_write(uint8_t out[RAWSOCKET_HEAD_LEN], enum rawsocket_type type,
			  size_t len)
{
	ASSERT(len <= RAWSOCKET_MAX_LEN);
	put_be32(out, (uint32_t)len & 0xffffff);
	out[0] = (uint8_t)(type | (len == RAWSOCKET_MAX_LEN ? LEN_2_24 : 0));
}

int rawsocket_head_read(const uint8_t in[RAWSOCKET_HEAD_LEN],
			enum rawsocket_type *type_out, size_t *len_out)
{
	size_t len = get_be32(in) & 0xffffff;
	unsigned type = in[0] & TYPE_BITS;

	if ((in[0] & RESERVED_BITS) != 0 || type > RAWSOCKET_PONG)
		return E_SYNTAX;
	if ((in[0] & LEN_2_24) != 0) {
		if (len != 0)
			return E_SYNTAX;
		len = RAWSOCKET_MAX_LEN;
	}
	*type_out = (enum rawsocket_type)type;
	*len_out = len;
	return 0;
}

/* --- streams --- */

struct head {
	enum rawsocket_type type;
	size_t len;
};

/* Checks a frame head before memory is allocated for the payload. */
static bool read_head(const uint8_t *bytes, size_t limit, struct head *head_out,
		      struct frame_event *out)
{
	if (rawsocket_head_read(bytes, &head_out->type, &head_out->len) != 0) {
		out->code = WS_CLOSE_PROTOCOL;
		out->why = (bytes[0] & RESERVED_BITS) != 0 ? "reserved bit is set"
			   : (bytes[0] & TYPE_BITS) > RAWSOCKET_PONG
				   ? "reserved frame type"
				   : "frame length is invalid";
		return false;
	}
	if (head_out->len > limit) {
		out->code = WS_CLOSE_TOO_BIG;
		out->why = "message too big";
		return false;
	}
	return true;
}

static enum frame_event_type end_frame(enum rawsocket_type type, struct slice payload,
				       struct frame_event *out)
{
	out->bytes = payload;
	out->text = false;
	return type == RAWSOCKET_MESSAGE ? FRAME_MESSAGE : FRAME_PING;
}

/*
 * Handles the usual case: the input has a whole frame. The event points into the input.
 */
static enum frame_event_type whole_frame(struct frame_input *in, size_t limit,
					 struct frame_event *out)
{
	struct head head;

	while (in->len >= RAWSOCKET_HEAD_LEN) {
		if (!read_head(in->p, limit, &head, out))
			return FRAME_ERROR;
		if (head.len > in->len - RAWSOCKET_HEAD_LEN)
			return FRAME_MORE;
		frame_input_take(in, RAWSOCKET_HEAD_LEN);
		struct slice payload = frame_input_take(in, head.len);
		if (head.type != RAWSOCKET_PONG)
			return end_frame(head.type, payload, out);
	}
	return FRAME_MORE;
}

/*
 * Appends input to part, up to part->max. The buffer grows with the bytes that have
 * arrived: a peer must not make it grow by announcing a long frame.
 */
static bool add_to_part(struct buf *part, struct frame_input *in)
{
	buf_put_slice(part,
		      frame_input_take(in, min_size(in->len, part->max - part->len)));
	return part->err == 0;
}

/*
 * Continues the frame whose beginning is in part. If it returns FRAME_MORE and part->len
 * is part->max, the frame was a pong, which gives no event.
 */
static enum frame_event_type rest_of_frame(struct buf *part, struct frame_input *in,
					   size_t limit, struct frame_event *out)
{
	struct head head;

	if (part->len < RAWSOCKET_HEAD_LEN && !add_to_part(part, in))
		return FRAME_NOMEM;
	if (part->len < RAWSOCKET_HEAD_LEN)
		return FRAME_MORE;
	if (!read_head(part->data, limit, &head, out))
		return FRAME_ERROR;
	part->max = RAWSOCKET_HEAD_LEN + head.len;
	if (!add_to_part(part, in))
		return FRAME_NOMEM;
	if (part->len < part->max || head.type == RAWSOCKET_PONG)
		return FRAME_MORE;
	return end_frame(head.type, slice_of(part->data + RAWSOCKET_HEAD_LEN, head.len),
			 out);
}

enum frame_event_type rawsocket_next(struct buf **partial, struct frame_input *in,
				     size_t limit, struct frame_event *out)
{
	enum frame_event_type type = FRAME_MORE;

	do {
		/* A complete frame in *partial was a pong, or the last event pointed to
		 * it. */
		if (*partial != NULL && (*partial)->len == (*partial)->max)
			buf_free(partial);
		if (*partial == NULL) {
			type = whole_frame(in, limit, out);
			if (type != FRAME_MORE || in->len == 0)
				return type;
			*partial = buf_new(RAWSOCKET_HEAD_LEN);
			if (*partial == NULL)
				return FRAME_NOMEM;
		}
		type = rest_of_frame(*partial, in, limit, out);
	} while (type == FRAME_MORE && (*partial)->len == (*partial)->max);
	return type;
}
