/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket, TCP or Unix, opened here or inherited. It accepts, keeps to its
 * limit of connections, and hands descriptors to its owner, who gives each to a worker.
 * Out of descriptors, it stops accepting for a moment instead of spinning.
 *
 * Worker 0 only, except for the counter of living connections.
 */
#ifndef COMMON_LISTENER_H
#define COMMON_LISTENER_H

#include "common/base.h"
#include "common/loop.h"
#include "common/sock.h"

#include <stdatomic.h>
#include <sys/stat.h>

struct listener;

/* Where to listen. The strings are lent for listener_open, but name until the end. */
struct listener_conf {
	const char *name; /* in log lines */
	int fd;           /* an inherited listening socket, which is taken; or -1 */
	const char *path; /* a Unix socket; or NULL */
	mode_t mode;      /* of the Unix socket's file */
	const char *host; /* a numeric address; NULL: all */
	uint16_t port;    /* 0: the system's choice */
	uint32_t max_connections; /* at the same time; 0: no limit */
	struct slice refusal;     /* said to those who are over it; lent until the end */
};

/*
 * A new connection. fd is the callee's, who counts down in listener_live when it is
 * closed, as connections do (conn_conf.live).
 */
typedef void listener_accepted_cb(void *arg, struct listener *l, int fd);

/*
 * Opens it and begins to accept. Failures are logged with the address and what is wrong
 * with it, and returned: E_SYS, E_SYNTAX, E_EXISTS, E_RANGE, E_NOMEM. conf->fd is closed
 * then.
 */
int listener_open(struct loop *loop, const struct listener_conf *conf,
		  listener_accepted_cb *accepted, void *arg,
		  struct listener **out) MUSTCHECK;

/* Stops accepting: closes the socket, removes the file of a Unix socket. */
void listener_stop(struct listener *l);

/* Stops and frees it. Its connections must be gone, since they count down in it; but
 * descriptors that nobody has adopted may be left. */
void listener_free(struct listener **l);

/* For conn_conf.live. Any thread. */
_Atomic uint32_t *listener_live(struct listener *l);

/* Where it listens: "tcp4:0.0.0.0:8080", "unix:/run/x.sock". */
struct sock_name listener_address(const struct listener *l);

struct listener_counters {
	uint64_t accepted;
	uint64_t refused; /* closed at once: over max_connections */
	uint64_t starved; /* times it paused: no descriptors or no memory */
};
struct listener_counters listener_counters(const struct listener *l);

#endif
