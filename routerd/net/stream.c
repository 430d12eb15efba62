/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes sockets; see stream.h. The worker's thread. */
#include "routerd/net/stream.h"

#include "common/err.h"
#include "common/sock.h"
#include "routerd/net/net.h"

#include <sys/socket.h>

enum {
	FLUSH_ROUNDS = 4, /* writes per stream and turn */
	TLS_FLUSH_ROUNDS = 3,
};

void stream_init(struct net *n, struct stream *s, int fd, event_callback_fn cb, void *arg)
{
	s->fd = fd;
	event_assign(&s->ev, loop_base(n->loop), fd, EV_READ | EV_PERSIST, cb, arg);
}

void stream_set_callback(struct net *n, struct stream *s, event_callback_fn cb)
{
	event_del(&s->ev);
	s->armed = 0;
	stream_init(n, s, s->fd, cb, event_get_callback_arg(&s->ev));
}

int stream_use_tls(struct net *n, struct stream *s, const struct tls_context *context,
		   const struct address *peer)
{
	s->tls = tls_new(n, s, context, peer);
	return s->tls == NULL ? E_NOMEM : 0;
}

int stream_take_tls(struct net *n, struct stream *s, struct tls *t)
{
	if (tls_attach(n, t, s, &s->out) != 0) {
		tls_drop(&t);
		return E_NOMEM;
	}
	s->tls = t;
	if (tls_has_output(t, &s->out))
		stream_move(n, s, STREAM_DIRTY);
	return 0;
}

int stream_arm(struct net *n, struct stream *s)
{
	short want = 0;

	if (!s->paused && (s->tls == NULL || !tls_must_wait(s->tls)))
		want |= EV_READ;
	if (s->list == STREAM_BLOCKED)
		want |= EV_WRITE;
	/* Changing a registration costs system calls, so skip it if nothing changes. */
	if (want == s->armed)
		return 0;
	event_del(&s->ev);
	s->armed = want;
	if (want == 0)
		return 0;
	event_assign(&s->ev, loop_base(n->loop), s->fd, (short)(want | EV_PERSIST),
		     event_get_callback(&s->ev), event_get_callback_arg(&s->ev));
	return event_add(&s->ev, NULL) == 0 ? 0 : E_NOMEM;
}

void stream_move(struct net *n, struct stream *s, enum stream_list to)
{
	if (s->list == to)
		return;
	if (s->list != STREAM_IDLE)
		TAILQ_REMOVE(&n->streams[s->list], s, link);
	s->list = (uint8_t)to;
	if (to != STREAM_IDLE)
		TAILQ_INSERT_TAIL(&n->streams[to], s, link);
}

static NOINLINE int read_tls(struct net *n, struct stream *s, size_t *got_out)
{
	int err = tls_read(n, s->tls, &s->out, got_out);

	/* Reading can produce output, such as an alert or a handshake message. */
	if (s->list == STREAM_IDLE && s->tls->left != NULL)
		stream_move(n, s, STREAM_DIRTY);
	return err;
}

int stream_read(struct net *n, struct stream *s, size_t *got_out)
{
	if (UNLIKELY(s->tls != NULL))
		return read_tls(n, s, got_out);
	int err = sock_read(s->fd, n->scratch, NET_SCRATCH, got_out);

	if (err == 0)
		net_count(n, NET_BYTES_IN, *got_out);
	return err;
}

void stream_queued(struct net *n, struct stream *s, size_t bytes)
{
	budget_queued(&n->budget, bytes, s->list == STREAM_IDLE);
	if (s->list == STREAM_IDLE)
		stream_move(n, s, STREAM_DIRTY);
}

static NOINLINE int flush_tls(struct net *n, struct stream *s)
{
	bool full = true;

	for (int round = 0;
	     round < TLS_FLUSH_ROUNDS && full && tls_has_output(s->tls, &s->out);
	     round++) {
		int err = tls_write(n, s->tls, &s->out, &full);
		if (err != 0)
			return err;
	}
	stream_move(n, s,
		    !full                             ? STREAM_BLOCKED
		    : tls_has_output(s->tls, &s->out) ? STREAM_AGAIN
						      : STREAM_IDLE);
	return 0;
}

int stream_flush(struct net *n, struct stream *s)
{
	struct iovec iov[OUTQ_IOV_MAX];
	size_t want, put;

	if (UNLIKELY(s->tls != NULL))
		return flush_tls(n, s);
	for (int round = 0; round < FLUSH_ROUNDS; round++) {
		int n_iov = outq_peek(&s->out, iov, OUTQ_IOV_MAX, &want);

		if (n_iov == 0)
			break;
		int err = sock_writev(s->fd, iov, n_iov, &put);
		net_count(n, NET_WRITES, 1);
		if (err == E_AGAIN) {
			stream_move(n, s, STREAM_BLOCKED);
			return 0;
		}
		if (err != 0)
			return err;
		net_count(n, NET_BYTES_OUT, put);
		outq_consume(&s->out, &n->out, put);
		if (put < want) {
			/* The kernel's buffer is full. */
			stream_move(n, s, STREAM_BLOCKED);
			return 0;
		}
	}
	stream_move(n, s, outq_empty(&s->out) ? STREAM_IDLE : STREAM_AGAIN);
	return 0;
}

int stream_shutdown(struct net *n, struct stream *s)
{
	if (s->tls != NULL && tls_notify_close(n, s->tls, &s->out)) {
		if (s->list == STREAM_IDLE)
			stream_move(n, s, STREAM_DIRTY);
		return 0;
	}
	s->shut = true;
	return shutdown(s->fd, SHUT_WR) == 0 ? 0 : E_SYS;
}

void stream_release(struct net *n, struct stream *s)
{
	event_del(&s->ev);
	stream_move(n, s, STREAM_IDLE);
	if (s->tls != NULL)
		tls_free(n, &s->tls, &s->out);
	outq_fini(&s->out, &n->out);
}
