/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pull parser for WebSocket streams, on top of wslay's frame functions; see
 * ws_reader.h. Runs on the stream's thread.
 *
 * Nearly all input is a whole message in one frame that arrives in one read. Such a
 * message is handled in place, without wslay. wslay unmasks byte by byte, which took 60 %
 * of all instructions of a CALL of 1 KiB. For any other input a reader is made, and wslay
 * parses and checks the frames.
 *
 * wslay calls give_input when its own buffer of 4 KiB does not suffice. So each ws_next
 * lets wslay take bytes until a frame gives an event or give_input has no more. Bytes
 * that wslay still holds then are the beginning of a frame. `held` counts them: the bytes
 * that wslay took, minus the lengths of complete frames. The length of a frame's head
 * follows from its payload's length, since only one form is legal.
 */
#include "proto/ws_reader.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/deflate.h"
#include "proto/ws_frame.h"

#include <stdlib.h>
#include <wslay/wslay.h>

enum {
	WSLAY_MEMORY = 4480, /* bytes of a frame context, as allocated by release 1.1.1 */
	MASK_LEN = 4,
	INFLATE_TRY = 64 * 1024, /* the cost after which a message counts as long */
};

struct ws_reader {
	wslay_frame_context_ptr wslay;
	struct inflaters *inflaters; /* NULL: the client may not compress messages */
	struct slice input;          /* input of this call that wslay has not taken yet */
	uint64_t held; /* bytes that wslay took after the last complete frame */

	/* The current frame. */
	bool in_frame;    /* its head was read */
	uint8_t opcode;   /* enum ws_opcode */
	bool fin;         /* it is the last frame of its message */
	bool rsv1;        /* it begins a compressed message */
	uint64_t left;    /* payload bytes that have not arrived yet */
	size_t head_len;  /* bytes of its head */
	uint64_t length;  /* payload bytes in total */
	size_t n_control; /* bytes in control */
	uint8_t control[WS_CONTROL_PAYLOAD_MAX];

	/* The current message. Control frames may come between its frames. */
	bool in_message;
	bool discard; /* it is read, but not kept */
	bool text;
	struct utf8_state utf8;
	struct buf payload;
	bool compressed; /* payload is compressed */
	bool whole;      /* all of the compressed payload is there */
	bool tried;      /* the message is long: the first try did not inflate it */
	struct inflater *inflater; /* lent by inflaters; or NULL */
	struct buf inflated;
};

/* --- readers --- */

static ssize_t give_input(uint8_t *to, size_t len, int flags, void *arg)
{
	struct ws_reader *reader = arg;
	size_t n = min_size(len, reader->input.len);

	(void)flags;
	if (n == 0)
		/* This makes wslay return WSLAY_ERR_WANT_READ. */
		return -1;
	memcpy(to, reader->input.p, n);
	reader->input = slice_from(reader->input, n);
	reader->held += n;
	return (ssize_t)n;
}

static struct ws_reader *reader_new(struct inflaters *inflaters)
{
	const struct wslay_frame_callbacks callbacks = {.recv_callback = give_input};
	struct ws_reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return NULL;
	if (wslay_frame_context_init(&reader->wslay, &callbacks, reader) != 0) {
		free(reader);
		return NULL;
	}
	buf_init(&reader->payload, SIZE_MAX / 2);
	reader->inflaters = inflaters;
	return reader;
}

void ws_reader_free(struct ws_reader **rp)
{
	struct ws_reader *reader = *rp;

	*rp = NULL;
	if (reader == NULL)
		return;
	wslay_frame_context_free(reader->wslay);
	buf_fini(&reader->payload);
	buf_fini(&reader->inflated);
	inflaters_return(reader->inflaters, &reader->inflater);
	free(reader);
}

size_t ws_reader_memory(const struct ws_reader *reader)
{
	if (reader == NULL)
		return 0;
	return sizeof(*reader) + WSLAY_MEMORY + reader->payload.cap +
	       reader->inflated.cap + (reader->inflater == NULL ? 0 : INFLATER_MEMORY);
}

enum ws_wait ws_reader_wait(const struct ws_reader *reader)
{
	return !reader->tried             ? WS_WAIT_NEW
	       : reader->inflater == NULL ? WS_WAIT_LONG
					  : WS_WAIT_LENT;
}

size_t ws_reader_compressed(const struct ws_reader *reader)
{
	return reader != NULL && reader->compressed ? reader->payload.len : 0;
}

/* --- frames --- */

/* Returned by a step instead of an event: continue with the next frame. */
enum { STEP_ON = -1 };

static int fail_frame(struct frame_event *out, uint16_t code, const char *why)
{
	out->code = code;
	out->why = why;
	return FRAME_ERROR;
}

