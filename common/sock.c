/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets; see sock.h. No state; any thread. */
#include "common/sock.h"

#include "common/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCK_TYPE = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC };

union any_address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

void sock_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = saved;
}

void sock_reset_at_close(int fd)
{
	const struct linger now = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static int unix_address(const char *path, struct sockaddr_un *out)
{
	size_t len = strlen(path);

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len == 0 || len >= sizeof(out->sun_path))
		return E_RANGE;
	memcpy(out->sun_path, path, len);
	return 0;
}

/* Removes a socket file that a dead process has left. */
static int remove_stale(const char *path)
{
	struct stat st;
	int fd = -1;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : E_SYS;
	if (!S_ISSOCK(st.st_mode))
		return E_EXISTS;
	int err = sock_connect_unix(&fd, path);
	sock_close(&fd);
	/* A full backlog (E_AGAIN) also shows that a process is listening. */
	if (err == 0 || err == E_AGAIN) {
		errno = EADDRINUSE;
		return E_SYS;
	}
	if (err != E_SYS || errno != ECONNREFUSED)
		return err;
	return unlink(path) == -1 && errno != ENOENT ? E_SYS : 0;
}

int sock_listen_unix(const char *path, mode_t mode, int *fd_out)
{
	struct sockaddr_un a;
	int fd, err = unix_address(path, &a);

	if (err == 0)
		err = remove_stale(path);
	if (err == 0)
		err = sock_new_unix(&fd);
	if (err != 0)
		return err;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1)
		goto fail;
	/* No client can connect before listen, so the mode applies from the start. */
	if (chmod(path, mode) == -1 || listen(fd, SOMAXCONN) == -1) {
		int saved = errno;
		unlink(path);
		errno = saved;
		goto fail;
	}
	*fd_out = fd;
	return 0;
fail:
	sock_close(&fd);
	return E_SYS;
}

static int listen_tcp_at(const union any_address *a, socklen_t len, int *fd_out)
{
	static const int on = 1, off = 0;
	int fd = socket(a->any.sa_family, SOCK_TYPE, 0);

	if (fd == -1)
		return E_SYS;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1)
		goto fail;
	/* "::" accepts both address families; any other IPv6 address accepts IPv6
	 * only. */
	if (a->any.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		       IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) ? &off : &on,
		       sizeof(on)) == -1)
		goto fail;
	if (bind(fd, &a->any, len) == -1 || listen(fd, SOMAXCONN) == -1)
		goto fail;
	*fd_out = fd;
	return 0;
fail:
	sock_close(&fd);
	return E_SYS;
}

int sock_listen_tcp(const char *host, uint16_t port, int *fd_out)
{
	union any_address in4 = {.in4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
	union any_address in6 = {
		.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};

	if (host == NULL || host[0] == '\0') {
		int err = listen_tcp_at(&in6, sizeof(in6.in6), fd_out);
		if (err == E_SYS && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			err = listen_tcp_at(&in4, sizeof(in4.in4), fd_out);
		return err;
	}
	if (inet_pton(AF_INET, host, &in4.in4.sin_addr) == 1)
		return listen_tcp_at(&in4, sizeof(in4.in4), fd_out);
	if (inet_pton(AF_INET6, host, &in6.in6.sin6_addr) == 1)
		return listen_tcp_at(&in6, sizeof(in6.in6), fd_out);
	return E_SYNTAX;
}

int sock_new_unix(int *fd_out)
{
	*fd_out = socket(AF_UNIX, SOCK_TYPE, 0);
	return *fd_out == -1 ? E_SYS : 0;
}

int sock_connect_unix(int *fd, const char *path)
{
	struct sockaddr_un a;
	int err = unix_address(path, &a);

	if (err == 0 && *fd == -1)
		err = sock_new_unix(fd);
	if (err != 0)
		return err;
	do {
		err = connect(*fd, (struct sockaddr *)&a, sizeof(a));
	} while (err == -1 && errno == EINTR);
	if (err == 0)
		return 0;
	/* If the listener's backlog is full, connect fails with EAGAIN instead of
	 * waiting. */
	return errno == EAGAIN ? E_AGAIN : E_SYS;
}

/*
 * Is this an error that accept(2) reports about the new connection, not about the
 * listening socket?
 */
static bool is_connection_error(int err)
{
	static const int errors[] = {EINTR,       ECONNABORTED, EPROTO, ENETDOWN,
				     ENOPROTOOPT, EHOSTDOWN,    ENONET, EHOSTUNREACH,
				     EOPNOTSUPP,  ENETUNREACH,  EPERM};

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (err == errors[i])
			return true;
	return false;
}

/*
 * Sets options of an accepted connection. TCP_NODELAY sends small messages at once.
 * Keepalive sends probes after 60 s of silence, 10 s apart, and ends the connection if 9
 * of them get no answer. Without it, an idle connection would stay open for ever after
 * its peer has vanished.
 *
 * TCP_USER_TIMEOUT is not set, because it would also end connections of peers that read
 * slowly. Errors are ignored: a connection that was reset fails again when it is read.
 */
static void set_tcp_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 60},  /* seconds before the first probe */
		{IPPROTO_TCP, TCP_KEEPINTVL, 10}, /* seconds between probes */
		{SOL_SOCKET, SO_KEEPALIVE, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			   sizeof(options[i].value));
}

