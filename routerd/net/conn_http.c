/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of WebSocket: collects the request head, answers it, and leaves the bytes
 * after the head to the reader of frames. Also collects the heads and bodies of long-poll
 * requests, of which many may follow on a connection. The worker's thread.
 */
#include "common/err.h"
#include "proto/deflate.h"
#include "routerd/net/conn_int.h"

#include <stdio.h>

void conn_http_answer(struct conn *c, int status, const char *text, bool head_only,
		      enum conn_end end)
{
	struct buf b;

	buf_init(&b, HTTP_ANSWER_MAX);
	http_write_answer(&b, status, text, head_only);
	if (b.err != 0)
		conn_kill(c, end);
	else
		conn_answer_and_close(c, buf_slice(&b), end);
	buf_fini(&b);
}

static void answer_refused(struct conn *c, int status, const char *text, bool head_only)
{
	if (status == HTTP_HEADERS_TOO_LARGE || status == HTTP_URI_TOO_LONG) {
		net_count(c->net, NET_REQUESTS_TOO_LARGE, 1);
		conn_log(c,
			 "request refused reason=\"%s\" listener=%s peer=%s "
			 "max_header_size=%zu max_headers=%zu suppressed=%u",
			 text, c->conf->name, conn_peer_name(c).text, c->conf->head_max,
			 c->conf->headers_max);
	} else {
		log_debug(conn_prefix(c).text, "request refused status=%d listener=%s",
			  status, c->conf->name);
	}
	conn_http_answer(c, status, text, head_only, CONN_END_HTTP);
}

static bool path_known(const struct conn_conf *conf, struct slice path)
{
	for (size_t i = 0; i < conf->n_paths; i++)
		if (slice_eq_str(path, conf->paths[i]))
			return true;
	return conf->n_paths == 0;
}

static void refuse_path(struct conn *c, bool head_only)
{
	char text[HTTP_ANSWER_MAX / 4];
	int n = snprintf(text, sizeof(text),
			 "There is nothing at this path. Paths that exist: ");

	for (size_t i = 0; i < c->conf->n_paths && (size_t)n < sizeof(text); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s",
			      i == 0 ? "" : ", ", c->conf->paths[i]);
	if (c->conf->poll_path != NULL && (size_t)n < sizeof(text))
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      ", and %s for long-poll", c->conf->poll_path);
	if ((size_t)n >= sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	answer_refused(c, HTTP_NOT_FOUND, text, head_only);
}

/* Answers an upgrade that the handler has accepted. */
static void open_websocket(struct conn *c, const struct http_request *req,
			   const char *subprotocol)
{
	const char *extensions = NULL;
	struct buf b;

	buf_init(&b, HTTP_ANSWER_MAX);
	if (c->conf->deflate)
		extensions = deflate_answer(req, &c->net->counters[NET_DEFLATE_DECLINED]);
	if (http_write_switching(&b, req->key, subprotocol, extensions) != 0)
		conn_kill(c, CONN_END_NOMEM);
	else if (conn_push(c, buf_slice(&b))) {
		conn_open(c, CONN_WEBSOCKET);
		c->deflates = extensions != NULL;
		net_count(c->net, NET_DEFLATE_AGREED, c->deflates);
	}
	buf_fini(&b);
}

/*
 * Answers a request that is not a long-poll request, and whose whole head has arrived.
 * status is the result of http_request_parse.
 */
static void handle_request(struct conn *c, int status, const struct http_request *req)
{
	const char *text = NULL;
	struct address peer;
	bool accepted;

	if (status != 0) {
		answer_refused(c, status, req->why, req->head_only);
		return;
	}
	if (!path_known(c->conf, req->path)) {
		refuse_path(c, req->head_only);
		return;
	}
	if (!req->upgrade) {
		conn_http_answer(c, HTTP_OK, c->conf->handler->page, req->head_only,
				 CONN_END_HTTP);
		return;
	}
	peer = conn_forwarded_peer(c, req);
	conn_set_peer(c, c, &peer);
	status = c->conf->handler->upgrade(c, req, &text);
	accepted = status == 0;
	/* The handler may have dropped the connection. */
	if (c->state == CONN_OPENING) {
		if (accepted)
			open_websocket(c, req, text);
		else
			answer_refused(c, status, text, false);
	}
	if (accepted)
		conn_set_accepted(c);
}

/* Refuses a request whose head is not HTTP, or is too long. */
static void refuse_head(struct conn *c, int err, struct slice bytes)
{
	if (err == E_SYNTAX)
		answer_refused(c, HTTP_BAD_REQUEST, "This is not an HTTP request.",
			       false);
	else if (memchr(bytes.p, '\n', min_size(bytes.len, c->conf->head_max)) == NULL)
		answer_refused(c, HTTP_URI_TOO_LONG, "The request line is too long.",
			       false);
	else
		answer_refused(c, HTTP_HEADERS_TOO_LARGE,
			       "The request's headers are too long.", false);
}

