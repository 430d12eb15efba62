/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, latencies and processes: see measure.h. */
#include "tests/bench/measure.h"

#include "tests/bench/options.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* --- latencies --- */

static unsigned class_of(uint64_t ns)
{
	unsigned shift;

	if (ns < 2u << SUB_BITS)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
	return (shift << SUB_BITS) + (unsigned)(ns >> shift);
}

/* The middle value of a class. */
static double class_value(unsigned class)
{
	unsigned shift = class >> SUB_BITS;

	if (class < 2u << SUB_BITS)
		return class;
	shift--;
	return ((double)(class - (shift << SUB_BITS)) + 0.5) *
	       (double)(UINT64_C(1) << shift);
}

void histogram_add(struct histogram *h, int64_t ns)
{
	uint64_t n = ns < 0 ? 0 : (uint64_t)ns;

	h->classes[class_of(n)]++;
	h->count++;
	if (n > h->max)
		h->max = n;
}

double histogram_at(const struct histogram *h, double share)
{
	uint64_t below = (uint64_t)(share * (double)h->count), sum = 0;

	for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++) {
		sum += h->classes[i];
		if (sum > below)
			return class_value(i);
	}
	return (double)h->max;
}

/* --- processes --- */

uint64_t process_cpu(pid_t pid)
{
	char path[320];
	uint64_t sum = 0, ns;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
		FILE *file;
		if (entry->d_name[0] == '.')
			continue; /* ".." has a schedstat of the whole process */
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid,
			 entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fscanf(file, "%" SCNu64, &ns) == 1)
			sum += ns;
		fclose(file);
	}
	if (tasks != NULL)
		closedir(tasks);
	return sum;
}

uint64_t process_memory(pid_t pid, const char *line)
{
	char path[64], text[256];
	uint64_t kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(text, sizeof(text), file) != NULL)
		if (strncmp(text, line, strlen(line)) == 0 && text[strlen(line)] == ':')
			kib = strtoull(text + strlen(line) + 1, NULL, 10);
	if (file != NULL)
		fclose(file);
	return kib;
}

struct usage usage_now(void)
{
	struct usage u = {.at = now_ns()};
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	u.client = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	for (unsigned i = 0; i < opt.pids; i++)
		u.router[i] = process_cpu(opt.pid[i]);
	return u;
}
