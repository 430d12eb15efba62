/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the number of processors that this process may use, and how many worker threads
 * to start. Any thread.
 */
#ifndef ROUTERD_CPUS_H
#define ROUTERD_CPUS_H

#include "common/base.h"

/*
 * Returns the number of processors in the affinity mask, limited by the bandwidth
 * (cpu.max of cgroup v2) of this process's control group and its ancestors, rounded up.
 * At least 1. root is "", except in tests: the files are read from root/proc/self/cgroup
 * and root/sys/fs/cgroup.
 */
unsigned cpus_allowed(const char *root);

/*
 * Returns the number of threads for `threads: auto`: 1 for up to 2 processors, else one
 * less than the processors, at most 16.
 */
unsigned cpus_threads(unsigned allowed);

#endif
