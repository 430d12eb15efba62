/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pull parser for RawSocket streams; see rawsocket_reader.h. Runs on the stream's
 * thread.
 */
#include "proto/rawsocket_reader.h"

#include "common/err.h"
#include "proto/rawsocket_frame.h"
#include "proto/ws_frame.h"

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
		out->why = "reserved frame type or bit";
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
 * Continues the frame whose beginning is in part. FRAME_MORE with part->len == part->max:
 * the frame was a pong.
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

enum frame_event_type rawsocket_next(struct buf **held, struct frame_input *in,
				     size_t limit, struct frame_event *out)
{
	enum frame_event_type type = FRAME_MORE;

	do {
		/* A complete frame in *held was a pong, or the last event pointed to
		 * it. */
		if (*held != NULL && (*held)->len == (*held)->max)
			buf_free(held);
		if (*held == NULL) {
			type = whole_frame(in, limit, out);
			if (type != FRAME_MORE || in->len == 0)
				return type;
			*held = buf_new(RAWSOCKET_HEAD_LEN);
			if (*held == NULL)
				return FRAME_NOMEM;
		}
		type = rest_of_frame(*held, in, limit, out);
	} while (type == FRAME_MORE && (*held)->len == (*held)->max);
	return type;
}
