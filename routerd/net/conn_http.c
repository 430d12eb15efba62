/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of WebSocket: collects the request head, answers, and passes what came
 * behind the head on to the WebSocket stream. Thread of the connection's net.
 */
#include "common/err.h"
#include "routerd/net/conn_int.h"

#include <stdlib.h>

void conn_http_answer(struct conn *c, int status, const char *text, bool head_only,
		      enum conn_end end)
{
	struct buf b;

	buf_init(&b, HTTP_ANSWER_MAX);
	http_write_answer(&b, status, text, head_only);
	conn_set_end(c, end);
	if (b.err != 0)
		conn_kill(c, end);
	else if (conn_push(c, buf_slice(&b))) {
		conn_set_state(c, CONN_CLOSING);
		conn_finish(c);
	}
	buf_fini(&b);
}

static void refuse(struct conn *c, int status, const char *text)
{
	log_debug(conn_prefix(c).text, "request refused status=%d listener=%s", status,
		  c->conf->name);
	conn_http_answer(c, status, text, false, CONN_END_HTTP);
}

/* The upgrade was accepted: answers it. */
static void open_websocket(struct conn *c, const struct http_request *req,
			   const char *subprotocol)
{
	struct buf b;

	buf_init(&b, HTTP_ANSWER_MAX);
	if (http_write_switching(&b, req->key, subprotocol) != 0)
		conn_kill(c, CONN_END_NOMEM);
	else if (conn_push(c, buf_slice(&b)))
		conn_open(c, &conn_websocket);
	buf_fini(&b);
}

/* A whole head, which outlives the call. */
static void handle(struct conn *c, struct slice head)
{
	const char *text = NULL;
	struct http_request req;
	int status = http_request_parse(head, &req, &text);
	bool known, accepted;

	if (status != 0) {
		refuse(c, status, text);
		return;
	}
	known = c->handler->path_known(c, req.path);
	if (!req.upgrade) {
		conn_http_answer(c, known ? HTTP_OK : HTTP_NOT_FOUND, c->handler->page,
				 req.head_only, CONN_END_HTTP);
		return;
	}
	if (!known) {
		refuse(c, HTTP_NOT_FOUND, "There is nothing at this path.");
		return;
	}
	status = c->handler->upgrade(c, &req, &text);
	accepted = status == 0;
	if (c->state == CONN_OPENING) {
		if (accepted)
			open_websocket(c, &req, text);
		else
			refuse(c, status, text);
	}
	if (accepted)
		conn_owe_closed(c);
}

/* No head, and none to be expected. */
static void give_up(struct conn *c, int err, struct slice bytes)
{
	if (err == E_SYNTAX)
		refuse(c, HTTP_BAD_REQUEST, "This is no HTTP request.");
	else if (memchr(bytes.p, '\n', bytes.len) == NULL)
		refuse(c, HTTP_URI_TOO_LONG, "The request line is too long.");
	else
		refuse(c, HTTP_HEADERS_TOO_LARGE, "The request's headers are too long.");
}

void conn_http_input(struct conn *c, struct slice bytes)
{
	size_t before = 0, len;
	struct slice all = bytes;
	struct buf *head;
	int err;

	if (c->part != NULL) {
		before = c->part->len;
		if (!conn_keep_part(c,
				    slice_of(bytes.p,
					     min_size(bytes.len, HTTP_HEAD_MAX - before)),
				    HTTP_HEAD_MAX)) {
			conn_kill(c, CONN_END_NOMEM);
			return;
		}
		all = buf_slice(c->part);
	}
	err = http_head_end(all, before, &len);
	if (err == E_AGAIN) {
		if (c->part == NULL && !conn_keep_part(c, bytes, HTTP_HEAD_MAX))
			conn_kill(c, CONN_END_NOMEM);
		return;
	}
	head = c->part;
	c->part = NULL; /* so that nobody frees it while it is in use */
	if (err != 0)
		give_up(c, err, all);
	else
		handle(c, slice_of(all.p, len));
	if (head != NULL)
		buf_fini(head);
	free(head);

	/* bytes behind the head belong to the WebSocket stream */
	if (c->state == CONN_OPEN && len - before < bytes.len)
		c->protocol->input(c, slice_of(bytes.p + (len - before),
					       bytes.len - (len - before)));
}
