/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon and its environment; see daemon.h. */
#include "common/daemon.h"

#include "common/err.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	FIRST_FD = 3, /* SD_LISTEN_FDS_START */
	MAX_FDS = 64, /* of the service manager; more are not looked at */
};

void daemon_prepare(void)
{
	static const int ignored[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	/* open gives the lowest number that is free */
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd != -1 && fd <= STDERR_FILENO);
	sock_close(&fd);
}

void daemon_refuse_reload(const char *name)
{
	static struct log_rate rate = {.burst = 1};
	unsigned suppressed;

	if (log_rate_ok(&rate, clock_now_ns() / 1000000, &suppressed))
		log_warn(NULL,
			 "reload is not supported yet: restart %s to apply a changed "
			 "configuration signal=HUP suppressed=%u",
			 name, suppressed);
}

void daemon_raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
		log_warn(NULL, "cannot read the limit of descriptors reason=\"%s\"",
			 err_str(E_SYS));
		return;
	}
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
		log_warn(NULL, "cannot raise the limit of descriptors reason=\"%s\"",
			 err_str(E_SYS));
		limit.rlim_cur = before;
	}
	log_info(NULL, "descriptors limit=%llu", (unsigned long long)limit.rlim_cur);
}

static int notify(const char *path, const char *state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(a.sun_path))
		return E_RANGE;
	memcpy(a.sun_path, path, len);
	if (path[0] == '@') /* how an abstract name is written */
		a.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return E_SYS;
	ssize_t n;
	do {
		n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	} while (n == -1 && errno == EINTR);
	sock_close(&fd);
	return n == -1 ? E_SYS : 0;
}

void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path == NULL)
		return;
	int r = notify(path, state);
	if (r != 0)
		log_warn(NULL, "cannot notify the service manager reason=\"%s\"",
			 err_str(r));
}

/* A decimal number in the environment; -1: none. */
static long env_number(const char *name)
{
	const char *text = getenv(name);
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	long v = strtol(text, &end, 10);
	return errno != 0 || *end != '\0' ? -1 : v;
}

static uint64_t taken; /* bit i: descriptor FIRST_FD + i was given out */

static unsigned inherited_count(void)
{
	long n = env_number("LISTEN_FDS");

	if (env_number("LISTEN_PID") != getpid() || n <= 0)
		return 0;
	return n > MAX_FDS ? MAX_FDS : (unsigned)n;
}

/* The i-th of the names joined by ':'; empty if there are not so many. */
static struct slice nth_name(const char *names, unsigned i)
{
	while (names != NULL && i > 0) {
		names = strchr(names, ':');
		names += names != NULL ? 1 : 0;
		i--;
	}
	return slice_of(names, names == NULL ? 0 : strcspn(names, ":"));
}

int daemon_inherited_fd(const char *name)
{
	const char *names = getenv("LISTEN_FDNAMES");
	unsigned n = inherited_count();

	for (unsigned i = 0; i < n; i++) {
		int fd = FIRST_FD + (int)i;
		if ((taken & UINT64_C(1) << i) != 0 ||
		    !slice_eq_str(nth_name(names, i), name))
			continue;
		int flags = fcntl(fd, F_GETFL);
		if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
		    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
			log_warn(NULL,
				 "inherited descriptor is unusable name=%s "
				 "fd=%d reason=\"%s\"",
				 name, fd, err_str(E_SYS));
			continue;
		}
		taken |= UINT64_C(1) << i;
		return fd;
	}
	return -1;
}

unsigned daemon_inherited_left(void)
{
	return inherited_count() - (unsigned)__builtin_popcountll(taken);
}
