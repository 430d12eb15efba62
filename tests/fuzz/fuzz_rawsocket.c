/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A RawSocket stream, read as a whole and once more in random pieces: what comes out must
 * be the same. The connection is a recorder. Either the input is the stream itself, or it
 * directs a writer of frames, which gets further than bytes by chance do.
 */
#include "common/buf.h"
#include "common/err.h"
#include "proto/rawsocket_frame.h"
#include "routerd/net/conn_int.h"
#include "routerd/net/rawsocket.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STREAM_MAX = 300 * 1000,
	LOG_MAX = 10 * STREAM_MAX, /* more than a stream can cause */
};

static struct recorder {
	size_t limit;
	unsigned grow_after; /* messages after which the limit is doubled; 0: never */
	unsigned stop_after; /* the same for the end of interest */
	unsigned messages;
	bool over;
	struct buf log;
} rec;

static struct conn *const conn = (struct conn *)(void *)&rec; /* only passed through */

size_t conn_raw_limit(const struct conn *c)
{
	ASSERT(c == conn && !rec.over);
	return rec.grow_after != 0 && rec.messages >= rec.grow_after ? 2 * rec.limit
								     : rec.limit;
}

static void record(char what, struct slice bytes)
{
	ASSERT(!rec.over);
	buf_put_u8(&rec.log, (uint8_t)what);
	buf_printf(&rec.log, "%zu:", bytes.len);
	buf_put_slice(&rec.log, bytes);
}

bool conn_raw_message(struct conn *c, struct slice bytes)
{
	ASSERT(c == conn);
	ASSERT(bytes.len <= 2 * rec.limit);
	record('m', bytes);
	rec.messages++;
	rec.over = rec.messages == rec.stop_after;
	return !rec.over;
}

bool conn_raw_ping(struct conn *c, struct slice payload)
{
	ASSERT(c == conn);
	ASSERT(payload.len <= 2 * rec.limit);
	record('p', payload);
	return true;
}

void conn_raw_fail(struct conn *c, enum conn_end end, const char *why)
{
	ASSERT(c == conn);
	ASSERT(end == CONN_END_PROTOCOL || end == CONN_END_TOO_BIG);
	record('f', slice_str(why));
	rec.over = true;
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

/* One frame: first octet, length, and a payload of its own. */
static void write_frame(struct buf *out, struct input *in)
{
	uint8_t first = next(in), form = next(in);
	size_t len = next(in);
	uint8_t head[RAWSOCKET_HEAD_LEN];

	if ((form & 1) != 0)
		len = len << 8 | next(in);
	if ((form & 6) != 0) /* mostly right */
		first = (uint8_t)(first % 3);
	put_be32(head, (uint32_t)first << 24 | (uint32_t)len);
	buf_put(out, head, sizeof(head));
	for (size_t i = 0; i < len; i++)
		buf_put_u8(out, (uint8_t)('a' + i % 26));
}

/* --- reading ------------------------------------------------------------------------ */

static void feed(struct buf **held, const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n);

	ASSERT(copy != NULL);
	memcpy(copy, p, n);
	ASSERT(raw_input(held, conn, slice_of(copy, n)) == 0);
	ASSERT(!rec.over || *held == NULL);
	/* grows by doubling, from what came */
	ASSERT(*held == NULL || (*held)->cap <= 64 * 1024 + 2 * (*held)->len);
	free(copy);
}

/* In pieces of sizes that the seed gives; seed 0: as a whole. */
static void read_stream(struct slice stream, uint32_t seed)
{
	struct buf *held = NULL;

	rec.messages = 0;
	rec.over = false;
	while (stream.len > 0 && !rec.over) {
		size_t n = stream.len;

		if (seed != 0) {
			seed = seed * 1103515245 + 12345;
			n = min_size(n, 1 + (seed >> 16) % (seed & 0x8000 ? 9 : 5000));
		}
		feed(&held, stream.p, n);
		stream = slice_of(stream.p + n, stream.len - n);
	}
	if (held != NULL)
		buf_fini(held);
	free(held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.p = data, .len = size};
	struct buf stream, whole;
	uint8_t mode = next(&in);
	uint32_t seed = 1 + next(&in);

	buf_init(&stream, STREAM_MAX);
	rec.limit = (size_t)next(&in) * 300;
	rec.grow_after = (mode & 0x02) != 0 ? 1 + (mode >> 6) : 0;
	rec.stop_after = (mode & 0x04) != 0 ? 1 + (mode >> 5) : 0;
	if ((mode & 0x01) != 0)
		buf_put(&stream, in.p, in.len);
	while ((mode & 0x01) == 0 && in.len > 0 && stream.err == 0)
		write_frame(&stream, &in);

	/* a stream that became too long is cut, which is as good as any */
	buf_init(&rec.log, LOG_MAX);
	read_stream(buf_slice(&stream), 0);
	whole = rec.log;
	buf_init(&rec.log, LOG_MAX);
	read_stream(buf_slice(&stream), seed);
	ASSERT(whole.err == 0 && rec.log.err == 0);
	ASSERT(slice_eq(buf_slice(&whole), buf_slice(&rec.log)));
	buf_fini(&rec.log);
	buf_fini(&whole);
	buf_fini(&stream);
	return 0;
}
