/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's life: adopted, read, paused, closed, freed; see conn.h. Thread of its
 * net.
 *
 * CLOSING has two halves. After conn_close a WebSocket stream is still read as frames, to
 * find the peer's Close. Once both sides have said what they will say, or the peer's
 * bytes make no sense any more, it is `finishing`: input is thrown away, and when the
 * queue is empty our direction is shut down. The socket is closed at the peer's end of
 * file, not before: a close with unread input would reset the connection, and the peer
 * would not see our last words. One deadline bounds all of it.
 */
#include "routerd/net/conn.h"

#include "common/err.h"
#include "routerd/net/conn_int.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void on_event(evutil_socket_t fd, short what, void *arg);

/* --- names --- */

const char *conn_end_str(enum conn_end end)
{
	static const char *const text[] = {
		[CONN_END_NONE] = "open",
		[CONN_END_PEER] = "closed by peer",
		[CONN_END_OWN] = "closed by router",
		[CONN_END_DROPPED] = "dropped by router",
		[CONN_END_LOST] = "connection lost",
		[CONN_END_HTTP] = "answered by HTTP",
		[CONN_END_PROTOCOL] = "protocol error",
		[CONN_END_TOO_BIG] = "message too big",
		[CONN_END_HANDSHAKE] = "handshake timeout",
		[CONN_END_PING] = "ping timeout",
		[CONN_END_SLOW] = "slow consumer",
		[CONN_END_BUDGET_OUT] = "over output budget",
		[CONN_END_BUDGET_IN] = "over input budget",
		[CONN_END_NOMEM] = "out of memory",
		[CONN_END_REFUSED] = "handshake refused",
		[CONN_END_IDLE] = "idle after GOODBYE",
	};

	static_assert(ARRAY_LEN(text) == CONN_END_COUNT, "a text for each");
	return text[end];
}

static enum net_counter end_counter(enum conn_end end)
{
	static_assert(NET_END_IDLE - NET_END_PEER == CONN_END_IDLE - CONN_END_PEER,
		      "a counter for each, in the same order");
	return (enum net_counter)(NET_END_PEER + (int)end - CONN_END_PEER);
}

struct conn_prefix conn_prefix(const struct conn *c)
{
	struct conn_prefix p;

	snprintf(p.text, sizeof(p.text), "%s c%llu", c->net->name,
		 (unsigned long long)c->number);
	return p;
}

void *conn_user(struct conn *c)
{
	return c->user;
}

const struct conn_conf *conn_conf(const struct conn *c)
{
	return c->conf;
}

enum conn_state conn_state(const struct conn *c)
{
	return c->state;
}

enum conn_end conn_end(const struct conn *c)
{
	return c->end;
}

size_t conn_send_max(const struct conn *c)
{
	return c->raw_send_log == 0 ? SIZE_MAX : (size_t)1 << c->raw_send_log;
}

struct sock_name conn_peer_name(const struct conn *c)
{
	return sock_peer_name(c->fd);
}

/* --- states --- */

static bool allowed(enum conn_state from, enum conn_state to)
{
	static const bool table[CONN_STATE_COUNT][CONN_STATE_COUNT] = {
		[CONN_OPENING] =
			{[CONN_OPEN] = true, [CONN_CLOSING] = true, [CONN_DEAD] = true},
		[CONN_OPEN] = {[CONN_CLOSING] = true, [CONN_DEAD] = true},
		[CONN_CLOSING] = {[CONN_DEAD] = true},
	};

	return table[from][to];
}

/* No message goes up any more: `closed` is called at the end of the turn. */
static void leave_open(struct conn *c)
{
	struct net *n = c->net;

	if (c->paused)
		TAILQ_REMOVE(&n->paused_conns, c, side_link);
	c->paused = false;
	if (c->owes_closed)
		TAILQ_INSERT_TAIL(&n->left, c, side_link);
}

/*
 * A client must not take an end of ours in the middle of its login for a goodbye: close()
 * then resets the connection.
 */
