/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP long-poll transport (specification: "HTTP Longpoll Transport"), without its
 * batched modes. The worker's thread. In this file c is the connection of an HTTP
 * request, and s is a long-poll connection.
 *
 * POST poll_path/open makes a long-poll connection and returns its id. The client then
 * sends POST poll_path/ID/send with a message, POST poll_path/ID/receive, which waits
 * until there is a message for the client, and POST poll_path/ID/close.
 *
 * A request may arrive on a socket of another worker. The id names the worker that has
 * the long-poll connection, so the socket is handed over to that worker, with all bytes
 * that were read from it. This happens only between requests.
 *
 * Messages are taken in the order in which their requests are complete. A request is
 * answered when its message is taken: if the input of the connection is on hold, it
 * waits, and later ones wait behind it.
 *
 * A long-poll connection stays CLOSING for close_ms: the client of a session that has
 * ended still sends GOODBYE and closes. These requests must not fail.
 */
#include "common/err.h"
#include "proto/rawsocket.h"
#include "routerd/net/conn_int.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	BODY_MAX = 4096, /* of a request that brings no message */
	EARLY_MAX = 64,  /* long-poll connections of an address that are not logged in */
};

static const char text_plain[] = "text/plain; charset=utf-8";

/* --- the id of a long-poll connection: its worker, a number and a secret --- */

enum {
	ID_LEN = 1 + sizeof(uint64_t) + 16,
	ID_TEXT = sodium_base64_ENCODED_LEN(ID_LEN,
					    sodium_base64_VARIANT_URLSAFE_NO_PADDING),
};

