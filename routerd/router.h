/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running program: workers, mailboxes, listeners, authenticators; what signals do;
 * and in which order everything is made and freed. The main thread, which is also worker
 * 0's.
 */
#ifndef ROUTERD_ROUTER_H
#define ROUTERD_ROUTER_H

#include "routerd/config/config.h"

/*
 * Serves until SIGTERM or SIGINT, then says goodbye and frees everything. SIGUSR1 logs
 * the counters; SIGUSR2 calls worker_stall_toggle. The configuration is lent. Returns
 * an exit status of sysexits.h; what is wrong has been logged.
 */
int router_run(const struct config *cfg) MUSTCHECK;

#endif
