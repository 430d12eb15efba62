/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of MessagePack-RPC: [0, msgid, method, params], [1, msgid, error, result]
 * and [2, method, params], objects back to back. Pure code; any thread.
 */
#ifndef COMMON_RPC_MSG_H
#define COMMON_RPC_MSG_H

#include "common/base.h"
#include "common/buf.h"

enum rpc_type {
	RPC_REQUEST = 0,
	RPC_RESPONSE = 1,
	RPC_NOTIFICATION = 2,
	RPC_UNKNOWN = 3, /* none of these; not on the wire */
};

struct rpc_msg {
	enum rpc_type type;
	uint32_t id;         /* not of a notification */
	struct slice method; /* not of a response: the characters */
	struct slice params; /* not of a response: an encoded array; len 0: [] */
	struct slice error;  /* of a response: encoded; len 0 if it is nil */
	struct slice result; /* of a response: encoded; len 0 if it is nil */
};

/*
 * Reads the message at the start of in, whose parts are lent by in. E_TRUNCATED: the
 * beginning of one; E_TYPE: an object that is no such message; any other error means that
 * it will never be good. limited: with the limits on depth and sizes that the protocol
 * has; else it only matters where the message ends. After an error out has the type and
 * id as far as they could be read, else RPC_UNKNOWN.
 */
typedef int rpc_read_fn(struct slice in, bool limited, struct rpc_msg *out,
			size_t *len_out);

/* Appends a message. */
void rpc_msg_write(struct buf *out, const struct rpc_msg *m);

#endif