/*
 * Begins a data frame: checks that it may follow the frames before it, and that the
 * message does not get too large.
 */
static int begin_data(struct ws_reader *reader, size_t limit, struct frame_event *out)
{
	size_t have = reader->payload.len;

	if ((reader->opcode == WS_OP_CONTINUATION) != reader->in_message)
		return fail_frame(out, WS_CLOSE_PROTOCOL,
				  reader->in_message
					  ? "new message inside a fragmented one"
					  : "continuation without a message");
	if (!reader->in_message) {
		reader->in_message = true;
		reader->text = reader->opcode == WS_OP_TEXT;
		reader->compressed = reader->rsv1;
		reader->utf8 = (struct utf8_state){0};
		buf_clear(&reader->payload);
		have = 0;
	}
	reader->discard = limit == WS_DISCARD;
	if (reader->discard)
		return STEP_ON;
	if (reader->compressed)
		limit = deflate_bound(limit);
	/* Check this before memory is allocated for the message. */
	if (have > limit || reader->length > limit - have)
		return fail_frame(out, WS_CLOSE_TOO_BIG, "message too big");
	return STEP_ON;
}

/* May the bits be set? RFC 7692, 6: only RSV1, and only where a message begins. */
static bool rsv_ok(const struct ws_reader *reader, unsigned rsv)
{
	return rsv == 0 ||
	       (rsv == WSLAY_RSV1_BIT && reader->inflaters != NULL &&
		(reader->opcode == WS_OP_TEXT || reader->opcode == WS_OP_BINARY));
}

/* Handles a frame's head (RFC 6455, 5.2). */
static int begin_frame(struct ws_reader *reader, size_t limit,
		       const struct wslay_frame_iocb *io, struct frame_event *out)
{
	reader->in_frame = true;
	reader->opcode = io->opcode;
	reader->fin = io->fin != 0;
	reader->length = reader->left = io->payload_length;
	reader->n_control = 0;
	reader->head_len = 2 + 4u;
	if (reader->length >= 126)
		reader->head_len += reader->length <= UINT16_MAX ? 2 : 8;

	/* RFC 6455, 5.1: a client must mask its frames. */
	if (!io->mask)
		return fail_frame(out, WS_CLOSE_PROTOCOL, "frame is not masked");
	reader->rsv1 = io->rsv != 0;
	if (!rsv_ok(reader, io->rsv))
		return fail_frame(out, WS_CLOSE_PROTOCOL, "reserved bit is set");
	switch (reader->opcode) {
	case WS_OP_CONTINUATION:
	case WS_OP_TEXT:
	case WS_OP_BINARY:
		return begin_data(reader, limit, out);
	case WS_OP_CLOSE:
	case WS_OP_PING:
	case WS_OP_PONG:
		/* wslay_frame_recv has checked the frame's length and FIN. */
		return STEP_ON;
	}
	return fail_frame(out, WS_CLOSE_PROTOCOL, "reserved opcode");
}

static int end_message(struct ws_reader *reader, struct slice bytes,
		       struct frame_event *out)
{
	reader->in_message = reader->whole = reader->tried = false;
	if (reader->discard)
		return STEP_ON;
	if (reader->text && !utf8_done(&reader->utf8))
		return fail_frame(out, WS_CLOSE_BAD_DATA, "text is not UTF-8");
	out->bytes = bytes;
	out->text = reader->text;
	return FRAME_MESSAGE;
}

/*
 * Takes steps until the message ends, fails, or must wait for others. A first try is not
 * cut short.
 */
static int inflate_steps(struct ws_reader *reader)
{
	size_t *left = &reader->inflaters->left, all = 0;
	struct buf *to = &reader->inflated;
	int err = E_AGAIN;

	while (err == E_AGAIN && (reader->tried ? *left > 0 : all < INFLATE_TRY)) {
		size_t before = to->len, cost = 0;

		err = inflater_step(reader->inflater, to, &cost);
		*left -= min_size(*left, cost);
		all += cost;
		if (reader->text && to->len > before &&
		    !utf8_feed(&reader->utf8, to->data + before, to->len - before))
			return E_UTF8;
	}
	return err;
}

/* Begins to inflate a message. False if out of memory. */
static bool begin_inflating(struct ws_reader *reader, size_t limit)
{
	reader->utf8 = (struct utf8_state){0};
	buf_init(&reader->inflated, limit);
	reader->inflater = inflaters_lend(reader->inflaters, buf_slice(&reader->payload));
	return reader->inflater != NULL;
}

