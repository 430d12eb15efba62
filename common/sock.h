/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: system calls that handle EINTR and EAGAIN, peer names and peer credentials.
 * All descriptors are non-blocking and close-on-exec. No state; any thread.
 */
#ifndef COMMON_SOCK_H
#define COMMON_SOCK_H

#include "common/address.h"
#include "common/base.h"

#include <sys/socket.h>
#include <sys/uio.h>

/*
 * Listens on a Unix socket whose file gets this mode. A socket file that no process
 * listens on is replaced. E_SYS (EADDRINUSE: a process listens there), E_EXISTS if path
 * is not a socket, E_RANGE if path is too long for a socket address. The caller must
 * unlink path before it closes the descriptor.
 */
int sock_listen_unix(const char *path, mode_t mode, int *fd_out) MUSTCHECK;

/*
 * Listens on a numeric IPv4 or IPv6 address. NULL or "" means all addresses of both
 * families, or of IPv4 if the system lacks IPv6. With port 0 the system chooses (see
 * sock_local_name). E_SYS (EADDRINUSE: the port is in use), E_SYNTAX if host is not an
 * address.
 */
int sock_listen_tcp(const char *host, uint16_t port, int *fd_out) MUSTCHECK;

/*
 * Connects to a Unix socket; this never blocks. If *fd is -1, a socket is made. E_SYS
 * (ENOENT, ECONNREFUSED: no process listens), E_AGAIN if the listener's backlog is full,
 * E_RANGE if path is too long. After an error *fd stays open, and the caller may try
 * again.
 */
int sock_connect_unix(int *fd, const char *path) MUSTCHECK;

/* Makes a Unix socket. E_SYS: *fd_out is -1. */
int sock_new_unix(int *fd_out) MUSTCHECK;

/*
 * Accepts a waiting connection and sets TCP_NODELAY and keepalive if it is TCP. E_AGAIN:
 * no connection waits. E_LIMIT: no descriptors or no memory; the connection keeps
 * waiting, so the caller must stop polling for a while. E_SYS: the listening socket is
 * broken.
 */
int sock_accept(int listen_fd, int *fd_out) MUSTCHECK;

/*
 * Reads at least one byte and at most n (n > 0) into buf. E_AGAIN: no bytes are waiting.
 * E_CLOSED: the stream has ended (errno is 0) or the connection is lost (errno says how).
 * E_SYS: any other error.
 */
int sock_read(int fd, void *buf, size_t n, size_t *got_out) MUSTCHECK;

/* The same, but the bytes stay in the socket. */
int sock_peek(int fd, void *buf, size_t n, size_t *got_out) MUSTCHECK;

/*
 * Write as many bytes as the kernel takes, at least one. Errors as in sock_read. No
 * SIGPIPE.
 */
int sock_writev(int fd, const struct iovec *iov, int n_iov, size_t *put_out) MUSTCHECK;
int sock_write(int fd, const void *data, size_t n, size_t *put_out) MUSTCHECK;

/* Closes *fd and sets it to -1. Does nothing if it is -1. Keeps errno. */
void sock_close(int *fd);

/* Makes the close of a TCP socket reset the connection, and forget all output. */
void sock_reset_at_close(int fd);

/*
 * Gets the process, user and group of the other end of a Unix socket, as they were when
 * it connected or began to listen.
 */
int sock_peer_cred(int fd, struct ucred *out) MUSTCHECK;

enum { SOCK_NAME_MAX = 80 };
struct sock_name {
	char text[SOCK_NAME_MAX];
};

/* The address of the other end. ADDRESS_UNKNOWN: the peer has reset the connection. */
struct address sock_peer_address(int fd);

/*
 * An address as text: "tcp4:127.0.0.1:38588", "tcp6:::1:38588" (the form that
 * Autobahn uses), "unix" or "unknown".
 */
struct sock_name sock_address_name(const struct address *a);

/* The text of sock_peer_address. */
struct sock_name sock_peer_name(int fd);

/*
 * The address of this end, or the address that a socket listens on: as above, but a Unix
 * socket's name includes its path, "unix:/run/x.sock".
 */
struct sock_name sock_local_name(int fd);

#endif
