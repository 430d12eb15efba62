/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack-RPC connections; see rpc.h. Runs on the thread of the connection's loop.
 *
 * Every callback from the loop runs between enter and leave. A connection that is freed
 * in one of its own callbacks is closed and marked, and leave destroys it. Output is
 * collected and written once: send_msg activates the write event by hand, so that many
 * calls in one turn cause one write.
 */
#include "common/rpc.h"

#include "common/err.h"
#include "common/loop.h"
#include "common/sock.h"

#include <stdlib.h>
#include <sys/queue.h>

enum { READ_CHUNK = 16 * 1024 };

enum rpc_conn_state {
	RPC_CONN_OPEN = 0,
	RPC_CONN_FINISHING = 1, /* ends after the next flush, with end_err */
	RPC_CONN_ENDED = 2,
};

/*
 * A call of ours that waits for its answer. The low bits of its id are its index, so an
 * answer finds its call without a search.
 */
struct pending {
	struct rpc_conn *conn;
	uint32_t id;
	rpc_answer_cb *cb; /* NULL: this slot is free */
	void *arg;
	struct timer deadline;
};

struct rpc_request {
	LIST_ENTRY(rpc_request) link;
	struct rpc_conn *conn; /* NULL once the connection has ended */
	uint32_t id;
};

struct rpc_conn {
	struct loop *loop;
	int fd;
	enum rpc_conn_state state;
	int end_err;
	bool entered;    /* a callback from the loop is running */
	bool free_later; /* rpc_conn_free was called during that callback */
	bool paused;     /* not reading, because too much output waits */
	/* An invalid answer ends the connection. Its call has got RPC_INVALID. */
	bool invalid_answer;
	const struct rpc_handlers *handlers;
	void *arg;
	struct event ev_read, ev_write;
	struct buf in, out;
	struct rpc_limits limits; /* max_message: of messages that we send */
	struct pending *pending;
	unsigned n_slots;             /* a power of two, at least limits.max_calls */
	uint32_t last_id;             /* of the newest call */
	unsigned n_calls, n_requests; /* in flight */
	LIST_HEAD(, rpc_request) requests;
};

bool rpc_peer_fault(int reason)
{
	return reason != E_CLOSED && reason != E_SYS && reason != E_NOMEM;
}

static void destroy(struct rpc_conn *c);

static void enter(struct rpc_conn *c)
{
	ASSERT(!c->entered);
	c->entered = true;
}

static void leave(struct rpc_conn *c)
{
	c->entered = false;
	if (c->free_later)
		destroy(c);
}

static bool running(const struct rpc_conn *c)
{
	return c->state == RPC_CONN_OPEN && !c->free_later;
}

/* Takes a call out of the table and disarms its deadline. */
static void pending_release(struct pending *p)
{
	struct rpc_conn *c = p->conn;

	timer_disarm(&p->deadline);
	p->cb = NULL;
	c->n_calls--;
}

static void pending_finish(struct pending *p, const struct rpc_answer *a)
{
	rpc_answer_cb *cb = p->cb;
	void *arg = p->arg;

	pending_release(p);
	cb(a, arg);
}

/*
 * Closes the socket. Unanswered requests of the peer are detached: answering them then
 * only frees them.
 */
static void disconnect(struct rpc_conn *c)
{
	struct rpc_request *req;

	c->state = RPC_CONN_ENDED;
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	sock_close(&c->fd);
	LIST_FOREACH (req, &c->requests, link)
		req->conn = NULL;
	LIST_INIT(&c->requests);
	c->n_requests = 0;
}

/*
 * Ends the connection and tells the owner and all pending calls. Called from the loop
 * only, since it runs callbacks.
 */
static void end_conn(struct rpc_conn *c, int err)
{
	const struct rpc_answer closed = {.outcome = RPC_CLOSED,
					  .other = c->invalid_answer};

	disconnect(c);
	/* A callback may free the connection. Then no further callback may run. */
	for (unsigned i = 0; i < c->n_slots && !c->free_later; i++)
		if (c->pending[i].cb != NULL)
			pending_finish(&c->pending[i], &closed);
	if (!c->free_later)
		c->handlers->closed(err, c->arg);
}

