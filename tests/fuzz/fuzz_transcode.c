/* SPDX-License-Identifier: Apache-2.0 */
/* Transcoding. The first byte chooses two serializers and the number of items, the rest
 * is the input. Transcoded there and back, it has the same tokens; a second time there,
 * the same bytes. */
#include "proto/transcode.h"
#include "tests/unit/token_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The tokens as text. Sets *undefined_out if one is undefined, which becomes null. */
static void show(enum serializer s, struct slice in, unsigned items, struct buf *out,
		 bool *undefined_out)
{
	struct token_reader r;
	struct token t;
	struct buf kinds;

	*undefined_out = false;
	buf_init(&kinds, SIZE_MAX / 4);
	token_reader_init(&r, s, in);
	while (items > 0) {
		ASSERT(token_next(&r, &t) == 0);
		*undefined_out |= t.type == TOKEN_UNDEFINED;
		show_token(s, &t, &kinds, out);
		items -= kinds.len == 0;
	}
	ASSERT(token_end(&r) == 0);
	buf_fini(&kinds);
}

static void check(enum serializer from, struct slice in, unsigned items,
		  enum serializer to, struct slice there)
{
	struct buf back, again, before, after;
	bool undefined, none;

	buf_init(&back, SIZE_MAX / 4);
	buf_init(&again, SIZE_MAX / 4);
	buf_init(&before, SIZE_MAX / 4);
	buf_init(&after, SIZE_MAX / 4);
	ASSERT(transcode(to, there, items, from, &back) == 0);
	ASSERT(transcode(from, buf_slice(&back), items, to, &again) == 0);
	ASSERT(slice_eq(there, buf_slice(&again)));
	show(from, in, items, &before, &undefined);
	show(to, there, items, &after, &none);
	ASSERT(undefined || slice_eq(buf_slice(&before), buf_slice(&after)));
	buf_fini(&back);
	buf_fini(&again);
	buf_fini(&before);
	buf_fini(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf there;

	if (size == 0)
		return 0;
	enum serializer from = (enum serializer)(data[0] % SERIALIZER_COUNT);
	enum serializer to = (enum serializer)(data[0] / 3 % SERIALIZER_COUNT);
	unsigned items = data[0] / 9 % 3;
	struct slice in = slice_of(data + 1, size - 1);
	buf_init(&there, SIZE_MAX / 4);
	if (transcode(from, in, items, to, &there) == 0)
		check(from, in, items, to, buf_slice(&there));
	buf_fini(&there);
	return 0;
}