static void write_poll_id(const struct conn *s, char text[ID_TEXT])
{
	const struct longpoll *lp = s->longpoll;
	uint8_t id[ID_LEN];

	id[0] = (uint8_t)s->net->self;
	memcpy(id + 1, &lp->node.id, sizeof(lp->node.id));
	memcpy(id + 1 + sizeof(lp->node.id), lp->secret, sizeof(lp->secret));
	sodium_bin2base64(text, ID_TEXT, id, sizeof(id),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static bool read_poll_id(struct slice text, uint8_t id[ID_LEN])
{
	size_t len;

	return text.len == ID_TEXT - 1 &&
	       sodium_base642bin(id, ID_LEN, (const char *)text.p, text.len, NULL, &len,
				 NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
	       len == ID_LEN;
}

/*
 * The connection with this id, or NULL. Only the listener that opened it has it: another
 * one may have other rules, such as other origins.
 */
static struct conn *find_longpoll(const struct conn *http, const uint8_t id[ID_LEN])
{
	const struct net *n = http->net;
	struct id_node *node;
	const struct longpoll *lp;
	uint64_t number;

	memcpy(&number, id + 1, sizeof(number));
	node = id_table_find(&n->longpolls, NULL, number);
	if (node == NULL)
		return NULL;
	lp = container_of(node, struct longpoll, node);
	return lp->conn->state != CONN_DEAD && lp->conn->conf == http->conf &&
			       sodium_memcmp(lp->secret, id + 1 + sizeof(number),
					     sizeof(lp->secret)) == 0
		       ? lp->conn
		       : NULL;
}

/* --- answers --- */

static void answer(struct conn *c, const struct http_request *req, int status,
		   const char *type, struct slice body)
{
	bool keep_alive = req->keep_alive && status < HTTP_BAD_REQUEST;
	struct http_poll_answer a = {
		.status = status,
		.type = type,
		.len = body.len,
		.preflight = slice_eq_str(req->method, "OPTIONS"),
		.keep_alive = keep_alive,
	};
	struct buf head;
	bool sent;

	if (req->has_origin && c->conf->handler->origin_allowed(c->conf, req))
		a.origin = req->origin;
	if (!keep_alive)
		conn_set_end(c, CONN_END_HTTP);
	buf_init(&head, HTTP_ANSWER_MAX);
	http_write_poll_answer(&head, &a);
	if (head.err != 0) {
		conn_kill(c, CONN_END_NOMEM);
		sent = false;
	} else {
		sent = conn_push(c, buf_slice(&head)) &&
		       (body.len == 0 || req->head_only || conn_push(c, body));
	}
	buf_fini(&head);
	if (!sent)
		return;
	c->asked = true;
	if (!keep_alive)
		conn_set_state(c, CONN_CLOSING);
	/* For the next request, or for the end of a long answer. */
	conn_set_deadline(c,
			  keep_alive ? c->conf->poll_timeout_ms : c->conf->handshake_ms);
	if (!keep_alive)
		conn_finish(c);
}

static void answer_empty(struct conn *c, const struct http_request *req)
{
	/* The specification says 202, but autobahn-js accepts only 200 and 204. */
	answer(c, req, HTTP_NO_CONTENT, NULL, slice_of(NULL, 0));
}

/* The client may be behind a proxy: peer is its address. */
static void refuse_peer(struct conn *c, const struct http_request *req, int status,
			const char *text, const struct address *peer)
{
	conn_log(c,
		 "long-poll request refused status=%d reason=\"%s\" peer=%s listener=%s "
		 "suppressed=%u",
		 status, text, sock_address_name(peer).text, c->conf->name);
	answer(c, req, status, text_plain, slice_str(text));
}

static void refuse(struct conn *c, const struct http_request *req, int status,
		   const char *text)
{
	refuse_peer(c, req, status, text, &c->peer);
}

void conn_poll_refuse(struct conn *c, const struct http_request *req, int status)
{
	if (status == HTTP_HEADERS_TOO_LARGE)
		net_count(c->net, NET_REQUESTS_TOO_LARGE, 1);
	refuse(c, req, status, req->why);
}

static void answer_gone(struct conn *c, const struct http_request *req)
{
	net_count(c->net, NET_LONGPOLL_UNKNOWN, 1);
	answer(c, req, HTTP_NOT_FOUND, text_plain,
	       slice_str("This long-poll connection does not exist, or has ended."));
}

/* Every message is an array that begins with its type. */
static bool is_json(struct slice message)
{
	return message.len > 1 && message.p[0] == '[' && message.p[1] >= '0' &&
	       message.p[1] <= '9';
}

/* Answers with the first message in the queue of s, if there is one. */
static bool answer_message(struct conn *c, const struct http_request *req, struct conn *s)
{
	/* In JSON, the type of a message is a digit; in UBJSON, a marker precedes it. */
	static const char *const types[] = {"application/json",
					    "application/octet-stream"};
	struct net *n = s->net;
	enum rawsocket_type type;
	struct iovec first;
	size_t len, bytes;

	if (outq_peek(&s->stream.out, &first, 1, &bytes) == 0)
		return false;
	/* Messages are queued whole, each in one piece. */
	ASSERT(bytes >= RAWSOCKET_HEAD_LEN &&
	       rawsocket_head_read(first.iov_base, &type, &len) == 0 &&
	       len <= bytes - RAWSOCKET_HEAD_LEN);
	const uint8_t *message = (const uint8_t *)first.iov_base + RAWSOCKET_HEAD_LEN;
	answer(c, req, HTTP_OK, types[!is_json(slice_of(message, len))],
	       slice_of(message, len));
	outq_consume(&s->stream.out, &n->out, RAWSOCKET_HEAD_LEN + len);
	s->alive_ms = loop_now_ms(n->loop);
	stream_move(n, &s->stream,
		    outq_empty(&s->stream.out) ? STREAM_IDLE : STREAM_BLOCKED);
	return true;
}

/* --- requests that wait --- */

/* A request that has waited. Its slices point into bytes. */
struct poll_request {
	struct http_request req;
	struct slice body;
	struct buf *bytes;
};

/* Takes the request of c, which waits. The caller frees r->bytes. */
static void take_waiting(struct conn *c, struct poll_request *r)
{
	struct slice all;
	size_t len;
	int err;

	conn_wait_over(c);
	r->bytes = c->partial.part;
	c->partial.part = NULL;
	conn_count_incomplete(c);
	all = buf_slice(r->bytes);
	/* This was checked when the request came. */
	err = http_head_end(all, 0, c->conf->head_max, &len);
	ASSERT(err == 0);
	err = http_request_parse(slice_of(all.p, len), c->conf->headers_max,
				 c->conf->poll_path, &r->req);
	ASSERT(err == 0);
	r->body = slice_from(all, len);
}

/* Answers a request for output: there is none. */
static void answer_no_output(struct conn *c, const struct http_request *req,
			     const struct conn *s)
{
	if (s->state == CONN_OPEN || s->end == CONN_END_PEER)
		answer_empty(c, req);
	else
		answer_gone(c, req);
}

/* with: the request may take a message along. */
static void end_receiver(struct conn *s, bool with)
{
	struct conn *c = s->longpoll->receiver;
	struct poll_request r;

	if (c == NULL)
		return;
	take_waiting(c, &r);
	s->alive_ms = loop_now_ms(s->net->loop);
	if (!with || !answer_message(c, &r.req, s))
		answer_no_output(c, &r.req, s);
	buf_free(&r.bytes);
}

/* Passes a message on, or the rest of one. */
static void pass_on(struct conn *s, struct slice message)
{
	const struct frame_input nothing = {NULL, 0};

	if (s->state != CONN_OPEN)
		return;
	s->conf->handler->message(s, message, false);
	if (s->on_hold) {
		conn_store_unhandled(s, NULL, false, &nothing);
		conn_count_incomplete(s);
	}
}

static void deliver_input(struct conn *s, struct slice message)
{
	net_count(s->net, NET_MESSAGES_IN, s->state == CONN_OPEN);
	pass_on(s, message);
}

static void answer_sender(struct conn *c, const struct http_request *req,
			  const struct conn *s)
{
	if (s->state == CONN_DEAD)
		answer_gone(c, req);
	else
		answer_empty(c, req);
}

/* Takes the messages that wait, until one must wait again. */
static void take_senders(struct conn *s)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&s->longpoll->senders)) != NULL) {
		struct poll_request r;

		if (s->state == CONN_OPEN && conn_must_pause(s)) {
			if (!s->stream.paused)
				conn_pause(s);
			return;
		}
		take_waiting(c, &r);
		deliver_input(s, r.body);
		answer_sender(c, &r.req, s);
		buf_free(&r.bytes);
	}
}