static void reset_at_close(struct conn *c)
{
	const struct linger now = {.l_onoff = 1};

	if (c->protocol->eof_is_goodbye && !c->established && !c->shut &&
	    c->end != CONN_END_PEER && c->end != CONN_END_LOST)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void release(struct conn *c)
{
	reset_at_close(c);
	wheel_cancel(&c->net->wheel, &c->deadline);
	event_del(&c->ev);
	conn_out_fini(c);
	c->protocol->held_free(c);
	conn_count_incomplete(c);
}

void conn_set_state(struct conn *c, enum conn_state to)
{
	enum conn_state from = c->state;
	struct net *n = c->net;

	ASSERT(allowed(from, to));
	TAILQ_REMOVE(&n->by_state[from], c, state_link);
	TAILQ_INSERT_TAIL(&n->by_state[to], c, state_link);
	c->state = (uint8_t)to;
	if (from == CONN_OPEN)
		leave_open(c);

	switch (to) {
	case CONN_OPENING:
	case CONN_STATE_COUNT:
		break;
	case CONN_OPEN:
		/* the handshake's deadline goes on */
		net_count(n, NET_UPGRADED, 1);
		break;
	case CONN_CLOSING:
		net_set_deadline(n, c, c->conf->close_ms);
		conn_arm(c);
		break;
	case CONN_DEAD:
		release(c);
		break;
	}
}

void conn_set_end(struct conn *c, enum conn_end end)
{
	if (c->end != CONN_END_NONE)
		return;
	c->end = (uint8_t)end;
	net_count(c->net, end_counter(end), 1);
}

void conn_kill(struct conn *c, enum conn_end end)
{
	if (c->state == CONN_DEAD)
		return;
	conn_set_end(c, end);
	conn_set_state(c, CONN_DEAD);
}

void conn_open(struct conn *c, const struct conn_protocol *protocol)
{
	ASSERT(c->part == NULL);
	c->protocol = protocol;
	conn_set_state(c, CONN_OPEN);
}

void conn_owe_closed(struct conn *c)
{
	c->owes_closed = true;
	/* it may have been closed meanwhile, or for want of memory */
	if (c->state != CONN_OPEN)
		TAILQ_INSERT_TAIL(&c->net->left, c, side_link);
}

void conn_finish(struct conn *c)
{
	c->finishing = true;
	if (c->shut || !outq_empty(&c->out))
		return;
	c->shut = true;
	if (shutdown(c->fd, SHUT_WR) == -1)
		conn_kill(c, CONN_END_LOST);
}

void conn_arm(struct conn *c)
{
	short want = 0;

	if (!c->paused)
		want |= EV_READ;
	if (c->out_list == OUT_BLOCKED)
		want |= EV_WRITE;
	if (want == c->armed || c->state == CONN_DEAD)
		return;
	event_del(&c->ev);
	c->armed = want;
	if (want == 0)
		return;
	event_assign(&c->ev, loop_base(c->net->loop), c->fd, (short)(want | EV_PERSIST),
		     on_event, c);
	if (event_add(&c->ev, NULL) != 0)
		conn_kill(c, CONN_END_NOMEM);
}

/* --- birth and death --- */

static void count_down(const struct conn_conf *conf)
{
	if (conf->live != NULL)
		atomic_fetch_sub_explicit(conf->live, 1, memory_order_relaxed);
}

struct conn *conn_adopt(struct net *n, int fd, const struct conn_conf *conf,
			const struct conn_handler *handler)
{
	struct conn *c = calloc(1, sizeof(*c) + handler->user_size);

	if (c == NULL) {
		log_error(n->name, "connection refused: out of memory");
		sock_close(&fd);
		count_down(conf);
		return NULL;
	}
	c->net = n;
	c->conf = conf;
	c->handler = handler;
	c->number = ++n->last_number;
	c->fd = fd;
	c->life_ms = loop_now_ms(n->loop);
	c->state = CONN_OPENING;
	c->protocol = &conn_opening;
	TAILQ_INSERT_TAIL(&n->by_state[CONN_OPENING], c, state_link);
	n->conns++;
	net_count(n, NET_ADOPTED, 1);
	event_assign(&c->ev, loop_base(n->loop), fd, EV_READ | EV_PERSIST, on_event, c);
	net_set_deadline(n, c, conf->handshake_ms);
	conn_arm(c);
	return c;
}

void conn_free(struct conn *c)
{
	struct net *n = c->net;

	ASSERT(c->state == CONN_DEAD && !c->owes_closed);
	TAILQ_REMOVE(&n->by_state[CONN_DEAD], c, state_link);
	sock_close(&c->fd);
	count_down(c->conf);
	n->conns--;
	net_count(n, NET_FREED, 1);
	free(c);
}

/* --- deadlines --- */

/* The next ping, counted from the last sign of life. */
static void await_silence(struct conn *c)
{
	uint64_t interval = c->protocol->ping_interval_ms(c->conf);
	uint64_t silent = loop_now_ms(c->net->loop) - c->life_ms;

	net_set_deadline(c->net, c, silent < interval ? interval - silent : 0);
}

/* From the beginning: established, or resumed after a pause. */
static void start_pings(struct conn *c)
{
	wheel_cancel(&c->net->wheel, &c->deadline);
	if (c->protocol->ping_interval_ms(c->conf) == 0)
		return;
	c->ping_sent = false;
	c->life_ms = loop_now_ms(c->net->loop);
	await_silence(c);
}

/*
 * The interval passed since the deadline was set. Input does not move it, which would
 * cost something for every read; it is looked at here instead.
 */
static void silence_passed(struct conn *c)
{
	uint64_t silent = loop_now_ms(c->net->loop) - c->life_ms;

	if (c->ping_sent) {
		conn_kill(c, CONN_END_PING);
		return;
	}
	if (silent < c->protocol->ping_interval_ms(c->conf)) {
		await_silence(c);
		return;
	}
	if (!c->protocol->say_ping(c))
		return;
	c->ping_sent = true;
	net_count(c->net, NET_PINGS_OUT, 1);
	net_set_deadline(c->net, c, c->conf->ping_timeout_ms);
}

static void log_late(struct conn *c, enum conn_end end)
{
	unsigned dropped;

	if (net_may_log(c->net, &dropped))
		log_info(conn_prefix(c).text, "closed: %s listener=%s more=%u",
			 conn_end_str(end), c->conf->name, dropped);
}

/* No handshake in time, be it the first or one after conn_left. */
static void handshake_late(struct conn *c)
{
	enum conn_end end = c->left ? CONN_END_IDLE : CONN_END_HANDSHAKE;
	bool to_blame = c->state == CONN_OPEN &&
			(c->handler->to_blame == NULL || c->handler->to_blame(c));

	log_late(c, end);
	conn_set_end(c, end);
	if (c->left)
		conn_close(c, WS_CLOSE_NORMAL, "no new HELLO after GOODBYE");
	else if (to_blame)
		conn_close(c, WS_CLOSE_POLICY, conn_end_str(end));
	else
		conn_kill(c, end);
}

void conn_deadline_passed(struct conn *c)
{
	switch ((enum conn_state)c->state) {
	case CONN_OPENING:
		handshake_late(c);
		break;
	case CONN_OPEN:
		if (c->established)
			silence_passed(c);
		else
			handshake_late(c);
		break;
	case CONN_CLOSING:
		conn_kill(c, CONN_END_LOST); /* the reason is known already */
		break;
	case CONN_DEAD:
	case CONN_STATE_COUNT:
		break;
	}
}

static void sign_of_life(struct conn *c)
{
	c->life_ms = loop_now_ms(c->net->loop);
	if (c->ping_sent && c->state == CONN_OPEN) {
		c->ping_sent = false;
		await_silence(c);
	}
}

/* --- reading --- */

void conn_count_incomplete(struct conn *c)
{
	struct net *n = c->net;
	size_t was = c->incomplete_bytes;
	size_t is = c->protocol->held_memory(c);

	if (is == was)
		return;
	n->incomplete_bytes = n->incomplete_bytes - was + is;
	c->incomplete_bytes = (uint32_t)is;
	if (was == 0)
		TAILQ_INSERT_TAIL(&n->incomplete, c, incomplete_link);
	else if (is == 0)
		TAILQ_REMOVE(&n->incomplete, c, incomplete_link);
}

/* Pings stand still. */
static void pause_reading(struct conn *c)
{
	c->paused = true;
	TAILQ_INSERT_TAIL(&c->net->paused_conns, c, side_link);
	wheel_cancel(&c->net->wheel, &c->deadline);
	c->ping_sent = false;
	net_count(c->net, NET_PAUSES, 1);
	conn_arm(c);
}

void conn_resume(struct conn *c)
{
	c->paused = false;
	TAILQ_REMOVE(&c->net->paused_conns, c, side_link);
	if (c->established)
		start_pings(c);
	conn_arm(c);
}

static void read_some(struct conn *c)
{
	struct net *n = c->net;
	struct slice bytes;
	size_t got;
	int err;

	if (n->paused && c->established && c->state == CONN_OPEN) {
		pause_reading(c);
		return;
	}
	err = sock_read(c->fd, n->scratch, NET_SCRATCH, &got);
	if (err == E_AGAIN)
		return;
	if (err != 0) {
		bool eof = err == E_CLOSED && errno == 0;

		conn_kill(c, eof ? c->protocol->end_of_file : CONN_END_LOST);
		return;
	}
	bytes = slice_of(n->scratch, got);
	net_count(n, NET_BYTES_IN, got);
	sign_of_life(c);
	if (!c->finishing)
		c->protocol->input(c, bytes);
	conn_count_incomplete(c);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct net *n = c->net;

	(void)fd;
	net_turn_begin(n);
	if ((what & EV_WRITE) != 0) {
		/* it took something from a full buffer, so somebody is there */
		sign_of_life(c);
		conn_mark_dirty(c);
	}
	if ((what & EV_READ) != 0)
		read_some(c);
	net_turn_check(n);
}

/* --- what the stream says --- */

size_t conn_message_limit(const struct conn *c)
{
	const struct conn_conf *conf = c->conf;

	if (c->established)
		return conf->message_max;
	return min_size(conf->early_message_max, conf->message_max);
}

void conn_message(struct conn *c, struct slice bytes, bool text)
{
	if (c->state == CONN_OPEN) {
		net_count(c->net, NET_MESSAGES_IN, 1);
		c->handler->message(c, bytes, text);
	}
}

void conn_log_error(struct conn *c, const char *why)
{
	unsigned dropped;

	if (c->state == CONN_OPEN && net_may_log(c->net, &dropped))
		log_info(conn_prefix(c).text, "protocol error: %s listener=%s more=%u",
			 why, c->conf->name, dropped);
}

/* --- from above --- */

void conn_established(struct conn *c)
{
	if (c->state != CONN_OPEN || c->established)
		return;
	c->established = true;
	c->left = false;
	start_pings(c);
}

void conn_left(struct conn *c)
{
	if (c->state != CONN_OPEN || !c->established)
		return;
	c->established = false;
	c->left = true;
	c->ping_sent = false;
	net_set_deadline(c->net, c, c->conf->handshake_ms);
	if (c->paused)
		conn_resume(c);
}

void conn_restart_handshake(struct conn *c)
{
	if (c->state != CONN_OPEN || !c->left)
		return;
	c->left = false;
	net_set_deadline(c->net, c, c->conf->handshake_ms);
}

void conn_close(struct conn *c, uint16_t code, const char *reason)
{
	ASSERT(ws_close_code_ok(code));
	if (c->state == CONN_OPENING || c->state == CONN_OPEN)
		c->protocol->say_close(c, code, slice_str(reason));
}

void conn_drop(struct conn *c)
{
	conn_kill(c, CONN_END_DROPPED);
}
