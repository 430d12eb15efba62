/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: the result is that of a decoder written from the definition, wherever the text
 * is cut. The first byte says where. */
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool reference(const uint8_t *p, size_t len)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

	for (size_t i = 0; i < len;) {
		uint32_t c = p[i++];
		/* number of continuation bytes after this first byte */
		unsigned more = c < 0x80 ? 0 : (unsigned)__builtin_clz(~(c << 24)) - 1;

		if ((c >= 0x80 && c < 0xc0) || c >= 0xf8 || len - i < more)
			return false;
		c &= more == 0 ? 0x7f : 0x3fu >> more;
		for (unsigned k = 0; k < more; k++, i++) {
			if (p[i] >> 6 != 2)
				return false;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct utf8_state st = {0};

	if (size == 0)
		return 0;
	size_t step = data[0] % 32 + 1u;
	struct slice in = slice_of(data + 1, size - 1);
	bool expected = reference(in.p, in.len), fed = true;
	ASSERT(utf8_valid(in) == expected);
	for (size_t at = 0; fed && at < in.len; at += step)
		fed = utf8_feed(&st, in.p + at, min_size(step, in.len - at));
	ASSERT((fed && utf8_done(&st)) == expected);
	return 0;
}