/* Called when conn_arm finds that input has waited. */
static void on_input(evutil_socket_t fd, short what, void *arg)
{
	struct conn *s = arg;
	struct net *n = s->net;
	struct conn_unhandled *u = s->unhandled;

	(void)fd;
	(void)what;
	budget_reading(&n->budget);
	if (conn_must_pause(s)) {
		if (!s->stream.paused)
			conn_pause(s);
		return;
	}
	if (u != NULL) {
		/* The handler may drop s, which must not free the message. */
		s->unhandled = NULL;
		pass_on(s, slice_from(buf_slice(&u->bytes), u->at));
		conn_unhandled_free(&u);
		conn_count_incomplete(s);
	}
	if (!s->on_hold)
		take_senders(s);
	if (budget_reading_spent(&n->budget))
		event_base_loopbreak(loop_base(n->loop));
}

void conn_poll_nothing(struct conn *c)
{
	struct conn *s = c->longpoll->conn;

	if (s->longpoll->receiver == c)
		end_receiver(s, true);
}

void conn_poll_half_closed(struct conn *c)
{
	struct conn *s = c->longpoll->conn;

	if (s->longpoll->receiver == c)
		end_receiver(s, false);
}

void conn_poll_flush(struct conn *s)
{
	stream_move(s->net, &s->stream,
		    outq_empty(&s->stream.out) ? STREAM_IDLE : STREAM_BLOCKED);
	if (s->stream.list == STREAM_BLOCKED || s->state != CONN_OPEN)
		end_receiver(s, true);
	if (s->state != CONN_OPEN)
		take_senders(s);
}