/* The message goes on later: now it is a long one. */
static int inflate_later(struct ws_reader *reader)
{
	reader->tried = true;
	if (reader->inflaters->lent > INFLATERS_MAX) {
		/* Too many others are not ready, so this one begins anew after them. */
		inflaters_return(reader->inflaters, &reader->inflater);
		buf_fini(&reader->inflated);
	}
	return FRAME_LATER;
}

/*
 * Inflates some of a message whose compressed bytes are all there. A new message is tried
 * even if all inflaters are lent: it may be short, and should not wait for long ones.
 */
static int inflate_some(struct ws_reader *reader, size_t limit, struct frame_event *out)
{
	struct inflaters *all = reader->inflaters;
	int err;

	if (limit == WS_DISCARD) {
		inflaters_return(all, &reader->inflater);
		reader->discard = true;
		return end_message(reader, slice_of(NULL, 0), out);
	}
	if (reader->inflater == NULL) {
		if (all->left == 0 || (reader->tried && all->lent >= INFLATERS_MAX))
			return FRAME_LATER;
		if (!begin_inflating(reader, limit))
			return FRAME_NOMEM;
	}
	err = inflate_steps(reader);
	if (err == E_AGAIN)
		return inflate_later(reader);
	inflaters_return(all, &reader->inflater);
	if (err == E_NOMEM)
		return FRAME_NOMEM;
	if (err == E_LIMIT)
		return fail_frame(out, WS_CLOSE_TOO_BIG, "message too big");
	if (err == E_UTF8)
		return fail_frame(out, WS_CLOSE_BAD_DATA, "text is not UTF-8");
	if (err != 0)
		return fail_frame(out, WS_CLOSE_BAD_DATA, "compressed data is corrupt");
	return end_message(reader, buf_slice(&reader->inflated), out);
}

/* Adds a piece to a compressed message, and begins to inflate it when it is whole. */
static int compressed_piece(struct ws_reader *reader, struct slice piece, bool ends,
			    size_t limit, struct frame_event *out)
{
	buf_put_slice(&reader->payload, piece);
	if (reader->payload.err != 0)
		return FRAME_NOMEM;
	if (!ends)
		return STEP_ON;
	reader->whole = true;
	return inflate_some(reader, limit, out);
}

static int data_piece(struct ws_reader *reader, struct slice piece, size_t limit,
		      struct frame_event *out)
{
	bool ends = reader->left == 0 && reader->fin;

	if (reader->discard)
		return ends ? end_message(reader, piece, out) : STEP_ON;
	if (reader->compressed)
		return compressed_piece(reader, piece, ends, limit, out);
	if (reader->text && !utf8_feed(&reader->utf8, piece.p, piece.len))
		return fail_frame(out, WS_CLOSE_BAD_DATA, "text is not UTF-8");
	/* A whole message in one piece is not copied: the event points into the input. */
	if (ends && reader->payload.len == 0)
		return end_message(reader, piece, out);
	/* The buffer grows with the bytes that have arrived. A peer must not make it grow
	 * by announcing a long frame. */
	buf_put_slice(&reader->payload, piece);
	if (reader->payload.err != 0)
		return FRAME_NOMEM;
	return ends ? end_message(reader, buf_slice(&reader->payload), out) : STEP_ON;
}

static int end_close(struct slice payload, struct frame_event *out)
{
	int err = ws_close_read(payload, &out->code, &out->bytes);

	if (err == E_UTF8)
		return fail_frame(out, WS_CLOSE_BAD_DATA, "close reason is not UTF-8");
	if (err != 0)
		return fail_frame(out, WS_CLOSE_PROTOCOL, "close code is invalid");
	return FRAME_CLOSE;
}

static int control_piece(struct ws_reader *reader, struct slice piece,
			 struct frame_event *out)
{
	struct slice payload;

	ASSERT(piece.len <= sizeof(reader->control) - reader->n_control);
	if (piece.len > 0)
		memcpy(reader->control + reader->n_control, piece.p, piece.len);
	reader->n_control += piece.len;
	if (reader->left > 0 || reader->opcode == WS_OP_PONG)
		return STEP_ON;
	payload = slice_of(reader->control, reader->n_control);
	if (reader->opcode == WS_OP_CLOSE)
		return end_close(payload, out);
	out->bytes = payload;
	return FRAME_PING;
}

/*
 * Handles a piece from wslay: a frame's head with none, some or all of its payload, or
 * more of its payload.
 */
static int piece(struct ws_reader *reader, size_t limit,
		 const struct wslay_frame_iocb *io, struct frame_event *out)
{
	struct slice bytes = slice_of(io->data, io->data_length);

	if (!reader->in_frame) {
		int step = begin_frame(reader, limit, io, out);
		if (step != STEP_ON)
			return step;
	}
	ASSERT(bytes.len <= reader->left);
	reader->left -= bytes.len;
	if (reader->left == 0) {
		reader->in_frame = false;
		reader->held -= reader->head_len + reader->length;
	}
	return (reader->opcode & 8) != 0 ? control_piece(reader, bytes, out)
					 : data_piece(reader, bytes, limit, out);
}