/* Ends the connection at the next turn of the loop. Can be called from anywhere. */
static void end_soon(struct rpc_conn *c, int err)
{
	if (c->state != RPC_CONN_OPEN)
		return;
	c->state = RPC_CONN_FINISHING;
	c->end_err = err;
	event_del(&c->ev_read);
	event_active(&c->ev_write, EV_WRITE, 0);
}

static bool output_is_high(const struct rpc_conn *c)
{
	return c->out.len >= c->out.max / 2;
}

/* Appends a whole message to the output, or nothing. */
static int send_msg(struct rpc_conn *c, const struct rpc_msg *m)
{
	size_t before = c->out.len;

	if (!running(c))
		return E_CLOSED;
	rpc_msg_write(&c->out, m);
	int err = c->out.err;
	if (err == 0 && c->out.len - before > c->limits.max_message)
		err = E_LIMIT;
	if (err != 0) {
		c->out.len = before;
		c->out.err = 0;
		return err;
	}
	if (before == 0)
		event_active(&c->ev_write, EV_WRITE, 0);
	return 0;
}

static void got_request(struct rpc_conn *c, const struct rpc_msg *m)
{
	bool room = c->n_requests < c->limits.max_requests;
	struct rpc_request *req = room ? malloc(sizeof(*req)) : NULL;

	if (req == NULL) {
		/* One request too many breaks the protocol. Without memory the request
		 * could never be answered. */
		end_conn(c, room ? E_NOMEM : E_LIMIT);
		return;
	}
	req->conn = c;
	req->id = m->id;
	LIST_INSERT_HEAD(&c->requests, req, link);
	c->n_requests++;
	c->handlers->request(req, m->method, m->params, c->arg);
}

/* The call with this id, or NULL if it has been canceled or timed out. */
static struct pending *find_pending(struct rpc_conn *c, uint32_t id)
{
	struct pending *p = c->n_slots > 0 ? &c->pending[id & (c->n_slots - 1)] : NULL;

	return p != NULL && p->cb != NULL && p->id == id ? p : NULL;
}

static void got_response(struct rpc_conn *c, const struct rpc_msg *m)
{
	struct pending *p = find_pending(c, m->id);
	const struct rpc_answer a = {
		.outcome = m->error.len == 0 ? RPC_OK : RPC_ERROR,
		.error = m->error,
		.result = m->result,
	};

	if (p != NULL)
		pending_finish(p, &a);
}

/*
 * Handles a message at the start of `in` that is malformed or over a limit. head is the
 * part of it that could be read. If the message is an answer, its call gets RPC_INVALID.
 * If it is an answer whose length can be found, returns true with the length in *len_out,
 * and the connection continues. Otherwise ends the connection and returns false.
 */
static bool got_invalid(struct rpc_conn *c, struct slice in, const struct rpc_msg *head,
			int err, size_t *len_out)
{
	const struct rpc_answer invalid = {.outcome = RPC_INVALID, .err = err};
	struct pending *p = NULL;
	struct rpc_msg m;
	bool measured = false;

	if (head->type == RPC_RESPONSE) {
		measured = c->handlers->read(in, false, &m, len_out) == 0;
		p = find_pending(c, head->id);
	}
	if (p != NULL) {
		/* end_conn copies this into the answers of all other calls, and the
		 * callback may lead to end_conn. */
		c->invalid_answer = !measured;
		pending_finish(p, &invalid);
	}
	if (!measured && running(c))
		end_conn(c, err);
	return measured;
}

static void got_msg(struct rpc_conn *c, const struct rpc_msg *m)
{
	switch (m->type) {
	case RPC_REQUEST:
		got_request(c, m);
		break;
	case RPC_RESPONSE:
		got_response(c, m);
		break;
	case RPC_NOTIFICATION:
		if (c->handlers->notification != NULL)
			c->handlers->notification(m->method, m->params, c->arg);
		break;
	case RPC_UNKNOWN:
		break;
	}
}

