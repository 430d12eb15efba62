/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket stream, read as a whole and once more in random pieces: what comes out must
 * be the same. The connection is a recorder. Either the input is the stream itself, or it
 * directs a writer of frames, which gets further than bytes by chance do.
 */
#include "common/buf.h"
#include "common/err.h"
#include "common/utf8.h"
#include "proto/ws_frame.h"
#include "routerd/net/conn_int.h"
#include "routerd/net/ws.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STREAM_MAX = 100 * 1000,
	LOG_MAX = 100 * STREAM_MAX, /* more than a stream can cause */
};

static struct recorder {
	size_t limit;
	unsigned grow_after; /* messages after which the limit is doubled; 0: never */
	unsigned stop_after; /* the same for the end of interest */
	unsigned discard_after;
	unsigned messages;
	bool over;
	struct buf log;
} rec;

static struct conn *const conn = (struct conn *)(void *)&rec; /* only passed through */

size_t conn_ws_limit(const struct conn *c)
{
	ASSERT(c == conn && !rec.over);
	if (rec.discard_after != 0 && rec.messages >= rec.discard_after)
		return WS_DISCARD;
	return rec.grow_after != 0 && rec.messages >= rec.grow_after ? 2 * rec.limit
								     : rec.limit;
}

static void record(char what, unsigned code, struct slice bytes)
{
	ASSERT(!rec.over);
	buf_put_u8(&rec.log, (uint8_t)what);
	buf_printf(&rec.log, "%u %zu:", code, bytes.len);
	buf_put_slice(&rec.log, bytes);
}

bool conn_ws_message(struct conn *c, struct slice bytes, bool text)
{
	ASSERT(c == conn);
	ASSERT(bytes.len <= 2 * rec.limit);
	ASSERT(!text || utf8_valid(bytes));
	record(text ? 't' : 'b', 0, bytes);
	rec.messages++;
	rec.over = rec.messages == rec.stop_after;
	return !rec.over;
}

bool conn_ws_ping(struct conn *c, struct slice payload)
{
	ASSERT(c == conn);
	ASSERT(payload.len <= WS_CONTROL_PAYLOAD_MAX);
	record('p', 0, payload);
	return true;
}

void conn_ws_close(struct conn *c, uint16_t code, struct slice reason)
{
	ASSERT(c == conn);
	ASSERT(code == 0 || ws_close_code_ok(code));
	ASSERT(utf8_valid(reason));
	record('c', code, reason);
	rec.over = true;
}

void conn_ws_fail(struct conn *c, uint16_t code, const char *why)
{
	ASSERT(c == conn);
	ASSERT(ws_close_code_ok(code));
	record('f', code, slice_str(why));
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

/* One frame: first byte, form of its length, length, payload from the input or its own.
 */
static void write_frame(struct buf *out, struct input *in)
{
	uint8_t first = next(in), form = next(in);
	size_t len = next(in);
	uint8_t head[14] = {first};
	size_t n;

	/* mostly right: final, without reserved bits, masked, shortest length */
	if ((form & 0x08) == 0)
		head[0] &= 0x8f;
	if ((form & 0x07) == 0)
		len = len << 8 | next(in);
	if (len < 126 && (form & 0x30) == 0) {
		head[1] = (uint8_t)len;
		n = 2;
	} else if (len <= UINT16_MAX && (form & 0x30) != 0x20) {
		head[1] = 126;
		put_be16(head + 2, (uint16_t)len);
		n = 4;
	} else {
		head[1] = 127;
		put_be64(head + 2, len);
		n = 10;
	}
	if ((form & 0xc0) == 0xc0) {
		buf_put(out, head, n);
	} else {
		head[1] |= 0x80;
		memcpy(head + n, "\x01\x02\x03\x04", 4);
		buf_put(out, head, n + 4);
	}
	for (size_t i = 0; i < len; i++) {
		uint8_t b = (form & 0x40) != 0 ? (uint8_t)('a' + i % 26) : next(in);

		buf_put_u8(out, b ^ (uint8_t)(1 + i % 4));
	}
}

/* --- reading ------------------------------------------------------------------------ */

static void feed(struct ws_pool *pool, struct ws_reader **held, const uint8_t *p,
		 size_t n)
{
	uint8_t *copy = malloc(n);

	ASSERT(copy != NULL);
	memcpy(copy, p, n);
	ASSERT(ws_input(pool, held, conn, slice_of(copy, n)) == 0);
	ASSERT(!rec.over || *held == NULL);
	free(copy);
}

/* In pieces of sizes that the seed gives; seed 0: as a whole. */
static void read_stream(struct slice stream, uint32_t seed)
{
	struct ws_pool pool;
	struct ws_reader *held = NULL;

	rec.messages = 0;
	rec.over = false;
	ws_pool_init(&pool);
	while (stream.len > 0 && !rec.over) {
		size_t n = stream.len;

		if (seed != 0) {
			seed = seed * 1103515245 + 12345;
			n = min_size(n, 1 + (seed >> 16) % (seed & 0x8000 ? 9 : 5000));
		}
		feed(&pool, &held, stream.p, n);
		stream = slice_of(stream.p + n, stream.len - n);
		/* grows by doubling, from what came */
		ASSERT(ws_reader_memory(held) < 16 * 1024 + 64 * 1024 + 4 * rec.limit);
	}
	ws_reader_free(&held);
	ws_pool_fini(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.p = data, .len = size};
	struct buf stream, whole;
	uint8_t mode = next(&in);
	uint32_t seed = 1 + next(&in);

	buf_init(&stream, STREAM_MAX);
	rec.limit = (size_t)next(&in) * 40;
	rec.grow_after = (mode & 0x02) != 0 ? 1 + (mode >> 6) : 0;
	rec.stop_after = (mode & 0x04) != 0 ? 1 + (mode >> 5) : 0;
	rec.discard_after = (mode & 0x08) != 0 ? 1 + (mode >> 5) : 0;
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
