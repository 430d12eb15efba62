/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack-RPC over a connected stream socket. Both ends may send requests.
 *
 * A connection belongs to the thread that runs its loop. Callbacks are only made from the
 * loop, never from within a call of one of these functions. A malformed or oversized
 * message ends the connection, and nothing else. Everything encoded is MessagePack, given
 * and lent as slices.
 */
#ifndef COMMON_RPC_H
#define COMMON_RPC_H

#include "common/base.h"
#include "common/rpc_msg.h"

struct loop;
struct rpc_conn;

/* A request of the peer, to be answered exactly once, now or later. */
struct rpc_request;

enum rpc_outcome {
	RPC_OK = 0,    /* result is set */
	RPC_ERROR = 1, /* the peer answered with an error: error is set */
	RPC_TIMEOUT = 2,
	RPC_CLOSED = 3,  /* the connection ended before an answer came */
	RPC_INVALID = 4, /* the peer's answer is over a limit or malformed: why is set */
};

struct rpc_answer {
	enum rpc_outcome outcome;
	struct slice error, result; /* lent for the time of the callback */
	int err;                    /* RPC_INVALID: what is wrong with it */
	bool other;                 /* RPC_CLOSED: because of another call's answer */
};

/* Called once for each rpc_call, unless it was cancelled or the connection freed. */
typedef void rpc_answer_cb(const struct rpc_answer *a, void *arg);

struct rpc_handlers {
	/*
	 * An answer that is over a limit is RPC_INVALID for its call, and the connection
	 * goes on if the answer can be read without the limits.
	 */
	rpc_read_fn *read;
	/*
	 * Appends the error that replaces an answer of ours which cannot be sent, since
	 * it is over a limit (E_LIMIT) or its buffer has an error. Both may be NULL where
	 * max_requests is 0.
	 */
	void (*unsayable)(struct buf *out, int why);
	/*
	 * Answer by rpc_reply or rpc_reply_error, also when the connection has ended
	 * since. method and params (an encoded array) are lent for the time of the
	 * callback.
	 */
	void (*request)(struct rpc_request *req, struct slice method, struct slice params,
			void *arg);
	/* NULL: none is known. */
	void (*notification)(struct slice method, struct slice params, void *arg);
	/*
	 * The connection has ended, and every pending call was told so. reason: E_CLOSED
	 * by the peer or by rpc_conn_finish, E_LIMIT or another error for what is wrong
	 * with what it sent, E_SYS. Free it, now or later.
	 */
	void (*closed)(int reason, void *arg);
};

struct rpc_limits {
	size_t max_message; /* bytes of one message, either way */
	size_t max_out;     /* bytes that wait to be sent; at half of it reading stops */
	unsigned max_calls; /* our requests in flight */
	unsigned max_requests; /* the peer's; one more ends the connection */
};

/*
 * Takes fd, which must be a non-blocking socket, also on failure (NULL: no memory).
 * handlers are lent for the connection's life; arg goes to each of them.
 */
struct rpc_conn *rpc_conn_new(struct loop *l, int fd, const struct rpc_handlers *handlers,
			      const struct rpc_limits *limits, void *arg) MUSTCHECK;

/*
 * Sends what waits, as far as the kernel takes it, closes and frees, in a callback as
 * well as outside. No callback follows. Requests not yet answered stay valid until they
 * are.
 */
void rpc_conn_free(struct rpc_conn **c);

/* Sends what waits, as far as the kernel takes it, then ends: closed is called with
 * E_CLOSED. */
void rpc_conn_finish(struct rpc_conn *c);

/* Lowers what we send to what the peer has announced; larger values change nothing. */
void rpc_conn_lower_limits(struct rpc_conn *c, size_t max_message, unsigned max_calls);

/* Does a quarter of max_out wait to be sent? Who can wait should, so that there is room
 * for answers, and reading goes on. */
bool rpc_conn_congested(const struct rpc_conn *c);

/*
 * Sends a request; params is an encoded array (len 0: []), copied. *id_out, if wanted, is
 * the msgid (never 0), for rpc_cancel. E_LIMIT: too many calls or too many bytes in
 * flight, or too large; E_CLOSED: the connection has ended. cb is not called then.
 */
struct rpc_call {
	const char *method;
	struct slice params;
	uint64_t timeout_ms;
	rpc_answer_cb *cb;
	void *arg;
};
int rpc_call(struct rpc_conn *c, const struct rpc_call *call, uint32_t *id_out) MUSTCHECK;

/* Forgets a call whose callback was not made yet. A late answer is passed over. */
void rpc_cancel(struct rpc_conn *c, uint32_t id);

/* Errors as rpc_call. */
int rpc_notify(struct rpc_conn *c, const char *method, struct slice params) MUSTCHECK;

/*
 * Both free the request. An answer that is over the limits, or whose buffer has an error,
 * is replaced by what the handler unsayable writes; if that fails, too, the connection
 * ends, since the caller would wait in vain. An empty result is nil.
 */
void rpc_reply(struct rpc_request *req, const struct buf *result);
void rpc_reply_error(struct rpc_request *req, const struct buf *error);

#endif