/* Handles the complete messages in the input buffer. Stops when too much output waits. */
static void process_input(struct rpc_conn *c)
{
	size_t used = 0, len;
	struct rpc_msg m;

	while (running(c) && used < c->in.len) {
		c->paused = output_is_high(c);
		if (c->paused)
			break;
		struct slice rest = slice_of(c->in.data + used, c->in.len - used);
		int err = c->handlers->read(rest, true, &m, &len);
		if (err == E_TRUNCATED && rest.len < c->in.max)
			break;
		/* The buffer is full, so the message is longer than allowed. */
		if (err == E_TRUNCATED)
			err = E_LIMIT;
		if (err != 0 && !got_invalid(c, rest, &m, err, &len))
			return;
		used += len;
		if (err == 0)
			got_msg(c, &m);
	}
	if (!running(c))
		return;
	buf_consume(&c->in, used);
	if (c->paused)
		event_del(&c->ev_read);
}

static void on_rpc_readable(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_conn *c = arg;
	size_t got = 0;

	(void)fd;
	(void)what;
	enter(c);
	/* process_input always frees some room, or ends or pauses the connection, so room
	 * > 0. */
	size_t room = min_size(READ_CHUNK, c->in.max - c->in.len);
	uint8_t *to = buf_reserve(&c->in, room);
	int err = to == NULL ? E_NOMEM : sock_read(c->fd, to, room, &got);
	if (err == 0) {
		buf_commit(&c->in, got);
		process_input(c);
	} else if (err != E_AGAIN) {
		end_conn(c, err);
	}
	leave(c);
}

static int flush(struct rpc_conn *c)
{
	size_t sent = 0, n;
	int err = 0;

	while (sent < c->out.len && err == 0) {
		err = sock_write(c->fd, c->out.data + sent, c->out.len - sent, &n);
		if (err == 0)
			sent += n;
	}
	buf_consume(&c->out, sent);
	/* ev_write is not persistent, so register it again for the rest. */
	if (err == E_AGAIN && event_add(&c->ev_write, NULL) == -1)
		return E_NOMEM;
	return err == E_AGAIN ? 0 : err;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_conn *c = arg;

	(void)fd;
	(void)what;
	enter(c);
	int err = flush(c);
	if (c->state == RPC_CONN_FINISHING) {
		end_conn(c, c->end_err);
	} else if (err != 0) {
		end_conn(c, err);
	} else if (c->paused && !output_is_high(c)) {
		/* Handle the messages that were read before the pause: no event will
		 * announce them. */
		c->paused = false;
		if (event_add(&c->ev_read, NULL) == -1)
			end_conn(c, E_NOMEM);
		else
			process_input(c);
	}
	leave(c);
}

static void on_call_deadline(void *arg)
{
	static const struct rpc_answer timeout = {.outcome = RPC_TIMEOUT};
	struct pending *p = arg;
	struct rpc_conn *c = p->conn;

	enter(c);
	pending_finish(p, &timeout);
	leave(c);
}

static int pending_table_new(struct rpc_conn *c, unsigned max_calls)
{
	unsigned n = 1;

	if (max_calls == 0)
		return 0;
	while (n < max_calls)
		n *= 2;
	c->pending = calloc(n, sizeof(*c->pending));
	if (c->pending == NULL || loop_reserve_timers(c->loop, n) != 0)
		return E_NOMEM;
	c->n_slots = n;
	for (unsigned i = 0; i < n; i++) {
		struct pending *p = &c->pending[i];
		p->conn = c;
		timer_init(&p->deadline, c->loop, on_call_deadline, p);
	}
	return 0;
}

struct rpc_conn *rpc_conn_new(struct loop *l, int fd, const struct rpc_handlers *handlers,
			      const struct rpc_limits *limits, void *arg)
{
	struct rpc_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		goto fail;
	c->loop = l;
	c->handlers = handlers;
	c->arg = arg;
	c->limits = *limits;
	/* The buffers are secret because tickets of logins pass through them. */
	buf_init_secret(&c->in, limits->max_message);
	buf_init_secret(&c->out, limits->max_out);
	LIST_INIT(&c->requests);
	if (pending_table_new(c, limits->max_calls) != 0)
		goto fail;
	event_assign(&c->ev_read, loop_base(l), fd, EV_READ | EV_PERSIST, on_rpc_readable,
		     c);
	event_assign(&c->ev_write, loop_base(l), fd, EV_WRITE, on_writable, c);
	if (event_add(&c->ev_read, NULL) == -1)
		goto fail;
	c->fd = fd;
	return c;
fail:
	if (c != NULL) {
		loop_release_timers(c->loop, c->n_slots);
		free(c->pending);
	}
	free(c);
	sock_close(&fd);
	return NULL;
}

