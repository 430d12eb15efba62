/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving side of WebSocket over wslay's frame level; see ws.h.
 *
 * Nearly all that arrives are whole messages, in one frame each, that lie in one read.
 * These are taken as they lie, without wslay, which unmasks byte by byte: it took 60 % of
 * all instructions of a CALL of 1 KiB. As soon as something else comes, a reader is taken
 * for it, and wslay judges it.
 *
 * wslay pulls: it asks recv_callback for bytes whenever its own 4 KiB buffer does not
 * suffice. So each call of ws_input lets it take what arrived until it asks in vain. What
 * it then still holds, if anything, is the beginning of a frame: `held` counts the bytes
 * it took less those of complete frames, whose heads have only one legal length.
 */
#include "routerd/net/ws.h"

#include "common/buf.h"
#include "common/err.h"
#include "common/utf8.h"
#include "proto/ws_frame.h"
#include "routerd/net/conn_int.h"

#include <stdlib.h>
#include <wslay/wslay.h>

enum {
	POOL_MAX = 16,           /* idle readers that a thread keeps */
	KEEP_BUFFER = 64 * 1024, /* the largest buffer that an idle reader keeps */
	WSLAY_MEMORY = 4480,    /* bytes of a frame context, as release 1.1.1 allocates */
	WHOLE_MAX = UINT16_MAX, /* about what one read can bring */
	MASK_LEN = 4,
};

struct ws_reader {
	SLIST_ENTRY(ws_reader) link;
	wslay_frame_context_ptr wslay;
	struct slice input; /* of this call, not yet taken by wslay */
	uint64_t held;      /* bytes that wslay took beyond the last complete frame */

	/* the frame */
	bool in_frame;    /* its head was read */
	uint8_t opcode;   /* enum ws_opcode */
	bool fin;         /* it is the last of its message */
	uint64_t left;    /* payload bytes that did not come yet */
	size_t head_len;  /* bytes of its head */
	uint64_t length;  /* payload bytes */
	size_t n_control; /* bytes in control */
	uint8_t control[WS_CONTROL_PAYLOAD_MAX];

	/* the message, which control frames may interrupt */
	bool in_message;
	bool discard; /* it is read, but not kept */
	bool text;
	struct utf8_state utf8;
	struct buf payload;
};

/* --- readers --- */

static ssize_t give_input(uint8_t *to, size_t len, int flags, void *arg)
{
	struct ws_reader *r = arg;
	size_t n = min_size(len, r->input.len);

	(void)flags;
	if (n == 0)
		return -1; /* makes wslay want to read later */
	memcpy(to, r->input.p, n);
	r->input = slice_of(r->input.p + n, r->input.len - n);
	r->held += n;
	return (ssize_t)n;
}

static struct ws_reader *reader_new(void)
{
	const struct wslay_frame_callbacks callbacks = {.recv_callback = give_input};
	struct ws_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	if (wslay_frame_context_init(&r->wslay, &callbacks, r) != 0) {
		free(r);
		return NULL;
	}
	buf_init(&r->payload, SIZE_MAX / 2);
	return r;
}

void ws_reader_free(struct ws_reader **rp)
{
	struct ws_reader *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	wslay_frame_context_free(r->wslay);
	buf_fini(&r->payload);
	free(r);
}

size_t ws_reader_memory(const struct ws_reader *r)
{
	return r == NULL ? 0 : sizeof(*r) + WSLAY_MEMORY + r->payload.cap;
}

void ws_pool_init(struct ws_pool *p)
{
	*p = (struct ws_pool){.n_free = 0};
	SLIST_INIT(&p->free);
	buf_init(&p->unmasked, WHOLE_MAX);
}

void ws_pool_fini(struct ws_pool *p)
{
	while (!SLIST_EMPTY(&p->free)) {
		struct ws_reader *r = SLIST_FIRST(&p->free);

		SLIST_REMOVE_HEAD(&p->free, link);
		ws_reader_free(&r);
	}
	p->n_free = 0;
	buf_fini(&p->unmasked);
}

static struct ws_reader *pool_take(struct ws_pool *p)
{
	struct ws_reader *r = SLIST_FIRST(&p->free);

	if (r == NULL)
		return reader_new();
	SLIST_REMOVE_HEAD(&p->free, link);
	p->n_free--;
	return r;
}

/* Takes back a reader that is between two messages. */
static void pool_give(struct ws_pool *p, struct ws_reader *r)
{
	if (p->n_free == POOL_MAX) {
		ws_reader_free(&r);
		return;
	}
	if (r->payload.cap > KEEP_BUFFER)
		buf_fini(&r->payload);
	SLIST_INSERT_HEAD(&p->free, r, link);
	p->n_free++;
}

/* --- frames --- */

/* What a step says about going on. */
enum step {
	STEP_ON = 0,
	STEP_STOP = 1, /* the connection is done with reading */
	STEP_NOMEM = 2,
};

