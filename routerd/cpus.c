/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the number of usable processors; see cpus.h. No state; any thread. */
#include "routerd/cpus.h"

#include "routerd/config/config.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Reads a file that contains "QUOTA PERIOD", in microseconds. Returns the number of
 * processors, rounded up. "max PERIOD", or a file that cannot be read, gives UINT_MAX.
 */
static unsigned read_cpu_max(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[128], *end;

	if (f == NULL)
		return UINT_MAX;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	unsigned long long quota = strtoull(line, &end, 10);

	if (end == line || *end != ' ')
		return UINT_MAX;
	unsigned long long period = strtoull(end, NULL, 10);
	if (quota == 0 || period == 0)
		return UINT_MAX;
	unsigned long long cpus = quota / period + (quota % period != 0);
	return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

/* The smallest limit of a control group and its ancestors. */
static unsigned cgroup_limit(const char *root, const char *group)
{
	char path[PATH_MAX];
	size_t len = strlen(group);
	unsigned least = UINT_MAX;

	for (;;) {
		while (len > 0 && group[len - 1] == '/')
			len--;
		int n = snprintf(path, sizeof(path), "%s/sys/fs/cgroup%.*s/cpu.max", root,
				 (int)len, group);
		if (n > 0 && (size_t)n < sizeof(path))
			least = (unsigned)min_size(least, read_cpu_max(path));
		if (len == 0)
			return least;
		while (len > 0 && group[len - 1] != '/')
			len--;
	}
}

/*
 * The limit of this process's group in cgroup v2, whose line in /proc/self/cgroup begins
 * with "0::".
 */
static unsigned own_cgroup_limit(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	unsigned limit = UINT_MAX;
	int n = snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "re") : NULL;

	if (f == NULL)
		return limit;
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) == 0)
			limit = cgroup_limit(root, line + 3);
	}
	fclose(f);
	return limit;
}

unsigned cpus_allowed(const char *root)
{
	cpu_set_t set;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned cpus = online > 0 ? (unsigned)online : 1;

	/* The call fails if there are more processors than the set has bits. Then all
	 * processors count. */
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		cpus = (unsigned)CPU_COUNT(&set);
	unsigned limit = own_cgroup_limit(root);
	if (limit < cpus)
		cpus = limit;
	return cpus > 0 ? cpus : 1;
}

unsigned cpus_threads(unsigned allowed)
{
	if (allowed <= 2)
		return 1;
	return allowed - 1 < CONFIG_MAX_THREADS ? allowed - 1 : CONFIG_MAX_THREADS;
}
