/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of WebSocket: collects the request head, answers it, and leaves the bytes
 * after the head to the reader of frames. The worker's thread.
 */
#include "common/err.h"
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
			 "request refused reason=\"%s\" listener=%s "
			 "max_header_size=%zu max_headers=%zu suppressed=%u",
			 text, c->conf->name, c->conf->head_max, c->conf->headers_max);
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
	if ((size_t)n >= sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	answer_refused(c, HTTP_NOT_FOUND, text, head_only);
}

/* Answers an upgrade that the handler has accepted. */
static void open_websocket(struct conn *c, const struct http_request *req,
			   const char *subprotocol)
{
	struct buf b;

	buf_init(&b, HTTP_ANSWER_MAX);
	if (http_write_switching(&b, req->key, subprotocol) != 0)
		conn_kill(c, CONN_END_NOMEM);
	else if (conn_push(c, buf_slice(&b)))
		conn_open(c, CONN_WEBSOCKET);
	buf_fini(&b);
}

/* Answers a request whose whole head has arrived. */
static void handle_request(struct conn *c, struct slice head)
{
	const char *text = NULL;
	struct http_request req;
	int status = http_request_parse(head, c->conf->headers_max, &req);
	bool accepted;

	if (status != 0) {
		answer_refused(c, status, req.why, req.head_only);
		return;
	}
	if (!path_known(c->conf, req.path)) {
		refuse_path(c, req.head_only);
		return;
	}
	if (!req.upgrade) {
		conn_http_answer(c, HTTP_OK, c->handler->page, req.head_only,
				 CONN_END_HTTP);
		return;
	}
	status = c->handler->upgrade(c, &req, &text);
	accepted = status == 0;
	/* The handler may have dropped the connection. */
	if (c->state == CONN_OPENING) {
		if (accepted)
			open_websocket(c, &req, text);
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

void conn_http_input(struct conn *c, struct frame_input *in)
{
	size_t before = 0, len, max = c->conf->head_max;
	struct slice bytes = slice_of(in->p, in->len), all = bytes;
	struct buf *head;
	int err;

	if (c->partial.part != NULL) {
		before = c->partial.part->len;
		if (!conn_add_partial(
			    c, slice_of(bytes.p, min_size(bytes.len, max - before)),
			    max)) {
			conn_kill(c, CONN_END_NOMEM);
			return;
		}
		all = buf_slice(c->partial.part);
	}
	err = http_head_end(all, before, max, &len);
	if (err == E_AGAIN) {
		/* Keep the beginning of the head until the rest arrives. */
		if (c->partial.part == NULL && !conn_add_partial(c, bytes, max))
			conn_kill(c, CONN_END_NOMEM);
		return;
	}
	head = c->partial.part;
	/* The handler may drop c, which frees its partial input. Detach the head, so
	 * that it stays valid. */
	c->partial.part = NULL;
	if (err != 0)
		refuse_head(c, err, all);
	else
		handle_request(c, slice_of(all.p, len));
	buf_free(&head);

	/* The bytes after the head are frames. */
	if (c->state == CONN_OPEN)
		frame_input_take(in, len - before);
}
