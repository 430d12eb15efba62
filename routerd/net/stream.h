/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a connection: all reading and writing is here. It knows bytes and queues,
 * no framing and no connection. A stream with output is in net.dirty (to be written in
 * this turn), in net.again (in the next one) or in net.blocked (the kernel took no more;
 * it waits until the socket is writable).
 *
 * The thread of its net only.
 */
#ifndef ROUTERD_NET_STREAM_H
#define ROUTERD_NET_STREAM_H

#include "common/base.h"
#include "routerd/net/outq.h"

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
	TAILQ_ENTRY(stream) link; /* in the list that `list` says */
	struct outq out;
	int fd;
	short armed;  /* what ev waits for */
	uint8_t list; /* enum stream_list */
	bool paused;  /* not read */
	bool shut;    /* our direction is shut down */
};

/* Takes fd. cb is called with arg when it is readable or writable, once it is armed. */
void stream_init(struct net *n, struct stream *s, int fd, event_callback_fn cb,
		 void *arg);

/* Waits for what it should wait for: readable, writable, both, nothing. E_NOMEM. */
int stream_arm(struct net *n, struct stream *s) MUSTCHECK;

/* Calls back in the next turn as if the socket was readable. stream_arm may undo it. */
void stream_readable(struct stream *s);

/*
 * Reads into net.scratch, at most NET_SCRATCH bytes. E_AGAIN; E_CLOSED with errno 0: the
 * end of the stream; other errors: the connection is lost.
 */
int stream_read(struct net *n, struct stream *s, size_t *got_out) MUSTCHECK;

/* Queue bytes, a whole frame, or shared frames (which takes the reference, also on
 * failure), for the end of the turn. E_NOMEM. */
int stream_push(struct net *n, struct stream *s, struct slice bytes) MUSTCHECK;
int stream_push_frame(struct net *n, struct stream *s, struct slice framed) MUSTCHECK;
int stream_push_shared(struct net *n, struct stream *s,
		       struct shared_buf *framed) MUSTCHECK;

/* It is writable again. */
void stream_mark_dirty(struct net *n, struct stream *s);

/* Writes as much as may be written in one turn and takes s out of net.dirty. 0, with s
 * IDLE if all is written; or an error: the connection is lost. */
int stream_flush(struct net *n, struct stream *s) MUSTCHECK;

/* Shuts our direction down. E_SYS. */
int stream_shutdown(struct stream *s) MUSTCHECK;

/* Makes closing the socket reset a TCP connection. */
void stream_reset_at_close(struct stream *s);

/* Stops waiting, forgets what was queued. The socket stays open: it is the caller's. */
void stream_release(struct net *n, struct stream *s);

#endif
