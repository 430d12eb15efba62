/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a key in a dict that msg_read has stored as encoded, and reads its text; see
 * msg.h. No state; any thread.
 */
#include "proto/msg.h"

#include "common/err.h"

/*
 * Reads the next item. *out is its text, or empty if it is not a string. 0, E_NOMEM, or
 * another error if there is no next item.
 */
static int next_text(struct token_reader *r, enum serializer s, struct buf *scratch,
		     struct slice *out)
{
	struct token_reader value;
	struct slice item;
	struct token t;
	int err = token_skip(r, &item);

	*out = slice_of(NULL, 0);
	if (err != 0)
		return err;
	buf_clear(scratch);
	token_reader_init(&value, s, item);
	if (token_next(&value, &t) != 0 || t.type != TOKEN_STR)
		return 0;
	err = token_text(&t, s, scratch, out);
	if (err != 0)
		*out = slice_of(NULL, 0);
	return err == E_NOMEM ? err : 0;
}

int msg_dict_text(enum serializer s, struct slice dict, const char *key,
		  struct buf *scratch, struct slice *out)
{
	struct token_reader r;
	struct slice name;
	struct token t;
	int err;

	*out = slice_of(NULL, 0);
	token_reader_init(&r, s, dict);
	if (token_next(&r, &t) != 0)
		return 0;
	do {
		err = next_text(&r, s, scratch, &name);
		if (err == 0 && slice_eq_str(name, key)) {
			err = next_text(&r, s, scratch, out);
			break;
		}
		if (err == 0)
			err = token_skip(&r, NULL);
	} while (err == 0);
	return err == E_NOMEM ? err : 0;
}
