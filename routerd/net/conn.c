/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adopts, reads, pauses and closes connections, and handles their deadlines; see conn.h.
 * The worker's thread.
 */
#include "routerd/net/conn.h"

#include "common/err.h"
#include "proto/proxy.h"
#include "routerd/net/conn_int.h"

#include <errno.h>
#include <stdlib.h>

void *conn_user(struct conn *c)
{
	return c->user;
}

const struct conn_conf *conn_conf(const struct conn *c)
{
	return c->conf;
}

enum conn_end conn_end(const struct conn *c)
{
	return c->end;
}

const struct tls *conn_tls(const struct conn *c)
{
	return c->stream.tls;
}

/* --- deadlines --- */

/*
 * How long the peer may be silent before it is pinged, or, for long-poll, before the
 * connection is closed; 0: for ever.
 */
static uint32_t ping_interval_ms(const struct conn *c)
{
	if (conn_is_longpoll(c))
		return c->conf->poll_timeout_ms;
	return c->framing == CONN_RAWSOCKET && !c->conf->raw_pings
		       ? 0
		       : c->conf->ping_interval_ms;
}

/* Sets the deadline for the next ping, counted from the last input. */
static void await_silence(struct conn *c)
{
	uint64_t interval = ping_interval_ms(c);
	uint64_t silent = loop_now_ms(c->net->loop) - c->alive_ms;

	conn_set_deadline(c, silent < interval ? interval - silent : 0);
}

/* Starts pings after the handshake, or again after a pause or a hold. */
static void start_pings(struct conn *c)
{
	conn_stop_pings(c);
	if (ping_interval_ms(c) == 0 || c->stream.paused)
		return;
	c->alive_ms = loop_now_ms(c->net->loop);
	await_silence(c);
}

/* The client of a long-poll connection has been silent, or its request still waits. */
static void poll_late(struct conn *c)
{
	if (c->longpoll->receiver != NULL) {
		c->alive_ms = loop_now_ms(c->net->loop);
		await_silence(c);
		return;
	}
	conn_log(c, "connection closed reason=\"%s\" listener=%s peer=%s suppressed=%u",
		 conn_end_str(CONN_END_SILENT), c->conf->name, conn_peer_name(c).text);
	conn_kill(c, CONN_END_SILENT);
}

/*
 * Called when the deadline has passed. Input does not move the deadline, since that would
 * cost time in every read. Instead this function checks when the last input came.
 */
static void silence_passed(struct conn *c)
{
	uint64_t silent = loop_now_ms(c->net->loop) - c->alive_ms;

	if (c->ping_sent) {
		conn_kill(c, CONN_END_PING);
		return;
	}
	if (silent < ping_interval_ms(c)) {
		await_silence(c);
		return;
	}
	if (conn_is_longpoll(c)) {
		poll_late(c);
		return;
	}
	if (!conn_send_ping(c))
		return;
	c->ping_sent = true;
	net_count(c->net, NET_PINGS_OUT, 1);
	conn_set_deadline(c, c->conf->ping_timeout_ms);
}

/* No WELCOME in time. c->left: a session has ended, and no new HELLO has come. */
static void handshake_late(struct conn *c)
{
	enum conn_end end = c->left ? CONN_END_IDLE : CONN_END_HANDSHAKE;

	if (conn_is_shaking(c))
		conn_tls_log(c, "timeout");
	else
		conn_log(c,
			 "connection closed reason=\"%s\" listener=%s peer=%s "
			 "suppressed=%u",
			 conn_end_str(end), c->conf->name, conn_peer_name(c).text);
	conn_set_end(c, end);
	if (c->left)
		conn_close(c, WS_CLOSE_NORMAL, "no new HELLO after GOODBYE");
	else
		/* No clean close, so that the client tries again. */
		conn_kill(c, end);
}