static void destroy(struct rpc_conn *c)
{
	for (unsigned i = 0; i < c->n_slots; i++)
		if (c->pending[i].cb != NULL)
			pending_release(&c->pending[i]);
	loop_release_timers(c->loop, c->n_slots);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c->pending);
	free(c);
}

void rpc_conn_free(struct rpc_conn **cp)
{
	struct rpc_conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	/* Close the socket even in a callback: the caller may need a free descriptor at
	 * once. */
	if (c->state != RPC_CONN_ENDED) {
		int err = flush(c);
		/* The owner is freeing the connection, so an error is not reported. */
		(void)err;
		disconnect(c);
	}
	if (c->entered)
		c->free_later = true;
	else
		destroy(c);
}

void rpc_conn_finish(struct rpc_conn *c)
{
	end_soon(c, E_CLOSED);
}

void rpc_conn_lower_limits(struct rpc_conn *c, size_t max_message, unsigned max_calls)
{
	c->limits.max_message = min_size(c->limits.max_message, max_message);
	if (max_calls < c->limits.max_calls)
		c->limits.max_calls = max_calls;
}

bool rpc_conn_congested(const struct rpc_conn *c)
{
	return c->out.len >= c->out.max / 4;
}

int rpc_call(struct rpc_conn *c, const struct rpc_call *call, uint32_t *id_out)
{
	if (!running(c))
		return E_CLOSED;
	if (c->n_calls >= c->limits.max_calls)
		return E_LIMIT;
	struct pending *p;
	uint32_t id = c->last_id;
	/* There is a free slot. Callers use the id 0 for "no call". */
	do {
		p = &c->pending[++id & (c->n_slots - 1)];
	} while (p->cb != NULL || id == 0);
	const struct rpc_msg m = {
		.type = RPC_REQUEST,
		.id = id,
		.method = slice_str(call->method),
		.params = call->params,
	};
	int err = send_msg(c, &m);
	if (err != 0)
		return err;
	c->last_id = id;
	c->n_calls++;
	p->id = id;
	p->cb = call->cb;
	p->arg = call->arg;
	timer_arm(&p->deadline, call->timeout_ms);
	if (id_out != NULL)
		*id_out = id;
	return 0;
}

void rpc_cancel(struct rpc_conn *c, uint32_t id)
{
	struct pending *p = find_pending(c, id);

	if (p != NULL)
		pending_release(p);
}

int rpc_notify(struct rpc_conn *c, const char *method, struct slice params)
{
	const struct rpc_msg m = {
		.type = RPC_NOTIFICATION,
		.method = slice_str(method),
		.params = params,
	};

	return send_msg(c, &m);
}

/* Sends an error in place of an answer that cannot be sent. */
static int send_fallback_error(struct rpc_conn *c, uint32_t id, int err)
{
	struct buf error;

	buf_init(&error, c->limits.max_message);
	c->handlers->fallback_error(&error, err);
	const struct rpc_msg m = {
		.type = RPC_RESPONSE,
		.id = id,
		.error = buf_slice(&error),
	};
	err = error.err != 0 ? error.err : send_msg(c, &m);
	buf_fini(&error);
	return err;
}

/* Sends an answer and frees the request. m points into b. */
static void send_reply(struct rpc_request *req, struct rpc_msg *m, const struct buf *b)
{
	struct rpc_conn *c = req->conn;

	if (c != NULL) {
		LIST_REMOVE(req, link);
		c->n_requests--;
		m->type = RPC_RESPONSE;
		m->id = req->id;
		int err = b->err != 0 ? b->err : send_msg(c, m);
		if (err != 0 && err != E_CLOSED)
			err = send_fallback_error(c, req->id, err);
		if (err != 0 && err != E_CLOSED)
			end_soon(c, err);
	}
	free(req);
}

void rpc_reply(struct rpc_request *req, const struct buf *result)
{
	send_reply(req, &(struct rpc_msg){.result = buf_slice(result)}, result);
}

void rpc_reply_error(struct rpc_request *req, const struct buf *error)
{
	/* An empty error would be sent as nil, which means success. */
	ASSERT(error->len > 0 || error->err != 0);
	send_reply(req, &(struct rpc_msg){.error = buf_slice(error)}, error);
}
