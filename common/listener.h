/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listens on a TCP or Unix socket, which it opens or inherits. A listener accepts
 * connections, enforces its connection limit and passes the descriptor of each connection
 * to a callback. When the process has no free descriptors, the listener pauses for a
 * moment.
 *
 * A listener belongs to the thread of its loop: worker 0 in routerd, the main thread in
 * authd. Any thread may change the counter of open connections.
 */
#ifndef COMMON_LISTENER_H
#define COMMON_LISTENER_H

#include "common/counters.h"
#include "common/loop.h"
#include "common/sock.h"

#include <stdatomic.h>
#include <sys/stat.h>

struct listener;

/*
 * Where to listen. name and refusal must stay valid as long as the listener; the other
 * strings only during listener_open.
 */
struct listener_conf {
	const char *name; /* in log lines */
	int fd; /* an inherited listening socket, which the listener takes over; or -1 */
	const char *path;         /* the path of a Unix socket, or NULL */
	mode_t mode;              /* permissions of the Unix socket's file */
	const char *host;         /* a numeric address; NULL for all */
	uint16_t port;            /* 0: the system chooses */
	uint32_t max_connections; /* open at the same time; 0 for no limit */
	struct slice refusal;     /* sent to clients above the limit; may be empty */
};

/*
 * Called for each new connection. The callback owns fd. After closing fd, its owner must
 * decrement *listener_live(l).
 */
typedef void listener_accepted_cb(void *arg, struct listener *l, int fd);

/*
 * Opens the socket and begins to accept. On failure it logs the address and the reason,
 * closes conf->fd and returns E_SYS, E_SYNTAX, E_EXISTS, E_RANGE or E_NOMEM.
 */
int listener_open(struct loop *loop, const struct listener_conf *conf,
		  listener_accepted_cb *accepted, void *arg,
		  struct listener **out) MUSTCHECK;

/* Stops accepting, closes the socket and removes the file of a Unix socket. */
void listener_stop(struct listener *l);

/*
 * Stops and frees the listener. All its connections must be closed before, since closing
 * one decrements the listener's counter. Descriptors that no connection has taken over
 * may still be open.
 */
void listener_free(struct listener **l);

/* The counter of open connections. Any thread. */
_Atomic uint32_t *listener_live(struct listener *l);

/* The address that the listener listens on: "tcp4:0.0.0.0:8080", "unix:/run/x.sock". */
struct sock_name listener_address(const struct listener *l);

#define LISTENER_COUNTERS(X)                                                             \
	X(accepted, COUNTER, "connections accepted")                                     \
	X(refused, COUNTER, "connections closed at once: max_connections was reached")   \
	X(starved, COUNTER, "pauses in accepting: out of memory or descriptors")

struct listener_counters {
#define X(name, type, help) uint64_t name;
	LISTENER_COUNTERS(X)
#undef X
};
extern const struct counter_table listener_counter_table; /* describes that struct */
struct listener_counters listener_counters(const struct listener *l);

#endif