/* The deadline of an HTTP connection has passed. */
static void opening_late(struct conn *c)
{
	uint64_t silent = loop_now_ms(c->net->loop) - c->alive_ms;
	bool writing = !outq_empty(&c->stream.out);

	if (c->longpoll != NULL)
		conn_poll_nothing(c);
	else if (c->asked && writing && silent < c->conf->handshake_ms)
		/* The client still reads a long answer. */
		conn_set_deadline(c, c->conf->handshake_ms);
	else if (c->asked && !writing && c->partial.part == NULL)
		/* No other request has come. */
		conn_kill(c, CONN_END_HTTP);
	else
		handshake_late(c);
}

void conn_deadline_passed(struct wheel_node *node, void *arg)
{
	struct conn *c = container_of(node, struct conn, deadline);

	(void)arg;
	if (c->state == CONN_CLOSING)
		/* conn_set_end has set the reason already. */
		conn_kill(c, CONN_END_LOST);
	else if (c->established)
		silence_passed(c);
	else if (c->state == CONN_OPENING)
		opening_late(c);
	else
		handshake_late(c);
}

/* Records that the peer is alive. */
static void note_peer_alive(struct conn *c)
{
	c->alive_ms = loop_now_ms(c->net->loop);
	if (c->ping_sent && c->state == CONN_OPEN) {
		c->ping_sent = false;
		await_silence(c);
	}
}

/* --- input before the framing is known --- */

/*
 * Does the client use RawSocket? Its first octet says so. Before it has sent one, the
 * answer is yes if the listener has no other framing.
 */
static bool is_raw(const struct conn *c, const struct frame_input *in)
{
	const struct buf *begun = c->partial.part;

	if (!(c->conf->framings & CONN_RAWSOCKET))
		return false;
	if (begun != NULL)
		return begun->data[0] == RAWSOCKET_MAGIC;
	return in->len > 0 ? in->p[0] == RAWSOCKET_MAGIC
			   : !(c->conf->framings & CONN_WEBSOCKET);
}

/*
 * Keeps requests that have come before the last one was answered, and reads no more of
 * them. `from` is as in conn_store_unhandled.
 */
static void keep_requests(struct conn *c, struct frame_input *in,
			  struct conn_unhandled *from)
{
	c->net->hold_rest = slice_of(in->p, 0);
	conn_store_unhandled(c, from, false, in);
	*in = (struct frame_input){NULL, 0};
	c->stream.paused = true;
	conn_arm(c);
}

static void opening_input(struct conn *c, struct frame_input *in,
			  struct conn_unhandled *from)
{
	bool http = (c->conf->framings & CONN_WEBSOCKET) != 0;
	bool first = in->len > 0 && c->partial.part == NULL && !c->asked;
	const char *why = first ? proxy_unexpected(slice_of(in->p, in->len)) : NULL;
	bool has_answer = http && why == NULL;

	if (is_raw(c, in)) {
		conn_raw_input(c, in);
		return;
	}
	if (why == NULL && first && in->p[0] == TLS_FIRST_OCTET)
		why = "TLS on a port without TLS";
	else if (why == NULL && !http)
		why = "no RawSocket handshake";
	if (why != NULL)
		conn_log(c,
			 "protocol error reason=\"%s\" listener=%s peer=%s suppressed=%u",
			 why, c->conf->name, conn_peer_name(c).text);
	if (!has_answer) {
		conn_kill(c, CONN_END_PROTOCOL);
		return;
	}
	/* A client that speaks TLS gets an answer, too: it may tell its user what it is.
	 */
	do {
		if (conn_http_busy(c))
			keep_requests(c, in, from);
		else
			conn_http_input(c, in);
	} while (c->state == CONN_OPENING && in->len > 0);
}

