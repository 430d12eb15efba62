/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One authd at a time uses a database: a second one would not know the first one's
 * routers, and its revocations would reach nobody. The lock is flock(2) on a file beside
 * the database. It ends with the process, however that ends. Main thread.
 */
#ifndef AUTHD_LOCK_H
#define AUTHD_LOCK_H

#include "common/base.h"

#include <sys/types.h>

/*
 * Takes the lock of the database at path, and holds it until *fd_out is closed. E_AGAIN:
 * another process has it; *holder_out is its pid, or 0 if that is not known. E_SYS: the
 * file cannot be made or locked; E_RANGE: its name is too long.
 */
int lock_take(const char *path, int *fd_out, pid_t *holder_out) MUSTCHECK;

#endif
