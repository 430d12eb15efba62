/* SPDX-License-Identifier: Apache-2.0 */
/* From one encoding to another, token by token; see transcode.h. */
#include "proto/transcode.h"

#include "common/err.h"

static void put_text(const struct token *t, struct token_reader *r,
		     struct token_writer *w, struct buf *scratch)
{
	struct slice text;

	buf_clear(scratch);
	int err = token_text(t, r->serializer, scratch, &text);
	if (err != 0)
		buf_fail(w->out, err);
	else if (t->type == TOKEN_STR)
		token_put_str(w, text);
	else
		token_put_bin(w, text);
}

/* Anything but TOKEN_END; false if the target has no counterpart. */
static bool put(const struct token *t, struct token_reader *r, struct token_writer *w,
		struct buf *scratch)
{
	switch (t->type) {
	case TOKEN_NULL:
	case TOKEN_UNDEFINED:
		token_put_null(w);
		return true;
	case TOKEN_BOOL:
		token_put_bool(w, t->b);
		return true;
	case TOKEN_UINT:
		token_put_uint(w, t->u);
		return true;
	case TOKEN_NEGINT:
		token_put_int(w, t->i);
		return true;
	case TOKEN_DOUBLE:
		token_put_double(w, t->d);
		return true;
	case TOKEN_STR:
	case TOKEN_BIN:
		put_text(t, r, w, scratch);
		return true;
	case TOKEN_ARRAY:
		token_put_array(w, t->count);
		return true;
	case TOKEN_MAP:
		token_put_map(w, t->count);
		return true;
	case TOKEN_END:
	case TOKEN_OPAQUE:
	case TOKEN_TAG:
		break;
	}
	return false;
}

int transcode_item(struct token_reader *r, struct token_writer *w, struct buf *scratch)
{
	struct token t;
	unsigned open = 0;

	do {
		int err = token_next(r, &t);
		if (err != 0)
			return err;
		if (t.type == TOKEN_END) {
			if (open == 0)
				return E_TYPE;
			token_put_end(w);
			open--;
			continue;
		}
		if (!put(&t, r, w, scratch))
			return E_UNSUPPORTED;
		if (w->out->err != 0)
			return w->out->err;
		open += t.type == TOKEN_ARRAY || t.type == TOKEN_MAP;
	} while (open > 0);
	return w->out->err;
}

/* The same encoding: passed through, but checked. */
static int copy_items(struct token_reader *r, struct token_writer *w, unsigned items)
{
	struct slice first, last;

	if (items == 0)
		return 0;
	int err = token_skip(r, &first);
	last = first;
	for (unsigned i = 1; err == 0 && i < items; i++)
		err = token_skip(r, &last);
	if (err != 0)
		return err;
	first.len = (size_t)(last.p + last.len - first.p);
	token_put_raw(w, first, items);
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
	buf_init(&scratch, in.len);
	if (from == to)
		err = copy_items(&r, &w, items);
	else
		for (unsigned i = 0; err == 0 && i < items; i++)
			err = transcode_item(&r, &w, &scratch);
	buf_fini(&scratch);
	return err != 0 ? err : token_end(&r);
}