static void opening_refuse(struct conn *c)
{
	const struct frame_input nothing = {NULL, 0};

	if (conn_is_longpoll(c) || conn_is_shaking(c) || c->unproxied)
		/* The request that opens it is refused. TLS cannot carry an answer yet,
		 * or has not begun. */
		conn_kill(c, CONN_END_OWN);
	else if (is_raw(c, &nothing))
		conn_raw_refuse(c, RAWSOCKET_CONNECTIONS, CONN_END_OWN);
	else
		conn_http_answer(c, HTTP_UNAVAILABLE,
				 "The router is not accepting connections.", false,
				 CONN_END_OWN);
}

/* --- reading --- */

/* Called when a pause or a hold has ended. A hold may go on after a pause has ended. */
static void go_on_reading(struct conn *c)
{
	if (c->established && !c->on_hold)
		start_pings(c);
	conn_arm(c);
}

void conn_resume(struct conn *c)
{
	conn_unlist_paused(c);
	go_on_reading(c);
}

static enum frame_event_type next_event(struct conn *c, union conn_partial *partial,
					struct frame_input *in, struct frame_event *ev)
{
	size_t limit = conn_message_limit(c);

	return c->framing == CONN_WEBSOCKET
		       ? ws_next(&partial->ws, in, limit,
				 c->deflates ? &c->net->inflaters : NULL, ev)
		       : rawsocket_next(&partial->part, in, limit, ev);
}

/* Goes on with the message of the reader, and then with the input, later. */
static void go_on_later(struct conn *c, const struct ws_reader *reader,
			const struct frame_input *in, struct conn_unhandled *from)
{
	c->net->hold_rest = slice_of(in->p, 0);
	conn_store_unhandled(c, from, false, in);
	if (c->state != CONN_DEAD)
		conn_pause_inflating(c, ws_reader_wait(reader));
}

/*
 * Handles the frames in *in. `from` is the unhandled input that contains *in, or NULL if
 * it was read just now.
 */
static void read_events(struct conn *c, struct frame_input *in,
			struct conn_unhandled *from)
{
	union conn_partial partial = c->partial;
	struct frame_event ev;
	bool more = true;

	/* The handler may drop c, which frees c->partial. Move it to a local variable, so
	 * that the memory of the message stays valid. */
	c->partial = (union conn_partial){.part = NULL};
	while (more && c->state != CONN_DEAD && !c->finishing && !c->on_hold) {
		switch (next_event(c, &partial, in, &ev)) {
		case FRAME_MORE:
			more = false;
			break;
		case FRAME_MESSAGE:
			if (c->state == CONN_OPEN) {
				net_count(c->net, NET_MESSAGES_IN, 1);
				if (UNLIKELY(c->deflates))
					conn_count_inflated(c, FRAME_MESSAGE, partial.ws,
							    &ev);
				c->conf->handler->message(c, ev.bytes, ev.text);
				if (UNLIKELY(c->on_hold))
					conn_store_unhandled(c, from, ev.text, in);
			}
			break;
		case FRAME_PING:
			conn_send_pong(c, ev.bytes);
			break;
		case FRAME_CLOSE:
			conn_answer_close(c, ev.code);
			break;
		case FRAME_ERROR:
			if (UNLIKELY(c->deflates))
				conn_count_inflated(c, FRAME_ERROR, partial.ws, &ev);
			conn_protocol_error(c, ev.code, ev.why);
			break;
		case FRAME_NOMEM:
			conn_kill(c, CONN_END_NOMEM);
			break;
		case FRAME_LATER:
			go_on_later(c, partial.ws, in, from);
			more = c->state == CONN_DEAD;
			break;
		}
	}
	if (more && !c->on_hold)
		/* c is dead or finishing, so no more input will be read. */
		conn_partial_free(c, &partial);
	c->partial = partial;
}

