/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a connection, how it ends, and its queue; see conn_int.h. The worker's
 * thread.
 *
 * CLOSING has two parts. After conn_close a WebSocket stream is still parsed, to find the
 * peer's Close. When both sides have sent their last frame, or the peer's input is
 * invalid, the connection is `finishing`: input is discarded, and when the queue is empty
 * the output is shut down. The socket is closed only at the peer's end of file: closing a
 * socket with unread input would reset the connection, and the peer might lose the
 * router's last output. One deadline covers all of this.
 */
#include "routerd/net/conn_int.h"

#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>

/* --- names --- */

const char *conn_end_str(enum conn_end end)
{
	static const char *const text[] = {[CONN_END_NONE] = "open",
#define X(id, words, name, help) [CONN_END_##id] = words,
					   CONN_ENDS(X)
#undef X
	};

	return text[end];
}

struct conn_prefix conn_prefix(const struct conn *c)
{
	struct conn_prefix p;

	snprintf(p.text, sizeof(p.text), "%s c%llu", c->net->name,
		 (unsigned long long)c->number);
	return p;
}

struct sock_name conn_peer_name(const struct conn *c)
{
	return sock_address_name(&c->peer);
}

bool conn_is_longpoll(const struct conn *c)
{
	return c->framing == CONN_LONGPOLL;
}

size_t conn_send_max(const struct conn *c)
{
	return c->raw_send_log == 0 ? SIZE_MAX : (size_t)1 << c->raw_send_log;
}

/* --- incomplete input --- */

bool conn_add_partial(struct conn *c, struct slice bytes, size_t max)
{
	if (c->partial.part == NULL) {
		c->partial.part = buf_new(max);
		if (c->partial.part == NULL)
			return false;
	}
	buf_put_slice(c->partial.part, bytes);
	return c->partial.part->err == 0;
}

void conn_partial_free(const struct conn *c, union conn_partial *partial)
{
	if (c->framing == CONN_WEBSOCKET)
		ws_reader_free(&partial->ws);
	else
		buf_free(&partial->part);
}

void conn_unhandled_free(struct conn_unhandled **unhandled)
{
	struct conn_unhandled *u = *unhandled;

	*unhandled = NULL;
	if (u == NULL)
		return;
	buf_fini(&u->bytes);
	free(u);
}

void conn_count_incomplete(struct conn *c)
{
	struct net *n = c->net;
	const struct buf *part = c->partial.part;
	size_t was = c->incomplete_bytes;
	size_t is = c->framing == CONN_WEBSOCKET ? ws_reader_memory(c->partial.ws)
		    : part == NULL               ? 0
						 : sizeof(*part) + part->cap;

	if (c->unhandled != NULL)
		is += sizeof(*c->unhandled) + c->unhandled->bytes.cap;
	if (is == was)
		return;
	n->incomplete_bytes = n->incomplete_bytes - was + is;
	c->incomplete_bytes = (uint32_t)is;
	if (was == 0)
		TAILQ_INSERT_TAIL(&n->incomplete, c, incomplete_link);
	else if (is == 0)
		TAILQ_REMOVE(&n->incomplete, c, incomplete_link);
}

void conn_store_unhandled(struct conn *c, struct conn_unhandled *from, bool text,
			  const struct frame_input *behind)
{
	struct slice rest = c->net->hold_rest;
	struct conn_unhandled *u = from;

	/* In `from` both are adjacent, unless the message was fragmented. */
	if (u != NULL && rest.p + rest.len == behind->p) {
		u->at = (size_t)(rest.p - u->bytes.data);
	} else {
		u = calloc(1, sizeof(*u));
		if (u == NULL) {
			conn_kill(c, CONN_END_NOMEM);
			return;
		}
		buf_init(&u->bytes, SIZE_MAX / 2);
		buf_reserve_exactly(&u->bytes, rest.len + behind->len);
		buf_put_slice(&u->bytes, rest);
		buf_put(&u->bytes, behind->p, behind->len);
	}
	u->message = rest.len;
	u->text = text;
	c->unhandled = u;
	if (u->bytes.err != 0)
		conn_kill(c, CONN_END_NOMEM);
}

size_t conn_message_limit(const struct conn *c)
{
	const struct conn_conf *conf = c->conf;
	size_t limit = c->established
			       ? conf->message_max
			       : min_size(conf->early_message_max, conf->message_max);

	if (c->framing == CONN_RAWSOCKET)
		return min_size(limit, (size_t)1 << c->raw_recv_log);
	/* After conn_close, skip messages and wait for the peer's Close. */
	return c->state == CONN_OPEN ? limit : WS_DISCARD;
}

/* --- states --- */

struct conn *conn_new(struct net *n, const struct conn_conf *conf)
{
	struct conn *c = calloc(1, sizeof(*c) + conf->handler->user_size);

