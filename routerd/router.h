/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the router: makes and frees the workers, mailboxes, listeners and connections to
 * authenticators, and handles signals. Main thread, which is also the thread of worker 0.
 */
#ifndef ROUTERD_ROUTER_H
#define ROUTERD_ROUTER_H

#include "routerd/config/config.h"

/*
 * Runs until SIGTERM or SIGINT, then closes the connections and frees everything. SIGUSR1
 * logs the counters; SIGUSR2 calls worker_stall_toggle; SIGHUP reads the configuration
 * from path again. path and cfg must stay valid during the call. Returns an exit
 * status of sysexits.h; a failure has been logged.
 */
int router_run(const char *path, const struct config *cfg) MUSTCHECK;

#endif
