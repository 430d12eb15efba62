/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many processors this process may use, and so how many workers pay off. Called once,
 * before threads start.
 */
#ifndef ROUTERD_CPUS_H
#define ROUTERD_CPUS_H

#include "common/base.h"

/*
 * The processors that the affinity mask allows, but no more than the bandwidth limits
 * (cpu.max of cgroup v2) of our control group and of those above it, a part of one
 * counted as one. At least 1. root is "", except in tests: the files are looked for at
 * root/proc/self/cgroup and below root/sys/fs/cgroup.
 */
unsigned cpus_allowed(const char *root);

/* What `threads: auto` means: 1 for up to 2 processors, else one less, at most 16. */
unsigned cpus_threads(unsigned allowed);

#endif
