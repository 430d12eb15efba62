/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON writer: compact, UTF-8 as it is. See token.h. Pure code; any thread. */
#include "proto/decimal.h"
#include "proto/json_int.h"

#include <math.h>

/* The separator that is due before the next item. False: it may not stand here. */
static bool separate(struct token_writer *w, bool is_string)
{
	const struct token_writer_frame *f = &w->open[w->depth];
	bool key = f->is_map && f->items % 2 == 0;

	if (key && !is_string) {
		buf_fail(w->out, E_UNSUPPORTED);
		return false;
	}
	if (f->is_map && !key)
		buf_put_u8(w->out, ':');
	else if (f->items > 0)
		buf_put_u8(w->out, ',');
	return true;
}

void json_put_null(struct token_writer *w)
{
	if (separate(w, false))
		buf_put(w->out, "null", 4);
}

void json_put_bool(struct token_writer *w, bool v)
{
	if (separate(w, false))
		buf_put_str(w->out, v ? "true" : "false");
}

static void put_decimal(struct buf *out, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_put(out, digits + at, sizeof(digits) - at);
}

void json_put_uint(struct token_writer *w, uint64_t v)
{
	if (separate(w, false))
		put_decimal(w->out, v);
}

void json_put_negint(struct token_writer *w, int64_t v)
{
	if (!separate(w, false))
		return;
	buf_put_u8(w->out, '-');
	put_decimal(w->out, 0 - (uint64_t)v);
}

void json_put_double(struct token_writer *w, double v)
{
	char text[DECIMAL_MAX];

	if (!isfinite(v))
		buf_fail(w->out, E_UNSUPPORTED);
	else if (separate(w, false))
		buf_put(w->out, text, decimal_write(v, text));
}

static void put_escape(struct buf *out, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
	size_t len = 2;

	switch (c) {
	case '"':
	case '\\':
		text[1] = (char)c;
		break;
	case '\b':
		text[1] = 'b';
		break;
	case '\f':
		text[1] = 'f';
		break;
	case '\n':
		text[1] = 'n';
		break;
	case '\r':
		text[1] = 'r';
		break;
	case '\t':
		text[1] = 't';
		break;
	default:
		len = sizeof(text);
	}
	buf_put(out, text, len);
}

void json_put_str(struct token_writer *w, struct slice s)
{
	const struct token_writer_frame *f = &w->open[w->depth];
	bool key = f->is_map && f->items % 2 == 0;
	size_t done = 0;

	if (!key && s.len > 0 && s.p[0] == '\0') {
		buf_fail(w->out, E_UNSUPPORTED);
		return;
	}
	if (!separate(w, true))
		return;
	buf_put_u8(w->out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (LIKELY(s.p[i] >= 0x20 && s.p[i] != '"' && s.p[i] != '\\'))
			continue;
		buf_put(w->out, s.p + done, i - done);
		put_escape(w->out, s.p[i]);
		done = i + 1;
	}
	/* an empty slice may have no pointer to add to */
	if (done < s.len)
		buf_put(w->out, s.p + done, s.len - done);
	buf_put_u8(w->out, '"');
}

void json_put_bin(struct token_writer *w, struct slice s)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (!separate(w, false))
		return;
	buf_put_str(w->out, "\"" JSON_BINARY_MARK);
	for (size_t i = 0; i < s.len; i += 3) {
		size_t n = min_size(3, s.len - i);
		uint32_t bits = (uint32_t)s.p[i] << 16;

		if (n > 1)
			bits |= (uint32_t)s.p[i + 1] << 8;
		if (n > 2)
			bits |= s.p[i + 2];
		char text[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
				(char)(n > 1 ? alphabet[bits >> 6 & 63] : '='),
				(char)(n > 2 ? alphabet[bits & 63] : '=')};
		buf_put(w->out, text, sizeof(text));
	}
	buf_put_u8(w->out, '"');
}

void json_put_raw(struct token_writer *w, struct slice encoded)
{
	/* whoever gives an encoded key knows that it is a string */
	if (separate(w, true))
		buf_put_slice(w->out, encoded);
}

void json_open(struct token_writer *w, bool is_map, uint64_t count)
{
	(void)count;
	if (separate(w, false))
		buf_put_u8(w->out, is_map ? '{' : '[');
}

void json_close(struct token_writer *w, const struct token_writer_frame *f)
{
	buf_put_u8(w->out, f->is_map ? '}' : ']');
}
