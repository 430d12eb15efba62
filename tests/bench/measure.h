/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock, latencies, and what /proc says of the processes that are measured. One
 * thread.
 */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

enum { MAX_PIDS = 8 };

/* Nanoseconds of the monotonic clock. */
int64_t now_ns(void);

/* --- latencies: counted in classes of which each is at most 1.6 % wide --- */

enum { SUB_BITS = 6, HISTOGRAM_CLASSES = 64 << SUB_BITS };

struct histogram {
	uint64_t count;
	uint64_t max; /* ns */
	uint64_t classes[HISTOGRAM_CLASSES];
};

void histogram_add(struct histogram *h, int64_t ns);

/* The latency in ns below which that share of all lies, from 0 to 1. */
double histogram_at(const struct histogram *h, double share);

/* --- processes --- */

/* CPU time of all threads in ns; 0 for a process that is not there. */
uint64_t process_cpu(pid_t pid);

/* A line of /proc/PID/status in KiB, such as "VmRSS" or "VmHWM"; 0 if it is not there. */
uint64_t process_memory(pid_t pid, const char *line);

/* What a run took of the measured processes and of this one. */
struct usage {
	uint64_t router[MAX_PIDS]; /* ns, in the order of --router-pid */
	uint64_t client;           /* ns */
	int64_t at;                /* ns, when it was read */
};

struct usage usage_now(void);

#endif
