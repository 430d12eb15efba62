/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialises readers, and skips wrong values for lenient readers; see token.h and
 * token_int.h. No state; any thread.
 */
#include "common/err.h"
#include "proto/token_int.h"

enum { DEEP_MAX = 16 }; /* bounds the recursion of token_pass_deep */

void token_reader_init(struct token_reader *r, enum serializer s, struct slice in)
{
	/* Set the fields one by one: clearing `open`, the largest part, would be slow. */
	r->serializer = s;
	r->lenient = NULL;
	r->start = in.p;
	r->pos = in.p;
	r->end = in.len == 0 ? in.p : in.p + in.len;
	r->depth = 0;
	r->implied = 0;
	r->outstanding = 0;
	r->open[0].left = TOKEN_COUNT_UNKNOWN;
	r->open[0].seen = 0;
	r->open[0].kind = TOKEN_ARRAY;
	r->open[0].marker = 0;
}

bool token_is_value_error(int err)
{
	return err == E_UTF8 || err == E_SURROGATE || err == E_BASE64 || err == E_NAN ||
	       err == E_DEPTH;
}

int token_tolerate(unsigned *lenient, int err)
{
	return lenient != NULL && token_is_value_error(err) ? 0 : err;
}

int token_pass_deep(enum serializer s, const struct token_codec *codec, unsigned *lenient,
		    const uint8_t **pp, const uint8_t *end)
{
	struct token_reader r;
	int err = token_tolerate(lenient, E_DEPTH);

	if (err != 0 || *lenient == DEEP_MAX)
		return E_DEPTH;
	/* A new reader has room for WAMP_MAX_DEPTH further levels. */
	token_reader_init(&r, s, slice_of(*pp, bytes_left(*pp, end)));
	r.lenient = lenient;
	++*lenient;
	err = codec->skip(&r, NULL);
	--*lenient;
	*pp = r.pos;
	return err;
}