static enum step fail(struct conn *c, uint16_t code, const char *why)
{
	conn_ws_fail(c, code, why);
	return STEP_STOP;
}

/* A data frame begins: which message does it belong to, and how large may that be? */
static enum step begin_data(struct ws_reader *r, struct conn *c)
{
	size_t limit = conn_ws_limit(c);
	size_t have = r->payload.len;

	if ((r->opcode == WS_OP_CONTINUATION) != r->in_message)
		return fail(c, WS_CLOSE_PROTOCOL,
			    r->in_message ? "new message inside a fragmented one"
					  : "continuation of no message");
	if (!r->in_message) {
		r->in_message = true;
		r->text = r->opcode == WS_OP_TEXT;
		r->utf8 = (struct utf8_state){0};
		buf_clear(&r->payload);
		have = 0;
	}
	r->discard = limit == WS_DISCARD;
	if (r->discard)
		return STEP_ON;
	/* before anything is allocated for it */
	if (have > limit || r->length > limit - have)
		return fail(c, WS_CLOSE_TOO_BIG, "message too big");
	return STEP_ON;
}

/* The head of a frame was read (RFC 6455, 5.2). */
static enum step begin_frame(struct ws_reader *r, struct conn *c,
			     const struct wslay_frame_iocb *io)
{
	r->in_frame = true;
	r->opcode = io->opcode;
	r->fin = io->fin != 0;
	r->length = r->left = io->payload_length;
	r->n_control = 0;
	r->head_len = 2 + 4u;
	if (r->length >= 126)
		r->head_len += r->length <= UINT16_MAX ? 2 : 8;

	if (!io->mask)
		return fail(c, WS_CLOSE_PROTOCOL, "frame is not masked");
	if (io->rsv != 0)
		return fail(c, WS_CLOSE_PROTOCOL, "reserved bit is set");
	switch (r->opcode) {
	case WS_OP_CONTINUATION:
	case WS_OP_TEXT:
	case WS_OP_BINARY:
		return begin_data(r, c);
	case WS_OP_CLOSE:
	case WS_OP_PING:
	case WS_OP_PONG:
		return STEP_ON; /* wslay checked length and FIN */
	default:
		return fail(c, WS_CLOSE_PROTOCOL, "reserved opcode");
	}
}

/* Keeps a piece of a message that did not come as a whole. Memory follows what has come:
 * a head alone is not worth much. */
static enum step keep_piece(struct ws_reader *r, struct slice piece)
{
	buf_put_slice(&r->payload, piece);
	return r->payload.err == 0 ? STEP_ON : STEP_NOMEM;
}

static enum step end_message(struct ws_reader *r, struct conn *c, struct slice bytes)
{
	if (!r->discard && r->text && !utf8_done(&r->utf8))
		return fail(c, WS_CLOSE_BAD_DATA, "text ends inside a character");
	r->in_message = false;
	if (!r->discard && !conn_ws_message(c, bytes, r->text))
		return STEP_STOP;
	buf_clear(&r->payload);
	return STEP_ON;
}

static enum step data_piece(struct ws_reader *r, struct conn *c, struct slice piece)
{
	bool ends = r->left == 0 && r->fin;
	enum step step;

	if (r->discard)
		return ends ? end_message(r, c, piece) : STEP_ON;
	if (r->text && !utf8_feed(&r->utf8, piece.p, piece.len))
		return fail(c, WS_CLOSE_BAD_DATA, "text is not UTF-8");
	/* the usual case: a whole message in one piece is passed on where it lies */
	if (ends && r->payload.len == 0)
		return end_message(r, c, piece);
	step = keep_piece(r, piece);
	if (step != STEP_ON || !ends)
		return step;
	return end_message(r, c, buf_slice(&r->payload));
}

static enum step end_close(struct conn *c, struct slice payload)
{
	uint16_t code;
	struct slice reason;
	int err = ws_close_read(payload, &code, &reason);

	if (err == E_UTF8)
		return fail(c, WS_CLOSE_BAD_DATA, "reason of close is not UTF-8");
	if (err != 0)
		return fail(c, WS_CLOSE_PROTOCOL, "code of close is invalid");
	conn_ws_close(c, code, reason);
	return STEP_STOP;
}

static enum step control_piece(struct ws_reader *r, struct conn *c, struct slice piece)
{
	struct slice payload;

	ASSERT(piece.len <= sizeof(r->control) - r->n_control);
	if (piece.len > 0)
		memcpy(r->control + r->n_control, piece.p, piece.len);
	r->n_control += piece.len;
	if (r->left > 0)
		return STEP_ON;
	payload = slice_of(r->control, r->n_control);
	if (r->opcode == WS_OP_CLOSE)
		return end_close(c, payload);
	if (r->opcode == WS_OP_PING && !conn_ws_ping(c, payload))
		return STEP_STOP;
	return STEP_ON; /* a pong is a sign of life, as any byte is */
}