/* --- addresses: one must not take the room of all others without logging in --- */

/*
 * Counts a connection from this address. NULL: it has too many, as *why_out then says, or
 * out of memory.
 */
static struct host *count_early(struct net *n, const struct address *peer,
				const char **why_out)
{
	struct host *h = hosts_count(&n->poll_hosts, peer);

	if (h == NULL || h->count <= EARLY_MAX)
		return h;
	*why_out = "This address has too many long-poll connections that are not "
		   "logged in. Try again.";
	hosts_uncount(&n->poll_hosts, &h);
	return NULL;
}

void conn_poll_established(struct conn *s)
{
	hosts_uncount(&s->net->poll_hosts, &s->longpoll->host);
}

void conn_poll_end(struct conn *s)
{
	struct longpoll *lp = s->longpoll;

	hosts_uncount(&s->net->poll_hosts, &lp->host);
	end_receiver(s, false);
	take_senders(s);
	id_table_remove(&s->net->longpolls, &lp->node);
	s->longpoll = NULL;
	free(lp);
}

/* --- the requests --- */

enum poll_action {
	POLL_PREFLIGHT = 0,
	POLL_OPEN = 1,
	POLL_SEND = 2,
	POLL_RECEIVE = 3,
	POLL_CLOSE = 4,
	POLL_UNKNOWN = 5,
};

/* Splits the path of a request. *id_out is for SEND, RECEIVE and CLOSE. */
static enum poll_action parse_action(const struct http_request *req, struct slice *id_out)
{
	static const char *const verbs[] = {
		[POLL_SEND] = "send",
		[POLL_RECEIVE] = "receive",
		[POLL_CLOSE] = "close",
	};
	size_t n = slice_find(req->poll, '/');

	if (slice_eq_str(req->method, "OPTIONS"))
		return POLL_PREFLIGHT;
	if (slice_eq_str(req->poll, "open"))
		return POLL_OPEN;
	*id_out = slice_of(req->poll.p, n);
	for (size_t i = POLL_SEND; i < ARRAY_LEN(verbs) && n < req->poll.len; i++)
		if (slice_eq_str(slice_from(req->poll, n + 1), verbs[i]))
			return (enum poll_action)i;
	return POLL_UNKNOWN;
}

static void hand_over(struct conn *c, unsigned worker, struct slice begun,
		      struct slice behind)
{
	struct conn_moved *m = NULL;
	struct net *n = c->net;

	if (c->stream.tls != NULL && c->stream.tls->state != TLS_OPEN) {
		/* An invalid record has come behind the request. */
		conn_kill(c, CONN_END_TLS);
		return;
	}
	m = calloc(1, sizeof(*m));
	if (m != NULL) {
		m->fd = -1;
		m->peer = c->peer;
		m->proxied = c->proxied;
		m->proxy_ends_tls = c->proxy_ends_tls;
		m->proxy_tls = c->proxy_tls;
		c->proxy_tls = NULL;
		m->bytes = buf_new(SIZE_MAX / 2);
	}
	if (m != NULL && m->bytes != NULL) {
		buf_put_slice(m->bytes, begun);
		buf_put_slice(m->bytes, behind);
	}
	if (m == NULL || m->bytes == NULL || m->bytes->err != 0) {
		conn_moved_free(&m);
		conn_kill(c, CONN_END_NOMEM);
		return;
	}
	if (c->stream.tls != NULL)
		m->tls = tls_detach(n, &c->stream.tls, &c->stream.out);
	m->fd = c->stream.fd;
	c->stream.fd = -1;
	conn_kill(c, CONN_END_MOVED);
	n->hand_over(n->hand_over_arg, worker, c->conf, m);
}

