/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a key in a dict that msg_read has stored as encoded, and reads its text; see
 * msg.h. No state; any thread.
 */
#include "proto/msg.h"

/*
 * The characters of the next item. Empty if it is not a string, or if memory runs out.
 */
static struct slice next_text(struct token_reader *r, enum serializer s,
			      struct buf *scratch)
{
	struct slice item, text;
	struct token_reader value;
	struct token t;

	if (token_skip(r, &item) != 0)
		return slice_of(NULL, 0);
	token_reader_init(&value, s, item);
	if (token_next(&value, &t) != 0 || t.type != TOKEN_STR ||
	    token_text(&t, s, scratch, &text) != 0)
		return slice_of(NULL, 0);
	return text;
}

struct slice msg_dict_text(enum serializer s, struct slice dict, const char *key,
			   struct buf *scratch)
{
	struct token_reader r;
	struct token t;

	token_reader_init(&r, s, dict);
	if (token_next(&r, &t) != 0)
		return slice_of(NULL, 0);
	for (;;) {
		buf_clear(scratch);
		struct slice name = next_text(&r, s, scratch);
		bool found = slice_eq_str(name, key);

		if (found) {
			buf_clear(scratch);
			return next_text(&r, s, scratch);
		}
		if (token_skip(&r, NULL) != 0)
			return slice_of(NULL, 0);
	}
}
