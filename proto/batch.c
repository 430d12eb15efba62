/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits and joins the messages of batched transports; see msg.h. No state; any thread.
 */
#include "proto/msg.h"

#include "common/err.h"

enum {
	SEPARATOR_AUTOBAHN = 0x18,
	SEPARATOR_SPECIFICATION = 0x1e,
	LENGTH_SIZE = 4,
	STRIDE = 512,
};

/*
 * Finds the first separator of either kind, or NULL. Searches STRIDE bytes at a time. A
 * batch usually has only one kind, so a plain search for the other kind would run to the
 * end of the batch for each message, which takes quadratic time.
 */
static const uint8_t *find_separator(struct slice in)
{
	for (size_t at = 0; at < in.len; at += STRIDE) {
		size_t n = min_size(STRIDE, in.len - at);
		const uint8_t *a = memchr(in.p + at, SEPARATOR_AUTOBAHN, n);
		const uint8_t *b = memchr(in.p + at, SEPARATOR_SPECIFICATION, n);

		if (a != NULL && b != NULL)
			return a < b ? a : b;
		if (a != NULL || b != NULL)
			return a != NULL ? a : b;
	}
	return NULL;
}

static void next_json(struct slice *rest, struct slice *msg_out, uint8_t *separator)
{
	const uint8_t *at = find_separator(*rest);

	if (at == NULL) {
		*msg_out = *rest;
		*rest = slice_of(NULL, 0);
		return;
	}
	*separator = *at;
	*msg_out = slice_of(rest->p, (size_t)(at - rest->p));
	*rest = slice_from(*rest, msg_out->len + 1);
}

int batch_next(enum serializer s, struct slice *rest, struct slice *msg_out,
	       uint8_t *separator)
{
	if (rest->len == 0)
		return E_TRUNCATED;
	if (s == SERIALIZER_JSON) {
		next_json(rest, msg_out, separator);
		return 0;
	}
	if (rest->len < LENGTH_SIZE)
		return E_TRUNCATED;
	size_t len = get_be32(rest->p);
	if (len > rest->len - LENGTH_SIZE)
		return E_TRUNCATED;
	*msg_out = slice_of(rest->p + LENGTH_SIZE, len);
	*rest = slice_from(*rest, LENGTH_SIZE + len);
	return 0;
}

size_t batch_begin(struct buf *out, enum serializer s)
{
	static const uint8_t length_to_come[LENGTH_SIZE];
	size_t begin = out->len;

	if (s != SERIALIZER_JSON)
		buf_put(out, length_to_come, sizeof(length_to_come));
	return begin;
}

void batch_end(struct buf *out, enum serializer s, size_t begin, uint8_t separator)
{
	if (s == SERIALIZER_JSON) {
		buf_put_u8(out, separator);
		return;
	}
	if (out->err != 0)
		return;
	size_t len = out->len - begin - LENGTH_SIZE;
	if (len > UINT32_MAX)
		out->err = E_LIMIT;
	else
		put_be32(out->data + begin, (uint32_t)len);
}