bool conn_http_busy(const struct conn *c)
{
	return c->longpoll != NULL ||
	       (c->request_len == 0 && !outq_empty(&c->stream.out));
}

/* The longest long-poll request, bytes. */
static size_t request_max(const struct conn_conf *conf)
{
	return conf->head_max + conf->message_max;
}

/* Serves a whole long-poll request that was stored in pieces. */
static void serve_stored(struct conn *c)
{
	struct buf *all = c->partial.part;
	struct slice bytes = buf_slice(all);
	struct http_request req;
	size_t len;

	c->partial.part = NULL;
	c->request_len = 0;
	/* It was parsed once, but meanwhile its bytes may have moved. */
	if (http_head_end(bytes, 0, c->conf->head_max, &len) == 0 &&
	    http_request_parse(slice_of(bytes.p, len), c->conf->headers_max,
			       c->conf->poll_path, &req) == 0 &&
	    conn_poll_check(c, &req, bytes, slice_of(NULL, 0)))
		conn_poll_serve(c, &req, slice_from(bytes, len));
	if (c->longpoll != NULL) {
		c->partial.part = all;
		all = NULL;
	}
	buf_free(&all);
}

/* Stores more of a long-poll request, and serves it when it is whole. */
static void store_request(struct conn *c, struct frame_input *in)
{
	size_t before = c->partial.part == NULL ? 0 : c->partial.part->len;
	size_t missing = c->request_len - before;

	if (!conn_add_partial(c, frame_input_take(in, min_size(in->len, missing)),
			      request_max(c->conf)))
		conn_kill(c, CONN_END_NOMEM);
	else if (c->partial.part->len == c->request_len)
		serve_stored(c);
}

/*
 * Handles a long-poll request whose head has arrived. *head has its first `before` bytes,
 * and copies of some bytes of *in; or it is NULL.
 */
static void handle_poll(struct conn *c, const struct http_request *req, size_t head_len,
			struct buf **head, size_t before, struct frame_input *in)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct slice begun =
		*head == NULL ? slice_of(NULL, 0) : slice_of((*head)->data, before);
	size_t len = head_len + req->body_len;
	bool whole = before + in->len >= len, expects = req->expects;

	if (!conn_poll_check(c, req, begun, slice_of(in->p, in->len))) {
		/* c is closing, or another worker has the input now. */
		*in = (struct frame_input){NULL, 0};
		return;
	}
	if (*head == NULL && whole) {
		struct slice all = frame_input_take(in, len);

		conn_poll_serve(c, req, slice_from(all, head_len));
		if (c->longpoll != NULL && !conn_add_partial(c, all, all.len))
			conn_kill(c, CONN_END_NOMEM);
		return;
	}
	if (*head != NULL)
		(*head)->len = before;
	c->partial.part = *head;
	*head = NULL;
	c->request_len = (uint32_t)len;
	if (whole || !expects || conn_push(c, slice_str(go_on)))
		store_request(c, in);
}

void conn_http_input(struct conn *c, struct frame_input *in)
{
	size_t before = 0, len, max = c->conf->head_max;
	struct slice bytes = slice_of(in->p, in->len), all = bytes;
	struct http_request req;
	struct buf *head;
	int err, status;

	if (c->request_len > 0) {
		store_request(c, in);
		return;
	}
	if (c->asked && c->partial.part == NULL)
		/* Until now the deadline was that of the pause between requests. */
		conn_set_deadline(c, c->conf->handshake_ms);
	if (c->partial.part != NULL) {
		before = c->partial.part->len;
		if (!conn_add_partial(
			    c, slice_of(bytes.p, min_size(bytes.len, max - before)),
			    request_max(c->conf))) {
			conn_kill(c, CONN_END_NOMEM);
			return;
		}
		all = buf_slice(c->partial.part);
	}
	err = http_head_end(all, before, max, &len);
	if (err == E_AGAIN) {
		/* Keep the beginning of the head until the rest arrives. */
		if (c->partial.part == NULL &&
		    !conn_add_partial(c, bytes, request_max(c->conf)))
			conn_kill(c, CONN_END_NOMEM);
		*in = (struct frame_input){NULL, 0};
		return;
	}
	head = c->partial.part;
	/* The handler may drop c, which frees its partial input. Detach the head, so
	 * that it stays valid. */
	c->partial.part = NULL;
	if (err != 0) {
		refuse_head(c, err, all);
	} else {
		status = http_request_parse(slice_of(all.p, len), c->conf->headers_max,
					    c->conf->poll_path, &req);
		if (req.poll.p == NULL)
			handle_request(c, status, &req);
		else if (status == 0)
			handle_poll(c, &req, len, &head, before, in);
		else
			conn_poll_refuse(c, &req, status);
	}
	buf_free(&head);

	/* The bytes after the head are frames. */
	if (c->state == CONN_OPEN)
		frame_input_take(in, len - before);
}
