/* SPDX-License-Identifier: Apache-2.0 */
/* routerd/cpus.h on this machine and with invented control groups. */
#include "routerd/cpus.h"

#include "common/err.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/test_cpus_XXXXXX";
static unsigned affinity;

/* Writes a file below root, with its folders. */
static void write_file(const char *path, const char *text)
{
	char full[300];
	int n = snprintf(full, sizeof(full), "%s%s", root, path);

	assert_true(n > 0 && (size_t)n < sizeof(full));
	for (char *slash = strchr(full + 5, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	FILE *f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int begin(void **state)
{
	cpu_set_t set;

	(void)state;
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -1;
	affinity = (unsigned)CPU_COUNT(&set);
	return mkdtemp(root) != NULL ? 0 : -1;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void without_cgroups(void **state)
{
	(void)state;
	assert_int_equal(cpus_allowed(root), affinity);
}

static void limits(void **state)
{
	(void)state;
	static const struct {
		const char *cpu_max;
		unsigned limit; /* 0: none */
	} rows[] = {
		{"max 100000\n", 0},
		{"100000 100000\n", 1},
		{"50000 100000\n", 1},
		{"1 100000\n", 1},
		{"100001 100000\n", 2},
		{"200000 100000\n", 2},
		{"99999999999999999999 1\n", 0},
		/* contents that no kernel writes, and no limit */
		{"", 0},
		{"\n", 0},
		{"100000\n", 0},
		{"100000 0\n", 0},
		{"0 100000\n", 0},
		{"x y\n", 0},
	};

	write_file("/proc/self/cgroup", "1:name=systemd:/other\n0::/a.slice/b.service\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned limit = rows[i].limit;

		write_file("/sys/fs/cgroup/a.slice/b.service/cpu.max", rows[i].cpu_max);
		assert_int_equal(cpus_allowed(root),
				 limit != 0 && limit < affinity ? limit : affinity);
	}
}

static void limit_of_a_group_above(void **state)
{
	(void)state;
	write_file("/proc/self/cgroup", "0::/a.slice/b.service\n");
	write_file("/sys/fs/cgroup/a.slice/b.service/cpu.max", "max 100000\n");
	write_file("/sys/fs/cgroup/a.slice/cpu.max", "100000 100000\n");
	assert_int_equal(cpus_allowed(root), 1);
	write_file("/sys/fs/cgroup/a.slice/cpu.max", "max 100000\n");
	assert_int_equal(cpus_allowed(root), affinity);
	/* in a container the root itself has this file */
	write_file("/sys/fs/cgroup/cpu.max", "30000 100000\n");
	assert_int_equal(cpus_allowed(root), 1);
	write_file("/proc/self/cgroup", "0::/\n");
	assert_int_equal(cpus_allowed(root), 1);
}

static void this_machine(void **state)
{
	(void)state;
	unsigned allowed = cpus_allowed("");

	assert_true(allowed >= 1 && allowed <= affinity);
}

static void threads(void **state)
{
	(void)state;
	static const unsigned rows[][2] = {{1, 1},   {2, 1},   {3, 2},   {4, 3},
					   {16, 15}, {17, 16}, {18, 16}, {1000, 16}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(cpus_threads(rows[i][0]), rows[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_cgroups),
		cmocka_unit_test(limits),
		cmocka_unit_test(limit_of_a_group_above),
		cmocka_unit_test(this_machine),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests_name("cpus", tests, begin, end);
}
