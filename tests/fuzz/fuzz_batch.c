/* SPDX-License-Identifier: Apache-2.0 */
/* Batches. The first byte chooses the serializer. Every message taken lies in the input,
 * the rest gets shorter, and the messages, written again, give the input. */
#include "common/err.h"
#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes the first message from *rest and appends it to again in its original form. */
static int take(enum serializer s, struct slice *rest, struct buf *again)
{
	const struct slice in = *rest;
	struct slice msg;
	uint8_t separator = 0;
	int err = batch_next(s, rest, &msg, &separator);

	if (err != 0)
		return err;
	ASSERT(rest->len < in.len && msg.len <= in.len);
	ASSERT(msg.p >= in.p && msg.p + msg.len <= in.p + in.len);
	size_t begin = batch_begin(again, s);
	buf_put_slice(again, msg);
	/* only the last message may lack the separator */
	if (s != SERIALIZER_JSON || separator != 0)
		batch_end(again, s, begin, separator);
	else
		ASSERT(rest->len == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again;
	int err = 0;

	if (size == 0)
		return 0;
	enum serializer s = (enum serializer)(data[0] % SERIALIZER_COUNT);
	struct slice in = slice_of(data + 1, size - 1), rest = in;
	buf_init(&again, SIZE_MAX / 4);
	while (err == 0 && rest.len > 0)
		err = take(s, &rest, &again);
	ASSERT(err != 0 || slice_eq(buf_slice(&again), in));
	err = take(s, &(struct slice){NULL, 0}, &again);
	ASSERT(err == E_TRUNCATED);
	buf_fini(&again);
	return 0;
}
