/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving side of RawSocket; see rawsocket.h. */
#include "routerd/net/rawsocket.h"

#include "common/err.h"
#include "proto/rawsocket_frame.h"
#include "routerd/net/conn_int.h"

#include <stdlib.h>

/* What a step says about going on. */
enum raw_step {
	RAW_STEP_ON = 0,
	RAW_STEP_MORE = 1, /* the frame is not here as a whole */
	RAW_STEP_STOP = 2, /* the connection is done with reading */
	RAW_STEP_NOMEM = 3,
};

struct raw_head {
	enum rawsocket_type type;
	size_t len;
};

/* The head is here: before anything is allocated for its payload. */
static enum raw_step read_head(struct conn *c, const uint8_t *bytes, struct raw_head *out)
{
	if (rawsocket_head_read(bytes, &out->type, &out->len) != 0) {
		conn_raw_fail(c, CONN_END_PROTOCOL, "reserved frame type or bit");
		return RAW_STEP_STOP;
	}
	if (out->len > conn_raw_limit(c)) {
		conn_raw_fail(c, CONN_END_TOO_BIG, "message too big");
		return RAW_STEP_STOP;
	}
	return RAW_STEP_ON;
}

static enum raw_step end_frame(struct conn *c, enum rawsocket_type type,
			       struct slice payload)
{
	bool on = true;

	switch (type) {
	case RAWSOCKET_MESSAGE:
		on = conn_raw_message(c, payload);
		break;
	case RAWSOCKET_PING:
		on = conn_raw_ping(c, payload);
		break;
	case RAWSOCKET_PONG: /* a sign of life, as any byte is */
		break;
	}
	return on ? RAW_STEP_ON : RAW_STEP_STOP;
}

/* The first n bytes, or as many as there are, which it takes away. */
static struct slice take(struct slice *bytes, size_t n)
{
	struct slice taken = slice_of(bytes->p, min_size(n, bytes->len));

	*bytes = slice_of(bytes->p + taken.len, bytes->len - taken.len);
	return taken;
}

/* The usual case: a whole frame in one piece. */
static enum raw_step whole_frame(struct conn *c, struct slice *bytes)
{
	struct raw_head head;
	enum raw_step step;

	if (bytes->len < RAWSOCKET_HEAD_LEN)
		return RAW_STEP_MORE;
	step = read_head(c, bytes->p, &head);
	if (step != RAW_STEP_ON)
		return step;
	if (head.len > bytes->len - RAWSOCKET_HEAD_LEN)
		return RAW_STEP_MORE;
	take(bytes, RAWSOCKET_HEAD_LEN);
	return end_frame(c, head.type, take(bytes, head.len));
}

/*
 * Adds to the beginning of a frame, whose length is part->max, what of the rest is here.
 * Memory follows what has come: a head alone is not worth much.
 */
static enum raw_step add(struct buf *part, struct slice *bytes)
{
	buf_put_slice(part, take(bytes, part->max - part->len));
	return part->err == 0 ? RAW_STEP_ON : RAW_STEP_NOMEM;
}

/* Goes on with the frame that part is the beginning of. */
static enum raw_step rest_of_frame(struct buf *part, struct conn *c, struct slice *bytes)
{
	struct raw_head head;
	enum raw_step step;

	if (part->len < RAWSOCKET_HEAD_LEN) {
		step = add(part, bytes);
		if (step != RAW_STEP_ON || part->len < RAWSOCKET_HEAD_LEN)
			return step != RAW_STEP_ON ? step : RAW_STEP_MORE;
	}
	step = read_head(c, part->data, &head);
	if (step != RAW_STEP_ON)
		return step;
	part->max = RAWSOCKET_HEAD_LEN + head.len;
	step = add(part, bytes);
	if (step != RAW_STEP_ON)
		return step;
	if (part->len < part->max)
		return RAW_STEP_MORE;
	return end_frame(c, head.type,
			 slice_of(part->data + RAWSOCKET_HEAD_LEN, head.len));
}

static struct buf *part_new(void)
{
	struct buf *part = malloc(sizeof(*part));

	if (part != NULL)
		buf_init(part, RAWSOCKET_HEAD_LEN);
	return part;
}

static void part_free(struct buf *part)
{
	if (part != NULL)
		buf_fini(part);
	free(part);
}

int raw_input(struct buf **held, struct conn *c, struct slice bytes)
{
	struct buf *part = *held;
	enum raw_step step = RAW_STEP_ON;

	*held = NULL; /* while it is in use, nobody else frees it */
	if (part != NULL)
		step = rest_of_frame(part, c, &bytes);
	while (step == RAW_STEP_ON && bytes.len > 0)
		step = whole_frame(c, &bytes);
	if (step == RAW_STEP_MORE && bytes.len > 0) {
		part_free(part);
		part = part_new();
		step = part == NULL ? RAW_STEP_NOMEM : rest_of_frame(part, c, &bytes);
	}
	if (step == RAW_STEP_MORE)
		*held = part;
	else
		part_free(part);
	return step == RAW_STEP_NOMEM ? E_NOMEM : 0;
}
