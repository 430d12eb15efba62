/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/ws_reader: streams of frames, and the events that they give. Each
 * stream is read as a whole, byte by byte, and cut in two everywhere; the events must be
 * the same. */
#include "proto/ws_reader.h"

#include "common/err.h"
#include "proto/deflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/recorder.h"
#include "tests/unit/squeeze.h"

/* --- streams --- */

enum { FIN = 0x80 };

static struct buf stream;
static struct inflaters inflaters;

/* Appends a masked frame. first: FIN, reserved bits and opcode. */
static void frame(int first, const void *payload, size_t len)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	uint8_t head[14] = {(uint8_t)first};
	size_t n = 2;

	if (len < 126) {
		head[1] = (uint8_t)(0x80 | len);
	} else if (len <= UINT16_MAX) {
		head[1] = 0x80 | 126;
		put_be16(head + 2, (uint16_t)len);
		n = 4;
	} else {
		head[1] = 0x80 | 127;
		put_be64(head + 2, len);
		n = 10;
	}
	memcpy(head + n, mask, 4);
	buf_put(&stream, head, n + 4);
	for (size_t i = 0; i < len; i++)
		buf_put_u8(&stream, ((const uint8_t *)payload)[i] ^ mask[i % 4]);
}

static void text_frame(int first, const char *text)
{
	frame(first, text, strlen(text));
}

static enum frame_event_type next_event(void *reader, struct frame_input *in,
					struct frame_event *ev)
{
	inflaters.left = SIZE_MAX;
	return ws_next(reader, in, rec.limit, rec.deflates ? &inflaters : NULL, ev);
}

static void feed(struct ws_reader **held, const uint8_t *p, size_t len)
{
	record_piece(next_event, held, p, len);
	if (rec.over)
		ws_reader_free(held);
}

static void expect(const char *expected)
{
	buf_put_u8(&rec.log, '\0');
	assert_int_equal(rec.log.err, 0);
	assert_string_equal((char *)rec.log.data, expected);
}

/* The stream must give these events. held_after: whether a reader is in use at its end.
 */
static void check(const char *expected, bool held_after)
{
	struct ws_reader *held = NULL;
	size_t steps[] = {1, 2, 3, 7, 4096, 5000};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		rewind_recorder();
		for (size_t at = 0; at < stream.len; at += steps[i])
			feed(&held, stream.data + at,
			     min_size(steps[i], stream.len - at));
		expect(expected);
		assert_int_equal(held != NULL, held_after);
		assert_int_equal(ws_reader_memory(held) > 0, held_after);
		ws_reader_free(&held);
	}
	for (size_t cut = 0; cut <= stream.len; cut += 1 + stream.len / 1000) {
		rewind_recorder();
		feed(&held, stream.data, cut);
		feed(&held, stream.data + cut, stream.len - cut);
		expect(expected);
		assert_int_equal(held != NULL, held_after);
		ws_reader_free(&held);
	}
	buf_clear(&stream);
}

static void raw(const char *bytes, size_t len)
{
	buf_put(&stream, bytes, len);
}

static int setup(void **state)
{
	(void)state;
	rec.limit = 1024 * 1024;
	rec.stop_after = 0;
	rec.deflates = false;
	buf_init(&rec.log, 1024 * 1024);
	buf_init(&stream, 32 * 1024 * 1024);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	inflaters_fini(&inflaters);
	buf_fini(&stream);
	buf_fini(&rec.log);
	return 0;
}

/* --- tests --- */

