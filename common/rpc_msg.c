/* SPDX-License-Identifier: Apache-2.0 */
/* Writes MessagePack-RPC messages; see rpc_msg.h. No state; any thread. */
#include "common/rpc_msg.h"

#include <msgpack.h>

static int pack_to_buf(void *data, const char *bytes, size_t len)
{
	struct buf *b = data;

	buf_put(b, bytes, len);
	return b->err == 0 ? 0 : -1;
}

static void put_item_or_nil(struct buf *out, struct slice item)
{
	if (item.len == 0)
		buf_put_u8(out, 0xc0);
	else
		buf_put_slice(out, item);
}

void rpc_msg_write(struct buf *out, const struct rpc_msg *m)
{
	msgpack_packer pk;

	/* Ignore the packer's results: the buffer keeps the first error. */
	msgpack_packer_init(&pk, out, pack_to_buf);
	msgpack_pack_array(&pk, m->type == RPC_NOTIFICATION ? 3 : 4);
	msgpack_pack_uint8(&pk, (uint8_t)m->type);
	if (m->type != RPC_NOTIFICATION)
		msgpack_pack_uint32(&pk, m->id);
	if (m->type == RPC_RESPONSE) {
		put_item_or_nil(out, m->error);
		put_item_or_nil(out, m->result);
		return;
	}
	msgpack_pack_str_with_body(&pk, m->method.p, m->method.len);
	if (m->params.len == 0)
		msgpack_pack_array(&pk, 0);
	else
		buf_put_slice(out, m->params);
}
