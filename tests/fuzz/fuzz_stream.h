/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of the fuzz targets for stream readers. Each stream is read as a whole
 * and again in random pieces; the events must be the same. The input is either the stream
 * itself, or directs a writer of frames, which reaches deeper code than random bytes.
 * Include it in one file of a program. */
#ifndef TESTS_FUZZ_FUZZ_STREAM_H
#define TESTS_FUZZ_FUZZ_STREAM_H

#include "common/buf.h"
#include "proto/frame_event.h"
#include "proto/ws_frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STREAM_MAX = 300 * 1000,
	LOG_MAX = 100 * STREAM_MAX, /* more than one stream can cause */
};

/* --- the recorder --- */

static struct recorder {
	size_t limit;
	/* Number of messages after which the limit doubles, reading stops, input is
	 * discarded; 0: never. */
	unsigned grow_after, stop_after, discard_after;
	unsigned messages;
	bool over;
	bool deflates; /* WebSocket: compression was agreed on */
	struct buf log;
} rec;

static size_t limit_now(void)
{
	return rec.grow_after != 0 && rec.messages >= rec.grow_after ? 2 * rec.limit
								     : rec.limit;
}

static bool discards(void)
{
	return rec.discard_after != 0 && rec.messages >= rec.discard_after;
}

/* Records one event, and asserts what must hold of each. */
static void record(enum frame_event_type type, const struct frame_event *ev)
{
	struct slice bytes = type == FRAME_ERROR ? slice_str(ev->why) : ev->bytes;

	ASSERT(!rec.over && type != FRAME_NOMEM);
	if (type == FRAME_MORE || type == FRAME_LATER)
		return;
	if (type == FRAME_MESSAGE) {
		ASSERT(bytes.len <= 2 * rec.limit);
		rec.over = ++rec.messages == rec.stop_after;
	}
	if (type == FRAME_ERROR)
		ASSERT(ws_close_code_ok(ev->code));
	rec.over |= type == FRAME_CLOSE || type == FRAME_ERROR;
	buf_printf(&rec.log, "%u %u %zu:", type,
		   type == FRAME_CLOSE || type == FRAME_ERROR ? ev->code
		   : type == FRAME_MESSAGE                    ? ev->text
							      : 0,
		   bytes.len);
	if (bytes.len < 10000) {
		buf_put_slice(&rec.log, bytes);
	} else {
		uint32_t sum = 0;

		for (size_t i = 0; i < bytes.len; i++)
			sum = sum * 31 + bytes.p[i];
		buf_printf(&rec.log, "sum %u", sum);
	}
}

/* --- the input --- */

struct input {
	const uint8_t *p;
	size_t len;
};

static uint8_t next(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->p++;
}

/* Defined by the target: writes one frame as the input says. */
static void write_frame(struct buf *out, struct input *in);

/* --- reading --- */

/* Defined by the target: a new reader, its next event, its end. */
static void reader_begin(void);
static enum frame_event_type reader_next(struct frame_input *in, struct frame_event *out);
static void reader_end(void);

/* Reads in pieces whose sizes depend on the seed; seed 0: as a whole. */
static void read_stream(struct slice stream, uint32_t seed)
{
	rec.messages = 0;
	rec.over = false;
	buf_init(&rec.log, LOG_MAX);
	reader_begin();
	while (stream.len > 0 && !rec.over) {
		size_t n = stream.len;

		if (seed != 0) {
			seed = seed * 1103515245 + 12345;
			n = min_size(n, 1 + (seed >> 16) % (seed & 0x8000 ? 9 : 5000));
		}
		/* an exact copy, so that sanitizers see reads behind its end */
		uint8_t *copy = malloc(n);
		ASSERT(copy != NULL);
		memcpy(copy, stream.p, n);
		struct frame_input in = {copy, n};
		enum frame_event_type type;
		do {
			struct frame_event ev;
			type = reader_next(&in, &ev);
			record(type, &ev);
		} while (type != FRAME_MORE && !rec.over);
		ASSERT(type != FRAME_MORE || in.len == 0);
		free(copy);
		stream = slice_of(stream.p + n, stream.len - n);
	}
	reader_end();
}

/* The whole target. Limits are multiples of limit_unit. */
static int fuzz_stream(const uint8_t *data, size_t size, size_t limit_unit)
{
	struct input in = {.p = data, .len = size};
	struct buf stream, whole;
	uint8_t mode = next(&in);
	uint32_t seed = 1 + next(&in);

	buf_init(&stream, STREAM_MAX);
	rec.limit = next(&in) * limit_unit;
	rec.grow_after = (mode & 0x02) != 0 ? 1 + (mode >> 6) : 0;
	rec.stop_after = (mode & 0x04) != 0 ? 1 + (mode >> 5) : 0;
	rec.discard_after = (mode & 0x08) != 0 ? 1 + (mode >> 5) : 0;
	rec.deflates = (mode & 0x10) != 0;
	if (rec.deflates && (mode & 0x20) != 0)
		/* a few bytes can become a message that is inflated in several turns */
		rec.limit *= 16;
	if ((mode & 0x01) != 0)
		buf_put(&stream, in.p, in.len);
	while ((mode & 0x01) == 0 && in.len > 0 && stream.err == 0)
		write_frame(&stream, &in);

	/* cutting a stream that became too long is fine */
	read_stream(buf_slice(&stream), 0);
	whole = rec.log;
	read_stream(buf_slice(&stream), seed);
	ASSERT(whole.err == 0 && rec.log.err == 0);
	ASSERT(slice_eq(buf_slice(&whole), buf_slice(&rec.log)));
	buf_fini(&rec.log);
	buf_fini(&whole);
	buf_fini(&stream);
	return 0;
}

#endif