/* Handles the input that was stored by store_unhandled. */
static void read_unhandled(struct conn *c)
{
	struct conn_unhandled *u = c->unhandled;
	struct slice all = slice_from(buf_slice(&u->bytes), u->at);
	struct frame_input in = {u->bytes.data + u->at + u->message,
				 all.len - u->message};

	/* The handler may drop c, which must not free the memory that the message is
	 * in. */
	c->unhandled = NULL;
	if (u->message > 0 && c->state == CONN_OPEN) {
		c->conf->handler->message(c, slice_of(all.p, u->message), u->text);
		if (c->on_hold)
			conn_store_unhandled(c, u, u->text, &in);
	}
	if (c->state == CONN_OPENING)
		opening_input(c, &in, u);
	/* Do this even if *in is empty: the reader of the framing may still have whole
	 * frames. */
	if (!c->on_hold && c->state != CONN_OPENING && c->state != CONN_DEAD &&
	    !c->finishing)
		read_events(c, &in, u);
	if (c->unhandled != u)
		conn_unhandled_free(&u);
	conn_count_incomplete(c);
}

/* An HTTP client has ended its output. Either it still reads, or it has left. */
static void requests_over(struct conn *c)
{
	if (c->longpoll != NULL)
		conn_poll_half_closed(c);
	if (c->longpoll == NULL && stream_drained(&c->stream)) {
		conn_kill(c, CONN_END_HTTP);
		return;
	}
	/* conn_flush ends the pause when the last answer is written. */
	c->stream.paused = true;
	conn_arm(c);
}

/* Handles an error of stream_read. */
static void read_failed(struct conn *c, int err)
{
	if (err == E_AGAIN) {
		/* TLS may have to wait for its turn, or may have answered. */
		if (UNLIKELY(c->stream.tls != NULL))
			conn_arm(c);
		return;
	}
	if (c->stream.tls != NULL && (err == E_SYNTAX || err == E_LIMIT)) {
		conn_tls_failed(c, err);
		return;
	}
	if (err == E_CLOSED && c->stream.tls != NULL &&
	    c->stream.tls->state == TLS_SHAKING) {
		/* Many clients that do not like the certificate send no alert. */
		conn_tls_log(c, "the client has ended the connection");
		conn_kill(c, CONN_END_TLS);
		return;
	}
	bool eof = err == E_CLOSED && errno == 0;
	bool answers = c->longpoll != NULL || c->asked;

	/* In RawSocket the end of the stream is the only way to close. */
	if (eof && c->framing == CONN_RAWSOCKET)
		conn_kill(c, CONN_END_PEER);
	else if (eof && c->framing == 0 && answers && !c->stream.shut)
		requests_over(c);
	else
		conn_kill(c, err == E_NOMEM ? CONN_END_NOMEM : CONN_END_LOST);
}

static void read_some(struct conn *c)
{
	struct net *n = c->net;
	struct frame_input in;
	size_t got;
	int err;

	if (UNLIKELY(conn_must_pause(c))) {
		conn_pause(c);
		return;
	}
	if (UNLIKELY(c->unhandled != NULL)) {
		read_unhandled(c);
		if (c->stream.tls != NULL)
			conn_arm(c);
		return;
	}
	err = stream_read(n, &c->stream, &got);
	if (UNLIKELY(err != 0)) {
		read_failed(c, err);
		return;
	}
	in = (struct frame_input){n->scratch, got};
	note_peer_alive(c);
	if (c->state == CONN_OPENING)
		opening_input(c, &in, NULL);
	if (c->state != CONN_OPENING && in.len > 0)
		read_events(c, &in, NULL);
	conn_count_incomplete(c);
	if (UNLIKELY(c->stream.tls != NULL))
		conn_arm(c);
}

void conn_go_on_inflating(struct conn *c)
{
	conn_unlist_paused(c);
	if (c->established)
		start_pings(c);
	read_some(c);
	conn_arm(c);
}

void conn_shake(struct conn *c)
{
	read_some(c);
	conn_arm(c);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct net *n = c->net;

	(void)fd;
	budget_reading(&n->budget);
	if ((what & EV_WRITE) != 0) {
		/* The socket was full and is writable again, so the peer is alive. */
		note_peer_alive(c);
		stream_move(n, &c->stream, STREAM_DIRTY);
	}
	if ((what & EV_READ) != 0)
		read_some(c);
	/* Leave further events to the next turn. */
	if (budget_reading_spent(&n->budget))
		event_base_loopbreak(loop_base(n->loop));
}

