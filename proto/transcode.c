/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts from one encoding to another, token by token; see transcode.h. No state; any
 * thread.
 */
#include "proto/transcode.h"

#include "common/err.h"
#include "proto/bigint.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static NOINLINE void put_special(const struct token *t, struct token_reader *r,
				 struct token_writer *w, struct buf *scratch)
{
	struct slice text;

	/* JavaScript writes the double 1e20 to JSON as 100000000000000000000. */
	if (t->type == TOKEN_BIGINT && r->serializer == SERIALIZER_JSON &&
	    w->serializer == SERIALIZER_MSGPACK && bigint_is_double(t->text)) {
		token_put(w, TOKEN_DOUBLE, t->u);
		return;
	}
	buf_clear(scratch);
	int err = token_text(t, r->serializer, scratch, &text);
	if (err == 0)
		token_put_special(w, t->type, text);
	else
		buf_fail(w->out, err);
}

/* Writes a token. The writer's buffer keeps the first error. */
static void put_token(const struct token *t, struct token_reader *r,
		      struct token_writer *w, struct buf *scratch)
{
	struct slice text;
	int err;

	if (UNLIKELY(t->tagged)) {
		buf_fail(w->out, E_UNSUPPORTED);
		return;
	}
	switch (t->type) {
	case TOKEN_NULL:
	case TOKEN_UNDEFINED:
		token_put_null(w);
		break;
	case TOKEN_BOOL:
		token_put_bool(w, t->b);
		break;
	case TOKEN_UINT:
	case TOKEN_NEGINT:
	case TOKEN_DOUBLE:
		/* t->u has the same bits as i and d. */
		token_put(w, t->type, t->u);
		break;
	case TOKEN_STR:
	case TOKEN_BIN:
		buf_clear(scratch);
		err = token_text(t, r->serializer, scratch, &text);
		if (err == 0)
			token_put_content(w, t->type, text);
		else
			buf_fail(w->out, err);
		break;
	case TOKEN_BIGINT:
	case TOKEN_DATE:
		put_special(t, r, w, scratch);
		break;
	case TOKEN_ARRAY:
	case TOKEN_MAP:
		token_open(w, t->type, t->count);
		break;
	case TOKEN_END:
		token_put_end(w);
		break;
	case TOKEN_OPAQUE:
	case TOKEN_TAG:
		/* The target encoding cannot express it. */
		buf_fail(w->out, E_UNSUPPORTED);
		break;
	}
}

int transcode_item(struct token_reader *r, struct token_writer *w, struct buf *scratch)
{
	struct token t;
	unsigned open = 0;

	do {
		int err = token_next(r, &t);
		if (err != 0)
			return err;
		/* The container that the reader is in ends here. */
		if (t.type == TOKEN_END && open == 0)
			return E_TYPE;
		put_token(&t, r, w, scratch);
		open += t.type == TOKEN_ARRAY || t.type == TOKEN_MAP;
		open -= t.type == TOKEN_END;
	} while (open > 0 && w->out->err == 0);
	return w->out->err;
}

/* Copies items within one encoding; token_skip still checks them. */
static int copy_items(struct token_reader *r, struct token_writer *w, unsigned items)
{
	struct slice all;

	for (unsigned i = 0; i < items; i++) {
		int err = token_skip(r, i == 0 ? &all : NULL);
		if (err != 0)
			return err;
	}
	if (items > 0) {
		all.len = (size_t)(r->pos - all.p);
		token_put_raw(w, all, items);
	}
	return w->out->err;
}

int transcode(enum serializer from, struct slice in, unsigned items, enum serializer to,
	      struct buf *out)
{
	struct token_reader r;
	struct token_writer w;
	struct buf scratch;
	int err = 0;

	token_reader_init(&r, from, in);
	token_writer_init(&w, to, out);
	/* A bignum of CBOR is longer in decimal, and a date in bytes. */
	buf_init(&scratch, in.len + BIGINT_DECIMAL);
	if (from == to)
		err = copy_items(&r, &w, items);
	else
		for (unsigned i = 0; err == 0 && i < items; i++)
			err = transcode_item(&r, &w, &scratch);
	buf_fini(&scratch);
	return err != 0 ? err : token_end(&r);
}

/* --- what cannot be expressed --- */

static bool needs_text_keys(enum serializer s)
{
	return s == SERIALIZER_JSON || s == SERIALIZER_UBJSON;
}

/*
 * Can the target express this token? Writes it alone: the bytes of the tokens before it
 * could need as much memory as the whole payload.
 */
static bool fits_alone(const struct token *t, struct token_reader *r, bool is_key,
		       enum serializer to, struct buf *out, struct buf *scratch)
{
	struct token_writer w;

	if (is_key && needs_text_keys(to) && t->type != TOKEN_END)
		return !t->tagged && t->type == TOKEN_STR;
	if (!t->tagged &&
	    (t->type == TOKEN_ARRAY || t->type == TOKEN_MAP || t->type == TOKEN_END))
		return true;
	buf_clear(out);
	token_writer_init(&w, to, out);
	put_token(t, r, &w, scratch);
	return out->err != E_UNSUPPORTED;
}

enum {
	/* All with terminators. */
	TAG_TEXT_MAX = sizeof("CBOR's tag 18446744073709551615"),
	KEY_NAME_MAX = 40,
	PLACE_MAX = sizeof("ArgumentsKw.") + KEY_NAME_MAX,
};

