/* SPDX-License-Identifier: Apache-2.0 */
/* A RawSocket stream; see fuzz_stream.h. */
#include "proto/rawsocket_frame.h"
#include "routerd/net/rawsocket.h"
#include "tests/fuzz/fuzz_stream.h"

size_t conn_raw_limit(const struct conn *c)
{
	return record_limit(c);
}

bool conn_raw_message(struct conn *c, struct slice bytes)
{
	return record_message(c, 'm', bytes);
}

bool conn_raw_ping(struct conn *c, struct slice payload)
{
	ASSERT(payload.len <= 2 * rec.limit);
	record(c, 'p', 0, payload);
	return true;
}

void conn_raw_fail(struct conn *c, enum conn_end end, const char *why)
{
	ASSERT(end == CONN_END_PROTOCOL || end == CONN_END_TOO_BIG);
	record(c, 'f', end, slice_str(why));
	rec.over = true;
}

/* First octet, length, and a payload of its own. */
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

static struct buf *held;

static void reader_begin(void)
{
	held = NULL;
}

static void reader_input(struct slice bytes)
{
	ASSERT(raw_input(&held, conn, bytes) == 0);
	ASSERT(!rec.over || held == NULL);
	/* grows by doubling, from what came */
	ASSERT(held == NULL || held->cap <= 64 * 1024 + 2 * held->len);
}

static void reader_end(void)
{
	if (held != NULL)
		buf_fini(held);
	free(held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_stream(data, size, 300);
}
