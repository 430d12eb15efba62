/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that the JSON reader (json.c), the JSON writer (json_write.c) and token.c share.
 * No state; any thread.
 */
#ifndef PROTO_JSON_INT_H
#define PROTO_JSON_INT_H

#include "proto/token_int.h"

/* A string that begins with this mark is a binary; base64 follows. */
#define JSON_BINARY_MARK "\\u0000"

/*
 * Writes the comma or colon before `items` items, which are counted in the frame already.
 * False, with an error in the buffer, if a key is not a string.
 */
static inline bool json_separate(struct token_writer *w, bool is_string, uint64_t items)
{
	const struct token_writer_frame *f = &w->open[w->depth];
	uint64_t before = f->items - items;
	bool key = f->kind == TOKEN_MAP && before % 2 == 0;

	if (key && !is_string) {
		buf_fail(w->out, E_UNSUPPORTED);
		return false;
	}
	if (f->kind == TOKEN_MAP && !key)
		buf_put_u8(w->out, ':');
	else if (before > 0)
		buf_put_u8(w->out, ',');
	return true;
}

/* See struct token_codec. */
void json_put(struct token_writer *w, enum token_type type, uint64_t bits);
void json_put_content(struct token_writer *w, enum token_type type, struct slice s);
void json_put_special(struct token_writer *w, enum token_type type, struct slice s);

#endif
