/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every daemon needs: its command line, its signals, the descriptor limit, and two
 * protocols of systemd's service manager, sd_notify(3) and sd_listen_fds(3), without
 * libsystemd. Called by the main thread.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include "common/conf.h"
#include "common/log.h"
#include "common/loop.h"

/*
 * Parses a daemon's command line: -c FILE or --check FILE, --help, --version. Calls run
 * with the file; if only_check is set, run checks the file and does nothing else. Returns
 * an exit status of sysexits.h, which main returns.
 *
 * First it ignores the signals that could end the process before their handlers are
 * installed, and those that a failing write raises, such as SIGPIPE. It opens /dev/null
 * in place of closed standard descriptors: otherwise a socket could get number 2 and
 * receive the log.
 */
int daemon_main(int argc, char **argv, const char *name, const char *version,
		const char *help, int (*run)(const char *path, bool only_check));

/*
 * Prints the errors in the configuration, with a priority if journald reads them. Returns
 * EX_CONFIG.
 */
int daemon_refuse_config(const struct conf_error *errors);
/* For --check: prints the warnings, and that the file is valid. Returns EX_OK. */
int daemon_approve_config(const char *path, const struct conf_error *warnings,
			  const char *summary);

/*
 * Starts the log's thread and logs the warnings. Returns 0 or E_NOMEM, which it has
 * logged.
 */
int daemon_start_log(const struct conf_log *how,
		     const struct conf_error *warnings) MUSTCHECK;

/* Logs the counters of the log. */
void daemon_log_counters(void);

/*
 * Signal handlers. The first SIGTERM or SIGINT calls stop, SIGUSR1 calls log_counters,
 * and SIGUSR2 calls usr2, which may be NULL. SIGHUP calls reload, but not after stop; if
 * reload is NULL, SIGHUP only logs that the daemon does not reload.
 */
enum { DAEMON_SIGNALS = 5 };
struct daemon_signals {
	/*
	 * The daemon's name. The caller zeroes the struct and sets this and the next
	 * five fields.
	 */
	const char *name;
	void (*stop)(void *arg);
	void (*log_counters)(void *arg);
	void (*usr2)(void);
	void (*reload)(void *arg);
	void *arg;
	bool stopping;
	struct event events[DAEMON_SIGNALS];
};
/* E_NOMEM. The caller calls daemon_signals_fini in any case. */
int daemon_signals_init(struct daemon_signals *s, struct loop *l) MUSTCHECK;
void daemon_signals_fini(struct daemon_signals *s);

/* Raises the soft limit of descriptors to the hard limit, and logs it. */
void daemon_raise_fd_limit(void);

/*
 * Tells the service manager that a reload begins. Call daemon_notify("READY=1") when it
 * has ended.
 */
void daemon_notify_reloading(void);

/*
 * Sends a state to the service manager, if there is one: "READY=1", "STOPPING=1",
 * "STATUS=...". Several lines may be sent at once. A failure is logged and otherwise
 * ignored.
 */
void daemon_notify(const char *state);

/*
 * Returns a listening socket that the service manager has opened, found by its
 * FileDescriptorName, or -1 if there is none. The socket is non-blocking and
 * close-on-exec; the caller closes it. Each socket is returned once.
 */
int daemon_inherited_fd(const char *name);

/*
 * The number of the service manager's sockets that daemon_inherited_fd has not returned.
 */
unsigned daemon_inherited_left(void);

#endif
