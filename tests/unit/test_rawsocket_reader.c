/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of proto/rawsocket: streams of frames, and the events that they give.
 * Each stream is read as a whole, byte by byte, in random pieces, and cut in two
 * everywhere; the events must be the same. */
#include "proto/rawsocket.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/recorder.h"

/* --- streams --- */

static struct buf stream, wanted;

static void raw(const char *bytes, size_t len)
{
	buf_put(&stream, bytes, len);
}

static void frame(enum rawsocket_type type, const char *payload, size_t len)
{
	uint8_t head[RAWSOCKET_HEAD_LEN];

	rawsocket_head_write(head, type, len);
	buf_put(&stream, head, sizeof(head));
	buf_put(&stream, payload, len);
	assert_int_equal(stream.err, 0);
}

static void text(const char *s)
{
	frame(RAWSOCKET_MESSAGE, s, strlen(s));
}

/* Appends a message of this length to the stream, and its event to `wanted`. */
static void long_message(size_t len)
{
	char *payload = malloc(len);

	assert_non_null(payload);
	for (size_t i = 0; i < len; i++)
		payload[i] = (char)(i * 7 + i / 251);
	frame(RAWSOCKET_MESSAGE, payload, len);
	buf_put_str(&wanted, "binary(");
	put_payload(&wanted, slice_of(payload, len));
	buf_put_str(&wanted, ") ");
	free(payload);
}

static enum frame_event_type next_event(void *reader, struct frame_input *in,
					struct frame_event *ev)
{
	return rawsocket_next(reader, in, rec.limit, ev);
}

static void feed(struct buf **held, const uint8_t *p, size_t len)
{
	record_piece(next_event, held, p, len);
	if (rec.over)
		buf_free(held);
}

/* The recorded events. Valid until the recorder is rewound. */
static const char *log_text(void)
{
	buf_put_u8(&rec.log, '\0');
	assert_int_equal(rec.log.err, 0);
	return (const char *)rec.log.data;
}

static uint32_t seed = 1;

static size_t random_below(size_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

/* Reads the stream in pieces of this size; 0: random sizes. */
static void check_pieces(const char *expected, bool held_after, size_t step)
{
	struct buf *held = NULL;

	rewind_recorder();
	for (size_t at = 0, n; at < stream.len; at += n) {
		n = step > 0 ? step : 1 + random_below(random_below(4) > 0 ? 9 : 70000);
		n = min_size(n, stream.len - at);
		feed(&held, stream.data + at, n);
	}
	assert_string_equal(log_text(), expected);
	assert_int_equal(held != NULL, held_after);
	buf_free(&held);
}

/* The stream must give these events. held_after: whether the reader holds bytes at its
 * end. */
static void check(const char *expected, bool held_after)
{
	static const size_t steps[] = {SIZE_MAX, 1, 2, 3, 5, 4096, 65536, 0, 0, 0, 0, 0};
	bool huge = stream.len > 1 << 20;
	size_t cuts = huge ? 10 : 1000;
	struct buf *held = NULL;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (!huge || steps[i] > 5)
			check_pieces(expected, held_after, steps[i]);
	for (size_t cut = 0; cut <= stream.len; cut += 1 + stream.len / cuts) {
		rewind_recorder();
		feed(&held, stream.data, cut);
		feed(&held, stream.data + cut, stream.len - cut);
		assert_string_equal(log_text(), expected);
		assert_int_equal(held != NULL, held_after);
		buf_free(&held);
	}
	buf_clear(&stream);
}

static int setup(void **state)
{
	(void)state;
	rec.limit = 1 << 24;
	rec.stop_after = 0;
	buf_init(&rec.log, 1024 * 1024);
	buf_init(&stream, 64 * 1024 * 1024);
	buf_init(&wanted, 1024 * 1024);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_fini(&rec.log);
	buf_fini(&stream);
	buf_fini(&wanted);
	return 0;
}

/* --- tests --- */

static void test_messages(void **state)
{
	(void)state;
	check("", false);
	text("one");
	text("");
	text("three");
	check("binary(one) binary() binary(three) ", false);
	text("a");
	raw("\0\0\0\5b", 5);
	check("binary(a) ", true);
	raw("\0\0", 2);
	check("", true);
}

static void test_lengths(void **state)
{
	(void)state;
	long_message(1);
	long_message(41);
	long_message(65535);
	long_message(65536 + 3);
	long_message(2);
	buf_put_u8(&wanted, '\0');
	check((const char *)wanted.data, false);
}

/* The longest possible messages; the X bit stands for 2^24 octets. */
static void test_greatest_lengths(void **state)
{
	(void)state;
	long_message((1 << 24) - 1);
	long_message(1 << 24);
	long_message(2);
	buf_put_u8(&wanted, '\0');
	check((const char *)wanted.data, false);
}

static void test_pings(void **state)
{
	(void)state;
	frame(RAWSOCKET_PING, "", 0);
	text("a");
	frame(RAWSOCKET_PING, "payload", 7);
	frame(RAWSOCKET_PONG, "ignored", 7);
	frame(RAWSOCKET_PONG, "", 0);
	text("b");
	check("ping() binary(a) ping(payload) binary(b) ", false);
}

static void test_limit(void **state)
{
	(void)state;
	rec.limit = 5;
	text("fives");
	text("sixsix");
	text("never");
	check("binary(fives) fail(1009) ", false);
	/* the head alone is enough */
	raw("\0\0\0\6", 4);
	check("fail(1009) ", false);
	raw("\x08\0\0\0", 4);
	check("fail(1009) ", false);
	raw("\1\0\0\6", 4);
	check("fail(1009) ", false);
	raw("\2\xff\xff\xff", 4);
	check("fail(1009) ", false);
}

static void test_reserved(void **state)
{
	static const uint8_t wrong[] = {3,    4,    5,    6,    7,   0x10,
					0x20, 0x40, 0x80, 0x0b, 0xff};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong); i++) {
		text("a");
		raw((const char[]){(char)wrong[i], 0, 0, 0}, 4);
		text("never");
		check("binary(a) fail(1002) ", false);
	}
	raw("\x08\0\0\1", 4); /* X bit (2^24) together with a length */
	check("fail(1002) ", false);
}

static void test_stop(void **state)
{
	(void)state;
	rec.stop_after = 2;
	text("a");
	text("b");
	text("never");
	check("binary(a) binary(b) ", false);
}

/* The reader does not allocate the length that a head announces. */
static void test_memory(void **state)
{
	struct buf *held = NULL;
	static uint8_t piece[1000];

	(void)state;
	rewind_recorder();
	feed(&held, (const uint8_t *)"\x08\0\0\0", 4);
	assert_non_null(held);
	assert_true(held->cap <= 1024);
	feed(&held, piece, sizeof(piece));
	assert_true(held->cap <= 2 * held->len);
	for (int i = 0; i < 1000; i++)
		feed(&held, piece, sizeof(piece));
	assert_true(held->cap <= 2 * held->len);
	buf_free(&held);
	/* in the end the buffer has the length of the frame */
	feed(&held, (const uint8_t *)"\0\1\x11\x71", 4);
	for (int i = 0; i < 70; i++)
		feed(&held, piece, sizeof(piece));
	assert_int_equal(held->cap, 4 + 70001);
	buf_free(&held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_greatest_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reserved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
