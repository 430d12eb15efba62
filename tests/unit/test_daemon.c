/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of common/daemon. The test plays the service manager. */
#include "common/daemon.h"
#include "common/log.h"
#include "common/sock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void test_fd_limit(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max / 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	daemon_raise_fd_limit();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

static void test_notify(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char got[64] = "";
	char name[64];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	daemon_notify("READY=1"); /* no NOTIFY_SOCKET: no effect */
	snprintf(name, sizeof(name), "@test_daemon.%d", getpid());
	memcpy(a.sun_path, name, strlen(name));
	a.sun_path[0] = '\0';
	socklen_t len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	daemon_notify("READY=1\nSTATUS=fine");
	assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), 19);
	assert_string_equal(got, "READY=1\nSTATUS=fine");
	daemon_notify_reloading();
	got[recv(fd, got, sizeof(got) - 1, 0)] = '\0';
	unsigned long long usec = 0;
	assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
	assert_in_range(usec, clock_now_ns() / 1000 - 10000000, clock_now_ns() / 1000);
	/* a service manager that does not read causes only a short delay */
	int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	while (sendto(sender, "x", 1, 0, (struct sockaddr *)&a, len) == 1)
		;
	uint64_t start = clock_now_ns();
	daemon_notify("STATUS=full");
	assert_in_range((clock_now_ns() - start) / 1000000, 500, 10000);
	sock_close(&sender);
	sock_close(&fd);
	daemon_notify("STOPPING=1"); /* the socket is gone: no effect */
	setenv("NOTIFY_SOCKET", "", 1);
	daemon_notify("STOPPING=1");
	unsetenv("NOTIFY_SOCKET");
}

static void test_inherited(void **state)
{
	char pid[16];

	(void)state;
	assert_int_equal(daemon_inherited_fd("auth"), -1);
	int null = open("/dev/null", O_RDONLY);
	for (int fd = 3; fd < 6; fd++)
		assert_int_equal(dup2(null, fd), fd);
	snprintf(pid, sizeof(pid), "%d", getpid() + 1);
	setenv("LISTEN_PID", pid, 1); /* addressed to another process */
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_FDNAMES", "admin:auth:x", 1);
	assert_int_equal(daemon_inherited_fd("auth"), -1);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "-3", 1);
	assert_int_equal(daemon_inherited_fd("auth"), -1);
	setenv("LISTEN_FDS", "3x", 1);
	assert_int_equal(daemon_inherited_fd("auth"), -1);
	setenv("LISTEN_FDS", "99999999999999999999", 1);
	assert_int_equal(daemon_inherited_fd("auth"), -1);
	setenv("LISTEN_FDS", "4", 1); /* one more than there are names and descriptors */
	assert_int_equal(daemon_inherited_left(), 4);
	assert_int_equal(daemon_inherited_fd("aut"), -1);
	assert_int_equal(daemon_inherited_fd("auth"), 4);
	assert_true(fcntl(4, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(4, F_GETFL) & O_NONBLOCK);
	assert_int_equal(daemon_inherited_fd("auth"), -1);
	assert_int_equal(daemon_inherited_fd("admin"), 3);
	assert_int_equal(daemon_inherited_fd("x"), 5);
	assert_int_equal(daemon_inherited_left(), 1);
	unsetenv("LISTEN_FDNAMES");
	close(6);
	assert_int_equal(daemon_inherited_fd(""), -1); /* 6 is not open */
	for (int fd = 3; fd < 6; fd++)
		close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fd_limit),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_inherited),
	};

	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
