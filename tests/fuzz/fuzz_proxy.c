/* SPDX-License-Identifier: Apache-2.0 */
/* A PROXY header that comes in pieces: each prefix of it needs more bytes. */
#include "proto/proxy.h"

#include "common/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address peer, again;
	size_t len, len_again;
	const char *why = NULL;
	int err = E_AGAIN;

	for (size_t n = 0; n <= size && err == E_AGAIN; n++) {
		ASSERT(n < PROXY_HEADER_MAX + 1);
		err = proxy_header_parse(slice_of(data, n), &peer, &len, &why);
		if (err == 0)
			ASSERT(len == n);
		if (err == E_SYNTAX)
			ASSERT(why != NULL);
	}
	/* the whole input gives the same, whatever follows */
	ASSERT(proxy_header_parse(slice_of(data, size), &again, &len_again, &why) == err);
	if (err == 0)
		ASSERT(len == len_again && address_same(&peer, &again));
	return 0;
}
