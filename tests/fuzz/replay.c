/* SPDX-License-Identifier: Apache-2.0 */
/* A main in place of libFuzzer's: runs the fuzz target once over each named file, and
 * each file in each named folder. So the corpus is a test with every compiler and
 * sanitizer. */
#include "common/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	REPLAY_MAX = 1 << 20,
};

static unsigned n_inputs;

static void fail(const char *path)
{
	perror(path);
	exit(1);
}

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(REPLAY_MAX), *exact;

	if (f == NULL || data == NULL)
		fail(path);
	size_t size = fread(data, 1, REPLAY_MAX, f);
	if (ferror(f) || fclose(f) != 0)
		fail(path);
	/* an exact copy, so that sanitizers see reads behind its end */
	exact = malloc(size);
	if (exact == NULL && size > 0)
		fail(path);
	if (size > 0)
		memcpy(exact, data, size);
	free(data);
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	n_inputs++;
}

static void replay(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	char file[4096];

	if (dir == NULL) {
		replay_file(path);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		int n = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (n < 0 || (size_t)n >= sizeof(file))
			fail(path);
		replay_file(file);
	}
	(void)closedir(dir);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%s: %u inputs replayed\n", argv[0], n_inputs);
	return n_inputs == 0;
}
