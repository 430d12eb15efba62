/* SPDX-License-Identifier: Apache-2.0 */
/* A RawSocket stream; see fuzz_stream.h. */
#include "proto/rawsocket.h"
#include "tests/fuzz/fuzz_stream.h"

/* Writes first octet, length, and a payload. */
static void write_frame(struct buf *out, struct input *in)
{
	uint8_t first = next(in), form = next(in);
	size_t len = next(in);
	uint8_t head[RAWSOCKET_HEAD_LEN];

	if ((form & 1) != 0)
		len = len << 8 | next(in);
	if ((form & 6) != 0) /* mostly a correct frame */
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

static enum frame_event_type reader_next(struct frame_input *in, struct frame_event *out)
{
	size_t limit = discards() ? 0 : limit_now();
	enum frame_event_type type = rawsocket_next(&held, in, limit, out);

	/* the buffer only doubles, from the received length */
	ASSERT(held == NULL || held->cap <= 64 * 1024 + 2 * held->len);
	return type;
}

static void reader_end(void)
{
	buf_free(&held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_stream(data, size, 300);
}
