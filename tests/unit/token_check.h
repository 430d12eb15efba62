/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for tests and fuzz targets of the encodings: tokens as readable text, and the
 * check that token_next and token_skip agree. Uses ASSERT, so that it needs no test
 * framework. */
#ifndef TESTS_UNIT_TOKEN_CHECK_H
#define TESTS_UNIT_TOKEN_CHECK_H

#include "common/buf.h"
#include "common/err.h"
#include "proto/token.h"

#include <inttypes.h>
#include <stdlib.h>

/* An exact copy, so that sanitizers see reads behind its end. */
static inline struct slice copy_exact(struct slice in)
{
	uint8_t *p = malloc(in.len == 0 ? 1 : in.len);

	ASSERT(p != NULL);
	if (in.len > 0)
		memcpy(p, in.p, in.len);
	return slice_of(p, in.len);
}

static inline void free_copy(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

static inline int nibble(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Hex in lower or upper case; blanks may separate bytes. */
static inline struct slice from_hex(const char *hex, uint8_t *to, size_t max)
{
	size_t len = 0;

	for (; *hex != '\0'; hex++) {
		if (*hex == ' ')
			continue;
		ASSERT(hex[1] != '\0' && len < max);
		to[len++] = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
		hex++;
	}
	return slice_of(to, len);
}

/* Text in which %xx is a byte in hex. */
static inline struct slice from_percent(const char *text, uint8_t *to, size_t max)
{
	size_t len = 0;

	for (; *text != '\0'; text++) {
		ASSERT(len < max);
		if (*text != '%') {
			to[len++] = (uint8_t)*text;
			continue;
		}
		to[len++] = (uint8_t)(nibble(text[1]) << 4 | nibble(text[2]));
		text += 2;
	}
	return slice_of(to, len);
}

static inline void put_hex(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_printf(out, "%02x", s.p[i]);
}

/* Appends n12345 or d followed by its bytes. What other encodings cannot express is
 * opaque. */
static inline void show_special(enum serializer s, const struct token *t, struct buf *out)
{
	struct buf scratch;
	struct slice text;

	buf_init(&scratch, SIZE_MAX / 4);
	int err = token_text(t, s, &scratch, &text);
	ASSERT(err == 0 || err == E_UNSUPPORTED);
	if (err != 0) {
		buf_put_str(out, "opaque");
	} else if (t->type == TOKEN_BIGINT) {
		buf_put_u8(out, 'n');
		buf_put_slice(out, text);
	} else {
		ASSERT(text.len == 12);
		buf_put_u8(out, 'd');
		put_hex(out, text);
	}
	buf_fini(&scratch);
}

/* Appends one token: null undefined true 5 -5 f1.5 's' h'0a' [ { ] } opaque. *kinds
 * records the open containers, for the two kinds of end. */
static inline void show_token(enum serializer s, const struct token *t, struct buf *kinds,
			      struct buf *out)
{
	struct buf scratch;
	struct slice text;

	buf_init(&scratch, SIZE_MAX / 4);
	if (t->type == TOKEN_END)
		buf_put_u8(out, kinds->data[--kinds->len]);
	else if (out->len > 0 && out->data[out->len - 1] != '[' &&
		 out->data[out->len - 1] != '{')
		buf_put_u8(out, ' ');
	if (t->tagged)
		buf_put_u8(out, '#');
	switch (t->type) {
	case TOKEN_NULL:
		buf_put_str(out, "null");
		break;
	case TOKEN_UNDEFINED:
		buf_put_str(out, "undefined");
		break;
	case TOKEN_BOOL:
		buf_put_str(out, t->b ? "true" : "false");
		break;
	case TOKEN_UINT:
		buf_printf(out, "%" PRIu64, t->u);
		break;
	case TOKEN_NEGINT:
		ASSERT(t->i < 0);
		buf_printf(out, "%" PRId64, t->i);
		break;
	case TOKEN_DOUBLE:
		/* one spelling for all NaNs */
		buf_printf(out, "f%.17g",
			   t->d != t->d ? (double)__builtin_nanf("") : t->d);
		break;
	case TOKEN_STR:
		ASSERT(token_text(t, s, &scratch, &text) == 0);
		buf_put_u8(out, '\'');
		buf_put_slice(out, text);
		buf_put_u8(out, '\'');
		break;
	case TOKEN_BIN:
		ASSERT(token_text(t, s, &scratch, &text) == 0);
		buf_put_str(out, "h'");
		put_hex(out, text);
		buf_put_u8(out, '\'');
		break;
	case TOKEN_ARRAY:
		buf_put_u8(out, '[');
		buf_put_u8(kinds, ']');
		break;
	case TOKEN_MAP:
		buf_put_u8(out, '{');
		buf_put_u8(kinds, '}');
		break;
	case TOKEN_OPAQUE:
		buf_put_str(out, "opaque");
		break;
	case TOKEN_BIGINT:
	case TOKEN_DATE:
		show_special(s, t, out);
		break;
	case TOKEN_END:
	case TOKEN_TAG:
		break;
	}
	buf_fini(&scratch);
}

/* Reads one whole item with token_next. Appends its tokens as text to shown, if not NULL.
 */
static inline int walk(struct token_reader *r, struct buf *shown)
{
	struct token t;
	struct buf kinds;
	size_t open = 0;
	int err;

	buf_init(&kinds, SIZE_MAX / 4);
	do {
		err = token_next(r, &t);
		if (err != 0)
			break;
		if (shown != NULL)
			show_token(r->serializer, &t, &kinds, shown);
		if (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP)
			open++;
		else if (t.type == TOKEN_END)
			open--;
	} while (open > 0);
	buf_fini(&kinds);
	return err;
}

/* Reads the first item of `in` both ways, asserts the same result and end, and returns
 * the result. shown as in walk; used_out may be NULL. */
static inline int read_both_ways(enum serializer s, struct slice in, struct buf *shown,
				 size_t *used_out)
{
	struct token_reader walked, skipped;
	struct slice item;

	token_reader_init(&walked, s, in);
	token_reader_init(&skipped, s, in);
	int err = walk(&walked, shown);
	ASSERT(token_skip(&skipped, &item) == err);
	if (err != 0)
		return err;
	ASSERT(walked.pos == skipped.pos);
	ASSERT(walked.pos > in.p && walked.pos <= in.p + in.len);
	ASSERT(walked.depth == 0 && skipped.depth == 0);
	ASSERT(walked.outstanding == 0 && skipped.outstanding == 0);
	ASSERT(item.p + item.len == skipped.pos && item.p >= in.p && item.len > 0);
	if (used_out != NULL)
		*used_out = (size_t)(walked.pos - in.p);
	return 0;
}

/* Reads one item; anything behind it is an error. */
static inline int read_whole(enum serializer s, struct slice in, struct buf *shown)
{
	struct token_reader r;
	int err = read_both_ways(s, in, shown, NULL);

	if (err != 0)
		return err;
	token_reader_init(&r, s, in);
	err = token_skip(&r, NULL);
	return err != 0 ? err : token_end(&r);
}

/* Flips every bit: any result is fine, but it must be the same both ways. */
static inline void read_all_flips(enum serializer s, struct slice in)
{
	for (size_t i = 0; i < in.len * 8; i++) {
		struct slice copy = copy_exact(in);
		struct buf shown;

		buf_init(&shown, SIZE_MAX / 4);
		((uint8_t *)(uintptr_t)copy.p)[i / 8] ^= (uint8_t)(1 << i % 8);
		(void)!read_both_ways(s, copy, &shown, NULL);
		buf_fini(&shown);
		free_copy(copy);
	}
}

#endif