static void test_whole_messages(void **state)
{
	(void)state;
	text_frame(FIN | WS_OP_TEXT, "Hello");
	check("text(Hello) ", false);
	text_frame(FIN | WS_OP_BINARY, "");
	text_frame(FIN | WS_OP_TEXT, "");
	text_frame(FIN | WS_OP_TEXT, "a");
	text_frame(FIN | WS_OP_BINARY, "\xff\xfe");
	check("binary() text() text(a) binary(\xff\xfe) ", false);
	/* the example of RFC 6455, 5.7 */
	raw("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
	check("text(Hello) ", false);
}

/* Feeds the stream, which ends between two messages. */
static void feed_in_steps(size_t step)
{
	struct ws_reader *held = NULL;

	for (size_t at = 0; at < stream.len; at += step)
		feed(&held, stream.data + at, min_size(step, stream.len - at));
	assert_null(held);
	buf_clear(&stream);
}

static void test_lengths(void **state)
{
	static const size_t lengths[] = {124,  125,  126,   127,   4080,   4090,
					 4096, 4097, 65535, 65536, 300000, 1024 * 1024};
	uint8_t *payload = malloc(1024 * 1024);

	(void)state;
	assert_non_null(payload);
	for (size_t i = 0; i < 1024 * 1024; i++)
		payload[i] = (uint8_t)(i * 7 >> 3);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		char whole[64];

		rewind_recorder();
		frame(FIN | WS_OP_BINARY, payload, lengths[i]);
		feed_in_steps(64 * 1024);
		assert_int_equal(rec.messages, 1);
		buf_put_u8(&rec.log, '\0');
		snprintf(whole, sizeof(whole), "%s", (char *)rec.log.data);

		/* the same bytes in fragments */
		rewind_recorder();
		frame(WS_OP_BINARY, payload, lengths[i] / 3);
		frame(WS_OP_CONTINUATION, payload + lengths[i] / 3,
		      lengths[i] - lengths[i] / 3);
		frame(FIN | WS_OP_CONTINUATION, payload, 0);
		feed_in_steps(1000);
		expect(whole);
	}
	free(payload);
}

static void test_fragments(void **state)
{
	(void)state;
	text_frame(WS_OP_TEXT, "Hel");
	text_frame(WS_OP_CONTINUATION, "");
	text_frame(FIN | WS_OP_CONTINUATION, "lo");
	check("text(Hello) ", false);
	text_frame(WS_OP_BINARY, "a");
	text_frame(FIN | WS_OP_PING, "p");
	text_frame(WS_OP_CONTINUATION, "b");
	text_frame(FIN | WS_OP_PONG, "ignored");
	text_frame(FIN | WS_OP_CONTINUATION, "c");
	text_frame(FIN | WS_OP_TEXT, "d");
	check("ping(p) binary(abc) text(d) ", false);
	text_frame(WS_OP_TEXT, "");
	text_frame(FIN | WS_OP_CONTINUATION, "");
	check("text() ", false);
	/* between two fragments a reader is in use */
	text_frame(WS_OP_TEXT, "a");
	check("", true);
	text_frame(WS_OP_TEXT, "a");
	text_frame(WS_OP_TEXT, "b");
	check("fail(1002) ", false);
	text_frame(FIN | WS_OP_CONTINUATION, "b");
	check("fail(1002) ", false);
	text_frame(FIN | WS_OP_TEXT, "a");
	text_frame(WS_OP_CONTINUATION, "b");
	check("text(a) fail(1002) ", false);
}

static void test_control_frames(void **state)
{
	char payload[126];

	(void)state;
	memset(payload, 'p', sizeof(payload));
	text_frame(FIN | WS_OP_PING, "");
	frame(FIN | WS_OP_PING, payload, 20);
	text_frame(FIN | WS_OP_PONG, "unasked");
	check("ping() ping(pppppppppppppppppppp) ", false);
	frame(FIN | WS_OP_PING, payload, 126);
	check("fail(1002) ", false);
	text_frame(WS_OP_PING, "not final");
	check("fail(1002) ", false);
}

