/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads UBJSON for test_ubjson_reader.py, which compares the result with py-ubjson.
 * Input: each sample, after its length in 32 bits. Output: a line for each: the error, or
 * "ok", the bytes that were read, and the tokens in hex as show_token writes them. One
 * thread.
 */
#include "tests/unit/token_check.h"

#include <stdio.h>

static void read_sample(struct slice in)
{
	struct buf shown;
	size_t used = 0;

	buf_init(&shown, SIZE_MAX / 4);
	int err = read_both_ways(SERIALIZER_UBJSON, in, &shown, &used);
	if (err != 0)
		puts(err_str(err));
	else
		printf("ok %zu ", used);
	for (size_t i = 0; err == 0 && i < shown.len; i++)
		printf("%02x", shown.data[i]);
	if (err == 0)
		putchar('\n');
	buf_fini(&shown);
}

int main(void)
{
	static uint8_t bytes[1 << 16];
	uint8_t head[4];

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		uint32_t len = get_be32(head);

		if (len > sizeof(bytes) || fread(bytes, 1, len, stdin) != len)
			return 1;
		struct slice in = copy_exact(slice_of(bytes, len));
		read_sample(in);
		free_copy(in);
	}
	return 0;
}
