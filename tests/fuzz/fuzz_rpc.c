/* SPDX-License-Identifier: Apache-2.0 */
/* An RPC peer sends any bytes, in pieces of any size. The first byte of the input decides
 * how to cut them and what the handlers do. */
#include "common/err.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "common/sock.h"
#include "proto/auth_api.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
	struct rpc_conn *conn;
	struct rpc_request *held[8];
	unsigned n_held;
	uint8_t how;
	bool closed;
};

enum { HOLD = 1, FREE_IN_REQUEST = 2, CALL = 4, FINISH = 8 };

static void on_answer(const struct rpc_answer *a, void *arg)
{
	(void)a;
	(void)arg;
}

static void on_request(struct rpc_request *req, struct slice method, struct slice params,
		       void *arg)
{
	struct state *st = arg;
	size_t len;

	/* the connection has checked what a handler gets */
	ASSERT(auth_check(params, &len) == 0 && len == params.len);
	if ((st->how & HOLD) != 0 && st->n_held < ARRAY_LEN(st->held)) {
		st->held[st->n_held++] = req;
		return;
	}
	struct buf b;
	buf_init(&b, 512);
	buf_put_slice(&b, params);
	if (method.len % 2 == 0)
		rpc_reply(req, &b);
	else
		rpc_reply_error(req, &b);
	buf_fini(&b);
	if ((st->how & FINISH) != 0 && st->conn != NULL)
		rpc_conn_finish(st->conn);
	if ((st->how & FREE_IN_REQUEST) != 0)
		rpc_conn_free(&st->conn);
}

static void on_notification(struct slice method, struct slice params, void *arg)
{
	struct state *st = arg;
	const struct rpc_call call = {
		.method = "m",
		.params = params,
		.timeout_ms = 1000,
		.cb = on_answer,
	};

	(void)method;
	if ((st->how & CALL) == 0 || st->conn == NULL)
		return;
	int r = rpc_call(st->conn, &call, NULL);
	ASSERT(r == 0 || r == E_LIMIT || r == E_CLOSED);
}

static void on_closed(int reason, void *arg)
{
	struct state *st = arg;

	ASSERT(!st->closed && reason < 0);
	st->closed = true;
}

static const struct rpc_handlers handlers = {
	.read = auth_msg_read,
	.fallback_error = auth_fallback_error,
	.request = on_request,
	.notification = on_notification,
	.closed = on_closed,
};
static const struct rpc_limits limits = {
	.max_message = 1024, .max_out = 2048, .max_calls = 4, .max_requests = 6};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state st = {.how = size > 0 ? data[0] & 15 : 0};
	size_t piece = size > 0 ? (size_t)(data[0] >> 4) * 7 + 1 : 1, put;
	uint8_t sink[4096];
	int fds[2];

	struct loop *l = loop_new(NULL, NULL);
	if (l == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return 0;
	st.conn = rpc_conn_new(l, fds[0], &handlers, &limits, &st);
	for (size_t at = 1; at < size && st.conn != NULL && !st.closed; at += put) {
		if (sock_write(fds[1], data + at, min_size(piece, size - at), &put) != 0)
			put = 0;
		event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
		while (sock_read(fds[1], sink, sizeof(sink), &(size_t){0}) == 0)
			;
	}
	sock_close(&fds[1]);
	for (int i = 0; i < 3; i++)
		event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
	rpc_conn_free(&st.conn);
	while (st.n_held > 0)
		rpc_reply(st.held[--st.n_held], &(struct buf){.len = 0});
	loop_free(&l);
	return 0;
}
