/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a connection: does all reading and writing. It handles bytes and queues,
 * not frames or connections. A stream with output is in one of the lists of net.streams:
 * DIRTY (write it in this turn), AGAIN (write it in the next turn), or BLOCKED (the
 * kernel's buffer is full; wait until the socket is writable). The worker's thread.
 */
#ifndef ROUTERD_NET_STREAM_H
#define ROUTERD_NET_STREAM_H

#include "common/base.h"
#include "routerd/net/outq.h"
#include "routerd/net/tls.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

struct net;

enum stream_list {
	STREAM_IDLE = 0, /* in no list: nothing is queued */
	STREAM_DIRTY = 1,
	STREAM_AGAIN = 2,
	STREAM_BLOCKED = 3,
	STREAM_LIST_COUNT = 4,
};

struct stream {
	struct event ev;
	TAILQ_ENTRY(stream) link; /* in the list that `list` names */
	struct outq out;
	struct tls *tls; /* NULL: no TLS */
	int fd;
	short armed;  /* the events that ev is registered for */
	uint8_t list; /* enum stream_list */
	bool paused;  /* input is not read */
	bool shut;    /* output is shut down */
};

/*
 * Initialises a stream for fd, which the caller still owns. After stream_arm, cb is
 * called with arg when fd is readable or writable.
 */
void stream_init(struct net *n, struct stream *s, int fd, event_callback_fn cb,
		 void *arg);

/* Calls cb from now on. Call stream_arm afterwards. */
void stream_set_callback(struct net *n, struct stream *s, event_callback_fn cb);

/*
 * Makes the stream speak TLS, as a server. peer must live as long as the stream. Call it
 * before stream_arm. E_NOMEM.
 */
int stream_use_tls(struct net *n, struct stream *s, const struct tls_context *context,
		   const struct address *peer) MUSTCHECK;

/*
 * The same with the TLS of another worker's stream; see tls_attach. Takes t. E_NOMEM: it
 * is freed.
 */
int stream_take_tls(struct net *n, struct stream *s, struct tls *t) MUSTCHECK;

/*
 * Registers for the events that the stream needs now: readable, writable, both or none.
 * E_NOMEM.
 */
int stream_arm(struct net *n, struct stream *s) MUSTCHECK;

/*
 * Reads at most NET_SCRATCH bytes into net.scratch. E_AGAIN: there is nothing to read.
 * E_CLOSED with errno 0: the peer has ended its output. With TLS also E_SYNTAX,
 * E_LIMIT and E_NOMEM, as in tls_read. Other errors: the connection is lost.
 */
int stream_read(struct net *n, struct stream *s, size_t *got_out) MUSTCHECK;

/*
 * Call this after bytes were queued in s->out. They are written at the end of the turn,
 * but a blocked stream stays BLOCKED until its socket is writable.
 */
void stream_queued(struct net *n, struct stream *s, size_t bytes);

/* Moves a stream to another list. */
void stream_move(struct net *n, struct stream *s, enum stream_list to);

/*
 * Writes as much as one turn allows and takes s off the DIRTY list. 0: success; output
 * that is left is AGAIN or BLOCKED. An error: the connection is lost.
 */
int stream_flush(struct net *n, struct stream *s) MUSTCHECK;

/* Has everything been written? If TLS has failed, the queue cannot be. */
static inline bool stream_drained(const struct stream *s)
{
	return s->tls == NULL ? outq_empty(&s->out) : !tls_has_output(s->tls, &s->out);
}

/*
 * Shuts down the output of the socket, after everything was written. With TLS, first
 * queues close_notify: then call it again when that is written. E_SYS.
 */
int stream_shutdown(struct net *n, struct stream *s) MUSTCHECK;

/* Unregisters the events and drops the queue. The caller closes the socket. */
void stream_release(struct net *n, struct stream *s);

#endif