/* Starts TLS, if the listener has it, and the handshake. */
static void begin_handshake(struct conn *c)
{
	struct net *n = c->net;

	if (c->conf->tls != NULL &&
	    stream_use_tls(n, &c->stream, c->conf->tls, &c->peer) != 0)
		conn_kill(c, CONN_END_NOMEM);
	conn_arm(c);
}

/* Called when bytes of the PROXY header have come. */
static void on_header(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct net *n = c->net;

	(void)fd;
	(void)what;
	budget_reading(&n->budget);
	if (conn_proxy_read(c)) {
		c->unproxied = false;
		stream_set_callback(n, &c->stream, on_event);
		begin_handshake(c);
	}
	if (budget_reading_spent(&n->budget))
		event_base_loopbreak(loop_base(n->loop));
}

/* Closes a connection at once. An answer might need a TLS handshake. */
static void close_at_once(struct net *n, int fd, const struct conn_conf *conf,
			  enum net_counter counter, const char *how, const char *why)
{
	net_count(n, counter, 1);
	net_log(n, LOG_LEVEL_WARN, n->name,
		"connection %s: %s peer=%s listener=%s suppressed=%u", how, why,
		sock_peer_name(fd).text, conf->name);
	sock_close(&fd);
	conn_count_down(conf, false);
}

/*
 * Refuses a connection to a listener for proxies. A peer that has already reset it has
 * only looked whether the port is open.
 */
static void refuse_stranger(struct net *n, int fd, const struct conn_conf *conf,
			    const struct address *peer)
{
	if (peer->family != ADDRESS_UNKNOWN) {
		sock_reset_at_close(fd);
		close_at_once(n, fd, conf, NET_PROXY_STRANGERS, "reset",
			      "not from a proxy");
		return;
	}
	log_debug(n->name, "connection closed by peer at once listener=%s", conf->name);
	net_count(n, NET_END_LOST, 1);
	sock_close(&fd);
	conn_count_down(conf, false);
}

/* NULL if out of memory; then it closes fd. */
static struct conn *adopt(struct net *n, int fd, const struct conn_conf *conf,
			  const struct address *peer)
{
	struct conn *c = conn_new(n, conf);

	if (c == NULL) {
		net_count(n, NET_END_NOMEM, 1);
		net_log(n, LOG_LEVEL_ERROR, n->name,
			"connection refused: out of memory suppressed=%u");
		sock_close(&fd);
		conn_count_down(conf, false);
		return NULL;
	}
	stream_init(n, &c->stream, fd, on_event, c);
	c->peer = *peer;
	return c;
}

struct conn *conn_adopt(struct net *n, int fd, const struct conn_conf *conf)
{
	struct address peer = sock_peer_address(fd);
	const char *why = conf->tls == NULL ? NULL : tls_overload(n, &peer);
	struct conn *c;

	if (conf->n_proxies > 0 && !network_has(conf->proxies, conf->n_proxies, &peer)) {
		refuse_stranger(n, fd, conf, &peer);
		return NULL;
	}
	if (why != NULL) {
		/* No reset: some clients would take it for a failure to connect, and give
		 * up. */
		close_at_once(n, fd, conf, NET_TLS_REFUSED, "closed", why);
		return NULL;
	}
	c = adopt(n, fd, conf, &peer);
	if (c == NULL)
		return NULL;
	if (conf->n_proxies > 0) {
		c->unproxied = true;
		stream_set_callback(n, &c->stream, on_header);
		conn_arm(c);
	} else {
		begin_handshake(c);
	}
	return c;
}

struct conn *conn_adopt_moved(struct net *n, const struct conn_conf *conf,
			      struct conn_moved **moved)
{
	struct conn_moved *m = *moved;
	struct conn *c = adopt(n, m->fd, conf, &m->peer);
	struct tls *t = m->tls;

