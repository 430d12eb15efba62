/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running router: workers, mailboxes, listeners, authenticators. Handles signals, and
 * makes and frees everything in order. The main thread, which also runs worker 0.
 */
#ifndef ROUTERD_ROUTER_H
#define ROUTERD_ROUTER_H

#include "routerd/config/config.h"

/*
 * Runs until SIGTERM or SIGINT, then closes the connections and frees everything. SIGUSR1
 * logs the counters; SIGUSR2 calls worker_stall_toggle; SIGHUP reloads the configuration
 * from the file path. The caller keeps path and configuration. Returns an exit status of
 * sysexits.h; a failure has been logged.
 */
int router_run(const char *path, const struct config *cfg) MUSTCHECK;

#endif
