/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, latencies, and figures about the measured processes from /proc. One thread. */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

enum { MAX_PIDS = 8 };

/* Nanoseconds of the monotonic clock. */
int64_t now_ns(void);

/* --- latencies, counted in classes that are at most 1.6 % wide --- */

enum { SUB_BITS = 6, HISTOGRAM_CLASSES = 64 << SUB_BITS };

struct histogram {
	uint64_t count;
	uint64_t max; /* ns */
	uint64_t classes[HISTOGRAM_CLASSES];
};

void histogram_add(struct histogram *h, int64_t ns);

/* The latency in ns that this share of all (from 0 to 1) does not exceed. */
double histogram_at(const struct histogram *h, double share);

/* --- processes --- */

/* CPU time of all threads in ns; 0 if there is no such process. */
uint64_t process_cpu(pid_t pid);

/* A line of /proc/PID/status in KiB, such as "VmRSS" or "VmHWM"; 0 if there is none. */
uint64_t process_memory(pid_t pid, const char *line);

/* The CPU time used by the measured processes and by this one. */
struct usage {
	uint64_t router[MAX_PIDS]; /* ns, in the order of --router-pid */
	uint64_t client;           /* ns */
	int64_t at;                /* ns, time of this reading */
};

struct usage usage_now(void);

#endif
