/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon has to do with its environment: signals, the limit of descriptors, and
 * the two protocols of systemd's service manager, without its library (sd_notify(3),
 * sd_listen_fds(3)). Called by the main thread.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include "common/base.h"

/*
 * The first act of main. Ignores the signals that would end the process before it can
 * handle them, or that are errors of a write instead; asks for each the caller wants
 * later. Opens /dev/null in place of standard descriptors that are closed: a socket that
 * got number 2 would receive the log.
 */
void daemon_prepare(void);

/*
 * Answers SIGHUP, which asks for a reload: logs, once a second at most, that there is
 * none yet. name is the daemon's.
 */
void daemon_refuse_reload(const char *name);

/* Raises the soft limit of descriptors to the hard one, and logs what it is. */
void daemon_raise_fd_limit(void);

/*
 * Tells the service manager, if there is one: "READY=1", "STOPPING=1", "STATUS=...";
 * several lines at once are allowed. Failing to tell is logged, and of no consequence.
 */
void daemon_notify(const char *state);

/*
 * A listening socket that the service manager has opened, by its FileDescriptorName;
 * -1: it has not. Non-blocking and close-on-exec from then on; the caller's to close.
 * Each is given once.
 */
int daemon_inherited_fd(const char *name);

/* How many sockets the service manager has passed that were not yet taken. */
unsigned daemon_inherited_left(void);

#endif