/* Names a token that the target cannot express. The result may be text. */
static const char *kind_of(const struct token *t, enum serializer from,
			   enum serializer to, char text[TAG_TEXT_MAX])
{
	static const char *const opaque[] = {
		[SERIALIZER_JSON] = "a number that overflows a double",
		[SERIALIZER_MSGPACK] = "an extension type",
		[SERIALIZER_CBOR] = "an unassigned simple value",
		[SERIALIZER_UBJSON] = "a high-precision number that is not an integer",
	};
	static_assert(ARRAY_LEN(opaque) == SERIALIZER_COUNT,
		      "opaque has a row for each serializer");

	if (t->tagged) {
		snprintf(text, TAG_TEXT_MAX, "CBOR's tag %" PRIu64, t->tag);
		return text;
	}
	switch (t->type) {
	case TOKEN_OPAQUE:
		return opaque[from];
	case TOKEN_BIGINT:
		return to == SERIALIZER_MSGPACK ? "an integer beyond 64 bits"
						: "an integer beyond 512 bits";
	case TOKEN_DATE:
		if (to == SERIALIZER_MSGPACK)
			return "a date that is malformed or finer than a nanosecond";
		if (to == SERIALIZER_CBOR)
			return "a date that is malformed or outside the years 0 to 9999";
		return "a date";
	case TOKEN_DOUBLE:
		return "NaN and Infinity";
	case TOKEN_STR:
		return "a string that begins with U+0000";
	default:
		return "this value";
	}
}

/* Copies the key of a pair of ArgumentsKw if it is short and plain; else "". */
static void plain_key(enum serializer from, struct slice in, uint64_t pair,
		      char to[KEY_NAME_MAX])
{
	struct token_reader r;
	struct token t;

	to[0] = '\0';
	token_reader_init(&r, from, in);
	int err = token_skip(&r, NULL);
	if (err == 0)
		err = token_expect(&r, TOKEN_MAP, &t);
	for (; err == 0 && pair > 0; pair--) {
		err = token_skip(&r, NULL);
		if (err == 0)
			err = token_skip(&r, NULL);
	}
	if (err != 0 || token_expect(&r, TOKEN_STR, &t) != 0 || t.encoded || t.tagged ||
	    t.text.len == 0 || t.text.len >= KEY_NAME_MAX)
		return;
	for (size_t i = 0; i < t.text.len; i++)
		if (!is_digit(t.text.p[i]) && t.text.p[i] != '_' &&
		    ((t.text.p[i] | 0x20) < 'a' || (t.text.p[i] | 0x20) > 'z'))
			return;
	memcpy(to, t.text.p, t.text.len);
	to[t.text.len] = '\0';
}

/* Names the place of a token that r has just read: "Arguments[1]", "ArgumentsKw.key". */
static void name_place(const struct token_reader *r, struct slice in, unsigned item,
		       char to[PLACE_MAX])
{
	const struct token_frame *f = &r->open[1];
	char key[KEY_NAME_MAX] = "";

	if (r->depth > 0 && f->seen > 0 && f->kind == TOKEN_ARRAY && item == 0) {
		snprintf(to, PLACE_MAX, "Arguments[%" PRIu64 "]", f->seen - 1);
		return;
	}
	if (r->depth > 0 && f->seen > 0 && f->kind == TOKEN_MAP && item == 1)
		plain_key(r->serializer, in, (f->seen - 1) / 2, key);
	snprintf(to, PLACE_MAX, "%s%s%s", item == 0 ? "Arguments" : "ArgumentsKw",
		 key[0] == '\0' ? "" : ".", key);
}

bool transcode_fault(enum serializer from, struct slice in, unsigned items,
		     enum serializer to, char text[TRANSCODE_FAULT_MAX])
{
	static const char *const names[] = {
		[SERIALIZER_JSON] = "JSON",
		[SERIALIZER_MSGPACK] = "MessagePack",
		[SERIALIZER_CBOR] = "CBOR",
		[SERIALIZER_UBJSON] = "UBJSON",
	};
	static_assert(ARRAY_LEN(names) == SERIALIZER_COUNT,
		      "names has a row for each serializer");
	struct token_reader r;
	struct token t;
	char kind[TAG_TEXT_MAX], place[PLACE_MAX];
	const char *what = NULL;
	struct buf out, scratch;
	unsigned open = 0;

	buf_init(&out, UINT32_MAX);
	buf_init(&scratch, UINT32_MAX);
	token_reader_init(&r, from, in);
	for (unsigned item = 0; item < items;) {
		const struct token_frame *f = &r.open[r.depth];
		bool is_key = f->kind == TOKEN_MAP && f->seen % 2 == 0;

		if (token_next(&r, &t) != 0)
			break;
		if (!fits_alone(&t, &r, is_key, to, &out, &scratch)) {
			what = is_key && needs_text_keys(to) && !t.tagged
				       ? "a key that is not a string"
				       : kind_of(&t, from, to, kind);
			name_place(&r, in, item, place);
			break;
		}
		open += t.type == TOKEN_ARRAY || t.type == TOKEN_MAP;
		open -= t.type == TOKEN_END;
		item += open == 0;
	}
	buf_fini(&out);
	buf_fini(&scratch);
	if (what != NULL)
		snprintf(text, TRANSCODE_FAULT_MAX, "%s: %s cannot be expressed in %s",
			 place, what, names[to]);
	return what != NULL;
}
