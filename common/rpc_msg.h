/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of MessagePack-RPC as bytes: [0, msgid, method, params], [1, msgid, error,
 * result] and [2, method, params], objects back to back. Pure code; any thread.
 */
#ifndef COMMON_RPC_MSG_H
#define COMMON_RPC_MSG_H

#include "common/base.h"
#include "common/buf.h"

enum rpc_type {
	RPC_REQUEST = 0,
	RPC_RESPONSE = 1,
	RPC_NOTIFICATION = 2,
};

struct rpc_msg {
	enum rpc_type type;
	uint32_t id;         /* not of a notification */
	struct slice method; /* not of a response: the characters */
	struct slice params; /* not of a response: an encoded array */
	struct slice error;  /* of a response: encoded; len 0 if it is nil */
	struct slice result; /* of a response: encoded */
};

/*
 * Checks the one MessagePack object at the start of in, and how long it is. E_TRUNCATED
 * if in is the beginning of one; any other error means that it will never be good. What
 * depth and which sizes are good is up to who wrote it.
 */
typedef int rpc_check_fn(struct slice in, size_t *len_out);

/*
 * Reads the message at the start of in. Slices are lent by in. E_TRUNCATED: the beginning
 * of one; E_TYPE: an object that is no such message; or an error of check.
 */
int rpc_msg_read(struct slice in, rpc_check_fn *check, struct rpc_msg *out,
		 size_t *len_out) MUSTCHECK;

/* The type, and the id where there is one, of the message at the start of in, whatever
 * follows. Errors as above. */
int rpc_msg_peek(struct slice in, struct rpc_msg *out) MUSTCHECK;

/* Appends a message; error and result are as in struct rpc_msg, but may both be empty. */
void rpc_msg_write(struct buf *out, const struct rpc_msg *m);

#endif
