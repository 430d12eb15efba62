/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack-RPC over a connected stream socket. Both ends may send requests.
 *
 * A connection belongs to the thread that runs its loop. Callbacks run from the loop
 * only, never from inside one of these functions. A malformed or oversized request or
 * notification ends the connection. All encoded values are MessagePack in slices.
 */
#ifndef COMMON_RPC_H
#define COMMON_RPC_H

#include "common/base.h"
#include "common/rpc_msg.h"

struct loop;
struct rpc_conn;

/* A request of the peer. The owner answers it exactly once, now or later. */
struct rpc_request;

enum rpc_outcome {
	RPC_OK = 0,    /* result is set */
	RPC_ERROR = 1, /* the peer answered with an error: error is set */
	RPC_TIMEOUT = 2,
	RPC_CLOSED = 3,  /* the connection ended before the answer came */
	RPC_INVALID = 4, /* the peer's answer is over a limit or malformed: err is set */
};

struct rpc_answer {
	enum rpc_outcome outcome;
	struct slice error, result; /* valid during the callback only */
	int err;                    /* RPC_INVALID: what is wrong with it */
	/* RPC_CLOSED: an invalid answer to another call ended the connection. */
	bool other;
};

/* Called once for each rpc_call, unless the call is canceled or the connection freed. */
typedef void rpc_answer_cb(const struct rpc_answer *a, void *arg);

struct rpc_handlers {
	/*
	 * Reads a message. If an answer is over a limit, its call gets RPC_INVALID, and
	 * the connection continues if the answer can be read without the limits.
	 */
	rpc_read_fn *read;
	/*
	 * Appends the error that is sent in place of an answer of ours that cannot be
	 * sent. why is E_LIMIT if the answer is over a limit, else the error of its
	 * buffer. This and `request` may be NULL if max_requests is 0.
	 */
	void (*fallback_error)(struct buf *out, int why);
	/*
	 * Handles a request. It must be answered with rpc_reply or rpc_reply_error, even
	 * if the connection has ended since. method and params (an encoded array) are
	 * valid during the callback only.
	 */
	void (*request)(struct rpc_request *req, struct slice method, struct slice params,
			void *arg);
	/* Handles a notification. NULL: notifications are ignored. */
	void (*notification)(struct slice method, struct slice params, void *arg);
	/*
	 * The connection has ended, and the callbacks of all pending calls have run.
	 * reason is E_CLOSED (by the peer or by rpc_conn_finish), E_SYS, E_NOMEM, or an
	 * error such as E_LIMIT that says what is wrong with the peer's message. The
	 * owner must free the connection, now or later.
	 */
	void (*closed)(int reason, void *arg);
};

/* Does this reason of `closed` say that the peer has sent an invalid message? */
bool rpc_peer_fault(int reason);

struct rpc_limits {
	size_t max_message; /* bytes of one message, in both directions */
	size_t max_out;     /* bytes of waiting output; reading stops at half of it */
	unsigned max_calls; /* calls of ours in flight */
	/* Requests of the peer in flight. One more ends the connection. */
	unsigned max_requests;
};

/*
 * Makes a connection and takes ownership of fd, a non-blocking socket, even on failure.
 * handlers must stay valid as long as the connection; arg is passed to each of them. NULL
 * if out of memory.
 */
struct rpc_conn *rpc_conn_new(struct loop *l, int fd, const struct rpc_handlers *handlers,
			      const struct rpc_limits *limits, void *arg) MUSTCHECK;

/*
 * Sends as much waiting output as the kernel takes, then closes and frees the connection.
 * May be called in a callback of the connection. No callback follows. Unanswered requests
 * stay valid until they are answered.
 */
void rpc_conn_free(struct rpc_conn **c);

/*
 * Sends as much waiting output as the kernel takes, then ends the connection: the loop
 * calls `closed` with E_CLOSED.
 */
void rpc_conn_finish(struct rpc_conn *c);

/*
 * Lowers the limits of what we send to the limits that the peer has announced. Larger
 * values change nothing.
 */
void rpc_conn_lower_limits(struct rpc_conn *c, size_t max_message, unsigned max_calls);

/*
 * Has the waiting output reached a quarter of max_out? A caller that can wait should wait
 * then, so that there is room for answers and reading continues.
 */
bool rpc_conn_congested(const struct rpc_conn *c);

/*
 * Sends a request. params is an encoded array, which is copied; len 0 stands for []. If
 * id_out is not NULL it gets the msgid, which is never 0, for rpc_cancel. E_LIMIT: too
 * many calls or bytes in flight, or the message is too large; E_CLOSED: the connection
 * has ended. After an error cb is not called.
 */
struct rpc_call {
	const char *method;
	struct slice params;
	uint64_t timeout_ms;
	rpc_answer_cb *cb;
	void *arg;
};
int rpc_call(struct rpc_conn *c, const struct rpc_call *call, uint32_t *id_out) MUSTCHECK;

/* Forgets a call whose callback has not run yet. A later answer is ignored. */
void rpc_cancel(struct rpc_conn *c, uint32_t id);

/* Sends a notification. Errors as in rpc_call. */
int rpc_notify(struct rpc_conn *c, const char *method, struct slice params) MUSTCHECK;

/*
 * Answer a request and free it. If the answer is over a limit, or its buffer has an
 * error, the handler `fallback_error` writes an error that is sent instead. If that fails
 * too, the connection ends, since otherwise the caller would wait for ever. An empty
 * result is sent as nil.
 */
void rpc_reply(struct rpc_request *req, const struct buf *result);
void rpc_reply_error(struct rpc_request *req, const struct buf *error);

#endif
