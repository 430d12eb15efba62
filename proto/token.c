/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of all encodings; see token.h. No state; any thread. */
#include "proto/token.h"

#include "common/err.h"
#include "proto/json_int.h"

#include <assert.h>

static const struct token_codec *const codecs[] = {
	[SERIALIZER_JSON] = &codec_json,
	[SERIALIZER_MSGPACK] = &codec_msgpack,
	[SERIALIZER_CBOR] = &codec_cbor,
	[SERIALIZER_UBJSON] = &codec_ubjson,
};
static_assert(ARRAY_LEN(codecs) == SERIALIZER_COUNT,
	      "codecs has a row for each serializer");

/* --- reading --- */

int token_next(struct token_reader *r, struct token *out)
{
	return codecs[r->serializer]->next(r, out);
}

int token_expect(struct token_reader *r, enum token_type type, struct token *out)
{
	int err = token_next(r, out);

	return err == 0 && out->type != type ? E_TYPE : err;
}

int token_skip(struct token_reader *r, struct slice *item_out)
{
	return codecs[r->serializer]->skip(r, item_out);
}

enum token_type token_container(enum serializer s, struct slice item)
{
	return codecs[s]->container(item);
}

int token_end(struct token_reader *r)
{
	DEBUG_ASSERT(r->depth == 0);
	if (r->serializer == SERIALIZER_JSON)
		while (r->pos < r->end && (*r->pos == ' ' || *r->pos == '\t' ||
					   *r->pos == '\n' || *r->pos == '\r'))
			r->pos++;
	return r->pos == r->end ? 0 : E_TRAILING;
}

int token_text(const struct token *t, enum serializer s, struct buf *scratch,
	       struct slice *out)
{
	if (!t->encoded || t->text.len == 0) {
		*out = t->text;
		return 0;
	}
	return codecs[s]->text(t, scratch, out);
}

int token_item_text(struct token_reader *r, struct buf *scratch, struct slice *out)
{
	const unsigned depth = r->depth;
	struct token t, inner;
	int err = token_next(r, &t);

	buf_clear(scratch);
	*out = slice_of(NULL, 0);
	if (err == 0 && t.type == TOKEN_END)
		return E_TYPE;
	if (err == 0 && t.type == TOKEN_STR &&
	    token_text(&t, r->serializer, scratch, out) == E_NOMEM)
		return E_NOMEM;
	while (err == 0 && r->depth > depth)
		err = token_next(r, &inner);
	return err;
}

int token_id(const struct token *t, uint64_t *out)
{
	uint64_t v;

	if (t->type == TOKEN_UINT) {
		v = t->u;
	} else if (t->type == TOKEN_DOUBLE) {
		if (!(t->d >= 1 && t->d <= (double)WAMP_MAX_ID))
			return E_RANGE;
		v = (uint64_t)t->d;
		if ((double)v != t->d)
			return E_TYPE;
	} else {
		return E_TYPE;
	}
	if (v < 1 || v > WAMP_MAX_ID)
		return E_RANGE;
	*out = v;
	return 0;
}

/* --- writing --- */

void token_writer_init(struct token_writer *w, enum serializer s, struct buf *out)
{
	w->serializer = s;
	w->out = out;
	w->depth = 0;
	w->open[0] = (struct token_writer_frame){.announced = TOKEN_COUNT_UNKNOWN};
}

static const struct token_codec *count(struct token_writer *w, uint64_t items)
{
	w->open[w->depth].items += items;
	return codecs[w->serializer];
}

void token_put(struct token_writer *w, enum token_type type, uint64_t bits)
{
	count(w, 1)->put(w, type, bits);
}

void token_put_content(struct token_writer *w, enum token_type type, struct slice s)
{
	count(w, 1)->put_content(w, type, s);
}

void token_put_special(struct token_writer *w, enum token_type type, struct slice s)
{
	count(w, 1)->put_special(w, type, s);
}

void token_put_raw(struct token_writer *w, struct slice encoded, uint64_t items)
{
	if (items == 0)
		return;
	count(w, items);
	/* A caller that passes an encoded key must make sure that it is a string. */
	if (w->serializer != SERIALIZER_JSON || json_separate(w, true, items))
		buf_put_slice(w->out, encoded);
}

void token_open(struct token_writer *w, enum token_type type, uint64_t count)
{
	if (w->depth == WAMP_MAX_DEPTH) {
		buf_fail(w->out, E_DEPTH);
		return;
	}
	/* If the count is unknown, write the one-byte head of an empty container to
	 * reserve its place. */
	token_put(w, type, count == TOKEN_COUNT_UNKNOWN ? 0 : count);
	w->open[++w->depth] = (struct token_writer_frame){
		.header = w->out->len - 1,
		.announced = count == TOKEN_COUNT_UNKNOWN || type == TOKEN_ARRAY
				     ? count
				     : 2 * count,
		.kind = type,
	};
}

/*
 * Replaces the reserved byte with the head, now that the count is known. If the head is
 * longer than a byte, this moves the content of the container. So a byte of the message
 * moves at most once for each container around it.
 */
static NOINLINE void fill_head(struct token_writer *w, const struct token_writer_frame *f)
{
	uint8_t bytes[9];
	struct buf head = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};
	struct buf *out = w->out;

	w->out = &head;
	codecs[w->serializer]->put(w, f->kind,
				   f->kind == TOKEN_MAP ? f->items / 2 : f->items);
	w->out = out;
	if (head.err != 0)
		buf_fail(out, head.err);
	else if (head.len > 1)
		buf_reserve(out, head.len - 1);
	if (out->err != 0)
		return;
	uint8_t *to = out->data + f->header;
	memmove(to + head.len, to + 1, out->len - f->header - 1);
	memcpy(to, bytes, head.len);
	buf_commit(out, head.len - 1);
}

void token_put_end(struct token_writer *w)
{
	/* After E_DEPTH token_open has pushed no frame, so the frames must not be used
	 * any more. */
	if (w->out->err != 0)
		return;
	ASSERT(w->depth > 0);
	const struct token_writer_frame *f = &w->open[w->depth--];
	DEBUG_ASSERT(f->announced == TOKEN_COUNT_UNKNOWN || f->announced == f->items);
	DEBUG_ASSERT(f->kind == TOKEN_ARRAY || f->items % 2 == 0);
	if (w->serializer == SERIALIZER_JSON || w->serializer == SERIALIZER_UBJSON)
		buf_put_u8(w->out, f->kind == TOKEN_MAP ? '}' : ']');
	else if (f->announced == TOKEN_COUNT_UNKNOWN)
		fill_head(w, f);
}