static enum frame_event_type read_frames(struct ws_reader *reader, struct frame_input *in,
					 size_t limit, struct frame_event *out)
{
	struct wslay_frame_iocb io;
	int step = STEP_ON;

	if (reader->whole)
		step = inflate_some(reader, limit, out);
	else
		/* of the last message */
		buf_fini(&reader->inflated);
	reader->input = slice_of(in->p, in->len);
	while (step == STEP_ON) {
		ssize_t n = wslay_frame_recv(reader->wslay, &io);

		if (n == WSLAY_ERR_WANT_READ) {
			DEBUG_ASSERT(reader->input.len == 0);
			step = FRAME_MORE;
		} else if (n < 0) {
			/* An invalid length, or a control frame that is too long or
			 * fragmented. */
			step = fail_frame(out, WS_CLOSE_PROTOCOL,
					  "frame head is invalid");
		} else {
			step = piece(reader, limit, &io, out);
		}
	}
	frame_input_take(in, in->len - reader->input.len);
	reader->input = slice_of(NULL, 0);
	return (enum frame_event_type)step;
}

/* --- whole messages --- */

static void unmask(uint8_t *p, size_t len, const uint8_t mask[MASK_LEN])
{
	uint64_t eight, twice;
	size_t i = 0;

	memcpy(&twice, mask, MASK_LEN);
	memcpy((uint8_t *)&twice + MASK_LEN, mask, MASK_LEN);
	for (; i + sizeof(eight) <= len; i += sizeof(eight)) {
		memcpy(&eight, p + i, sizeof(eight));
		eight ^= twice;
		memcpy(p + i, &eight, sizeof(eight));
	}
	for (; i < len; i++)
		p[i] ^= mask[i % MASK_LEN];
}

/*
 * If *in begins with a whole message in one frame, returns the length of the frame's head
 * with its mask; *len_out gets the length of the payload. 0 for anything else, whether
 * invalid or incomplete.
 */
static size_t whole_head(const struct frame_input *in, size_t *len_out)
{
	const uint8_t *p = in->p;
	size_t head = 2, len;

	if (in->len < head + MASK_LEN || (p[1] & WS_MASKED) == 0 ||
	    (p[0] != (WS_FIN | WS_OP_TEXT) && p[0] != (WS_FIN | WS_OP_BINARY)))
		return 0;
	len = p[1] & ~WS_MASKED;
	if (len >= 126) {
		head += 2;
		if (len > 126 || in->len < head + MASK_LEN)
			return 0;
		len = get_be16(p + 2);
		if (len < 126)
			return 0;
	}
	head += MASK_LEN;
	*len_out = len;
	return in->len - head < len ? 0 : head;
}

/*
 * Handles the usual case: a whole message in one frame in one read. FRAME_MORE: *in
 * begins with something else.
 */
static enum frame_event_type whole_message(struct frame_input *in, size_t limit,
					   struct frame_event *out)
{
	size_t len, head = whole_head(in, &len);

	if (head == 0 || limit == WS_DISCARD || len > limit)
		return FRAME_MORE;
	out->text = in->p[0] == (WS_FIN | WS_OP_TEXT);
	unmask(in->p + head, len, in->p + head - MASK_LEN);
	frame_input_take(in, head);
	out->bytes = frame_input_take(in, len);
	if (out->text && !utf8_valid(out->bytes))
		return (enum frame_event_type)fail_frame(out, WS_CLOSE_BAD_DATA,
							 "text is not UTF-8");
	return FRAME_MESSAGE;
}

/* Does wslay hold no bytes, and is no message incomplete? */
static bool between_messages(const struct ws_reader *reader)
{
	return reader->held == 0 && !reader->in_message;
}

enum frame_event_type ws_next(struct ws_reader **reader, struct frame_input *in,
			      size_t limit, struct inflaters *inflaters,
			      struct frame_event *out)
{
	enum frame_event_type type;

	/* The last event may have pointed into the reader, so it is freed only now. */
	if (*reader != NULL && between_messages(*reader))
		ws_reader_free(reader);
	if (*reader == NULL) {
		type = whole_message(in, limit, out);
		if (type != FRAME_MORE || in->len == 0)
			return type;
		*reader = reader_new(inflaters);
		if (*reader == NULL)
			return FRAME_NOMEM;
	}
	type = read_frames(*reader, in, limit, out);
	if (type == FRAME_MORE && between_messages(*reader))
		ws_reader_free(reader);
	return type;
}