	*moved = NULL;
	m->fd = -1;
	if (c != NULL) {
		struct frame_input in = {m->bytes->data, m->bytes->len};

		c->proxied = m->proxied;
		c->proxy_ends_tls = m->proxy_ends_tls;
		c->proxy_tls = m->proxy_tls;
		m->proxy_tls = NULL;
		m->tls = NULL;
		if (t != NULL && stream_take_tls(n, &c->stream, t) != 0)
			conn_kill(c, CONN_END_NOMEM);
		n->hold_rest = slice_of(in.p, 0);
		if (c->state != CONN_DEAD)
			conn_store_unhandled(c, NULL, false, &in);
		conn_count_incomplete(c);
		conn_arm(c);
	}
	conn_moved_free(&m);
	return c;
}

/* --- called by the layer above --- */

void conn_established(struct conn *c)
{
	if (c->state != CONN_OPEN || c->established)
		return;
	c->established = true;
	c->left = false;
	if (conn_is_longpoll(c))
		conn_poll_established(c);
	start_pings(c);
}

void conn_left(struct conn *c)
{
	if (c->state != CONN_OPEN || !c->established)
		return;
	c->established = false;
	c->left = true;
	c->ping_sent = false;
	conn_set_deadline(c, c->conf->handshake_ms);
	/* net.paused applies only to established connections. So end the pause: the
	 * next HELLO must be read. */
	if (c->stream.paused)
		conn_resume(c);
}

void conn_restart_handshake(struct conn *c)
{
	if (c->state != CONN_OPEN || !c->left)
		return;
	c->left = false;
	conn_set_deadline(c, c->conf->handshake_ms);
}

void conn_hold(struct conn *c, struct slice rest)
{
	if (c->state != CONN_OPEN)
		return;
	c->on_hold = true;
	/* The caller of `message` stores the rest when the handler returns. */
	c->net->hold_rest = rest;
	conn_stop_pings(c);
}

void conn_release(struct conn *c)
{
	if (!c->on_hold)
		return;
	c->on_hold = false;
	if (c->stream.paused)
		conn_resume(c);
	else
		go_on_reading(c);
}

void conn_join_frames(struct conn *c)
{
	c->stream.out.joins = true;
}

static void sent(struct conn *c, int err, size_t len, unsigned n_messages)
{
	if (conn_queued(c, err, len))
		net_count(c->net, NET_MESSAGES_OUT, n_messages);
}

void conn_send(struct conn *c, struct slice framed)
{
	if (c->state != CONN_OPEN || !conn_accepts(c, framed.len))
		return;
	if (UNLIKELY(c->deflates))
		framed = conn_deflate(c, framed);
	sent(c, outq_push_frame(&c->stream.out, &c->net->out, framed), framed.len, 1);
}

bool conn_half_full(const struct conn *c, size_t len)
{
	size_t half = c->conf->queue_max / 2;
	size_t queued = c->stream.out.memory;

	return queued != 0 && (queued > half || len > half - queued);
}

void conn_send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages)
{
	if (c->state != CONN_OPEN || !conn_accepts(c, framed->len)) {
		shared_buf_unref(&framed);
		return;
	}
	if (UNLIKELY(c->deflates))
		framed = conn_deflate_shared(c, framed);
	size_t len = framed->len;

	sent(c, outq_push_shared(&c->stream.out, &c->net->out, framed), len, n_messages);
}

void conn_close(struct conn *c, uint16_t code, const char *reason)
{
	ASSERT(ws_close_code_ok(code));
	if (c->state == CONN_OPENING)
		opening_refuse(c);
	else if (c->state == CONN_OPEN)
		conn_send_close(c, code, slice_str(reason));
}

void conn_drop(struct conn *c)
{
	conn_kill(c, CONN_END_DROPPED);
}
