/* SPDX-License-Identifier: Apache-2.0 */
/* A WebSocket stream; see fuzz_stream.h. */
#include "common/utf8.h"
#include "proto/deflate.h"
#include "proto/ws_reader.h"
#include "tests/fuzz/fuzz_stream.h"

/* Writes first byte, length in some form, and a payload from the input or generated. */
static void write_frame(struct buf *out, struct input *in)
{
	uint8_t first = next(in), form = next(in);
	size_t len = next(in);
	uint8_t head[14] = {first};
	size_t n;

	/* mostly correct: final, no reserved bits but those of compression, masked,
	 * shortest form of the length */
	if ((form & 0x08) == 0)
		head[0] &= rec.deflates ? 0xcf : 0x8f;
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

static struct ws_reader *held;
static struct inflaters inflaters;
static unsigned n_turns;

static void reader_begin(void)
{
	held = NULL;
	n_turns = 0;
	/* a long message must wait at first, as if others had all inflaters */
	if (rec.limit % 3 == 0)
		inflaters.lent = INFLATERS_MAX;
}

/* What a turn may spend is little, or nothing. Now and then others give their inflaters
 * back. */
static enum frame_event_type next_in_turn(struct frame_input *in, size_t limit,
					  struct frame_event *out)
{
	enum frame_event_type type;

	inflaters.left = ++n_turns % 4 == 0 ? 0 : rec.limit + 1;
	type = ws_next(&held, in, limit, rec.deflates ? &inflaters : NULL, out);
	ASSERT(inflaters.lent <= INFLATERS_MAX + 1);
	if (type == FRAME_LATER && inflaters.left > 0)
		ASSERT(ws_reader_wait(held) != WS_WAIT_NEW);
	if (type == FRAME_LATER && ws_reader_wait(held) == WS_WAIT_LONG)
		inflaters.lent = 0;
	return type;
}

static enum frame_event_type reader_next(struct frame_input *in, struct frame_event *out)
{
	size_t limit = discards() ? WS_DISCARD : limit_now();
	enum frame_event_type type = next_in_turn(in, limit, out);

	if (type == FRAME_MESSAGE)
		ASSERT(!out->text || utf8_valid(out->bytes));
	if (type == FRAME_PING)
		ASSERT(out->bytes.len <= WS_CONTROL_PAYLOAD_MAX);
	if (type == FRAME_CLOSE) {
		ASSERT(out->code == 0 || ws_close_code_ok(out->code));
		ASSERT(utf8_valid(out->bytes));
	}
	/* the buffer only doubles, from the received length */
	ASSERT(ws_reader_memory(held) <
	       16 * 1024 + 64 * 1024 + 8 * rec.limit + INFLATER_MEMORY);
	return type;
}

static void reader_end(void)
{
	ws_reader_free(&held);
	ASSERT(inflaters.lent == 0 || inflaters.lent == INFLATERS_MAX);
	inflaters.lent = 0;
	inflaters_fini(&inflaters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_stream(data, size, 40);
}