/* A frame's head, with all or some or none of its payload; or more of its payload. */
static enum step piece(struct ws_reader *r, struct conn *c,
		       const struct wslay_frame_iocb *io)
{
	struct slice bytes = slice_of(io->data, io->data_length);
	enum step step;

	if (!r->in_frame) {
		step = begin_frame(r, c, io);
		if (step != STEP_ON)
			return step;
	}
	ASSERT(bytes.len <= r->left);
	r->left -= bytes.len;
	if (r->left == 0) {
		r->in_frame = false;
		r->held -= r->head_len + r->length;
	}
	return (r->opcode & 8) != 0 ? control_piece(r, c, bytes)
				    : data_piece(r, c, bytes);
}

static enum step read_all(struct ws_reader *r, struct conn *c)
{
	struct wslay_frame_iocb io;
	enum step step = STEP_ON;

	while (step == STEP_ON) {
		ssize_t n = wslay_frame_recv(r->wslay, &io);

		if (n == WSLAY_ERR_WANT_READ) {
			DEBUG_ASSERT(r->input.len == 0);
			break;
		}
		if (n < 0)
			/* its length, or a control frame that is long or a fragment */
			return fail(c, WS_CLOSE_PROTOCOL, "frame head is invalid");
		step = piece(r, c, &io);
	}
	return step;
}

/* --- whole messages --- */

static void unmask(uint8_t *restrict to, const uint8_t *restrict from, size_t len,
		   const uint8_t mask[MASK_LEN])
{
	uint64_t eight, twice;
	size_t i = 0;

	memcpy(&twice, mask, MASK_LEN);
	memcpy((uint8_t *)&twice + MASK_LEN, mask, MASK_LEN);
	for (; i + sizeof(eight) <= len; i += sizeof(eight)) {
		memcpy(&eight, from + i, sizeof(eight));
		eight ^= twice;
		memcpy(to + i, &eight, sizeof(eight));
	}
	for (; i < len; i++)
		to[i] = from[i] ^ mask[i % MASK_LEN];
}

/* The mask and payload of a message that *in begins with, in one frame, as a whole; it
 * is taken from *in. False for anything else, be it wrong or only incomplete. */
static bool take_whole(struct slice *in, const uint8_t **mask_out,
		       struct slice *payload_out, bool *text_out)
{
	const uint8_t *p = in->p;
	size_t head = 2, len;

	if (in->len < head + MASK_LEN || (p[1] & WS_MASKED) == 0 ||
	    (p[0] != (WS_FIN | WS_OP_TEXT) && p[0] != (WS_FIN | WS_OP_BINARY)))
		return false;
	len = p[1] & ~WS_MASKED;
	if (len >= 126) {
		head += 2;
		if (len > 126 || in->len < head + MASK_LEN)
			return false;
		len = get_be16(p + 2);
		if (len < 126)
			return false;
	}
	head += MASK_LEN;
	if (in->len - head < len)
		return false;
	*text_out = p[0] == (WS_FIN | WS_OP_TEXT);
	*mask_out = p + head - MASK_LEN;
	*payload_out = slice_of(p + head, len);
	*in = slice_of(p + head + len, in->len - head - len);
	return true;
}

/* Passes whole messages on; stops before the first byte of anything else. */
static enum step read_whole(struct ws_pool *p, struct conn *c, struct slice *in)
{
	struct slice rest = *in, payload;
	const uint8_t *mask;
	bool text;

	while (take_whole(&rest, &mask, &payload, &text)) {
		size_t limit = conn_ws_limit(c);

		if (limit == WS_DISCARD || payload.len > limit)
			break;
		buf_clear(&p->unmasked);
		if (payload.len > 0 && buf_reserve(&p->unmasked, payload.len) == NULL)
			return STEP_NOMEM;
		unmask(p->unmasked.data, payload.p, payload.len, mask);
		payload = slice_of(p->unmasked.data, payload.len);
		if (text && !utf8_valid(payload))
			break;
		if (!conn_ws_message(c, payload, text))
			return STEP_STOP;
		*in = rest;
	}
	return STEP_ON;
}

int ws_input(struct ws_pool *p, struct ws_reader **held, struct conn *c,
	     struct slice bytes)
{
	struct ws_reader *r = *held;
	enum step step;

	if (r == NULL) {
		step = read_whole(p, c, &bytes);
		if (step != STEP_ON || bytes.len == 0)
			return step == STEP_NOMEM ? E_NOMEM : 0;
		r = pool_take(p);
	}
	if (r == NULL)
		return E_NOMEM;
	*held = NULL; /* while it is in use, nobody else frees it */
	r->input = bytes;
	step = read_all(r, c);
	r->input = slice_of(NULL, 0);
	if (step != STEP_ON) {
		/* wslay has no way to start afresh */
		ws_reader_free(&r);
		return step == STEP_NOMEM ? E_NOMEM : 0;
	}
	if (r->held == 0 && !r->in_message)
		pool_give(p, r);
	else
		*held = r;
	return 0;
}