static void test_close(void **state)
{
	static const struct {
		const char *payload;
		size_t len;
		const char *expected;
	} table[] = {
		{"", 0, "close(0 ) "},
		{"\x03", 1, "fail(1002) "},
		{"\x03\xe8", 2, "close(1000 ) "},
		{"\x03\xe8"
		 "bye",
		 5, "close(1000 bye) "},
		{"\x0f\xa0\xe2\x82\xac", 5, "close(4000 \xe2\x82\xac) "},
		{"\x03\xf4", 2, "close(1012 ) "},
		{"\x03\xed", 2, "fail(1002) "},
		{"\x00\x00", 2, "fail(1002) "},
		{"\x03\xe8\xff", 3, "fail(1007) "},
		{"\x03\xe8\xe2\x82", 4, "fail(1007) "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		frame(FIN | WS_OP_CLOSE, table[i].payload, table[i].len);
		/* nothing after it is read */
		text_frame(FIN | WS_OP_TEXT, "late");
		check(table[i].expected, false);
	}
}

static void test_bad_heads(void **state)
{
	(void)state;
	raw("\x81\x05Hello", 7);
	check("fail(1002) ", false); /* not masked */
	raw("\x89\x00", 2);
	check("fail(1002) ", false);
	for (int rsv = 0x10; rsv <= 0x40; rsv <<= 1) {
		text_frame(FIN | rsv | WS_OP_TEXT, "x");
		check("fail(1002) ", false);
		text_frame(FIN | rsv | WS_OP_PING, "x");
		check("fail(1002) ", false);
	}
	for (int op = 3; op < 16; op++) {
		if (op >= WS_OP_CLOSE && op <= WS_OP_PONG)
			continue;
		text_frame(FIN | op, "x");
		check("fail(1002) ", false);
	}
	/* lengths that are not in the shortest form, or negative */
	raw("\x82\xfe\x00\x7d\0\0\0\0x", 9);
	check("fail(1002) ", false);
	raw("\x82\xfe\x00\x01\0\0\0\0x", 9);
	check("fail(1002) ", false);
	raw("\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0x", 15);
	check("fail(1002) ", false);
	raw("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0x", 15);
	check("fail(1002) ", false);
}

static void test_utf8(void **state)
{
	(void)state;
	/* a character over two fragments */
	text_frame(WS_OP_TEXT, "\xe2\x82");
	text_frame(FIN | WS_OP_CONTINUATION, "\xac");
	check("text(\xe2\x82\xac) ", false);
	text_frame(FIN | WS_OP_TEXT, "\xe2\x82");
	check("fail(1007) ", false);
	/* fails early: the frame is not complete */
	text_frame(FIN | WS_OP_TEXT, "\xce\xba\xed\xa0\x80 and so on");
	stream.len -= 5;
	check("fail(1007) ", false);
	text_frame(WS_OP_TEXT, "ok");
	text_frame(WS_OP_CONTINUATION, "\xc0\xaf");
	check("fail(1007) ", false);
	/* the UTF-8 state of one text does not affect the next */
	text_frame(FIN | WS_OP_BINARY, "\xe2\x82");
	text_frame(FIN | WS_OP_TEXT, "ok");
	check("binary(\xe2\x82) text(ok) ", false);
}

static void test_limit(void **state)
{
	(void)state;
	rec.limit = 10;
	text_frame(FIN | WS_OP_TEXT, "0123456789");
	check("text(0123456789) ", false);
	text_frame(FIN | WS_OP_TEXT, "0123456789a");
	check("fail(1009) ", false);
	/* the limit is for the sum of all fragments, and applies when a head announces
	 * them */
	text_frame(WS_OP_TEXT, "01234");
	text_frame(WS_OP_CONTINUATION, "012345");
	stream.len -= 5;
	check("fail(1009) ", false);
	text_frame(WS_OP_TEXT, "01234");
	text_frame(FIN | WS_OP_PING, "control frames do not count");
	text_frame(FIN | WS_OP_CONTINUATION, "56789");
	check("ping(control frames do not count) text(0123456789) ", false);
	raw("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x", 15);
	check("fail(1009) ", false);
}

static void test_a_large_head_alone_costs_little(void **state)
{
	struct ws_reader *held = NULL;

	(void)state;
	rec.limit = 16 * 1024 * 1024;
	raw("\x82\xff\0\0\0\0\x01\0\0\0\0\0\0\0x", 15);
	rewind_recorder();
	feed(&held, stream.data, stream.len);
	assert_non_null(held);
	assert_in_range(ws_reader_memory(held), 4096, 8 * 1024);
	ws_reader_free(&held);
	assert_null(held);
	ws_reader_free(&held);
}

static void test_discarding(void **state)
{
	(void)state;
	rec.limit = WS_DISCARD;
	text_frame(FIN | WS_OP_TEXT, "whole");
	text_frame(FIN | WS_OP_TEXT, "\xff");
	text_frame(WS_OP_TEXT, "a");
	text_frame(FIN | WS_OP_PING, "p");
	text_frame(FIN | WS_OP_CONTINUATION, "b");
	text_frame(FIN | WS_OP_CLOSE, "\x03\xe8");
	check("ping(p) close(1000 ) ", false);
}

static void test_stopped_by_a_message(void **state)
{
	(void)state;
	rec.stop_after = 2;
	for (int i = 0; i < 3; i++)
		text_frame(FIN | WS_OP_TEXT, "a");
	check("text(a) text(a) ", false);
}

/* Reads the stream in pieces of this size; appends the events to out. */
static void read_in(size_t step, struct buf *out)
{
	struct ws_reader *held = NULL;

	rewind_recorder();
	for (size_t at = 0; at < stream.len; at += step)
		feed(&held, stream.data + at, min_size(step, stream.len - at));
	ws_reader_free(&held);
	buf_clear(out);
	buf_put_slice(out, buf_slice(&rec.log));
}

/* A message that arrives whole is taken in place; pieces go through wslay. Both must give
 * the same events for a stream with all kinds of frames, with each byte changed to each
 * value. */
static void test_both_ways_agree(void **state)
{
	struct buf whole, pieces;
	char longer[130];

	(void)state;
	buf_init(&whole, 4096);
	buf_init(&pieces, 4096);
	memset(longer, 'l', sizeof(longer));
	text_frame(FIN | WS_OP_TEXT, "\xc3\xa9t\xc3\xa9, plus long");
	text_frame(FIN | WS_OP_BINARY, "b");
	text_frame(WS_OP_TEXT, "\xe2\x82");
	text_frame(FIN | WS_OP_PING, "p");
	text_frame(FIN | WS_OP_CONTINUATION, "\xac");
	text_frame(FIN | WS_OP_TEXT, "");
	frame(FIN | WS_OP_BINARY, longer, sizeof(longer));
	text_frame(FIN | WS_OP_CLOSE, "\x03\xe8");
	for (size_t i = 0; i < stream.len; i++) {
		uint8_t was = stream.data[i];

		for (int b = 0; b < 256; b++) {
			stream.data[i] = (uint8_t)b;
			read_in(stream.len, &whole);
			read_in(1 + i % 5, &pieces);
			assert_int_equal(whole.err, 0);
			assert_int_equal(whole.len, pieces.len);
			assert_memory_equal(whole.data, pieces.data, whole.len);
		}
		stream.data[i] = was;
	}
	buf_fini(&whole);
	buf_fini(&pieces);
}

/* --- compression --- */

static void compressed_frames(int opcode, struct slice message, unsigned cuts)
{
	struct buf b;

	squeeze(message, &b);
	for (unsigned i = 0; i < cuts; i++) {
		size_t from = b.len * i / cuts, to = b.len * (i + 1) / cuts;
		int first = (i == 0 ? WS_RSV1 | opcode : WS_OP_CONTINUATION) |
			    (i == cuts - 1 ? FIN : 0);

		frame(first, b.data + from, to - from);
		if (i < cuts - 1)
			text_frame(FIN | WS_OP_PING, "p");
	}
	buf_fini(&b);
}

static void test_compressed(void **state)
{
	(void)state;
	rec.deflates = true;
	compressed_frames(WS_OP_TEXT, slice_str("one one one one one"), 1);
	text_frame(FIN | WS_OP_TEXT, "two");
	compressed_frames(WS_OP_BINARY, slice_str("three \xff"), 3);
	compressed_frames(WS_OP_TEXT, slice_str(""), 1);
	check("text(one one one one one) text(two) ping(p) ping(p) binary(three \xff) "
	      "text() ",
	      false);
}

static void test_compressed_faults(void **state)
{
	(void)state;
	rec.deflates = true;
	compressed_frames(WS_OP_TEXT, slice_str("not \xff UTF-8"), 1);
	check("fail(1007) ", false);
	compressed_frames(WS_OP_TEXT, slice_str("cut \xe2\x82"), 1);
	check("fail(1007) ", false);
	text_frame(FIN | WS_RSV1 | WS_OP_TEXT, "\xff\xff");
	check("fail(1007) ", false);
	text_frame(WS_OP_TEXT, "a");
	text_frame(FIN | WS_RSV1 | WS_OP_CONTINUATION, "b");
	check("fail(1002) ", false);
	text_frame(FIN | WS_RSV1 | WS_OP_PING, "b");
	check("fail(1002) ", false);
	rec.deflates = false;
	compressed_frames(WS_OP_TEXT, slice_str("not agreed on"), 1);
	check("fail(1002) ", false);
}

/* --- the cost of inflating --- */

enum {
	SHARE = 256 * 1024,
	TRY = 64 * 1024, /* what a new message may cost, whatever the share */
	/* what the last step may cost more */
	STEP = INFLATE_STEP_OUT + INFLATE_COST_IN * INFLATE_STEP_IN,
};

/* Calls the reader with this share. Checks that it does not take much more. */
static enum frame_event_type next_with(size_t share, struct ws_reader **reader,
				       struct frame_input *in, struct frame_event *ev)
{
	size_t before = ws_reader_memory(*reader);

	inflaters.left = share;
	enum frame_event_type type = ws_next(reader, in, rec.limit, &inflaters, ev);
	if (type == FRAME_LATER && inflaters.left > 0)
		/* A new message is long, or has to wait for an inflater. */
		assert_true(ws_reader_wait(*reader) != WS_WAIT_NEW);
	assert_true(inflaters.lent <= INFLATERS_MAX);
	if (type == FRAME_LATER && before > 0)
		/* the buffer doubles */
		assert_true(ws_reader_memory(*reader) <=
			    2 * (before + share + TRY + STEP));
	return type;
}

/* A large message is inflated in several turns, into memory that is within the limit. */
static void test_compressed_limit(void **state)
{
	uint8_t *many = calloc(1, 3 << 20);
	struct ws_reader *held = NULL;
	struct frame_event ev;
	struct frame_input in;

	(void)state;
	rec.deflates = true;
	assert_non_null(many);
	for (size_t over = 0; over < 2; over++) {
		int later = 0;

		rec.limit = 2 << 20;
		compressed_frames(WS_OP_BINARY, slice_of(many, rec.limit + over), 1);
		in = (struct frame_input){stream.data, stream.len};
		while (next_with(SHARE, &held, &in, &ev) == FRAME_LATER) {
			assert_true(ws_reader_memory(held) <
				    rec.limit + (64 << 10) + 2 * stream.len);
			assert_int_equal(ws_reader_wait(held), WS_WAIT_LENT);
			later++;
		}
		assert_int_equal(ws_reader_compressed(held), stream.len - 8);
		if (over == 0)
			assert_int_equal(ev.bytes.len, rec.limit);
		else
			assert_int_equal(ev.code, WS_CLOSE_TOO_BIG);
		/* the first try, then a share each, which its last step may exceed */
		assert_in_range(later, (int)(rec.limit / (SHARE + STEP)),
				(int)(rec.limit / SHARE) + 2);
		ws_reader_free(&held);
		assert_int_equal(inflaters.lent, 0);
		buf_clear(&stream);
	}
	/* while a message is inflated, the connection begins to close */
	rec.limit = 3 << 20;
	compressed_frames(WS_OP_BINARY, slice_of(many, 3 << 20), 1);
	text_frame(FIN | WS_OP_CLOSE, "\x03\xe8");
	in = (struct frame_input){stream.data, stream.len};
	assert_int_equal(next_with(SHARE, &held, &in, &ev), FRAME_LATER);
	assert_int_equal(inflaters.lent, 1);
	rec.limit = WS_DISCARD;
	assert_int_equal(next_event(&held, &in, &ev), FRAME_CLOSE);
	assert_int_equal(inflaters.lent, 0);
	ws_reader_free(&held);
	free(many);
}

/* Little comes out of small blocks, but each byte of them counts. */
static void test_empty_blocks_cost_too(void **state)
{
	static uint8_t blocks[20000]; /* of type 0, with no bytes */
	struct ws_reader *held = NULL;
	enum frame_event_type type;
	struct frame_event ev;
	int later = 0;

	(void)state;
	for (size_t i = 0; i + 5 <= sizeof(blocks); i += 5)
		memcpy(blocks + i, "\0\0\0\xff\xff", 5);
	frame(FIN | WS_RSV1 | WS_OP_TEXT, blocks, sizeof(blocks) - 4);
	struct frame_input in = {stream.data, stream.len};
	while ((type = next_with(SHARE, &held, &in, &ev)) == FRAME_LATER)
		later++;
	assert_int_equal(type, FRAME_MESSAGE);
	assert_int_equal(ev.bytes.len, 0);
	assert_in_range(later, (int)(sizeof(blocks) * INFLATE_COST_IN / (SHARE + STEP)),
			(int)(sizeof(blocks) * INFLATE_COST_IN / SHARE) + 2);
	ws_reader_free(&held);
}

enum { READERS = 40, LONG = 3 * 350 * 1000 };

static struct {
	struct ws_reader *reader;
	struct buf bytes;
	struct frame_input in;
} of[READERS];

static enum frame_event_type next_of(size_t i, size_t share, struct frame_event *ev)
{
	return next_with(share, &of[i].reader, &of[i].in, ev);
}

static void make_long(size_t i, size_t len)
{
	uint8_t *many = malloc(len);

	assert_non_null(many);
	/* steps end inside a character */
	for (size_t at = 0; at < len; at++)
		many[at] = (uint8_t) "\xe2\x82\xac"[at % 3];
	compressed_frames(WS_OP_TEXT, slice_of(many, len), 1);
	free(many);
	of[i].bytes = stream;
	of[i].in = (struct frame_input){stream.data, stream.len};
	buf_init(&stream, 32 * 1024 * 1024);
}

/* Only some of many long messages are inflated at a time. Short ones need not wait. */
static void test_few_inflaters(void **state)
{
	struct ws_reader *held = NULL;
	struct frame_event ev;
	size_t done = 0;

	(void)state;
	rec.limit = LONG;
	for (size_t i = 0; i < READERS; i++) {
		make_long(i, LONG);
		assert_int_equal(next_of(i, SHARE, &ev), FRAME_LATER);
		assert_int_equal(ws_reader_wait(of[i].reader),
				 i < INFLATERS_MAX ? WS_WAIT_LENT : WS_WAIT_LONG);
		if (i >= INFLATERS_MAX)
			/* wslay, and what is compressed */
			assert_true(ws_reader_memory(of[i].reader) < 16 * 1024);
		assert_int_equal(inflaters.lent, min_size(i + 1, INFLATERS_MAX));
	}
	assert_int_equal(next_of(READERS - 1, SHARE, &ev), FRAME_LATER);
	assert_int_equal(inflaters.left, SHARE);

	compressed_frames(WS_OP_TEXT, slice_str("a short one"), 1);
	struct frame_input in = {stream.data, stream.len};
	/* but not if the share is used up */
	assert_int_equal(next_with(0, &held, &in, &ev), FRAME_LATER);
	assert_int_equal(ws_reader_wait(held), WS_WAIT_NEW);
	assert_int_equal(next_with(1, &held, &in, &ev), FRAME_MESSAGE);
	assert_true(slice_eq_str(ev.bytes, "a short one"));
	assert_int_equal(inflaters.lent, INFLATERS_MAX);
	ws_reader_free(&held);

	/* one is dropped */
	ws_reader_free(&of[3].reader);
	assert_int_equal(inflaters.lent, INFLATERS_MAX - 1);
	for (int rounds = 0; done < READERS - 1; rounds++) {
		assert_true(rounds < 10 * READERS);
		for (size_t i = 0; i < READERS; i++) {
			if (of[i].reader == NULL ||
			    next_of(i, SHARE, &ev) != FRAME_MESSAGE)
				continue;
			assert_int_equal(ev.bytes.len, LONG);
			assert_true(ev.text);
			ws_reader_free(&of[i].reader);
			done++;
		}
	}
	for (size_t i = 0; i < READERS; i++)
		buf_fini(&of[i].bytes);
	assert_int_equal(inflaters.lent, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_whole_messages),
		T(test_lengths),
		T(test_fragments),
		T(test_control_frames),
		T(test_close),
		T(test_bad_heads),
		T(test_utf8),
		T(test_limit),
		T(test_a_large_head_alone_costs_little),
		T(test_discarding),
		T(test_stopped_by_a_message),
		T(test_both_ways_agree),
		T(test_compressed),
		T(test_compressed_faults),
		T(test_compressed_limit),
		T(test_empty_blocks_cost_too),
		T(test_few_inflaters),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
