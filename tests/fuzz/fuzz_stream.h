/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets of stream readers share: a stream is read as a whole and once more in
 * random pieces, and what comes out must be the same. The connection is a recorder.
 * Either the input is the stream itself, or it directs a writer of frames, which gets
 * further than bytes by chance do. Include it in one file of a program.
 */
#ifndef TESTS_FUZZ_FUZZ_STREAM_H
#define TESTS_FUZZ_FUZZ_STREAM_H

#include "common/buf.h"
#include "routerd/net/conn_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STREAM_MAX = 300 * 1000,
	LOG_MAX = 100 * STREAM_MAX, /* more than a stream can cause */
};

/* --- the recorder ------------------------------------------------------------------- */

static struct recorder {
	size_t limit;
	/* messages after which the limit is doubled, interest ends, input is discarded;
	 * 0: never */
	unsigned grow_after, stop_after, discard_after;
	unsigned messages;
	bool over;
	struct buf log;
} rec;

static struct conn *const conn = (struct conn *)(void *)&rec; /* only passed through */

static size_t record_limit(const struct conn *c)
{
	ASSERT(c == conn && !rec.over);
	return rec.grow_after != 0 && rec.messages >= rec.grow_after ? 2 * rec.limit
								     : rec.limit;
}

static void record(const struct conn *c, char what, unsigned code, struct slice bytes)
{
	ASSERT(c == conn && !rec.over);
	buf_put_u8(&rec.log, (uint8_t)what);
	buf_printf(&rec.log, "%u %zu:", code, bytes.len);
	buf_put_slice(&rec.log, bytes);
}

static bool record_message(const struct conn *c, char what, struct slice bytes)
{
	ASSERT(bytes.len <= 2 * rec.limit);
	record(c, what, 0, bytes);
	rec.messages++;
	rec.over = rec.messages == rec.stop_after;
	return !rec.over;
}

/* --- the input ---------------------------------------------------------------------- */

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

/* The target's: one frame, as the input says. */
static void write_frame(struct buf *out, struct input *in);

/* --- reading ------------------------------------------------------------------------ */

/* The target's: a new reader, some bytes for it, its end. */
static void reader_begin(void);
static void reader_input(struct slice bytes);
static void reader_end(void);

/* In pieces of sizes that the seed gives; seed 0: as a whole. */
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
		uint8_t *copy = malloc(n); /* which has an end that sanitizers see */
		ASSERT(copy != NULL);
		memcpy(copy, stream.p, n);
		reader_input(slice_of(copy, n));
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
	if ((mode & 0x01) != 0)
		buf_put(&stream, in.p, in.len);
	while ((mode & 0x01) == 0 && in.len > 0 && stream.err == 0)
		write_frame(&stream, &in);

	/* a stream that became too long is cut, which is as good as any */
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
