/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the two readers, ws_reader and rawsocket_reader, write down of the
 * events that they get. */
#ifndef TESTS_UNIT_RECORDER_H
#define TESTS_UNIT_RECORDER_H

#include "common/buf.h"
#include "proto/frame_event.h"
#include "proto/ws_frame.h"

static struct {
	size_t limit;
	int stop_after; /* messages after which nothing more is read; 0: never */
	int messages;
	bool over; /* nothing may follow */
	struct buf log;
} rec;

/* Long payloads by their length and a sum, short ones in full. */
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

/* Writes one event down. */
static void record(enum frame_event_type type, const struct frame_event *ev)
{
	assert_false(rec.over);
	switch (type) {
	case FRAME_MORE:
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

#endif
