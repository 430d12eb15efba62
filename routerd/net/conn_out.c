/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection writes: queueing, flushing at the end of the turn, limits. A
 * connection with a non-empty queue is in net.dirty (to be written in this turn), in
 * net.again (in the next one) or in net.blocked (the kernel took no more; EV_WRITE is
 * armed). Thread of its net.
 */
#include "common/err.h"
#include "routerd/net/conn_int.h"

enum { FLUSH_ROUNDS = 4 }; /* writes of one connection in one turn */

static struct conn_list *list_of(struct net *n, enum out_list which)
{
	if (which == OUT_DIRTY)
		return &n->dirty;
	return which == OUT_AGAIN ? &n->again : &n->blocked;
}

static void move_to(struct conn *c, enum out_list to)
{
	struct net *n = c->net;

	if (c->out_list == to)
		return;
	if (c->out_list != OUT_NONE)
		TAILQ_REMOVE(list_of(n, c->out_list), c, out_link);
	c->out_list = (uint8_t)to;
	if (to != OUT_NONE)
		TAILQ_INSERT_TAIL(list_of(n, to), c, out_link);
}

void conn_mark_dirty(struct conn *c)
{
	move_to(c, OUT_DIRTY);
}

void conn_out_fini(struct conn *c)
{
	move_to(c, OUT_NONE);
	outq_fini(&c->out, &c->net->out);
}

/* One that waits for its socket is not tried again before that is writable. */
static void pushed(struct conn *c, size_t bytes)
{
	c->net->turn_queued += bytes;
	if (c->out_list == OUT_NONE) {
		c->net->turn_dirty++;
		move_to(c, OUT_DIRTY);
	}
}

static bool after_push(struct conn *c, int err, size_t bytes)
{
	if (err != 0) {
		conn_kill(c, CONN_END_NOMEM);
		return false;
	}
	pushed(c, bytes);
	return true;
}

bool conn_push(struct conn *c, struct slice bytes)
{
	return after_push(c, outq_push(&c->out, &c->net->out, bytes), bytes.len);
}

void conn_join_frames(struct conn *c)
{
	c->out.joins = true;
}

static void log_slow(struct conn *c)
{
	unsigned dropped;

	if (net_may_log(c->net, &dropped))
		log_info(conn_prefix(c).text,
			 "slow consumer closed listener=%s queued=%zu more=%u",
			 c->conf->name, c->out.memory, dropped);
}

bool conn_accepts(struct conn *c, size_t len)
{
	size_t limit = c->conf->queue_max;
	size_t queued = c->out.memory;

	/* an empty queue takes one of any size, or it could never be sent */
	if (queued == 0 || (queued <= limit && len <= limit - queued))
		return true;
	log_slow(c);
	conn_kill(c, CONN_END_SLOW);
	return false;
}

void conn_send(struct conn *c, struct slice framed)
{
	if (c->state != CONN_OPEN || !conn_accepts(c, framed.len))
		return;
	if (after_push(c, outq_push_frame(&c->out, &c->net->out, framed), framed.len))
		net_count(c->net, NET_MESSAGES_OUT, 1);
}

void conn_send_shared(struct conn *c, struct shared_buf *framed, unsigned n_messages)
{
	size_t len = framed->len;

	if (c->state != CONN_OPEN || !conn_accepts(c, len)) {
		shared_buf_unref(&framed);
		return;
	}
	if (after_push(c, outq_push_shared(&c->out, &c->net->out, framed), len))
		net_count(c->net, NET_MESSAGES_OUT, n_messages);
}

/* Everything is written. */
static void drained(struct conn *c)
{
	move_to(c, OUT_NONE);
	conn_arm(c);
	if (c->finishing)
		conn_finish(c);
}

static void blocked(struct conn *c)
{
	move_to(c, OUT_BLOCKED);
	conn_arm(c);
}

void conn_flush(struct conn *c)
{
	struct iovec iov[OUTQ_IOV_MAX];
	struct net *n = c->net;

	for (int round = 0; round < FLUSH_ROUNDS; round++) {
		size_t want, put;
		int n_iov = outq_peek(&c->out, iov, OUTQ_IOV_MAX, &want);
		int err;

		if (n_iov == 0) {
			drained(c);
			return;
		}
		err = sock_writev(c->fd, iov, n_iov, &put);
		net_count(n, NET_WRITES, 1);
		if (err == E_AGAIN) {
			blocked(c);
			return;
		}
		if (err != 0) {
			conn_kill(c, CONN_END_LOST);
			return;
		}
		net_count(n, NET_BYTES_OUT, put);
		outq_consume(&c->out, &n->out, put);
		if (put < want) {
			blocked(c); /* the kernel's buffer is full */
			return;
		}
	}
	if (outq_empty(&c->out))
		drained(c);
	else
		move_to(c, OUT_AGAIN);
}
