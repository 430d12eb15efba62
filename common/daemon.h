/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every daemon does: its command line, its signals, the limit of descriptors, and
 * the two protocols of systemd's service manager, without its library (sd_notify(3),
 * sd_listen_fds(3)). The main thread calls it.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"

/*
 * The command line of a daemon: -c FILE or --check FILE, --help, --version. run gets the
 * file; with only_check it says what is wrong with it and does nothing else. main returns
 * what daemon_main returns: an exit status of sysexits.h.
 *
 * Before all else it ignores the signals that would end the process before it can handle
 * them, or that a write reports as an error, too. It opens /dev/null in place of standard
 * descriptors that are closed: a socket that got number 2 would receive the log.
 */
int daemon_main(int argc, char **argv, const char *name, const char *version,
		const char *help, int (*run)(const char *path, bool only_check));

/* Prints what is wrong with the configuration. Returns EX_CONFIG. */
int daemon_refuse_config(const struct conf_error *errors);
/* For --check: prints the warnings, and that the file is good. Returns EX_OK. */
int daemon_approve_config(const char *path, const struct conf_error *warnings,
			  const char *summary);

/* Starts the log's thread, and logs the warnings. On failure it has been said. */
int daemon_start_log(const struct conf_log *how,
		     const struct conf_error *warnings) MUSTCHECK;

/*
 * The signals: the first SIGTERM or SIGINT calls stop, SIGUSR1 logs the counters, SIGUSR2
 * calls usr2 (may be NULL). SIGHUP asks for a reload: a log line says that there is none.
 */
enum { DAEMON_SIGNALS = 5 };
struct daemon_signals {
	const char *name; /* the daemon's; the owner sets this and what follows */
	void (*stop)(void *arg);
	void (*log_counters)(void *arg);
	void (*usr2)(void);
	void *arg;
	bool stopping;
	struct event events[DAEMON_SIGNALS];
};
/* E_NOMEM. In either case daemon_signals_fini takes the events back. */
int daemon_signals_init(struct daemon_signals *s, struct loop *l) MUSTCHECK;
void daemon_signals_fini(struct daemon_signals *s);

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
