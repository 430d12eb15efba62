/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a key in a dict that msg_read has stored as encoded, and reads its text; see
 * msg.h. No state; any thread.
 */
#include "proto/msg.h"

#include "common/err.h"

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
		err = token_item_text(&r, scratch, &name);
		if (err == 0 && slice_eq_str(name, key)) {
			err = token_item_text(&r, scratch, out);
			break;
		}
		if (err == 0)
			err = token_skip(&r, NULL);
	} while (err == 0);
	return err == E_NOMEM ? err : 0;
}
