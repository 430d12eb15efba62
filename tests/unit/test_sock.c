/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of common/sock: Unix and TCP sockets, stale files, names, credentials. */
#include "common/err.h"
#include "common/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/test_sock.XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/s.sock", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void assert_flags(int fd)
{
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void await(int fd, short what)
{
	struct pollfd p = {.fd = fd, .events = what};

	assert_int_equal(poll(&p, 1, 5000), 1);
}

static void test_unix(void **state)
{
	int lfd, a = -1, b;
	char text[8];
	size_t n;
	struct stat st;
	struct ucred cred;

	(void)state;
	assert_int_equal(sock_connect_unix(&a, path), E_SYS);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(sock_listen_unix(path, 0620, &lfd), 0);
	assert_flags(lfd);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0620);
	assert_int_equal(sock_accept(lfd, &b), E_AGAIN);
	assert_int_equal(sock_connect_unix(&a, path), 0);
	assert_int_equal(sock_accept(lfd, &b), 0);
	assert_flags(a);
	assert_flags(b);
	assert_int_equal(sock_peer_cred(b, &cred), 0);
	assert_int_equal(cred.uid, getuid());
	assert_int_equal(cred.pid, getpid());
	assert_string_equal(sock_peer_name(b).text, "unix");
	assert_string_equal(sock_local_name(lfd).text + 5, path);
	assert_int_equal(sock_read(b, text, sizeof(text), &n), E_AGAIN);
	assert_int_equal(sock_write(a, "hello", 5, &n), 0);
	assert_int_equal(n, 5);
	struct iovec iov[2] = {{text, 0}, {dir, 1}};
	assert_int_equal(sock_writev(a, iov, 2, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(sock_read(b, text, sizeof(text), &n), 0);
	assert_int_equal(n, 6);
	assert_memory_equal(text, "hello/", 6);
	sock_close(&a);
	assert_int_equal(a, -1);
	assert_int_equal(sock_read(b, text, sizeof(text), &n), E_CLOSED);
	assert_int_equal(sock_write(b, "x", 1, &n), E_CLOSED);
	sock_close(&b);
	unlink(path);
	sock_close(&lfd);
	sock_close(&lfd);
}

static void test_unix_occupied(void **state)
{
	int lfd, other, fds[4096];
	size_t n_fds = 0;

	(void)state;
	assert_int_equal(sock_listen_unix(path, 0600, &lfd), 0);
	assert_int_equal(sock_listen_unix(path, 0600, &other), E_SYS);
	assert_int_equal(errno, EADDRINUSE);
	/* a full backlog still shows that somebody listens */
	assert_int_equal(listen(lfd, 2), 0);
	int r = 0;
	while (n_fds < 4096 && r == 0) {
		fds[n_fds] = -1;
		r = sock_connect_unix(&fds[n_fds++], path);
	}
	assert_int_equal(r, E_AGAIN);
	assert_int_equal(sock_listen_unix(path, 0600, &other), E_SYS);
	assert_int_equal(errno, EADDRINUSE);
	while (n_fds > 0)
		sock_close(&fds[--n_fds]);
	sock_close(&lfd);
	/* now the file is stale */
	assert_int_equal(sock_listen_unix(path, 0600, &lfd), 0);
	sock_close(&lfd);
	unlink(path);
	/* a file that is not a socket stays */
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(sock_listen_unix(path, 0600, &lfd), E_EXISTS);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void test_unix_path(void **state)
{
	char longest[200];
	int fd = -1;

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(sock_listen_unix(longest, 0600, &fd), E_RANGE);
	assert_int_equal(sock_connect_unix(&fd, longest), E_RANGE);
	assert_int_equal(sock_connect_unix(&fd, ""), E_RANGE);
}

static int connect_to(const char *host, uint16_t port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
	int fd = socket(family, SOCK_STREAM, 0);

	inet_pton(AF_INET, host, &a4.sin_addr);
	inet_pton(AF_INET6, host, &a6.sin6_addr);
	int r = family == AF_INET ? connect(fd, (struct sockaddr *)&a4, sizeof(a4))
				  : connect(fd, (struct sockaddr *)&a6, sizeof(a6));
	if (r == -1)
		sock_close(&fd);
	return fd;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static uint16_t local_port(int fd)
{
	struct sock_name n = sock_local_name(fd);

	return (uint16_t)atoi(strrchr(n.text, ':') + 1);
}

static void test_tcp(void **state)
{
	int lfd, other, a, b;

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, &lfd), 0);
	assert_flags(lfd);
	uint16_t port = local_port(lfd);
	assert_true(port > 0);
	assert_int_equal(sock_listen_tcp("127.0.0.1", port, &other), E_SYS);
	assert_int_equal(errno, EADDRINUSE);
	a = connect_to("127.0.0.1", port);
	assert_int_not_equal(a, -1);
	await(lfd, POLLIN);
	assert_int_equal(sock_accept(lfd, &b), 0);
	assert_flags(b);
	char expected[64];
	snprintf(expected, sizeof(expected), "tcp4:127.0.0.1:%u", local_port(a));
	assert_string_equal(sock_peer_name(b).text, expected);
	assert_int_equal(option(b, IPPROTO_TCP, TCP_NODELAY), 1);
	/* TCP keepalive finds a vanished peer within minutes */
	assert_int_equal(option(b, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(b, IPPROTO_TCP, TCP_KEEPIDLE), 60);
	assert_int_equal(option(b, IPPROTO_TCP, TCP_KEEPINTVL), 10);
	sock_close(&a);
	sock_close(&b);
	sock_close(&lfd);
	assert_int_equal(sock_listen_tcp("localhost.", 0, &lfd), E_SYNTAX);
}

static void test_tcp_every_address(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	int lfd, a, b;

	(void)state;
	assert_int_equal(sock_listen_tcp(NULL, 0, &lfd), 0);
	bool has_v6 = strncmp(sock_local_name(lfd).text, "tcp6:", 5) == 0;
	for (size_t i = 0; i < (has_v6 ? 2 : 1); i++) {
		a = connect_to(hosts[i], local_port(lfd));
		if (a == -1 && i == 1)
			break; /* IPv6 without a loopback address */
		assert_int_not_equal(a, -1);
		await(lfd, POLLIN);
		assert_int_equal(sock_accept(lfd, &b), 0);
		char expected[64];
		snprintf(expected, sizeof(expected), "tcp%c:%s:", i == 0 ? '4' : '6',
			 hosts[i]);
		assert_memory_equal(sock_peer_name(b).text, expected, strlen(expected));
		sock_close(&a);
		sock_close(&b);
	}
	sock_close(&lfd);
	assert_string_equal(sock_peer_name(-1).text, "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_occupied),
		cmocka_unit_test(test_unix_path),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_every_address),
	};

	return cmocka_run_group_tests_name("sock", tests, setup, teardown);
}
