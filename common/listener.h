/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listens on a TCP or Unix socket, which it opens or inherits. A listener accepts
 * connections, enforces its connection limit and passes the descriptor of each connection
 * to a callback. When the process has no free descriptors, the listener pauses for a
 * moment.
 *
 * A listener belongs to the thread of its loop: worker 0 in routerd, the main thread in
 * authd.
 */
#ifndef COMMON_LISTENER_H
#define COMMON_LISTENER_H

#include "common/counters.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/sock.h"

#include <stdatomic.h>
#include <sys/stat.h>

/* Where to listen. The strings must stay valid as long as the listener. */
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

#define LISTENER_COUNTERS(X)                                                             \
	X(accepted, COUNTER, "connections accepted")                                     \
	X(refused, COUNTER, "connections closed at once: max_connections was reached")   \
	X(starved, COUNTER,                                                              \
	  "how often accepting paused because memory or descriptors ran out")

struct listener_counters {
	LISTENER_COUNTERS(COUNTER_FIELD)
};
extern const struct counter_table listener_counter_table; /* describes that struct */

/*
 * Called for each new connection. The callback owns fd. After closing fd, its owner must
 * decrement the listener's `live`.
 */
typedef void listener_accepted_cb(void *arg, int fd);

/* Embedded in its owner's struct. All zero: not open. */
struct listener {
	struct event ev;
	struct timer pause; /* armed while accept fails */
	struct loop *loop;  /* NULL: not open */
	struct listener_conf conf;
	int fd;
	/* Open connections. Any thread may change it. */
	_Atomic uint32_t live;
	listener_accepted_cb *accepted;
	void *arg;
	struct listener_counters counters;
	struct log_rate log_rate;
};

/*
 * Opens the socket and begins to accept. On failure it logs the address and the reason,
 * leaves *l unchanged and returns E_SYS, E_SYNTAX, E_EXISTS or E_RANGE.
 */
int listener_open(struct listener *l, struct loop *loop, const struct listener_conf *conf,
		  listener_accepted_cb *accepted, void *arg) MUSTCHECK;

/*
 * Stops accepting, closes the socket and removes the file of a Unix socket. Does nothing
 * if the listener is not open. Afterwards only `live` and `counters` may be used.
 */
void listener_stop(struct listener *l);

#endif