	if (c == NULL)
		return NULL;
	c->net = n;
	c->conf = conf;
	c->number = ++n->last_number;
	c->alive_ms = loop_now_ms(n->loop);
	c->state = CONN_OPENING;
	TAILQ_INSERT_TAIL(&n->by_state[CONN_OPENING], c, state_link);
	n->conns++;
	net_count(n, NET_ADOPTED, 1);
	c->stream.fd = -1;
	conn_set_deadline(c, conf->handshake_ms);
	return c;
}

void conn_wait_over(struct conn *c)
{
	struct longpoll *lp = c->longpoll;

	c->longpoll = NULL;
	if (lp->receiver == c)
		lp->receiver = NULL;
	else
		TAILQ_REMOVE(&lp->senders, c, side_link);
}

/* The framing is known now, or c has ended. */
static void leave_opening(struct conn *c)
{
	if (c->longpoll != NULL && !conn_is_longpoll(c))
		conn_wait_over(c);
	c->stream.paused = false;
}

/* No more messages are delivered. `closed` is called at the end of the turn. */
static void leave_open(struct conn *c)
{
	struct net *n = c->net;

	if (c->stream.paused)
		conn_unlist_paused(c);
	c->on_hold = false;
	if (c->closed_due)
		TAILQ_INSERT_TAIL(&n->left, c, side_link);
}

static void release(struct conn *c)
{
	/* A RawSocket client takes a plain end of file for a clean close. During a
	 * login that would be wrong, so reset the connection. */
	if (c->framing == CONN_RAWSOCKET && !c->established && !c->stream.shut &&
	    c->end != CONN_END_PEER && c->end != CONN_END_LOST)
		sock_reset_at_close(c->stream.fd);
	wheel_cancel(&c->net->wheel, &c->deadline);
	stream_release(c->net, &c->stream);
	conn_partial_free(c, &c->partial);
	conn_unhandled_free(&c->unhandled);
	conn_count_incomplete(c);
}

void conn_set_state(struct conn *c, enum conn_state to)
{
	enum conn_state from = c->state;
	struct net *n = c->net;

	/* States only advance; some may be skipped. */
	ASSERT(from < to);
	TAILQ_REMOVE(&n->by_state[from], c, state_link);
	TAILQ_INSERT_TAIL(&n->by_state[to], c, state_link);
	c->state = (uint8_t)to;
	if (from == CONN_OPENING)
		leave_opening(c);
	else if (from == CONN_OPEN)
		leave_open(c);
	if (to == CONN_CLOSING) {
		conn_set_deadline(c, c->conf->close_ms);
		conn_arm(c);
		if (conn_is_longpoll(c))
			/* Answer the requests that wait. */
			stream_move(n, &c->stream, STREAM_DIRTY);
	} else if (to == CONN_DEAD) {
		release(c);
	}
}

void conn_set_end(struct conn *c, enum conn_end end)
{
	if (c->end != CONN_END_NONE)
		return;
	c->end = (uint8_t)end;
	/* Ends and their counters have the same order, that of CONN_ENDS. */
	net_count(c->net, NET_END_PEER + (end - CONN_END_PEER), 1);
}

void conn_kill(struct conn *c, enum conn_end end)
{
	if (c->state == CONN_DEAD)
		return;
	conn_set_end(c, end);
	conn_set_state(c, CONN_DEAD);
}

void conn_open(struct conn *c, unsigned framing)
{
	ASSERT(c->partial.part == NULL);
	c->framing = (uint8_t)framing;
	/* The handshake's deadline stays. */
	conn_set_state(c, CONN_OPEN);
	net_count(c->net, NET_UPGRADED, 1);
}

void conn_set_accepted(struct conn *c)
{
	c->closed_due = true;
	/* leave_open does this when c leaves OPEN. If c is not OPEN now, it never will
	 * be, so do this here. */
	if (c->state != CONN_OPEN)
		TAILQ_INSERT_TAIL(&c->net->left, c, side_link);
}

void conn_finish(struct conn *c)
{
	c->finishing = true;
	if (!c->stream.shut && stream_drained(&c->stream) &&
	    stream_shutdown(c->net, &c->stream) != 0)
		conn_kill(c, CONN_END_LOST);
}

void conn_answer_and_close(struct conn *c, struct slice words, enum conn_end end)
{
	conn_set_end(c, end);
	if (conn_push(c, words)) {
		conn_set_state(c, CONN_CLOSING);
		conn_finish(c);
	}
}

void conn_count_down(const struct conn_conf *conf, bool longpoll)
{
	if (conf->live == NULL)
		return;
	atomic_fetch_sub_explicit(conf->live, 1, memory_order_relaxed);
	if (longpoll)
		atomic_fetch_sub_explicit(conf->live_polls, 1, memory_order_relaxed);
}

