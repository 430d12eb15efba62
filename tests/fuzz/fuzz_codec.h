/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of fuzz_json, fuzz_msgpack, fuzz_cbor and fuzz_ubjson. */
#ifndef TESTS_FUZZ_FUZZ_CODEC_H
#define TESTS_FUZZ_FUZZ_CODEC_H

#include "tests/unit/token_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads one item; the bits of choice say where to use token_next and where token_skip. */
static inline int walk_mixed(struct token_reader *r, uint64_t choice)
{
	struct token t;
	size_t open = 0;

	do {
		int err = E_TYPE;

		if ((choice & 1) != 0)
			err = token_skip(r, NULL);
		choice = choice >> 1 | choice << 63;
		if (err == 0)
			continue;
		if (err == E_TYPE)
			err = token_next(r, &t);
		if (err != 0)
			return err;
		if (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP)
			open++;
		else if (t.type == TOKEN_END)
			open--;
	} while (open > 0);
	return 0;
}

/* token_next, token_skip and any mixture of them must agree. */
static inline void fuzz_codec(enum serializer s, const uint8_t *data, size_t size)
{
	uint64_t choice = size;
	struct token_reader r;
	struct buf shown;
	size_t used = 0;

	buf_init(&shown, SIZE_MAX / 4);
	int err = read_both_ways(s, slice_of(data, size), &shown, &used);
	buf_fini(&shown);
	for (size_t i = 0; i < size; i++)
		choice = (choice ^ data[i]) * UINT64_C(0x100000001b3);
	token_reader_init(&r, s, slice_of(data, size));
	ASSERT(walk_mixed(&r, choice) == err);
	ASSERT(err != 0 || r.pos == data + used);
}

#endif
