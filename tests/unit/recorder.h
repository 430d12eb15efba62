/* SPDX-License-Identifier: Apache-2.0 */
/* Records the events that the stream readers ws_reader and rawsocket give, for
 * their tests. Include it behind <cmocka.h>. One thread. */
#ifndef TESTS_UNIT_RECORDER_H
#define TESTS_UNIT_RECORDER_H

#include "common/buf.h"
#include "proto/frame_event.h"
#include "proto/ws_frame.h"

#include <stdlib.h>

static struct {
	size_t limit;
	int stop_after; /* stop reading after this many messages; 0: never */
	int messages;
	bool over; /* no event may follow */
	bool deflates; /* compression was agreed on */
	struct buf log;
} rec;

/* Short payloads in full, long ones as length and checksum. */
static void put_payload(struct buf *to, struct slice s)
{
	unsigned sum = 0;

	if (s.len <= 40) {
		buf_put_slice(to, s);
		return;
	}
	for (size_t i = 0; i < s.len; i++)
		sum = sum * 31 + s.p[i];
	buf_printf(to, "%zu:%08x", s.len, sum);
}

/* Appends one event to the log. */
static void record(enum frame_event_type type, const struct frame_event *ev)
{
	assert_false(rec.over);
	switch (type) {
	case FRAME_MORE:
	case FRAME_LATER:
		return;
	case FRAME_MESSAGE:
		buf_put_str(&rec.log, ev->text ? "text(" : "binary(");
		rec.over = ++rec.messages == rec.stop_after;
		break;
	case FRAME_PING:
		buf_put_str(&rec.log, "ping(");
		break;
	case FRAME_CLOSE:
		buf_printf(&rec.log, "close(%u ", ev->code);
		rec.over = true;
		break;
	case FRAME_ERROR:
		assert_non_null(ev->why);
		buf_printf(&rec.log, "fail(%u) ", ev->code);
		rec.over = true;
		return;
	case FRAME_NOMEM:
		fail();
	}
	put_payload(&rec.log, ev->bytes);
	buf_put_str(&rec.log, ") ");
}

static void rewind_recorder(void)
{
	buf_clear(&rec.log);
	rec.over = false;
	rec.messages = 0;
}

/* Gets the next event of the reader at this address. Defined by each test. */
typedef enum frame_event_type next_event_fn(void *reader, struct frame_input *in,
					    struct frame_event *ev);

/* Feeds len bytes to a reader and records its events. The bytes are a copy of exact size,
 * so that sanitizers see reads behind its end. */
static void record_piece(next_event_fn *next, void *reader, const uint8_t *p, size_t len)
{
	enum frame_event_type type;
	struct frame_event ev;
	struct frame_input in;
	uint8_t *copy;

	if (rec.over || len == 0)
		return;
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, p, len);
	in = (struct frame_input){copy, len};
	do {
		type = next(reader, &in, &ev);
		record(type, &ev);
	} while (type != FRAME_MORE && !rec.over);
	if (type == FRAME_MORE)
		assert_int_equal(in.len, 0);
	free(copy);
}

#endif
