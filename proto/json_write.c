/* SPDX-License-Identifier: Apache-2.0 */
/* Writer for JSON: compact, with UTF-8 unescaped; see token.h. No state; any thread. */
#include "proto/decimal.h"
#include "proto/json_int.h"

#include <math.h>
#include <sodium.h>

static void put_decimal(struct buf *out, uint64_t v)
{
	char digits[20], *end = digits + sizeof(digits);
	char *from = decimal_digits(end, v);

	buf_put(out, from, (size_t)(end - from));
}

static void put_double(struct buf *out, uint64_t bits)
{
	char text[DECIMAL_MAX];
	double v;

	memcpy(&v, &bits, sizeof(v));
	if (isfinite(v))
		buf_put(out, text, decimal_write(v, text));
	else
		buf_fail(out, E_UNSUPPORTED);
}

void json_put(struct token_writer *w, enum token_type type, uint64_t bits)
{
	struct buf *out = w->out;

	if (!json_separate(w, false, 1))
		return;
	switch (type) {
	case TOKEN_UINT:
		put_decimal(out, bits);
		break;
	case TOKEN_NEGINT:
		buf_put_u8(out, '-');
		/* Negate as unsigned: -INT64_MIN is not an int64_t. */
		put_decimal(out, 0 - bits);
		break;
	case TOKEN_ARRAY:
		buf_put_u8(out, '[');
		break;
	case TOKEN_MAP:
		buf_put_u8(out, '{');
		break;
	case TOKEN_NULL:
		buf_put_str(out, "null");
		break;
	case TOKEN_BOOL:
		buf_put_str(out, bits != 0 ? "true" : "false");
		break;
	case TOKEN_DOUBLE:
		put_double(out, bits);
		break;
	case TOKEN_STR:
	case TOKEN_BIN:
	case TOKEN_UNDEFINED:
	case TOKEN_END:
	case TOKEN_OPAQUE:
	case TOKEN_TAG:
	case TOKEN_BIGINT:
	case TOKEN_DATE:
		/* json_put_content writes strings; the other types are never written. */
		break;
	}
}

static void put_escape(struct buf *out, uint8_t c)
{
	static const char special[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
	static const char hex[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
	const char *at = memchr(special, c, sizeof(special) - 1);

	if (at != NULL)
		text[1] = names[at - special];
	buf_put(out, text, at != NULL ? 2 : sizeof(text));
}

static void put_json_string(struct buf *out, struct slice s)
{
	size_t done = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (LIKELY(s.p[i] >= 0x20 && s.p[i] != '"' && s.p[i] != '\\'))
			continue;
		buf_put(out, s.p + done, i - done);
		put_escape(out, s.p[i]);
		done = i + 1;
	}
	/* An empty slice may have a NULL pointer, so do not add to it. */
	if (done < s.len)
		buf_put(out, s.p + done, s.len - done);
}

static void put_binary(struct buf *out, struct slice s)
{
	size_t len = sodium_base64_ENCODED_LEN(s.len, sodium_base64_VARIANT_ORIGINAL);

	buf_put_str(out, JSON_BINARY_MARK);
	char *to = (char *)buf_reserve(out, len);
	if (to == NULL)
		return;
	sodium_bin2base64(to, len, s.p, s.len, sodium_base64_VARIANT_ORIGINAL);
	buf_commit(out, len - 1); /* without the terminator */
}

void json_put_content(struct token_writer *w, enum token_type type, struct slice s)
{
	const struct token_writer_frame *f = &w->open[w->depth];
	/* The item is counted already, so an odd count means a key. */
	bool key = f->kind == TOKEN_MAP && f->items % 2 == 1;

	if (type == TOKEN_STR && !key && s.len > 0 && s.p[0] == '\0') {
		buf_fail(w->out, E_UNSUPPORTED);
		return;
	}
	if (!json_separate(w, type == TOKEN_STR, 1))
		return;
	buf_put_u8(w->out, '"');
	if (type == TOKEN_STR)
		put_json_string(w->out, s);
	else
		put_binary(w->out, s);
	buf_put_u8(w->out, '"');
}

void json_put_special(struct token_writer *w, enum token_type type, struct slice s)
{
	/* JSON has no dates. */
	if (type == TOKEN_DATE)
		buf_fail(w->out, E_UNSUPPORTED);
	else if (json_separate(w, false, 1))
		buf_put_slice(w->out, s);
}
