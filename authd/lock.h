/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes sure that only one authd uses a database. A second one would not be connected to
 * the routers of the first, so its revocations would reach nobody. The lock is flock(2)
 * on a file next to the database. The lock ends when the process ends, even if the
 * process crashes. Main thread.
 */
#ifndef AUTHD_LOCK_H
#define AUTHD_LOCK_H

#include "common/base.h"

#include <sys/types.h>

/*
 * Locks the database at path until *fd_out is closed. E_AGAIN: another process has locked
 * it; *holder_out is its pid, or 0 if unknown. E_SYS: the lock file cannot be created or
 * locked. E_RANGE: its name is too long.
 */
int lock_take(const char *path, int *fd_out, pid_t *holder_out) MUSTCHECK;

#endif