/* The longest body that a request may have. s: of POLL_SEND. */
static size_t body_limit(const struct conn *s)
{
	if (s == NULL)
		return BODY_MAX;
	/* After conn_close, messages are skipped. */
	return s->state == CONN_OPEN ? conn_message_limit(s) : s->conf->message_max;
}

static void refuse_long(struct conn *c, const struct http_request *req, struct conn *s)
{
	/* As for the other framings, a message that is too long ends the session. */
	if (s != NULL)
		conn_kill(s, CONN_END_TOO_BIG);
	refuse(c, req, HTTP_CONTENT_TOO_LARGE, "The message is too long.");
}

bool conn_poll_check(struct conn *c, const struct http_request *req, struct slice begun,
		     struct slice behind)
{
	struct net *n = c->net;
	struct slice id_text = slice_of(NULL, 0);
	enum poll_action action = parse_action(req, &id_text);
	struct conn *s = NULL;
	uint8_t id[ID_LEN];

	if (req->has_origin && !c->conf->handler->origin_allowed(c->conf, req)) {
		refuse(c, req, HTTP_FORBIDDEN, "This Origin is not in allowed_origins.");
		return false;
	}
	if (action != POLL_PREFLIGHT && !slice_eq_str(req->method, "POST")) {
		refuse(c, req, HTTP_METHOD_NOT_ALLOWED, "Long-poll requests use POST.");
		return false;
	}
	if (action >= POLL_SEND) {
		bool known = action != POLL_UNKNOWN && read_poll_id(id_text, id);

		/* The last answer has been written, because of conn_http_busy. */
		if (known && id[0] != n->self && id[0] < n->n_workers) {
			hand_over(c, id[0], begun, behind);
			return false;
		}
		s = known && id[0] == n->self ? find_longpoll(c, id) : NULL;
		if (s == NULL) {
			answer_gone(c, req);
			return false;
		}
		s->alive_ms = loop_now_ms(n->loop);
	}
	if (action != POLL_SEND)
		s = NULL;
	if (req->body_len > body_limit(s)) {
		refuse_long(c, req, s);
		return false;
	}
	return true;
}

/*
 * Counts a long-poll connection. False: there are too many. They may be half of the
 * connections, because a client needs only one socket to open any number of them.
 */
static bool count_up(const struct conn_conf *conf)
{
	uint32_t all, polls, max = conf->live_max;

	if (conf->live == NULL)
		return true;
	all = atomic_fetch_add_explicit(conf->live, 1, memory_order_relaxed);
	polls = atomic_fetch_add_explicit(conf->live_polls, 1, memory_order_relaxed);
	return max == 0 || (all < max && polls < max / 2 + max % 2);
}

/*
 * Makes the connection of this client; its handler does not know it yet. Sets *why_out on
 * failure.
 */
static struct conn *make_longpoll(struct conn *http, const struct address *peer,
				  const char **why_out)
{
	const struct conn_conf *conf = http->conf;
	struct net *n = http->net;
	struct host *host = count_early(n, peer, why_out);
	struct longpoll *lp = host == NULL ? NULL : calloc(1, sizeof(*lp));
	struct conn *s = NULL;

	if (lp != NULL && !count_up(conf)) {
		*why_out = "max_connections is reached, or half of it by long-poll "
			   "connections. Try again.";
		conn_count_down(conf, true);
	} else if (lp != NULL) {
		s = conn_new(n, conf);
		if (s == NULL)
			conn_count_down(conf, true);
	}
	if (s == NULL) {
		hosts_uncount(&n->poll_hosts, &host);
		free(lp);
		return NULL;
	}
	stream_init(n, &s->stream, -1, on_input, s);
	lp->conn = s;
	lp->host = host;
	conn_set_peer(s, http, peer);
	lp->proxy_name = sock_peer_name(http->stream.fd);
	TAILQ_INIT(&lp->senders);
	randombytes_buf(lp->secret, sizeof(lp->secret));
	do
		randombytes_buf(&lp->node.id, sizeof(lp->node.id));
	while (id_table_find(&n->longpolls, NULL, lp->node.id) != NULL);
	id_table_add(&n->longpolls, &lp->node);
	s->longpoll = lp;
	s->framing = CONN_LONGPOLL;
	return s;
}