int sock_accept(int listen_fd, int *fd_out)
{
	union any_address a = {.any = {.sa_family = AF_UNSPEC}};

	for (unsigned tries = 0; tries < 64; tries++) {
		socklen_t len = sizeof(a);
		int fd = accept4(listen_fd, &a.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			if (a.any.sa_family != AF_UNIX)
				set_tcp_options(fd);
			*fd_out = fd;
			return 0;
		}
		if (errno == EAGAIN)
			return E_AGAIN;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			return E_LIMIT;
		if (!is_connection_error(errno))
			return E_SYS;
	}
	/* More connections may wait. The event is level-triggered, so the loop calls
	 * again. */
	return E_AGAIN;
}

static int io_error(int err)
{
	if (err == EAGAIN)
		return E_AGAIN;
	if (err == ECONNRESET || err == EPIPE || err == ETIMEDOUT)
		return E_CLOSED;
	return E_SYS;
}

static inline int receive(int fd, void *buf, size_t n, int flags, size_t *got_out)
{
	ssize_t got;

	do {
		got = recv(fd, buf, n, flags);
	} while (got == -1 && errno == EINTR);
	if (got == -1)
		return io_error(errno);
	if (got == 0) {
		/* errno distinguishes the end of the stream from a lost connection. */
		errno = 0;
		return E_CLOSED;
	}
	*got_out = (size_t)got;
	return 0;
}

int sock_read(int fd, void *buf, size_t n, size_t *got_out)
{
	return receive(fd, buf, n, 0, got_out);
}

int sock_peek(int fd, void *buf, size_t n, size_t *got_out)
{
	return receive(fd, buf, n, MSG_PEEK, got_out);
}

int sock_writev(int fd, const struct iovec *iov, int n_iov, size_t *put_out)
{
	/* sendmsg does not write through msg_iov, but its type lacks the const. */
	struct msghdr m = {.msg_iovlen = (size_t)n_iov};
	ssize_t put;

	memcpy(&m.msg_iov, &iov, sizeof(m.msg_iov));
	do {
		put = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (put == -1 && errno == EINTR);
	if (put == -1)
		return io_error(errno);
	*put_out = (size_t)put;
	return 0;
}

int sock_write(int fd, const void *data, size_t n, size_t *put_out)
{
	struct iovec v = {.iov_len = n};

	/* iov_base lacks the const, too. */
	memcpy(&v.iov_base, &data, sizeof(data));
	return sock_writev(fd, &v, 1, put_out);
}

int sock_peer_cred(int fd, struct ucred *out)
{
	socklen_t len = sizeof(*out);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &len) == -1 ? E_SYS : 0;
}

struct sock_name sock_address_name(const struct address *a)
{
	struct sock_name n = {"unknown"};
	char text[INET6_ADDRSTRLEN];
	bool v4 = a->family == ADDRESS_IPV4;

	if (a->family == ADDRESS_UNIX)
		return (struct sock_name){"unix"};
	if (!v4 && a->family != ADDRESS_IPV6)
		return n;
	inet_ntop(v4 ? AF_INET : AF_INET6, a->host, text, sizeof(text));
	snprintf(n.text, sizeof(n.text), "%s:%s:%u", v4 ? "tcp4" : "tcp6", text, a->port);
	return n;
}

static struct address pack(const union any_address *a)
{
	/* On a socket for both address families, an IPv4 client has a mapped IPv6
	 * address, which becomes IPv4 here. */
	switch (a->any.sa_family) {
	case AF_INET:
		return address_ipv4(&a->in4.sin_addr, ntohs(a->in4.sin_port));
	case AF_INET6:
		return address_ipv6(&a->in6.sin6_addr, ntohs(a->in6.sin6_port));
	case AF_UNIX:
		return (struct address){.family = ADDRESS_UNIX};
	}
	return (struct address){.family = ADDRESS_UNKNOWN};
}

struct address sock_peer_address(int fd)
{
	union any_address a = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(a);

	if (getpeername(fd, &a.any, &len) != 0)
		return (struct address){.family = ADDRESS_UNKNOWN};
	return pack(&a);
}

struct sock_name sock_peer_name(int fd)
{
	/* A Unix client chooses the path that it binds its own end to, so it is not
	 * shown. */
	struct address a = sock_peer_address(fd);

	return sock_address_name(&a);
}

struct sock_name sock_local_name(int fd)
{
	struct sock_name n = {"unknown"};
	union any_address a = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(a);
	size_t path_at = offsetof(struct sockaddr_un, sun_path);
	struct address packed;

	if (getsockname(fd, &a.any, &len) != 0)
		return n;
	packed = pack(&a);
	if (a.any.sa_family != AF_UNIX || len <= path_at || a.un.sun_path[0] == '\0')
		return sock_address_name(&packed);
	snprintf(n.text, sizeof(n.text), "unix:%.*s", (int)(len - path_at),
		 a.un.sun_path);
	return n;
}
