/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks a database; see lock.h. The lock file contains the owner's pid, for the log. Main
 * thread.
 */
#include "authd/lock.h"

#include "common/err.h"
#include "common/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static pid_t read_pid(int fd)
{
	char text[16] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void write_pid(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	/* If the disk is full, the lock still works, but the log of a waiting authd
	 * cannot show the pid. */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n)
		(void)!ftruncate(fd, 0);
}

int lock_take(const char *path, int *fd_out, pid_t *holder_out)
{
	char real[PATH_MAX], name[PATH_MAX + 8];

	/* Resolve links, so that one database has one lock file. */
	if (realpath(path, real) == NULL) {
		if (errno != ENOENT)
			return E_SYS;
		if (strlen(path) >= sizeof(real))
			return E_RANGE;
		strcpy(real, path);
	}
	snprintf(name, sizeof(name), "%s.lock", real);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return E_SYS;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		write_pid(fd);
		*fd_out = fd;
		return 0;
	}
	int saved = errno;
	if (saved == EWOULDBLOCK)
		*holder_out = read_pid(fd);
	sock_close(&fd);
	errno = saved;
	return saved == EWOULDBLOCK ? E_AGAIN : E_SYS;
}
