/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of MessagePack-RPC: [0, msgid, method, params], [1, msgid, error, result]
 * and [2, method, params], one after another on the stream. No state; any thread.
 */
#ifndef COMMON_RPC_MSG_H
#define COMMON_RPC_MSG_H

#include "common/base.h"
#include "common/buf.h"

enum rpc_type {
	RPC_REQUEST = 0,
	RPC_RESPONSE = 1,
	RPC_NOTIFICATION = 2,
	RPC_UNKNOWN = 3, /* none of these; never sent */
};

struct rpc_msg {
	enum rpc_type type;
	uint32_t id;         /* of a request or response */
	struct slice method; /* of a request or notification: the characters */
	/* of a request or notification: an encoded array; len 0: [] */
	struct slice params;
	struct slice error;  /* of a response: encoded; len 0: nil */
	struct slice result; /* of a response: encoded; len 0: nil */
};

/*
 * Reads the message at the start of `in`; the parts of *out point into `in`. E_TRUNCATED:
 * the message is incomplete. E_TYPE: the value is not an RPC message. Any other error:
 * the message is malformed, and more input cannot change that. limited: apply the
 * protocol's limits on depth and sizes; if false, the caller only wants to know where the
 * message ends. After an error *out has the type and id if they could be read, else
 * RPC_UNKNOWN.
 */
typedef int rpc_read_fn(struct slice in, bool limited, struct rpc_msg *out,
			size_t *len_out);

/* Appends a message. */
void rpc_msg_write(struct buf *out, const struct rpc_msg *m);

#endif