static void serve_open(struct conn *c, const struct http_request *req, struct slice body)
{
	const char *text = "Out of memory. Try again.";
	struct address peer = conn_forwarded_peer(c, req);
	struct conn *s = make_longpoll(c, &peer, &text);
	char id[ID_TEXT], json[ID_TEXT + 100];
	int status;

	if (s == NULL) {
		net_count(c->net, NET_LONGPOLL_REFUSED, 1);
		refuse_peer(c, req, HTTP_UNAVAILABLE, text, &peer);
		return;
	}
	status = c->conf->handler->longpoll(s, req, body, &text);
	if (status != 0) {
		refuse_peer(c, req, status, text, &peer);
		conn_kill(s, CONN_END_HTTP);
		return;
	}
	write_poll_id(s, id);
	snprintf(json, sizeof(json), "{\"protocol\":\"%s\",\"transport\":\"%s\"}", text,
		 id);
	/* The handler may have dropped s. */
	if (s->state == CONN_OPENING) {
		conn_open(s, CONN_LONGPOLL);
		net_count(s->net, NET_LONGPOLL_OPENED, 1);
	}
	conn_set_accepted(s);
	answer(c, req, HTTP_OK, "application/json", slice_str(json));
}

static void serve_send(struct conn *c, const struct http_request *req, struct slice body,
		       struct conn *s)
{
	struct longpoll *lp = s->longpoll;

	if (s->state == CONN_OPEN &&
	    (s->unhandled != NULL || conn_must_pause(s) || !TAILQ_EMPTY(&lp->senders))) {
		c->longpoll = lp;
		TAILQ_INSERT_TAIL(&lp->senders, c, side_link);
		wheel_cancel(&c->net->wheel, &c->deadline);
		if (conn_must_pause(s) && !s->stream.paused)
			conn_pause(s);
		return;
	}
	deliver_input(s, body);
	answer_sender(c, req, s);
}

static void serve_receive(struct conn *c, const struct http_request *req, struct conn *s)
{
	/* The client may have lost the connection of its last request, and a message
	 * with it. */
	end_receiver(s, false);
	if (answer_message(c, req, s))
		return;
	if (s->state != CONN_OPEN) {
		answer_no_output(c, req, s);
		return;
	}
	c->longpoll = s->longpoll;
	s->longpoll->receiver = c;
	conn_set_deadline(c, c->conf->poll_answer_ms);
}

static void serve_close(struct conn *c, const struct http_request *req, struct conn *s)
{
	conn_set_end(s, CONN_END_PEER);
	if (s->state == CONN_OPEN)
		conn_set_state(s, CONN_CLOSING);
	answer_empty(c, req);
}

void conn_poll_serve(struct conn *c, const struct http_request *req, struct slice body)
{
	struct slice id_text = slice_of(NULL, 0);
	enum poll_action action = parse_action(req, &id_text);
	uint8_t id[ID_LEN] = {0};
	struct conn *s = NULL;

	if (action >= POLL_SEND && read_poll_id(id_text, id))
		s = find_longpoll(c, id);
	if (action == POLL_PREFLIGHT)
		answer_empty(c, req);
	else if (action == POLL_OPEN)
		serve_open(c, req, body);
	else if (s == NULL)
		answer_gone(c, req);
	else if (action == POLL_SEND)
		serve_send(c, req, body, s);
	else if (action == POLL_RECEIVE)
		serve_receive(c, req, s);
	else
		serve_close(c, req, s);
}