void conn_free(struct conn *c)
{
	struct net *n = c->net;

	ASSERT(c->state == CONN_DEAD && !c->closed_due);
	TAILQ_REMOVE(&n->by_state[CONN_DEAD], c, state_link);
	sock_close(&c->stream.fd);
	if (c->end != CONN_END_MOVED)
		conn_count_down(c->conf, conn_is_longpoll(c));
	n->conns--;
	net_count(n, NET_FREED, 1);
	free(c->proxy_tls);
	free(c);
}

/*
 * A hold usually ends before more input arrives, so the connection pauses only when there
 * is input to read.
 */
bool conn_must_pause(const struct conn *c)
{
	return c->on_hold || (c->net->paused && c->established && c->state == CONN_OPEN);
}

static void pause_in(struct conn *c, struct conn_list *list)
{
	c->stream.paused = true;
	TAILQ_INSERT_TAIL(list, c, side_link);
	if (c->established)
		conn_stop_pings(c);
	conn_arm(c);
}

void conn_pause(struct conn *c)
{
	if (!c->on_hold)
		net_count(c->net, NET_PAUSES, 1);
	pause_in(c, &c->net->paused_conns);
}

void conn_pause_inflating(struct conn *c, enum ws_wait wait)
{
	c->inflating = true;
	c->wait = (uint8_t)wait;
	pause_in(c, &c->net->inflating[wait]);
}

void conn_unlist_paused(struct conn *c)
{
	struct net *n = c->net;

	TAILQ_REMOVE(c->inflating ? &n->inflating[c->wait] : &n->paused_conns, c,
		     side_link);
	c->inflating = false;
	c->stream.paused = false;
}

void conn_stop_pings(struct conn *c)
{
	wheel_cancel(&c->net->wheel, &c->deadline);
	c->ping_sent = false;
}

/* --- deadlines --- */

void conn_set_deadline(struct conn *c, uint64_t after_ms)
{
	struct net *n = c->net;
	uint64_t due = loop_now_ms(n->loop) + after_ms;

	/* The last millisecond of a step, so that the timer fires when the step ends. */
	due += NET_DEADLINE_STEP_MS - 1 - due % NET_DEADLINE_STEP_MS;
	wheel_set(&n->wheel, &c->deadline, due);
	net_tick_by(n, due + 1);
}

/* --- the queue --- */

/* Is there input that no event of the socket will announce? */
static bool has_more_input(const struct conn *c)
{
	return c->unhandled != NULL ||
	       (conn_is_longpoll(c) && !TAILQ_EMPTY(&c->longpoll->senders)) ||
	       (c->stream.tls != NULL && tls_is_over(c->stream.tls));
}

void conn_arm(struct conn *c)
{
	if (c->state == CONN_DEAD)
		return;
	if (!conn_is_longpoll(c) && stream_arm(c->net, &c->stream) != 0)
		conn_kill(c, CONN_END_NOMEM);
	else if (UNLIKELY(has_more_input(c)) && !c->on_hold && !c->stream.paused)
		/* Call on_event in the next turn as if the socket were readable. Do this
		 * in every call: stream_arm may have canceled an earlier activation. */
		event_active(&c->stream.ev, EV_READ, 0);
}

/* Ends the connection of a client that reads too slowly. */
static NOINLINE void kill_slow(struct conn *c)
{
	conn_log(c,
		 "connection closed reason=\"slow consumer\" listener=%s peer=%s "
		 "queued=%zu suppressed=%u",
		 c->conf->name, conn_peer_name(c).text, c->stream.out.memory);
	conn_kill(c, CONN_END_SLOW);
}

bool conn_accepts(struct conn *c, size_t len)
{
	size_t limit = c->conf->queue_max;
	size_t queued = c->stream.out.memory;

	/* An empty queue accepts a message of any size: otherwise it could never be
	 * sent. */
	if (queued == 0 || (queued <= limit && len <= limit - queued))
		return true;
	kill_slow(c);
	return false;
}

bool conn_queued(struct conn *c, int err, size_t len)
{
	if (err == 0)
		stream_queued(c->net, &c->stream, len);
	else
		conn_kill(c, CONN_END_NOMEM);
	return err == 0;
}

bool conn_push(struct conn *c, struct slice bytes)
{
	return conn_queued(c, outq_push(&c->stream.out, &c->net->out, bytes), bytes.len);
}

void conn_flush(struct conn *c)
{
	int err = stream_flush(c->net, &c->stream);

	if (err != 0) {
		conn_kill(c, err == E_NOMEM ? CONN_END_NOMEM : CONN_END_LOST);
		return;
	}
	/* The last request is answered, so go on with the next, or with the end of input.
	 */
	if (c->state != CONN_OPEN && c->stream.list == STREAM_IDLE && c->longpoll == NULL)
		c->stream.paused = false;
	conn_arm(c);
	/* The last output is written, so shut down now. */
	if (c->finishing && c->stream.list == STREAM_IDLE)
		conn_finish(c);
}
