/* SPDX-License-Identifier: Apache-2.0 */
/* What the three encodings have in common; see token.h. Pure code; any thread. */
#include "proto/token.h"

#include "common/err.h"
#include "proto/token_int.h"

#include <assert.h>

static const struct token_codec *const codecs[] = {
	[SERIALIZER_JSON] = &codec_json,
	[SERIALIZER_MSGPACK] = &codec_msgpack,
	[SERIALIZER_CBOR] = &codec_cbor,
};
static_assert(ARRAY_LEN(codecs) == SERIALIZER_COUNT, "a codec for each serializer");

/* --- reading --- */

int token_next(struct token_reader *r, struct token *out)
{
	return codecs[r->serializer]->next(r, out);
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

static const struct token_codec *codec(const struct token_writer *w)
{
	return codecs[w->serializer];
}

/* Items are counted after they are written: the codec looks at those before. */
static void counted(struct token_writer *w, uint64_t items)
{
	w->open[w->depth].items += items;
}

void token_put_null(struct token_writer *w)
{
	codec(w)->put_null(w);
	counted(w, 1);
}

void token_put_bool(struct token_writer *w, bool v)
{
	codec(w)->put_bool(w, v);
	counted(w, 1);
}

void token_put_uint(struct token_writer *w, uint64_t v)
{
	codec(w)->put_uint(w, v);
	counted(w, 1);
}

void token_put_int(struct token_writer *w, int64_t v)
{
	if (v >= 0)
		codec(w)->put_uint(w, (uint64_t)v);
	else
		codec(w)->put_negint(w, v);
	counted(w, 1);
}

void token_put_double(struct token_writer *w, double v)
{
	codec(w)->put_double(w, v);
	counted(w, 1);
}

void token_put_str(struct token_writer *w, struct slice s)
{
	codec(w)->put_str(w, s);
	counted(w, 1);
}

void token_put_bin(struct token_writer *w, struct slice s)
{
	codec(w)->put_bin(w, s);
	counted(w, 1);
}

void token_put_raw(struct token_writer *w, struct slice encoded, uint64_t items)
{
	if (items == 0)
		return;
	codec(w)->put_raw(w, encoded);
	counted(w, items);
}

static void open_container(struct token_writer *w, bool is_map, uint64_t n)
{
	if (w->depth == WAMP_MAX_DEPTH) {
		buf_fail(w->out, E_DEPTH);
		return;
	}
	codec(w)->open(w, is_map, n);
	counted(w, 1);
	w->open[++w->depth] = (struct token_writer_frame){
		.header = w->out->len - 1,
		.announced = n == TOKEN_COUNT_UNKNOWN || !is_map ? n : 2 * n,
		.is_map = is_map,
	};
}

void token_put_array(struct token_writer *w, uint64_t count)
{
	open_container(w, false, count);
}

void token_put_map(struct token_writer *w, uint64_t pairs)
{
	open_container(w, true, pairs);
}

void token_put_end(struct token_writer *w)
{
	/* an E_DEPTH above pushed no frame: then nothing counts any more */
	if (w->out->err != 0)
		return;
	ASSERT(w->depth > 0);
	const struct token_writer_frame *f = &w->open[w->depth--];
	DEBUG_ASSERT(f->announced == TOKEN_COUNT_UNKNOWN || f->announced == f->items);
	DEBUG_ASSERT(!f->is_map || f->items % 2 == 0);
	codec(w)->close(w, f);
}
