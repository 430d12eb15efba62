/* SPDX-License-Identifier: Apache-2.0 */
/* RawSocket's handshake and frame heads; see rawsocket_frame.h. No state; any thread. */
#include "proto/rawsocket_frame.h"

#include "common/err.h"

/*
 * A frame head is RRRRXTTT and a length of 24 bits. If X is set, the 24 bits are zero and
 * the length is 2^24.
 */
enum {
	RESERVED_BITS = 0xf0,
	LEN_2_24 = 0x08,
	TYPE_BITS = 0x07,
};

int rawsocket_handshake_read(const uint8_t in[RAWSOCKET_HANDSHAKE_LEN],
			     struct rawsocket_handshake *out)
{
	if (in[0] != RAWSOCKET_MAGIC)
		return E_SYNTAX;
	if (in[2] != 0 || in[3] != 0)
		return RAWSOCKET_RESERVED;
	out->serializer = in[1] & 0x0f;
	out->max_len = (size_t)RAWSOCKET_MIN_LEN << (in[1] >> 4);
	return RAWSOCKET_OK;
}

size_t rawsocket_reply_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN], unsigned serializer,
			     size_t max_len)
{
	unsigned log = 0;

	while (log < 15 && (size_t)RAWSOCKET_MIN_LEN << (log + 1) <= max_len)
		log++;
	out[0] = RAWSOCKET_MAGIC;
	out[1] = (uint8_t)(log << 4 | serializer);
	out[2] = out[3] = 0;
	return (size_t)RAWSOCKET_MIN_LEN << log;
}

void rawsocket_error_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN],
			   enum rawsocket_error error)
{
	out[0] = RAWSOCKET_MAGIC;
	out[1] = (uint8_t)(error << 4);
	out[2] = out[3] = 0;
}

void rawsocket_head_write(uint8_t out[RAWSOCKET_HEAD_LEN], enum rawsocket_type type,
			  size_t len)
{
	ASSERT(len <= RAWSOCKET_MAX_LEN);
	put_be32(out, (uint32_t)len & 0xffffff);
	out[0] = (uint8_t)(type | (len == RAWSOCKET_MAX_LEN ? LEN_2_24 : 0));
}

int rawsocket_head_read(const uint8_t in[RAWSOCKET_HEAD_LEN],
			enum rawsocket_type *type_out, size_t *len_out)
{
	size_t len = get_be32(in) & 0xffffff;
	unsigned type = in[0] & TYPE_BITS;

	if ((in[0] & RESERVED_BITS) != 0 || type > RAWSOCKET_PONG)
		return E_SYNTAX;
	if ((in[0] & LEN_2_24) != 0) {
		if (len != 0)
			return E_SYNTAX;
		len = RAWSOCKET_MAX_LEN;
	}
	*type_out = (enum rawsocket_type)type;
	*len_out = len;
	return 0;
}
