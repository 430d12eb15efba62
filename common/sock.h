/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: the calls with their EINTR and EAGAIN, peer names and peer credentials. Every
 * descriptor made here is non-blocking and closed on exec. No state; any thread.
 */
#ifndef COMMON_SOCK_H
#define COMMON_SOCK_H

#include "common/base.h"

#include <sys/socket.h>
#include <sys/uio.h>

/*
 * Listens on a Unix socket whose file gets this mode. A socket file on which nobody
 * answers any more is replaced. E_SYS (EADDRINUSE if somebody does answer there),
 * E_EXISTS if path is something other than a socket, E_RANGE if it is too long for a
 * socket address. The caller unlinks path before it closes the descriptor.
 */
int sock_listen_unix(const char *path, mode_t mode, int *fd_out) MUSTCHECK;

/*
 * Listens on a numeric IPv4 or IPv6 address; NULL or "" is every address of both
 * families, where the system has both. port 0 lets the system choose (sock_local_name).
 * E_SYS (EADDRINUSE: occupied), E_SYNTAX if host is no address.
 */
int sock_listen_tcp(const char *host, uint16_t port, int *fd_out) MUSTCHECK;

/*
 * Connects a Unix socket, which never takes time; if *fd is -1, one is made. E_SYS
 * (ENOENT, ECONNREFUSED: nobody is there), E_AGAIN if the listener's backlog is full,
 * E_RANGE if path is too long. *fd stays open then, and can be tried again.
 */
int sock_connect_unix(int *fd, const char *path) MUSTCHECK;

/* Makes a Unix socket, or sets *fd_out to -1: E_SYS. */
int sock_new_unix(int *fd_out) MUSTCHECK;

/*
 * The next waiting connection, with TCP_NODELAY and keepalive where it is TCP. E_AGAIN:
 * none waits. E_LIMIT: no descriptors or no memory; the caller must stop polling for a
 * while, because the connection keeps waiting. E_SYS: the listening socket itself is
 * broken.
 */
int sock_accept(int listen_fd, int *fd_out) MUSTCHECK;

/*
 * At least one byte into buf (n > 0), and how many. E_AGAIN: none there now; E_CLOSED:
 * end of the stream (errno is 0), or connection lost (errno says how); E_SYS.
 */
int sock_read(int fd, void *buf, size_t n, size_t *got_out) MUSTCHECK;

/* As much of it as the kernel takes, at least one byte. Errors as sock_read; no SIGPIPE.
 */
int sock_writev(int fd, const struct iovec *iov, int n_iov, size_t *put_out) MUSTCHECK;
int sock_write(int fd, const void *data, size_t n, size_t *put_out) MUSTCHECK;

/* Closes *fd unless it is -1, and makes it -1. */
void sock_close(int *fd);

/* Who connected to (or listens on) the other end of a Unix socket, when it did. */
int sock_peer_cred(int fd, struct ucred *out) MUSTCHECK;

enum { SOCK_NAME_MAX = 80 };
struct sock_name {
	char text[SOCK_NAME_MAX];
};

/*
 * The other end as "tcp4:127.0.0.1:38588", "tcp6:::1:38588" (as Autobahn writes them),
 * "unix" or "unknown".
 */
struct sock_name sock_peer_name(int fd);

/* The same for this end, or for where a socket listens: "unix:/run/x.sock" with its path.
 */
struct sock_name sock_local_name(int fd);

#endif
