/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: the first byte picks the serializer. Every message taken lies in the input,
 * the rest gets shorter, and what was taken, written again, gives the input.
 */
#include "common/err.h"
#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in, rest, msg;
	struct buf again;
	int err = 0;

	if (size == 0)
		return 0;
	enum serializer s = (enum serializer)(data[0] % SERIALIZER_COUNT);
	in = rest = slice_of(data + 1, size - 1);
	buf_init(&again, SIZE_MAX / 4);
	while (rest.len > 0) {
		size_t before = rest.len;
		uint8_t separator = 0;

		err = batch_next(s, &rest, &msg, &separator);
		if (err != 0)
			break;
		ASSERT(rest.len < before && msg.p >= in.p && msg.len <= before);
		ASSERT(msg.p + msg.len <= in.p + in.len);
		size_t begin = batch_begin(&again, s);
		buf_put_slice(&again, msg);
		/* only the last may have come without */
		if (s != SERIALIZER_JSON || separator != 0)
			batch_end(&again, s, begin, separator);
		else
			ASSERT(rest.len == 0);
	}
	ASSERT(batch_next(s, &(struct slice){NULL, 0}, &msg, &(uint8_t){0}) ==
	       E_TRUNCATED);
	if (err == 0)
		ASSERT(slice_eq(buf_slice(&again), in));
	buf_fini(&again);
	return 0;
}
