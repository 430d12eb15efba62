/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts from one encoding to another, token by token; see transcode.h. No state; any
 * thread.
 */
#include "proto/transcode.h"

#include "common/err.h"
#include "proto/bigint.h"

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
